"""Which of a guild's lorebooks count in a channel, and what is tried with them."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio
from empty_database import put_empty_database

from bot.chat.messages import ChannelKey
from bot.chat.persona import Persona
from bot.chat.personas.guild.book_files import read_book_file
from bot.chat.personas.guild.kept import KeptLorebook, Limits, LorebookDraft
from bot.chat.personas.guild.lore_workshop import LoreWorkshop, Place, place_of
from bot.chat.roleplay.lore import CHANNEL_PRECEDENCE, GUILD_PRECEDENCE, PERSONA_PRECEDENCE
from bot.chat.roleplay.shelf import GuildShelf
from bot.chat.roleplay.trials import own_book, try_lore
from bot.errors import LorebookError
from bot.store.database import Database

GUILD = "1"
CHANNEL = ChannelKey("discord", "200", guild_id=GUILD)
THREAD = ChannelKey("discord", "300", guild_id=GUILD, parent_id="200")
ADA = Persona(id="file:ada", name="Ada")
BRAM = Persona(id="file:bram", name="Bram")


def with_book(persona: Persona, *keys: str) -> Persona:
    entries = [{"keys": [key], "content": "Its own.", "enabled": True} for key in keys]
    return persona.model_copy(update={"lorebook": {"entries": entries}})


@pytest_asyncio.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    await asyncio.to_thread(put_empty_database, tmp_path / "test.db")
    database = await Database.open(f"sqlite+aiosqlite:///{tmp_path / 'test.db'}")
    yield database
    await database.close()


async def attached(shop: LoreWorkshop, name: str, *places: Place) -> KeptLorebook:
    entry = {"uid": 0, "key": [name], "content": "Grey."}
    content = json.dumps({"name": "its own name", "entries": {"0": entry}}).encode()
    kept = await shop.take(GUILD, read_book_file("x.json", content), "ann", name)
    for place in places:
        await shop.attach(kept, place)
    return kept


async def test_what_counts_where_and_how_much(database: Database) -> None:
    shop = LoreWorkshop(database.lorebooks)
    shelf = GuildShelf(shop)
    everywhere, here = place_of("guild", CHANNEL), place_of("channel", CHANNEL)
    for_ada = place_of("persona", CHANNEL, ADA.id)
    guilds = await attached(shop, "guilds", everywhere)
    channels = await attached(shop, "channels", here)
    adas = await attached(shop, "adas", for_ada)
    both = await attached(shop, "both", everywhere, here)
    await attached(shop, "nowhere")

    async def found(channel: ChannelKey, persona: Persona) -> dict[str, int]:
        return {one.book_id: one.precedence for one in await shelf.books_for(channel, persona)}

    in_channel = {
        guilds.id: GUILD_PRECEDENCE,
        channels.id: CHANNEL_PRECEDENCE,
        both.id: CHANNEL_PRECEDENCE,
    }
    assert await found(CHANNEL, BRAM) == in_channel == await found(THREAD, BRAM)
    assert await found(CHANNEL, ADA) == {**in_channel, adas.id: PERSONA_PRECEDENCE}
    elsewhere = replace(CHANNEL, channel_id="201")
    assert await found(elsewhere, BRAM) == {guilds.id: GUILD_PRECEDENCE, both.id: GUILD_PRECEDENCE}
    assert await found(replace(CHANNEL, guild_id="2"), ADA) == {}
    assert await found(ChannelKey("discord", "9", is_direct=True), ADA) == {}


async def test_a_book_is_read_once_and_called_as_the_guild_calls_it(database: Database) -> None:
    shelf = GuildShelf(LoreWorkshop(database.lorebooks))
    kept = await attached(shelf.lorebooks, "harbour", place_of("guild", CHANNEL))
    [first] = await shelf.books_for(CHANNEL, ADA)
    [second] = await shelf.books_for(CHANNEL, ADA)
    assert first.read().name == "harbour"
    assert first.read() is first.read()
    assert first.read().entries is second.read().entries
    assert (await shelf.lorebooks.read(kept)).name == "its own name"


async def test_a_book_that_cannot_be_read_is_told_of_and_the_others_count(
    database: Database,
) -> None:
    shop = LoreWorkshop(database.lorebooks)
    broken = LorebookDraft("Old", "old", 1, b"{")  # as a stricter reader would find it
    kept = await database.lorebooks.add(GUILD, broken, Limits(), "ann")
    await shop.attach(kept, place_of("guild", CHANNEL))
    await attached(shop, "harbour", place_of("guild", CHANNEL))
    books = await GuildShelf(shop).books_for(CHANNEL, ADA)
    with pytest.raises(LorebookError):
        books[0].read()
    trial = await try_lore(books, ADA, "the harbour", user="Eve", context_tokens=0)
    assert (trial.fires, trial.books) == (1, ("harbour",))
    assert "«Old»" in trial.problems[0]


async def test_a_personas_own_book_is_tried_with_its_macros() -> None:
    ada = with_book(ADA, "{{char}}", "{{user}}", "loom")
    own = own_book(ada)
    assert own is not None
    trial = await try_lore([own], ada, "Ada met Eve", user="Eve", context_tokens=100)
    assert trial.books == ("Ada's lorebook",)
    assert [verdict.fires for verdict in trial.verdicts] == [True, True, False]
    assert own_book(BRAM) is None
