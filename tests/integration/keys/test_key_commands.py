"""``adctl key`` for signing keys: who holds which is told by hand, as daemons do."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from adctl.config import load_settings
from adctl.stores import keys
from adctl.stores.key_holders import FORGOTTEN_AFTER_MS
from adctl.stores.secrets import read_signing_keys
from tests.integration.keys.key_desk import WINDOW_SEC, on_the_page

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.keys.key_desk import Desk


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
    # Bidders would wait for it for as long as it is known.
    assert {one.host for one in desk.holders.all(desk.holders.now_ms())} == {"web8"}


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
    assert timedelta(0) <= until - before - timedelta(seconds=WINDOW_SEC) < timedelta(seconds=60)
    desk.pass_time(WINDOW_SEC - 5)
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
    desk.pass_time(WINDOW_SEC + 60)
    desk.holders.note_pixels(["7.1"], desk.holders.now_ms())
    told = desk.refused("key retire 1 --yes")
    assert "an advertiser's key of the older way" in told
    desk.pass_time(WINDOW_SEC + 60)
    desk.done("key retire 1 --yes")


def test_a_clock_ahead_keeps_a_key_for_longer(desk: Desk) -> None:
    desk.done("key add")
    holder = desk.tell(1, 2)
    ahead_ms = 1_800_000
    mark = holder.holds[1]
    desk.holders.note_signed({1: mark}, desk.holders.now_ms() + ahead_ms)
    desk.done("key promote 2")
    desk.tell(1, 2, signs=2)
    desk.pass_time(WINDOW_SEC + 60)
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
    desk.pass_time(WINDOW_SEC + 60)
    told = desk.run("key retire 1 --yes")
    assert told.exit_code == 0
    assert "take 1 out" in told.stderr


def test_a_key_is_made_where_the_daemons_keep_theirs(desk: Desk, tmp_path: Path) -> None:
    desk.tell(1)
    desk.env |= {"ADCTL_STATE_DIR": str(tmp_path / "elsewhere")}
    assert "web7:8081" in desk.refused("key add")
    assert not (tmp_path / "elsewhere" / "secrets" / "signing-1.hex").exists()


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


def test_the_page_on_rotating_keys_works_word_for_word(desk: Desk) -> None:
    desk.tell(1)
    listed, added, promoted, retired = on_the_page(0)
    desk.done(listed)
    assert desk.done(added) == "2"
    desk.refused(promoted)
    desk.tell(1, 2)
    desk.done(promoted)
    desk.tell(1, 2, signs=2)
    desk.refused(retired)
    desk.pass_time(WINDOW_SEC + 60)
    desk.done(retired)
