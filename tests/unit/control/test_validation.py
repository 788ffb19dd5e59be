from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adctl.control.creative_input import CREATIVE_DEFAULTS, read_creative
from adctl.control.fields import FieldReader
from adctl.control.validation import (
    CAMPAIGN_DEFAULTS,
    format_cap,
    parse_cap,
    read_advertiser,
    read_campaign,
)
from adctl.errors import FaultyInputError
from adctl.models import FrequencyCap

NOW = datetime(2030, 6, 1, 12, 0, 0, 5, tzinfo=UTC)
CAMPAIGN = {**CAMPAIGN_DEFAULTS, "name": "Spring", "budget": "500", "bid": "2"}
BANNER = {
    **CREATIVE_DEFAULTS,
    "name": "box",
    "size": "300x250",
    "landing_url": "https://www.acme.example/spring",
    "image_url": "https://cdn.acme.example/box.png",
}


def read(**fields: object) -> tuple[dict[str, object], dict[str, str]]:
    reader = FieldReader({**CAMPAIGN, **fields})
    columns = read_campaign(reader, NOW)
    return columns, {fault.field: fault.expected for fault in reader.faults}


def read_banner(**fields: object) -> tuple[dict[str, object], dict[str, str]]:
    reader = FieldReader({**BANNER, **fields})
    columns = read_creative(reader)
    return columns, {fault.field: fault.expected for fault in reader.faults}


def test_daily_budget_is_the_whole_one_unless_given() -> None:
    assert read()[0]["daily_budget_nanos"] == 500_000_000_000
    assert read(daily_budget="50")[0]["daily_budget_nanos"] == 50_000_000_000
    assert set(read(daily_budget="500.01")[1]) == {"daily_budget"}


def test_campaign_starts_now_unless_told() -> None:
    assert read()[0]["starts_at"] == NOW.replace(microsecond=0)


def test_dates_are_in_the_campaigns_zone_and_the_last_day_counts() -> None:
    columns, _ = read(start="2030-07-01", end="2030-07-31", timezone="Europe/Berlin")
    assert columns["starts_at"] == datetime(2030, 6, 30, 22, tzinfo=UTC)
    assert columns["ends_at"] == datetime(2030, 7, 31, 22, tzinfo=UTC)


def test_time_without_offset_is_in_the_campaigns_zone_one_with_it_is_not() -> None:
    columns, _ = read(
        start="2030-07-01T09:00", end="2030-07-01T09:00+00:00", timezone="Europe/Berlin"
    )
    assert columns["starts_at"] == datetime(2030, 7, 1, 7, tzinfo=UTC)
    assert columns["ends_at"] == datetime(2030, 7, 1, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    "value", ["soon", "2030-13-01", "0001-01-01", "9999-12-31", "1999-12-31", "", 5, ["2030-01-01"]]
)
def test_what_is_no_date_is_refused(value: object) -> None:
    assert set(read(start=value)[1]) == {"start"}
    assert "end" in read(end=value)[1]


def test_end_has_to_be_after_the_start() -> None:
    assert set(read(start="2030-07-02", end="2030-07-01")[1]) == {"end"}
    assert read(start="2030-07-01", end="2030-07-01")[1] == {}


@pytest.mark.parametrize("zone", ["Berlin", "Europe", "europe/berlin", "../etc/passwd", "x\0", 5])
def test_unknown_zone_is_refused(zone: object) -> None:
    assert set(read(timezone=zone)[1]) == {"timezone"}


def test_city_alone_suggests_its_zone() -> None:
    assert "did you mean Europe/Berlin?" in read(timezone="Berlin")[1]["timezone"]


@pytest.mark.parametrize(
    ("text", "cap"),
    [
        ("3/24h", FrequencyCap(3, 86_400)),
        ("3/1d", FrequencyCap(3, 86_400)),
        ("10/7D", FrequencyCap(10, 604_800)),
        ("1/1m", FrequencyCap(1, 60)),
        ("1000/30d", FrequencyCap(1000, 2_592_000)),
    ],
)
def test_caps_are_read(text: str, cap: FrequencyCap) -> None:
    assert parse_cap(text) == cap
    assert parse_cap(format_cap(cap)) == cap


@pytest.mark.parametrize(
    "text", ["", "3", "3/h", "0/1h", "1001/1h", "1/0h", "1/31d", "1/1s", "-1/1h"]
)
def test_what_is_no_cap_is_refused(text: str) -> None:
    assert parse_cap(text) is None
    assert set(read(caps=[text])[1]) == {"caps"}


@given(st.integers(1, 1000), st.integers(1, 43_200))
def test_any_cap_is_shown_as_it_could_be_typed(limit: int, minutes: int) -> None:
    cap = FrequencyCap(limit, minutes * 60)
    assert parse_cap(format_cap(cap)) == cap


def test_second_cap_for_a_window_is_refused() -> None:
    assert set(read(caps=["3/24h", "4/1d"])[1]) == {"caps"}
    assert read(caps=["3/24h", "10/7d"])[1] == {}


def test_advertisers_domain_comes_from_the_landing_page() -> None:
    assert read_banner()[0]["adomain"] == ["acme.example"]
    assert read_banner(adomain=["brand.example"])[0]["adomain"] == ["brand.example"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("size", "0x250"),
        ("size", "20000x250"),
        ("landing_url", "acme.example"),
        ("image_url", "data:image/png;base64,"),
        ("cattax", 10),
        ("attr", [19]),
        ("attr", [True]),
        ("banner_type", 5),
        ("language", "xx"),
        ("cat", ["IAB-9"]),
        ("kind", "poster"),
        ("name", None),
    ],
)
def test_faulty_creative_names_its_field(field: str, value: object) -> None:
    assert set(read_banner(**{field: value})[1]) == {field}


def test_macros_of_a_landing_page_are_known_ones_behind_its_host_all_faults_at_once() -> None:
    url = "https://{exchange}.acme.example/{clickid}?c={click_id}&t={time}"
    reader = FieldReader({**BANNER, "landing_url": url, "name": None, "adomain": ["acme.example"]})
    read_creative(reader)
    told = [(fault.field, fault.value) for fault in reader.faults]
    assert told == [
        ("landing_url", "{clickid}"),
        ("landing_url", "{time}"),
        ("landing_url", url),
        ("name", None),
    ]
    assert "did you mean {click_id}?" in reader.faults[0].expected
    assert read_banner(landing_url="https://acme.example/{bid_id}?c={click_id}")[1] == {}


@pytest.mark.parametrize("url", ["https://acme.example/{", "https://acme.example/}{", "{click_id}"])
def test_braces_that_are_no_macro_are_refused(url: str) -> None:
    assert set(read_banner(landing_url=url)[1]) == {"landing_url"}


def test_markup_is_bounded_and_storable() -> None:
    for markup in ("", "x" * 65_537, "a\0b", "\ud800", 5):
        assert set(read_banner(image_url=None, markup=markup)[1]) == {"markup"}
    assert read_banner(image_url=None, markup="<a href='{click_url}'>\n</a>")[1] == {}


def test_roadblock_is_a_flag_and_buys_no_deals() -> None:
    assert read()[0]["roadblock"] is False
    assert read(roadblock=True)[0]["roadblock"] is True
    assert set(read(roadblock="yes")[1]) == {"roadblock"}
    assert set(read(roadblock=True, deals=["deal-1"])[1]) == {"roadblock"}


def test_advertised_app_is_named_as_its_store_names_it() -> None:
    assert read_banner(app_bundle="com.acme.app")[0]["app_bundle"] == "com.acme.app"
    assert read_banner()[0]["app_bundle"] == ""
    assert set(read_banner(app_bundle="two words")[1]) == {"app_bundle"}


@pytest.mark.parametrize("prepaid", ["yes", "", 0, 1, "true", ["x"]])
def test_prepaid_is_true_or_false(prepaid: object) -> None:
    with pytest.raises(FaultyInputError, match=r"prepaid: .* expected true or false"):
        read_advertiser({"name": "Acme", "prepaid": prepaid}, "the advertiser")


@pytest.mark.parametrize("percent", [15, 1.5, True, "100.1", "1e1", "\u0661"])
def test_a_fee_is_a_percentage_as_text(percent: object) -> None:
    with pytest.raises(FaultyInputError, match="fee_percent"):
        read_advertiser({"name": "Acme", "fee_percent": percent}, "the advertiser")


def test_an_advertiser_is_postpaid_and_without_a_fee_unless_told_otherwise() -> None:
    columns = read_advertiser({"name": "Acme"}, "the advertiser")
    assert columns == {"name": "Acme", "fee_ppm": 0, "prepaid": False}


@pytest.mark.parametrize("margin", ["10", "11", "-1", "nan", "0.0000000001"])
def test_margin_for_late_wins_is_an_amount_below_the_budget(margin: str) -> None:
    assert read(budget="10", late_margin="9.999999999")[0]["late_margin_nanos"] == 9_999_999_999
    assert read(budget="10")[0]["late_margin_nanos"] == 0
    assert set(read(budget="10", late_margin=margin)[1]) == {"late_margin"}


def test_ceiling_is_a_price_above_0_or_none() -> None:
    assert read()[0]["max_cpm_micros"] is None
    assert read(max_cpm="2.000001")[0]["max_cpm_micros"] == 2_000_001
    for wrong in ("0", "-1", "x", "1e3", 5, "2000000"):
        assert set(read(max_cpm=wrong)[1]) == {"max_cpm"}


@pytest.mark.parametrize("strategy", ["cpm", "cpc", "cpa"])
def test_amounts_that_are_prices_are_not_above_the_ceiling(strategy: str) -> None:
    at_most = {"max_cpm": "2", "strategy": strategy}
    assert not read(**at_most, bid="2.00", deals=["deal-1=2.00", "deal-2"])[1]
    # What a click or a conversion is worth is no price of 1,000 impressions; a deal's price is.
    faults = read(**at_most, bid="2.01", deals=["deal-1=2.01"])[1]
    assert faults == dict.fromkeys(
        ["bid", "deals"] if strategy == "cpm" else ["deals"], "at most max_cpm (2)"
    )
