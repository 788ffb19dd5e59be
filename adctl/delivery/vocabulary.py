"""The names targeting speaks in, and the OpenRTB 2.6 (AdCOM 1.0) numbers they stand for.

One list for both sides: what an operator may write, and what a bid request is read as. All names
are lower case. A number can mean several names at once: a 4G connection is also ``cellular``.
"""

from __future__ import annotations

# AdCOM list "Device Types". 1 is "mobile or tablet, unknown which", so it may be either.
DEVICE_TYPES: dict[int, frozenset[str]] = {
    1: frozenset({"mobile", "tablet"}),
    2: frozenset({"desktop"}),
    3: frozenset({"tv"}),
    4: frozenset({"mobile"}),
    5: frozenset({"tablet"}),
    6: frozenset({"connected"}),
    7: frozenset({"settop"}),
    8: frozenset({"ooh"}),
}

# AdCOM list "Connection Types"; 0 or absent is unknown.
CONNECTION_TYPES: dict[int, frozenset[str]] = {
    1: frozenset({"ethernet"}),
    2: frozenset({"wifi"}),
    3: frozenset({"cellular"}),
    4: frozenset({"cellular", "2g"}),
    5: frozenset({"cellular", "3g"}),
    6: frozenset({"cellular", "4g"}),
    7: frozenset({"cellular", "5g"}),
}

DEVICES: frozenset[str] = frozenset[str]().union(*DEVICE_TYPES.values())
CONNECTIONS: frozenset[str] = frozenset[str]().union(*CONNECTION_TYPES.values())

OPERATING_SYSTEMS: frozenset[str] = frozenset(
    {
        "android",
        "chromeos",
        "fireos",
        "ios",
        "ipados",
        "linux",
        "macos",
        "playstation",
        "roku",
        "tizen",
        "tvos",
        "webos",
        "windows",
        "xbox",
    }
)

BROWSERS: frozenset[str] = frozenset(
    {
        "chrome",
        "edge",
        "firefox",
        "opera",
        "safari",
        "samsung",
        "ucbrowser",
        "webview",
    }
)

WEEKDAYS: tuple[str, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
