"""Cards as JSON: what version a document is, the persona in it, and what is unusual about it."""

from collections.abc import Mapping, Sequence

from bot.chat.personas.cards.card import Card, Origin, TextChunk
from bot.chat.personas.cards.fields import about_name, persona_of
from bot.chat.personas.cards.formats.foreign import webui_document
from bot.chat.personas.cards.kinds import Kind, kind_of, refusal
from bot.chat.personas.cards.versions import V1_KEYS, Version, data_of
from bot.chat.personas.documents import (
    FILE_BYTES,
    JsonObject,
    as_list,
    as_object,
    decode,
    line_in_json,
    parse_json,
    shown,
)
from bot.errors import PersonaError

_VERSIONS = {Kind.V1: Version.V1, Kind.V2: Version.V2, Kind.V3: Version.V3}
_ON_THE_WEB = ("http:", "https:", "ftp:", "//")
_UNUSED: Mapping[str, str] = {
    "regex_scripts": "Its scripts that rewrite texts (regex_scripts) are kept and not run.",
    "TavernHelper_scripts": "Its scripts (TavernHelper) are kept and not run.",
    "risuai": "Its settings and scripts for Risu are kept and not used.",
}


def read_document(file_name: str, content: bytes) -> JsonObject:
    """The JSON object in a card's bytes. Raises PersonaError, for lorebooks and the like too."""
    if len(content) > FILE_BYTES:
        raise PersonaError(f"{file_name}: the card in it is larger than 8 MiB.")
    values = parse_json(file_name, decode(file_name, content))
    document = as_object(values)
    kind = kind_of(values)
    if document is None or not kind.is_card:
        raise refusal(file_name, kind)
    return document


def card_of(
    file_name: str,
    document: JsonObject,
    origin: Origin,
    *,
    text: str = "",
    picture: bytes | None = None,
    files: Mapping[str, bytes] | None = None,
    chunks: tuple[TextChunk, ...] = (),
    warnings: Sequence[str] = (),
) -> Card:
    """The card in a document that :func:`read_document` let pass. Raises PersonaError.

    `text` is where lines are looked up that errors name.
    """
    kind = kind_of(document)
    if kind is Kind.WEBUI:
        document, kind, origin = webui_document(document), Kind.V3, Origin.WEBUI
    if not kind.is_card:
        raise refusal(file_name, kind)
    version = _VERSIONS[kind]
    data = data_of(version, document)

    def line_of(key: str) -> int | None:
        names = {"name": ("name", "char_name")}.get(key, (key,))
        return next((line for name in names if (line := line_in_json(text, name))), None)

    persona, unusual = persona_of(file_name, data, line_of)
    told = [
        *warnings,
        *_about_document(version, document),
        *unusual,
        *_about_use(data),
        *about_name(persona.name),
    ]
    return Card(origin, version, document, persona, picture, dict(files or {}), chunks, tuple(told))


def _about_document(version: Version, document: JsonObject) -> list[str]:
    told: list[str] = []
    if version is Version.V1:
        return told
    spec = document.get("spec")
    if spec is None:
        told.append("It does not say which version it is; it is taken as a V2 card.")
    data = as_object(document.get("data")) or {}
    written = str(document.get("spec_version") or "")
    try:
        newer = version is Version.V3 and float(written or 3) > 3
    except ValueError:
        newer = False
    if newer or (isinstance(spec, str) and spec.lower()[:13] not in _KNOWN_SPECS):
        told.append(f"It is of a newer version ({shown(written) or '?'}); what is known is used.")
    differing = [key for key in V1_KEYS if key in document and document[key] != data.get(key, "")]
    if differing:
        told.append(
            f"It says two things about {', '.join(differing)}; what stands in «data» is used."
        )
    return told


_KNOWN_SPECS = ("chara_card_v2", "chara_card_v3", "chara_card_v1")


def _about_use(data: JsonObject) -> list[str]:
    """What of the card will not be used."""
    extensions = as_object(data.get("extensions")) or {}
    told = [said for key, said in _UNUSED.items() if extensions.get(key)]
    book = data.get("character_book")
    world = extensions.get("world")
    if world and isinstance(world, str) and not book:
        told.append(f"It names a lorebook «{shown(world)}», which is not in the file.")
    assets = [as_object(each) or {} for each in as_list(data.get("assets")) or []]
    remote = [each for each in assets if str(each.get("uri") or "").lower().startswith(_ON_THE_WEB)]
    beside = [each for each in assets if each.get("type") != "icon" and each not in remote]
    if remote:
        told.append(f"On the web, so never fetched: {len(remote)} of its pictures or sounds.")
    if beside:
        told.append(f"Kept but not shown: {len(beside)} of its pictures or sounds.")
    return told
