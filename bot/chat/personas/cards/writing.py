"""From a card to a file: TOML, V1, V2 and V3 as JSON, PNG, CHARX. Blocking."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from bot.chat.personas.cards.card import Asset, Card, Origin
from bot.chat.personas.cards.formats.charx import (
    ICON_ASSET,
    ICON_FILE,
    build_charx,
    embedded_file,
    embedded_path,
    icon_of,
)
from bot.chat.personas.cards.formats.png import build_png
from bot.chat.personas.cards.formats.toml_writing import dump_toml
from bot.chat.personas.cards.pictures import PERSONA_SIDE, plain_picture, render
from bot.chat.personas.cards.versions import MODIFIED, Version, convert, put
from bot.chat.personas.documents import FILE_BYTES, JsonObject, as_list, as_object, dump_json
from bot.errors import PersonaError

_UNSAFE = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]+')
_DEVICE = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?=\.|$)", re.IGNORECASE)  # on Windows
_FILE_NAME_CHARACTERS = 60
_PICTURE_BYTES = FILE_BYTES // 2
_CHUNK_PATH_BYTES = 60  # a PNG's keyword has 79 at most
# What character-card-spec-v3 wants a V2 reader to be told of a V3 card («Backfilling»).
_BACKFILL = (
    "This character card is Character Card V3, but it is loaded as a Character Card V2. "
    "Please use a Character Card V3 compatible application to use this character card properly.\n"
)


class Format(Enum):
    """A format that a persona goes out in."""

    TOML = "toml"
    V1 = "v1"
    V2 = "v2"
    V3 = "v3"
    PNG = "png"
    CHARX = "charx"

    @property
    def ending(self) -> str:
        """The file's ending."""
        return f".{self.value}" if self in (Format.TOML, Format.PNG, Format.CHARX) else ".json"


@dataclass(frozen=True, slots=True)
class Exported:
    """A file that a card went into, and what does not go along in plain words."""

    file_name: str
    content: bytes
    warnings: tuple[str, ...] = ()


def write_card(card: Card, format: Format, now: int) -> Exported:
    """The card as a file. `now` is the time in Unix seconds.

    In its own version the document goes out as it came, but for V3's `modification_date`, which is
    set where the card has one, and in every card that becomes V3. Raises PersonaError.
    """
    name = safe_file_name(card.persona.name) + format.ending
    told = list[str]()
    match format:
        case Format.TOML:
            content = dump_toml(card)
        case Format.V1 | Format.V2 | Format.V3:
            document = document_in(card, Version(format.value), now)
            content = dump_json(document, indent=2)
            if len(content) > FILE_BYTES:
                content = dump_json(document)
        case Format.PNG:
            content = _png(card, now, told)
        case Format.CHARX:
            content = _charx(card, now, told)
    if card.picture and format not in (Format.PNG, Format.CHARX):
        told.append("The picture is not in it; png and charx take it along.")
    return Exported(name, content, tuple(told))


def rewrite_card(card: Card, now: int) -> Exported:
    """A changed card in the kind of file that it came in, with its picture's points as they came.

    What is never written here goes into the next of kin: a Backyard archive becomes CHARX, YAML
    JSON. `now` as in :func:`write_card`. Raises PersonaError.
    """
    match card.origin:
        case Origin.TOML:
            return write_card(card, Format.TOML, now)
        case Origin.PNG if card.picture is not None:
            documents = {"chara": dump_json(document_in(card, card.version, now))}
            if card.version is Version.V3:
                v2 = _backfilled(document_in(card, Version.V2, now))
                documents = {"chara": dump_json(v2), "ccv3": documents["chara"]}
            name = safe_file_name(card.persona.name) + Format.PNG.ending
            return Exported(name, build_png(card.picture, documents, dict(card.files), card.chunks))
        case Origin.PNG:
            return write_card(card, Format.PNG, now)
        case Origin.CHARX | Origin.BYAF:
            return write_card(card, Format.CHARX, now)
        case Origin.JSON | Origin.WEBUI:
            return write_card(card, Format(card.version.value), now)


def document_in(card: Card, version: Version, now: int) -> JsonObject:
    """The card's document in a version; see :func:`write_card`."""
    document = convert(card.version, card.document, version)
    is_changed = document is not card.document
    if version is Version.V3 and (is_changed or MODIFIED in card.data):
        document = put(version, document, MODIFIED, now)
    return document


def safe_file_name(name: str) -> str:
    """A persona's name as the name of a file on any system, without an ending."""
    bare = _UNSAFE.sub("_", name[:_FILE_NAME_CHARACTERS]).strip(" .") or "persona"
    return f"_{bare}" if _DEVICE.match(bare) else bare


def _picture(card: Card, told: list[str]) -> bytes | None:
    """The card's picture as a PNG that leaves room for the card, if it can be decoded."""
    if card.picture is None:
        return None
    try:
        made = render("The picture", card.picture)
        side = PERSONA_SIDE
        while len(made) > _PICTURE_BYTES:
            side //= 2
            made = render("The picture", card.picture, side)
    except PersonaError:
        told.append("Its picture cannot be decoded and is left out.")
        return None
    return made


def _png(card: Card, now: int, told: list[str]) -> bytes:
    picture = _picture(card, told) or plain_picture(card.persona.name)
    v2 = document_in(card, Version.V2, now)
    if card.version is Version.V3:
        v2 = _backfilled(v2)
    documents = {"chara": dump_json(v2), "ccv3": dump_json(document_in(card, Version.V3, now))}
    files = {
        path: content
        for path, content in card.files.items()
        if content != card.picture and _fits_keyword(path)
    }
    if any(not _fits_keyword(path) for path in card.files):
        told.append("Some of the files beside the card don't go into a PNG; charx takes them.")
    content = build_png(picture, documents, files, card.chunks)
    if len(content) > FILE_BYTES and files:
        told.append("The files beside the card are too large for a PNG; charx takes them along.")
        content = build_png(picture, documents, {}, card.chunks)
    return content


def _fits_keyword(path: str) -> bool:
    try:
        return 0 < len(path.encode("latin-1")) <= _CHUNK_PATH_BYTES
    except UnicodeEncodeError:
        return False


def _backfilled(v2: JsonObject) -> JsonObject:
    """A V3 card's V2 side: with the spec's note, and a book without decorators."""
    data = as_object(v2.get("data")) or {}
    notes = data.get("creator_notes")
    data = {**data, "creator_notes": _BACKFILL + (notes if isinstance(notes, str) else "")}
    book = as_object(data.get("character_book"))
    entries = as_list((book or {}).get("entries"))
    if book is not None and entries:
        plain = [_without_decorators(entry) for entry in entries]
        data["character_book"] = {**book, "entries": plain}
    return {**v2, "data": data}


def _without_decorators(entry: object) -> object:
    found = as_object(entry)
    content = (found or {}).get("content")
    if found is None or not isinstance(content, str) or "@@" not in content:
        return entry
    lines = [line for line in content.split("\n") if not line.lstrip().startswith("@@")]
    return {**found, "content": "\n".join(lines).strip()}


def _charx(card: Card, now: int, told: list[str]) -> bytes:
    document = document_in(card, Version.V3, now)
    files: Mapping[str, bytes] = card.files
    icon = icon_of(card.assets)
    if embedded_file(icon, files) is None and (picture := _picture(card, told)):
        path = embedded_path(icon)
        if path is None or ".." in path or path in files:
            path = ICON_FILE
            document = _with_icon(document, icon)
        files = {**files, path: picture}
    if card.chunks:
        told.append("The other texts in its picture don't go into a CHARX.")
    content = build_charx(dump_json(document, indent=2), files)
    if len(content) > FILE_BYTES:
        told.append("It is larger than 8 MiB, which is more than can be imported here.")
    return content


def _with_icon(document: JsonObject, icon: Asset | None) -> JsonObject:
    """The document with the picture as its main icon."""
    data = as_object(document.get("data")) or {}
    assets = [
        each
        for each in as_list(data.get("assets")) or []
        if icon is None or (as_object(each) or {}).get("uri") != icon.uri
        or (as_object(each) or {}).get("type") != "icon"
    ]  # fmt: skip
    return put(Version.V3, document, "assets", [{**ICON_ASSET}, *assets])
