from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adctl.delivery.domains import domain_and_above, normal_domain, normal_domains
from tests.unit.delivery.spellings import DOMAINS, WAYS_OF_DOMAINS

if TYPE_CHECKING:
    from collections.abc import Callable


@settings(max_examples=300, deadline=None)
@given(DOMAINS, WAYS_OF_DOMAINS)
def test_a_domain_has_one_spelling_however_it_is_written(
    domain: str, way: Callable[[str], str]
) -> None:
    plain = normal_domain(domain)
    assert plain.isascii()
    assert "." in plain
    assert normal_domain(way(domain)) == plain


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(), st.text(alphabet="aZ0-_.:/@?#*%\\ wüß\u200d\u3002", max_size=30)))
def test_a_normal_domain_is_its_own_normal_form_whatever_it_was_read_from(text: str) -> None:
    domain = normal_domain(text)
    assert normal_domain(domain) == domain
    assert domain.isascii()
    assert len(domain) <= 253


@pytest.mark.parametrize(
    ("text", "domain"),
    [
        ("straße.de", "xn--strae-oqa.de"),
        ("STRASSE.de", "strasse.de"),
        ("i❤.ws", "xn--i-7iq.ws"),
        ("xn--i-7iq.ws", "xn--i-7iq.ws"),
        ("r3---sn-x.video.example", "r3---sn-x.video.example"),
        ("my_shop.example", "my_shop.example"),
        ("192.0.2.7:80", "192.0.2.7"),
        ("www.example.co.uk", "example.co.uk"),
        ("www.www.example.com", "example.com"),
    ],
)
def test_domains_are_read_as_browsers_do(text: str, domain: str) -> None:
    assert normal_domain(text) == domain


@pytest.mark.parametrize("text", ["www.com", "www.co.uk"])
def test_www_of_a_registry_is_a_site_and_not_all_that_the_registry_has(text: str) -> None:
    assert normal_domain(text) == text


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", ".", "a..b", "foo bar.com", "a,b.com", "${DOMAIN}", "[DOMAIN]", "%%SITE%%"),
        *("about:blank", "javascript:alert(1)", "file:///etc/hosts", "android-app://com.example"),
        *("http://[::1]/", "example.com:http", "https://", "x" * 64 + ".com", "ü" * 300),
        # Invisible joiners, letters from right to left, and encodings of plain letters: they would
        # pass for other sites.
        *("exam\u200dple.com", "xn--example-.com", "xn--99999999999.com", "אa1.com"),
    ],
)
def test_what_is_no_host_name_is_no_domain(text: str) -> None:
    assert normal_domain(text) == ""


def test_what_cannot_be_read_in_a_list_stands_for_itself_as_nothing() -> None:
    assert normal_domains(["a.com", "WWW.A.com", "?"]) == {"a.com", ""}
    assert normal_domains(None) == frozenset()


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.one_of(
            DOMAINS.map(normal_domain),
            st.builds(lambda domain, way: way(domain), DOMAINS, WAYS_OF_DOMAINS),
            st.sampled_from(["", "\na.com", "a.com\n", "a\nb.com", ".", "www.a.com", "a.com."]),
        ),
        min_size=20,
    )
)
def test_a_long_list_is_read_as_each_of_its_names_is(texts: list[str]) -> None:
    assert normal_domains(texts) == set(map(normal_domain, texts))
    plain = [f"site{number}.example" for number in range(20)]
    assert normal_domains([*plain, texts[0]]) == {*plain, normal_domain(texts[0])}


def test_those_above_a_domain_end_with_its_registry_and_an_address_has_none() -> None:
    assert domain_and_above("a.b.com") == ("a.b.com", "b.com", "com")
    assert domain_and_above("192.0.2.7") == ("192.0.2.7",)
    assert domain_and_above("") == ()


def test_a_plain_domain_is_the_very_text_that_was_read() -> None:
    text = "news.example.com"
    assert normal_domain(text) is text
