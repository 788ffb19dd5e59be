"""However a query was mangled on its way, the event counts as the one that was signed for."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adctl.models import EventKind
from daemons.tracker.parameters import addressed, read
from tests.unit.daemons.tracker.desk import ADVERTISER_KEY, BID, Desk, path_of, token_of

if TYPE_CHECKING:
    from adctl.delivery.tracking import TrackedEvent

BILLED_BY = {"impression": "impression", "bill": "burl", "win": "nurl"}
TOKEN = token_of("bill")
AMPERSANDS = (
    *("&", "&amp;", "&AMP;", "&#38;", "&#038;", "&#x26;", "&#X26;", "&amp;amp;", "&amp;#38;"),
    *("%26", "%2526", "%252526", "%26amp%3B", "%26%2338%3B", "&amp%3B", "%26amp;", ";", "&&"),
)
APPENDED = (
    *("", "?fbclid=abc", ";x=1", "%23frag", "%2523frag", "#top", "%3Ffbclid%3Dabc", "%3Ffbclid=1"),
    *(
        "&gclid=x",
        "&amp;utm_source=a%20b",
        "&x",
        "&=",
        "?",
        ";",
        "?aa=1&bb=2;cc=3",
        "%3Faa=1%26bb=2",
    ),
)
# Behind an order's id these could be a part of it.
RUN_ON = ("/", "//", '"', "%22", "+", "%20", ">", "\\", "&quot;", "%3E", "'")


class Damage(NamedTuple):
    """What may be done to a query: by markup, by encoders, by those who append."""

    ampersand: str
    appended: str
    whole: int
    values: int
    names: str
    begins: str
    twice: bool

    def of(self, told: list[tuple[str, str]]) -> str:
        parts = []
        for name, value in told:
            text = quote(value, safe="")
            for _ in range(self.values):
                text = quote(text, safe="")
            parts.append(f"{name.upper() if self.names == 'capitals' else name}={text}")
        query = self.ampersand.join(parts)
        for _ in range(self.whole):
            query = quote(query, safe="")
        if self.twice:
            query = f"{query}&{query}"
        return f"{self.begins}{query}{self.appended}"


damages = st.builds(
    Damage,
    st.sampled_from(AMPERSANDS),
    st.sampled_from(APPENDED),
    st.integers(0, 2),
    st.integers(0, 2),
    st.sampled_from(["", "capitals"]),
    st.sampled_from(["", "&", "?", "amp;", "&amp;", "utm_source=x&"]),
    st.booleans(),
)


def plain_query(told: list[tuple[str, str]]) -> str:
    return "&".join(f"{name}={quote(value, safe='')}" for name, value in told)


def taken(desk: Desk, kind: str, query: str) -> TrackedEvent | None:
    desk.taken.clear()
    desk.call(path_of(kind), query)
    return desk.taken.pop() if desk.taken else None


@settings(max_examples=600, deadline=None)
@given(
    st.sampled_from(sorted(BILLED_BY)),
    damages,
    st.permutations([("p", "1.40"), ("c", "USD"), ("q", "1"), ("s", str(BID.bid_at_ms + 9))]),
    st.sampled_from(RUN_ON) | st.just(""),
)
def test_mangled_call_counts_as_the_one_we_gave_out_and_its_price_is_read(
    kind: str, damage: Damage, told: list[tuple[str, str]], run_on: str
) -> None:
    desk, query = Desk(BILLED_BY[kind]), [("t", token_of(kind)), *told]
    event = taken(desk, kind, damage.of(query) + run_on)
    assert event is not None
    assert (event.event.cost_nanos, event.event.unpriced) == (1_400_000, False)
    assert event == taken(desk, kind, plain_query(query))


@settings(max_examples=300, deadline=None)
@given(
    damages,
    st.permutations([("v", "12.50"), ("vc", "USD")]),
    st.sampled_from(["A17", "A 17", "Größe-7", "ab/c:1"]),
    st.booleans(),
)
def test_mangled_conversion_counts_as_it_was_told(
    damage: Damage, told: list[tuple[str, str]], order: str, claimed: bool
) -> None:
    desk = Desk()
    told = [("o", order), *told]
    who = [("k", ADVERTISER_KEY), ("u", "reader-7")] if claimed else [("t", token_of("conversion"))]
    event = taken(desk, "conversion", damage.of([*who, *told]))
    assert event is not None
    assert (event.event.order_id, event.event.value_nanos) == (order, 12_500_000_000)
    assert event == taken(desk, "conversion", plain_query([*who, *told]))


@settings(max_examples=300, deadline=None)
@given(damages, st.sampled_from(list(EventKind)), st.integers(0, 10**6), st.booleans())
def test_nothing_unsigned_is_believed_however_it_is_wrapped(
    damage: Damage, kind: str, place: int, of_another_kind: bool
) -> None:
    other = {"click": "impression"}.get(kind, "click")
    token = token_of(other) if of_another_kind else token_of(kind)
    if not of_another_kind:
        # The last character holds bits that say nothing.
        place %= len(token) - 1
        changed = "A" if token[place] != "A" else "B"
        token = f"{token[:place]}{changed}{token[place + 1 :]}"
    desk = Desk()
    assert desk.call(path_of(kind), damage.of([("t", token), ("p", "1.40")])).status_code == 403
    assert not desk.taken


@pytest.mark.parametrize("appended", ["?fbclid=abc", ";x=1", "#top", "&gclid=x", "&amp;x=1"])
def test_what_is_appended_behind_an_orders_id_is_no_part_of_it(appended: str) -> None:
    assert read(f"t={TOKEN}&o=A17{appended}", {}) == {"t": TOKEN, "o": "A17"}


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("o=A%26B&v=1", {"o": "A&B", "v": "1"}),
        ("o=A%3Bx%3D1", {"o": "A;x=1"}),
        ("o=100%25", {"o": "100%"}),
        ("o=A%2B17", {"o": "A+17"}),
        ("o=Gr%F6%DFe", {"o": "Größe"}),
        ("o=Gr%C3%B6%C3%9Fe", {"o": "Größe"}),
        ("o=Gr\u00c3\u00b6\u00c3\u009fe", {"o": "Größe"}),
        ("o=A+17", {"o": "A 17"}),
        ("o=%23{id}", {"o": "#{id}"}),
        ("v=1%2C299.00", {"v": "1,299.00"}),
        ("url=https://x.example/?p=9%26c=EUR", {}),
    ],
)
def test_text_that_is_encoded_as_it_should_be_is_whole(query: str, told: dict[str, str]) -> None:
    assert read(f"t={TOKEN}&{query}", {}) == {"t": TOKEN, **told}


def test_of_a_parameter_that_comes_again_the_first_that_says_anything_counts() -> None:
    assert read("t=x&p=&p=2&p=3", {"t": "x", "p": ["", "2", "3"]}) == {"t": "x", "p": "2"}
    assert read("t=x&p=&p=2;p=4&p=3", {}) == {"t": "x", "p": "2"}


def test_ordinary_query_is_taken_as_it_was_parsed() -> None:
    for query in (f"t={TOKEN}&p=1.40&c=USD", f"t={TOKEN}&p=${{AUCTION_PRICE:B64}}", f"t={TOKEN}"):
        plain = {"t": TOKEN}
        assert read(query, plain) is plain


@pytest.mark.parametrize(
    ("path", "parts"),
    [
        ("click", ("click", "")),
        ("click/", ("click", "")),
        ("click//", ("click", "")),
        ("click?t=x&p=1", ("click", "t=x&p=1")),
        ("click;jsessionid=1", ("click", "jsessionid=1")),
        ("7", ("", "7")),
    ],
)
def test_word_at_the_end_of_a_path_is_parted_from_what_was_run_into_it(
    path: str, parts: tuple[str, str]
) -> None:
    assert addressed(path) == parts


@settings(max_examples=300, deadline=None)
@given(
    st.text(st.characters(max_codepoint=255), max_size=200)
    | st.text("tpov=&?;#%26amp;", max_size=300)
)
def test_no_query_is_an_error(query: str) -> None:
    assert all(isinstance(value, str) for value in read(query, {}).values())


@pytest.mark.parametrize(
    "unit", ["p=;", "&amp;", "%25", "t%3D", "&", ";", "o=?a=", "%26amp%3B", "A"]
)
def test_hostile_query_takes_no_time(unit: str) -> None:
    assert len(read(unit * 10_000, {})) <= 3
