"""Why a request, an impression or a campaign got no bid: one catalogue, one word each.

The words are what metrics, the decision log and `adctl` show; docs/no-bid-reasons.md explains them.
"""

from __future__ import annotations

# --- of a whole request or one of its impressions ---
MALFORMED = "malformed"  # answered 400
UNREADABLE = "unreadable"  # an attribute that protects somebody cannot be read
VERSION = "version"  # of OpenRTB 3, another format
CURRENCY = "currency"  # none of the allowed currencies is the account's, or the floor's is not
SEAT = "seat"  # our seat is not allowed, or blocked
SCHAIN = "schain"  # the supply chain is not what it must be, or not complete where it has to be
CRAWLER = "crawler"  # a search engine's or a test tool's browser: nobody sees the ad
PRIVACY = "privacy"  # the GDPR applies without consent, and the policy is not to bid then
TIMEOUT = "timeout"  # no time would be left to answer
PRIVATE_AUCTION = "private_auction"  # only listed deals, and no campaign buys one
FORMAT = "format"  # no media type or size we serve
INSECURE = "insecure"  # https markup is asked for, our tracker's public URL is http
NO_CAMPAIGN = "no_campaign"  # no active campaign targets this request
NO_CREATIVE = "no_creative"  # those that do have no creative that may be shown
QUANTITY = "quantity"  # one display would be no impressions, or more than can be paid
FLOOR = "floor"  # every bid is under the floor
CEILING = "ceiling"  # a deal's fixed price is above what its buyers bid at most
RATE_LIMIT = "rate_limit"  # more requests a second than the exchange is allowed
UNAVAILABLE = "unavailable"  # Redis did not answer: what cannot be reserved is not bid
TOO_MANY_IMPS = "too_many_imps"  # beyond the impressions looked at

# --- of a campaign that is not in the catalog ---
NO_BALANCE = "no_balance"  # its advertiser pays in advance, and that is used up

# --- of a campaign that was a candidate ---
WON = ""
OUTBID = "outbid"  # could have won, but another bid more
NOT_NEEDED = "not_needed"  # never looked at: winner and runner-up were found before it
FREQUENCY_CAP = "frequency_cap"
TOTAL_BUDGET = "total_budget"
DAY_BUDGET = "day_budget"
NO_MONEY_STATE = "no_money_state"  # Redis knows nothing of its budget (yet)
SAME_REQUEST = "same_request"  # won another impression of this request
ROADBLOCK = "roadblock"  # takes all impressions of a page or none, and cannot have all of these
UNIDENTIFIED = "unidentified"  # capped, and the user may not be identified

# --- of a campaign passed over before it was a candidate ---
PACED = "paced"  # ahead of its pace: it bids nothing for a while
CREATIVE_UNFIT = "creative_unfit"  # the slot takes no such file, length, protocol or framework
BLOCKED_ADVERTISER = "blocked_advertiser"
BLOCKED_APP = "blocked_app"
BLOCKED_CATEGORY = "blocked_category"
BLOCKED_ATTRIBUTE = "blocked_attribute"
BLOCKED_LANGUAGE = "blocked_language"
INSECURE_CREATIVE = "insecure_creative"  # it loads something by http, for an https page

# --- of a campaign that is not for the request; told for one request in many ---
INACTIVE = "inactive"  # the campaign or its creatives are paused
FLIGHT = "flight"  # its flight has not begun, or is over
HOURS = "hours"  # outside its time windows
TARGETING_FORMAT = "targeting_format"
TARGETING_COUNTRY = "targeting_country"
TARGETING_REGION = "targeting_region"
TARGETING_CITY = "targeting_city"
TARGETING_METRO = "targeting_metro"
TARGETING_POSTAL_CODE = "targeting_postal_code"
TARGETING_LOCATION = "targeting_location"
TARGETING_DEVICE = "targeting_device"
TARGETING_OS = "targeting_os"
TARGETING_BROWSER = "targeting_browser"
TARGETING_CONNECTION = "targeting_connection"
TARGETING_LANGUAGE = "targeting_language"
TARGETING_CATEGORY = "targeting_category"
TARGETING_INVENTORY = "targeting_inventory"
TARGETING_SEGMENTS = "targeting_segments"

NBR = {
    UNAVAILABLE: 1,
    NO_MONEY_STATE: 1,
    MALFORMED: 2,
    UNREADABLE: 2,
    VERSION: 2,
    CRAWLER: 3,
    UNIDENTIFIED: 8,
    FREQUENCY_CAP: 9,
    TIMEOUT: 15,
    SCHAIN: 16,
    CURRENCY: 500,
    SEAT: 501,
    ROADBLOCK: 502,
    PRIVACY: 503,
    PRIVATE_AUCTION: 504,
    FORMAT: 505,
    INSECURE: 506,
    NO_CAMPAIGN: 507,
    PACED: 507,
    INACTIVE: 507,
    FLIGHT: 507,
    HOURS: 507,
    TARGETING_FORMAT: 507,
    TARGETING_COUNTRY: 507,
    TARGETING_REGION: 507,
    TARGETING_CITY: 507,
    TARGETING_METRO: 507,
    TARGETING_POSTAL_CODE: 507,
    TARGETING_LOCATION: 507,
    TARGETING_DEVICE: 507,
    TARGETING_OS: 507,
    TARGETING_BROWSER: 507,
    TARGETING_CONNECTION: 507,
    TARGETING_LANGUAGE: 507,
    TARGETING_CATEGORY: 507,
    TARGETING_INVENTORY: 507,
    TARGETING_SEGMENTS: 507,
    NO_CREATIVE: 508,
    CREATIVE_UNFIT: 508,
    BLOCKED_ADVERTISER: 508,
    BLOCKED_APP: 508,
    BLOCKED_CATEGORY: 508,
    BLOCKED_ATTRIBUTE: 508,
    BLOCKED_LANGUAGE: 508,
    INSECURE_CREATIVE: 508,
    FLOOR: 509,
    TOO_MANY_IMPS: 510,
    TOTAL_BUDGET: 511,
    NO_BALANCE: 511,
    DAY_BUDGET: 511,
    SAME_REQUEST: 512,
    OUTBID: 512,
    NOT_NEEDED: 512,
    RATE_LIMIT: 513,
    QUANTITY: 514,
    CEILING: 515,
}
"""OpenRTB's no-bid reason codes (its list 5.24), and ours from 500 on."""

OF_SCRIPT = (
    NOT_NEEDED,
    WON,
    OUTBID,
    FREQUENCY_CAP,
    TOTAL_BUDGET,
    DAY_BUDGET,
    NO_MONEY_STATE,
    SAME_REQUEST,
    ROADBLOCK,
)
"""decide.lua's numbers, in order."""
