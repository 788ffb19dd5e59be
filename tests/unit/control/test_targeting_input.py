from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adctl.control.fields import FieldReader
from adctl.control.targeting_input import (
    load_targeting_file,
    parse_time_window,
    read_targeting,
    targeting_fields,
)
from adctl.errors import FaultyInputError
from adctl.models import GeoRadius, Targeting, TimeWindow

if TYPE_CHECKING:
    from pathlib import Path

EVERYTHING = {
    "countries": ["US", "deu", "USA"],
    "regions": ["ca"],
    "cities": ["New York"],
    "metros": ["501"],
    "postal_codes": ["SW1A 1AA"],
    "radii": [{"lat": 52.52, "lon": 13.4, "radius_km": 10}, "40.7,-74,25km"],
    "devices": ["Mobile"],
    "os": ["iOS"],
    "browsers": ["Chrome"],
    "connections": ["5G"],
    "segments": {"any": ["a"], "all": ["b"], "none": ["c"]},
    "time_windows": ["mon-fri 9-17", {"weekdays": ["sat"], "from_hour": 10, "to_hour": 24}],
    "domains_include": ["Example.COM"],
    "domains_exclude": ["a.example.com"],
    "apps_include": ["com.example.app"],
    "apps_exclude": ["id1234"],
    "categories": ["iab9-5"],
    "languages": ["EN"],
    "sizes": ["300X250"],
}


def read(fields: dict[str, object]) -> tuple[Targeting, dict[str, str]]:
    reader = FieldReader(fields)
    targeting = read_targeting(reader)
    return targeting, {fault.field: fault.expected for fault in reader.faults}


def test_everything_is_read_in_its_normal_form() -> None:
    targeting, faults = read(EVERYTHING)
    assert faults == {}
    assert targeting.countries == ("USA", "DEU")
    assert targeting.radii == (GeoRadius(52.52, 13.4, 10.0), GeoRadius(40.7, -74.0, 25.0))
    assert targeting.time_windows == (
        TimeWindow(("mon", "tue", "wed", "thu", "fri"), 9, 17),
        TimeWindow(("sat",), 10, 24),
    )
    assert (targeting.devices, targeting.os, targeting.connections) == (
        ("mobile",),
        ("ios",),
        ("5g",),
    )
    assert (targeting.sizes, targeting.categories) == (("300x250",), ("IAB9-5",))
    assert targeting.domains_include == ("example.com",)


def test_fields_shown_can_be_sent_again() -> None:
    targeting, _ = read(EVERYTHING)
    again, faults = read(json.loads(json.dumps(targeting_fields(targeting))))
    assert (again, faults) == (targeting, {})


@pytest.mark.parametrize(
    ("field", "spellings", "stored"),
    [
        (
            "domains_exclude",
            ["Müller.DE", "https://www.müller.de/", "*.müller.de"],
            "xn--mller-kva.de",
        ),
        ("apps_exclude", ["id5", "https://apps.apple.com/us/app/x/id5", "5"], "5"),
        ("apps_include", ["com.A", "market://details?id=com.a"], "com.a"),
        ("countries", ["de", "DEU", "276"], "DEU"),
        ("languages", ["iw", "he", "HE-il"], "he"),
    ],
)
def test_a_name_is_stored_once_and_in_one_spelling_and_what_is_left_out_is_said(
    field: str, spellings: list[str], stored: str
) -> None:
    reader = FieldReader({field: spellings})
    assert getattr(read_targeting(reader), field) == (stored,)
    left_out = f"{field}: {len(spellings) - 1} of {len(spellings)} items left out"
    assert [notice[: len(left_out)] for notice in reader.notices] == [left_out]


def test_of_a_list_s_many_faults_the_first_are_named_and_the_others_counted() -> None:
    reader = FieldReader({"domains_exclude": ["a.com", *["no domain"] * 50_000]})
    read_targeting(reader)
    assert len(reader.faults) == 21
    assert reader.faults[-1].value == "49,980 more of 50,001 items"


def test_a_list_of_100_000_names_is_read() -> None:
    names = [f"site-{number}.example" for number in range(100_000)]
    targeting, faults = read({"domains_exclude": names, "apps_exclude": names})
    assert (len(targeting.domains_exclude), faults) == (100_000, {})


def test_every_field_of_targeting_is_read() -> None:
    assert set(EVERYTHING) == set(Targeting.__struct_fields__)


@pytest.mark.parametrize(
    ("field", "value", "hint"),
    [
        ("countries", ["Germany"], "did you mean DEU"),
        ("countries", ["UAS"], "did you mean"),
        ("countries", [5], "ISO 3166-1"),
        ("regions", ["US-CA"], "without country"),
        ("devices", ["tablt"], "did you mean tablet"),
        ("languages", ["english"], "ISO 639-1"),
        ("domains_include", ["exa mple.com"], "such as example.com"),
        ("domains_include", ["localhost"], "such as example.com"),
        ("sizes", ["300"], "WIDTHxHEIGHT"),
        ("categories", ["IAB-1"], "IAB9-5"),
        ("time_windows", ["22-2"], "over midnight"),
        ("time_windows", ["mon 9-25"], "weekdays and hours"),
        ("time_windows", [{"weekdays": ["monday"]}], "weekdays and hours"),
        ("radii", ["1,2"], "lat, lon"),
        ("apps_include", ["a b"], "id in its store"),
    ],
)
def test_fault_says_what_would_be_right(field: str, value: list[object], hint: str) -> None:
    _, faults = read({field: value})
    assert hint in faults[field]


def test_faults_in_circles_name_their_number() -> None:
    _, faults = read({"radii": [{"lat": 91, "lon": 0, "radius_km": 1, "r": 2}]})
    assert set(faults) == {"radii[0].lat", "radii[0].r"}


def test_number_that_is_none_is_refused() -> None:
    _, faults = read({"radii": ["nan,0,1", "0,inf,1", "0,0,0"]})
    assert set(faults) == {"radii[0].lat", "radii[1].lon", "radii[2].radius_km"}


def test_segment_wanted_and_excluded_is_refused() -> None:
    _, faults = read({"segments": {"any": ["a"], "none": ["a"]}})
    assert set(faults) == {"segments.none"}


def test_weekdays_go_round_the_week() -> None:
    assert parse_time_window("sat-mon") == TimeWindow(("mon", "sat", "sun"))
    assert parse_time_window("9-17") == TimeWindow((), 9, 17)
    assert parse_time_window("") is parse_time_window("9-17 mon") is parse_time_window("x") is None


@given(
    st.dictionaries(
        st.sampled_from(list(EVERYTHING)),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner),
            max_leaves=5,
        ),
    )
)
def test_no_input_breaks_the_reader(fields: dict[str, object]) -> None:
    targeting, faults = read(fields)
    if not faults:
        assert read(targeting_fields(targeting)) == (targeting, {})


def test_file_is_toml_or_json(tmp_path: Path) -> None:
    toml, as_json = tmp_path / "t.toml", tmp_path / "t.json"
    toml.write_text('countries = ["USA"]')
    as_json.write_text('{"countries": ["USA"]}')
    assert load_targeting_file(toml) == load_targeting_file(as_json) == {"countries": ["USA"]}


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.toml", b"= 5"), ("a.toml", b"\xff"), ("a.json", b"[]"), ("a.json", b"{" * 100_000)],
)
def test_file_that_is_neither_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(FaultyInputError, match="--targeting"):
        load_targeting_file(tmp_path / name)


def test_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FaultyInputError, match="No such file"):
        load_targeting_file(tmp_path / "none.toml")
