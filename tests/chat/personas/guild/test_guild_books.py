"""Which of a guild's lorebooks count where, and that a book is read once."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from bot.chat.personas.guild import books as books_module
from bot.chat.personas.guild.books import GuildLorebooks, draft_of_book, free_book_name
from bot.chat.personas.guild.kept import BookScope, KeptLorebook, Limits
from bot.errors import LorebookError
from bot.store.database import Database

GUILD, HERE, ADA = "1", "discord:100", "file:ada"


def content(word: str = "harbour") -> bytes:
    entry = {"uid": 0, "key": [word], "content": f"The {word}.", "zzz": 1}
    return json.dumps({"entries": {"0": entry}}).encode()


@pytest_asyncio.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = await Database.open(f"sqlite+aiosqlite:///{tmp_path / 'test.db'}")
    yield opened
    await opened.close()


async def keep(
    database: Database, name: str, *places: tuple[BookScope, str], guild: str = GUILD
) -> KeptLorebook:
    draft = draft_of_book(f"{name}.json", content(name))
    kept = await database.lorebooks.add(guild, draft, Limits(), "ann")
    for scope, scope_id in places:
        await database.lorebooks.attach(guild, kept.id, scope, scope_id)
    return kept


async def test_what_counts_where_somebody_speaks(database: Database) -> None:
    await keep(database, "everywhere", ("guild", GUILD))
    await keep(database, "here", ("channel", HERE), ("guild", GUILD))
    await keep(database, "hers", ("persona", ADA))
    await keep(database, "nowhere")
    await keep(database, "elsewhere", ("channel", "discord:200"), ("persona", "file:bram"))
    await keep(database, "theirs", ("guild", "2"), ("channel", HERE), guild="2")
    lore = GuildLorebooks(database.lorebooks)
    found = [(each.kept.name, each.scope) for each in await lore.in_use(GUILD, HERE, ADA)]
    assert found == [("hers", "persona"), ("here", "channel"), ("everywhere", "guild")]
    assert await lore.in_use(None, HERE, ADA) == []
    assert [each.kept.name for each in await lore.in_use("2", "x", "y")] == ["theirs"]


async def test_a_book_is_read_once_while_it_stays_the_same(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = await keep(database, "harbour", ("guild", GUILD))
    read: list[str] = []
    original = books_module.read_lorebook

    def reading(name: str, document: bytes) -> object:
        read.append(name)
        return original(name, document)

    monkeypatch.setattr(books_module, "read_lorebook", reading)
    lore = GuildLorebooks(database.lorebooks, cache_bytes=1)
    for _ in range(3):
        [one] = await lore.in_use(GUILD, HERE, ADA)
        book = await asyncio.to_thread(one.read)
        assert [entry.content for entry in book.entries] == ["The harbour."]
    assert read == ["harbour"]
    read.clear()
    draft = draft_of_book("x.json", content("lighthouse"), "harbour")
    read.clear()
    await database.lorebooks.change(GUILD, kept.id, draft, Limits(), "ben")
    [one] = await lore.in_use(GUILD, HERE, ADA)
    assert [entry.content for entry in one.read().entries] == ["The lighthouse."]
    assert read == ["harbour"]


async def test_names_of_books(database: Database) -> None:
    assert draft_of_book("a/My Book.json", content()).name == "My Book"
    assert draft_of_book("x.json", content(), " Two\nlines ").name == "Two lines"
    with pytest.raises(LorebookError, match="no name"):
        draft_of_book(".json", content())
    with pytest.raises(LorebookError, match="character card"):
        draft_of_book("x.json", b'{"char_name": "Eve", "char_persona": "p"}')
    await keep(database, "Harbour")
    assert await free_book_name(database.lorebooks, GUILD, "HARBOUR") == "HARBOUR (2)"
    assert await free_book_name(database.lorebooks, GUILD, "Sea") == "Sea"
