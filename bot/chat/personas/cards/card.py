"""A character card as a record."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from bot.chat.persona import PersonaText
from bot.chat.personas.cards.versions import Version, data_of
from bot.chat.personas.documents import JsonObject, as_list, as_object


class Origin(Enum):
    """The kind of file that a card came in; the value says it in words."""

    TOML = "persona file"
    JSON = "card as JSON"
    PNG = "card in a picture"
    CHARX = "CHARX card"
    BYAF = "Backyard archive"
    WEBUI = "character of text-generation-webui"


@dataclass(frozen=True, slots=True)
class Asset:
    """One of a V3 card's assets, as the card names it. `uri` is never fetched."""

    type: str
    uri: str
    name: str
    ending: str


@dataclass(frozen=True, slots=True)
class TextChunk:
    """A text chunk of a PNG: its type (`tEXt`, `zTXt`, `iTXt`) and its bytes, as they came."""

    type: bytes
    content: bytes


@dataclass(frozen=True, slots=True)
class Card:
    """A character card: its document as it came, and the persona that is in it.

    `document` holds every key in its order, known or not, in the terms of `version`; nobody changes
    it, :mod:`edits <bot.chat.personas.cards.edits>` makes another. `picture` is the main picture's
    file as it came (not decoded yet), `files` what else the file holds: path to bytes.
    """

    origin: Origin
    version: Version
    document: JsonObject
    persona: PersonaText
    picture: bytes | None = None
    files: Mapping[str, bytes] = field(default_factory=dict[str, bytes])
    chunks: tuple[TextChunk, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def data(self) -> JsonObject:
        """The document's fields in the terms of V3's `data`."""
        return data_of(self.version, self.document)

    @property
    def spec_version(self) -> str:
        """`spec_version` as it came, "" where the card has none."""
        return str(self.document.get("spec_version") or "")

    @property
    def assets(self) -> tuple[Asset, ...]:
        """The assets that the card names."""
        found = [as_object(each) for each in as_list(self.data.get("assets")) or []]
        return tuple(
            Asset(*(str(each.get(key) or "") for key in ("type", "uri", "name", "ext")))
            for each in found
            if each is not None
        )
