"""A card made of a persona, and a persona's edits put into its card.

Only what was changed is written into the document, at the place where it is; everything else stays
as it came.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import cast

from pydantic import BaseModel

from bot.chat.persona import PersonaText
from bot.chat.personas.cards.card import Asset, Card, Origin
from bot.chat.personas.cards.fields import LISTS, TEXTS
from bot.chat.personas.cards.formats.charx import (
    ICON_ASSET,
    ICON_FILE,
    embedded_file,
    embedded_path,
    icon_of,
)
from bot.chat.personas.cards.versions import (
    MODIFIED,
    OURS,
    Version,
    convert,
    data_of,
    put,
    put_extension,
)
from bot.chat.personas.documents import JsonObject, as_list, as_object

# Our fields that stand in `extensions.caduceus`, since no card has a place for them.
_OWN_FIELDS = ("summary", "sampling", "stop_words", "age_restricted")
_OTHER_KEYS = {
    "name": "name",
    "nickname": "nickname",
    "lorebook": "character_book",
    "translated_notes": "creator_notes_multilingual",
}


def new_card(persona: PersonaText, picture: bytes | None = None) -> Card:
    """A V3 card of a persona that came without one."""
    document = convert(Version.V2, {"data": {"name": persona.name}}, Version.V3)
    bare = PersonaText(name=persona.name)
    card = Card(Origin.TOML, Version.V3, document, bare, picture)
    return with_persona(card, persona)


def with_persona(card: Card, persona: PersonaText, now: int | None = None) -> Card:
    """The card with what differs in `persona` changed in its document.

    `now`, in Unix seconds, becomes a V3 card's `modification_date` if anything differs. A card that
    says nothing else than before is returned as it is.
    """
    document, version = card.document, card.version
    for field in PersonaText.model_fields:
        if getattr(persona, field) != getattr(card.persona, field):
            document = _put_field(version, document, field, _plain(getattr(persona, field)))
    if document is card.document:
        return card
    if now is not None and version is Version.V3:
        document = put(version, document, MODIFIED, now)
    return replace(card, document=document, persona=persona)


def renamed(card: Card, name: str, now: int | None = None) -> Card:
    """The card under another name."""
    return with_persona(card, card.persona.model_copy(update={"name": name}), now)


def with_picture(card: Card, picture: bytes | None, now: int | None = None) -> Card:
    """The card with another main picture, a PNG, or with none.

    Where the picture is one of the card's files, that file goes, and a V3 card's list of assets
    names the new one in its place. `now` as in :func:`with_persona`.
    """
    document, files = card.document, dict(card.files)
    icon = icon_of(card.assets)
    if icon is not None and embedded_file(icon, files) is not None:
        assets = as_list(card.data.get("assets")) or []
        others = [each for each in assets if not _names(each, icon)]
        if not any(asset.uri == icon.uri for asset in card.assets if asset.type != "icon"):
            files = _without(files, icon)
        if picture is not None:
            files[ICON_FILE] = picture
            others.insert(0, {**ICON_ASSET})
        document = put(card.version, document, "assets", others)
    if now is not None and card.version is Version.V3:
        document = put(card.version, document, MODIFIED, now)
    return replace(card, document=document, picture=picture, files=files)


def _names(entry: object, asset: Asset) -> bool:
    found = as_object(entry) or {}
    return found.get("type") == asset.type and found.get("uri") == asset.uri


def _without(files: Mapping[str, bytes], asset: Asset) -> dict[str, bytes]:
    path = (embedded_path(asset) or "").lower()
    return {name: content for name, content in files.items() if name.lower() != path}


def _put_field(version: Version, document: JsonObject, field: str, value: object) -> JsonObject:
    key = {**TEXTS, **LISTS, **_OTHER_KEYS}.get(field)
    if key:
        return put(version, document, key, value)
    if field in _OWN_FIELDS:
        extensions = as_object(data_of(version, document).get("extensions")) or {}
        ours = {**(as_object(extensions.get(OURS)) or {}), field: value}
        if value in (None, "", [], False):
            del ours[field]
        return put_extension(version, document, OURS, ours or None)
    return put_extension(version, document, field, _EXTENSIONS[field](document, version, value))


def _depth_prompt(document: JsonObject, version: Version, value: object) -> object:
    """SillyTavern's `depth_prompt`, with the keys of it that we don't know."""
    changed = as_object(value)
    extensions = as_object(data_of(version, document).get("extensions")) or {}
    before = as_object(extensions.get("depth_prompt")) or {}
    if changed is None:
        return {**before, "prompt": ""} if before else None
    text, depth, role = (changed[key] for key in ("text", "depth", "role"))
    return {**before, "prompt": text, "depth": depth, "role": role}


def _talkativeness(document: JsonObject, version: Version, value: object) -> object:
    return value


_EXTENSIONS: dict[str, Callable[[JsonObject, Version, object], object]] = {
    "depth_prompt": _depth_prompt,
    "talkativeness": _talkativeness,
}


def _plain(value: object) -> object:
    """A field as JSON has it."""
    if isinstance(value, BaseModel):
        return value.model_dump(exclude_none=True)
    if isinstance(value, tuple):
        return list(cast("tuple[object, ...]", value))
    return value
