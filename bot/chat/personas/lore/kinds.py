"""What a JSON document is, by its contents alone: which lorebook, or what instead of one."""

from bot.chat.personas.cards.kinds import FLAT_KEYS, Kind, kind_of
from bot.chat.personas.documents import as_list, as_object
from bot.chat.personas.lore.book import BookKind, JsonObject

# Keys that a character card has and no lorebook.
_CARD = FLAT_KEYS | {"scenario"}


def book_kind(document: object) -> BookKind | None:
    """Which lorebook a parsed document is; None for whatever else it is.

    A persona card is never one, whatever else it holds: neither by its `spec`, nor with the keys
    of a card beside `entries`.
    """
    found = as_object(document)
    if found is None or _is_card(found):
        return None
    spec = found.get("spec")
    if isinstance(spec, str) and spec.lower().startswith("lorebook"):
        return BookKind.LOREBOOK_V3 if as_object(found.get("data")) is not None else None
    if "lorebookVersion" in found:
        return BookKind.NOVELAI
    if found.get("type") == "risu" and as_list(found.get("data")) is not None:
        return BookKind.RISU
    data = as_object(found.get("data"))
    if data is not None and "spec" not in found and as_list(data.get("entries")) is not None:
        return BookKind.LOREBOOK_V3  # somebody left out its spec
    entries = found.get("entries")
    if found.get("kind") == "memory" and as_list(entries) is not None:
        return BookKind.AGNAI
    listed = as_list(entries)
    if listed is not None:
        return _kind_of_list(listed)
    slots = as_object(entries)
    if slots is None or not all(as_object(entry) is not None for entry in slots.values()):
        return None
    return BookKind.WORLD_INFO


def _is_card(document: JsonObject) -> bool:
    """Whether it is a character card of any version, with a book inside or without."""
    spec = document.get("spec")
    if isinstance(spec, str) and spec.lower().startswith("chara_card"):
        return True
    data = as_object(document.get("data"))
    if data is not None and _CARD & data.keys():
        return True
    return bool(_CARD & document.keys())


def what_else(document: object) -> str:
    """What a document that is no lorebook is, in words: "a V2 character card", "a chat log"."""
    kind = kind_of(document)
    if kind is not Kind.OTHER:
        return kind.value
    if as_object(document) is not None:
        return "JSON of another kind"
    return "a list" if as_list(document) is not None else "a single value"


def _kind_of_list(entries: list[object]) -> BookKind | None:
    if not entries:
        return BookKind.CHARACTER_BOOK
    first = as_object(entries[0])
    if first is None:
        return None
    if "keywords" in first:
        return BookKind.AGNAI
    if "contextConfig" in first or ("text" in first and "content" not in first):
        return BookKind.NOVELAI
    if "keys" in first:
        return BookKind.CHARACTER_BOOK
    return BookKind.WORLD_INFO if "key" in first or "content" in first else None
