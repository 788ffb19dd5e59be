"""``adctl advertiser|campaign|creative`` as people and scripts use them."""

from __future__ import annotations

import json
import re
import shlex
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner, Result

from adctl.cli.root import app
from adctl.resources import DEFAULT_CONFIG

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import psycopg
    import redis

    from adctl.config import Settings
    from adctl.stores.endpoints import Endpoints

DOCS = DEFAULT_CONFIG.parent / "docs"
BANNER = (
    "--name box --size 300x250 --landing-url https://acme.example "
    "--image-url https://cdn.acme.example/box.png"
)


@pytest.fixture
def adctl(
    settings: Settings,
    endpoints: Endpoints,
    postgres: psycopg.Connection,
    redis_client: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., Result]:
    monkeypatch.chdir(DOCS.parent)
    env = {
        "ADCTL_STATE_DIR": str(settings.state_dir),
        "ADCTL_POSTGRES_URL": endpoints.postgres_url,
        "ADCTL_REDIS_URL": endpoints.redis_url,
        "ADCTL_KAFKA_BOOTSTRAP": endpoints.kafka_bootstrap,
        "ADCTL_ACTOR": "ann",
    }
    return lambda line, answer="": CliRunner().invoke(
        app, shlex.split(line), input=answer, env=env, prog_name="adctl"
    )


@pytest.fixture
def spring(adctl: Callable[..., Result]) -> str:
    assert adctl("advertiser create --name Acme").exit_code == 0
    made = adctl("campaign create --advertiser Acme --name Spring --budget 500 --bid 2.00")
    assert made.exit_code == 0, made.output
    return made.stdout.strip()


def test_create_prints_the_id_and_nothing_else(spring: str) -> None:
    assert spring.isdigit()


def test_create_prints_all_of_it_as_json(adctl: Callable[..., Result], spring: str) -> None:
    made = adctl(f"creative create --campaign {spring} {BANNER} --output json")
    assert json.loads(made.stdout)["campaign_id"] == int(spring)


def test_money_is_exact_and_names_its_currency(adctl: Callable[..., Result], spring: str) -> None:
    adctl("campaign update Spring --budget 9007199254740.993")
    bad = adctl("campaign update Spring --budget 0.0000000001")
    assert bad.exit_code == 3
    assert "at most 9 decimal places" in bad.stderr
    adctl("campaign update Spring --budget 1000.123456789")
    assert "1000.123456789 USD" in adctl("campaign show Spring").stdout
    listed = json.loads(adctl("campaign list --output json").stdout)
    assert (listed[0]["budget"], listed[0]["currency"]) == ("1000.123456789", "USD")


def test_all_faults_are_shown_at_once(adctl: Callable[..., Result], spring: str) -> None:
    bad = adctl("campaign create --budget x --country Atlantis --cap 0/1h")
    assert bad.exit_code == 3
    for field in ("advertiser", "name", "budget", "bid", "targeting.countries", "caps"):
        assert f"\n  {field}: " in bad.stderr


def test_update_replaces_one_list_and_clears_another(
    adctl: Callable[..., Result], spring: str
) -> None:
    adctl("campaign update Spring --country USA --device mobile --cap 3/24h --end 2090-01-31")
    adctl("campaign update Spring --country CA --clear targeting.devices --clear end")
    shown = json.loads(adctl("campaign show Spring --output json").stdout)
    assert shown["targeting"] == {"countries": ["CAN"]}
    assert (shown["caps"], shown["end"]) == (["3/24h"], None)


def test_targeting_file_replaces_all_but_options_stand_above_it(
    adctl: Callable[..., Result], spring: str
) -> None:
    adctl("campaign update Spring --browser chrome")
    done = adctl("campaign update Spring --targeting docs/examples/targeting.toml --country DEU")
    assert done.exit_code == 0, done.output
    targeting = json.loads(adctl("campaign show Spring --output json").stdout)["targeting"]
    assert targeting["countries"] == ["DEU"]
    assert targeting["segments"] == {"any": ["hikers", "cyclists"], "none": ["customers"]}
    assert "browsers" not in targeting


def test_dry_run_changes_nothing(adctl: Callable[..., Result], spring: str) -> None:
    done = adctl("campaign pause Spring --dry-run")
    assert (done.exit_code, "nothing was written" in done.stderr) == (0, True)
    assert json.loads(adctl("campaign show Spring -o json").stdout)["status"] == "active"


def test_archive_asks_first(adctl: Callable[..., Result], spring: str) -> None:
    assert adctl("campaign archive Spring", answer="n\n").exit_code == 6
    assert json.loads(adctl("campaign show Spring -o json").stdout)["status"] == "active"
    assert adctl("campaign archive Spring", answer="y\n").exit_code == 0
    assert json.loads(adctl("campaign show Spring -o json").stdout)["status"] == "archived"
    assert adctl("campaign resume Spring").exit_code == 6


def test_unknown_campaign_exits_with_5(adctl: Callable[..., Result], spring: str) -> None:
    missing = adctl("campaign show Sprig")
    assert missing.exit_code == 5
    assert missing.stderr == "error: there is no campaign Sprig; did you mean Spring?\n"
    assert adctl("campaign show Winter").stderr == "error: there is no campaign Winter\n"


def test_what_is_an_id_and_a_name_is_refused_until_it_is_said_which(
    adctl: Callable[..., Result], spring: str
) -> None:
    line = "campaign create --advertiser Acme --budget 500 --bid 2.00"
    other = adctl(f"{line} --name {spring}").stdout.strip()
    refused = adctl(f"campaign pause {spring}")
    assert refused.exit_code == 6
    assert f"is the id of campaign Spring and the name of campaign {other}" in refused.stderr
    for asked, found in (
        (f"{spring} --id", spring),
        (f"{spring} --name", other),
        (f"id:{spring}", spring),
        (f"name:{spring}", other),
        (other, other),
        ("Spring", spring),
    ):
        shown = json.loads(adctl(f"campaign show {asked} --output json").stdout)
        assert shown["id"] == int(found)
    assert adctl(f"campaign update {spring} --id --name Autumn").exit_code == 0
    assert json.loads(adctl("campaign show Autumn -o json").stdout)["id"] == int(spring)


def test_what_is_its_own_name_is_no_question(adctl: Callable[..., Result], spring: str) -> None:
    adctl(f"campaign update Spring --name {spring}")
    assert adctl(f"campaign pause {spring}").exit_code == 0


def test_a_dry_run_uses_up_no_id(adctl: Callable[..., Result], spring: str) -> None:
    advertiser = "advertiser create --name Other"
    campaign = "campaign create --advertiser Acme --name Summer --budget 500 --bid 2.00"
    creative = f"creative create --campaign Spring {BANNER}"
    for line in (advertiser, campaign, creative):
        shown = adctl(f"{line} --dry-run --output json")
        assert json.loads(shown.stdout)["id"] == 0, shown.output
    made = [adctl(line).stdout.strip() for line in (advertiser, campaign, creative)]
    assert made == ["2", "2", "1"]


def test_a_dry_run_finds_a_name_that_is_taken(adctl: Callable[..., Result], spring: str) -> None:
    line = "campaign create --advertiser Acme --name Spring --budget 500 --bid 2.00 --dry-run"
    assert "has a campaign of that name already" in adctl(line).stderr


def test_the_name_of_what_is_archived_is_free(adctl: Callable[..., Result], spring: str) -> None:
    adctl(f"creative create --campaign Spring {BANNER}")
    lines = {
        "creative archive box --yes": f"creative create --campaign Spring {BANNER}",
        "campaign archive Spring --yes": (
            "campaign create --advertiser Acme --name Spring --budget 500 --bid 2.00"
        ),
        "advertiser archive Acme --yes": "advertiser create --name Acme",
    }
    for archive, create in lines.items():
        assert adctl(create).exit_code == 6
        assert adctl(archive).exit_code == 0
        again = adctl(create)
        assert again.exit_code == 0, again.output
    assert json.loads(adctl("advertiser show Acme -o json").stdout)["status"] == "active"


def test_archiving_an_advertiser_says_what_stops_even_before(
    adctl: Callable[..., Result], spring: str
) -> None:
    adctl("campaign create --advertiser Acme --name Summer --budget 5 --bid 2.00 --paused")
    for line in ("archive Acme --dry-run", "pause Acme", "resume Acme"):
        said = adctl(f"advertiser {line}").stderr
        assert f"campaign {spring} (Spring)" in said
        assert "Summer" not in said


def test_history_shows_actor_and_fields(adctl: Callable[..., Result], spring: str) -> None:
    adctl("campaign update Spring --bid 2.50 --actor bob")
    rows = adctl("campaign history Spring --output csv").stdout.splitlines()
    assert rows[0] == "at,actor,what,action,changes"
    assert rows[-1].split(",", 1)[1] == f"bob,campaign {spring},update,bid 2.00 → 2.50"


def test_a_change_is_one_line_of_history_with_what_is_not_empty(
    adctl: Callable[..., Result], spring: str
) -> None:
    adctl("campaign update Spring --bid 3 --country USA --cap 3/24h --roadblock")
    created, updated = json.loads(adctl("campaign history Spring -o json").stdout)
    assert len(created["changes"]) > len(updated["changes"]) == 4
    _, first, last = adctl("campaign history Spring --output csv").stdout.splitlines()
    assert "name Spring; budget 500.00; bid 2.00; daily_budget 500.00; strategy cpm" in first
    assert "end" not in first
    assert "caps" not in first
    said = "bid 2.00 → 3.00; targeting.countries USA; caps 3/24h; roadblock no → yes"
    assert last.split(",update,")[1] == said


def test_another_zone_is_no_other_start(adctl: Callable[..., Result], spring: str) -> None:
    adctl("campaign update Spring --timezone Asia/Tokyo")
    last = adctl("campaign history Spring --output csv").stdout.splitlines()[-1]
    assert last.endswith("update,timezone UTC → Asia/Tokyo")


def test_explain_says_what_keeps_a_campaign_from_bidding(
    adctl: Callable[..., Result], spring: str, postgres: psycopg.Connection
) -> None:
    for sampled, outcome in ((False, "outbid"), (True, "targeting_country")):
        postgres.execute(
            "INSERT INTO rollup_candidates (hour, campaign_id, exchange, sampled, outcome, "
            "candidates) VALUES (date_trunc('hour', now(), 'UTC'), %s, 'default', %s, %s, 3)",
            [int(spring), sampled, outcome],
        )
    postgres.commit()
    adctl("campaign pause Spring")
    rows = json.loads(adctl("campaign explain Spring -o json").stdout)
    found = {row["about"]: row["finding"] for row in rows}
    assert found["status"] == "paused"
    assert found["creatives"] == "0 active of 0: add or resume one, or it cannot serve"
    assert (found["hours"], found["targeting"]) == ("all", "everybody")
    assert found["money"] == "500.00 of 500.00 available"
    assert found["counted last hour"] == "outbid: 3 (100.00%)"
    assert found["sampled last hour"] == "targeting_country: 3 (100.00%)"


def test_explain_names_closed_hours_targeting_and_the_sizes_of_creatives(
    adctl: Callable[..., Result], spring: str
) -> None:
    adctl(f"creative create --campaign Spring {BANNER}")
    yesterday = f"{datetime.now(UTC) - timedelta(days=1):%a}".lower()
    options = "--country USA --country CAN --radius 52.5,13.4,10 --no-segment staff"
    done = adctl(f"campaign update Spring --time {yesterday} {options}")
    assert done.exit_code == 0, done.output
    rows = json.loads(adctl("campaign explain Spring -o json").stdout)
    found = {row["about"]: row["finding"] for row in rows}
    assert found["serving"] == "outside its hours"
    assert found["hours"].startswith("closed until ")
    said = "countries USA, CAN; radii 52.5,13.4,10.0km; segments.none staff"
    assert found["targeting"] == said
    assert found["creatives"] == "1 active of 1 (banner 300x250)"


def test_ceiling_is_shown_changed_taken_back_and_explained(
    adctl: Callable[..., Result], spring: str, postgres: psycopg.Connection
) -> None:
    def ceiling() -> str:
        rows = json.loads(adctl("campaign explain Spring -o json").stdout)
        return {row["about"]: row["finding"] for row in rows}["ceiling"]

    assert ceiling() == "none"
    adctl("campaign update Spring --max-cpm 5")
    assert json.loads(adctl("campaign show Spring -o json").stdout)["max_cpm"] == "5.00"
    assert ceiling() == "5.00 USD per 1,000 impressions"
    adctl("campaign update Spring --strategy cpc --clear max_cpm")
    assert json.loads(adctl("campaign show Spring -o json").stdout)["max_cpm"] is None
    assert ceiling() == "20.00 USD per 1,000 impressions (bidder.max_cpm)"
    history = adctl("campaign history Spring --output csv").stdout
    assert "update,max_cpm 5.00\n" in history.replace("\r", "")
    assert "max_cpm 5.00 → none" in history
    postgres.execute(
        "INSERT INTO rollup_candidates (hour, campaign_id, exchange, outcome, candidates, capped, "
        "cut_micros) VALUES (date_trunc('hour', now(), 'UTC'), %s, 'default', 'won', 9, 4, %s)",
        [int(spring), 10_000_000],
    )
    postgres.commit()
    rows = json.loads(adctl("campaign explain Spring -o json").stdout)
    found = {row["about"]: row["finding"] for row in rows}
    assert found["cut last hour"] == "won: 4 of 9, by 2.50 on the average"


def test_bid_above_its_ceiling_is_refused(adctl: Callable[..., Result], spring: str) -> None:
    refused = adctl(f"campaign update {spring} --max-cpm 1.50")
    assert refused.exit_code == 3
    assert "bid" in refused.stderr
    assert "at most max_cpm (1.50)" in refused.stderr


def test_stores_being_down_exits_with_7() -> None:
    down = CliRunner().invoke(
        app,
        ["campaign", "list"],
        env={
            "ADCTL_POSTGRES_URL": "postgresql://adctl@127.0.0.1:1/adctl",
            "ADCTL_REDIS_URL": "redis://127.0.0.1:1",
            "ADCTL_KAFKA_BOOTSTRAP": "127.0.0.1:1",
        },
    )
    assert down.exit_code == 7
    assert "PostgreSQL" in down.stderr


def test_the_pages_examples_run(adctl: Callable[..., Result]) -> None:
    page = (DOCS / "campaigns.md").read_text()
    blocks = re.findall(r"```console\n(.*?)```", page, re.DOTALL)
    for block in blocks:
        for example in block.removeprefix("$ ").split("\n$ "):
            command, *shown = example.rstrip().split("\n")
            done = adctl(command.removeprefix("adctl "))
            assert done.exit_code == (3 if shown else 0), (command, done.output)
            assert done.stderr.splitlines()[: len(shown)] == shown or not shown


def test_creatives_of_every_kind_are_made_and_previewed(
    adctl: Callable[..., Result], spring: str, tmp_path: Path
) -> None:
    common = "creative create --campaign Spring --landing-url https://acme.example"
    made = [
        adctl(f"{common} --name spot --video docs/examples/video.toml"),
        adctl(f"{common} --name tag --vast-tag https://ads.acme.example/v --duration 30"),
        adctl(f"{common} --name cards --native docs/examples/native.toml"),
        adctl(
            f"{common} --name radio --audio https://cdn.acme.example/a.mp3 --duration 30 "
            "--bitrate 128"
        ),
    ]
    for result in made:
        assert result.exit_code == 0, result.output
        page = tmp_path / "page.html"
        shown = adctl(f"creative preview {result.stdout.strip()} --out {page}")
        assert shown.exit_code == 0, shown.output
        assert "<!doctype html>" in page.read_text()


def test_video_file_without_an_address_is_told_all_that_is_missing(
    adctl: Callable[..., Result], spring: str
) -> None:
    bad = adctl(
        "creative create --campaign Spring --name spot --landing-url https://acme.example "
        "--video https://cdn.acme.example/spot.mp4"
    )
    assert bad.exit_code == 3
    for field in ("duration_sec", "files[0].width", "files[0].bitrate_kbps"):
        assert f"video.{field}" in bad.stderr
