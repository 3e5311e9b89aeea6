"""The book of a card (character-card-spec-v2 and -v3), and `lorebook_v3`, its file; in and out.

What SillyTavern adds stands in an entry's `extensions`; a number there beats the spec's word, as
`position` is both. Where both give `case_sensitive`, the extension's counts unless it is null.
"""

from dataclasses import replace
from typing import Any

from bot.chat.personas.documents import as_list, as_object
from bot.chat.personas.lore.book import BookKind, JsonObject, Lorebook, LoreEntry
from bot.chat.personas.lore.fields import (
    BOOK,
    CARD,
    CARD_EXTENSIONS,
    WORLD_INFO,
    changed_keys,
    packed,
    read_keys,
    unknown_keys,
    unpacked,
    write_keys,
)
from bot.chat.personas.lore.uids import Uids
from bot.chat.personas.lore.world_info import (
    CARD_BAG,
    CARD_KINDS,
    FILTER,
    REGEX_MARK,
    WORLD_INFO_BAG,
    read_character_filter,
)

SPEC = "lorebook_v3"
# Any of these shows that SillyTavern wrote an entry: its `use_regex` is true on every one.
_SILLY_TAVERN = frozenset(
    {"selectiveLogic", "display_index", "exclude_recursion", "useProbability"}
)


def read_character_book(document: JsonObject, kind: BookKind = BookKind.CHARACTER_BOOK) -> Lorebook:
    """A book from a card's `character_book`, or from the data of a `lorebook_v3` file."""
    uids = Uids()
    entries = tuple(
        read_entry(raw, uids.unique(raw.get("id"), str(at)))
        for at, raw in enumerate(_raw_entries(document))
    )
    found: dict[str, Any] = read_keys(BOOK, document)
    extensions = as_object(document.get("extensions")) or {}
    return Lorebook(kind, **found, entries=entries, extensions=extensions, raw=document)


def read_lorebook_v3(document: JsonObject) -> Lorebook:
    """A book from a file `{spec: "lorebook_v3", data}`. Its `raw` is the data."""
    data = as_object(document.get("data")) or {}
    return replace(read_character_book(data, BookKind.LOREBOOK_V3), envelope=document)


def read_entry(raw: JsonObject, uid: str) -> LoreEntry:
    """One entry. Programs other than SillyTavern mean a `use_regex` as the spec does."""
    extensions = as_object(raw.get("extensions")) or {}
    found: dict[str, Any] = {
        **read_keys(CARD, raw),
        **read_keys(CARD_EXTENSIONS, extensions),
        **read_character_filter(unpacked(extensions, WORLD_INFO_BAG)[0]),
        "uid": uid,
    }
    if _SILLY_TAVERN & extensions.keys():
        found["use_regex"] = False  # keys between slashes are patterns all the same
    return LoreEntry(**found, extensions=unknown_keys(CARD_EXTENSIONS, extensions), raw=raw)


def write_character_book(book: Lorebook) -> dict[str, object]:
    """The book as a card holds it; one that came as such goes out as it came."""
    if book.kind not in CARD_KINDS or not book.raw:
        return _fresh_book(book)
    before = read_character_book(book.raw, book.kind)
    if before == book:
        return dict(book.raw)
    return {**book.raw, **changed_keys(BOOK, before, book), "entries": _changed(book, before)}


def write_lorebook_v3(book: Lorebook) -> dict[str, object]:
    """The book as a file of V3, with the keys that V3 demands; others stay as they came."""
    data = write_character_book(book)
    if book.kind is not BookKind.LOREBOOK_V3:
        data.setdefault("extensions", {})
        data["entries"] = [_with_demanded(entry) for entry in _raw_entries(data)]
    lead = {} if "spec" in book.envelope else {"spec": SPEC}
    return {**lead, **book.envelope, "data": data}


def _raw_entries(document: JsonObject) -> list[JsonObject]:
    entries = as_list(document.get("entries"))
    if entries is None:  # as World Info has them: seen in cards
        entries = list((as_object(document.get("entries")) or {}).values())
    return [entry for entry in map(as_object, entries) if entry is not None]


def _with_demanded(entry: JsonObject) -> dict[str, object]:
    demanded: dict[str, object] = {
        "keys": [], "content": "", "extensions": {}, "enabled": True, "insertion_order": 100,
        "use_regex": False,
    }  # fmt: skip
    return {**entry, **{key: value for key, value in demanded.items() if key not in entry}}


def _changed(book: Lorebook, before: Lorebook) -> list[object]:
    old = {entry.uid: entry for entry in before.entries}
    return [
        _changed_entry(old[entry.uid], entry) if entry.uid in old else _fresh(entry, book.kind)
        for entry in book.entries
    ]


def _changed_entry(before: LoreEntry, now: LoreEntry) -> dict[str, object]:
    """The entry as it stood, with what is different now, where that stood or else belongs."""
    raw = before.raw
    extensions = as_object(raw.get("extensions")) or {}
    in_extensions = changed_keys(CARD_EXTENSIONS, before, now)
    in_card = changed_keys(CARD, before, now)
    for key in ("position", "case_sensitive"):  # both have it: where it stands, it is changed
        if key in in_extensions and key in in_card:
            if key not in extensions and (key != "position" or now.position < 2):
                del in_extensions[key]
            elif key not in raw:
                del in_card[key]
    written = {**raw, **in_card}
    if in_extensions:
        written["extensions"] = {**extensions, **in_extensions}
    return written


def _fresh(entry: LoreEntry, kind: BookKind) -> dict[str, object]:
    written = write_keys(CARD, entry, everything=False)
    bag, extensions = unpacked(entry.extensions, CARD_BAG)
    _, extensions = unpacked(extensions, REGEX_MARK)
    if kind is BookKind.WORLD_INFO and entry.raw:
        only_there = unknown_keys(WORLD_INFO, entry.raw, "extensions")
        if only_there:
            extensions = packed(extensions, WORLD_INFO_BAG, only_there)
    elif entry.character_names or entry.character_tags:
        wanted = {
            "isExclude": entry.character_exclude,
            "names": list(entry.character_names),
            "tags": list(entry.character_tags),
        }
        extensions = packed(extensions, WORLD_INFO_BAG, {FILTER: wanted})
    own = write_keys(CARD_EXTENSIONS, entry, everything=True)
    return {**written, "extensions": {**extensions, **own}, **bag}


def _fresh_book(book: Lorebook) -> dict[str, object]:
    bag, extensions = unpacked(book.extensions, CARD_BAG)
    if book.kind is BookKind.WORLD_INFO:
        only_there = unknown_keys(
            BOOK, book.raw, "entries", "extensions", "scanDepth", "tokenBudget", "recursiveScanning"
        )
        if only_there:
            extensions = packed(extensions, WORLD_INFO_BAG, only_there)
    return {
        **write_keys(BOOK, book, everything=False),
        "extensions": extensions,
        "entries": [_fresh(entry, book.kind) for entry in book.entries],
        **bag,
    }
