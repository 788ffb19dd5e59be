"""Numbers of several rounds, and the table they make."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable


class Measurement(NamedTuple):
    """One thing measured once per round."""

    name: str
    unit: str
    rounds: list[float]

    @property
    def spread(self) -> tuple[float, float, float]:
        """The lowest, the middle and the highest round."""
        return min(self.rounds), median(self.rounds), max(self.rounds)


def ratio(name: str, of: Measurement, to: Measurement) -> Measurement:
    """Return how many times ``of`` is ``to``, round by round."""
    return Measurement(
        name, "times", [one / other for one, other in zip(of.rounds, to.rounds, strict=True)]
    )


def markdown(measurements: Iterable[Measurement]) -> str:
    """Return the table docs/performance.md shows."""
    lines = ["| | min | median | max | |", "| --- | ---: | ---: | ---: | --- |"]
    for one in measurements:
        low, middle, high = (_number(value) for value in one.spread)
        lines.append(f"| {one.name} | {low} | {middle} | {high} | {one.unit} |")
    return "\n".join(lines)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
