"""The control plane's verbs on real PostgreSQL and Valkey."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
from psycopg.types.json import Jsonb
from sqlalchemy import BigInteger, Boolean, DateTime, Integer, String
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel.sql.sqltypes import AutoString

from adctl.control import advertisers, campaigns, creatives
from adctl.control.history import history
from adctl.control.plane import ControlPlane
from adctl.errors import ConflictError, FaultyInputError, NotFoundError
from adctl.models import Campaign, Status
from adctl.stores import keys
from adctl.stores.budgets import SHARD, Budgets
from adctl.stores.catalog import CatalogStore
from adctl.stores.redis import connect
from adctl.stores.tables import (
    AdvertiserRow,
    AuditRow,
    CampaignRow,
    CreativeRow,
    OutboxRow,
    open_engine,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg
    import redis
    from sqlmodel import SQLModel

    from adctl.config import Settings

KINDS = {
    "integer": Integer,
    "bigint": BigInteger,
    "boolean": Boolean,
    "text": String,
    "jsonb": JSONB,
    "timestamp with time zone": DateTime,
}
KIND_OF = {AutoString: String}

CAMPAIGN = {"advertiser": "Acme", "name": "Spring", "budget": "500", "bid": "2.00"}
BANNER = {
    "name": "box",
    "size": "300x250",
    "landing_url": "https://www.acme.example/spring",
    "image_url": "https://cdn.acme.example/box.png",
}


@pytest.fixture
def plane(
    settings: Settings, postgres: psycopg.Connection, redis_client: redis.Redis
) -> Iterator[ControlPlane]:
    engine = open_engine(settings.postgres.url.get_secret_value(), settings.postgres)
    yield ControlPlane(engine, CatalogStore(redis_client), Budgets(redis_client))
    engine.dispose()


@pytest.fixture
def acme(plane: ControlPlane) -> int:
    return advertisers.create(plane, "ann", {"name": "Acme"}).view.id


@pytest.fixture
def spring(plane: ControlPlane, acme: int) -> int:
    return campaigns.create(plane, "ann", CAMPAIGN).view.id


def count(postgres: psycopg.Connection, table: str) -> int:
    with postgres.transaction():
        return postgres.execute(f"SELECT count(*) FROM {table}").fetchone()[0]


def published(redis_client: redis.Redis, campaign_id: int) -> Campaign | None:
    document = redis_client.get(keys.campaign(campaign_id))
    return msgspec.json.decode(document, type=Campaign) if document else None


def test_created_campaign_is_in_redis_with_its_money(
    plane: ControlPlane, redis_client: redis.Redis, spring: int
) -> None:
    document = published(redis_client, spring)
    assert document is not None
    assert document.total_budget_nanos == 500_000_000_000
    assert document.bid_amount_micros == 2_000_000
    assert redis_client.sismember(keys.ACTIVE, spring)
    assert plane.budgets.read([spring])[spring].available == 500_000_000_000


def test_change_writes_row_audit_and_outbox_together(
    plane: ControlPlane, postgres: psycopg.Connection, spring: int
) -> None:
    outcome = campaigns.update(plane, "bob", spring, {"bid": "2.50"})
    assert (outcome.changed, outcome.published, outcome.view.version) == (True, True, 2)
    audit = postgres.execute(
        "SELECT actor, action, before->>'bid', after->>'bid' FROM audit ORDER BY id DESC LIMIT 1"
    ).fetchone()
    assert audit == ("bob", "update", "2.00", "2.50")
    message = postgres.execute("SELECT message FROM outbox ORDER BY id DESC LIMIT 1").fetchone()[0]
    assert (message["action"], message["version"], message["actor"]) == (
        "campaign.update",
        2,
        "bob",
    )
    assert message["campaign"]["bid_amount_micros"] == 2_500_000


def test_dry_run_leaves_nothing_behind(
    plane: ControlPlane, postgres: psycopg.Connection, redis_client: redis.Redis, acme: int
) -> None:
    before = count(postgres, "audit")
    outcome = campaigns.create(plane, "ann", CAMPAIGN, dry_run=True)
    assert outcome.view.budget == "500.00"
    assert count(postgres, "campaign") == count(postgres, "outbox") == 0
    assert count(postgres, "audit") == before
    assert redis_client.dbsize() == 0


def test_faulty_campaign_reports_every_fault(plane: ControlPlane, acme: int) -> None:
    fields = {
        "advertiser": "Nobody",
        "name": "",
        "budget": "10",
        "daily_budget": "20",
        "bid": "-1",
        "timezone": "Europe/Berln",
        "start": "2030-02-01",
        "end": "2030-01-01",
        "targeting": {"countries": ["Germany"], "devices": ["moble"], "citys": []},
        "caps": ["3/24x"],
        "colour": "red",
    }
    with pytest.raises(FaultyInputError) as caught:
        campaigns.create(plane, "ann", fields)
    faults = {fault.field: fault.expected for fault in caught.value.faults}
    assert set(faults) == {
        "advertiser",
        "name",
        "daily_budget",
        "bid",
        "timezone",
        "end",
        "targeting.countries",
        "targeting.devices",
        "targeting.citys",
        "caps",
        "colour",
    }
    assert "Europe/Berlin" in faults["timezone"]
    assert "DEU" in faults["targeting.countries"]
    assert "mobile" in faults["targeting.devices"]
    assert "cities" in faults["targeting.citys"]


def test_taken_name_is_a_conflict(plane: ControlPlane, spring: int) -> None:
    with pytest.raises(ConflictError, match="campaign of that name already"):
        campaigns.create(plane, "ann", CAMPAIGN)


def test_update_that_changes_nothing_writes_nothing(
    plane: ControlPlane, postgres: psycopg.Connection, spring: int
) -> None:
    before = count(postgres, "audit")
    outcome = campaigns.update(plane, "ann", spring, {"budget": "500.000"})
    assert not outcome.changed
    assert outcome.view.version == 1
    assert count(postgres, "audit") == before


def test_targeting_is_merged_and_null_takes_a_field_back(plane: ControlPlane, spring: int) -> None:
    campaigns.update(plane, "ann", spring, {"targeting": {"countries": ["US", "deu"]}})
    view = campaigns.update(plane, "ann", spring, {"targeting": {"devices": ["Mobile"]}}).view
    assert view.targeting == {"countries": ["USA", "DEU"], "devices": ["mobile"]}
    view = campaigns.update(plane, "ann", spring, {"targeting": {"countries": None}}).view
    assert view.targeting == {"devices": ["mobile"]}


def test_status_is_not_changed_by_an_update(plane: ControlPlane, spring: int) -> None:
    with pytest.raises(FaultyInputError, match="pause, resume and archive"):
        campaigns.update(plane, "ann", spring, {"status": "paused"})


def test_paused_campaign_leaves_the_catalog_and_returns(
    plane: ControlPlane, redis_client: redis.Redis, spring: int
) -> None:
    campaigns.pause(plane, "ann", "Spring")
    assert published(redis_client, spring) is None
    assert not redis_client.sismember(keys.ACTIVE, spring)
    assert campaigns.resume(plane, "ann", spring).view.status is Status.ACTIVE
    assert published(redis_client, spring) is not None


def test_pausing_twice_is_one_change(plane: ControlPlane, spring: int) -> None:
    assert campaigns.pause(plane, "ann", spring).changed
    assert not campaigns.pause(plane, "ann", spring).changed


def test_archived_campaign_stays_archived(plane: ControlPlane, spring: int) -> None:
    campaigns.archive(plane, "ann", spring)
    for verb in (campaigns.pause, campaigns.resume):
        with pytest.raises(ConflictError, match="for good"):
            verb(plane, "ann", spring)
    with pytest.raises(ConflictError, match="for good"):
        campaigns.update(plane, "ann", spring, {"name": "Autumn"})
    assert campaigns.list_all(plane) == []
    assert [view.id for view in campaigns.list_all(plane, status=Status.ARCHIVED)] == [spring]


def test_paused_advertiser_takes_all_its_campaigns_out(
    plane: ControlPlane, postgres: psycopg.Connection, redis_client: redis.Redis, spring: int
) -> None:
    other = campaigns.create(plane, "ann", {**CAMPAIGN, "name": "Summer"}).view.id
    advertisers.pause(plane, "ann", "Acme")
    assert published(redis_client, spring) is published(redis_client, other) is None
    assert campaigns.show(plane, spring).status is Status.ACTIVE
    assert campaigns.show(plane, spring).serving == "advertiser paused"
    rows = postgres.execute("SELECT message FROM outbox ORDER BY id DESC LIMIT 2").fetchall()
    assert [row[0]["action"] for row in rows] == ["advertiser.pause"] * 2
    assert not any(row[0]["serving"] for row in rows)
    advertisers.resume(plane, "ann", "Acme")
    assert published(redis_client, other) is not None


def test_creative_changes_its_campaigns_document(
    plane: ControlPlane, redis_client: redis.Redis, spring: int
) -> None:
    creative = creatives.create(plane, "ann", spring, BANNER).view
    assert creative.adomain == ["acme.example"]
    document = published(redis_client, spring)
    assert document is not None
    assert document.version == 2
    assert [(c.id, c.width, c.height) for c in document.creatives] == [(creative.id, 300, 250)]
    creatives.pause(plane, "ann", creative.id)
    document = published(redis_client, spring)
    assert document is not None
    assert (document.version, document.creatives) == (3, ())
    assert campaigns.show(plane, spring).serving == "no active creative"


def test_banner_needs_image_or_markup_not_both(plane: ControlPlane, spring: int) -> None:
    for fields in ({**BANNER, "image_url": None}, {**BANNER, "markup": "<b>hi</b>"}):
        with pytest.raises(FaultyInputError, match="image_url or markup, and not both"):
            creatives.create(plane, "ann", spring, fields)


VIDEO = {
    "name": "spot",
    "kind": "video",
    "landing_url": "https://www.acme.example/spring",
    "video": {
        "duration_sec": 15,
        "files": [
            {
                "url": "https://cdn.acme.example/spot.mp4",
                "mime": "video/mp4",
                "width": 640,
                "height": 360,
                "bitrate_kbps": 800,
            }
        ],
    },
}


def test_video_reaches_the_bidders_whole(
    plane: ControlPlane, redis_client: redis.Redis, spring: int
) -> None:
    view = creatives.create(plane, "ann", spring, VIDEO).view
    assert (view.kind, view.size, view.image_url) == ("video", "640x360", "")
    document = published(redis_client, spring)
    assert document is not None
    video = document.creatives[0].media.video
    assert video is not None
    assert (video.duration_sec, video.files[0].bitrate_kbps) == (15, 800)


def test_video_becomes_a_tag_and_stays_a_video(plane: ControlPlane, spring: int) -> None:
    creative = creatives.create(plane, "ann", spring, VIDEO).view.id
    assert not creatives.update(plane, "ann", creative, {"video": VIDEO["video"]}).changed
    tag = {"files": None, "tag_url": "https://ads.acme.example/vast"}
    view = creatives.update(plane, "ann", creative, {"video": tag, "size": "640x480"}).view
    assert view.video == {"duration_sec": 15, "tag_url": "https://ads.acme.example/vast"}
    assert view.size == "640x480"
    for patch in ({"kind": "audio"}, {"kind": None}, {"image_url": "https://a.example/x.png"}):
        with pytest.raises(FaultyInputError):
            creatives.update(plane, "ann", creative, patch)


def test_http_image_is_allowed_but_noticed(plane: ControlPlane, spring: int) -> None:
    fields = {**BANNER, "image_url": "http://cdn.acme.example/box.png"}
    outcome = creatives.create(plane, "ann", spring, fields)
    assert any("not https" in notice for notice in outcome.notices)


def test_history_tells_field_by_field(plane: ControlPlane, spring: int) -> None:
    campaigns.update(plane, "bob", spring, {"bid": "3", "targeting": {"countries": ["USA"]}})
    creatives.create(plane, "cyd", spring, BANNER)
    advertisers.pause(plane, "dee", "Acme")
    entries = history(plane, "campaign", spring)
    assert [(entry.actor, entry.entity, entry.action) for entry in entries] == [
        ("ann", "campaign", "create"),
        ("bob", "campaign", "update"),
        ("cyd", "creative", "create"),
        ("dee", "advertiser", "pause"),
    ]
    changed = {change.field: (change.before, change.after) for change in entries[1].changes}
    assert changed == {"bid": ("2.00", "3.00"), "targeting.countries": (None, ["USA"])}


def test_ambiguous_name_asks_for_the_id(plane: ControlPlane, spring: int) -> None:
    advertisers.create(plane, "ann", {"name": "Other"})
    second = campaigns.create(plane, "ann", {**CAMPAIGN, "advertiser": "Other"}).view.id
    with pytest.raises(ConflictError, match=f"{spring}, {second}"):
        campaigns.show(plane, "Spring")


def test_unknown_campaign_is_not_found(plane: ControlPlane) -> None:
    for ref in (99, "99", 2**40, "no such", "\0"):
        with pytest.raises(NotFoundError, match="there is no campaign"):
            campaigns.show(plane, ref)


def test_change_succeeds_while_redis_is_down(
    settings: Settings, plane: ControlPlane, postgres: psycopg.Connection, acme: int
) -> None:
    with connect("redis://127.0.0.1:1/0", settings.redis) as nowhere:
        cut_off = ControlPlane(plane.engine, CatalogStore(nowhere), Budgets(nowhere))
        outcome = campaigns.create(cut_off, "ann", CAMPAIGN)
    assert not outcome.published
    assert any("when Redis is back" in notice for notice in outcome.notices)
    assert count(postgres, "outbox") == 1


def test_resized_budget_keeps_what_was_spent(
    plane: ControlPlane, redis_client: redis.Redis, spring: int
) -> None:
    budget = keys.budget(SHARD, spring)
    redis_client.hincrby(budget, "available", -7)
    redis_client.hincrby(budget, "spent", 7)
    campaigns.update(plane, "ann", spring, {"budget": "600"})
    state = plane.budgets.read([spring])[spring]
    assert (state.spent, state.available) == (7, 600_000_000_000 - 7)


def test_listing_pages_by_id_and_filters(plane: ControlPlane, spring: int) -> None:
    second = campaigns.create(plane, "ann", {**CAMPAIGN, "name": "Summer", "status": "paused"})
    assert [view.id for view in campaigns.list_all(plane, limit=1)] == [spring]
    assert [view.id for view in campaigns.list_all(plane, after=spring)] == [second.view.id]
    paused = campaigns.list_all(plane, status=Status.PAUSED, advertiser="Acme")
    assert [view.name for view in paused] == ["Summer"]


def test_outbox_message_is_exact_json(postgres: psycopg.Connection) -> None:
    # Budgets pass 2**53: jsonb must not make floats of them.
    amount = 1_000_000_000_000_000_001
    row = postgres.execute("SELECT %s::jsonb", [Jsonb({"n": amount})]).fetchone()
    assert row[0]["n"] == amount


@pytest.mark.parametrize("row", [AdvertiserRow, CampaignRow, CreativeRow, AuditRow, OutboxRow])
def test_rows_have_the_columns_of_their_tables(
    plane: ControlPlane, postgres: psycopg.Connection, row: type[SQLModel]
) -> None:
    columns = postgres.execute(
        "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = %s",
        [row.__tablename__],
    ).fetchall()
    in_database = {name: KINDS[kind] for name, kind in columns}
    if row is OutboxRow:
        del in_database["created_at"]  # the database's own
    mapped = {column.name: type(column.type) for column in row.__table__.columns}
    assert {name: KIND_OF.get(kind, kind) for name, kind in mapped.items()} == in_database


def test_budget_lowered_under_what_is_spent_stops_the_campaign_and_says_so(
    plane: ControlPlane, spring: int
) -> None:
    key = keys.budget(SHARD, spring)
    for field, nanos in (("spent", 10**9), ("available", -(10**9))):
        plane.budgets._redis.hincrby(key, field, nanos)
    lowered = campaigns.update(plane, "bob", spring, {"budget": "0.5", "daily_budget": "0.5"})
    assert "Spring has spent 1.00 already" in lowered.notices[0]
    assert plane.budgets.read([spring])[spring].available == -(10**9) // 2
    raised = campaigns.update(plane, "bob", spring, {"budget": "5", "daily_budget": "5"})
    assert raised.notices == ()
