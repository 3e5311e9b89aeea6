"""SillyTavern's World Info: `{entries: {uid: {key, keysecondary, content, ...}}}`, in and out.

Old files lack everything after `selective`; some programs write `entries` as a list, keep a name
and the settings of a book at the top, or flatten `characterFilter`.
"""

from collections.abc import Iterable, Iterator
from itertools import count
from typing import Any

from bot.chat.personas.documents import as_list, as_object
from bot.chat.personas.lore import values
from bot.chat.personas.lore.book import BookKind, JsonObject, Lorebook, LoreEntry
from bot.chat.personas.lore.fields import (
    BAG,
    BOOK,
    BOOK_ALIASES,
    CARD,
    WORLD_INFO,
    changed_keys,
    packed,
    read_keys,
    unknown_keys,
    unpacked,
    write_keys,
)
from bot.chat.personas.lore.uids import Uids

FILTER = "characterFilter"
_FLAT_FILTER = ("characterFilterNames", "characterFilterTags", "characterFilterExclude")
# In our bag of extensions: in a card's book, of what World Info alone has; and the other way round.
CARD_KINDS = (BookKind.CHARACTER_BOOK, BookKind.LOREBOOK_V3)
WORLD_INFO_BAG = "world_info"
CARD_BAG = "character_book"
REGEX_MARK = "use_regex"  # it is meant as V3 means it
_ONLY_IN_CARDS = tuple(key for key in CARD if key.attribute in ("name", "priority"))
# Of a card's entry what World Info has a key for, or what is kept otherwise.
_IN_BOTH = tuple(
    key
    for key in CARD
    if key.attribute in {key.attribute for key in WORLD_INFO} - {"uid", "position"}
)


def read_world_info(document: JsonObject) -> Lorebook:
    """A book from a World Info document. Entries that are no objects are passed over."""
    uids = Uids()
    entries = tuple(
        read_entry(raw, uids.unique(raw.get("uid", slot), slot))
        for slot, raw in raw_entries(document)
    )
    found: dict[str, Any] = read_keys((*BOOK_ALIASES, *BOOK), document)
    extensions = as_object(document.get("extensions")) or {}
    return Lorebook(
        BookKind.WORLD_INFO, **found, entries=entries, extensions=extensions, raw=document
    )


def raw_entries(document: JsonObject) -> Iterator[tuple[str, JsonObject]]:
    """The entries with the keys or numbers under which they stand."""
    entries = document.get("entries")
    listed = as_list(entries)
    pairs = enumerate(listed) if listed is not None else (as_object(entries) or {}).items()
    for slot, raw in pairs:
        entry = as_object(raw)
        if entry is not None:
            yield str(slot), entry


def read_entry(raw: JsonObject, uid: str) -> LoreEntry:
    """One entry. `selective` is on where it is missing, as in SillyTavern."""
    found: dict[str, Any] = {"selective": True, **read_keys(WORLD_INFO, raw)}
    extensions = as_object(raw.get("extensions")) or {}
    found |= read_keys(_ONLY_IN_CARDS, unpacked(extensions, CARD_BAG)[0])
    found |= read_character_filter(raw) | {"uid": uid}
    if REGEX_MARK in (as_object(extensions.get(BAG)) or {}):
        found["use_regex"] = True
    return LoreEntry(**found, extensions=extensions, raw=raw)


def write_world_info(book: Lorebook) -> dict[str, object]:
    """The book as a World Info document; one that came as such goes out as it came.

    What only a card's book has stands in `extensions`, and comes back from there.
    """
    if book.kind is not BookKind.WORLD_INFO or not book.raw:
        return {
            **write_keys(BOOK, book, everything=False),
            **_extensions_of(book),
            "entries": {
                str(number): _fresh(entry, number, book.kind)
                for number, entry in zip(_numbers(book), book.entries, strict=True)
            },
        }
    before = read_world_info(book.raw)
    if before == book:
        return dict(book.raw)
    return {
        **book.raw,
        **changed_keys(BOOK, before, book),
        "entries": _changed_entries(book, before),
    }


def _numbers(book: Lorebook) -> Iterable[int]:
    """The entries' own numbers where all have one, else their places."""
    uids = [entry.uid for entry in book.entries]
    if all(uid.isascii() and uid.isdecimal() and str(int(uid)) == uid for uid in uids):
        return map(int, uids)
    return range(len(uids))


def _changed_entries(book: Lorebook, before: Lorebook) -> object:
    old = {entry.uid: entry for entry in before.entries}
    slots = dict(zip((entry.uid for entry in before.entries), raw_entries(book.raw), strict=True))
    written: dict[str, object] = {}
    taken = {slot for slot, _ in slots.values()}
    free = (number for number in count() if str(number) not in taken)
    for entry in book.entries:
        if entry.uid in old:
            slot, raw = slots[entry.uid]
            written[slot] = {
                **raw,
                **changed_keys(WORLD_INFO, old[entry.uid], entry),
                **_changed_filter(raw, old[entry.uid], entry),
            }
        else:
            number = next(free)
            written[str(number)] = _fresh(entry, number, book.kind)
    is_list = as_list(book.raw.get("entries")) is not None
    return list(written.values()) if is_list else written


def _fresh(entry: LoreEntry, number: int, kind: BookKind) -> dict[str, object]:
    written = write_keys(WORLD_INFO, entry, everything=True) | {"uid": number}
    bag, extensions = unpacked(entry.extensions, WORLD_INFO_BAG)
    if entry.name and not entry.comment:
        written["comment"] = entry.name
    only_here = unknown_keys(_IN_BOTH, entry.raw, "extensions") if kind in CARD_KINDS else {}
    if only_here:
        extensions = packed(extensions, CARD_BAG, only_here)
    if entry.use_regex:
        extensions = packed(extensions, REGEX_MARK, {})
    if entry.character_names or entry.character_tags:
        written[FILTER] = _filter(entry)
    if extensions:
        written["extensions"] = extensions
    return {"uid": number, **written, **bag}


def _extensions_of(book: Lorebook) -> dict[str, object]:
    bag, extensions = unpacked(book.extensions, WORLD_INFO_BAG)
    if book.kind in CARD_KINDS:
        only_there = unknown_keys(BOOK, book.raw, "entries", "extensions")
        if only_there:
            extensions = packed(extensions, CARD_BAG, only_there)
    return {**({"extensions": extensions} if extensions else {}), **bag}


def read_character_filter(raw: JsonObject) -> dict[str, Any]:
    """Whom an entry is for, nested as in SillyTavern or flat as some programs write it."""
    nested = as_object(raw.get(FILTER))
    names, tags, exclude = (
        (nested.get("names"), nested.get("tags"), nested.get("isExclude"))
        if nested is not None
        else (raw.get(key) for key in _FLAT_FILTER)
    )
    return {
        "character_names": values.texts(names) or (),
        "character_tags": values.texts(tags) or (),
        "character_exclude": values.flag(exclude) or False,
    }


def _filter(entry: LoreEntry) -> dict[str, object]:
    return {
        "isExclude": entry.character_exclude,
        "names": list(entry.character_names),
        "tags": list(entry.character_tags),
    }


def _changed_filter(raw: JsonObject, before: LoreEntry, now: LoreEntry) -> dict[str, object]:
    if _filter(before) == _filter(now):
        return {}
    if FILTER not in raw and _FLAT_FILTER[0] in raw:
        kept = (list(now.character_names), list(now.character_tags), now.character_exclude)
        return dict(zip(_FLAT_FILTER, kept, strict=True))
    return {FILTER: _filter(now)}
