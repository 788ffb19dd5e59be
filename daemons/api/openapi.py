"""The OpenAPI 3.1 document of the api, made from the same nouns and structs as its routes."""

from __future__ import annotations

from typing import Any

import msgspec

from adctl import __version__
from adctl.control.drafts import HistoryEntry, TargetingDraft
from adctl.models import Campaign, Creative, Status
from daemons.api.links import add_links
from daemons.api.performance import BY
from daemons.api.problems import Problem
from daemons.api.resources import ACTOR_HEADER, MAX_PAGE, NOUNS, Noun

_REF_TEMPLATE = "#/components/schemas/{name}"
_DESCRIPTION = (
    "Advertisers, campaigns and creatives. Money is a decimal text in the account's currency "
    '("12.50"), never a JSON number. Changes name who makes them in X-Actor.'
)
_PROBLEMS = {
    "400": "The body is not a JSON object.",
    "403": "Called by a name that is not the api's, or from a foreign web page: see `api.hosts`.",
    "404": "There is no such thing.",
    "409": "Archived, or the name is taken.",
    "413": "The body is too large.",
    "415": "The body is not JSON.",
    "422": "What was sent is not valid; every fault is named.",
    "503": "A store is unavailable.",
}
_ID = {
    "name": "id",
    "in": "path",
    "required": True,
    "schema": {"type": "integer", "minimum": 1, "maximum": 2**31 - 1},
}
_ACTOR = {
    "name": ACTOR_HEADER,
    "in": "header",
    "description": "Who makes the change, for the history.",
    # Printable characters of ISO 8859-1, which is what a header can carry.
    "schema": {
        "type": "string",
        "minLength": 1,
        "maxLength": 100,
        "pattern": "^[ -~\u00a1-\u00ac\u00ae-\u00ff]+$",
    },
}


def openapi_document() -> dict[str, Any]:
    """Return the document. Every route of the app is in it, and nothing else."""
    paths: dict[str, Any] = {}
    for noun in NOUNS:
        paths.update(_noun_paths(noun))
    creatives = _collection(NOUNS[2], "Creatives of a campaign", [_ID])
    creatives["get"]["operationId"] = "listCampaignCreatives"
    paths["/campaigns/{id}/creatives"] = creatives
    paths["/campaigns/{id}/performance"] = _performance_path()
    paths.update(_catalog_paths())
    paths.update(_daemon_paths())
    add_links(paths)
    return {
        "openapi": "3.1.0",
        "info": {"title": "adctl api", "version": __version__, "description": _DESCRIPTION},
        "paths": paths,
        "components": {"schemas": _schemas()},
    }


def _schemas() -> dict[str, Any]:
    forms = {form for noun in NOUNS for form in (noun.draft, noun.patch, noun.view)}
    named = sorted(forms, key=lambda form: form.__name__)
    types = [*named, TargetingDraft, HistoryEntry, Problem, Campaign, Creative]
    _, components = msgspec.json.schema_components(
        types, schema_hook=_any_value, ref_template=_REF_TEMPLATE
    )
    return dict(components)


def _any_value(form: type) -> dict[str, Any]:
    if form is object:
        return {"description": "Any JSON value."}
    raise NotImplementedError


def _noun_paths(noun: Noun) -> dict[str, Any]:
    item = f"{noun.path}/{{id}}"
    listing = _collection(noun, f"{noun.name.capitalize()}s", [])
    if noun.owner == "campaign":
        del listing["post"]
    view = _ref(noun.view)
    changed = {
        "parameters": [_ID, _ACTOR],
        "responses": _responses("200", "As it is now.", view, "404", "409", "422"),
    }
    patch = {
        **changed,
        "requestBody": _body(noun.patch),
        "responses": _responses("200", "As it is now.", view, *_PROBLEMS),
    }
    entries = {"type": "array", "items": _ref(HistoryEntry)}
    read = {
        "parameters": [_ID],
        "responses": _responses("200", "As it is now.", view, "404"),
    }
    told = {
        "parameters": [_ID],
        "responses": _responses("200", "Every accepted change, oldest first.", entries, "404"),
    }
    name, called = noun.name, noun.name.capitalize()
    return {
        noun.path: listing,
        item: {
            "get": _operation(f"show{called}", f"Show a {name}", read),
            "patch": _operation(
                f"change{called}", f"Change fields of a {name} (JSON merge patch)", patch
            ),
            "delete": _operation(f"archive{called}", f"Archive a {name} for good", changed),
        },
        f"{item}/history": {
            "get": _operation(f"historyOf{called}", "Who changed what, when", told)
        },
        f"{item}/pause": {"post": _operation(f"pause{called}", f"Pause a {name}", changed)},
        f"{item}/resume": {"post": _operation(f"resume{called}", f"Resume a {name}", changed)},
    }


def _operation(name: str, summary: str, rest: dict[str, Any]) -> dict[str, Any]:
    """Return an operation with answers of its own, which links can be added to."""
    answers = {status: dict(answer) for status, answer in rest["responses"].items()}
    return {"operationId": name, "summary": summary, **rest, "responses": answers}


def _collection(noun: Noun, title: str, path_parameters: list[Any]) -> dict[str, Any]:
    page = {
        "type": "object",
        "required": ["items", "next"],
        "properties": {
            "items": {"type": "array", "items": _ref(noun.view)},
            "next": {
                "type": ["integer", "null"],
                "description": "What `after` has to be for the next page; null on the last.",
            },
        },
    }
    an_owner = {"type": "string", "minLength": 1, "maxLength": 200}
    owner = [] if path_parameters or not noun.owner else [_query(noun.owner, an_owner)]
    called = noun.name.capitalize()
    parameters = [
        *path_parameters,
        *owner,
        _query("status", {"enum": [status.value for status in Status]}),
        _query("after", {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}),
        _query("limit", {"type": "integer", "minimum": 1, "maximum": MAX_PAGE}),
    ]
    created = _responses("201", "Created.", _ref(noun.view), *_PROBLEMS)
    created["201"]["headers"] = {"Location": {"schema": {"type": "string"}}}
    return {
        "get": {
            "operationId": f"list{called}s",
            "summary": f"{title}, by id; without `status` those that are not archived",
            "parameters": parameters,
            "responses": _responses("200", "A page.", page, "404", "409", "422"),
        },
        "post": {
            "operationId": f"create{called}",
            "summary": f"Create a {noun.name}",
            "parameters": [*path_parameters, _ACTOR],
            "requestBody": _body(noun.draft),
            "responses": created,
        },
    }


def _performance_path() -> dict[str, Any]:
    moment = {"type": "string", "examples": ["24h", "7d", "2026-11-01"]}
    rows = {"type": "array", "items": {"type": "object"}}
    time = {"type": "string", "format": "date-time"}
    report = {
        "type": "object",
        "required": ["since", "until", "rows"],
        "properties": {"since": time, "until": time, "rows": rows},
    }
    return {
        "get": {
            "operationId": "showCampaignPerformance",
            "summary": "What a campaign delivered and spent",
            "parameters": [
                _ID,
                _query("since", moment),
                _query("until", moment),
                _query("timezone", {"type": "string", "examples": ["Europe/Berlin"]}),
                _query("by", {"enum": [by.value for by in BY]}),
            ],
            "responses": _responses("200", "Whole hours of the period.", report, "404", "422"),
        }
    }


def _catalog_paths() -> dict[str, Any]:
    campaigns = {"type": "array", "items": _ref(Campaign)}
    return {
        "/catalog": {
            "get": {
                "operationId": "showCatalog",
                "summary": "Every campaign that may be served; fills Redis",
                "responses": _responses("200", "Their documents.", campaigns),
            }
        },
        "/catalog/{id}": {
            "get": {
                "operationId": "showCatalogCampaign",
                "summary": "A campaign that may be served",
                "parameters": [_ID],
                "responses": _responses("200", "Its document.", _ref(Campaign), "404"),
            }
        },
        "/catalog/creatives/{id}": {
            "get": {
                "operationId": "showCatalogCreative",
                "summary": "A creative, whatever its status",
                "parameters": [_ID],
                "responses": _responses("200", "Its document.", _ref(Creative), "404"),
            }
        },
    }


def _daemon_paths() -> dict[str, Any]:
    anything = {"type": "object"}
    refused = {"403": _response(_PROBLEMS["403"], _ref(Problem))}
    ready = {
        "200": _response("Ready.", anything),
        **refused,
        "503": _response("Not ready; says which store does not answer.", anything),
    }
    live = {"200": _response("Yes.", anything), **refused}
    metrics = {
        "200": {"description": "Prometheus' text format.", "content": {"text/plain": {}}},
        **refused,
    }
    document = {"200": _response("OpenAPI 3.1.", anything), **refused}
    gets = {
        "/health/live": ("isAlive", "Is it alive?", live),
        "/health/ready": ("isReady", "Do its stores answer?", ready),
        "/metrics": ("showMetrics", "Metrics", metrics),
        "/openapi.json": ("showDocument", "This document", document),
    }
    return {
        path: {"get": {"operationId": name, "summary": summary, "responses": responses}}
        for path, (name, summary, responses) in gets.items()
    }


def _query(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": schema}


def _body(form: type) -> dict[str, Any]:
    return {"required": True, "content": {"application/json": {"schema": _ref(form)}}}


def _responses(
    status: str, description: str, schema: dict[str, Any], *problems: str
) -> dict[str, Any]:
    told = {code: _response(_PROBLEMS[code], _ref(Problem)) for code in {*problems, "403", "503"}}
    return {status: _response(description, schema), **dict(sorted(told.items()))}


def _response(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _ref(form: type) -> dict[str, str]:
    return {"$ref": _REF_TEMPLATE.format(name=form.__name__)}
