"""Turns are found by words: in their conversation, as they read now, and not once they are gone."""

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Connection, delete, text
from store_samples import BOT, CHANNEL, OTHER_CHANNEL, Talk, said

from bot.chat.messages import TurnState
from bot.chat.text.search_words import mark, search_words
from bot.errors import NotFound
from bot.store.checks import check
from bot.store.database import Database
from bot.store.history import SqlHistory
from bot.store.memory.upkeep import take_out_marks
from bot.store.tables import TurnRow


def everything(found: Mapping[str, Sequence[int]]) -> list[int]:
    return [turn for turns in found.values() for turn in turns]


async def found(database: Database, words: str, before: int | None = None) -> list[str]:
    """The texts that have any of the words, before a new message of the channel."""
    await database.search.index_all()
    if before is None:
        newest = await Talk(database.history).mention("what was that again")
        before = newest.turn_id
    marks = [mark(word) for word in search_words(words)]
    return [turn.text for turn in await database.search.search(before, marks, everything)]


async def test_turns_are_found_by_their_words_and_by_who_said_them(
    database: Database, talk: Talk
) -> None:
    question = await talk.ask("My ferry sails at noon.")
    await talk.answer(question, text="The harbour is grey.")
    await talk.mention("Good night.")
    assert await found(database, "ferries") == ["My ferry sails at noon."]
    assert await found(database, "the harbour, the FERRY") == [
        "My ferry sails at noon.",
        "The harbour is grey.",
    ]
    assert await found(database, "Ada") == ["The harbour is grey."]
    assert await found(database, "submarine") == []
    assert await found(database, "") == []


async def test_only_the_same_conversation_before_the_turn_is_looked_through(
    database: Database, talk: Talk, history: SqlHistory
) -> None:
    await talk.mention("ferry one")
    second = await talk.mention("ferry two")
    await Talk(history, OTHER_CHANNEL).mention("ferry elsewhere")
    assert await found(database, "ferry", second.turn_id) == ["ferry one"]
    old, _new = await history.reset(CHANNEL)
    await talk.mention("ferry anew")
    assert await found(database, "ferry") == ["ferry anew"]
    await history.restore(CHANNEL, old)
    assert await found(database, "ferry") == ["ferry one", "ferry two"]
    with pytest.raises(NotFound):
        await database.search.search(2**40, [], everything)


async def test_an_edit_a_swipe_and_a_deletion_change_what_is_found(
    database: Database, talk: Talk, history: SqlHistory
) -> None:
    question = await talk.ask("my ferry", message_id="1")
    reply = await talk.answer(question, text="your ferry")
    assert await found(database, "ferry") == ["my ferry", "your ferry"]
    await history.edit_message(CHANNEL, "1", "my sloop")
    await history.begin_swipe(reply.turn_id)
    await history.show_reply(reply.turn_id, "your sloop", ["r"])
    await history.finish_reply(reply.turn_id, TurnState.WHOLE, None)
    assert await found(database, "ferry") == []
    assert await found(database, "sloop") == ["my sloop", "your sloop"]
    await history.select_swipe(reply.turn_id, 0)
    assert await found(database, "ferry sloop") == ["my sloop", "your ferry"]
    await history.delete_messages(CHANNEL, ["1"])
    await history.delete_turn(reply.turn_id)
    assert await found(database, "ferry sloop") == []


async def test_what_is_undone_is_not_found_until_it_is_back(
    database: Database, talk: Talk, history: SqlHistory
) -> None:
    await talk.answer(await talk.ask("my ferry"), text="your ferry")
    hidden = await history.hide_last_exchange(CHANNEL)
    assert await found(database, "ferry") == []
    await history.unhide(hidden)
    assert await found(database, "ferry") == ["my ferry", "your ferry"]


async def test_a_reply_is_found_once_it_is_written(
    database: Database, talk: Talk, history: SqlHistory
) -> None:
    question = await talk.ask("my boat")
    reply = await history.begin_reply(CHANNEL, BOT, persona="Ada", answers=[question.turn_id])
    await history.show_reply(reply.turn_id, "A ferry, and", ["r"])
    assert await found(database, "ferry") == []
    await history.finish_reply(
        reply.turn_id, TurnState.WHOLE, None, shown=("A ferry, and a sloop.", ["r"])
    )
    assert await found(database, "sloop") == ["A ferry, and a sloop."]


async def test_what_changes_while_its_words_are_looked_at_is_looked_at_again(
    database: Database, talk: Talk, history: SqlHistory
) -> None:
    await talk.mention("my ferry", message_id="1")
    (due,) = await database.search._due_turns(10)
    await history.edit_message(CHANNEL, "1", "my sloop")
    await database.search._put_marks({due: [mark("ferry")]})
    marks = [mark("ferry")]
    before = await talk.mention("and?")
    assert await database.search.search(before.turn_id, marks, everything) == []
    assert await found(database, "sloop") == ["my sloop"]


async def test_what_is_missing_in_the_index_or_gone_from_the_history_is_put_right(
    database: Database, talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.store.memory.indexing.TURNS_A_REPAIR", 3)
    turns = [await talk.mention(f"ferry {number}") for number in range(8)]
    await database.search.index_all()

    def break_it(connection: Connection) -> None:
        take_out_marks(connection, [turns[1].turn_id, turns[6].turn_id])
        connection.execute(delete(TurnRow).where(TurnRow.id == turns[3].turn_id))

    await database.search.transactions.write(break_it)
    after: int | None = 0
    while after is not None:
        after = await database.search.repair(after)
    assert len(await found(database, "ferry")) == 7
    rows = await database.search.transactions.read(
        lambda connection: connection.scalar(text("SELECT count(*) FROM turn_search"))
    )
    assert rows == 7


async def test_a_common_word_finds_the_newest_turns(
    database: Database, talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.store.memory.search.HITS_A_WORD", 3)
    for number in range(6):
        await talk.mention(f"ferry {number}")
    assert await found(database, "ferry") == ["ferry 3", "ferry 4", "ferry 5"]


async def test_a_hostile_text_is_searched_for_like_any(database: Database, talk: Talk) -> None:
    await talk.mention('ferry" OR words:* NEAR( & | ! \x00 \ud800 猫の名前')
    hostile = (
        "\"'); DROP TABLE turns; -- AND NOT OR NEAR(a b) * ^ : & | ! <-> ferry 名前 \x00\ud800"
    )
    assert len(await found(database, hostile)) == 1
    assert len(await found(database, "名前は")) == 1


async def test_no_word_of_what_was_deleted_stays_in_the_index(
    sqlite_url: str, sqlite_file: Path
) -> None:
    database = await Database.open(sqlite_url)
    talk = Talk(database.history)
    for number in range(30):
        await talk.mention(f"secret{number} and the ferry", message_id=f"{number}")
        await database.search.index_all()
    for number in range(29):
        await database.history.delete_messages(CHANNEL, [f"{number}"])
    while await database._transactions.reclaim():
        pass
    assert await found(database, "ferry") == ["secret29 and the ferry"]
    gone = [mark(f"secret{number}").encode() for number in range(29)]
    await database.close()
    assert await check(sqlite_url) == []
    stored = b"".join(path.read_bytes() for path in sqlite_file.parent.iterdir())
    assert b"secret3 " not in stored
    assert not [word for word in gone if word in stored]
    with closing(sqlite3.connect(sqlite_file)) as connection:
        assert connection.execute("SELECT count(*) FROM turn_search").fetchone() == (1,)


async def test_a_message_that_comes_twice_is_looked_at_once(
    database: Database, history: SqlHistory
) -> None:
    message = said("my ferry")
    await history.add_message(message, addressed=False)
    await database.search.index_all()
    await history.add_message(message, addressed=False)
    await history.renew_message(message)
    assert await found(database, "ferry") == ["my ferry"]
