"""The forms of the control plane's documents: what people send, and what they are shown.

The same field names in the CLI's messages, over HTTP, in the audit trail and in targeting files.
Money is a decimal text in the account's currency, never a JSON number. A draft says what a field
may be for the API's description; what people send is read by validation.py and creative_input.py.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from adctl.models import (
    AudioMedia,
    BidStrategy,
    CreativeKind,
    GeoRadius,
    NativeMedia,
    Pacing,
    Segments,
    Status,
    TimeWindow,
    VideoMedia,
)

Money = Annotated[
    str,
    Meta(
        description="A decimal in the account's currency, as text: never a JSON number.",
        pattern=r"^[0-9]{1,30}(\.[0-9]{1,9})?$",
        examples=["12.50"],
    ),
]
Balance = Annotated[
    str,
    Meta(
        description="A decimal in the account's currency, as text; below zero, it is owed.",
        pattern=r"^-?[0-9]{1,30}(\.[0-9]{1,9})?$",
        examples=["12.50"],
    ),
]
Percent = Annotated[
    str,
    Meta(
        description="From 0 to 100, as text, with at most four decimal places.",
        pattern=r"^(0?[0-9]{1,2}(\.[0-9]{1,4})?|100(\.0{1,4})?)$",
        examples=["12.5"],
    ),
]
Name = Annotated[str, Meta(min_length=1, max_length=200)]
Instant = Annotated[
    str,
    Meta(
        description="ISO 8601, or a plain date; without an offset it is in the campaign's zone. "
        "A plain date as the end includes that day.",
        examples=["2030-01-31T09:00:00+01:00", "2030-01-31"],
    ),
]
Cap = Annotated[
    str,
    Meta(description="Impressions per user and window.", pattern=r"^[0-9]+/[0-9]+[mhd]$"),
]
Texts = list[str]
Size = Annotated[str, Meta(pattern=r"^[1-9][0-9]{0,4}[xX][1-9][0-9]{0,4}$")]


DealText = Annotated[
    str,
    Meta(
        description="A private deal it buys: its id, or ID=PRICE with what it bids for it.",
        examples=["deal-1", "deal-1=3.50"],
    ),
]


class AdvertiserDraft(Struct, omit_defaults=True, forbid_unknown_fields=True):
    """An advertiser, as sent. ``fee_percent`` is charged on spend."""

    name: Name
    fee_percent: Percent | None = None
    prepaid: bool = False


class AdvertiserPatch(Struct, omit_defaults=True, forbid_unknown_fields=True):
    """Changes to an advertiser as a JSON merge patch (RFC 7396): null takes a field back."""

    name: Name | None = None
    fee_percent: Percent | None = None
    prepaid: bool | None = None


class TargetingDraft(Struct, omit_defaults=True, forbid_unknown_fields=True):
    """Who and where a campaign is for. A list that is empty or missing does not restrict."""

    countries: Texts = []
    regions: Texts = []
    cities: Texts = []
    metros: Texts = []
    postal_codes: Texts = []
    radii: list[GeoRadius | str] = []
    devices: Texts = []
    os: Texts = []
    browsers: Texts = []
    connections: Texts = []
    segments: Segments = msgspec.field(default_factory=Segments)
    time_windows: list[TimeWindow | str] = []
    domains_include: Texts = []
    domains_exclude: Texts = []
    apps_include: Texts = []
    apps_exclude: Texts = []
    categories: Texts = []
    languages: Texts = []
    sizes: Texts = []


class CampaignDraft(Struct, omit_defaults=True, forbid_unknown_fields=True):
    """A campaign, as sent. ``daily_budget`` is ``budget`` where it is missing."""

    advertiser: Annotated[int | str, Meta(description="Its id or its name.")]
    name: Name
    budget: Money
    bid: Annotated[
        Money, Meta(description="Per 1,000 impressions (cpm), click (cpc) or conversion (cpa).")
    ]
    daily_budget: Money | None = None
    strategy: BidStrategy = BidStrategy.CPM
    start: Instant | None = None
    end: Instant | None = None
    timezone: Annotated[str, Meta(description="IANA name.", examples=["Europe/Berlin"])] = "UTC"
    pacing: Pacing = Pacing.EVEN
    targeting: TargetingDraft | None = None
    caps: list[Cap] | None = None
    unidentified: Literal["no_bid", "skip_cap"] = "no_bid"
    deals: list[DealText] | None = None
    roadblock: Annotated[
        bool, Meta(description="Takes all impressions of a page together, or none.")
    ] = False
    max_cpm: Annotated[
        Money | None, Meta(description="The most it bids for 1,000 impressions, whatever the bid.")
    ] = None
    late_margin: Annotated[
        str, Meta(description="What of the budget is held back for wins that are billed late.")
    ] = "0"
    status: Literal["active", "paused"] = "active"


class CampaignPatch(Struct, omit_defaults=True, forbid_unknown_fields=True):
    """Changes to a campaign as a JSON merge patch (RFC 7396): null takes a field back."""

    name: Name | None = None
    budget: Money | None = None
    bid: Money | None = None
    daily_budget: Money | None = None
    strategy: BidStrategy | None = None
    start: Instant | None = None
    end: Instant | None = None
    timezone: str | None = None
    pacing: Pacing | None = None
    targeting: dict[str, object] | None = None
    caps: list[Cap] | None = None
    unidentified: Literal["no_bid", "skip_cap"] | None = None
    deals: list[DealText] | None = None
    roadblock: bool | None = None
    max_cpm: Money | None = None
    late_margin: str | None = None


class CreativeDraft(Struct, omit_defaults=True, forbid_unknown_fields=True):
    """A creative, as sent. A banner has a ``size``, and an ``image_url`` or ``markup``.

    Other kinds have the table of their name. ``adomain`` is the landing page's domain where it is
    missing.
    """

    name: Name
    landing_url: str
    size: Size | None = None
    kind: CreativeKind = CreativeKind.BANNER
    image_url: str | None = None
    markup: str | None = None
    video: VideoMedia | None = None
    audio: AudioMedia | None = None
    native: NativeMedia | None = None
    api: list[int] | None = None
    expdir: list[int] | None = None
    adomain: Texts | None = None
    cat: Texts | None = None
    cattax: int = 1
    attr: list[int] | None = None
    banner_type: int = 2
    language: str | None = None
    app_bundle: Annotated[
        str | None, Meta(description="The app it advertises, as stores name it.")
    ] = None
    status: Literal["active", "paused"] = "active"


class CreativePatch(Struct, omit_defaults=True, forbid_unknown_fields=True):
    """Changes to a creative as a JSON merge patch (RFC 7396): null takes a field back."""

    name: Name | None = None
    landing_url: str | None = None
    size: str | None = None
    image_url: str | None = None
    markup: str | None = None
    video: dict[str, object] | None = None
    audio: dict[str, object] | None = None
    native: dict[str, object] | None = None
    api: list[int] | None = None
    expdir: list[int] | None = None
    adomain: Texts | None = None
    cat: Texts | None = None
    cattax: int | None = None
    attr: list[int] | None = None
    banner_type: int | None = None
    language: str | None = None
    app_bundle: str | None = None


class AdvertiserView(Struct, frozen=True):
    """An advertiser, as shown. ``balance`` is what it has paid in less what it was charged."""

    id: int
    name: str
    status: Status
    prepaid: bool
    fee_percent: Percent
    balance: Balance
    created_at: datetime
    updated_at: datetime


class CreativeView(Struct, frozen=True):
    """A creative, as shown. ``size`` is a video's largest; empty where there is none.

    Of ``video``, ``audio`` and ``native``, only its kind's table is there.
    """

    id: int
    campaign_id: int
    name: str
    status: Status
    kind: CreativeKind
    size: str
    landing_url: str
    image_url: str
    markup: str
    video: dict[str, object] | None
    audio: dict[str, object] | None
    native: dict[str, object] | None
    api: list[int]
    expdir: list[int]
    adomain: Texts
    cat: Texts
    cattax: int
    attr: list[int]
    banner_type: int
    language: str
    app_bundle: str
    created_at: datetime
    updated_at: datetime


class CampaignView(Struct, frozen=True):
    """A campaign, as shown. ``serving`` is "yes" or what keeps it from being bid on."""

    id: int
    advertiser_id: int
    advertiser: str
    name: str
    status: Status
    serving: str
    currency: str
    budget: Money
    daily_budget: Money
    strategy: BidStrategy
    bid: Money
    start: str
    end: str | None
    timezone: str
    pacing: Pacing
    caps: list[str]
    unidentified: str
    deals: list[str]
    roadblock: bool
    max_cpm: Money | None
    late_margin: str
    targeting: dict[str, object]
    version: int
    created_at: datetime
    updated_at: datetime
    creatives: list[CreativeView]


class VoucherView(Struct, frozen=True):
    """A deposit or correction, as shown; ``name`` and ``balance`` are the advertiser's."""

    id: int
    advertiser_id: int
    name: str
    kind: Literal["deposit", "correction"]
    amount: Balance
    balance: Balance
    reference: str
    reason: str
    actor: str
    booked_at: datetime


class FieldChange(Struct, frozen=True):
    """One field that a change changed; null where there was, or is, nothing."""

    field: str
    before: object
    after: object


class HistoryEntry(Struct, frozen=True):
    """One accepted change: who changed what, when."""

    id: int
    at: datetime
    actor: str
    entity: str
    entity_id: int
    action: str
    changes: list[FieldChange]
