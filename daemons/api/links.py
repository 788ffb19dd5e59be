"""What follows from what in the api's OpenAPI document: where an id of an answer can be put."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# What can be done with the id of a noun, by its operation id; the parameter that takes it.
_OF_ONE: Mapping[str, tuple[tuple[str, str], ...]] = {
    "Advertiser": (("listCampaigns", "query.advertiser"),),
    "Campaign": (
        ("listCampaignCreatives", "path.id"),
        ("createCreative", "path.id"),
        ("showCampaignPerformance", "path.id"),
        ("showCatalogCampaign", "path.id"),
        ("listCreatives", "query.campaign"),
    ),
    "Creative": (("showCatalogCreative", "path.id"),),
}
_VERBS = ("show", "change", "archive", "historyOf", "pause", "resume")


def add_links(paths: Mapping[str, Any]) -> None:
    """Say of each answer with an id what it can be asked for next. ``paths`` are the document's."""
    operations = {
        operation["operationId"]: operation
        for path in paths.values()
        for operation in path.values()
    }
    for name in _OF_ONE:
        created = operations[f"create{name}"]["responses"]["201"]
        created["links"] = _links(name, "$response.body#/id")
        if name == "Advertiser":
            created["links"]["createCampaign"] = {
                "operationId": "createCampaign",
                "requestBody": {"advertiser": "$response.body#/id"},
            }
        for verb in ("show", "change", "pause", "resume"):
            told = operations[f"{verb}{name}"]["responses"]["200"]
            told["links"] = _links(name, "$response.body#/id")


def _links(name: str, identifier: str) -> dict[str, Any]:
    following: Iterable[tuple[str, str]] = (
        *((f"{verb}{name}", "path.id") for verb in _VERBS),
        *_OF_ONE[name],
    )
    return {
        operation: {"operationId": operation, "parameters": {parameter: identifier}}
        for operation, parameter in following
    }
