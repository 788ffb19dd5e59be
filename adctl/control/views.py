"""Rows as people see them, and as they could have sent them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import ARRAY, Integer, any_, literal
from sqlmodel import col, select

from adctl.control.deals_input import format_deal
from adctl.control.drafts import AdvertiserView, CampaignView, CreativeView
from adctl.control.media_input import MEDIA_KINDS
from adctl.control.targeting_input import targeting_fields
from adctl.control.validation import format_cap, format_instant, format_percent
from adctl.delivery.reasons import NO_BALANCE
from adctl.delivery.schedule import is_open
from adctl.models import BidStrategy, CreativeKind, Deal, FrequencyCap, Pacing, Status, Targeting
from adctl.money import format_micros, format_nanos
from adctl.stores.ledger import read_balances
from adctl.stores.tables import AdvertiserRow, CreativeRow, psycopg_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import ColumnElement
    from sqlmodel import Session

    from adctl.stores.tables import CampaignRow


def advertiser_fields(row: AdvertiserRow) -> dict[str, object]:
    """Return the fields that, sent again, would make the same advertiser; as the audit has them."""
    return {
        "name": row.name,
        "fee_percent": format_percent(row.fee_ppm),
        "prepaid": row.prepaid,
    }


def advertiser_views(session: Session, rows: Sequence[AdvertiserRow]) -> list[AdvertiserView]:
    """Return advertisers as shown, with their balances."""
    balances = read_balances(psycopg_of(session), [row.id for row in rows])
    return [
        AdvertiserView(
            id=row.id,
            name=row.name,
            status=Status(row.status),
            prepaid=row.prepaid,
            fee_percent=format_percent(row.fee_ppm),
            balance=format_nanos(balances[row.id]),
            created_at=row.created_at,
            updated_at=row.updated_at,
        )
        for row in rows
    ]


def campaign_fields(row: CampaignRow) -> dict[str, object]:
    """Return the fields that, sent again, would make the same campaign; as the audit keeps them."""
    targeting = targeting_fields(msgspec.convert(row.targeting, Targeting))
    caps = msgspec.convert(row.caps, list[FrequencyCap])
    return {
        "name": row.name,
        "budget": format_nanos(row.total_budget_nanos),
        "daily_budget": format_nanos(row.daily_budget_nanos),
        "strategy": row.bid_strategy,
        "bid": format_micros(row.bid_amount_micros),
        "start": format_instant(row.starts_at, row.timezone),
        "end": format_instant(row.ends_at, row.timezone) if row.ends_at else None,
        "timezone": row.timezone,
        "pacing": row.pacing,
        "targeting": targeting,
        "caps": [format_cap(cap) for cap in caps],
        "unidentified": row.unidentified,
        "deals": [format_deal(deal) for deal in msgspec.convert(row.deals, list[Deal])],
        "roadblock": row.roadblock,
        "max_cpm": None if row.max_cpm_micros is None else format_micros(row.max_cpm_micros),
        "late_margin": format_nanos(row.late_margin_nanos),
    }


def creative_fields(row: CreativeRow) -> dict[str, object]:
    """Return the fields that, sent again, would make the same creative; as the audit keeps them."""
    # What a file says of its own size is not said again.
    own_size = not row.media.get("video", {}).get("files")
    return {
        "name": row.name,
        "kind": row.kind,
        "size": (_size(row) if own_size else "") or None,
        "landing_url": row.landing_url,
        "image_url": row.image_url or None,
        "markup": row.markup or None,
        **_media(row),
        "adomain": row.adomain,
        "cat": row.cat,
        "cattax": row.cattax,
        "attr": row.attr,
        "banner_type": row.banner_type,
        "language": row.language or None,
        "app_bundle": row.app_bundle or None,
    }


def creative_view(row: CreativeRow) -> CreativeView:
    """Return a creative as shown."""
    return CreativeView(
        id=row.id,
        campaign_id=row.campaign_id,
        name=row.name,
        status=Status(row.status),
        kind=CreativeKind(row.kind),
        size=_size(row),
        landing_url=row.landing_url,
        image_url=row.image_url,
        markup=row.markup,
        **_media(row),
        adomain=row.adomain,
        cat=row.cat,
        cattax=row.cattax,
        attr=row.attr,
        banner_type=row.banner_type,
        language=row.language,
        app_bundle=row.app_bundle,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _size(row: CreativeRow) -> str:
    return f"{row.width}x{row.height}" if row.width and row.height else ""


def _media(row: CreativeRow) -> dict[str, Any]:
    tables = {kind.value: row.media.get(kind) for kind in MEDIA_KINDS}
    return {**tables, "api": row.media.get("api", []), "expdir": row.media.get("expdir", [])}


def campaign_views(
    session: Session, rows: Sequence[CampaignRow], currency: str, now: datetime
) -> list[CampaignView]:
    """Return campaigns as shown, each with the creatives that are not archived."""
    ids = [row.id for row in rows]
    creatives = session.exec(
        select(CreativeRow)
        .where(_is_any(CreativeRow.campaign_id, ids), CreativeRow.status != Status.ARCHIVED)
        .order_by(col(CreativeRow.id))
    )
    of_campaign: dict[int, list[CreativeRow]] = {}
    for creative in creatives:
        of_campaign.setdefault(creative.campaign_id, []).append(creative)
    wanted = list({row.advertiser_id for row in rows})
    found = session.exec(select(AdvertiserRow).where(_is_any(AdvertiserRow.id, wanted)))
    advertisers = {advertiser.id: advertiser for advertiser in found}
    return [
        _campaign_view(
            row, advertisers[row.advertiser_id], of_campaign.get(row.id, []), currency, now
        )
        for row in rows
    ]


def _is_any(column: int, numbers: list[int]) -> ColumnElement[bool]:
    # One parameter, however many they are.
    return col(column) == any_(literal(numbers, ARRAY(Integer)))


def _campaign_view(
    row: CampaignRow,
    advertiser: AdvertiserRow,
    creatives: Sequence[CreativeRow],
    currency: str,
    now: datetime,
) -> CampaignView:
    fields = campaign_fields(row)
    return CampaignView(
        id=row.id,
        advertiser_id=row.advertiser_id,
        advertiser=advertiser.name,
        name=row.name,
        status=Status(row.status),
        serving=_serving(row, advertiser, creatives, now),
        currency=currency,
        budget=str(fields["budget"]),
        daily_budget=str(fields["daily_budget"]),
        strategy=BidStrategy(row.bid_strategy),
        bid=str(fields["bid"]),
        start=str(fields["start"]),
        end=None if fields["end"] is None else str(fields["end"]),
        timezone=row.timezone,
        pacing=Pacing(row.pacing),
        caps=fields["caps"],  # type: ignore[arg-type]
        unidentified=row.unidentified,
        deals=fields["deals"],  # type: ignore[arg-type]
        roadblock=row.roadblock,
        max_cpm=None if fields["max_cpm"] is None else str(fields["max_cpm"]),
        late_margin=str(fields["late_margin"]),
        targeting=fields["targeting"],  # type: ignore[arg-type]
        version=row.version,
        created_at=row.created_at,
        updated_at=row.updated_at,
        creatives=[creative_view(creative) for creative in creatives],
    )


def _serving(
    row: CampaignRow, advertiser: AdvertiserRow, creatives: Sequence[CreativeRow], now: datetime
) -> str:
    if row.status != Status.ACTIVE:
        return row.status
    if advertiser.status != Status.ACTIVE:
        return f"advertiser {advertiser.status}"
    if advertiser.prepaid and not advertiser.funded:
        return NO_BALANCE
    if row.ends_at is not None and row.ends_at <= now:
        return "ended"
    if not any(creative.status == Status.ACTIVE for creative in creatives):
        return "no active creative"
    return "not started" if row.starts_at > now else _in_its_hours(row, now)


def _in_its_hours(row: CampaignRow, now: datetime) -> str:
    windows = msgspec.convert(row.targeting, Targeting).time_windows
    return "yes" if is_open(windows, row.timezone, now) else "outside its hours"
