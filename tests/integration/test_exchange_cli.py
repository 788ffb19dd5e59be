"""``adctl exchange``: what is configured, and what it would get."""

from __future__ import annotations

import json
import shlex
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner, Result

from adctl.cli.root import app
from adctl.control.exchange_trial import LookingLedger
from adctl.delivery.auction import Candidate, ImpAuction
from adctl.models import BidStrategy, Campaign, Creative, CreativeKind, Deal, Status, Targeting
from adctl.stores import keys
from adctl.stores.auction_ledger import RedisLedger
from adctl.stores.budgets import Budgets
from adctl.stores.catalog import CatalogStore
from adctl.stores.redis import ClientScripts

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import redis

    from adctl.config import Settings
    from adctl.stores.endpoints import Endpoints

BANNER = Creative(
    id=1,
    campaign_id=1,
    name="banner",
    kind=CreativeKind.BANNER,
    status=Status.ACTIVE,
    landing_url="https://advertiser.example/",
    adomain=("advertiser.example",),
    width=300,
    height=250,
    image_url="https://cdn.example/a.png",
)
EXCHANGES = {
    "acmex": {"seat": "1234", "qps_limit": 50, "loss_notice": False},
    "euros": {"currency": "EUR"},
}


def campaign(number: int, bid_micros: int, **changes: Any) -> Campaign:
    fields: dict[str, Any] = {
        "advertiser_id": 1,
        "name": f"campaign {number}",
        "status": Status.ACTIVE,
        "bid_strategy": BidStrategy.CPM,
        "bid_amount_micros": bid_micros,
        "daily_budget_nanos": 10**9,
        "total_budget_nanos": 10**10,
        "starts_at": datetime(2020, 1, 1, tzinfo=UTC),
        "creatives": (BANNER,),
    }
    return Campaign(id=number, **{**fields, **changes})


def publish(client: redis.Redis, *campaigns: Campaign) -> None:
    CatalogStore(client).fill(campaigns)
    for one in campaigns:
        Budgets(client).sync(one, datetime.now(UTC).date())


@pytest.fixture
def adctl(
    settings: Settings, endpoints: Endpoints, redis_client: redis.Redis
) -> Callable[[str], Result]:
    assert redis_client.ping()
    env = {
        "ADCTL_STATE_DIR": str(settings.state_dir),
        "ADCTL_REDIS_URL": endpoints.redis_url,
        "ADCTL_EXCHANGES": json.dumps(EXCHANGES),
    }
    return lambda line: CliRunner().invoke(app, shlex.split(line), env=env, prog_name="adctl")


def tried(adctl: Callable[[str], Result], name: str = "acmex") -> dict[str, dict[str, Any]]:
    result = adctl(f"exchange test {name} --output json")
    assert result.exit_code == 0, result.output
    return {row["request"]: row for row in json.loads(result.stdout)}


def test_list_has_every_exchange_and_the_default_one(adctl: Callable[[str], Result]) -> None:
    rows = json.loads(adctl("exchange list --output json").stdout)
    assert {row["name"]: row["path"] for row in rows} == {
        "default": "/bid-request",
        "acmex": "/bid-request/acmex",
        "euros": "/bid-request/euros",
    }


def test_show_tells_what_is_in_force(adctl: Callable[[str], Result]) -> None:
    shown = json.loads(adctl("exchange show acmex --output json").stdout)
    assert (shown["seat"], shown["currency"], shown["qps_limit"]) == ("1234", "USD", 50)
    assert (shown["price_encoding"], shown["gdpr_policy"]) == ("plain", "contextual")
    assert (shown["win_notice"], shown["billing_notice"], shown["loss_notice"]) == (
        True,
        True,
        False,
    )


@pytest.mark.parametrize("command", ["show", "test"])
def test_exchange_that_is_not_configured_is_told(
    adctl: Callable[[str], Result], command: str
) -> None:
    result = adctl(f"exchange {command} nobody")
    assert result.exit_code == 5
    assert "acmex" in result.stderr


def test_trial_says_who_would_win_and_at_what_price(
    adctl: Callable[[str], Result], redis_client: redis.Redis
) -> None:
    publish(redis_client, campaign(1, 2_000_000), campaign(2, 3_000_000))
    banner = tried(adctl)["banner"]
    assert (banner["answer"], banner["campaign"], banner["price"]) == ("bid", 2, "2.01")
    assert banner["campaign_name"] == "campaign 2"
    assert banner["why"] == "outbid: campaign 1 (campaign 1)"


def test_trial_says_why_there_is_no_bid(
    adctl: Callable[[str], Result], redis_client: redis.Redis
) -> None:
    german = Targeting(countries=("DEU",))
    poor = campaign(2, 2_000_000, total_budget_nanos=5, daily_budget_nanos=5)
    publish(redis_client, campaign(1, 3_000_000, targeting=german), poor)
    rows = tried(adctl)
    assert (rows["banner"]["answer"], rows["banner"]["why"]) == (
        "total_budget",
        "campaign 2 (campaign 2): total_budget",
    )
    assert rows["video"]["answer"] == "no_campaign"
    assert "country USA not in (DEU)" in rows["video"]["why"]


def test_a_request_of_ones_own_is_tried_each_impression_for_itself(
    adctl: Callable[[str], Result], redis_client: redis.Redis, tmp_path: Path
) -> None:
    publish(redis_client, campaign(1, 2_000_000))
    banner = {"format": [{"w": 300, "h": 250}]}
    imps = [
        {"id": "a", "banner": banner},
        {"id": "b", "banner": banner, "bidfloor": 5},
        {"id": "c", "video": {"mimes": ["video/mp4"]}},
    ]
    file = tmp_path / "own.json"
    file.write_bytes(b"\xef\xbb\xbf" + json.dumps({"id": "r", "imp": imps}, indent=1).encode())
    rows = json.loads(adctl(f"exchange test acmex --request {file} -o json").stdout)
    found = {row["request"]: (row["answer"], row["campaign"]) for row in rows}
    assert found["own.json imp a"] == ("bid", 1)
    assert found["own.json imp b"][0] == "floor"
    assert found["own.json imp c"][1] is None


def test_every_line_of_a_file_is_a_request_and_faults_are_told_by_their_line(
    adctl: Callable[[str], Result], redis_client: redis.Redis, tmp_path: Path
) -> None:
    publish(redis_client, campaign(1, 2_000_000))
    request = {"id": "r", "imp": [{"id": "1", "banner": {"format": [{"w": 300, "h": 250}]}}]}
    file = tmp_path / "two.jsonl"
    file.write_text(f"{json.dumps(request)}\n\n{json.dumps(request)}\n")
    rows = json.loads(adctl(f"exchange test acmex --request {file} -o json").stdout)
    assert [row["request"] for row in rows] == ["two.jsonl:1", "two.jsonl:2"]
    file.write_text(f"{json.dumps(request)}\nnonsense\n{{}}\n")
    refused = adctl(f"exchange test acmex --request {file}")
    assert refused.exit_code == 3
    assert ("line 2" in refused.stderr, "line 3" in refused.stderr) == (True, True)
    missing = adctl(f"exchange test acmex --request {tmp_path / 'none'}")
    assert (missing.exit_code, "a readable file" in missing.stderr) == (3, True)


def test_trial_bids_for_deals(adctl: Callable[[str], Result], redis_client: redis.Redis) -> None:
    publish(redis_client, campaign(1, 2_000_000, deals=(Deal("deal-1", 4_000_000),)))
    deals = tried(adctl)["deals"]
    assert (deals["answer"], deals["deal"], deals["price"]) == ("bid", "deal-1", "4.00")


def test_trial_at_an_exchange_of_another_currency_says_so(
    adctl: Callable[[str], Result], redis_client: redis.Redis
) -> None:
    publish(redis_client, campaign(1, 2_000_000))
    assert {row["answer"] for row in tried(adctl, "euros").values()} == {"currency"}


def test_trial_tells_the_price_in_the_exchanges_currency(
    adctl: Callable[[str], Result],
    redis_client: redis.Redis,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    publish(redis_client, campaign(1, 2_000_000))
    rates = tmp_path / "rates.toml"
    rates.write_text('EUR = "1.1"\n')
    monkeypatch.setenv("ADCTL_MONEY_RATES_FILE", str(rates))
    banner = tried(adctl, "euros")["banner"]
    assert (banner["price"], banner["told"]) == ("2.00", "1.818181 EUR")


def test_trial_reserves_nothing(adctl: Callable[[str], Result], redis_client: redis.Redis) -> None:
    publish(redis_client, campaign(1, 2_000_000))
    redis_client.set(keys.SHARDS, 1)  # whoever comes first writes it down
    before = {key: redis_client.type(key) for key in redis_client.scan_iter()}
    state = Budgets(redis_client).read([1])
    assert tried(adctl)["banner"]["answer"] == "bid"
    assert Budgets(redis_client).read([1]) == state
    assert {key: redis_client.type(key) for key in redis_client.scan_iter()} == before


def test_prices_are_tried_without_a_catalog_each_in_a_row(adctl: Callable[[str], Result]) -> None:
    prices = "--price 1500 --price AUDIT --price=-1"
    result = adctl(f"exchange test euros {prices} --output json")
    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout)
    assert [(row["told"], row["cpm"], row["one_impression"]) for row in rows] == [
        ("1500", "1500.00", "1.50"),
        ("AUDIT", None, None),
        ("-1", None, None),
    ]
    assert all("bid's own price is booked" in row["why"] for row in rows[1:])
    table = adctl(f"exchange test euros {prices} --output csv")
    assert table.stdout.splitlines()[0] == "told,cpm,one_impression,why"


def test_trial_without_a_catalog_is_told(adctl: Callable[[str], Result]) -> None:
    result = adctl("exchange test default")
    assert result.exit_code == 5
    assert "no catalog" in result.stderr


@pytest.mark.parametrize(
    "budgets",
    [
        {1: 10**9, 2: 10**9, 3: 10**9},
        {1: 10, 2: 10**9, 3: 10**9},
        {1: 10, 2: 10, 3: 10},
        {2: 10**9, 3: 10**9},
        {1: 10**9},
        {},
    ],
)
def test_looking_decides_as_reserving_does(
    redis_client: redis.Redis, budgets: dict[int, int]
) -> None:
    campaigns = {number: campaign(number, (5 - number) * 1_000_000) for number in (1, 2, 3)}
    for number, nanos in budgets.items():
        funded = campaign(number, 1, total_budget_nanos=nanos, daily_budget_nanos=nanos)
        Budgets(redis_client).sync(funded, datetime.now(UTC).date())
    candidates = tuple(
        Candidate(one, BANNER, one.bid_amount_micros, (), 2_500_000) for one in campaigns.values()
    )
    auctions = [ImpAuction("1", 0, candidates), ImpAuction("2", 0, candidates)]
    looked = LookingLedger(redis_client).decide(auctions, "", 1, 60_000)
    reserved = RedisLedger(ClientScripts(redis_client), 120).decide(auctions, "", 1, 60_000)
    assert looked == reserved
