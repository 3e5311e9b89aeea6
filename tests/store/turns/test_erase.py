"""Everything of one person goes, nothing of anybody else's does."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from store_samples import ANN, BEN, CHANNEL, OTHER_CHANNEL, Talk, said

from bot.chat.messages import ChannelKey, Erased, QuotedMessage
from bot.store.database import Database
from bot.store.history import SqlHistory


async def test_turns_quotes_and_questions_of_a_person_go(history: SqlHistory, talk: Talk) -> None:
    hers = await talk.ask("from Ann", author=ANN)
    his = await talk.ask("from Ben", author=BEN, reply_to=QuotedMessage("q", ANN, "Ann's words"))
    reply = await talk.answer(hers, his, text="To both.")
    elsewhere = await Talk(history, OTHER_CHANNEL).ask("also Ann", author=ANN)
    await history.reset(CHANNEL)
    later = await talk.ask("Ann again", author=ANN)
    erased = await history.erase("discord", "ann")
    assert erased == Erased(
        (hers.turn_id, elsewhere.turn_id, later.turn_id),
        tuple((turn.channel, turn.message_ids[0]) for turn in (hers, later, elsewhere)),
    )
    assert await talk.texts() == []
    assert await history.turn(reply.turn_id) == replace(reply, asked_by=frozenset({"ben"}))
    assert await history.turn(his.turn_id) == replace(his, reply_to=None, answered_by=reply.turn_id)
    assert await history.erase("discord", "ann") == Erased((), ())


async def test_the_same_id_on_another_platform_is_somebody_else(history: SqlHistory) -> None:
    page = ChannelKey("workbench", "1", is_direct=True)
    theirs = await Talk(history, page).ask("mine", author=ANN)
    await Talk(history, page).answer(theirs)
    await Talk(history).ask("not mine", author=ANN)
    assert len((await history.erase("discord", "ann")).turn_ids) == 1
    assert [turn.text for turn in await history.export(page)] == ["mine", "Indeed."]
    assert (await history.turn(theirs.turn_id + 1)).asked_by == {"ann"}


async def test_a_persona_with_a_persons_id_keeps_its_replies(
    history: SqlHistory, talk: Talk
) -> None:
    reply = await talk.answer(await talk.ask("one"), text="I am the bot.")
    assert (await history.erase("discord", "bot")).turn_ids == ()
    assert await history.turn(reply.turn_id) == reply


async def test_more_messages_than_fit_a_statement(history: SqlHistory, talk: Talk) -> None:
    for number in range(510):
        await history.add_message(said(f"{number}", author=ANN), addressed=False)
    await talk.mention("Ben's", author=BEN)
    assert len((await history.erase("discord", "ann")).messages) == 510
    assert await talk.texts() == ["Ben's"]


async def test_nothing_is_left_in_the_files(sqlite_url: str, sqlite_file: Path) -> None:
    database = await Database.open(sqlite_url)
    talk = Talk(database.history)
    person = replace(ANN, speaker_id="person-4711", name="Xanthippe")
    await talk.answer(await talk.ask("the words to go", author=person))
    await talk.ask("Ben", author=BEN, reply_to=QuotedMessage("q", person, "the words to go"))
    await database.history.erase("discord", "person-4711")
    await database.close()
    await (await Database.open(sqlite_url)).close()
    with closing(sqlite3.connect(sqlite_file)) as connection:
        dump = "\n".join(connection.iterdump())
    files = b"".join(file.read_bytes() for file in sqlite_file.parent.iterdir())
    for trace in ("4711", "Xanthippe", "the words to go"):
        assert trace not in dump
        assert trace.encode() not in files
