"""The options that describe a campaign, and the fields they stand for."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from adctl.cli.changing import files, option, repeated
from adctl.control.names_file import APPS, SITES, load_names
from adctl.control.targeting_input import load_targeting_file
from adctl.errors import Fault, FaultyInputError
from adctl.models import Targeting

# The option's parameter → the targeting's field, and what each line of its files names.
_NAME_FILES = {
    "domain_file": ("domains_include", SITES),
    "exclude_domain_file": ("domains_exclude", SITES),
    "app_file": ("apps_include", APPS),
    "exclude_app_file": ("apps_exclude", APPS),
}

# The option's parameter → the campaign's field.
_FLIGHT = {
    "name": "name",
    "budget": "budget",
    "daily_budget": "daily_budget",
    "strategy": "strategy",
    "bid": "bid",
    "start": "start",
    "end": "end",
    "timezone": "timezone",
    "pacing": "pacing",
    "unidentified": "unidentified",
    "cap": "caps",
    "deal": "deals",
    "roadblock": "roadblock",
    "max_cpm": "max_cpm",
    "late_margin": "late_margin",
}

# The option's parameter → the targeting's field.
_TARGETING = {
    "country": "countries",
    "region": "regions",
    "city": "cities",
    "metro": "metros",
    "postal_code": "postal_codes",
    "radius": "radii",
    "device": "devices",
    "os": "os",
    "browser": "browsers",
    "connection": "connections",
    "time": "time_windows",
    "domain": "domains_include",
    "exclude_domain": "domains_exclude",
    "app": "apps_include",
    "exclude_app": "apps_exclude",
    "category": "categories",
    "language": "languages",
    "size": "sizes",
}

_SEGMENTS = {"segment": "any", "all_segments": "all", "no_segment": "none"}

CAMPAIGN_OPTIONS: dict[str, Any] = {
    "name": option("The campaign's name; one of its kind per advertiser."),
    "budget": option("What it may spend in all, e.g. 500."),
    "daily_budget": option("What it may spend a day, e.g. 50. Without it, the whole budget."),
    "strategy": option("What the bid buys: cpm, cpc or cpa. A new campaign: cpm."),
    "bid": option("The bid, e.g. 2.00: per 1,000 impressions, click or conversion."),
    "start": option("First moment: a date, or ISO 8601. A new campaign: now."),
    "end": option("Last day, or the moment it ends as ISO 8601. A new campaign: never."),
    "timezone": option("Zone of its days, hours and dates, e.g. Europe/Berlin. A new one: UTC."),
    "pacing": option("Spread a day's budget evenly (even) or spend it at once (asap)."),
    "unidentified": option(
        "Capped, and the user unknown: no_bid, or skip_cap to bid all the same."
    ),
    "cap": repeated("Impressions per user and window, e.g. 3/24h, 10/7d or 1/30m."),
    "deal": repeated("Private deal to buy: its id, or ID=PRICE, e.g. deal-1=3.50."),
    "roadblock": Annotated[
        bool | None,
        typer.Option(
            "--roadblock/--no-roadblock",
            help="Take all impressions of a page together, or none.",
            show_default=False,
        ),
    ],
    "max_cpm": option("The most it bids for 1,000 impressions; else, cpc, cpa: bidder.max_cpm."),
    "late_margin": option("What of the budget to hold back for wins billed late. A new one: 0."),
    "country": repeated("Country, e.g. USA or US."),
    "region": repeated("Region, ISO 3166-2 without the country, e.g. CA."),
    "city": repeated("City."),
    "metro": repeated("Metro code, e.g. 501."),
    "postal_code": repeated("Postal code."),
    "radius": repeated("Circle as LAT,LON,KM, e.g. 52.52,13.40,10."),
    "device": repeated("Kind of device: mobile, tablet, desktop, tv, connected, settop, ooh."),
    "os": repeated("Operating system, e.g. ios."),
    "browser": repeated("Browser, e.g. chrome."),
    "connection": repeated("Connection: ethernet, wifi, cellular, 2g to 5g."),
    "segment": repeated("User segment; one of them is enough."),
    "all_segments": repeated("User segment; all of them are needed.", "--all-segments"),
    "no_segment": repeated("User segment that excludes.", "--no-segment"),
    "time": repeated("Weekdays and hours, e.g. 'mon-fri 9-17'."),
    "domain": repeated("Site to serve on, with its subdomains, e.g. example.com."),
    "exclude_domain": repeated("Site not to serve on."),
    "domain_file": files("File of sites to serve on, beside those of --domain."),
    "exclude_domain_file": files("File of sites not to serve on."),
    "app": repeated("App to serve in: its id, or its address in a store."),
    "exclude_app": repeated("App not to serve in."),
    "app_file": files("File of apps to serve in, beside those of --app."),
    "exclude_app_file": files("File of apps not to serve in."),
    "category": repeated("IAB content category, e.g. IAB9."),
    "language": repeated("Language of the page or device, e.g. en."),
    "size": repeated("Size to bid on, e.g. 300x250."),
    "targeting": Annotated[
        Path | None,
        typer.Option(
            help="A file with the whole targeting, TOML or JSON; options stand above it.",
            show_default=False,
        ),
    ],
}


def campaign_fields(chosen: Mapping[str, Any]) -> dict[str, object]:
    """Return the campaign's fields that the options given say. Raises FaultyInputError.

    A targeting file says all of the targeting: what it leaves out is null.
    """
    fields: dict[str, object] = {
        field: chosen[name] for name, field in _FLIGHT.items() if name in chosen
    }
    targeting: dict[str, object] = {}
    if "targeting" in chosen:
        targeting = dict.fromkeys(Targeting.__struct_fields__)
        targeting.update(load_targeting_file(chosen["targeting"]))
    targeting.update((field, chosen[name]) for name, field in _TARGETING.items() if name in chosen)
    targeting.update(_listed(chosen))
    segments = {kind: chosen[name] for name, kind in _SEGMENTS.items() if name in chosen}
    if segments:
        targeting["segments"] = segments
    return fields | ({"targeting": targeting} if targeting else {})


def _listed(chosen: Mapping[str, Any]) -> dict[str, object]:
    """Return the lists that files and options name together; all files' faults are raised."""
    lists: dict[str, object] = {}
    faults: list[Fault] = []
    options = {field: name for name, field in _TARGETING.items()}
    for name, (field, kind) in _NAME_FILES.items():
        names: list[str] = []
        for path in chosen.get(name, ()):
            try:
                names += load_names(path, f"--{name.replace('_', '-')}", kind)
            except FaultyInputError as exc:
                faults += exc.faults
        if names:
            lists[field] = [*chosen.get(options[field], ()), *names]
    if faults:
        raise FaultyInputError("the targeting", faults)
    return lists


def cleared(fields: dict[str, object], names: Iterable[str]) -> dict[str, object]:
    """Return ``fields`` with a null for each of ``names``, e.g. ``end``, ``targeting.countries``.

    Raises FaultyInputError for a name that cannot be cleared.
    """
    clearable = ["end", "caps", "deals", "max_cpm", "targeting"]
    clearable += [f"targeting.{field}" for field in Targeting.__struct_fields__]
    faults = []
    for name in names:
        field, _, below = name.partition(".")
        if name not in clearable:
            faults.append(Fault("--clear", name, f"one of {', '.join(clearable)}"))
        elif name == "targeting":
            fields["targeting"] = dict.fromkeys(Targeting.__struct_fields__)
        elif below:
            nested = fields.setdefault("targeting", {})
            nested[below] = None  # type: ignore[index]
        else:
            fields[field] = None
    if faults:
        raise FaultyInputError("the change", faults)
    return fields
