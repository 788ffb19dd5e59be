"""``python -m daemons.tracker``: events, taken by single-threaded workers."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from adctl.config import load_settings, rates_path
from adctl.stores.endpoints import resolve_redis
from adctl.stores.event_intake import EventIntake, Windows
from adctl.stores.hot_cluster import hot_connection
from adctl.stores.journal import Journal
from adctl.stores.landing_pages import LandingPages
from adctl.stores.rates_file import RatesFile
from adctl.stores.round_trip import RoundTrips
from adctl.stores.secrets import Signing, load_signing
from adctl.stores.spool import Spool
from adctl.stores.stream_look import StreamLooks
from daemons.key_watch import Place, watch_keys
from daemons.lifecycle import run_daemon
from daemons.prefork import Plan, run_workers, workers_registry
from daemons.serving import DRAIN_SEC, make_server, serve
from daemons.tracker.app import create_app
from daemons.tracker.journaling import Journaling, Retaking
from daemons.tracker.metrics import TrackerMetrics
from daemons.tracker.sink import SpoolingSink
from daemons.tracker.verifying import Users, Verifier
from daemons.turns import Turns

if TYPE_CHECKING:
    import threading

    from adctl.config import Settings
    from daemons.gate import Gate
    from daemons.standby import Standby

# A thousand events with long tokens.
_MAX_BODY_BYTES = 1 << 20


def work(
    settings: Settings,
    redis_url: str,
    signing: Signing,
    slot: int,
    gate: Gate,
    standby: Standby,
    stop: threading.Event,
) -> None:
    """Be one worker: connect, serve until ``stop``, drain, hang up in reverse order."""
    with ExitStack() as closing:
        connection = hot_connection(redis_url, settings.redis.hot_timeout_ms)
        closing.callback(connection.close)
        round_trips = RoundTrips(connection)
        ttl_sec = settings.tracker.token_ttl_sec
        windows = Windows(*settings.conversions.windows)
        verifier = Verifier(
            signing.keys,
            ttl_sec,
            settings.exchanges,
            rates=RatesFile(rates_path(settings), settings.currency),
            conversion_ttl_sec=windows.click_sec,
            users=Users(signing.user_key, settings.redis.shards),
        )
        place = Place("tracker", gate, slot)
        watch = watch_keys(
            place, redis_url, settings, signing.keys, verifier.signer, verifier.advertisers
        )
        closing.callback(watch.stop)
        standby.ready()
        # Whoever it succeeds may still have events to answer for.
        patience_sec = DRAIN_SEC + 3 if standby.succeeds else 0
        name, room = f"tracker-{slot}", settings.tracker.spool_max_bytes
        spool = Spool(settings.state_dir / "spool", name, room, patience_sec=patience_sec)
        closing.callback(spool.close)
        room = settings.tracker.journal_max_bytes
        journal = Journal(
            settings.state_dir / "journal", f"tracker-{slot}", room, patience_sec=patience_sec
        )
        closing.callback(journal.close)
        metrics = TrackerMetrics(CollectorRegistry())
        journaling = Journaling(journal, metrics)
        # A bucket's first event may come as late as its last bid's token allows.
        seen_ttl_sec = ttl_sec + settings.money.reservation_bucket_sec
        intake = EventIntake(
            round_trips,
            settings.fcap.hold_sec,
            seen_ttl_sec + ttl_sec,
            windows,
            settings.tracker.stream_max_entries,
            journaling,
        )
        sink = SpoolingSink(intake, spool)
        looks, shards = StreamLooks(round_trips), settings.redis.shards
        retaking = Retaking(journal, intake, looks, shards, metrics)
        turns = Turns(round_trips, journaling, sink)
        app = create_app(
            verifier,
            sink,
            LandingPages(round_trips, f"http://{settings.api.reached_at}:{settings.api.port}"),
            metrics,
            workers_registry(),
            {"events": lambda: sink.check(round_trips.ping)},
            turns.give_way,
            {"journal": lambda: journaling.unprotected},
        )

        def turn() -> bool:
            worked = turns.run()
            retaken = retaking.run(doubted=sink.spooling)
            # What is spooled came after what is journaled.
            replayed = not retaking.behind and sink.replay()
            metrics.tell_spool(sink.spooled_bytes, sink.oldest_ms)
            return retaken or replayed or worked

        server = make_server(
            app,
            gate.sock,
            dispatcher=turns,
            max_body_bytes=_MAX_BODY_BYTES,
            connections=settings.connections,
        )
        serve(server, stop, turn, gate=gate)


def plan(settings: Settings) -> Plan:
    """Return what to run. Raises AdctlError where the settings lead nowhere."""
    redis_url, signing = resolve_redis(settings), load_signing(settings)
    section = settings.tracker
    be_worker = partial(work, settings, redis_url, signing)
    return Plan((section.host, section.port), section.workers, be_worker)


def main(settings: Settings) -> None:
    """Run the tracker until SIGTERM; SIGHUP reads the configuration again."""
    folder = settings.state_dir / "metrics" / "tracker"
    run_workers(plan(settings), lambda: plan(load_settings()), folder)


if __name__ == "__main__":
    run_daemon("tracker", main)
