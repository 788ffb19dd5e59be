import pytest

from adctl.control.deals_input import format_deal, parse_deal, read_deals
from adctl.control.fields import FieldReader
from adctl.models import Deal


@pytest.mark.parametrize(
    ("text", "deal"),
    [
        ("deal-1", Deal("deal-1")),
        (" deal-1 ", Deal("deal-1")),
        ("PMP:9/x=3.5", Deal("PMP:9/x", 3_500_000)),
        ("d=0.000001", Deal("d", 1)),
    ],
)
def test_deal_is_read(text: str, deal: Deal) -> None:
    assert parse_deal(text) == deal
    assert parse_deal(format_deal(deal)) == deal


@pytest.mark.parametrize(
    "text",
    ["", "=3", "a b", "d=", "d=0", "d=-1", "d=x", "d=1=2", "d=1e3", "d=0.0000001", "d=99999999"],
)
def test_text_is_no_deal(text: str) -> None:
    assert parse_deal(text) is None


def test_every_faulty_deal_is_named() -> None:
    reader = FieldReader({"deals": ["a=1", "a b", 5, "a=2", "a=1", "c"]})
    assert read_deals(reader) == [Deal("a", 1_000_000), Deal("c")]
    assert [fault.value for fault in reader.faults] == ["a b", 5, "a=2"]
