"""``/advertisers``, ``/campaigns`` and ``/creatives``: the same verbs under the same paths."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import falcon
import msgspec

from adctl.control import advertisers, campaigns, creatives
from adctl.control.drafts import (
    AdvertiserDraft,
    AdvertiserPatch,
    AdvertiserView,
    CampaignDraft,
    CampaignPatch,
    CampaignView,
    CreativeDraft,
    CreativePatch,
    CreativeView,
)
from adctl.control.fields import MAX_LEVELS, FieldReader, nests_too_deeply
from adctl.control.history import history
from adctl.models import Status
from adctl.text_files import decode_text
from daemons.api.performance import Performance

if TYPE_CHECKING:
    from collections.abc import Mapping

    from falcon import Request, Response

    from adctl.control.plane import ControlPlane, Outcome

MAX_BODY_BYTES = 1 << 20
MAX_PAGE = 1000
_DEFAULT_PAGE = 100
_HIGHEST_ID = 2**31 - 1
_JSON_TYPES = frozenset({"application/json", "application/merge-patch+json"})
_ID = f"{{ref:int(min=1, max={_HIGHEST_ID})}}"
ACTOR_HEADER = "X-Actor"
NOTICE_HEADER = "X-Adctl-Notice"


@dataclass(frozen=True)
class Noun:
    """One kind of thing: its path, its verbs, and the forms it is sent and shown in."""

    name: Any
    verbs: Any
    draft: type
    patch: type
    view: type
    owner: str = ""  # what a listing can be narrowed to

    @property
    def path(self) -> str:
        """Where its listing is."""
        return f"/{self.name}s"


NOUNS = (
    Noun("advertiser", advertisers, AdvertiserDraft, AdvertiserPatch, AdvertiserView),
    Noun("campaign", campaigns, CampaignDraft, CampaignPatch, CampaignView, "advertiser"),
    Noun("creative", creatives, CreativeDraft, CreativePatch, CreativeView, "campaign"),
)
_CREATIVE = NOUNS[2]


class Listing:
    """``GET /creatives``."""

    def __init__(self, plane: ControlPlane, noun: Noun) -> None:
        self._plane = plane
        self._noun = noun

    def on_get(self, req: Request, resp: Response) -> None:
        """Answer with a page, ordered by id."""
        _list(self._plane, self._noun, req, resp)


class Collection(Listing):
    """``GET /campaigns`` and ``POST /campaigns``."""

    def on_post(self, req: Request, resp: Response) -> None:
        """Create one: 201 with its Location."""
        outcome = self._noun.verbs.create(self._plane, _actor(req), read_fields(req))
        _created(resp, self._noun, outcome)


class CampaignCreatives:
    """``/campaigns/{id}/creatives``."""

    def __init__(self, plane: ControlPlane) -> None:
        self._plane = plane

    def on_get(self, req: Request, resp: Response, ref: int) -> None:
        """Answer with a page of the campaign's creatives."""
        _list(self._plane, _CREATIVE, req, resp, campaign=ref)

    def on_post(self, req: Request, resp: Response, ref: int) -> None:
        """Create a creative of the campaign."""
        outcome = creatives.create(self._plane, _actor(req), ref, read_fields(req))
        _created(resp, _CREATIVE, outcome)


class Item:
    """``/campaigns/{id}``."""

    def __init__(self, plane: ControlPlane, noun: Noun) -> None:
        self._plane = plane
        self._verbs = noun.verbs

    def on_get(self, _req: Request, resp: Response, ref: int) -> None:
        """Answer with it."""
        resp.data = msgspec.json.encode(self._verbs.show(self._plane, ref))

    def on_patch(self, req: Request, resp: Response, ref: int) -> None:
        """Change some of its fields, by a JSON merge patch."""
        _answer(resp, self._verbs.update(self._plane, _actor(req), ref, read_fields(req)))

    def on_delete(self, req: Request, resp: Response, ref: int) -> None:
        """Archive it: it stays readable, and nothing brings it back."""
        _answer(resp, self._verbs.archive(self._plane, _actor(req), ref))


class StatusChange:
    """``POST /campaigns/{id}/pause`` and ``/resume``."""

    def __init__(self, plane: ControlPlane, noun: Noun, verb: str) -> None:
        self._plane = plane
        self._change = getattr(noun.verbs, verb)

    def on_post(self, req: Request, resp: Response, ref: int) -> None:
        """Do it; once more changes nothing."""
        _answer(resp, self._change(self._plane, _actor(req), ref))


class History:
    """``GET /campaigns/{id}/history``."""

    def __init__(self, plane: ControlPlane, noun: Noun) -> None:
        self._plane = plane
        self._noun = noun

    def on_get(self, _req: Request, resp: Response, ref: int) -> None:
        """Answer with every accepted change, oldest first."""
        resp.data = msgspec.json.encode(history(self._plane, self._noun.name, ref))


def add_control_routes(app: falcon.App[Request, Response], plane: ControlPlane) -> None:
    """Give ``app`` the paths of every noun."""
    for noun in NOUNS:
        item = f"{noun.path}/{_ID}"
        # A creative is made in its campaign's own collection.
        kind = Listing if noun is _CREATIVE else Collection
        app.add_route(noun.path, kind(plane, noun))
        app.add_route(item, Item(plane, noun))
        app.add_route(f"{item}/history", History(plane, noun))
        for verb in ("pause", "resume"):
            app.add_route(f"{item}/{verb}", StatusChange(plane, noun, verb))
    app.add_route(f"/campaigns/{_ID}/creatives", CampaignCreatives(plane))
    app.add_route(f"/campaigns/{_ID}/performance", Performance(plane))


def read_fields(req: Request) -> dict[str, object]:
    """Return the JSON object in a request's body.

    Raises falcon's 400 for what is not JSON or no object, 413 for too much, 415 for another type.
    """
    # Not even a missing one: a page in a browser can send that to a loopback address unasked.
    content_type = (req.content_type or "").partition(";")[0].strip().lower()
    if content_type not in _JSON_TYPES:
        raise falcon.HTTPUnsupportedMediaType(description="the body has to be application/json")
    body = req.bounded_stream.read(MAX_BODY_BYTES + 1)
    if len(body) > MAX_BODY_BYTES:
        raise falcon.HTTPContentTooLarge(description=f"at most {MAX_BODY_BYTES:,} bytes")
    try:
        fields = msgspec.json.decode(decode_text(body))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise falcon.HTTPBadRequest(title="the body is not JSON", description=str(exc)) from exc
    if not isinstance(fields, dict):
        raise falcon.HTTPBadRequest(title="the body is not a JSON object")
    if nests_too_deeply(fields):
        raise falcon.HTTPBadRequest(
            title="the body is nested too deeply", description=f"at most {MAX_LEVELS} levels"
        )
    return fields


def _list(
    plane: ControlPlane, noun: Noun, req: Request, resp: Response, **narrowed: int | str
) -> None:
    owner = "" if narrowed else noun.owner
    reader = FieldReader(_numbers(req.params))
    reader.only(("status", "after", "limit", *filter(None, [owner])))
    status = reader.choice("status", list(Status)) if "status" in reader.values else None
    after = _bounded(reader, "after", 0, _HIGHEST_ID, 0)
    limit = _bounded(reader, "limit", 1, MAX_PAGE, _DEFAULT_PAGE)
    if owner and owner in reader.values:
        narrowed = {owner: str(reader.text(owner))}
    reader.raise_faults("the query")
    views = noun.verbs.list_all(
        plane, status=Status(status) if status else None, after=after, limit=limit + 1, **narrowed
    )
    page = views[:limit]
    more = page[-1].id if len(views) > limit else None
    resp.data = msgspec.json.encode({"items": page, "next": more})


def _numbers(params: Mapping[str, str | list[str]]) -> dict[str, object]:
    # What is no number stays a text, which the reader then refuses by name.
    return {
        name: int(value)
        if name in {"after", "limit"} and isinstance(value, str) and _is_short_number(value)
        else value
        for name, value in params.items()
    }


def _is_short_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= len(str(_HIGHEST_ID))


def _bounded(reader: FieldReader, field: str, low: int, high: int, default: int) -> int:
    if field not in reader.values:
        return default
    expected = f"a whole number from {low} to {high}"
    number = reader.integer(field, lambda value: low <= value <= high, expected)
    return default if number is None else number


def _actor(req: Request) -> str:
    actor = req.get_header(ACTOR_HEADER)
    return "api" if actor is None else actor


def _created(resp: Response, noun: Noun, outcome: Outcome[Any]) -> None:
    resp.status = falcon.HTTP_201
    resp.location = f"{noun.path}/{outcome.view.id}"
    _answer(resp, outcome)


def _answer(resp: Response, outcome: Outcome[Any]) -> None:
    if outcome.notices:
        resp.set_header(NOTICE_HEADER, "; ".join(outcome.notices))
    resp.data = msgspec.json.encode(outcome.view)
