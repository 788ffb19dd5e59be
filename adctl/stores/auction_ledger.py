"""decide.lua as the bidder calls it: one script for the caps and the money of a whole request."""

from __future__ import annotations

from itertools import cycle
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import msgspec

from adctl.delivery.auction import ImpAuction, Verdict
from adctl.delivery.reasons import OF_SCRIPT
from adctl.delivery.sharding import shard_of
from adctl.errors import StoreUnavailableError
from adctl.stores import keys
from adctl.stores.redis import Script
from adctl.stores.round_trip import SERVER_ID

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from adctl.delivery.auction import Vote
    from adctl.stores.round_trip import RoundTrips

_encode = msgspec.msgpack.Encoder().encode


class RunScript(Protocol):
    """Whatever runs a script once: a worker's shared round trips, or a plain client."""

    def run(self, script: Script, keys: Sequence[str], args: Sequence[str | int | bytes]) -> Any:
        """Return the script's reply. Raises StoreUnavailableError; never repeats it."""


class RedisLedger:
    """A delivery.auction.Ledger on Redis.

    Every request is decided in one shard: its user's, or each in turn where no user is known.
    """

    # What stands behind the script's argument: which server the money must have been made in. A
    # plain client does not tell who it is connected to.
    _server: ClassVar[tuple[str, ...]] = ()

    def __init__(self, scripts: RunScript, hold_sec: int, shards: int = 1) -> None:
        self._scripts = scripts
        self._shards = shards
        self._turns: Iterator[int] = cycle(range(shards))
        self._hold_sec = hold_sec
        self._script = Script("decide")

    def decide(
        self,
        auctions: Sequence[ImpAuction],
        user_hash: str,
        bucket: int,
        now_ms: int,
        *,
        test: bool = False,
    ) -> list[Verdict]:
        """See Ledger."""
        shard, named, told = self._call(auctions, user_hash, bucket, now_ms, test=test)
        reply = self._scripts.run(self._script, named, (told, *self._server))
        return _verdicts(auctions, reply, shard)

    def _call(
        self,
        auctions: Sequence[ImpAuction],
        user_hash: str,
        bucket: int,
        now_ms: int,
        *,
        test: bool,
    ) -> tuple[int, list[str], bytes]:
        """Return the shard, and the script's keys and argument."""
        places: dict[int, int] = {}
        campaigns: list[int] = []
        imps: list[int] = []
        roadblocks = 0
        for auction in auctions:
            imps += (len(auction.candidates), auction.quantity_ppm)
            for candidate in auction.candidates:
                campaign_id = candidate.campaign.id
                place = places.get(campaign_id)
                if place is None:
                    place = places[campaign_id] = len(places) + 1
                    caps = candidate.caps
                    campaigns += (campaign_id, candidate.together, len(caps))
                    roadblocks += candidate.together > 0
                    for cap in caps:
                        campaigns += (cap.limit, cap.window_sec)
                imps += (place, candidate.bid_cpm_micros, candidate.floor_micros)
        shard = shard_of(user_hash, self._shards) if user_hash else next(self._turns)
        named = [
            keys.user(shard, user_hash),
            keys.reservations(shard, bucket),
            keys.buckets(shard),
            *(keys.budget(shard, campaign_id) for campaign_id in places),
        ]
        if self._shards > 1:
            named.append(keys.wanting(shard))
        identified, more = 1 if user_hash else 0, 1 if auctions[0].more else 0
        told = _encode(
            (
                *(now_ms, bucket, self._hold_sec, identified, len(places), len(auctions)),
                *(roadblocks, 1 if test else 0, more),
                *campaigns,
                *imps,
            )
        )
        return shard, named, told


class SharedLedger(RedisLedger):
    """The same for a worker's shared round trips: for answers that are taken in steps, or at once.

    Only money that was made in the server that is asked is bid.
    """

    _server = (SERVER_ID,)

    def __init__(self, round_trips: RoundTrips, hold_sec: int, shards: int = 1) -> None:
        super().__init__(round_trips, hold_sec, shards)
        self._round_trips = round_trips

    def ask(self, vote: Vote, resume: Callable[[list[Verdict] | Exception], object]) -> None:
        """Put ``vote`` to the ledger in this turn; ``resume`` is called with what decide returns.

        Or with what it raises: nobody else's verdicts are lost with one that cannot be read.
        """
        auctions = vote.auctions
        shard, named, told = self._call(
            auctions, vote.user_hash, vote.bucket, vote.now_ms, test=vote.test
        )

        def ran(reply: Any) -> None:
            came = reply
            if not isinstance(reply, StoreUnavailableError):
                try:
                    came = _verdicts(auctions, reply, shard)
                except Exception as exc:  # noqa: BLE001 - told to who asked
                    came = exc
            resume(came)

        self._round_trips.run_for(self._script, named, (told, *self._server), ran)


def _verdicts(auctions: Sequence[ImpAuction], reply: Sequence[int], shard: int) -> list[Verdict]:
    verdicts: list[Verdict] = []
    at = 0
    if not reply:
        return verdicts
    for auction in auctions:
        winner, price, runner_up = reply[at : at + 3]
        end = at + 3 + len(auction.candidates)
        verdicts.append(
            Verdict(
                winner=winner - 1 if winner else None,
                price_cpm_micros=price,
                runner_up=runner_up - 1 if runner_up else None,
                reasons=tuple(map(OF_SCRIPT.__getitem__, reply[at + 3 : end])),
                shard=shard,
            )
        )
        at = end
    return verdicts
