"""What adctl is about: campaigns, creatives, caps, and events.

Plain immutable structs shared by every part. Validation of what people type is in
adctl.control; these hold what has been accepted. Their JSON forms are what Redis and Kafka carry.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Literal

import msgspec


class BidStrategy(StrEnum):
    """What a campaign's amount buys. The budget always pays the exchange's price per impression."""

    CPM = "cpm"  # amount is the price of 1,000 impressions
    CPC = "cpc"  # amount is what a click is worth
    CPA = "cpa"  # amount is what a conversion is worth


class Status(StrEnum):
    """Whether an advertiser, campaign or creative takes part. Archived is for good."""

    ACTIVE = "active"
    PAUSED = "paused"
    ARCHIVED = "archived"


class Pacing(StrEnum):
    """How a daily budget is spread over the day."""

    EVEN = "even"
    ASAP = "asap"


class CreativeKind(StrEnum):
    """The media type of a creative, in OpenRTB's four."""

    BANNER = "banner"
    VIDEO = "video"
    AUDIO = "audio"
    NATIVE = "native"


class EventKind(StrEnum):
    """What happened to an ad. The first three come from browsers, the rest from exchanges."""

    IMPRESSION = "impression"
    CLICK = "click"
    CONVERSION = "conversion"
    WIN = "win"
    BILL = "bill"
    LOSS = "loss"


class FrequencyCap(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """At most ``limit`` impressions for one user within any ``window_sec`` seconds."""

    limit: int
    window_sec: int


class GeoRadius(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """A circle on the earth; degrees and kilometres."""

    lat: float
    lon: float
    radius_km: float


class TimeWindow(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """Hours of some weekdays, in the campaign's zone: ``from_hour`` inclusive to ``to_hour`` not.

    ``weekdays`` are ``mon`` … ``sun``; empty means every day.
    """

    weekdays: tuple[str, ...] = ()
    from_hour: int = 0
    to_hour: int = 24


class Segments(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """User segments: at least one of ``any``, every one of ``all``, not one of ``none``."""

    any: tuple[str, ...] = ()
    all: tuple[str, ...] = ()
    none: tuple[str, ...] = ()


class Targeting(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """Who and where a campaign is for. An empty list does not restrict; all lists must agree.

    Codes as in OpenRTB 2.6: ``countries`` ISO 3166-1 alpha-3, ``regions`` ISO 3166-2 without the
    country (``CA``), ``metros`` the exchange's metro code, ``categories`` IAB codes, ``languages``
    ISO 639-1, ``sizes`` ``300x250``. Domains cover their subdomains.
    """

    countries: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    cities: tuple[str, ...] = ()
    metros: tuple[str, ...] = ()
    postal_codes: tuple[str, ...] = ()
    radii: tuple[GeoRadius, ...] = ()
    devices: tuple[str, ...] = ()
    os: tuple[str, ...] = ()
    browsers: tuple[str, ...] = ()
    connections: tuple[str, ...] = ()
    segments: Segments = Segments()
    time_windows: tuple[TimeWindow, ...] = ()
    domains_include: tuple[str, ...] = ()
    domains_exclude: tuple[str, ...] = ()
    apps_include: tuple[str, ...] = ()
    apps_exclude: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    sizes: tuple[str, ...] = ()


class MediaFile(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One rendition of a video or audio ad. Pixels, kilobits a second; 0 is unknown, or adaptive.

    A ``streaming`` file is a manifest (HLS, DASH); a ``progressive`` one is downloaded.
    """

    url: str
    mime: str
    width: int = 0
    height: int = 0
    bitrate_kbps: int = 0
    delivery: Literal["progressive", "streaming"] = "progressive"


class VideoMedia(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A linear video ad: its ``files``, or the ``tag_url`` of another server's VAST.

    ``skip_after_sec`` is when it may be skipped, where that is allowed; None: never. ``breaks``,
    ``plcmt`` and ``playbackmethod`` (the last two in AdCOM's numbers) say where it may play; empty
    does not restrict.
    """

    duration_sec: int
    files: tuple[MediaFile, ...] = ()
    tag_url: str = ""
    skip_after_sec: int | None = None
    breaks: tuple[Literal["pre", "mid", "post"], ...] = ()
    plcmt: tuple[int, ...] = ()
    playbackmethod: tuple[int, ...] = ()


class AudioMedia(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """An audio ad, as VideoMedia. ``feed`` is AdCOM's: 1 music service, 2 broadcast, 3 podcast."""

    duration_sec: int
    files: tuple[MediaFile, ...] = ()
    tag_url: str = ""
    breaks: tuple[Literal["pre", "mid", "post"], ...] = ()
    feed: tuple[int, ...] = ()


class NativeImage(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A picture of a native ad, in pixels."""

    role: Literal["main", "icon"]
    url: str
    mime: str
    width: int
    height: int


class NativeMedia(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A native ad's assets, each in as many lengths or sizes as there are: the best fit is shown.

    ``data`` has the texts by their name in adctl.delivery.media.native.DATA_TYPES.
    """

    titles: tuple[str, ...]
    images: tuple[NativeImage, ...] = ()
    data: dict[str, tuple[str, ...]] = {}


class Media(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What a creative needs beyond its image or markup, under the name of its kind.

    ``api`` are the frameworks it cannot do without and ``expdir`` the directions a banner expands
    in, both in AdCOM's numbers.
    """

    video: VideoMedia | None = None
    audio: AudioMedia | None = None
    native: NativeMedia | None = None
    api: tuple[int, ...] = ()
    expdir: tuple[int, ...] = ()


class Creative(msgspec.Struct, frozen=True, gc=False):
    """One ad as it can be served. ``markup`` may hold the macros ``{click_url}`` and ``{pixel}``.

    A banner is an ``image_url`` or an HTML ``markup``; ``media`` has what the other kinds are
    made of, whose ``width`` and ``height`` are their largest rendition's, or 0. ``attr`` and
    ``banner_type`` are OpenRTB's creative attributes and banner ad types. ``app_bundle`` is the app
    it advertises, as stores name it.
    """

    id: int
    campaign_id: int
    name: str
    kind: CreativeKind
    status: Status
    landing_url: str
    adomain: tuple[str, ...]
    width: int = 0
    height: int = 0
    image_url: str = ""
    markup: str = ""
    cat: tuple[str, ...] = ()
    cattax: int = 1
    attr: tuple[int, ...] = ()
    banner_type: int = 2
    language: str = ""
    media: Media = Media()
    app_bundle: str = ""


class Deal(msgspec.Struct, frozen=True, gc=False):
    """A private deal a campaign buys, by the exchange's id.

    ``bid_amount_micros`` is what it bids for 1,000 impressions of it; None: as in the open auction.
    """

    id: str
    bid_amount_micros: int | None = None


class Campaign(msgspec.Struct, frozen=True, gc=False):
    """A campaign with its creatives: the document the catalog holds and bidders decide on.

    ``bid_amount_micros`` is per 1,000 impressions for CPM, per click for CPC, per conversion for
    CPA. ``starts_at`` and ``ends_at`` bound the flight (end exclusive); ``timezone`` is the zone
    of its days and hours. ``version`` grows with every change.
    """

    id: int
    advertiser_id: int
    name: str
    status: Status
    bid_strategy: BidStrategy
    bid_amount_micros: int
    daily_budget_nanos: int
    total_budget_nanos: int
    starts_at: datetime
    ends_at: datetime | None = None
    timezone: str = "UTC"
    pacing: Pacing = Pacing.EVEN
    targeting: Targeting = Targeting()
    caps: tuple[FrequencyCap, ...] = ()
    # What to do with a capped campaign when the user may not be identified.
    unidentified: Literal["no_bid", "skip_cap"] = "no_bid"
    deals: tuple[Deal, ...] = ()
    # Takes all impressions of a page together, or none.
    roadblock: bool = False
    # The most it bids for 1,000 impressions; None: as delivery.pricing.ceiling_micros says.
    max_cpm_micros: int | None = None
    version: int = 1
    creatives: tuple[Creative, ...] = ()


class CampaignChange(msgspec.Struct, frozen=True, gc=False):
    """One accepted change: what Kafka's ``campaigns`` topic carries, keyed by campaign id.

    ``campaign`` is the whole document as that change left it, with the creatives that are active.
    ``serving`` says whether it may be bid on: it and its advertiser are active, and it has not
    ended. ``action`` names what was changed, ``campaign.update`` for example.
    """

    campaign_id: int
    version: int
    action: str
    at: datetime
    actor: str
    serving: bool
    campaign: Campaign


class Factors(msgspec.Struct, frozen=True, gc=False):
    """What the pacer steers per campaign, in parts per million. 1,000,000 leaves a bid as it is.

    ``ctr_ppm`` and ``cvr_ppm`` are the smoothed rates of clicks per impression and of
    conversions per click.
    """

    pacing_ppm: int = 1_000_000
    competition_ppm: int = 1_000_000
    ctr_ppm: int = 1_000
    cvr_ppm: int = 10_000


class Event(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One tracked event, as the stream, PostgreSQL and Kafka hold it.

    ``event_id`` is made from the signed bid, so that a repeat has the same one; ``event_date``
    (ISO) is the UTC date of the *bid*, also signed, so that a repeat lands in the same partition.
    ``cost_nanos`` is what this event books: 0 unless it is the exchange's billing event.

    Where the exchange told it: ``min_to_win_micros``, the least bid that would have won, in the
    account's currency; ``market_bid_ratio_ppm``, the clearing price by the bid's; ``shown_at_ms``,
    when the ad was shown, if that was before it was told.

    ``site``, ``country`` and ``device`` are where the impression was, as in delivery.place,
    ``advertiser_id`` whose it was (0: the bid was made before tokens told), and ``bid_cpm_micros``
    what was bid for it.

    Of a conversion: ``order_id`` counts once for an advertiser; ``value_nanos`` is what it was
    worth in the account's currency, ``told_value_nanos`` and ``told_currency`` as it was told,
    where that is another one; ``attribution`` is whichever the bid had that it is counted for.
    """

    event_id: str
    event_date: str
    kind: EventKind
    occurred_at_ms: int
    bid_id: str
    campaign_id: int
    creative_id: int
    exchange: str
    price_cpm_micros: int = 0
    cost_nanos: int = 0
    unpriced: bool = False  # the exchange told no price; the bid's own was taken
    late: bool = False  # billed after its reservation had expired or been released
    odd: str = ""  # what was odd about it: one of delivery.oddities
    test: bool = False
    loss_reason: int = 0
    user_hash: str = ""
    min_to_win_micros: int | None = None
    market_bid_ratio_ppm: int | None = None
    shown_at_ms: int | None = None
    advertiser_id: int = 0
    site: str = ""
    country: str = ""
    device: str = ""
    bid_cpm_micros: int = 0
    order_id: str = ""
    value_nanos: int | None = None
    told_value_nanos: int | None = None
    told_currency: str = ""
    attribution: Literal["", "click", "view"] = ""


class DeadLetterReason(StrEnum):
    """Why a consumer could make nothing of a message."""

    NOT_JSON = "not_json"
    WRONG_SHAPE = "wrong_shape"  # JSON, but not of the topic's schema
    NEWER_SCHEMA = "newer_schema"  # as above, and its schema is newer than the consumer
    BAD_HEADER = "bad_header"  # an event without the id of its stream entry, a version that is none
    OUT_OF_RANGE = "out_of_range"  # a number or a text that cannot be stored
    NOT_BOOKED = "not_booked"  # an event that costs something, and that the ledger does not know


class DeadLetter(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A message a consumer could make nothing of: what Kafka's ``dead-letters`` topic carries.

    ``cluster_id``, ``topic``, ``partition`` and ``offset`` are its origin; a consumer that is
    killed may tell of one twice. ``value`` is what it held (base64 in JSON), ``cut`` to its first
    ``consumer.dead_letter_max_bytes``. ``stream_id`` and ``schema_version`` are its headers, ''
    where it had none.
    """

    consumer_group: str
    reason: DeadLetterReason
    detail: str
    cluster_id: str
    topic: str
    partition: int
    offset: int
    buried_at: datetime
    key: bytes = b""
    value: bytes = b""
    cut: bool = False
    stream_id: str = ""
    schema_version: str = ""
