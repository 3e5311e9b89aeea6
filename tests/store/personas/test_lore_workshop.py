"""Guilds' lorebooks as people change them, on both databases."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest
from kept_samples import GUILD, OTHER

from bot.chat.messages import ChannelKey
from bot.chat.personas.guild import lore_workshop
from bot.chat.personas.guild.book_files import BookFile, read_book_file
from bot.chat.personas.guild.lore_workshop import LoreWorkshop, place_of
from bot.errors import LorebookError, NotFound
from bot.store.database import Database

CHANNEL = ChannelKey("discord", "200", guild_id=GUILD)
THREAD = ChannelKey("discord", "300", guild_id=GUILD, parent_id="200")


def file(name: str = "Harbour", *, key: str = "harbour", filler: int = 0) -> BookFile:
    entry = {"uid": 0, "key": [key], "content": "Grey.", "filler": "x" * filler}
    return read_book_file("x.json", json.dumps({"name": name, "entries": {"0": entry}}).encode())


async def test_a_book_goes_out_as_it_came(database: Database) -> None:
    shop = LoreWorkshop(database.lorebooks)
    kept = await shop.take(GUILD, file(), "ann")
    assert (kept.name, kept.entries, kept.created_by) == ("Harbour", 1, "ann")
    content, chosen = await shop.written(kept, None)
    assert chosen == "world_info"
    assert json.loads(content) == json.loads(file().content)
    content, chosen = await shop.written(kept, "v3")
    assert json.loads(content)["spec"] == "lorebook_v3"
    assert [one.name for one in await shop.all(GUILD)] == ["Harbour"]
    assert await shop.all(OTHER) == []
    with pytest.raises(NotFound, match="no lorebook"):
        await shop.find(OTHER, "Harbour")
    assert await shop.find(GUILD, " HARBOUR ") == kept


async def test_a_large_book_goes_out_small_enough_to_come_back(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = LoreWorkshop(database.lorebooks)
    kept = await shop.take(GUILD, file(), "ann")
    indented, _ = await shop.written(kept, None)
    monkeypatch.setattr(lore_workshop, "FILE_BYTES", len(indented) - 1)
    compact, _ = await shop.written(kept, None)
    assert len(compact) < len(indented)
    assert json.loads(compact) == json.loads(indented)


async def test_a_taken_name_and_a_free_one(database: Database) -> None:
    shop = LoreWorkshop(database.lorebooks)
    await shop.take(GUILD, file(), "ann")
    with pytest.raises(LorebookError, match="already"):
        await shop.take(GUILD, file("HARBOUR"), "ann")
    assert await shop.free_name(GUILD, "Harbour") == "Harbour (2)"
    await shop.take(GUILD, file(), "ann", "Harbour (2)")
    assert await shop.free_name(GUILD, "harbour") == "harbour (3)"
    long = "y" * 80
    await shop.take(GUILD, file(long), "ann")
    assert len(await shop.free_name(GUILD, long)) == 80


async def test_what_replaces_a_book_counts_where_that_did(database: Database) -> None:
    shop = LoreWorkshop(database.lorebooks)
    kept = await shop.take(GUILD, file(), "ann")
    assert await shop.attach(kept, place_of("channel", THREAD))
    first = await shop.read(kept)
    assert await shop.read(kept) is first, "read once"
    kept = await shop.find(GUILD, "Harbour")
    await shop.replace(kept, file("Another", key="sea"), "ben")
    [there] = await shop.in_use(GUILD, [place_of("channel", CHANNEL)])
    assert (there.id, there.name, there.revision, there.edited_by) == (kept.id, "Harbour", 2, "ben")
    assert (await shop.read(there)).entries[0].keys == ("sea",)


async def test_a_deletion_is_undone_within_ten_minutes(database: Database) -> None:
    ahead = timedelta(0)
    shop = LoreWorkshop(database.lorebooks, clock=lambda: datetime.now(UTC) + ahead)
    kept = await shop.take(GUILD, file(), "ann")
    await shop.attach(kept, place_of("guild", CHANNEL))
    await shop.delete(kept, "ann")
    assert await shop.in_use(GUILD, [place_of("guild", CHANNEL)]) == []
    with pytest.raises(NotFound):
        await shop.written(kept, None)
    ahead = timedelta(minutes=9)
    assert (await shop.restore(GUILD, kept.id)).places == (("guild", GUILD),)
    await shop.delete(kept, "ann")
    ahead = timedelta(minutes=11)
    with pytest.raises(NotFound, match="for good"):
        await shop.restore(GUILD, kept.id)


async def test_not_too_much_counts_in_one_place(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lore_workshop, "PLACE_BYTES", 3_000)
    monkeypatch.setattr(lore_workshop, "PLACE_BOOKS", 2)
    shop = LoreWorkshop(database.lorebooks)
    here, there = place_of("channel", CHANNEL), place_of("guild", CHANNEL)
    large = await shop.take(GUILD, file("A", filler=2_000), "ann")
    small = [await shop.take(GUILD, file(name), "ann") for name in "BCD"]
    also = await shop.take(GUILD, file("E", filler=1_500), "ann")
    assert await shop.attach(large, here)
    assert not await shop.attach(large, here)
    with pytest.raises(LorebookError, match="At most"):
        await shop.attach(also, here)
    assert await shop.attach(also, there), "another place"
    assert await shop.attach(small[0], here)
    with pytest.raises(LorebookError, match="At most"):
        await shop.attach(small[1], here)
    large = await shop.find(GUILD, "A")
    with pytest.raises(LorebookError, match="At most"):
        await shop.replace(large, file("A", filler=3_000), "ann")
    assert await shop.detach(large, here)
    assert not await shop.detach(large, here)
    assert await shop.attach(small[1], here)


async def test_not_too_many_entries_count_in_one_place(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lore_workshop, "PLACE_ENTRIES", 2)
    shop, here = LoreWorkshop(database.lorebooks), place_of("channel", CHANNEL)
    books = [await shop.take(GUILD, file(name), "ann") for name in "ABC"]
    assert [await shop.attach(book, here) for book in books[:2]] == [True, True]
    with pytest.raises(LorebookError, match="2 entries"):
        await shop.attach(books[2], here)


async def test_what_is_kept_in_memory_is_bounded(database: Database) -> None:
    shop = LoreWorkshop(database.lorebooks, cache_bytes=5_000)
    first = await shop.take(GUILD, file("A"), "ann")
    second = await shop.take(GUILD, file("B"), "ann")
    large = await shop.take(GUILD, file("C", filler=9_000), "ann")
    a, b = await shop.read(first), await shop.read(second)
    assert await shop.read(first) is a
    c = await shop.read(large)
    assert await shop.read(large) is c
    assert await shop.read(first) is not a
    assert await shop.read(second) is not b


async def test_many_who_ask_at_once_read_a_book_once(database: Database) -> None:
    shop = LoreWorkshop(database.lorebooks)
    kept = await shop.take(GUILD, file(), "ann")
    books = await asyncio.gather(*[shop.read(kept) for _ in range(5)])
    assert all(book is books[0] for book in books)
