"""kill -9 at any moment: what was acknowledged is there, and the next start is clean."""

import asyncio
import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from killing import run_and_kill

from bot.chat.messages import ChannelKey, TurnState
from bot.store.checks import check
from bot.store.database import Database

pytestmark = pytest.mark.slow

ROUNDS = 5
ENDED = (TurnState.WHOLE, TurnState.CUT)

# Says each step once it is durable, never stops by itself.
CHILD = """
import asyncio, sys
sys.path.insert(0, sys.argv[3])
from bot.chat.messages import ChannelKey, Speaker, TurnState
from bot.store.database import Database
from store_samples import BOT, record, said

def say(*words):
    print(*words, flush=True)

async def talk(history, channel, start):
    number = start
    while True:
        number += 1
        message_id = f"{channel.channel_id}-{number}"
        question = await history.add_message(
            said(f"question {message_id}", message_id=message_id, channel=channel), addressed=True
        )
        say("asked", channel.channel_id, message_id)
        reply = await history.begin_reply(
            channel, BOT, persona="Ada", answers=[question.turn_id]
        )
        say("begun", channel.channel_id, message_id)
        for length in range(1, 4):
            text = f"answer to {message_id} " * length
            await history.show_reply(reply.turn_id, text, [f"reply-{message_id}"])
            say("shown", channel.channel_id, message_id, length)
        await history.finish_reply(reply.turn_id, TurnState.WHOLE, record())
        say("finished", channel.channel_id, message_id)
        if number % 5 == 0:
            await history.delete_messages(channel, [message_id])
            say("deleted", channel.channel_id, message_id)

async def main():
    database = await Database.open(sys.argv[1])
    say("open")
    await asyncio.gather(*(
        talk(database.history, ChannelKey("discord", f"c{n}"), int(sys.argv[2])) for n in range(3)
    ))

asyncio.run(main())
"""


def last_words(lines: list[list[str]]) -> dict[tuple[str, str], list[str]]:
    """How far each message came, as acknowledged."""
    found: dict[tuple[str, str], list[str]] = {}
    for step, channel, message_id, *more in lines:
        found[channel, message_id] = [step, *more]
    return found


async def holds(database: Database, said: dict[tuple[str, str], list[str]]) -> None:
    """Everything acknowledged is in the database, or further."""
    history = database.history
    for (channel_id, message_id), (step, *more) in said.items():
        channel = ChannelKey("discord", channel_id)
        question = await history.turn_of_message(channel, message_id)
        reply = await history.turn_of_message(channel, f"reply-{message_id}")
        waiting = [turn.message_ids for turn in await history.pending(channel)]
        if step == "deleted":
            assert question is None
        elif step != "finished" and not (step == "shown" and more == ["3"]):
            assert question is not None
            assert question.text == f"question {message_id}"
        if step in ("shown", "finished", "deleted"):
            assert reply is not None
            least = int(more[0]) if step == "shown" else 3
            assert reply.text.count(message_id) >= least
            assert reply.state in ENDED if step == "shown" else reply.state is TurnState.WHOLE
        elif reply is None:  # nothing was shown: it is to be answered still
            assert (message_id,) in waiting


async def test_kill_9_at_any_moment(sqlite_url: str, sqlite_file: Path) -> None:
    dice = random.Random()
    acknowledged: dict[tuple[str, str], list[str]] = {}
    for round_number in range(ROUNDS):
        lines = await asyncio.to_thread(
            run_and_kill, CHILD, sqlite_url, round_number * 100_000, dice.uniform(0.02, 0.6)
        )
        acknowledged |= last_words(lines)
        database = await Database.open(sqlite_url)
        try:
            await holds(database, acknowledged)
        finally:
            await database.close()
        assert await check(sqlite_url) == []
        with closing(sqlite3.connect(sqlite_file)) as connection:
            running = connection.execute("SELECT count(*) FROM swipes WHERE state = 'running'")
            assert running.fetchone() == (0,)
    assert any(words[0] == "finished" for words in acknowledged.values())
