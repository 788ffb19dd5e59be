"""How many candidates are enough to find a winner and its runner-up among them."""

from __future__ import annotations

# The ledger has to find both, and finds them in the first two unless a cap or a budget says no.
_FEWEST = 2
_FIRST = 4
# One more after a try that was too few, one less after this many in a row that were enough: a try
# too few costs as much again, a candidate too many costs a thirtieth of it.
_CALM = 32


class Enough:
    """Counts how often a few candidates were enough, and settles where they nearly always are.

    ``few`` is how many to try with; all, if they were not enough.
    """

    def __init__(self) -> None:
        self.few = _FIRST
        self._calm = 0

    def note(self, *, sufficed: bool) -> None:
        """Take note of how a try with ``few`` ended."""
        if not sufficed:
            self.few += 1
            self._calm = 0
            return
        self._calm += 1
        if self._calm >= _CALM:
            self._calm = 0
            self.few = max(_FEWEST, self.few - 1)
