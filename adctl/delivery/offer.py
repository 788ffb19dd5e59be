"""What an impression offers: which creatives may be shown in it, and for how much at least."""

from __future__ import annotations

from decimal import Decimal
from itertools import product
from typing import TYPE_CHECKING

from adctl.delivery import reasons
from adctl.delivery.eligibility import BannerRules, flexible_ratio, offered_sizes
from adctl.delivery.media.audio import fits_audio
from adctl.delivery.media.linear import floor_micros_of
from adctl.delivery.media.native import fits_native
from adctl.delivery.media.video import fits_video
from adctl.models import CreativeKind
from adctl.money import MAX_CPM_MICROS, floor_to_micros

if TYPE_CHECKING:
    from collections.abc import Collection

    from adctl.delivery.currency import Rates
    from adctl.delivery.eligibility import CreativeRules
    from adctl.delivery.targeting import Format, Size
    from adctl.delivery.traits import Traits
    from adctl.models import Creative
    from adctl.openrtb import Banner, Imp


_NONE = Decimal(0)
_SLOTS = (CreativeKind.VIDEO, CreativeKind.AUDIO, CreativeKind.NATIVE)
_NO_SIZE: frozenset[Size] = frozenset()
# By whether an impression takes video, audio and native ads.
_KINDS: dict[tuple[bool, ...], frozenset[Format]] = {
    taken: frozenset((kind,) for kind, is_taken in zip(_SLOTS, taken, strict=True) if is_taken)
    for taken in product((False, True), repeat=len(_SLOTS))
}
_ABOVE_ANY_BID = MAX_CPM_MICROS + 1


class Offer:
    """One impression, prepared to be compared with many creatives.

    ``floor_micros`` is its floor (bidfloor_micros), None where nothing can be said to meet it.
    ``formats`` are those of ``known`` that it takes, and every exact banner size. No creative can
    be shown for less than ``least_floor_micros``.
    """

    def __init__(
        self,
        imp: Imp,
        known: Collection[Format],
        rules: CreativeRules,
        rates: Rates,
        floor_micros: int | None,
    ) -> None:
        self._imp = imp
        self._rules = rules
        self._rates = rates
        self._secure = bool(imp.secure)
        sizes = _NO_SIZE if imp.banner is None else _sizes(imp.banner, known)
        self._banner = (
            None if imp.banner is None else BannerRules(imp.banner, sizes, secure=self._secure)
        )
        # Most requests only list names, and most creatives have none of them: one look at all the
        # names spares those the rules. Only who has one is asked about rule by rule.
        self._blocked: frozenset[str | int] | None = None
        if self._banner is not None and self._banner.only_names and rules.only_names:
            self._blocked = frozenset[str | int]().union(rules.names, self._banner.names)
        self.floor_micros = _ABOVE_ANY_BID if floor_micros is None else floor_micros
        # A range of durations may have a floor under the impression's.
        video, audio = imp.video, imp.audio
        ranged = (video is not None and video.durfloors) or (audio is not None and audio.durfloors)
        self.least_floor_micros = 0 if ranged else self.floor_micros
        self.formats: frozenset[Format] = (
            sizes | _KINDS[video is not None, audio is not None, imp.native is not None]
        )

    def refusal(self, traits: Traits) -> str:
        """Return the reason why a creative may not be shown here, price aside, or ''."""
        if (
            self._blocked is not None
            and traits.plain
            and self._blocked.isdisjoint(traits.named)
            and traits.format in self.formats
        ):
            return ""
        return self._slot_refusal(traits) or self._rules.refusal(traits)

    def floor_of(self, creative: Creative) -> int:
        """Return what a creative that fits has to pay at least, in the account's CPM micros."""
        if creative.kind is CreativeKind.BANNER:
            return self.floor_micros
        imp, media = self._imp, creative.media
        slot = {CreativeKind.VIDEO: imp.video, CreativeKind.AUDIO: imp.audio}.get(creative.kind)
        told = media.video or media.audio
        if slot is None or told is None:
            return self.floor_micros
        own = floor_micros_of(slot, told.duration_sec, floor_to_micros(imp.bidfloor or _NONE))
        converted = self._rates.to_account_micros(own, imp.bidfloorcur)
        return _ABOVE_ANY_BID if converted is None else converted

    def _slot_refusal(self, traits: Traits) -> str:
        creative = traits.creative
        if creative.kind is CreativeKind.BANNER:
            return self._banner.refusal(traits) if self._banner else reasons.CREATIVE_UNFIT
        return "" if self._is_taken(creative) else reasons.CREATIVE_UNFIT

    def _is_taken(self, creative: Creative) -> bool:
        imp, secure = self._imp, self._secure
        match creative.kind:
            case CreativeKind.VIDEO:
                return imp.video is not None and fits_video(creative, imp.video, secure=secure)
            case CreativeKind.AUDIO:
                return imp.audio is not None and fits_audio(creative, imp.audio, secure=secure)
            case CreativeKind.NATIVE:
                return imp.native is not None and fits_native(creative, imp.native, secure=secure)
        return False


def _sizes(banner: Banner, known: Collection[Format]) -> frozenset[Size]:
    exact = offered_sizes(banner)
    if not banner.format or not any(offered.wratio for offered in banner.format):
        return exact
    return exact.union(key for key in known if len(key) == 2 and flexible_ratio(banner, *key))
