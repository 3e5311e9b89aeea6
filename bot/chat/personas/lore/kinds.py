"""What a JSON document is, by its contents alone: which lorebook, or what instead of one."""

from bot.chat.personas.lore import values
from bot.chat.personas.lore.book import BookKind, JsonObject

# Keys that a flat character card has and no lorebook. A book has a name and a description, too.
_CARD = frozenset(
    {
        "char_name", "char_persona", "char_greeting", "world_scenario", "example_dialogue",
        "personality", "scenario", "first_mes", "mes_example",
    }
)  # fmt: skip
_PRESET = frozenset({"temperature", "temp", "top_p", "top_k", "rep_pen", "prompt_order", "genamt"})


def book_kind(document: object) -> BookKind | None:
    """Which lorebook a parsed document is; None for whatever else it is.

    A persona card is never one, whatever else it holds: neither by its `spec`, nor with the keys
    of a card beside `entries`.
    """
    found = values.as_object(document)
    if found is None or is_card(found):
        return None
    spec = found.get("spec")
    if isinstance(spec, str) and spec.lower().startswith("lorebook"):
        return BookKind.LOREBOOK_V3 if values.as_object(found.get("data")) is not None else None
    if "lorebookVersion" in found:
        return BookKind.NOVELAI
    if found.get("type") == "risu" and values.as_list(found.get("data")) is not None:
        return BookKind.RISU
    data = values.as_object(found.get("data"))
    if data is not None and "spec" not in found and values.as_list(data.get("entries")) is not None:
        return BookKind.LOREBOOK_V3  # somebody left out its spec
    entries = found.get("entries")
    if found.get("kind") == "memory" and values.as_list(entries) is not None:
        return BookKind.AGNAI
    listed = values.as_list(entries)
    if listed is not None:
        return _kind_of_list(listed)
    slots = values.as_object(entries)
    if slots is None or not all(values.as_object(entry) is not None for entry in slots.values()):
        return None
    return BookKind.WORLD_INFO


def is_card(document: JsonObject) -> bool:
    """Whether it is a character card of any version, with a book inside or without."""
    spec = document.get("spec")
    if isinstance(spec, str) and spec.lower().startswith("chara_card"):
        return True
    data = values.as_object(document.get("data"))
    if data is not None and _CARD & data.keys():
        return True
    return bool(_CARD & document.keys())


def what_else(document: object) -> str:
    """What a document that is no lorebook is, in words: "a character card", "a chat log"."""
    found = values.as_object(document)
    if found is None:
        listed = values.as_list(document)
        first = values.as_object(listed[0]) if listed else None
        if first is not None and {"mes", "is_user", "chat_metadata"} & first.keys():
            return "a chat log"
        return "a list" if listed is not None else "a single value"
    if is_card(found):
        return "a character card"
    if {"chat_metadata", "user_name"} & found.keys():
        return "a chat log"
    if "gamestarted" in found or {"folders", "wifolders_d"} & found.keys():
        return "a story of KoboldAI"
    data = values.as_object(found.get("data")) or found
    if found.get("kind") == "character" or {"name", "description"} <= data.keys():
        return "a character card" if "entries" not in found else "JSON of another kind"
    if len(_PRESET & found.keys()) > 1:
        return "a preset with settings for a model"
    return "JSON of another kind"


def _kind_of_list(entries: list[object]) -> BookKind | None:
    if not entries:
        return BookKind.CHARACTER_BOOK
    first = values.as_object(entries[0])
    if first is None:
        return None
    if "keywords" in first:
        return BookKind.AGNAI
    if "contextConfig" in first or ("text" in first and "content" not in first):
        return BookKind.NOVELAI
    if "keys" in first:
        return BookKind.CHARACTER_BOOK
    return BookKind.WORLD_INFO if "key" in first or "content" in first else None
