"""``python -m tests.bench.year URL [--events N] [--campaigns N] [--days N]``: a year of data, made.

PostgreSQL makes it itself, a day at a time: campaigns, events, their ledger, rollups and statement
lines, as if flusher and consumers had done so on a cluster that is gone. The database must be empty
but for its schema, which is brought up to date. A million events take about half a gigabyte with
all that comes of them.
"""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

import psycopg

from adctl.stores.migrations import migrate

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date

OLD_CLUSTER = "the-last-cluster"
USERS = 100_000
_CAMPAIGNS_AN_ADVERTISER = 20


class Size(NamedTuple):
    """How much there is to be: half of the events cost something, which is two entries each."""

    events: int = 1_000_000
    campaigns: int = 10_000
    days: int = 365


def fill(
    postgres_url: str,
    size: Size,
    until: datetime | None = None,
    tell: Callable[[date], None] = lambda _: None,
) -> None:
    """Fill an empty database with the days before ``until`` (now), spread evenly.

    ``tell`` hears of each day that is done. What has been made is analyzed, as it would be by then.
    """
    migrate(postgres_url)
    until = until or datetime.now(UTC)
    with psycopg.connect(postgres_url, autocommit=True, options="-c timezone=UTC") as conn:
        # A crash in here means to begin anew anyway.
        conn.execute("SET synchronous_commit = off")
        make_campaigns(conn, size.campaigns)
        today = until.date()
        for ago in reversed(range(size.days)):
            day = today - timedelta(days=ago)
            first, last = (size.events * (size.days - ago - less) // size.days for less in (1, 0))
            begins = datetime(day.year, day.month, day.day, tzinfo=UTC)
            ends = min(begins + timedelta(days=1), until)
            _fill_day(conn, size, begins, ends, first, last)
            tell(day)
        _finish(conn, size, until)


def make_campaigns(conn: psycopg.Connection, campaigns: int) -> None:
    """Make that many active campaigns with a creative each, and their advertisers, from id 1 on."""
    conn.execute(
        """INSERT INTO advertiser (name)
           SELECT 'advertiser ' || n FROM generate_series(1, %s) AS n""",
        [-(-campaigns // _CAMPAIGNS_AN_ADVERTISER)],
    )
    conn.execute(
        """INSERT INTO campaign (advertiser_id, name, status, bid_strategy, bid_amount_micros,
               daily_budget_nanos, total_budget_nanos, starts_at, timezone, pacing)
           SELECT 1 + (n - 1) / %s, 'campaign ' || n, 'active', 'cpm', 2000000 + n %% 1000 * 1000,
                  100000000000000, 100000000000000000, '2020-01-01Z', 'UTC', 'asap'
           FROM generate_series(1, %s) AS n""",
        [_CAMPAIGNS_AN_ADVERTISER, campaigns],
    )
    conn.execute(
        """INSERT INTO creative (campaign_id, name, kind, status, landing_url, adomain, width,
               height, image_url)
           SELECT n, 'banner', 'banner', 'active', 'https://shop.example/' || n,
                  '["shop.example"]', 300, 250, 'https://cdn.example/' || n || '.png'
           FROM generate_series(1, %s) AS n""",
        [campaigns],
    )


def _fill_day(
    conn: psycopg.Connection, size: Size, begins: datetime, ends: datetime, first: int, last: int
) -> None:
    """Make the events from number ``first`` to before ``last``, and all that comes of them."""
    conn.execute("SELECT event_partition(%s)", [begins.date()])
    of_day = {
        "campaigns": size.campaigns,
        "begins": begins,
        "step": (ends - begins) / max(last - first, 1),
        "ends": begins + timedelta(days=1),
        "first": first,
        "last": last,
        "users": USERS,
        "of_one": _CAMPAIGNS_AN_ADVERTISER,
    }
    # Of ten events five are impressions and three wins; one in fifty is a conversion.
    conn.execute(
        """INSERT INTO event (event_date, event_id, kind, occurred_at, bid_id, campaign_id,
               creative_id, exchange, price_cpm_micros, cost_nanos, unpriced, late, test,
               loss_reason, user_hash, stream_id, advertiser_id, bid_cpm_micros, site, country,
               device)
           SELECT %(begins)s::date, 'e' || to_hex(n + 68719476736) || ':' || kind, kind, at,
                  'e' || to_hex(n + 68719476736), campaign, campaign, 'default', 2000000,
                  CASE WHEN kind = 'impression' THEN 2000000 + n %% 100 ELSE 0 END,
                  false, n %% 1000 = 7, false, CASE WHEN kind = 'loss' THEN 102 ELSE 0 END,
                  md5((n * 7919 %% %(users)s)::text),
                  (extract(epoch FROM at) * 1000)::bigint || '-' || n %% 1000,
                  1 + (campaign - 1) / %(of_one)s, 2500000 + n %% 64 * 50000,
                  'site-' || n %% 50 || '.example', (ARRAY['DE', 'FR', 'US', 'GB'])[1 + n %% 4],
                  (ARRAY['mobile', 'desktop', 'tablet'])[1 + n %% 3]
           FROM (SELECT n, %(begins)s + %(step)s * (n - %(first)s) AS at,
                        1 + (n * 104729 %% %(campaigns)s)::integer AS campaign,
                        (ARRAY['impression', 'win', 'impression', 'win', 'impression', 'win',
                               'impression', 'loss', 'impression',
                               CASE WHEN n %% 50 = 9 THEN 'conversion' ELSE 'click' END]
                        )[1 + n %% 10] AS kind
                 FROM generate_series(%(first)s::bigint, %(last)s::bigint - 1) AS n) AS drawn""",
        of_day,
    )
    conn.execute(
        """INSERT INTO ledger_entry (transaction, account, campaign_id, amount_nanos, occurred_at,
               booked_at, exchange, late)
           SELECT event_id, account, campaign_id, sign * cost_nanos, occurred_at, occurred_at,
                  exchange, late
           FROM event, (VALUES ('campaign', 1), ('exchange', -1)) AS side (account, sign)
           WHERE event_date = %(begins)s::date AND cost_nanos > 0
           ORDER BY occurred_at, event_id, account""",
        of_day,
    )
    conn.execute(
        """INSERT INTO rollup_delivery (hour, campaign_id, creative_id, exchange, site, country,
               device, wins, losses, impressions, clicks, conversions, view_conversions,
               spend_nanos, value_nanos)
           SELECT * FROM delivery_of_events(%(begins)s, %(ends)s) ORDER BY 1, 2""",
        of_day,
    )
    conn.execute(
        """INSERT INTO rollup_landscape (hour, exchange, country, device, price_bucket, wins,
               losses, paid_micros)
           SELECT date_trunc('hour', occurred_at, 'UTC'), exchange, country, device,
                  price_bucket(bid_cpm_micros), count(*) FILTER (WHERE kind = 'win'),
                  count(*) FILTER (WHERE kind = 'loss'),
                  coalesce(sum(price_cpm_micros) FILTER (WHERE kind = 'win'), 0)
           FROM event
           WHERE event_date = %(begins)s::date AND kind IN ('win', 'loss')
           GROUP BY 1, 2, 3, 4, 5""",
        of_day,
    )
    conn.execute(
        """INSERT INTO statement_line
           SELECT event_date, campaign_id, exchange, count(*), sum(cost_nanos),
                  count(*) FILTER (WHERE late),
                  coalesce(sum(cost_nanos) FILTER (WHERE late), 0), 0, 0
           FROM event WHERE event_date = %(begins)s::date AND cost_nanos > 0
           GROUP BY 1, 2, 3""",
        of_day,
    )


def _finish(conn: psycopg.Connection, size: Size, until: datetime) -> None:
    """Say that all of it was relayed to a cluster that is gone, and counted by every group."""
    last_id = f"{int(until.timestamp() * 1000)}-0"
    with conn.cursor() as cursor:
        cursor.executemany(
            """INSERT INTO stream_position (stream, reader, last_id)
               VALUES ('adctl:{s0}:events', %s, %s)""",
            [("postgres", last_id), (f"kafka:{OLD_CLUSTER}", last_id)],
        )
        keyed = ("wins", "impressions", "clicks", "conversions")
        read = {"analytics": keyed, "billing": keyed[:2]}
        cursor.executemany(
            """INSERT INTO consumer_position (cluster_id, consumer_group, topic, partition,
                   next_offset, last_stream_id)
               VALUES (%s, %s, %s, 0, %s, %s)""",
            [
                (OLD_CLUSTER, group, topic, size.events, last_id)
                for group, topics in read.items()
                for topic in topics
            ],
        )
    conn.execute("VACUUM ANALYZE")


def main() -> None:
    """Fill the database that the arguments name."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.year", description=__doc__)
    parser.add_argument("url", help="the PostgreSQL database, empty")
    parser.add_argument("--events", type=int, default=Size().events)
    parser.add_argument("--campaigns", type=int, default=Size().campaigns)
    parser.add_argument("--days", type=int, default=Size().days)
    parser.add_argument("--progress", action="store_true", help="print each day that is done")
    arguments = parser.parse_args()

    def tell(day: date) -> None:
        if arguments.progress:
            sys.stdout.write(f"{day}\n")
            sys.stdout.flush()

    size = Size(arguments.events, arguments.campaigns, arguments.days)
    fill(arguments.url, size, tell=tell)


if __name__ == "__main__":
    main()
