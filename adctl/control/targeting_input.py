"""Reading targeting: the fields of a targeting file, of ``targeting`` over HTTP, of CLI options."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING

import msgspec

from adctl.control.fields import FieldReader, near
from adctl.control.table_file import load_table_file
from adctl.delivery.app_ids import normal_app
from adctl.delivery.codes import COUNTRY_NAMES, LANGUAGES, normal_country
from adctl.delivery.domains import normal_domain
from adctl.delivery.languages import normal_language
from adctl.delivery.vocabulary import (
    BROWSERS,
    CONNECTIONS,
    DEVICES,
    OPERATING_SYSTEMS,
    WEEKDAYS,
)
from adctl.models import GeoRadius, Segments, Targeting, TimeWindow

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

_MAX_RADIUS_KM = 20_040.0  # half the earth's circumference
_MAX_SHAPES = 200
_REGION = re.compile(r"[A-Z0-9]{1,3}")
_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9 -]{0,19}")
_TAG = re.compile(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{1,8})*")
_CATEGORY = re.compile(r"IAB[0-9]{1,2}(-[0-9]{1,2})?|[A-Z0-9]{1,6}")
_SIZE = re.compile(r"([1-9][0-9]{0,4})[xX]([1-9][0-9]{0,4})")
_HOURS = re.compile(r"[0-9]{1,2}-[0-9]{1,2}")
_DAYS = re.compile(r"[a-z]{3}(-[a-z]{3})?(,[a-z]{3}(-[a-z]{3})?)*")
MAX_NAMES = 200_000
"""Domains or apps in one list."""
SITE_EXPECTED = "a domain such as example.com; it covers its subdomains"
APP_EXPECTED = "an app's id in its store such as com.example.app or 123456789, or its address there"
_WINDOW_EXPECTED = (
    "weekdays and hours such as 'mon-fri 9-17', 'sat,sun' or '18-24'; over midnight takes two, "
    "such as '22-24' and '0-6'"
)


def read_targeting(reader: FieldReader) -> Targeting:
    """Return the targeting in ``reader``, codes in their normal form; faults go to the reader."""
    reader.only(Targeting.__struct_fields__)
    return Targeting(
        countries=reader.texts("countries", _a_country, _country_expected),
        regions=reader.texts(
            "regions", _matching(_REGION, str.upper), "an ISO 3166-2 code without country: CA"
        ),
        cities=reader.texts("cities", _short_text, "the name of a city"),
        metros=reader.texts("metros", _matching(_CODE), "a metro code such as 501"),
        postal_codes=reader.texts("postal_codes", _matching(_CODE), "a postal code"),
        radii=_radii(reader),
        devices=_names(reader, "devices", DEVICES),
        os=_names(reader, "os", OPERATING_SYSTEMS),
        browsers=_names(reader, "browsers", BROWSERS),
        connections=_names(reader, "connections", CONNECTIONS),
        segments=_segments(reader),
        time_windows=_time_windows(reader),
        domains_include=_domains(reader, "domains_include"),
        domains_exclude=_domains(reader, "domains_exclude"),
        apps_include=_apps(reader, "apps_include"),
        apps_exclude=_apps(reader, "apps_exclude"),
        categories=read_categories(reader, "categories"),
        languages=reader.texts("languages", a_language, "an ISO 639-1 code such as en"),
        sizes=reader.texts("sizes", normal_size, "WIDTHxHEIGHT in pixels, such as 300x250"),
    )


def load_targeting_file(path: Path) -> dict[str, object]:
    """Return the fields of a targeting file: JSON if its name ends in .json, else TOML.

    Raises FaultyInputError if it cannot be read as such. The fields are not validated yet.
    """
    return load_table_file(path, "--targeting", f"targeting file {path}")


def targeting_fields(targeting: Targeting) -> dict[str, object]:
    """Return the fields of a targeting that restrict anything, as the JSON they may be sent as."""
    # Not to_builtins: it leaves tuples, at any depth, which nobody could have sent.
    fields: dict[str, dict[str, object]] = msgspec.json.decode(msgspec.json.encode(targeting))
    segments = {kind: names for kind, names in fields.pop("segments").items() if names}
    restricting: dict[str, object] = {name: value for name, value in fields.items() if value}
    return restricting | ({"segments": segments} if segments else {})


def a_language(text: str) -> str | None:
    """Return the ISO 639-1 code of the language that a tag names."""
    code = normal_language(text) if _TAG.fullmatch(text) else ""
    return code if code in LANGUAGES else None


def a_domain(text: str) -> str | None:
    """Return the normal form of a domain, or of the host of an address."""
    return normal_domain(text) or None


def a_site(text: str) -> str | None:
    """Return the normal form of a domain that a site can be on."""
    domain = normal_domain(text)
    return domain if "." in domain else None


def an_app(text: str) -> str | None:
    """Return the normal form of an app's id, or of its address in a store."""
    return normal_app(text) or None


def normal_size(text: str) -> str | None:
    """Return ``300x250`` as it is written in bid requests: no leading zeros, a lower-case x."""
    match = _SIZE.fullmatch(text)
    return f"{match[1]}x{match[2]}" if match else None


def read_categories(reader: FieldReader, field: str) -> tuple[str, ...]:
    """Return IAB content categories: of taxonomy 1 (``IAB9-5``) or the ids of a later one."""
    normal = _matching(_CATEGORY, str.upper)
    return reader.texts(field, normal, "an IAB category such as IAB9 or IAB9-5")


def parse_time_window(text: str) -> TimeWindow | None:
    """Return the window that ``mon-fri 9-17`` means; None if it means none."""
    words = text.lower().split()
    days = words.pop(0) if words and _DAYS.fullmatch(words[0]) else ""
    hours = words.pop(0) if words and _HOURS.fullmatch(words[0]) else ""
    weekdays = _weekdays(days) if days else ()
    if words or weekdays is None or not (days or hours):
        return None
    start, end = (int(hour) for hour in (hours or "0-24").split("-"))
    return TimeWindow(weekdays, start, end) if start < end <= 24 else None


def _weekdays(text: str) -> tuple[str, ...] | None:
    chosen: set[str] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        if first not in WEEKDAYS or (last or first) not in WEEKDAYS:
            return None
        start = WEEKDAYS.index(first)
        # fri-mon goes round the end of the week.
        length = (WEEKDAYS.index(last or first) - start) % len(WEEKDAYS) + 1
        chosen.update((WEEKDAYS * 2)[start : start + length])
    return tuple(day for day in WEEKDAYS if day in chosen)


def _a_country(text: str) -> str | None:
    return normal_country(text) or None


def _country_expected(text: str) -> str:
    likely = _likely_country(text.lower()[:50])
    hint = f"; did you mean {likely} ({COUNTRY_NAMES[likely]})?" if likely else ""
    return f"an ISO 3166-1 code such as USA{hint}"


def _likely_country(text: str) -> str | None:
    code_of = {name.lower(): code for code, name in COUNTRY_NAMES.items()}
    begun = [code for name, code in code_of.items() if name.startswith(text)]
    if begun:
        return begun[0]
    names = get_close_matches(text, code_of, n=1)
    codes = [code_of[name] for name in names] or get_close_matches(text.upper(), COUNTRY_NAMES, n=1)
    return codes[0] if codes else None


def _matching(
    pattern: re.Pattern[str], change: Callable[[str], str] = str
) -> Callable[[str], str | None]:
    return lambda text: change(text) if pattern.fullmatch(change(text)) else None


def _short_text(text: str) -> str | None:
    return text if 0 < len(text) <= 100 and text.isprintable() else None


def _names(reader: FieldReader, field: str, names: Collection[str]) -> tuple[str, ...]:
    return reader.texts(
        field,
        lambda text: text.lower() if text.lower() in names else None,
        lambda text: f"one of {', '.join(sorted(names))}{near(text, names)}",
    )


def _domains(reader: FieldReader, field: str) -> tuple[str, ...]:
    return reader.texts(field, a_site, SITE_EXPECTED, MAX_NAMES)


def _apps(reader: FieldReader, field: str) -> tuple[str, ...]:
    return reader.texts(field, an_app, APP_EXPECTED, MAX_NAMES)


def _segments(reader: FieldReader) -> Segments:
    nested = reader.nested("segments")
    if nested is None:
        return Segments()
    nested.only(Segments.__struct_fields__)
    expected = "the name of a segment"
    kinds = {kind: nested.texts(kind, _short_text, expected) for kind in ("any", "all", "none")}
    contradiction = set(kinds["none"]) & (set(kinds["any"]) | set(kinds["all"]))
    for name in sorted(contradiction):
        nested.reject("none", name, "no segment that is also in any or all")
    return Segments(**kinds)


def _radii(reader: FieldReader) -> tuple[GeoRadius, ...]:
    found = []
    for index, item in enumerate(reader.items("radii", _MAX_SHAPES)):
        fields = _radius_fields(item) if isinstance(item, str) else item
        if not isinstance(fields, dict):
            expected = "lat, lon and radius_km, as a table or as '52.52,13.40,10'"
            reader.reject("radii", item, expected)
            continue
        circle = reader.inside(f"radii[{index}]", fields)
        circle.only(GeoRadius.__struct_fields__)
        lat, lon = circle.number("lat", -90, 90), circle.number("lon", -180, 180)
        radius_km = circle.number("radius_km", 0.01, _MAX_RADIUS_KM)
        if lat is not None and lon is not None and radius_km is not None:
            found.append(GeoRadius(lat, lon, radius_km))
    return tuple(found)


def _radius_fields(text: str) -> dict[str, object] | None:
    parts = text.lower().removesuffix("km").split(",")
    try:
        return dict(zip(("lat", "lon", "radius_km"), map(float, parts), strict=True))
    except ValueError:
        return None


def _time_windows(reader: FieldReader) -> tuple[TimeWindow, ...]:
    found = []
    for item in reader.items("time_windows", _MAX_SHAPES):
        window = parse_time_window(_window_text(item))
        if window is None:
            reader.reject("time_windows", item, _WINDOW_EXPECTED)
        else:
            found.append(window)
    return tuple(found)


def _window_text(item: object) -> str:
    if isinstance(item, str):
        return item
    try:
        window = msgspec.convert(item, TimeWindow)
    except msgspec.ValidationError:
        return ""
    return f"{','.join(window.weekdays)} {window.from_hour}-{window.to_hour}".strip()
