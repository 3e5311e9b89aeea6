"""From the bytes of any file to a card: what a file is, its content says, not its name."""

import re
from dataclasses import replace
from pathlib import PurePath

from bot.chat.personas.cards.card import Card, Origin
from bot.chat.personas.cards.formats.archive import find_archive, read_archive
from bot.chat.personas.cards.formats.charx import CARD_FILE, embedded_file, icon_of, missing_assets
from bot.chat.personas.cards.formats.chunks import SIGNATURE
from bot.chat.personas.cards.formats.foreign import ByafArchive
from bot.chat.personas.cards.formats.json_file import card_of, read_document
from bot.chat.personas.cards.formats.png import (
    PngParts,
    no_card_in_picture,
    read_png,
    refuse_encrypted,
)
from bot.chat.personas.cards.formats.toml_file import parse_toml
from bot.chat.personas.cards.formats.yaml_file import parse_yaml
from bot.chat.personas.cards.kinds import Kind, kind_of, refusal
from bot.chat.personas.cards.pictures import look_at
from bot.chat.personas.documents import FILE_BYTES, decode, shown
from bot.chat.personas.signatures import is_picture, what_it_is
from bot.errors import PersonaError

ENDINGS = (
    ".toml", ".json", ".png", ".apng", ".charx", ".jpg", ".jpeg", ".byaf", ".yaml", ".yml",
)  # fmt: skip
_YAML_ENDINGS = (".yaml", ".yml")
_TOML_LINE = re.compile(r"""\[+[\w"' .-]+\]+\s*(?:#|$)|(?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.|\s*=)""")
_YAML_LINE = re.compile(r"""(?:---|%YAML|(?:[\w -]+|"[^"]*"|'[^']*'):(?:\s|$))""")
_MANIFEST = "manifest.json"


def read_card(content: bytes, file_name: str) -> Card:
    """The card in a file. Blocking, with bounded time and memory; no address is ever fetched.

    `file_name` is what errors call it, and tells TOML from YAML where the content does not. Raises
    PersonaError in one line: too large, broken, hostile, encrypted, or no card, and what it is.
    """
    file_name = shown(file_name, 100) or "The file"
    if len(content) > FILE_BYTES:
        fix = "Take a smaller picture." if is_picture(content) else "Use a smaller file."
        raise PersonaError(f"{file_name} is larger than 8 MiB.", fix)
    if content.startswith(SIGNATURE):
        return _read_png(file_name, content)
    if content.startswith(b"PK") or find_archive(content) is not None:
        return _read_archive(file_name, content)
    if look_at(file_name, content) is not None or is_picture(content):
        raise no_card_in_picture(file_name)
    refuse_encrypted(file_name, content)
    if said := what_it_is(content):
        raise PersonaError(f"{file_name} is {said}, not a persona.", _FORMATS)
    return _read_text(file_name, content)


def _read_png(file_name: str, content: bytes) -> Card:
    look_at(file_name, content)  # too large a picture is refused before anything else
    parts = read_png(file_name, content)
    if not parts.documents:
        if find_archive(content) is not None:  # a CHARX behind its picture
            return _read_archive(file_name, content)
        raise no_card_in_picture(file_name)
    first, *others = parts.documents
    try:
        card = _png_card(file_name, parts, first)
    except PersonaError as error:
        if not others:
            raise
        card = _png_card(file_name, parts, others[0])
        told = f"Its newer card («{first}») cannot be read: {error.message}"
        card = replace(card, warnings=(told, *card.warnings))
    return card


def _png_card(file_name: str, parts: PngParts, keyword: str) -> Card:
    document = read_document(file_name, parts.documents[keyword])
    return card_of(
        file_name,
        document,
        Origin.PNG,
        picture=parts.picture,
        files=parts.files,
        chunks=parts.chunks,
        warnings=parts.warnings,
    )


def _read_archive(file_name: str, content: bytes) -> Card:
    files, before = read_archive(file_name, content)
    if CARD_FILE in files:
        return _read_charx(file_name, files, before)
    if _MANIFEST in files:
        archive = ByafArchive(file_name, files)
        document, picture = archive.document(), archive.picture()
        card = card_of(file_name, document, Origin.BYAF, picture=picture, warnings=archive.warnings)
        return _with_sound_picture(file_name, card)
    raise PersonaError(
        f"{file_name} is an archive without a card: it has no {CARD_FILE}.",
        "Use a CHARX or Backyard archive as it was exported.",
    )


def _read_charx(file_name: str, files: dict[str, bytes], before: bytes) -> Card:
    document = read_document(file_name, files.pop(CARD_FILE))
    card = card_of(file_name, document, Origin.CHARX, files=files)
    picture = embedded_file(icon_of(card.assets), files)
    card = replace(card, picture=picture or before or None)
    if missing := missing_assets(card):
        told = f"Named but not in the file: {missing} of its pictures or sounds."
        card = replace(card, warnings=(*card.warnings, told))
    return _with_sound_picture(file_name, card)


def _with_sound_picture(file_name: str, card: Card) -> Card:
    """The card without its picture if that is none; raises PersonaError if it is too large."""
    if card.picture is None or look_at(file_name, card.picture) is not None:
        return card
    told = "Its picture is of a kind that is not known here and is not used."
    return replace(card, picture=None, warnings=(*card.warnings, told))


def _read_text(file_name: str, content: bytes) -> Card:
    ending = PurePath(file_name).suffix.lower()
    if _is_binary(content) and content[:4].count(0) not in (1, 2):
        raise PersonaError(f"{file_name} is not a persona file.", _FORMATS)
    text = decode(file_name, content)
    line = _first_line(text)
    # A line like `[1]` is a table's head in TOML and a whole file in JSON.
    is_toml = bool(_TOML_LINE.match(line)) and not (line[:1] == "[" and ending == ".json")
    if line.startswith(("{", "[")) and not is_toml:
        return _read_json(file_name, content, text)
    if is_toml or (ending == ".toml" and not _YAML_LINE.match(line)):
        return parse_toml(file_name, text)
    if _YAML_LINE.match(line) or ending in _YAML_ENDINGS:
        return _read_yaml(file_name, text)
    if ending == ".json":
        return _read_json(file_name, content, text)
    raise PersonaError(f"{file_name} is not a persona file.", _FORMATS)


_FORMATS = "Use a character card: PNG, JSON, CHARX, BYAF, YAML, or a persona file in TOML."


def _read_json(file_name: str, content: bytes, text: str) -> Card:
    try:
        document = read_document(file_name, content)
    except PersonaError as error:
        if "extra data" in error.message and '"is_user"' in text[:FILE_BYTES]:
            raise refusal(file_name, Kind.CHAT) from error
        raise
    return card_of(file_name, document, Origin.JSON, text=text)


def _read_yaml(file_name: str, text: str) -> Card:
    values = parse_yaml(file_name, text)
    kind = kind_of(values)
    if not kind.is_card:
        raise refusal(file_name, kind)
    return card_of(file_name, values, Origin.WEBUI, text=text)


def _first_line(text: str) -> str:
    """The first line with something in it but a comment."""
    for line in text[:200_000].splitlines():
        bare = line.strip()
        if bare and not bare.startswith("#"):
            return bare[:1_000]
    return ""


def _is_binary(content: bytes) -> bool:
    return b"\0" in content[:1024]
