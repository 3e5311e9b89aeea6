"""Many coroutines at once: nothing is lost, nothing waits for ever, the order is kept."""

import asyncio
import itertools
import random

import pytest
from sqlalchemy import Connection, text
from store_samples import BOT, CHANNEL, Talk, said

from bot.chat.messages import ChannelKey, TurnState
from bot.chat.privacy.people import Person
from bot.chat.roleplay.memory.facts import FactSource
from bot.errors import NotFound
from bot.store.database import Database
from bot.store.history import SqlHistory
from bot.store.turns.access import remove_turns, take_turn

WRITERS = 50
WAITING_FOR_US = (
    "SELECT 1 FROM pg_stat_activity WHERE pg_backend_pid() = ANY(pg_blocking_pids(pid))"
)


async def test_fifty_writers_in_one_new_channel(history: SqlHistory) -> None:
    turns = await asyncio.gather(
        *(
            history.add_message(said(f"{number}", message_id=f"{number}"), addressed=True)
            for number in range(WRITERS)
        )
    )
    ids = [turn.turn_id for turn in turns if turn is not None]
    assert len(set(ids)) == WRITERS
    window = await history.window(CHANNEL, 500)
    assert [turn.turn_id for turn in window.turns] == sorted(ids)
    assert len({turn.conversation_id for turn in window.turns}) == 1


async def test_fifty_channels_talk_at_once(history: SqlHistory) -> None:
    async def exchange(number: int) -> None:
        channel = ChannelKey("discord", f"{number}", guild_id="1")
        talk = Talk(history, channel)
        for round_number in range(1):
            await history.note_seen(channel, f"{round_number}")
            question = await talk.ask(f"question {round_number}")
            reply = await talk.answer(question, text=f"answer {round_number}")
            await history.edit_message(channel, question.message_ids[0], "edited")
            await history.select_swipe(reply.turn_id, 0)
        assert len((await history.window(channel, 10)).turns) == 2

    await asyncio.gather(*(exchange(number) for number in range(WRITERS)))
    assert len(await history.last_seen("discord")) == WRITERS


async def test_readers_go_on_while_others_write(history: SqlHistory) -> None:
    talk = Talk(history)
    await talk.ask("first")

    async def read() -> int:
        return len((await history.window(CHANNEL, 500)).turns)

    jobs = itertools.chain.from_iterable((talk.ask(f"{n}"), read()) for n in range(40))
    results = await asyncio.gather(*jobs)
    seen = [result for result in results if isinstance(result, int)]
    assert len(seen) == 40
    assert await read() == 41


async def test_the_same_message_heard_twice_at_once(history: SqlHistory) -> None:
    turns = await asyncio.gather(
        *(history.add_message(said("hi", message_id="1"), addressed=True) for _ in range(20))
    )
    assert sum(turn is not None for turn in turns) == 1


async def test_resets_at_once_leave_one_current_conversation(history: SqlHistory) -> None:
    pairs = await asyncio.gather(*(history.reset(CHANNEL) for _ in range(20)))
    current = (await history.window(CHANNEL, 1)).conversation_id
    news = {new for _old, new in pairs}
    assert len(news) == 20
    assert current == max(news)


async def test_a_deletion_and_an_edit_of_the_same_turn_at_once(history: SqlHistory) -> None:
    talk = Talk(history)
    for _ in range(10):
        reply = await talk.answer(await talk.ask("hi", message_id=None), ids=("10",))
        results = await asyncio.gather(
            history.show_reply(reply.turn_id, "more", ["10", "11"]),
            history.delete_messages(CHANNEL, ["10"]),
            history.begin_swipe(reply.turn_id),
            return_exceptions=True,
        )
        for result in results:
            assert not isinstance(result, BaseException) or isinstance(result, NotFound)
        with pytest.raises(NotFound):
            await history.turn(reply.turn_id)


async def test_cancelled_callers_leave_the_store_usable(database: Database) -> None:
    """Wherever a cancellation strikes, a call happened whole or not at all."""
    history = database.history
    talk = Talk(history)
    dice = random.Random(5)
    for number in range(40):
        task = asyncio.create_task(talk.ask(f"{number}", message_id=f"{number}"))
        other = asyncio.create_task(history.window(CHANNEL, 5))
        for _ in range(dice.randrange(60)):
            await asyncio.sleep(0)
        task.cancel()
        other.cancel()
        await asyncio.gather(task, other, return_exceptions=True)
    turns = (await history.window(CHANNEL, 500)).turns
    assert all(turn.message_ids == (turn.text,) for turn in turns)
    await asyncio.wait_for(talk.ask("still there"), 30)
    await asyncio.wait_for(asyncio.gather(*(history.window(CHANNEL, 5) for _ in range(20))), 30)


async def test_two_programs_on_one_database(database: Database, database_url: str) -> None:
    second = await Database.open(database_url)
    try:
        one, two = Talk(database.history), Talk(second.history)
        await asyncio.gather(
            *(one.ask(f"one {n}") for n in range(20)), *(two.ask(f"two {n}") for n in range(20))
        )
        running = await second.history.begin_reply(CHANNEL, BOT, persona="", answers=[])
        await database.history.finish_reply(running.turn_id, TurnState.WHOLE, None)
        assert len(await one.texts()) == 41
    finally:
        await second.close()


async def test_names_go_while_what_they_stand_in_is_deleted(postgres_url: str) -> None:
    """Else each would have a row that the other one waits for."""
    database = await Database.open(postgres_url)
    talk = Talk(database.history)
    asked = await talk.ask("hello", message_id="1")
    reply = await talk.answer(asked)
    await database.facts.add_fact(CHANNEL, "hello", by="ann", source=FactSource("1", "ann"))
    has_begun = asyncio.Event()

    def delete(connection: Connection) -> None:
        channel_id: int = take_turn(connection, reply.turn_id).channel_id
        connection.execute(text("DELETE FROM facts"))
        has_begun.set()
        for _ in range(1_000):  # until the other one is there
            if connection.scalar(text(WAITING_FOR_US)):
                break
            connection.execute(text("SELECT pg_sleep(0.01), pg_stat_clear_snapshot()"))
        remove_turns(connection, channel_id, [reply.turn_id])

    deleting = asyncio.create_task(database.history.transactions.write(delete))
    await has_begun.wait()
    outcomes = await asyncio.gather(
        deleting, database.people.remove_names(Person("discord", "ann")), return_exceptions=True
    )
    texts, facts = await talk.texts(), await database.facts.facts(CHANNEL)
    await database.close()
    assert outcomes == [None, None]
    assert texts == ["hello"]
    assert facts == []
