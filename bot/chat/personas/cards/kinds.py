"""What a JSON document is: a character card of one version, a lorebook of one program, or neither.

By what is in it alone. The shapes are those of character-card-spec-v2 and -v3, SillyTavern,
NovelAI, Agnai, Risu and KoboldAI.
"""

import re
from enum import Enum

from bot.chat.personas.documents import JsonObject, as_list, as_object
from bot.errors import PersonaError


class Kind(Enum):
    """What a document is; the value says it in words."""

    V1 = "a V1 character card"
    V2 = "a V2 character card"
    V3 = "a V3 character card"
    WEBUI = "a character of text-generation-webui"
    V3_BOOK = "a V3 lorebook"
    BOOK = "a character's lorebook"
    WORLD_INFO = "a lorebook of SillyTavern (World Info)"
    NOVELAI_BOOK = "a lorebook of NovelAI"
    AGNAI_BOOK = "a memory book of Agnai"
    RISU_BOOK = "a lorebook of Risu"
    AGNAI_CHARACTER = "a character in Agnai's own format"
    STORY = "a story of KoboldAI"
    SCENARIO = "a story or scenario of NovelAI"
    CHAT = "a chat log"
    PRESET = "a preset with settings for a model"
    OTHER = "no character card"

    @property
    def is_card(self) -> bool:
        """Whether a persona can be read from it."""
        return self in _CARDS

    @property
    def is_book(self) -> bool:
        """Whether it is a lorebook."""
        return self in _BOOKS


_CARDS = frozenset({Kind.V1, Kind.V2, Kind.V3, Kind.WEBUI})
BOOK_FIX = "A lorebook is imported with `/lore import`."  # what to do with a file of these
_BOOKS = frozenset(
    {
        Kind.V3_BOOK, Kind.BOOK, Kind.WORLD_INFO, Kind.NOVELAI_BOOK, Kind.AGNAI_BOOK,
        Kind.RISU_BOOK,
    }
)  # fmt: skip
_SPEC = re.compile(r"chara_card_v(\d+)", re.IGNORECASE)
# Keys that nothing but a flat card has. A lorebook has a name and a description, too.
FLAT_KEYS = frozenset(
    {
        "char_name", "char_persona", "char_greeting", "world_scenario", "example_dialogue",
        "personality", "first_mes", "mes_example",
    }
)  # fmt: skip
_ALSO_FLAT = frozenset(
    {
        "description", "scenario", "system_prompt", "post_history_instructions", "creator_notes",
        "creatorcomment", "alternate_greetings", "character_book",
    }
)  # fmt: skip
_BESIDE_A_NAME = frozenset(
    {
        "name", "nickname", "extensions", "tags", "creator", "avatar", "chat", "create_date",
        "talkativeness", "fav", "metadata",
    }
)  # fmt: skip
_PRESET = frozenset(
    {
        "temperature", "temp", "top_p", "top_k", "rep_pen", "repetition_penalty", "input_sequence",
        "output_sequence", "prompt_order", "story_string", "max_length", "genamt", "chat_start",
        "example_separator", "system_sequence", "wrap", "macro",
    }
)  # fmt: skip


def kind_of(document: object) -> Kind:
    """What a parsed JSON document is."""
    values = as_object(document)
    if values is None:
        return _kind_of_list(as_list(document) or [])
    return _by_its_marks(values) or _by_its_keys(values)


def refusal(file_name: str, kind: Kind) -> PersonaError:
    """The error for a document that is not a card: it names what the file is."""
    said = f"{file_name} is {kind.value}, not a persona."
    match kind:
        case _ if kind.is_book:
            return PersonaError(said, BOOK_FIX)
        case Kind.AGNAI_CHARACTER:
            return PersonaError(said, "Export it from Agnai in the format of SillyTavern.")
        case Kind.OTHER:
            return PersonaError(
                f"{file_name} is {kind.value}: expected a card with a name and a description."
            )
        case _:
            return PersonaError(said, "Use a character card: JSON, PNG, CHARX, BYAF or YAML.")


def _by_its_marks(values: JsonObject) -> Kind | None:
    """What the document itself says that it is."""
    spec = values.get("spec")
    data = as_object(values.get("data"))
    if isinstance(spec, str):
        if spec.lower().startswith("lorebook"):
            return Kind.V3_BOOK
        if data is not None and (version := _SPEC.match(spec)):
            return Kind.V2 if int(version[1][:4]) < 3 else Kind.V3
    if "lorebookVersion" in values:
        return Kind.NOVELAI_BOOK
    if values.get("type") == "risu" and "data" in values:
        return Kind.RISU_BOOK
    if values.get("kind") == "memory":
        return Kind.AGNAI_BOOK
    if as_object(values.get("persona")) is not None:
        return Kind.AGNAI_CHARACTER
    if {"scenarioVersion", "storyContainerVersion"} & values.keys():
        return Kind.SCENARIO
    if data is not None and ("name" in data or not FLAT_KEYS & values.keys()):
        if "entries" in data and not (FLAT_KEYS | {"scenario"}) & data.keys():
            return Kind.BOOK
        return Kind.V2 if {"name", "description", *FLAT_KEYS} & data.keys() else None
    return None


def _by_its_keys(values: JsonObject) -> Kind:
    keys = values.keys()
    if "chat_metadata" in keys or {"user_name", "character_name"} <= keys:
        return Kind.CHAT
    if "gamestarted" in keys or ("worldinfo" in keys and {"memory", "prompt", "actions"} & keys):
        return Kind.STORY
    if not FLAT_KEYS & keys and "entries" in keys:
        return _kind_of_entries(values["entries"])
    is_webui = "context" in keys or ("greeting" in keys and "description" not in keys)
    if is_webui and not (FLAT_KEYS - {"example_dialogue"}) & keys:
        return Kind.WEBUI
    if len(_PRESET & keys) > 1 and not FLAT_KEYS & keys:
        return Kind.PRESET
    if (FLAT_KEYS | _ALSO_FLAT) & keys:
        return Kind.V1
    # A name and keys that no card has would be a persona with nothing in it.
    return Kind.V1 if "name" in keys and not keys - _BESIDE_A_NAME else Kind.OTHER


def _kind_of_entries(entries: object) -> Kind:
    listed = as_list(entries)
    if listed is None:
        return Kind.WORLD_INFO
    first = as_object(listed[0]) if listed else None
    if first is None:
        return Kind.BOOK
    if "keywords" in first:
        return Kind.AGNAI_BOOK
    if "text" in first:
        return Kind.NOVELAI_BOOK
    return Kind.WORLD_INFO if "key" in first else Kind.BOOK


def _kind_of_list(items: list[object]) -> Kind:
    first = as_object(items[0]) if items else None
    if first is None:
        return Kind.OTHER
    if {"mes", "is_user"} & first.keys() or "chat_metadata" in first:
        return Kind.CHAT
    if {"key", "keys", "keywords"} & first.keys():
        return _kind_of_entries(items)
    return Kind.OTHER
