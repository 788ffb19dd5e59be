from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from adctl.stores.log_file import LOG_VARIABLE, put_aside

if TYPE_CHECKING:
    from pathlib import Path

MAX_BYTES = 20_000
# Writes its lines, and looks at its log before each as a daemon's logger does.
LOGGING = f"""
import os, sys
from adctl.stores.log_file import tend_log
for number in range(int(sys.argv[2])):
    tend_log({MAX_BYTES})
    os.write(1 + number % 2, f"{{sys.argv[1]}} {{number}} {{'x' * 80}}\\n".encode())
"""
# Two processes of one log: one writes much, the other nothing until it is told to.
WAITING = f"""
import os, sys
from adctl.stores.log_file import tend_log
child = os.fork()
if not child:
    sys.stdin.readline()
    os.write(2, b"past our logger\\n")
    tend_log({MAX_BYTES})
    os.write(2, b"of the silent one\\n")
    os._exit(0)
os.write(1, b"x" * {MAX_BYTES + 1} + b"\\n")
tend_log({MAX_BYTES})
os.write(1, b"of the loud one\\n")
sys.stderr.write("of its stderr\\n"); sys.stderr.flush()
os.write(int(sys.argv[1]), b"go on\\n")
os.waitpid(child, 0)
"""


def start(
    log: Path, program: str, *argv: str, named: bool = True, **options: object
) -> subprocess.Popen[bytes]:
    environment = {**os.environ, **({LOG_VARIABLE: str(log)} if named else {})}
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        return subprocess.Popen(
            [sys.executable, "-c", program, *argv],
            stdout=output,
            stderr=output,
            env=environment,
            **options,  # type: ignore[call-overload]
        )
    finally:
        os.close(output)


def test_log_that_is_full_is_put_aside_while_its_process_runs(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    assert start(log, LOGGING, "a", "300").wait(30) == 0
    lines = (put_aside(log).read_text() + log.read_text()).splitlines()
    assert [line.split()[1] for line in lines] == [str(number) for number in range(300)]
    assert put_aside(log).stat().st_size < MAX_BYTES + 200
    assert 0 < log.stat().st_size <= MAX_BYTES
    assert log.stat().st_mode & 0o777 == 0o600


def test_log_stays_within_its_size_however_much_is_written(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    assert start(log, LOGGING, "a", "3000").wait(30) == 0
    assert log.stat().st_size + put_aside(log).stat().st_size < 2 * MAX_BYTES + 400
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.log", "a.log.1"]


def test_processes_of_one_log_lose_no_line_and_put_it_aside_once(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    # Together more than one log holds, and less than two.
    many = [start(log, LOGGING, name, "90") for name in "abc"]
    assert [one.wait(30) for one in many] == [0, 0, 0]
    lines = (put_aside(log).read_text() + log.read_text()).splitlines()
    told = [tuple(line.split()[:2]) for line in lines]
    assert sorted(told) == sorted((name, str(number)) for name in "abc" for number in range(90))


def test_silent_process_follows_to_the_new_log_and_loses_nothing_before(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    reading, writing = os.pipe()
    process = start(log, WAITING, str(writing), stdin=reading, pass_fds=(writing,))
    assert process.wait(30) == 0
    os.close(reading)
    os.close(writing)
    assert put_aside(log).read_text().splitlines()[1:] == ["past our logger"]
    assert log.read_text().splitlines() == [
        "of the loud one",
        "of its stderr",
        "of the silent one",
    ]


def test_output_that_is_not_ours_is_left_alone(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    assert start(log, LOGGING, "a", "300", named=False).wait(30) == 0
    assert len(log.read_text().splitlines()) == 300
    assert not put_aside(log).exists()


def test_log_in_a_folder_that_is_gone_keeps_its_process_running(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    log = folder / "a.log"
    gone = f"import shutil; shutil.rmtree({str(folder)!r})\n{LOGGING}"
    assert start(log, gone, "a", "300").wait(30) == 0
