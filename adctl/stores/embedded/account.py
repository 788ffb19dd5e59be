"""Whom PostgreSQL runs as when root starts it, and what that account can reach."""

from __future__ import annotations

import hashlib
import itertools
import os
import pwd
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

from adctl.errors import StoreUnavailableError

# The first that exists: an account of ours, PostgreSQL's own, the one that owns nothing.
_NAMES = ("adctl", "postgres", "nobody")
# For data whose stack folder lies where the account cannot go, such as below root's home.
_ELSEWHERE = Path("/var/lib/adctl-postgres")


@dataclass(frozen=True)
class Account:
    """An unprivileged user of this machine."""

    name: str
    uid: int
    gid: int


def service_account() -> Account | None:
    """Return whom to run PostgreSQL as: None, meaning ourselves, unless we are root."""
    if os.geteuid() != 0:
        return None
    for name in _NAMES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Account(name, entry.pw_uid, entry.pw_gid)
    raise StoreUnavailableError(
        "PostgreSQL does not run as root and there is no user to run it as: "
        f"create one named {_NAMES[0]}"
    )


def owner_of(path: Path) -> Account:
    """Return the account that owns ``path``."""
    found = path.stat()
    return Account(str(found.st_uid), found.st_uid, found.st_gid)


def can_enter(account: Account, folder: Path) -> bool:
    """Whether ``account`` may go into ``folder``, by the permissions of it and all above it."""
    folder = folder.resolve()
    return all(_may_enter(account, step.stat()) for step in (folder, *folder.parents))


def _may_enter(account: Account, found: os.stat_result) -> bool:
    if found.st_uid == account.uid:
        return bool(found.st_mode & stat.S_IXUSR)
    if found.st_gid == account.gid:
        return bool(found.st_mode & stat.S_IXGRP)
    return bool(found.st_mode & stat.S_IXOTH)


def reachable_home(account: Account, folder: Path) -> Path:
    """Return a folder for the account's files: ``folder``, or one elsewhere that it can enter.

    Widening the permissions of a folder above would open what else lies there.
    """
    if can_enter(account, folder):
        return folder
    name = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]
    # Data may be left of a stack whose folder, with its password, was removed by hand.
    homes = (_ELSEWHERE / (f"{name}-{number}" if number else name) for number in itertools.count())
    home = next(home for home in homes if not (home / "pgdata").exists())
    for step in (_ELSEWHERE, home):
        step.mkdir(mode=0o711, exist_ok=True)
        step.chmod(0o711)
    return home


def is_elsewhere(home: str) -> bool:
    """Whether ``home`` is a folder that reachable_home made outside the stack's own."""
    return bool(home) and Path(home).parent == _ELSEWHERE


def copy_readable(root: Path, parts: tuple[str, ...], target: Path) -> None:
    """Copy each of ``parts`` from ``root`` to ``target`` so that everyone can read it.

    What lies in a folder named ``bin`` can also be run. Whole or not at all; a ``target`` that
    exists is taken to be that copy.
    """
    if target.exists():
        return
    partial = target.with_name(f"{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    for part in parts:
        shutil.copytree(root / part, partial / part, symlinks=True)
    for path in (partial, *partial.rglob("*")):
        if not path.is_symlink():
            runnable = path.is_dir() or path.parent.name == "bin"
            path.chmod(path.stat().st_mode | (0o755 if runnable else 0o444))
    partial.rename(target)
