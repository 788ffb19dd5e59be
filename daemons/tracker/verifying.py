"""From what a call carries to what it proves."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple, Protocol

import msgspec

from adctl.delivery.advertiser_keys import AdvertiserKeys
from adctl.delivery.conversion import NO_ORDER, Order
from adctl.delivery.details import LeftOut
from adctl.delivery.landing_page import filled
from adctl.delivery.macros import left_out
from adctl.delivery.price_macro import price_reader_of
from adctl.delivery.sharding import shard_of
from adctl.delivery.tokens import BidToken, Purpose, Signer, hash_user
from adctl.delivery.tracking import BILLING_KIND, PURPOSE_OF, TrackedEvent, claim, track
from adctl.delivery.user_ids import read_user_id
from adctl.errors import Fault, ForgedTokenError
from adctl.models import EventKind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from adctl.config_exchange import ExchangeSettings
    from adctl.delivery.currency import Rates
    from adctl.delivery.macros import ToldMacros


class RatesSource(Protocol):
    """Where the exchange rates of the moment are; they may be others at every call."""

    @property
    def current(self) -> Rates:
        """Return the rates to convert by."""


class Tracked(NamedTuple):
    """A bid, what its event does, and what was told of the event and is left out of it."""

    token: BidToken
    event: TrackedEvent
    left_out: list[LeftOut]


class Users(NamedTuple):
    """How users are known: the key their ids are hashed with, and the number of shards."""

    key: bytes
    shards: int


_NOBODY = Users(bytes(32), 1)


class Verifier:
    """Turns a call's token into what it proves.

    Tokens count for ``ttl_sec`` after their bid, those of conversions for ``conversion_ttl_sec``
    after the click. ``signer`` and ``advertisers`` hold the keys, and may be given others.
    """

    def __init__(
        self,
        keys: Mapping[int, bytes],
        ttl_sec: int,
        exchanges: Mapping[str, ExchangeSettings],
        clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        rates: RatesSource | None = None,
        conversion_ttl_sec: int | None = None,
        users: Users = _NOBODY,
    ) -> None:
        self._rates = rates
        self.signer = Signer(keys)
        self.advertisers = AdvertiserKeys(users.key, keys)
        self._users = users
        self._ttl_sec = dict.fromkeys(EventKind, ttl_sec)
        self._ttl_sec[EventKind.CONVERSION] = conversion_ttl_sec or ttl_sec
        self._exchanges = {
            name: (BILLING_KIND[exchange.billing_event], price_reader_of(exchange))
            for name, exchange in exchanges.items()
        }
        self._clock_ms = clock_ms

    @property
    def rates(self) -> Rates | None:
        """The rates of the moment."""
        return self._rates.current if self._rates else None

    def tracked(
        self, text: str, kind: EventKind, told: ToldMacros, order: Order = NO_ORDER
    ) -> Tracked:
        """Return the bid a token is of, and what its event does.

        Raises ForgedTokenError, ExpiredTokenError or FutureTokenError.
        """
        now_ms = self._clock_ms()
        token = self.signer.verify(text, PURPOSE_OF[kind], now_ms, self._ttl_sec[kind])
        billing_kind, prices = self._exchanges.get(token.exchange, self._exchanges["default"])
        event = track(token, kind, billing_kind, told, now_ms, prices, self.rates, order)
        return Tracked(token, event, left_out(told, event.event, token))

    def clicked(self, text: str) -> BidToken:
        """Return the bid whose ad was clicked on, however long ago. Raises ForgedTokenError."""
        return self.signer.proven(text, Purpose.CLICK)

    def claimed(
        self, advertiser_key: str, user_id: str, order_id: str, order: Order
    ) -> tuple[TrackedEvent | None, list[Fault]]:
        """Return a conversion that an advertiser tells of a user; or all that is wrong with it.

        ``order`` is what was read of the order. It needs an id, ``order_id`` as it was told:
        nothing else would tell a repeat from another conversion.
        """
        faults: list[Fault] = []
        if not order.order_id:
            expected = "what tells this conversion from others"
            faults.append(Fault("order_id", order_id[:40], expected))
        known = read_user_id(user_id)
        if not known:
            expected = "the user's id, as bid requests have it"
            faults.append(Fault("user_id", user_id[:40], expected))
        advertiser_id = 0
        try:
            advertiser_id = self.advertisers.verify(advertiser_key)
        except ForgedTokenError as exc:
            faults.append(Fault("advertiser_key", advertiser_key[:24], f"a key that counts: {exc}"))
        if faults:
            return None, faults
        user_hash = hash_user(self._users.key, known)
        shard = shard_of(user_hash, self._users.shards)
        return claim(advertiser_id, user_hash, shard, order, self._clock_ms()), faults

    def landing_url(self, url: str, token: BidToken, *, counted: bool = True) -> str:
        """Return a creative's landing page with its macros filled in for this bid's click.

        ``{click_id}`` is the token with which the page can report conversions of it; nothing, for a
        click that is not counted.
        """
        now_ms = self._clock_ms()
        clicked = msgspec.structs.replace(token, clicked_at_ms=now_ms)

        def click_id() -> str:
            return self.signer.sign(clicked)[Purpose.CONVERSION] if counted else ""

        return filled(url, token, click_id, now_ms)
