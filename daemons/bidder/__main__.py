"""``python -m daemons.bidder``: bid requests, answered by single-threaded workers."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from adctl.config import load_settings, rates_path
from adctl.delivery.bidding import Bidder
from adctl.delivery.explaining import Explainer
from adctl.delivery.terms import terms_by_exchange, terms_of
from adctl.delivery.tokens import Signer
from adctl.stores.auction_ledger import SharedLedger
from adctl.stores.catalog_feed import CatalogFeed
from adctl.stores.endpoints import resolve_kafka, resolve_redis
from adctl.stores.hot_cluster import hot_connection
from adctl.stores.rates_file import RatesFile
from adctl.stores.round_trip import RoundTrips
from adctl.stores.secrets import Signing, load_signing
from adctl.streams.decision_log import DecisionLog
from daemons.bidder.app import create_app
from daemons.bidder.doors import Door, RateLimit
from daemons.bidder.explanations import Explanations
from daemons.bidder.metrics import BidderMetrics
from daemons.key_watch import Place, watch_keys
from daemons.lifecycle import run_daemon
from daemons.prefork import Plan, run_workers, workers_registry
from daemons.serving import make_server, serve
from daemons.turns import Turns

if TYPE_CHECKING:
    import threading

    from adctl.config import Settings
    from daemons.gate import Gate
    from daemons.standby import Standby

# Exchanges send a tenth of it.
_MAX_HEADER_BYTES = 8 << 10
_LOOK_SEC = 0.05


def doors_of(settings: Settings) -> dict[str, Door]:
    """Return how one worker lets each exchange in."""
    workers = settings.bidder.workers
    return {
        name: Door(
            limit=RateLimit(exchange.qps_limit / workers) if exchange.qps_limit else None,
            tells_reason=exchange.no_bid == "nbr",
        )
        for name, exchange in settings.exchanges.items()
    }


def work(
    settings: Settings,
    redis_url: str,
    kafka_bootstrap: str,
    signing: Signing,
    slot: int,
    gate: Gate,
    standby: Standby,
    stop: threading.Event,
) -> None:
    """Be one worker: connect, serve until ``stop``, drain, hang up in reverse order."""
    registry = CollectorRegistry()
    metrics = BidderMetrics(registry)
    with ExitStack() as closing:
        # What was counted in the last second must not leave with the worker.
        closing.callback(metrics.publish, now=True)
        connection = hot_connection(redis_url, settings.redis.hot_timeout_ms)
        closing.callback(connection.close)
        round_trips = RoundTrips(connection)
        ledger = SharedLedger(round_trips, settings.fcap.hold_sec, settings.redis.shards)
        decisions = DecisionLog(
            kafka_bootstrap,
            settings.kafka,
            settings.bidder.decision_buffer,
            metrics.dropped_decisions.inc,
        )
        closing.callback(decisions.close)
        turns = Turns(round_trips, ask=ledger.ask, meanwhile=decisions.send, ahead=round_trips)
        feed = CatalogFeed(redis_url, settings)
        feed.start()
        closing.callback(feed.stop)
        rates = RatesFile(rates_path(settings), settings.currency)
        terms = terms_of(settings)
        signer = Signer(signing.keys)
        place = Place("bidder", gate, slot)
        watch = watch_keys(place, redis_url, settings, signing.keys, signer)
        closing.callback(watch.stop)
        explanations = Explanations(
            Explainer(feed, terms, rates),
            decisions,
            settings.bidder.explain_every,
        )
        closing.callback(explanations.close)
        bidder = Bidder(
            feed,
            ledger,
            signer,
            signing.user_key,
            terms,
            exchanges=terms_by_exchange(settings),
            rates=rates,
        )
        # Nobody's successor answers at once, and says what it cannot do yet.
        while standby.succeeds and not feed.ready and not stop.wait(_LOOK_SEC):
            pass
        standby.ready()
        checks = {"redis": round_trips.ping, "catalog": feed.require_ready}
        app = create_app(
            bidder,
            decisions,
            metrics,
            workers_registry(),
            checks,
            settings.bidder.max_body_bytes,
            doors_of(settings),
            explanations.takes,
        )
        counted = None

        def turn() -> bool:
            nonlocal counted
            if counted is not feed.current:
                counted = feed.current
                metrics.campaigns.set(len(counted))
            metrics.publish()
            explained = explanations.explain_one()
            return turns.run() or explained

        server = make_server(
            app,
            gate.sock,
            dispatcher=turns,
            routes=app.route,
            max_header_bytes=_MAX_HEADER_BYTES,
            kept_body_bytes=settings.bidder.max_body_bytes,
            connections=settings.connections,
        )
        serve(server, stop, turn, settings.bidder.arrival_timeout_sec, gate)


def plan(settings: Settings) -> Plan:
    """Return what to run. Raises AdctlError where the settings lead nowhere."""
    redis_url, kafka_bootstrap = resolve_redis(settings), resolve_kafka(settings)
    signing = load_signing(settings)
    be_worker = partial(work, settings, redis_url, kafka_bootstrap, signing)
    section = settings.bidder
    return Plan((section.host, section.port), section.workers, be_worker)


def main(settings: Settings) -> None:
    """Run the bidder until SIGTERM; SIGHUP reads the configuration again."""
    folder = settings.state_dir / "metrics" / "bidder"
    run_workers(plan(settings), lambda: plan(load_settings()), folder)


if __name__ == "__main__":
    run_daemon("bidder", main)
