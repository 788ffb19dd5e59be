"""Reading what people say about creatives: all faults at once, in their words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from adctl.control.drafts import CreativeDraft
from adctl.control.fields import split_url
from adctl.control.media_input import LARGEST_PX, read_media
from adctl.control.targeting_input import a_domain, a_language, normal_size, read_categories
from adctl.delivery.app_ids import app_id
from adctl.delivery.domains import normal_domain
from adctl.delivery.landing_page import LANDING_MACROS, without_macros
from adctl.errors import Fault, FaultyInputError
from adctl.models import CreativeKind
from adctl.text_files import decode_text

if TYPE_CHECKING:
    from pathlib import Path

    from adctl.control.fields import FieldReader
    from adctl.models import Media

CREATIVE_FIELDS = CreativeDraft.__struct_fields__
CREATIVE_DEFAULTS: dict[str, object] = {
    "kind": CreativeKind.BANNER,
    "cattax": 1,
    "banner_type": 2,
}
_MARKUP_LENGTH = 65_536
# No character takes more bytes.
_LONGEST_FILE = 4 * _MARKUP_LENGTH + 4
# AdCOM 1.0: Creative Attributes, Category Taxonomies, Display Ad Types (OpenRTB banner types).
# From 500 on, numbers are an exchange's own.
_KNOWN_ATTRIBUTES = range(1, 19)
_KNOWN_TAXONOMIES = range(1, 10)
_BANNER_TYPES = range(1, 5)
_OWN_NUMBERS = range(500, 1000)


def read_creative(reader: FieldReader) -> dict[str, Any]:
    """Return the columns of a creative from its fields; faults go to ``reader``.

    The columns are usable only if there are none.
    """
    kind = CreativeKind(reader.choice("kind", list(CreativeKind)) or CreativeKind.BANNER)
    landing_url = reader.url("landing_url", required=True, macros=LANDING_MACROS)
    image_url, markup = _picture(reader, kind)
    media = read_media(reader, kind)
    width, height = _size(reader, kind, media)
    return {
        "name": reader.text("name", required=True),
        "kind": kind.value,
        "landing_url": landing_url,
        "adomain": _adomain(reader, landing_url),
        "width": width,
        "height": height,
        "image_url": image_url or "",
        "markup": markup or "",
        "cat": list(read_categories(reader, "cat")),
        "cattax": reader.integer(
            "cattax",
            lambda number: number in _KNOWN_TAXONOMIES or number in _OWN_NUMBERS,
            "a category taxonomy: 1 to 9, or 500 to 999 for an exchange's own",
        ),
        "attr": _attributes(reader),
        "banner_type": reader.integer(
            "banner_type",
            _BANNER_TYPES.__contains__,
            "1 (XHTML text), 2 (XHTML banner), 3 (JavaScript) or 4 (iframe)",
        ),
        "language": _language(reader),
        "app_bundle": _app_bundle(reader),
        # As it comes back from the store: lists, not tuples, so that the same is the same.
        "media": msgspec.json.decode(msgspec.json.encode(media)),
    }


def load_markup_file(path: Path) -> str:
    """Return the text of an HTML file. Raises FaultyInputError if it cannot be read as text."""
    try:
        with path.open("rb") as file:
            # Enough for the validation to refuse it.
            content = file.read(_LONGEST_FILE + 1)
        if len(content) > _LONGEST_FILE:
            fault = Fault("--markup", str(path), f"HTML of at most {_MARKUP_LENGTH:,} characters")
            raise FaultyInputError(f"markup file {path}", [fault])
        # As text files are read: whatever ends a line, one character does.
        return decode_text(content).replace("\r\n", "\n").replace("\r", "\n")
    except (OSError, UnicodeDecodeError) as exc:
        fault = Fault("--markup", str(path), f"a readable file of UTF-8 text ({exc})")
        raise FaultyInputError(f"markup file {path}", [fault]) from exc


def creative_notices(image_url: str, landing_url: str) -> tuple[str, ...]:
    """Return what is allowed but costs reach."""
    fields = {"image_url": image_url, "landing_url": landing_url}
    return tuple(
        f"{field} is not https: exchanges that ask for secure ads may refuse the creative"
        for field, url in fields.items()
        if url.startswith("http://")
    )


def _picture(reader: FieldReader, kind: CreativeKind) -> tuple[str | None, str | None]:
    image_url, markup = reader.url("image_url"), _markup(reader)
    given = [name for name in ("image_url", "markup") if reader.values.get(name) is not None]
    if kind is CreativeKind.BANNER and len(given) != 1:
        expected = "an image_url or markup, and not both"
        reader.reject("image_url", reader.values.get("image_url"), expected)
    elif kind is not CreativeKind.BANNER:
        for name in given:
            reader.reject(name, reader.values[name], f"no {name}: a {kind} creative has none")
    return image_url, markup


def _markup(reader: FieldReader) -> str | None:
    markup = reader.values.get("markup")
    usable = isinstance(markup, str) and 0 < len(markup.strip()) <= len(markup) <= _MARKUP_LENGTH
    # PostgreSQL holds no NUL, and UTF-8 no lone surrogate.
    if markup is None or (usable and not any(_unstorable(char) for char in str(markup))):
        return markup  # type: ignore[return-value]
    reader.reject("markup", markup, f"HTML of 1 to {_MARKUP_LENGTH:,} characters")
    return None


def _unstorable(char: str) -> bool:
    return char == "\0" or "\ud800" <= char <= "\udfff"


def _adomain(reader: FieldReader, landing_url: str | None) -> list[str]:
    if reader.values.get("adomain"):
        return list(reader.texts("adomain", a_domain, "a domain such as example.com"))
    parts = split_url(without_macros(landing_url)) if landing_url else None
    host = normal_domain(parts.hostname) if parts else ""
    return [host] if host else []


def _size(reader: FieldReader, kind: CreativeKind, media: Media) -> tuple[int, int]:
    files = media.video.files if media.video else ()
    may_say = kind is CreativeKind.BANNER or (media.video is not None and not files)
    text = reader.text("size", required=kind is CreativeKind.BANNER)
    if text is not None and not may_say:
        reader.reject("size", text, f"no size: a {kind} creative has that of its files, or none")
        return 0, 0
    if files:
        return max((file.width, file.height) for file in files)
    size = normal_size(text) if text else None
    width, height = (int(side) for side in size.split("x")) if size else (0, 0)
    if text is not None and not (0 < width <= LARGEST_PX and 0 < height <= LARGEST_PX):
        expected = f"WIDTHxHEIGHT in pixels, such as 300x250, each at most {LARGEST_PX}"
        reader.reject("size", text, expected)
    return width, height


def _attributes(reader: FieldReader) -> list[int]:
    numbers: set[int] = set()
    for item in reader.items("attr"):
        if type(item) is int and (item in _KNOWN_ATTRIBUTES or item in _OWN_NUMBERS):
            numbers.add(item)
        else:
            expected = "a creative attribute: 1 to 18, or 500 to 999 for an exchange's own"
            reader.reject("attr", item, expected)
    return sorted(numbers)


def _app_bundle(reader: FieldReader) -> str:
    text = reader.text("app_bundle")
    # With its capitals: some stores tell apps apart by them, and exchanges are told it.
    app = app_id(text)
    if text is not None and not app:
        expected = "an app's id in its store such as com.example.app, or its address there"
        reader.reject("app_bundle", text, expected)
    return app


def _language(reader: FieldReader) -> str:
    text = reader.text("language")
    language = a_language(text) if text else ""
    if language is None:
        reader.reject("language", text, "an ISO 639-1 code such as en")
    return language or ""
