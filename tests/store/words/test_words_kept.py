"""Guilds' word lists in both databases."""

import asyncio
from datetime import UTC, datetime

import pytest
from store_samples import forget

from bot.chat.limits.words.word import MOST_PATTERNS, MOST_WORDS, GuildWord, Side
from bot.chat.text.forbidden.redaction import Then
from bot.errors import NotAllowed
from bot.store.database import Database

HERE = ("discord", "1")
THERE = ("discord", "2")
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


async def test_a_list_is_kept_in_its_order_and_apart(database: Database) -> None:
    words = database.words
    first, is_new = await words.put(
        HERE, GuildWord("bad", Then.STOP, Side.IN, added_by="7", added_at=NOON)
    )
    assert is_new
    await words.put(HERE, GuildWord("/b.d/"))
    await words.put(THERE, GuildWord("worse"))
    listed = await words.words(HERE)
    assert listed[0] == first
    assert (first.then, first.side, first.added_by, first.added_at) == (
        Then.STOP, Side.IN, "7", NOON
    )  # fmt: skip
    assert [word.pattern for word in listed] == ["bad", "/b.d/"]
    assert [word.pattern for word in await words.words(THERE)] == ["worse"]


async def test_another_spelling_takes_the_place_of_an_entry(database: Database) -> None:
    words = database.words
    first, _ = await words.put(HERE, GuildWord("bad word"))
    changed, is_new = await words.put(HERE, GuildWord("B\u0430d  WORD", Then.IGNORE))
    assert (changed.word_id, is_new) == (first.word_id, False)
    assert [(word.pattern, word.then) for word in await words.words(HERE)] == [
        ("B\u0430d  WORD", Then.IGNORE)
    ]
    gone = await words.take_out(HERE, "BAD word")
    assert gone is not None
    assert gone.word_id == first.word_id
    assert await words.take_out(HERE, "bad word") is None


async def test_a_list_is_full_at_its_limits_however_many_add_at_once(database: Database) -> None:
    words = database.words
    for number in range(MOST_PATTERNS):
        await words.put(HERE, GuildWord(f"/x{number}/"))
    with pytest.raises(NotAllowed, match="25 patterns"):
        await words.put(HERE, GuildWord("/one more/"))
    tries = [words.put(HERE, GuildWord(f"word number {number}")) for number in range(MOST_WORDS)]
    results = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(isinstance(result, NotAllowed) for result in results) == MOST_PATTERNS
    assert len(await words.words(HERE)) == MOST_WORDS
    assert (await words.put(HERE, GuildWord("/x1/", Then.STOP)))[1] is False


async def test_who_added_a_word_is_forgotten_with_them(database: Database) -> None:
    await database.words.put(HERE, GuildWord("bad", added_by="7"))
    await database.words.put(("workbench", "1"), GuildWord("bad", added_by="7"))
    await forget(database.history, "7")
    assert [word.added_by for word in await database.words.words(HERE)] == [""]
    assert (await database.words.words(("workbench", "1")))[0].added_by == "7"


async def test_the_list_goes_with_its_guild(database: Database) -> None:
    await database.words.put(HERE, GuildWord("bad"))
    await database.words.put(THERE, GuildWord("bad"))
    await database.places.remove_guild("discord", "1")
    assert await database.words.words(HERE) == []
    assert len(await database.words.words(THERE)) == 1
