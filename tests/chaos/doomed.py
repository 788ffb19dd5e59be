"""``python -m tests.chaos.doomed SQL``: commands of adctl that are there at once, to be killed.

Reads a command line as JSON from each line of its input, forks a process that does it, says its
pid, and, when it has ended, its status: less than 0 if a signal ended it. So what is killed dies in
the midst of its work, and not while Python was still loading it. Migrations are those of ``SQL``.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from adctl.cli.root import app
from adctl.stores import migrations


def main() -> None:
    """Do what is asked for until the input ends."""
    migrations.SQL = Path(sys.argv[1])
    while line := sys.stdin.readline():
        pid = os.fork()
        if not pid:
            os.close(0)
            os.dup2(2, 1)
            sys.argv = ["adctl", *json.loads(line)]
            app(prog_name="adctl")
            os._exit(0)
        print(pid, flush=True)  # noqa: T201 - it is what it is for
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
