"""Hosts on this machine: network namespaces, with links that can be cut. For root on Linux."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

IP = shutil.which("ip", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def can_be_made() -> bool:
    """Return whether this machine lets us have hosts."""
    if IP is None or os.geteuid() != 0:
        return False
    name = f"adctl-{os.getpid()}-probe"
    made = subprocess.run([IP, "netns", "add", name], check=False, capture_output=True)
    if made.returncode:
        return False
    subprocess.run([IP, "netns", "del", name], check=False)
    return True


class Host:
    """One host; ``address`` is its own, ``gateway`` ours on the link between us."""

    def __init__(self, number: int) -> None:
        self._name = f"adctl-{os.getpid()}-{number}"
        self._link = f"ad{os.getpid() % 100_000}-{number}"
        self.address, self.gateway = f"10.213.{number}.2", f"10.213.{number}.1"
        self._processes: list[subprocess.Popen[bytes]] = []
        _ip("netns", "add", self._name)
        _ip("link", "add", self._link, "type", "veth", "peer", "eth0", "netns", self._name)
        _ip("address", "add", f"{self.gateway}/24", "dev", self._link)
        _ip("link", "set", self._link, "up")
        _ip("-n", self._name, "address", "add", f"{self.address}/24", "dev", "eth0")
        _ip("-n", self._name, "link", "set", "lo", "up")
        _ip("-n", self._name, "link", "set", "eth0", "up")

    def run(self, module: str, environment: Mapping[str, str], log: Path) -> None:
        """Run a Python module there until the host is gone."""
        assert IP is not None
        command = [IP, "netns", "exec", self._name, sys.executable, "-P", "-m", module]
        with log.open("wb") as file:
            process = subprocess.Popen(command, env=dict(environment), stdout=file, stderr=file)
        self._processes.append(process)

    def cut_off(self) -> None:
        """Cut the link: packets are lost, and nobody is told."""
        _ip("-n", self._name, "link", "set", "eth0", "down")

    def connect(self) -> None:
        """Mend the link."""
        _ip("-n", self._name, "link", "set", "eth0", "up")

    def remove(self) -> None:
        """End what runs there, and the host."""
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.wait(20)
        _ip("netns", "del", self._name)


def _ip(*arguments: str) -> None:
    assert IP is not None
    subprocess.run([IP, *arguments], check=True, capture_output=True)


class Forwarder:
    """Lets a host reach a port of our loopback at the same port of its gateway."""

    def __init__(self, gateway: str, port: int) -> None:
        self._port = port
        self._listening = socket.create_server((gateway, port))
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Take no more; what is connected ends with its host."""
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                there, _ = self._listening.accept()
                here = socket.create_connection(("127.0.0.1", self._port))
                for source, sink in ((there, here), (here, there)):
                    threading.Thread(target=_copy, args=(source, sink), daemon=True).start()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(1 << 16):
            sink.sendall(data)
    for end in (source, sink):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
    source.close()
