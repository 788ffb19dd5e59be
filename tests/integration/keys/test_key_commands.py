"""``adctl key`` on real stores: who holds which key is told by hand, as daemons do."""

from __future__ import annotations

import json
import shlex
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from typer.testing import CliRunner

from adctl.cli.root import app
from adctl.config import load_settings
from adctl.control.key_lives import KeyRecord
from adctl.delivery.advertiser_keys import AdvertiserKeys
from adctl.delivery.signing_keys import KeyHolder, fingerprint
from adctl.errors import ForgedTokenError
from adctl.stores import keys
from adctl.stores.key_holders import FORGOTTEN_AFTER_MS, KeyHolders
from adctl.stores.secrets import load_signing, read_signing_keys

if TYPE_CHECKING:
    from pathlib import Path

    import psycopg
    import redis
    from click.testing import Result
    from psycopg_pool import ConnectionPool

    from adctl.config import Settings

_WINDOW_SEC = 3600


class Desk:
    """`adctl` with a state folder of its own, and daemons that only tell."""

    def __init__(
        self,
        settings: Settings,
        client: redis.Redis,
        db: psycopg.Connection,
        pool: ConnectionPool[psycopg.Connection],
    ) -> None:
        self.settings = settings
        self.redis = client
        self.db = db
        self.holders = KeyHolders(client)
        self.record = KeyRecord(pool, self.holders)
        self.env = {
            "ADCTL_STATE_DIR": str(settings.state_dir),
            "ADCTL_POSTGRES_URL": settings.postgres.url.get_secret_value(),
            "ADCTL_REDIS_URL": settings.redis.url.get_secret_value(),
            "ADCTL_KAFKA_BOOTSTRAP": settings.kafka.bootstrap,
            "ADCTL_CONVERSIONS_CLICK_WINDOW_SEC": str(_WINDOW_SEC),
            "ADCTL_TRACKER_TOKEN_TTL_SEC": "60",
            "ADCTL_ACTOR": "ann",
        }

    def run(self, line: str, answer: str = "") -> Result:
        args = shlex.split(line)
        return CliRunner().invoke(app, args, input=answer, env=self.env, prog_name="adctl")

    def done(self, line: str) -> str:
        result = self.run(line)
        assert result.exit_code == 0, result.output
        return result.stdout.strip()

    def refused(self, line: str, code: int = 6) -> str:
        result = self.run(line)
        assert result.exit_code == code, result.output
        return " ".join(result.stderr.split())

    def listed(self, *, options: str = "--kind signing") -> dict[str, dict[str, Any]]:
        rows = json.loads(self.done(f"key list {options} --output json"))
        return {row["id"]: row for row in rows}

    def tell(self, *ids: int, signs: int = 1, pid: int = 1, **changes: Any) -> KeyHolder:
        """Have a tracker hold these keys, and be ready to sign with one."""
        held = {n: fingerprint(key) for n, key in read_signing_keys(self.settings).items()}
        told: dict[str, Any] = {
            "daemon": "tracker",
            "host": "web7",
            "port": 8081,
            "slot": pid,
            "parent": 1,
            "pid": pid,
            "signs_with": signs,
            "verifies": True,
            "clock_ms": self.holders.now_ms(),
        }
        holder = KeyHolder(holds={n: held[n] for n in ids}, **{**told, **changes})
        now_ms = self.holders.tell(holder)
        self.holders.note_signed({signs: held[signs]} if signs else {}, now_ms)
        return holder

    def silence(self, holder: KeyHolder, for_sec: int) -> None:
        """Have it told nothing since then."""
        [(field, text)] = self.redis.hscan(keys.KEY_HOLDERS, match=f"*/{holder.pid}")[1].items()
        told_ms, told = str(text).split(" ", 1)
        later = f"{int(told_ms) - for_sec * 1000} {told}"
        self.redis.hset(keys.KEY_HOLDERS, str(field), later)

    def pass_time(self, sec: int) -> None:
        """Have everything that was noted been noted so much earlier."""
        at = f"- make_interval(secs => {sec})"
        columns = {
            "signing_key": ("created_at", "signs_since", "last_signed_at", "pixel_used_at"),
            "advertiser_key": ("created_at", "signs_since", "signed_until", "used_at"),
        }
        self.record.note()
        self.redis.delete(keys.KEY_USES)
        for table, names in columns.items():
            told = ", ".join(f"{name} = {name} {at}" for name in names)
            self.db.execute(f"UPDATE {table} SET {told}")
        self.db.commit()

    def audit(self) -> list[tuple[str, int, str, str]]:
        rows = self.db.execute("SELECT entity, entity_id, action, actor FROM audit ORDER BY id")
        found = [(row[0], row[1], row[2], row[3]) for row in rows]
        self.db.commit()
        return found


@pytest.fixture
def desk(
    settings: Settings,
    postgres: psycopg.Connection,
    redis_client: redis.Redis,
    pool: ConnectionPool[psycopg.Connection],
    tmp_path: Path,
) -> Desk:
    mine = load_settings(
        overrides={
            "state_dir": tmp_path,
            "postgres": {"url": settings.postgres.url},
            "redis": {"url": settings.redis.url},
            "kafka": {"bootstrap": settings.kafka.bootstrap},
        }
    )
    load_signing(mine)
    return Desk(mine, redis_client, postgres, pool)


def test_a_new_key_verifies_and_does_not_sign(desk: Desk) -> None:
    desk.tell(1)
    assert desk.done("key add") == "2"
    listed = desk.listed()
    assert {key: row["state"] for key, row in listed.items()} == {"1": "signs", "2": "verifies"}
    assert list(read_signing_keys(desk.settings)) == [1, 2]
    assert listed["2"]["signs_since"] is None
    assert listed["1"]["may_retire_at"] is None


def test_a_key_does_not_sign_while_a_tracker_does_not_know_it(desk: Desk) -> None:
    desk.tell(1)
    desk.done("key add")
    desk.tell(1, 2, pid=2)
    told = desk.refused("key promote 2")
    assert "tracker on web7:8081 (worker 1, pid 1)" in told
    assert "worker 2" not in told
    assert desk.listed()["2"]["unknown_to"] == ["tracker on web7:8081 (worker 1, pid 1)"]
    desk.tell(1, 2)
    desk.done("key promote 2")
    states = {key: row["state"] for key, row in desk.listed().items()}
    assert states == {"1": "retiring", "2": "signs"}
    assert list(read_signing_keys(desk.settings)) == [2, 1]


def test_a_bidder_that_does_not_know_a_key_yet_keeps_it_from_nothing(desk: Desk) -> None:
    desk.done("key add")
    desk.tell(1, daemon="bidder", verifies=False)
    desk.tell(1, 2, pid=2)
    desk.done("key promote 2")


def test_a_tracker_with_another_secret_under_the_id_does_not_know_the_key(desk: Desk) -> None:
    desk.done("key add")
    stranger = desk.tell(1, 2)
    desk.redis.delete(keys.KEY_HOLDERS)
    desk.holders.tell(msgspec.structs.replace(stranger, holds={1: "other", 2: "other"}))
    assert "web7:8081" in desk.refused("key promote 2")


def test_a_tracker_that_is_silent_counts_until_somebody_says_that_it_is_gone(desk: Desk) -> None:
    desk.silence(desk.tell(1), 60)
    desk.done("key add")
    desk.tell(1, 2, host="web8", pid=2)
    told = desk.refused("key promote 2")
    assert "web7:8081 (worker 1, pid 1), silent for 6" in told
    assert "--gone" in told
    desk.done("key promote 2 --gone --dry-run")
    desk.refused("key promote 2")
    desk.done("key promote 2 --gone")


def test_a_tracker_that_is_silent_for_an_hour_is_forgotten(desk: Desk) -> None:
    desk.silence(desk.tell(1), FORGOTTEN_AFTER_MS // 1000 + 5)
    desk.done("key add")
    desk.done("key promote 2")
    assert desk.redis.hlen(keys.KEY_HOLDERS) == 0


def test_a_key_that_signs_cannot_be_retired(desk: Desk) -> None:
    assert "promote another" in desk.refused("key retire 1 --yes")
    assert "promote another" in desk.refused("key retire 1 --yes --force")


def test_a_key_is_not_retired_while_a_daemon_signs_with_it(desk: Desk) -> None:
    desk.done("key add")
    desk.tell(1, 2)
    desk.done("key promote 2")
    told = desk.refused("key retire 1 --yes")
    assert "these still sign with it" in told
    assert "web7:8081" in told


def test_a_key_is_not_retired_before_click_ids_that_it_signed_are_over(desk: Desk) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    desk.tell(1)
    desk.done("key add")
    desk.tell(1, 2)
    desk.done("key promote 2")
    desk.tell(1, 2, signs=2)
    told = desk.refused("key retire 1 --yes")
    until = datetime.fromisoformat(str(desk.listed()["1"]["may_retire_at"]))
    assert f"before {until:%Y-%m-%d %H:%M:%S} UTC" in told
    assert timedelta(0) <= until - before - timedelta(seconds=_WINDOW_SEC) < timedelta(seconds=60)
    desk.pass_time(_WINDOW_SEC - 5)
    desk.refused("key retire 1 --yes")
    desk.pass_time(66)
    desk.done("key retire 1 --dry-run")
    assert desk.run("key retire 1", answer="n").exit_code == 6
    assert set(desk.listed()) == {"1", "2"}
    desk.done("key retire 1 --yes")
    assert set(read_signing_keys(desk.settings)) == {2}
    assert "no signing key 1" in desk.refused("key retire 1 --yes", code=5)


def test_a_key_that_has_signed_nothing_may_go_at_once(desk: Desk) -> None:
    desk.done("key add")
    desk.tell(1, 2)
    desk.done("key retire 2 --yes")
    desk.tell(1)
    assert set(desk.listed()) == {"1"}
    assert desk.done("key add") == "3"


def test_a_key_is_kept_while_a_pixel_of_the_older_way_is_used(desk: Desk) -> None:
    desk.tell(1)
    desk.done("key add")
    desk.tell(1, 2)
    desk.done("key promote 2")
    desk.tell(1, 2, signs=2)
    desk.pass_time(_WINDOW_SEC + 60)
    desk.holders.note_pixels(["7.1"], desk.holders.now_ms())
    told = desk.refused("key retire 1 --yes")
    assert "an advertiser's key of the older way" in told
    desk.pass_time(_WINDOW_SEC + 60)
    desk.done("key retire 1 --yes")


def test_a_clock_ahead_keeps_a_key_for_longer(desk: Desk) -> None:
    desk.done("key add")
    holder = desk.tell(1, 2)
    ahead_ms = 1_800_000
    mark = holder.holds[1]
    desk.holders.note_signed({1: mark}, desk.holders.now_ms() + ahead_ms)
    desk.done("key promote 2")
    desk.tell(1, 2, signs=2)
    desk.pass_time(_WINDOW_SEC + 60)
    desk.refused("key retire 1 --yes")
    desk.pass_time(ahead_ms // 1000)
    desk.done("key retire 1 --yes")


def test_a_leaked_key_can_be_retired_by_force(desk: Desk) -> None:
    desk.done("key add")
    desk.tell(1, 2)
    desk.done("key promote 2")
    asked = desk.run("key retire 1 --force", answer="n")
    assert asked.exit_code == 6
    assert "genuine as it is" in asked.stderr
    desk.done("key retire 1 --force --yes")
    assert set(read_signing_keys(desk.settings)) == {2}


def test_what_was_signed_is_remembered_when_redis_forgets_it(desk: Desk) -> None:
    desk.done("key add")
    desk.tell(1, 2)
    desk.record.note()
    desk.redis.flushdb()
    desk.tell(1, 2, signs=0)
    desk.done("key promote 2")
    assert "it last signed at" in desk.refused("key retire 1 --yes")


def test_a_dry_run_changes_nothing(desk: Desk) -> None:
    desk.done("key add --dry-run")
    assert set(desk.listed()) == {"1"}
    desk.done("key add")
    desk.done("key promote 2 --dry-run")
    assert list(read_signing_keys(desk.settings)) == [1, 2]
    assert desk.audit() == [("key", 2, "add", "ann")]


def test_every_change_of_a_key_is_in_the_audit_and_no_secret_anywhere(desk: Desk) -> None:
    said = desk.done("key add --output json")
    desk.tell(1, 2)
    said += desk.done("key promote 2 --output json")
    said += desk.done("key list --output csv")
    said += desk.done("key retire 1 --force --yes --output json")
    assert [row[:3] for row in desk.audit()] == [
        ("key", 2, "add"),
        ("key", 2, "promote"),
        ("key", 1, "retire"),
    ]
    stored = str(desk.db.execute("SELECT before, after FROM audit").fetchall())
    stored += str(desk.db.execute("SELECT * FROM signing_key").fetchall())
    told = str(desk.redis.hgetall(keys.KEY_HOLDERS)) + str(desk.redis.zrange(keys.KEY_USES, 0, -1))
    for key in read_signing_keys(desk.settings).values():
        assert key.hex() not in said + stored + told


def test_promoting_what_signs_changes_nothing(desk: Desk) -> None:
    result = desk.run("key promote 1")
    assert (result.exit_code, "like that already" in result.stderr) == (0, True)
    assert desk.audit() == []


@pytest.mark.parametrize("key", ["x", "0.p", "-1", "1.2", "p2", "999999"])
def test_a_key_that_is_none_is_refused_by_name(desk: Desk, key: str) -> None:
    for command in ("promote", "retire --yes"):
        result = desk.run(f"key {command} -- {key}")
        assert result.exit_code in (3, 5), result.output
        assert key in result.stderr


def test_keys_of_the_configuration_are_changed_there(desk: Desk) -> None:
    text = f"1:{'ab' * 32},2:{'cd' * 32}"
    desk.env |= {"ADCTL_SIGNING_KEYS": text}
    desk.settings = load_settings(
        overrides={"state_dir": desk.settings.state_dir, "signing": {"keys": text}}
    )
    assert "signing.keys" in desk.refused("key add")
    desk.tell(1)
    assert "web7:8081" in desk.refused("key promote 2")
    desk.tell(1, 2)
    told = desk.run("key promote 2")
    assert told.exit_code == 0
    assert "set signing.signs_with = 2" in told.stderr
    desk.env |= {"ADCTL_SIGNING_SIGNS_WITH": "2"}
    desk.tell(1, 2, signs=2)
    assert {key: row["state"] for key, row in desk.listed().items()} == {
        "1": "retiring",
        "2": "signs",
    }
    desk.refused("key retire 1 --yes")
    desk.pass_time(_WINDOW_SEC + 60)
    told = desk.run("key retire 1 --yes")
    assert told.exit_code == 0
    assert "take 1 out" in told.stderr


def test_a_key_is_made_where_the_daemons_keep_theirs(desk: Desk, tmp_path: Path) -> None:
    desk.tell(1)
    desk.env |= {"ADCTL_STATE_DIR": str(tmp_path / "elsewhere")}
    assert "web7:8081" in desk.refused("key add")
    assert not (tmp_path / "elsewhere" / "secrets" / "signing-1.hex").exists()


@pytest.fixture
def acme(desk: Desk) -> Desk:
    desk.done("advertiser create --name Acme")
    desk.done("advertiser create --name Other")
    return desk


def pixel(desk: Desk) -> str:
    shown = json.loads(desk.done("advertiser pixel Acme --output json"))
    return str(shown["advertiser_key"])


def test_every_advertiser_has_a_key_of_its_own_from_the_start(acme: Desk) -> None:
    listed = acme.listed(options="--kind pixel")
    assert {(row["id"], row["owner"], row["state"]) for row in listed.values()} == {
        ("1.p1", "Acme", "signs"),
        ("2.p1", "Other", "signs"),
    }
    assert set(acme.listed(options="--advertiser Other")) == {"2.p1"}
    assert set(acme.listed(options="")) == {"1", "1.p1", "2.p1"}


def test_a_pixel_outlives_the_signing_key_of_its_day(acme: Desk) -> None:
    key = pixel(acme)
    acme.done("key add")
    acme.tell(1, 2)
    acme.done("key promote 2")
    acme.done("key retire 1 --force --yes")
    assert pixel(acme) == key
    verifying = AdvertiserKeys(load_signing(acme.settings).user_key)
    assert verifying.verify(key) == 1


def test_an_advertisers_key_is_replaced_and_retired_once_nobody_uses_it(acme: Desk) -> None:
    first = pixel(acme)
    assert acme.done("key add --advertiser Acme") == "1.p2"
    assert pixel(acme) == first
    acme.done("key promote 1.p2")
    second = pixel(acme)
    assert second.startswith("1.p2.")
    assert "the one its advertiser is given" in acme.refused("key retire 1.p2 --yes")
    acme.refused("key retire 1.p1 --yes")
    acme.pass_time(_WINDOW_SEC + 5)
    acme.holders.note_pixels(["1.p1"], acme.holders.now_ms())
    told = acme.refused("key retire p1 --advertiser Acme --yes")
    assert "it was last used at" in told
    acme.pass_time(_WINDOW_SEC + 5)
    acme.done("key retire 1 --advertiser Acme --yes")
    assert set(acme.listed(options="--advertiser Acme")) == {"1.p2"}
    verifying = AdvertiserKeys(load_signing(acme.settings).user_key)
    verifying.retired = acme.holders.retired(frozenset())
    assert verifying.verify(second) == 1
    with pytest.raises(ForgedTokenError, match="retired"):
        verifying.verify(first)
    assert [row[2] for row in acme.audit()[2:]] == ["key.add", "key.promote", "key.retire"]
    assert acme.done("key add --advertiser Acme") == "1.p3"


def test_a_redis_that_forgot_what_is_retired_is_told_again(acme: Desk) -> None:
    acme.done("key add --advertiser Acme")
    acme.done("key promote 1.p2")
    acme.done("key retire 1.p1 --force --yes")
    acme.redis.flushdb()
    known = frozenset({"1.p1"})
    assert acme.holders.retired(known) == known
    acme.record.note()
    assert acme.holders.retired(frozenset()) == known


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("key promote 2.p1 --advertiser Acme", 3),
        ("key promote 1.p2", 5),
        ("key promote 9.p1", 5),
        ("key add --advertiser Nobody", 5),
        ("key list --advertiser Nobody", 5),
        ("key retire 1.p9 --yes", 5),
        ("key retire 1.p99999 --yes", 5),
    ],
)
def test_a_key_of_nobody_is_refused(acme: Desk, line: str, code: int) -> None:
    acme.refused(line, code=code)


def doctor(desk: Desk) -> dict[str, Any]:
    rows = json.loads(desk.run("doctor --output json").stdout)
    (found,) = [row for row in rows if row["check"] == "signing keys"]
    return dict(found)


def test_doctor_names_who_would_refuse_what_is_signed(desk: Desk) -> None:
    assert doctor(desk)["outcome"] == "ok"
    desk.done("key add")
    desk.tell(1, 2)
    assert doctor(desk)["detail"] == "key 1 signs, known to all who verify"
    desk.tell(1, 2, signs=2, daemon="bidder", verifies=False, pid=8)
    desk.tell(1, pid=9)
    found = doctor(desk)
    assert found["outcome"] == "warning"
    assert "key 2 signs, or is to, and tracker on web7:8081 (worker 9, pid 9)" in found["detail"]


def test_config_check_says_which_configured_key_signs(desk: Desk) -> None:
    desk.env |= {
        "ADCTL_SIGNING_KEYS": f"2:{'ab' * 32},1:{'cd' * 32}",
        "ADCTL_SIGNING_SIGNS_WITH": "1",
    }
    told = desk.run("config check").stderr
    assert "Of signing.keys 1 is to sign, 2 verify too." in told
    assert "ab" * 32 not in told
