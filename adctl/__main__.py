"""``adctl`` and ``python -m adctl``."""

import gc
import os
import signal
import types

_EXIT_INTERRUPTED = 130


def _leave(_signal: int, _frame: types.FrameType | None) -> None:
    os._exit(_EXIT_INTERRUPTED)


# Ctrl-C while the program is still being loaded: there is nothing to clean up, nor to tell.
signal.signal(signal.SIGINT, _leave)

from adctl.cli.root import app  # noqa: E402 - loading takes most of the time there is to interrupt

# A listing makes as many objects at once as the usual numbers collect after, hundreds of times.
_COLLECTED_AFTER = 50_000, 20, 20


def main() -> None:
    """Run the command line; exits with a code of docs/exit-codes.md."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    gc.set_threshold(*_COLLECTED_AFTER)
    app(prog_name="adctl")


if __name__ == "__main__":
    main()
