"""Every listing as CSV and as a table: it has its header, and nothing in it runs."""

from __future__ import annotations

import csv
import io
import shlex
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from adctl.cli.root import NOUNS, app, load_noun
from adctl.stores.rollups import (
    Additions,
    Candidacies,
    CandidatesKey,
    Delivery,
    DeliveryKey,
    Landscape,
    LandscapeKey,
    RequestsKey,
    Rollups,
)
from tests.unit.cli.spreadsheet import cells_that_run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    import psycopg
    import redis
    from click.testing import Result

    from adctl.config import Settings

    Run = Callable[[str], Result]

# What a command is called with; those without arguments print their header without any rows, too.
_READING = {
    "config show": "",
    "db migrate": "--dry-run",
    "db status": "",
    "db size": "",
    "db partitions": "",
    "db prune": "--dry-run",
    "doctor": "",
    "advertiser list": "",
    "advertiser show": "1",
    "advertiser statement": "1",
    "advertiser pixel": "1",
    "advertiser history": "1",
    "campaign list": "",
    "campaign show": "1",
    "campaign explain": "1",
    "campaign history": "1",
    "creative list": "",
    "creative show": "1",
    "creative history": "1",
    "budget list": "",
    "budget show": "1",
    "budget prove": "",
    "budget reconcile": "--dry-run",
    "exchange list": "",
    "exchange show": "default",
    "exchange test": "default --price =1+1",
    "fcap show": "=1+1",
    "user forget": "=1+1 --dry-run",
    "key list": "",
    "report performance": "--by site",
    "report requests": "",
    "report candidates": "",
    "report losses": "",
    "report oddities": "",
    "report alarms": "",
    "report landscape": "",
    "report statement": "--advertiser 1",
    "report lines": "",
    "topic list": "",
    "topic describe": "impressions",
    "topic create": "--dry-run",
    "deadletter list": "",
    "rejected list": "",
    "consumer status": "",
    "webhook list": "",
    "webhook show": "1",
    "webhook deliveries": "1",
    "rebuild rollups": "--check",
}
# What changes or starts something prints what the commands above print, or one record.
_CHANGING = {
    *(f"advertiser {word}" for word in ("create", "update", "pause", "resume", "archive")),
    *(f"campaign {word}" for word in ("create", "update", "pause", "resume", "archive")),
    *(f"creative {word}" for word in ("create", "update", "pause", "resume", "archive")),
    *(f"webhook {word}" for word in ("create", "pause", "resume", "delete", "test", "retry")),
    *("advertiser deposit", "advertiser correct", "stack start", "stack status"),
    *("flush status", "flush now", "deadletter show", "deadletter retry", "consumer rewind"),
    *("key add", "key promote", "key retire"),
    *("rejected show", "rejected retry", "rejected misread"),
    *("rebuild statements", "bench", "demo"),
}
_HOSTILE = ("=1+1", "@sum", "-2+3.example", "+cmd|' /c calc'!a0", '=hyperlink("http://e.example")')


def commands_with_output() -> Iterator[str]:
    def leaves(command: Any, path: tuple[str, ...]) -> Iterator[str]:
        for word, child in getattr(command, "commands", {}).items():
            yield from leaves(child, (*path, word))
        if any(param.name == "output" for param in command.params):
            yield " ".join(path)

    for noun in NOUNS:
        yield from leaves(load_noun(noun), (noun,))


def test_every_command_that_prints_csv_is_among_these() -> None:
    assert set(commands_with_output()) == set(_READING) | _CHANGING


@pytest.fixture
def run(
    settings: Settings,
    postgres: psycopg.Connection,
    redis_client: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
) -> Run:
    del postgres, redis_client  # emptied
    monkeypatch.setenv("ADCTL_STATE_DIR", str(settings.state_dir))
    monkeypatch.setenv("ADCTL_POSTGRES_URL", settings.postgres.url.get_secret_value())
    monkeypatch.setenv("ADCTL_REDIS_URL", settings.redis.url.get_secret_value())
    monkeypatch.setenv("ADCTL_KAFKA_BOOTSTRAP", settings.kafka.bootstrap)
    monkeypatch.setenv("ADCTL_ACTOR", "=ann")
    return lambda line: CliRunner().invoke(app, shlex.split(line), prog_name="adctl")


@pytest.fixture
def hostile(run: Run, postgres: psycopg.Connection) -> Run:
    """Have strangers' text wherever it can stand."""
    lines = [
        "advertiser create --name =1+1",
        "advertiser correct 1 --charge 1.50 --reason @sum --yes",
        "campaign create --advertiser 1 --name +cmd --budget 500 --bid 2.00 --deal -deal",
        (
            "creative create --campaign 1 --name @box --size 300x250 "
            "--landing-url https://a.example --image-url https://a.example/b.png"
        ),
        "webhook create --url https://ops.example/hook --event budget.daily",
    ]
    for line in lines:
        made = run(line)
        assert made.exit_code == 0, made.output
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    rollups = Rollups()
    more = Additions()
    for text in _HOSTILE:
        more.delivery[DeliveryKey(hour, 1, 1, text, text, text, text)] = Delivery(impressions=1)
        more.landscape[LandscapeKey(hour, text, text, text, 5)] = Landscape(bids=1)
        more.requests[RequestsKey(hour, text, text)] += 1
        more.candidates[CandidatesKey(hour, 1, text, text)] = Candidacies(1)
    rollups.add(postgres, more)
    postgres.commit()
    return run


def printed(run: Run, command: str, output: str) -> str:
    done = run(f"{command} {_READING[command]} --output {output}")
    assert done.exit_code in (0, 1, 8), f"{command}: {done.output}"
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.stdout


def test_no_listing_prints_a_cell_that_runs(hostile: Run) -> None:
    seen = ""
    for command in _READING:
        text = printed(hostile, command, "csv")
        assert not cells_that_run(text), command
        seen += text
    for text in ("'=1+1", "'@sum", "'-2+3.example", "'+cmd", "'=ann", "-1.50"):
        assert text in seen


def test_every_listing_has_its_header_without_rows(run: Run) -> None:
    for command, arguments in _READING.items():
        if arguments and not arguments.startswith("--"):
            continue
        if "--advertiser" in arguments:
            continue
        header, *_ = csv.reader(io.StringIO(printed(run, command, "csv")))
        assert header, command
        assert all(name.replace("_", "").isalpha() for name in header), command


def test_no_listing_prints_a_control_character(hostile: Run, postgres: psycopg.Connection) -> None:
    wild = "news\x1b[31m\u202e\x9b2J.example\r"
    postgres.execute("UPDATE rollup_delivery SET site = %s WHERE site = '=1+1'", [wild])
    postgres.execute("UPDATE campaign SET name = %s", [wild])
    postgres.commit()
    for command in _READING:
        text = printed(hostile, command, "table")
        assert all(char.isprintable() or char == "\n" for char in text), command
