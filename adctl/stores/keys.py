"""Every Redis key adctl uses: its name, its type, its fields, who writes it.

Keys of one user or one budget carry the hash tag of their shard, ``{s0}``, so that everything a
bid touches lies in one slot of a Redis Cluster; so do the catalog's keys, by theirs, which are read
by bidders' refresh threads and the control plane only, never on a bid's path.
"""

from __future__ import annotations

PREFIX = "adctl"

# --- catalog and steering; written by the control plane and the pacer ---

_CATALOG = f"{PREFIX}:{{catalog}}"

ACTIVE = f"{_CATALOG}:active"
"""set: ids of the campaigns that may be served; absent means the catalog has to be filled."""

CHANGES = f"{_CATALOG}:changes"
"""pub/sub channel: a campaign's id, after its key has been written."""

FACTORS = f"{_CATALOG}:factors"
"""hash: campaign id → Factors as JSON, written by the pacer every second."""


SHARDS = f"{_CATALOG}:shards"
"""string: the number of shards that everything below is kept in."""


KEY_HOLDERS = f"{_CATALOG}:key_holders"
"""hash: a worker of a bidder or tracker → ``<ms> <KeyHolder as JSON>``, told every two seconds."""

KEY_USES = f"{_CATALOG}:key_uses"
"""sorted set: a key → the moment in ms at which it was last used.

``signed/<id>/<fingerprint>`` is a signing key with which somebody was ready to sign,
``pixel/<advertiser>.p<number>`` an advertiser's key, and ``pixel/<advertiser>.<id>`` one of the
older way.
"""

RETIRED_PIXELS = f"{_CATALOG}:retired_pixels"
"""set: names of advertisers' keys that do not count any more; it only grows."""


def campaign(campaign_id: int) -> str:
    """Return the key (string, with a TTL) of a Campaign's JSON, creatives included."""
    return f"{_CATALOG}:campaign:{campaign_id}"


# --- money, caps and events; written by scripts only ---


def budget(shard: int, campaign_id: int) -> str:
    """Return the key (hash) of a campaign's money in nanos.

    ``budget``, ``available``, ``reserved``, ``spent`` for the flight, ``day`` (ISO date in the
    campaign's zone), ``day_budget``, ``day_available``, ``day_spent`` for its day; ``late``: the
    part of ``spent`` whose reservation was gone; ``cut``: what a budget that was lowered, or
    rebuilt, is over for that reason; ``exposed``: reservations that have expired and
    whose bids could still be billed; ``server``: the run id of the server it was made in, the only
    one in which it counts; ``read_at``: the stream ids up to which the ledger had been written when
    it was made. Always, and after every script:
    ``spent + reserved + available == budget`` and
    ``day_spent + reserved + day_available == day_budget``.

    Where money is divided among shards, these are the shard's share, and there are also ``epoch``,
    which all shards of a campaign have in common; ``to:<shard>``, a transfer on its way (number,
    nanos, nanos of the day, day); ``from:<shard>``, the number of the newest that came;
    ``transfers``, how many were sent; and in the first shard ``total`` and ``day_total``, the
    campaign's budgets, ``begin`` and ``day_begin``, what the other shards began with, and
    ``joined`` 0/1, whether all have.
    """
    return f"{PREFIX}:{{s{shard}}}:budget:{campaign_id}"


def wanting(shard: int) -> str:
    """Return the key (hash) of the campaigns whose share is to be looked at.

    Campaign id → the price in nanos it could not pay, 0 for one with a transfer on its way.
    """
    return f"{PREFIX}:{{s{shard}}}:wanting"


def reservations(shard: int, bucket: int | str) -> str:
    """Return the key (hash) of one bucket of bids: campaign id → nanos still reserved."""
    return f"{PREFIX}:{{s{shard}}}:reserved:{bucket}"


def buckets(shard: int) -> str:
    """Return the key (set) of the reservation buckets that have not been expired."""
    return f"{PREFIX}:{{s{shard}}}:buckets"


EXPOSED_TOGETHER = 60
"""How many expired buckets are one batch: a day of minutes is too much to add up every minute."""


def exposed(shard: int, batch: int | str) -> str:
    """Return the key (hash) of one batch of expired buckets: campaign id → nanos that may come."""
    return f"{PREFIX}:{{s{shard}}}:exposed:{batch}"


def exposed_batches(shard: int) -> str:
    """Return the key (set) of the batches that have an ``exposed`` hash."""
    return f"{PREFIX}:{{s{shard}}}:exposed_batches"


def seen(shard: int, bucket: int) -> str:
    """Return the key (hash, with a TTL) of what has happened to a bucket's bids, by bid id.

    Its values are words: ``<kind>=<cpm micros told>`` of every event, ``ended`` once the bid's
    reservation has, ``billed`` once its cost is booked, ``unheld`` once its hold on the frequency
    cap has ended.
    """
    return f"{PREFIX}:{{s{shard}}}:seen:{bucket}"


def user(shard: int, user_hash: str) -> str:
    """Return the key (hash, TTL of its longest window) of what one user has been shown.

    Fields ``<campaign>:<window_sec>:<n>`` count the impressions in the n-th eighth of a window;
    ``<campaign>:h:<n>`` the bids in flight in the n-th hold period.
    """
    return f"{PREFIX}:{{s{shard}}}:user:{user_hash}"


def touches(shard: int, user_hash: str) -> str:
    """Return the key (hash, TTL of the longest window) of what one user can convert from.

    ``<advertiser>:click`` and ``<advertiser>:view`` are the last of each;
    ``<advertiser>:order:<digest>`` the bid that an order was counted for.
    """
    return f"{PREFIX}:{{s{shard}}}:touches:{user_hash}"


def counters(shard: int, campaign_id: int | str) -> str:
    """Return the key (hash) of a campaign's live counts: event kind → events."""
    return f"{PREFIX}:{{s{shard}}}:counters:{campaign_id}"


def events(shard: int) -> str:
    """Return the key (stream) of events not yet flushed.

    Fields, in this order: ``e`` Event JSON, ``late`` 0/1, ``odd`` track.lua's verdict; and
    ``rejected`` in an entry that was made of one in PostgreSQL's rejected_event, by its name: what
    that costs counts there, and not in the stream.
    """
    return f"{PREFIX}:{{s{shard}}}:events"


def trimmed(shard: int) -> str:
    """Return the key (string) of the stream id up to which events were confirmed and forgotten."""
    return f"{PREFIX}:{{s{shard}}}:trimmed"


def mark(shard: int) -> str:
    """Return the key (string) of a number that the pacer moves on, here and in PostgreSQL.

    One that is behind PostgreSQL's is of a Redis from the past.
    """
    return f"{PREFIX}:{{s{shard}}}:mark"


def generation(shard: int) -> str:
    """Return the key (string) of what was confirmed of this server: ``<generation> <run id>``.

    The generation goes up when a Redis was found to be from the past, and its money made anew.
    """
    return f"{PREFIX}:{{s{shard}}}:generation"


def flushed(shard: int) -> str:
    """Return the key (string) of the stream id up to which PostgreSQL has the events.

    Written by the flusher after each commit. It may be missing, or older than that, never newer.
    """
    return f"{PREFIX}:{{s{shard}}}:flushed"
