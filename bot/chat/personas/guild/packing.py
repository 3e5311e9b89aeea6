"""A card as a guild's store keeps it, and back. Blocking: pictures are decoded, JSON is parsed."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace

from bot.chat.persona import Persona, PersonaText
from bot.chat.personas.cards.card import Card, Origin, TextChunk
from bot.chat.personas.cards.formats.json_file import card_of
from bot.chat.personas.cards.pictures import PERSONA_SIDE, render
from bot.chat.personas.documents import JsonObject, dump_json
from bot.chat.personas.guild.kept import KeptDocument, KeptFile, PersonaDraft
from bot.chat.personas.homes import persona_key, with_version
from bot.errors import PersonaError

PICTURE_BYTES = 4 * 1024 * 1024  # of a picture as it is kept
PERSONA_BYTES = 40 * 1024 * 1024  # of a card with all that came with it
_LATIN = "latin-1"  # a chunk's type: any four bytes


def draft_of(card: Card, *, with_files: bool = True) -> PersonaDraft:
    """The card as it is kept, its picture decoded and written anew. Raises PersonaError.

    Without files, those that the persona has stay. A picture that cannot be decoded is left out.
    """
    document = dump_json(card.document)
    # What is read back is what will speak: the version is of that.
    persona = _read(card.persona.name, card.origin, document).persona
    files, digest = None, ""
    if with_files:
        files = _files(card)
        digest = picture_digest(files[0].content) if _has_picture(files) else ""
        if len(document) + sum(len(each.content) for each in files) > PERSONA_BYTES:
            raise PersonaError(
                f"With all its files, this card takes more than {PERSONA_BYTES // 2**20} MiB.",
                "Use the card without them, as PNG or JSON.",
            )
    return PersonaDraft(
        name=persona.name,
        name_key=persona_key(persona.name),
        summary=persona.summary,
        version=Persona(**dict(persona)).version,
        origin=card.origin.name,
        spec=card.version.value,
        document=document,
        picture_digest=digest,
        files=files,
    )


def card_of_kept(kept: KeptDocument, files: Sequence[KeptFile] = ()) -> Card:
    """The card again, with these of its files."""
    card = _read(kept.persona.name, Origin[kept.origin], kept.document)
    picture = next((each.content for each in files if each.kind == "picture"), None)
    return replace(
        card,
        picture=picture,
        files={each.name: each.content for each in files if each.kind == "file"},
        chunks=tuple(
            TextChunk(each.name.encode(_LATIN), each.content)
            for each in files
            if each.kind == "chunk"
        ),
    )


def persona_of_kept(kept: KeptDocument) -> Persona:
    """The persona that speaks, with its version."""
    text = _read(kept.persona.name, Origin[kept.origin], kept.document).persona
    return with_version(as_persona(text, kept.persona.id, kept.persona.guild_id))


def as_persona(text: PersonaText, persona_id: str, guild_id: str) -> Persona:
    """A text as a guild's own persona."""
    return Persona(id=persona_id, guild_id=guild_id, **dict(text))


def fitted_picture(file_name: str, content: bytes) -> bytes:
    """A picture as it is kept: a PNG of at most 4 MiB, without metadata. Raises PersonaError."""
    side = PERSONA_SIDE
    made = render(file_name, content)
    while len(made) > PICTURE_BYTES:
        side //= 2
        made = render(file_name, content, side)
    return made


def kept_picture(content: bytes) -> bytes | None:
    """The same of a card's picture; None if it is broken."""
    try:
        return fitted_picture("The picture", content)
    except PersonaError:
        return None


def picture_digest(content: bytes) -> str:
    """The digest by which a picture is known."""
    return hashlib.sha256(content).hexdigest()


def _files(card: Card) -> list[KeptFile]:
    picture = kept_picture(card.picture) if card.picture is not None else None
    files = [KeptFile("picture", "", picture)] if picture else []
    files += [KeptFile("file", path, content) for path, content in card.files.items()]
    files += [KeptFile("chunk", chunk.type.decode(_LATIN), chunk.content) for chunk in card.chunks]
    return files


def _has_picture(files: Sequence[KeptFile]) -> bool:
    return bool(files) and files[0].kind == "picture"


def _read(name: str, origin: Origin, document: bytes) -> Card:
    # Written by us from what was read with all its bounds.
    values: JsonObject = json.loads(document)
    return card_of(name, values, origin)
