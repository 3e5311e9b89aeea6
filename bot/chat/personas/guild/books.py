"""Guilds' lorebooks: those in use somewhere, read once while they stay the same."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace

from bot.chat.personas.guild.kept import (
    BookScope,
    KeptLorebook,
    LorebookDraft,
    LorebookStore,
)
from bot.chat.personas.homes import persona_key
from bot.chat.personas.lore.book import Lorebook
from bot.chat.personas.lore.reading import read_lorebook
from bot.chat.text.names import NAME_CHARACTERS, clean_name
from bot.errors import LorebookError

CACHE_BYTES = 16 * 1024 * 1024  # of files, whose books are kept in memory
_NARROWEST: tuple[BookScope, ...] = ("persona", "channel", "guild")


@dataclass(frozen=True, slots=True)
class BookInUse:
    """A book that counts where somebody speaks. `scope` is the narrowest of its places there.

    `read` parses its file, for a thread: at once where it was read before. Raises LorebookError.
    """

    kept: KeptLorebook
    scope: BookScope
    read: Callable[[], Lorebook]


class GuildLorebooks:
    """The lorebooks of guilds as they are told."""

    def __init__(self, store: LorebookStore, *, cache_bytes: int = CACHE_BYTES) -> None:
        """Nothing is read before somebody asks."""
        self._store = store
        self._most = cache_bytes
        self._held: OrderedDict[str, tuple[int, int, Lorebook]] = OrderedDict()
        self._bytes = 0
        self._holding = threading.Lock()

    async def in_use(self, guild_id: str | None, scope_id: str, persona_id: str) -> list[BookInUse]:
        """The books of a guild, of the channel whose settings stand at `scope_id`, of a persona.

        Those of the persona first, then the channel's, then the guild's; each book once.
        """
        if guild_id is None:
            return []
        places: list[tuple[BookScope, str]] = [
            ("persona", persona_id),
            ("channel", scope_id),
            ("guild", guild_id),
        ]
        found: list[BookInUse] = []
        for kept in await self._store.attached(guild_id, places):
            here = {scope for scope, _ in set(kept.places).intersection(places)}
            scope: BookScope = next(each for each in _NARROWEST if each in here)
            read = await self.reader(kept)
            if read is not None:
                found.append(BookInUse(kept, scope, read))
        return sorted(found, key=lambda book: _NARROWEST.index(book.scope))

    async def reader(self, kept: KeptLorebook) -> Callable[[], Lorebook] | None:
        """What reads a book's file, as in :class:`BookInUse`; None where it is gone."""
        held = self._held.get(kept.id)
        if held is not None and held[0] == kept.revision:
            book = held[2]
            return lambda: book
        document = await self._store.document(kept.guild_id, kept.id)
        if document is None:  # deleted in between
            return None

        def read() -> Lorebook:
            book = replace(read_lorebook(kept.name, document), name=kept.name)
            self._hold(kept, len(document), book)
            return book

        return read

    def _hold(self, kept: KeptLorebook, size: int, book: Lorebook) -> None:
        with self._holding:  # several worker threads
            before = self._held.pop(kept.id, None)
            self._bytes += size - (before[1] if before else 0)
            self._held[kept.id] = (kept.revision, size, book)
            while self._bytes > self._most and len(self._held) > 1:
                self._bytes -= self._held.popitem(last=False)[1][1]


def draft_of_book(file_name: str, content: bytes, name: str = "") -> LorebookDraft:
    """A file as a lorebook to be kept, under its own name if none is given. Blocking.

    Raises LorebookError where it is none, or has no name that people can type.
    """
    book = read_lorebook(file_name, content)
    stem = file_name.rpartition("/")[2].rpartition(".")[0]
    found = clean_name(name or book.name or stem, default="")
    if not found:
        raise LorebookError(f"{file_name} has no name.", "Give it one.")
    return LorebookDraft(found, persona_key(found), len(book.entries), content)


async def free_book_name(store: LorebookStore, guild_id: str, name: str) -> str:
    """The name, or the first of «name (2)», «name (3)» that no book of the guild has."""
    taken = {persona_key(each.name) for each in await store.all_kept(guild_id)}
    number, found = 1, name
    while persona_key(found) in taken:
        number += 1
        ending = f" ({number})"
        found = name[: NAME_CHARACTERS - len(ending)].rstrip() + ending
    return found
