"""A lorebook at a glance: what it holds, what is unusual about it, what of it is not used."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from bot.chat.personas.lore.book import Lorebook, LoreEntry
from bot.chat.personas.lore.patterns import NotAPattern, TooCostly, regex_key, translate_key

MOST_PATTERNS = 2_000  # that are looked at
CHARACTERS_A_TOKEN = 4  # in a guess


@dataclass(frozen=True, slots=True)
class BookPreview:
    """`tokens` is a guess for all that can fire, `constant_tokens` for what always stands."""

    name: str
    description: str
    kind: str
    entries: int
    disabled: int
    constant: int
    tokens: int
    constant_tokens: int
    warnings: tuple[str, ...]


def preview_of_book(book: Lorebook) -> BookPreview:
    """The preview of a book. Blocking: reads all of it."""
    enabled = [entry for entry in book.entries if entry.enabled]
    constant = [entry for entry in enabled if entry.constant]
    return BookPreview(
        name=book.name,
        description=book.description,
        kind=book.kind.value,
        entries=len(book.entries),
        disabled=len(book.entries) - len(enabled),
        constant=len(constant),
        tokens=_tokens(enabled),
        constant_tokens=_tokens(constant),
        warnings=tuple(_warnings(book, enabled)),
    )


def _tokens(entries: Iterable[LoreEntry]) -> int:
    return sum(
        -(-len(entry.content.encode(errors="replace")) // CHARACTERS_A_TOKEN) for entry in entries
    )


def _warnings(book: Lorebook, enabled: list[LoreEntry]) -> Iterator[str]:
    if not book.entries:
        yield "It has no entries."
    by_meaning = sum(entry.vectorized and not entry.constant for entry in enabled)
    if by_meaning:
        yield f"{_entries(by_meaning)} found by meaning in SillyTavern: here their keys decide."
    silent = sum(not entry.content.strip() for entry in enabled)
    if silent:
        yield f"{_entries(silent)} without text, which never fire."
    keyless = sum(map(_has_no_way, enabled))
    if keyless:
        yield f"{_entries(keyless)} without keys, which never fire."
    if given_up := list(_given_up(enabled)):
        title, key, why = given_up[0]
        more = f" (and {len(given_up) - 1} more)" if len(given_up) > 1 else ""
        yield f"The key «{key[:60]}» of «{title}» is a pattern that is given up: {why}{more}."


def _entries(count: int) -> str:
    return "1 entry" if count == 1 else f"{count:,} entries"


def _has_no_way(entry: LoreEntry) -> bool:
    """Whether nothing can make it fire: neither keys, nor that it is always there."""
    has_keys = any(key.strip() for key in entry.keys)
    return not has_keys and not entry.constant and "@@" not in entry.content


def _given_up(entries: Iterable[LoreEntry]) -> Iterator[tuple[str, str, str]]:
    seen = 0
    for entry in entries:
        for key in (*entry.keys, *entry.secondary_keys):
            pattern = regex_key(key)
            if pattern is None:
                continue
            seen += 1
            if seen > MOST_PATTERNS:
                return
            try:
                translate_key(pattern)
            except TooCostly as error:
                yield entry.title, key, str(error)
            except NotAPattern:
                pass  # plain text, then
