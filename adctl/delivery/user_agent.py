"""Which operating system and browser a device says it has, in targeting's vocabulary.

A handful of ordered substring rules, for the price of a microsecond per request; why not a parser
with a database of agents is in docs/decisions/0011-user-agents-by-own-rules.md. What is not
recognised is unknown, and an unknown attribute matches no campaign that restricts it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from adctl.openrtb import Device

# What identifies a browser stands in the first few hundred characters; the rest is not looked at.
_MAX_LENGTH = 512

# An iPad runs what iPhones run, so a campaign for iOS is for both.
_IPADOS = frozenset({"ipados", "ios"})
_UNKNOWN: frozenset[str] = frozenset()

# The first rule that is found decides: televisions and consoles name the Linux, Android or Windows
# they are made of too, and every Android calls itself Linux.
_SYSTEM_RULES: tuple[tuple[str, frozenset[str]], ...] = (
    ("iPad", _IPADOS),
    ("iPhone", frozenset({"ios"})),
    ("iPod", frozenset({"ios"})),
    ("AppleTV", frozenset({"tvos"})),
    ("Apple TV", frozenset({"tvos"})),
    ("Xbox", frozenset({"xbox"})),
    ("PlayStation", frozenset({"playstation"})),
    ("PLAYSTATION", frozenset({"playstation"})),
    ("Roku", frozenset({"roku"})),
    ("Tizen", frozenset({"tizen"})),
    ("Web0S", frozenset({"webos"})),
    ("webOS", frozenset({"webos"})),
    ("Windows Phone", _UNKNOWN),
    ("Windows", frozenset({"windows"})),
    (" AFT", frozenset({"fireos"})),
    ("; KF", frozenset({"fireos"})),
    ("Android", frozenset({"android"})),
    ("CrOS", frozenset({"chromeos"})),
    ("Macintosh", frozenset({"macos"})),
    ("Mac OS X", frozenset({"macos"})),
    ("Linux", frozenset({"linux"})),
)

# Nearly every browser also names Chrome and Safari, so these two come last. Those that map to
# nothing are browsers of their own which the vocabulary does not have.
_BROWSER_RULES: tuple[tuple[str, str], ...] = (
    ("Edg", "edge"),
    ("OPR/", "opera"),
    ("Opera", "opera"),
    ("OPiOS/", "opera"),
    ("OPT/", "opera"),
    ("SamsungBrowser/", "samsung"),
    ("UCBrowser/", "ucbrowser"),
    ("UBrowser/", "ucbrowser"),
    ("FxiOS/", "firefox"),
    ("Firefox/", "firefox"),
    ("Focus/", "firefox"),
    ("YaBrowser/", ""),
    ("Vivaldi/", ""),
    ("Whale/", ""),
    ("MiuiBrowser/", ""),
    ("HuaweiBrowser/", ""),
    ("HeyTapBrowser/", ""),
    ("VivoBrowser/", ""),
    ("QQBrowser/", ""),
    ("DuckDuckGo/", ""),
    ("Silk/", ""),
    ("; wv)", "webview"),
    ("Version/4.0 Chrome/", "webview"),
    ("FBAV/", "webview"),
    ("FB_IAB/", "webview"),
    ("Instagram ", "webview"),
    ("CriOS/", "chrome"),
    ("Chrome/", "chrome"),
)

# What exchanges and browsers write for a system: device.os, and the platform of a structured
# user agent. Lower case, without a version.
_SYSTEM_NAMES: dict[str, frozenset[str]] = {
    name: frozenset({system})
    for system, names in {
        "android": ("android", "android os"),
        "chromeos": ("chromeos", "chrome os", "chromium os", "cros"),
        "fireos": ("fireos", "fire os"),
        "ios": ("ios", "iphone os", "iphoneos"),
        "linux": ("linux", "gnu/linux", "ubuntu", "debian", "fedora"),
        "macos": ("macos", "mac os", "mac os x", "os x", "osx", "mac"),
        "playstation": ("playstation", "orbis os"),
        "roku": ("roku", "roku os", "rokuos"),
        "tizen": ("tizen", "tizen os"),
        "tvos": ("tvos", "apple tvos"),
        "webos": ("webos", "web os", "webos tv"),
        "windows": ("windows", "windows nt", "win32", "microsoft windows"),
        "xbox": ("xbox", "xbox os"),
    }.items()
    for name in names
} | {"ipados": _IPADOS, "ipad os": _IPADOS}

# The brands of a structured user agent. "Chromium" is in all that are built on it and says nothing.
_BRANDS = {
    "google chrome": "chrome",
    "microsoft edge": "edge",
    "firefox": "firefox",
    "opera": "opera",
    "safari": "safari",
    "samsung internet": "samsung",
    "android webview": "webview",
    "microsoft edge webview2": "webview",
}
_MAX_BRANDS = 16


def systems_of(device: Device) -> frozenset[str]:
    """Return the operating system's names, empty if it is unknown.

    The structured user agent is believed first, then device.os, then the user agent.
    """
    platform = device.sua.platform if device.sua else None
    for said in (platform.brand if platform else None, device.os):
        if said and (named := _SYSTEM_NAMES.get(_without_version(said))):
            return named
    return system_of_user_agent(device.ua or "")


def browser_of(device: Device) -> str:
    """Return the browser's name, '' if unknown; the structured user agent is believed first."""
    brands = (device.sua.browsers if device.sua else None) or ()
    for brand in brands[:_MAX_BRANDS]:
        if named := _BRANDS.get((brand.brand or "")[:64].strip().lower()):
            return named
    return browser_of_user_agent(device.ua or "")


def system_of_user_agent(user_agent: str) -> frozenset[str]:
    """Return the operating system's names by a user agent string, empty if unknown."""
    return _system(user_agent[:_MAX_LENGTH])


def browser_of_user_agent(user_agent: str) -> str:
    """Return the browser's name by a user agent string, '' if unknown."""
    return _browser(user_agent[:_MAX_LENGTH])


# Distinct user agents are few beside requests; the bound keeps hostile ones from piling up.
@lru_cache(maxsize=4096)
def _system(user_agent: str) -> frozenset[str]:
    return next((names for sign, names in _SYSTEM_RULES if sign in user_agent), _UNKNOWN)


@lru_cache(maxsize=4096)
def _browser(user_agent: str) -> str:
    named = next((name for sign, name in _BROWSER_RULES if sign in user_agent), None)
    if named is not None:
        return named
    if "AppleWebKit/" not in user_agent or "Android" in user_agent:
        return ""
    if "Version/" in user_agent and "Safari/" in user_agent:
        return "safari"
    # An app's web view on iOS is Safari's engine without Safari's name.
    return "webview" if "Mobile/" in user_agent and "Safari/" not in user_agent else ""


def _without_version(name: str) -> str:
    return name[:64].strip().lower().rstrip("0123456789._ ")
