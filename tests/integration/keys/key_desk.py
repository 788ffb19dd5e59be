"""`adctl key` on real stores, beside daemons that only tell which keys they hold."""

from __future__ import annotations

import json
import re
import shlex
from typing import TYPE_CHECKING, Any

from typer.testing import CliRunner

from adctl.cli.root import app
from adctl.control.key_lives import KeyRecord
from adctl.delivery.signing_keys import KeyHolder, fingerprint
from adctl.resources import DEFAULT_CONFIG
from adctl.stores import keys
from adctl.stores.key_holders import KeyHolders
from adctl.stores.secrets import read_signing_keys

if TYPE_CHECKING:
    import psycopg
    import redis
    from click.testing import Result
    from psycopg_pool import ConnectionPool

    from adctl.config import Settings

WINDOW_SEC = 3600


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
            "ADCTL_CONVERSIONS_CLICK_WINDOW_SEC": str(WINDOW_SEC),
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


def on_the_page(number: int) -> list[str]:
    """The command lines of a block of docs/operations.md, Rotating keys."""
    page = (DEFAULT_CONFIG.parent / "docs" / "operations.md").read_text()
    part = page.partition("## Rotating keys")[2].partition("\n## ")[0]
    block = re.findall(r"```sh\n(.*?)```", part, re.DOTALL)[number]
    return [line.partition("#")[0].removeprefix("adctl ").strip() for line in block.splitlines()]
