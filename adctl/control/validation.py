"""Reading what people say about advertisers and campaigns: all faults at once, in their words."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, available_timezones

import msgspec

from adctl.control.deals_input import format_deal, read_deals
from adctl.control.drafts import AdvertiserDraft, CampaignDraft
from adctl.control.fields import FieldReader, near
from adctl.control.targeting_input import read_targeting
from adctl.models import BidStrategy, FrequencyCap, Pacing, Targeting

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from adctl.models import Deal

# A change is one message of Kafka's, with room for all else.
MAX_TARGETING_BYTES = 12 << 20
_CAP = re.compile(r"([0-9]{1,6})/([0-9]{1,6})([mhd])")
_SECONDS = {"m": 60, "h": 3600, "d": 86_400}
_SHORTEST_WINDOW_SEC = 60
_LONGEST_WINDOW_SEC = 30 * 86_400
_HIGHEST_CAP = 1000
_MOST_CAPS = 10
_CAP_EXPECTED = (
    f"impressions/window such as 3/24h, 10/7d or 1/30m: 1 to {_HIGHEST_CAP} impressions, "
    "1 minute to 30 days"
)
_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
_LATEST = datetime(2100, 1, 1, tzinfo=UTC)
_INSTANT_EXPECTED = (
    "a date such as 2030-01-31, or ISO 8601 such as 2030-01-31T09:00:00+01:00, from 2000 to 2099"
)

_PERCENT = re.compile(r"[0-9]{1,3}(\.[0-9]{1,4})?", re.ASCII)
_WHOLE_PPM = 1_000_000

ADVERTISER_FIELDS = AdvertiserDraft.__struct_fields__
CAMPAIGN_FIELDS = CampaignDraft.__struct_fields__
CAMPAIGN_DEFAULTS: dict[str, object] = {
    "strategy": BidStrategy.CPM,
    "timezone": "UTC",
    "pacing": Pacing.EVEN,
    "unidentified": "no_bid",
    "roadblock": False,
    "late_margin": "0",
}


def read_advertiser(values: Mapping[str, object], subject: str) -> dict[str, Any]:
    """Return the columns of an advertiser from its fields. Raises FaultyInputError."""
    reader = FieldReader(values)
    reader.only(ADVERTISER_FIELDS)
    columns = {
        "name": reader.text("name", required=True),
        "fee_ppm": _fee_ppm(reader),
        "prepaid": reader.flag("prepaid"),
    }
    reader.raise_faults(subject)
    return columns


def format_percent(ppm: int) -> str:
    """Return a rate in percent, as people write it."""
    return format(Decimal(ppm).scaleb(-4).normalize(), "f")


def _fee_ppm(reader: FieldReader) -> int:
    value = reader.values.get("fee_percent")
    if value is None:
        return 0
    written = isinstance(value, str) and _PERCENT.fullmatch(value)
    ppm = int(Decimal(str(value)).scaleb(4)) if written else -1
    if not 0 <= ppm <= _WHOLE_PPM:
        reader.reject(
            "fee_percent", value, 'a percentage in quotes from "0" to "100", such as "12.5"'
        )
    return ppm


def read_campaign(reader: FieldReader, now: datetime) -> dict[str, Any]:
    """Return the columns of a campaign from its fields; faults go to ``reader``.

    The columns are usable only if there are none. A missing start is ``now``, a missing daily
    budget the whole budget.
    """
    zone = _zone(reader)
    starts_at = _instant(reader, "start", zone) or now.replace(microsecond=0)
    ends_at = _instant(reader, "end", zone)
    if ends_at is not None and ends_at <= starts_at:
        reader.reject("end", reader.values.get("end"), f"a time after the start ({starts_at})")
    budget = reader.nanos("budget")
    daily = budget if reader.values.get("daily_budget") is None else reader.nanos("daily_budget")
    if budget and daily and daily > budget:
        expected = f"at most the whole budget ({reader.values['budget']})"
        reader.reject("daily_budget", reader.values["daily_budget"], expected)
    nested = reader.nested("targeting")
    deals, bid = read_deals(reader), reader.micros("bid")
    return {
        "name": reader.text("name", required=True),
        "total_budget_nanos": budget,
        "daily_budget_nanos": daily,
        "bid_strategy": reader.choice("strategy", list(BidStrategy)),
        "bid_amount_micros": bid,
        "starts_at": starts_at,
        "ends_at": ends_at,
        "timezone": zone.key,
        "pacing": reader.choice("pacing", list(Pacing)),
        "unidentified": reader.choice("unidentified", ["no_bid", "skip_cap"]),
        "caps": msgspec.to_builtins(_caps(reader)),
        "deals": msgspec.to_builtins(deals),
        "roadblock": _roadblock(reader),
        "max_cpm_micros": _max_cpm(reader, bid, deals),
        "late_margin_nanos": _late_margin(reader, budget),
        "targeting": _targeting(reader, nested),
    }


def _targeting(reader: FieldReader, nested: FieldReader | None) -> dict[str, Any]:
    stored = stored_targeting(read_targeting(nested) if nested else Targeting())
    size = len(msgspec.json.encode(stored))
    if size > MAX_TARGETING_BYTES:
        expected = f"at most {MAX_TARGETING_BYTES:,} bytes as JSON: fewer, or shorter, names"
        reader.reject("targeting", f"{size:,} bytes", expected)
    return stored


def stored_targeting(targeting: Targeting) -> dict[str, Any]:
    """Return the JSON of a targeting as its column holds it."""
    stored: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(targeting))
    return stored


def parse_cap(text: str) -> FrequencyCap | None:
    """Return the cap that ``3/24h`` means; None if it means none that is allowed."""
    match = _CAP.fullmatch(text.strip().lower())
    if not match:
        return None
    limit, window_sec = int(match[1]), int(match[2]) * _SECONDS[match[3]]
    allowed = _SHORTEST_WINDOW_SEC <= window_sec <= _LONGEST_WINDOW_SEC
    return FrequencyCap(limit, window_sec) if allowed and 1 <= limit <= _HIGHEST_CAP else None


def format_cap(cap: FrequencyCap) -> str:
    """Return a cap as people write it; a single day is ``24h``."""
    for unit in ("d", "h", "m"):
        count, rest = divmod(cap.window_sec, _SECONDS[unit])
        if not rest and (unit != "d" or count > 1):
            return f"{cap.limit}/{count}{unit}"
    raise ValueError(f"a window of {cap.window_sec} s is not in whole minutes")


def format_instant(instant: datetime, timezone: str) -> str:
    """Return a time in a campaign's own zone, with its offset."""
    return instant.astimezone(ZoneInfo(timezone)).isoformat()


def _caps(reader: FieldReader) -> list[FrequencyCap]:
    caps: dict[int, FrequencyCap] = {}
    for item in reader.items("caps", _MOST_CAPS):
        cap = parse_cap(item) if isinstance(item, str) else None
        if cap is None:
            reader.reject("caps", item, _CAP_EXPECTED)
        elif caps.setdefault(cap.window_sec, cap) != cap:
            reader.reject(
                "caps",
                item,
                f"one cap per window; {format_cap(caps[cap.window_sec])} is there already",
            )
    return list(caps.values())


def _late_margin(reader: FieldReader, budget: int | None) -> int | None:
    margin = reader.nanos("late_margin", least=0)
    if budget and margin and margin >= budget:
        expected = f"less than the whole budget ({reader.values['budget']})"
        reader.reject("late_margin", reader.values["late_margin"], expected)
    return margin


def _max_cpm(reader: FieldReader, bid: int | None, deals: Sequence[Deal]) -> int | None:
    """Return the ceiling; prices that somebody wrote above it are faults, not bids cut short."""
    if reader.values.get("max_cpm") is None:
        return None
    ceiling = reader.micros("max_cpm")
    if ceiling is None:
        return None
    expected = f"at most max_cpm ({reader.values['max_cpm']})"
    if bid and bid > ceiling and reader.values.get("strategy") == BidStrategy.CPM:
        reader.reject("bid", reader.values["bid"], expected)
    for deal in deals:
        if (deal.bid_amount_micros or 0) > ceiling:
            reader.reject("deals", format_deal(deal), expected)
    return ceiling


def _roadblock(reader: FieldReader) -> bool:
    roadblock = reader.flag("roadblock")
    if roadblock and reader.values.get("deals"):
        # A deal is for one impression, and its price is not another's.
        reader.reject("roadblock", roadblock, "no road-block: a campaign that buys deals is none")
    return roadblock


def _zone(reader: FieldReader) -> ZoneInfo:
    name = reader.text("timezone", required=True)
    if name is not None and name in _timezones():
        return ZoneInfo(name)
    if name is not None:
        places = {zone.lower(): zone for zone in _timezones()}
        places.update({zone.rpartition("/")[2].lower(): zone for zone in _timezones()})
        hint = near(name, places).removeprefix("; did you mean ").removesuffix("?")
        guess = f"; did you mean {places[hint]}?" if hint else ""
        reader.reject("timezone", name, f"an IANA time zone such as Europe/Berlin{guess}")
    return ZoneInfo("UTC")


@lru_cache(maxsize=1)
def _timezones() -> frozenset[str]:
    # It walks the system's folder of zones: 30 ms that one program need spend only once.
    return frozenset(available_timezones() - {"Factory", "localtime"})


def _instant(reader: FieldReader, field: str, zone: ZoneInfo) -> datetime | None:
    value = reader.values.get(field)
    if value is None:
        return None
    instant = _parse_instant(value, zone, ends_day=field == "end")
    if instant is None:
        reader.reject(field, value, _INSTANT_EXPECTED)
    return instant


def _parse_instant(value: object, zone: ZoneInfo, *, ends_day: bool) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        if len(value) <= len("2030-01-31"):
            # The whole last day belongs to the flight, whose end is exclusive.
            day = date.fromisoformat(value) + timedelta(days=1 if ends_day else 0)
            local = datetime.combine(day, time(), zone)
        else:
            parsed = datetime.fromisoformat(value)
            local = parsed if parsed.tzinfo else parsed.replace(tzinfo=zone)
        instant = local.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return instant if _EARLIEST <= instant < _LATEST else None
