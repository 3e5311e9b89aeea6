"""Where guilds' lorebooks are imported, attached, exported, deleted and brought back."""

import asyncio
from collections import OrderedDict

from bot.chat.messages import ChannelKey
from bot.chat.personas.documents import FILE_BYTES, dump_json
from bot.chat.personas.guild.book_files import BOOK_NAME_CHARACTERS, BookFile
from bot.chat.personas.guild.kept import BookScope, KeptLorebook, Limits, LorebookStore
from bot.chat.personas.guild.workshop import UNDO_FOR, Clock, utc_now
from bot.chat.personas.homes import persona_key
from bot.chat.personas.lore.book import Lorebook
from bot.chat.personas.lore.reading import MOST_ENTRIES, read_lorebook
from bot.chat.personas.lore.writing import BookFormat, document_of, own_format, write_lorebook
from bot.errors import LorebookError, NotFound

Place = tuple[BookScope, str]  # a scope and its id

CACHE_BYTES = 24 * 1024 * 1024  # of files whose books are kept in memory
BOOK_BYTES = 2_000  # that a small one takes at least
PLACE_BYTES = 8 * 1024 * 1024  # of all books that count in one place: a reply scans them
PLACE_BOOKS = 25
PLACE_ENTRIES = MOST_ENTRIES
SCOPE_WORDS: dict[BookScope, str] = {
    "guild": "the whole server",
    "channel": "this channel",
    "persona": "that persona",
}


def place_of(scope: BookScope, channel: ChannelKey, persona_id: str = "") -> Place:
    """Where a book is attached, seen from a guild's channel. A thread takes its channel's."""
    if scope == "channel":
        return scope, f"{channel.platform}:{channel.parent_id or channel.channel_id}"
    return scope, persona_id if scope == "persona" else channel.guild_id or ""


class LoreWorkshop:
    """Guilds' lorebooks. Who may change them is for the caller to know."""

    def __init__(
        self,
        store: LorebookStore,
        *,
        limits: Limits | None = None,
        clock: Clock = utc_now,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        """Nothing is read before somebody asks."""
        self._store = store
        self._limits = limits or Limits()
        self._clock = clock
        self._most = cache_bytes
        self._held: OrderedDict[str, tuple[int, int, Lorebook]] = OrderedDict()
        self._bytes = 0
        self._one_at_a_time = asyncio.Semaphore(1)  # a large book is much memory while it is read

    # Reading -------------------------------------------------------------------------------------

    async def all(self, guild_id: str) -> list[KeptLorebook]:
        """A guild's books in alphabetical order."""
        return sorted(await self._store.all_kept(guild_id), key=lambda one: one.name.casefold())

    async def find(self, guild_id: str, name: str) -> KeptLorebook:
        """The book of a name, whatever the case. Raises NotFound."""
        found = await self._store.kept_by_key(guild_id, persona_key(name))
        if found is None:
            raise NotFound(f"There is no lorebook «{name[:80]}» here.", "See `/lore list`.")
        return found

    async def named(self, guild_id: str, name: str) -> KeptLorebook | None:
        """The same; None where there is none."""
        return await self._store.kept_by_key(guild_id, persona_key(name))

    async def free_name(self, guild_id: str, name: str) -> str:
        """The name, or the first of «name (2)», «name (3)» that no book has."""
        taken = {persona_key(each.name) for each in await self._store.all_kept(guild_id)}
        number, found = 1, name
        while persona_key(found) in taken:
            number += 1
            ending = f" ({number})"
            found = name[: BOOK_NAME_CHARACTERS - len(ending)].rstrip() + ending
        return found

    async def in_use(self, guild_id: str, places: list[Place]) -> list[KeptLorebook]:
        """The books that count in any of these places, without their content."""
        return await self._store.attached(guild_id, places)

    async def read(self, kept: KeptLorebook) -> Lorebook:
        """A book as it is now. The latest are kept in memory, each while its revision stays.

        Raises NotFound where it is gone, LorebookError where it cannot be read.
        """
        if (held := self._from_memory(kept)) is not None:
            return held
        async with self._one_at_a_time:
            if (held := self._from_memory(kept)) is not None:  # read while this one waited
                return held
            document = await self._document(kept)
            book = await asyncio.to_thread(read_lorebook, f"«{kept.name}»", document)
            self._hold(kept, len(document), book)
            return book

    async def written(
        self, kept: KeptLorebook, book_format: BookFormat | None
    ) -> tuple[bytes, BookFormat]:
        """A book as a file, and its format: None is its own, V3 where that one is not written."""
        book = await self.read(kept)
        chosen = book_format or own_format(book) or "v3"
        return await asyncio.to_thread(_written, book, chosen), chosen

    # Changing ------------------------------------------------------------------------------------

    async def take(self, guild_id: str, found: BookFile, by: str, name: str = "") -> KeptLorebook:
        """Keep a book, under another name if that is given. Raises LorebookError."""
        return await self._store.add(guild_id, found.draft(name), self._limits, by)

    async def replace(self, kept: KeptLorebook, found: BookFile, by: str) -> KeptLorebook:
        """Put a book in the place of another one: under its name, attached where that is.

        Raises LorebookError, or NotFound where that one is gone.
        """
        for place in kept.places:
            await self._refuse_too_much(kept, place, len(found.content), found.preview.entries)
        draft = found.draft(kept.name)
        return await self._store.change(kept.guild_id, kept.id, draft, self._limits, by)

    async def delete(self, kept: KeptLorebook, by: str) -> KeptLorebook:
        """Delete a book; :meth:`restore` brings it back for ten minutes. Raises NotFound."""
        return await self._store.remove(kept.guild_id, kept.id, by)

    async def restore(self, guild_id: str, lorebook_id: str) -> KeptLorebook:
        """Undo a deletion: it is attached where it was. Raises NotFound where it is too late."""
        return await self._store.restore(guild_id, lorebook_id, self._clock() - UNDO_FOR)

    async def attach(self, kept: KeptLorebook, place: Place) -> bool:
        """Let a book count in a place. Returns whether it did not before.

        Raises LorebookError where too much counts there already, NotFound where it is gone.
        """
        await self._refuse_too_much(kept, place, kept.size_bytes, kept.entries)
        return await self._store.attach(kept.guild_id, kept.id, *place)

    async def detach(self, kept: KeptLorebook, place: Place) -> bool:
        """Let it count there no more. Returns whether it did before."""
        return await self._store.detach(kept.guild_id, kept.id, *place)

    async def _refuse_too_much(
        self, kept: KeptLorebook, place: Place, size_bytes: int, entries: int
    ) -> None:
        there = await self._store.attached(kept.guild_id, [place])
        others = [each for each in there if each.id != kept.id]
        size_bytes += sum(each.size_bytes for each in others)
        entries += sum(each.entries for each in others)
        if len(others) >= PLACE_BOOKS or size_bytes > PLACE_BYTES or entries > PLACE_ENTRIES:
            raise LorebookError(
                f"At most {PLACE_BOOKS} lorebooks, with {PLACE_ENTRIES:,} entries and "
                f"{PLACE_BYTES // 2**20} MiB together, can count for {SCOPE_WORDS[place[0]]}.",
                "Take one out with `/lore detach`.",
            )

    async def _document(self, kept: KeptLorebook) -> bytes:
        document = await self._store.document(kept.guild_id, kept.id)
        if document is None:
            raise NotFound(
                f"The lorebook «{kept.name}» is not there any more.", "See `/lore list`."
            )
        return document

    def _from_memory(self, kept: KeptLorebook) -> Lorebook | None:
        held = self._held.get(kept.id)
        if held is None or held[0] != kept.revision:
            return None
        self._held.move_to_end(kept.id)
        return held[2]

    def _hold(self, kept: KeptLorebook, size_bytes: int, book: Lorebook) -> None:
        self._drop(kept.id)
        self._held[kept.id] = (kept.revision, size_bytes + BOOK_BYTES, book)
        self._bytes += size_bytes + BOOK_BYTES
        # The newest stays, however large: a reply asks for it several times.
        while self._bytes > self._most and len(self._held) > 1:
            self._drop(next(iter(self._held)))

    def _drop(self, lorebook_id: str) -> None:
        if lorebook_id in self._held:
            self._bytes -= self._held.pop(lorebook_id)[1]


def _written(book: Lorebook, chosen: BookFormat) -> bytes:
    """The book's file; without indentation where it could not be imported again for its size."""
    content = write_lorebook(book, chosen)
    if len(content) <= FILE_BYTES:
        return content
    return dump_json(document_of(book, chosen))
