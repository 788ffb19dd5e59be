"""The jars of Apache Kafka: listed in artifacts.txt, from Maven Central, kept in the venv."""

from __future__ import annotations

import hashlib
import os
import sys
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from pathlib import Path
from typing import NamedTuple

import stamina

LIST = Path(__file__).with_name("artifacts.txt")
CACHE = Path(sys.prefix) / "apache-kafka"

_CENTRAL = "https://repo1.maven.org/maven2"
_ATTEMPTS = 5
_TIMEOUT_SEC = 30
_AT_ONCE = 4


class DamagedError(OSError):
    """What was downloaded is not what the list says."""


class Artifact(NamedTuple):
    """One jar. ``sha256`` is its digest in hex."""

    group: str
    name: str
    version: str
    sha256: str

    @property
    def file(self) -> str:
        return f"{self.name}-{self.version}.jar"

    @property
    def url(self) -> str:
        folder = self.group.replace(".", "/")
        return f"{_CENTRAL}/{folder}/{self.name}/{self.version}/{self.file}"


def listed() -> list[Artifact]:
    lines = [line for line in LIST.read_text().splitlines() if not line.startswith("#")]
    return [Artifact(*line.replace(" ", ":").split(":")) for line in lines]


def kafka_version() -> str:
    return next(artifact.version for artifact in listed() if artifact.name == "kafka_2.13")


def fetch_jars(cache: Path = CACHE) -> list[Path]:
    """Return every listed jar, its digest verified; download those that ``cache`` lacks.

    Raises OSError if one cannot be had.
    """
    cache.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        return list(threads.map(lambda artifact: _fetch(artifact, cache), listed()))


def _fetch(artifact: Artifact, cache: Path) -> Path:
    file = cache / artifact.file
    if not (file.exists() and _digest(file.read_bytes()) == artifact.sha256):
        # Whole or not there at all, also when several fetch at once.
        partial = file.with_suffix(f".{os.getpid()}")
        partial.write_bytes(_download(artifact))
        partial.replace(file)
    return file


@stamina.retry(on=(OSError, HTTPException), attempts=_ATTEMPTS)
def _download(artifact: Artifact) -> bytes:
    with urllib.request.urlopen(artifact.url, timeout=_TIMEOUT_SEC) as answer:
        content: bytes = answer.read()
    if _digest(content) != artifact.sha256:
        raise DamagedError(f"{artifact.url} has another SHA-256 than {LIST.name} says")
    return content


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
