"""Whatever is changed alone, by command or over HTTP, while everything else is set: only that."""

from __future__ import annotations

import json
import shlex
from datetime import datetime
from typing import TYPE_CHECKING, Any

import falcon.testing
import pytest
from prometheus_client import CollectorRegistry
from typer.testing import CliRunner

from adctl.cli.campaign_fields import CAMPAIGN_OPTIONS
from adctl.cli.root import app
from adctl.config_daemon import ApiSettings
from adctl.control import advertisers, campaigns, creatives
from adctl.control.drafts import AdvertiserPatch, CampaignPatch, CreativePatch
from adctl.control.plane import open_plane
from adctl.models import Segments, Targeting
from daemons.api.app import create_app

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import psycopg
    import redis

    from adctl.config import Settings
    from adctl.control.plane import ControlPlane
    from adctl.stores.endpoints import Endpoints

ACME = {"name": "Acme", "fee_percent": "12.5", "prepaid": True}
TARGETING: dict[str, Any] = {
    "countries": ["USA", "CAN"],
    "regions": ["CA"],
    "cities": ["San Jose"],
    "metros": ["501"],
    "postal_codes": ["10115"],
    "radii": [{"lat": 40.7128, "lon": -74.006, "radius_km": 25.0}],
    "devices": ["mobile", "tablet"],
    "os": ["ios"],
    "browsers": ["chrome"],
    "connections": ["wifi"],
    "segments": {"any": ["hikers", "cyclists"], "all": ["adults"], "none": ["customers"]},
    "time_windows": ["mon-fri 7-9", "sat,sun"],
    "domains_include": ["news.example"],
    "domains_exclude": ["games.news.example"],
    "apps_include": ["com.example.app"],
    "apps_exclude": ["com.example.other"],
    "categories": ["IAB12"],
    "languages": ["en"],
    "sizes": ["300x250"],
}
SPRING = {
    "advertiser": "Acme",
    "name": "Spring",
    "budget": "500.000000001",
    "daily_budget": "50",
    "strategy": "cpm",
    "bid": "2.00",
    "start": "2030-01-01",
    "end": "2030-12-31",
    "timezone": "Europe/Berlin",
    "pacing": "asap",
    "targeting": TARGETING,
    "caps": ["3/24h", "10/7d"],
    "unidentified": "skip_cap",
    "deals": ["deal-1=3.50", "deal-2"],
    "max_cpm": "5.00",
    "late_margin": "1.5",
}
# field → its changed value, and the options that say so.
FIELDS: dict[str, tuple[Any, str]] = {
    "name": ("Summer", "--name Summer"),
    "budget": ("600.00", "--budget 600"),
    "daily_budget": ("60.00", "--daily-budget 60"),
    "strategy": ("cpc", "--strategy cpc"),
    "bid": ("2.50", "--bid 2.50"),
    "start": ("2030-02-01T00:00:00+01:00", "--start 2030-02-01"),
    "end": ("2030-11-01T09:00:00+01:00", "--end 2030-11-01T09:00"),
    "timezone": ("America/New_York", "--timezone America/New_York"),
    "pacing": ("even", "--pacing even"),
    "caps": (["1/30m"], "--cap 1/30m"),
    "unidentified": ("no_bid", "--unidentified no_bid"),
    "deals": (["deal-3=4.00"], "--deal deal-3=4.00"),
    "max_cpm": ("6.00", "--max-cpm 6"),
    "late_margin": ("2.00", "--late-margin 2"),
}
LISTS: dict[str, tuple[Any, str]] = {
    "countries": (["DEU"], "--country DE"),
    "regions": (["NY"], "--region NY"),
    "cities": (["Bonn"], "--city Bonn"),
    "metros": (["803"], "--metro 803"),
    "postal_codes": (["53111"], "--postal-code 53111"),
    "radii": ([{"lat": 52.52, "lon": 13.4, "radius_km": 10.0}], "--radius 52.52,13.40,10"),
    "devices": (["desktop"], "--device desktop"),
    "os": (["android"], "--os android"),
    "browsers": (["firefox"], "--browser firefox"),
    "connections": (["5g"], "--connection 5g"),
    "time_windows": (["18-24"], "--time 18-24"),
    "domains_include": (["blog.example"], "--domain blog.example"),
    "domains_exclude": (["ads.news.example"], "--exclude-domain ads.news.example"),
    "apps_include": (["com.example.third"], "--app com.example.third"),
    "apps_exclude": (["com.example.fourth"], "--exclude-app com.example.fourth"),
    "categories": (["IAB9"], "--category IAB9"),
    "languages": (["de"], "--language de"),
    "sizes": (["320x50"], "--size 320x50"),
}
SEGMENTS: dict[str, tuple[Any, str]] = {
    "any": (["runners"], "--segment runners"),
    "all": (["members"], "--all-segments members"),
    "none": (["staff"], "--no-segment staff"),
}
CDN = "https://cdn.acme.example"
BANNER: dict[str, Any] = {
    "name": "box",
    "landing_url": "https://www.acme.example/spring",
    "size": "300x250",
    "image_url": f"{CDN}/box.png",
    "api": [5],
    "expdir": [1],
    "adomain": ["acme.example"],
    "cat": ["IAB2"],
    "cattax": 1,
    "attr": [1],
    "banner_type": 3,
    "language": "en",
    "app_bundle": "com.acme.app",
}
BANNERS: dict[str, tuple[Any, str]] = {
    "name": ("board", "--name board"),
    "landing_url": ("https://acme.example/", "--landing-url https://acme.example/"),
    "size": ("728x90", "--size 728x90"),
    "image_url": (f"{CDN}/b.png", f"--image-url {CDN}/b.png"),
    "api": ([6], "--api 6"),
    "expdir": ([2], "--expdir 2"),
    "adomain": (["shop.acme.example"], "--adomain shop.acme.example"),
    "cat": (["IAB3"], "--cat IAB3"),
    "cattax": (7, "--cattax 7"),
    "attr": ([2], "--attr 2"),
    "banner_type": (2, "--banner-type 2"),
    "language": ("de", "--language de"),
    "app_bundle": ("com.acme.other", "--app-bundle com.acme.other"),
}
VIDEO = {
    "duration_sec": 15,
    "files": [
        {
            "url": f"{CDN}/spot.mp4",
            "mime": "video/mp4",
            "width": 1280,
            "height": 720,
            "bitrate_kbps": 1200,
        }
    ],
    "skip_after_sec": 5,
    "breaks": ["pre", "mid"],
    "plcmt": [1],
    "playbackmethod": [1, 2],
}
MEDIA: dict[str, dict[str, Any]] = {
    "video": VIDEO,
    "audio": {
        "duration_sec": 20,
        "files": [{"url": f"{CDN}/s.mp3", "mime": "audio/mpeg", "bitrate_kbps": 128}],
        "breaks": ["pre"],
        "feed": [1, 3],
    },
    "native": {
        "titles": ["One", "Two"],
        "images": [
            {
                "role": "main",
                "url": f"{CDN}/n.jpg",
                "mime": "image/jpeg",
                "width": 1200,
                "height": 627,
            }
        ],
        "data": {"sponsored": ["Acme"], "desc": ["Long", "Short"]},
    },
}
# What no update of a banner alone can change: markup takes the image's place, others its kind's.
_NOT_OF_A_BANNER = {"markup", *MEDIA}


class Desk:
    """A control plane, its commands, and its HTTP."""

    def __init__(self, plane: ControlPlane, environment: Mapping[str, str]) -> None:
        self.plane = plane
        self._environment = environment
        api = create_app(plane, CollectorRegistry(), ApiSettings())
        self._http = falcon.testing.TestClient(api, headers={"Host": "localhost"})

    def command(self, line: str) -> None:
        """Do a command, which has to succeed."""
        done = CliRunner().invoke(app, shlex.split(line), env=self._environment, prog_name="adctl")
        assert done.exit_code == 0, done.output

    def patch(self, noun: str, number: int, patch: Mapping[str, object]) -> None:
        """Send a merge patch, which has to be taken."""
        answer = self._http.simulate_patch(f"/{noun}s/{number}", json=patch)
        assert answer.status_code == 200, answer.text

    def show(self, noun: str, number: int) -> dict[str, Any]:
        """Return everything there is to see of one, but when it was changed."""
        shown = self._http.simulate_get(f"/{noun}s/{number}").json
        return {
            name: _instant(value) if name in {"start", "end"} else value
            for name, value in shown.items()
            if name not in {"version", "updated_at"}
        }


def _instant(text: str) -> datetime:
    # A campaign's times are shown in its own zone.
    return datetime.fromisoformat(text)


@pytest.fixture
def desk(
    settings: Settings,
    endpoints: Endpoints,
    postgres: psycopg.Connection,
    redis_client: redis.Redis,
) -> Iterator[Desk]:
    environment = {
        "ADCTL_STATE_DIR": str(settings.state_dir),
        "ADCTL_POSTGRES_URL": endpoints.postgres_url,
        "ADCTL_REDIS_URL": endpoints.redis_url,
        "ADCTL_KAFKA_BOOTSTRAP": endpoints.kafka_bootstrap,
    }
    with open_plane(settings) as plane:
        advertisers.create(plane, "ann", ACME)
        yield Desk(plane, environment)


@pytest.fixture
def spring(desk: Desk) -> int:
    return campaigns.create(desk.plane, "ann", SPRING).view.id


@pytest.fixture
def box(desk: Desk, spring: int) -> int:
    return creatives.create(desk.plane, "ann", spring, BANNER).view.id


def _each_way(
    desk: Desk, noun: str, number: int, patch: Mapping[str, object], options: str
) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Yield how one was, and how it is after it was changed by a command, and then over HTTP."""
    before = desk.show(noun, number)
    desk.command(f"{noun} update {number} {options}")
    yield before, desk.show(noun, number)
    back = {name: before[name] for name in patch}
    for name in {"start", "end"} & back.keys():
        back[name] = back[name].isoformat()
    desk.patch(noun, number, back)
    assert desk.show(noun, number) == before
    desk.patch(noun, number, patch)
    yield before, desk.show(noun, number)


@pytest.mark.parametrize("field", FIELDS)
def test_a_field_of_a_campaign_changes_alone(desk: Desk, spring: int, field: str) -> None:
    value, options = FIELDS[field]
    for before, after in _each_way(desk, "campaign", spring, {field: value}, options):
        changed = _instant(value) if field in {"start", "end"} else value
        assert after == before | {field: changed}
        assert before[field] != changed


def test_a_campaign_that_buys_no_deals_becomes_a_road_block_alone(desk: Desk) -> None:
    made = campaigns.create(desk.plane, "ann", SPRING | {"deals": []}).view.id
    patch = {"roadblock": True}
    for before, after in _each_way(desk, "campaign", made, patch, "--roadblock"):
        assert after == before | patch


@pytest.mark.parametrize("field", LISTS)
def test_a_list_of_the_targeting_changes_alone(desk: Desk, spring: int, field: str) -> None:
    value, options = LISTS[field]
    patch = {"targeting": {field: value}}
    for before, after in _each_way(desk, "campaign", spring, patch, options):
        shown = after["targeting"][field]
        assert shown != before["targeting"][field]
        assert after == before | {"targeting": before["targeting"] | {field: shown}}
        if field != "time_windows":  # which are shown as tables
            assert shown == value


@pytest.mark.parametrize("kind", SEGMENTS)
def test_a_kind_of_segments_changes_alone(desk: Desk, spring: int, kind: str) -> None:
    value, options = SEGMENTS[kind]
    patch = {"targeting": {"segments": {kind: value}}}
    for before, after in _each_way(desk, "campaign", spring, patch, options):
        segments = before["targeting"]["segments"] | {kind: value}
        assert after == before | {"targeting": before["targeting"] | {"segments": segments}}


@pytest.mark.parametrize("field", BANNERS)
def test_a_field_of_a_banner_changes_alone(desk: Desk, box: int, field: str) -> None:
    value, options = BANNERS[field]
    for before, after in _each_way(desk, "creative", box, {field: value}, options):
        assert after == before | {field: value}
        assert before[field] != value


@pytest.mark.parametrize("kind", MEDIA)
def test_what_another_creative_is_made_of_stays_when_its_name_changes(
    desk: Desk, spring: int, kind: str
) -> None:
    fields = {"name": "spot", "kind": kind, "landing_url": "https://acme.example"}
    made = creatives.create(desk.plane, "ann", spring, fields | {kind: MEDIA[kind]}).view.id
    for before, after in _each_way(desk, "creative", made, {"name": "clip"}, "--name clip"):
        assert after == before | {"name": "clip"}


@pytest.mark.parametrize(
    ("field", "value", "options"),
    [
        ("name", "Acme Ltd", "--name 'Acme Ltd'"),
        ("fee_percent", "7.25", "--fee-percent 7.25"),
        ("prepaid", False, "--postpaid"),
    ],
)
def test_a_field_of_an_advertiser_changes_alone(
    desk: Desk, field: str, value: object, options: str
) -> None:
    number = advertisers.show(desk.plane, "Acme").id
    for before, after in _each_way(desk, "advertiser", number, {field: value}, options):
        assert after == before | {field: value}


def test_nothing_that_can_be_changed_is_left_out() -> None:
    assert {*FIELDS, "targeting", "roadblock"} == set(CampaignPatch.__struct_fields__)
    assert {*LISTS, "segments"} == set(TARGETING) == set(Targeting.__struct_fields__)
    assert set(SEGMENTS) == set(TARGETING["segments"]) == set(Segments.__struct_fields__)
    assert set(BANNERS) | _NOT_OF_A_BANNER == set(CreativePatch.__struct_fields__)
    assert set(ACME) == set(AdvertiserPatch.__struct_fields__)
    options = {"--" + name.replace("_", "-") for name in CAMPAIGN_OPTIONS}
    # The same lists, from files.
    options = {name for name in options if not name.endswith("-file")}
    said = {line.split()[0] for _, line in [*FIELDS.values(), *LISTS.values(), *SEGMENTS.values()]}
    assert options == said | {"--roadblock", "--targeting"}


def test_a_change_that_repeats_everything_changes_nothing(desk: Desk, spring: int) -> None:
    before = json.loads(json.dumps(campaigns.show(desk.plane, spring).targeting))
    desk.patch("campaign", spring, {"targeting": before})
    assert campaigns.show(desk.plane, spring).version == 1
