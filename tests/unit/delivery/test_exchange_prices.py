import pytest

from adctl.alarms import AlarmKind
from adctl.config_exchange import ExchangeSettings
from adctl.delivery.exchange_prices import SETTINGS, ExchangePrices


@pytest.mark.parametrize(
    ("unread", "above", "low", "kinds"),
    [
        (0, 0, 0, []),
        (19, 19, 19, []),
        (20, 0, 0, [AlarmKind.PRICES_UNREAD]),
        (0, 20, 0, [AlarmKind.PRICES_ABOVE]),
        (0, 0, 20, [AlarmKind.PRICES_LOW]),
        (50, 20, 30, [AlarmKind.PRICES_LOW, AlarmKind.PRICES_UNREAD, AlarmKind.PRICES_ABOVE]),
    ],
)
def test_a_share_of_odd_prices_is_alarming(
    unread: int, above: int, low: int, kinds: list[AlarmKind]
) -> None:
    prices = ExchangePrices("acmex", 100, unread, above, low)
    assert [kind for kind, _ in prices.odd(20, 20)] == kinds


def test_a_few_odd_prices_are_not_alarming_and_nobody_need_be_alarmed() -> None:
    assert list(ExchangePrices("acmex", 19, 19, 19, 19).odd(20, 20)) == []
    assert list(ExchangePrices("acmex", 100, 100, 100, 100).odd(0, 20)) == []


def test_every_alarm_names_settings_that_there_are() -> None:
    for names in SETTINGS.values():
        assert set(names.split(", ")) <= set(ExchangeSettings.model_fields)
