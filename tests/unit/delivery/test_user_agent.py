from __future__ import annotations

import time

import pytest

from adctl.delivery.user_agent import (
    browser_of,
    browser_of_user_agent,
    system_of_user_agent,
    systems_of,
)
from adctl.delivery.vocabulary import BROWSERS, OPERATING_SYSTEMS
from adctl.openrtb import BrandVersion, Device, UserAgent

WEBKIT = "AppleWebKit/605.1.15 (KHTML, like Gecko)"


IPHONE = "iPhone; CPU iPhone OS 17_5 like Mac OS X"
MAC = "Macintosh; Intel Mac OS X 10_15_7"


@pytest.mark.parametrize(
    ("platform", "products", "system", "browser"),
    [
        ("Windows NT 10.0", "Chrome/127.0 Safari/537.36", "windows", "chrome"),
        ("Windows NT 10.0", "Chrome/127.0 Safari/537.36 Edg/127.0", "windows", "edge"),
        ("X11; Linux x86_64", "Chrome/127.0 Safari/537.36 OPR/113.0", "linux", "opera"),
        (MAC, "Version/17.5 Safari/605.1.15", "macos", "safari"),
        (IPHONE, "Version/17.5 Mobile/15E148 Safari/604.1", "ios", "safari"),
        (IPHONE, "CriOS/127.0 Mobile/15E148 Safari/604.1", "ios", "chrome"),
        (IPHONE, "FxiOS/128.0 Mobile/15E148 Safari/605.1.15", "ios", "firefox"),
        (IPHONE, "Mobile/15E148", "ios", "webview"),
        ("Linux; Android 14; Pixel 8", "Chrome/127.0 Mobile Safari/537.36", "android", "chrome"),
        (
            "Linux; Android 14; SM-S921B",
            "SamsungBrowser/26.0 Chrome/122.0 Mobile Safari/537.36",
            "android",
            "samsung",
        ),
        (
            "Linux; Android 14; Pixel 8; wv",
            "Version/4.0 Chrome/127.0 Mobile Safari/537.36",
            "android",
            "webview",
        ),
        (
            "Linux; U; Android 13; en-US; X",
            "Version/4.0 Chrome/100.0 UCBrowser/13.4 Mobile Safari/537.36",
            "android",
            "ucbrowser",
        ),
        ("X11; CrOS x86_64 14541.0.0", "Chrome/127.0 Safari/537.36", "chromeos", "chrome"),
        (
            "Linux; Android 9; AFTMM Build/PS7633; wv",
            "Version/4.0 Chrome/108.0 Mobile Safari/537.36",
            "fireos",
            "webview",
        ),
        ("Web0S; Linux/SmartTV", "Chrome/94.0 Safari/537.36", "webos", "chrome"),
        ("SMART-TV; LINUX; Tizen 7.0", "Version/7.0 TV Safari/537.36", "tizen", "safari"),
        ("Windows NT 10.0; Xbox; Xbox One", "Chrome/127.0 Edge/44.18363", "xbox", "edge"),
        (
            "PlayStation; PlayStation 5/8.20",
            "Version/16.0 Safari/605.1.15",
            "playstation",
            "safari",
        ),
    ],
)
def test_user_agents_of_the_day_are_recognised(
    platform: str, products: str, system: str, browser: str
) -> None:
    user_agent = f"Mozilla/5.0 ({platform}) {WEBKIT} {products}"
    assert system_of_user_agent(user_agent) == {system}
    assert browser_of_user_agent(user_agent) == browser


@pytest.mark.parametrize(
    ("user_agent", "system", "browser"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Firefox/128.0", "linux", "firefox"),
        ("Roku/DVP-12.5 (12.5.0.4178)", "roku", ""),
        ("AppleTV11,1/17.5", "tvos", ""),
    ],
)
def test_agents_of_another_form_are_recognised(user_agent: str, system: str, browser: str) -> None:
    assert system_of_user_agent(user_agent) == {system}
    assert browser_of_user_agent(user_agent) == browser


def test_an_ipad_is_both_ipados_and_ios() -> None:
    user_agent = f"Mozilla/5.0 (iPad; CPU OS 16_6 like Mac OS X) {WEBKIT} Version/16.6 Safari/604.1"
    assert system_of_user_agent(user_agent) == {"ipados", "ios"}


@pytest.mark.parametrize(
    "user_agent", ["", "ua", "Mozilla/5.0", "curl/8.9.1", "\0" * 100, "💥" * 900]
)
def test_what_is_not_recognised_is_unknown(user_agent: str) -> None:
    assert system_of_user_agent(user_agent) == frozenset()
    assert browser_of_user_agent(user_agent) == ""


def test_a_browser_outside_the_vocabulary_is_not_taken_for_chrome() -> None:
    user_agent = (
        f"Mozilla/5.0 (Windows NT 10.0) {WEBKIT} Chrome/124.0.0.0 YaBrowser/24.6 Safari/537"
    )
    assert browser_of_user_agent(user_agent) == ""


def test_a_megabyte_of_user_agent_costs_no_time() -> None:
    device = Device(ua="Mozilla/5.0 (" + "Android " * 131_072)
    began = time.perf_counter()
    for _ in range(100):
        systems_of(device)
        browser_of(device)
    assert time.perf_counter() - began < 0.1


def test_the_structured_user_agent_is_believed_before_the_others() -> None:
    device = Device(
        ua="Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
        os="Windows",
        sua=UserAgent(
            browsers=[
                BrandVersion(brand="Not?A_Brand"),
                BrandVersion(brand="Chromium"),
                BrandVersion(brand="Microsoft Edge"),
            ],
            platform=BrandVersion(brand="macOS"),
        ),
    )
    assert systems_of(device) == {"macos"}
    assert browser_of(device) == "edge"


def test_a_structured_user_agent_that_says_nothing_leaves_it_to_the_string() -> None:
    device = Device(
        ua="Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
        sua=UserAgent(browsers=[BrandVersion(brand="Chromium"), BrandVersion()]),
    )
    assert systems_of(device) == {"linux"}
    assert browser_of(device) == "firefox"


@pytest.mark.parametrize(
    ("told", "system"),
    [
        ("iOS", "ios"),
        ("ANDROID", "android"),
        ("OS X", "macos"),
        ("Mac OS", "macos"),
        ("Windows 10", "windows"),
        (" Android 11 ", "android"),
    ],
)
def test_systems_are_known_by_what_exchanges_call_them(told: str, system: str) -> None:
    assert systems_of(Device(os=told)) == {system}


def test_every_name_is_in_the_vocabulary() -> None:
    agents = [
        "iPad",
        "iPhone",
        "AppleTV",
        "Xbox",
        "PlayStation",
        "Roku",
        "Tizen",
        "webOS",
        "Windows",
        "; KF",
        "Android",
        "CrOS",
        "Macintosh",
        "Linux",
    ]
    assert frozenset().union(*map(system_of_user_agent, agents)) == OPERATING_SYSTEMS
    browsers = ["Edg/", "OPR/", "SamsungBrowser/", "UCBrowser/", "Firefox/", "; wv)", "Chrome/"]
    safari = f"{WEBKIT} Version/17 Safari/605"
    assert {browser_of_user_agent(agent) for agent in [*browsers, safari]} == BROWSERS
