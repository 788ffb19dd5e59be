"""deploy/alerts.yml alarms on metrics that exist, and every rule says how bad it is and why."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
RULES = (ROOT / "deploy" / "alerts.yml").read_text()
METRICS = {
    name
    for folder in ("adctl", "daemons")
    for path in (ROOT / folder).rglob("*.py")
    for name in re.findall(r'"(adctl_[a-z_]+)"', path.read_text())
}
# One text for each rule, by its name.
BY_NAME = dict(re.findall(r"- alert: (\w+)\n((?:        .*\n|\n)+)", RULES))


def test_there_are_rules_for_the_events_and_for_the_money() -> None:
    assert {
        "EventsNotFlushed",
        "EventsNotRelayed",
        "MoneyDoesNotAddUp",
        "RejectedEventsWait",
    } <= set(BY_NAME)


@pytest.mark.parametrize("name", BY_NAME)
def test_a_rule_is_about_metrics_that_exist(name: str) -> None:
    [expression] = re.findall(r"^ +expr: (.+)$", BY_NAME[name], re.MULTILINE)
    asked = set(re.findall(r"adctl_[a-z_]+", expression))
    assert asked
    assert asked <= METRICS
    assert expression.count("(") == expression.count(")")


@pytest.mark.parametrize("name", BY_NAME)
def test_a_rule_says_how_bad_it_is_and_what_is_wrong(name: str) -> None:
    assert re.search(r"labels: \{severity: (page|ticket)\}", BY_NAME[name])
    assert re.search(r"summary: \S", BY_NAME[name])
