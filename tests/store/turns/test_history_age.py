"""A conversation that grows old gets no slower: what SQLite does is counted in its own steps."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, create_engine, insert
from sqlalchemy.pool import StaticPool
from store_samples import CHANNEL

from bot.store.tables import Base, ChannelRow, ConversationRow, MessageRow, SwipeRow, TurnRow
from bot.store.turns import access, conversations, incoming, replies, undoing

NOON = datetime(2024, 5, 17, 12, tzinfo=UTC)
YOUNG, OLD = 200, 6_000
NEWEST_REPLY = 40  # turns after it that are not the bot's, so that it has to be found

CALLS: dict[str, Callable[[Connection, int], object]] = {
    "window": lambda c, n: conversations.window(c, CHANNEL, 20),
    "window before": lambda c, n: conversations.window(c, CHANNEL, 20, before_turn=n // 2),
    "pending": lambda c, n: conversations.pending(c, CHANNEL, since=NOON + timedelta(days=9)),
    "last reply": lambda c, n: conversations.last_reply(c, CHANNEL),
    "hide": lambda c, n: undoing.hide_last_exchange(c, CHANNEL),
    "edit": lambda c, n: incoming.edit_message(c, CHANNEL, f"m{n // 2}", "new"),
    "delete": lambda c, n: incoming.delete_messages(c, CHANNEL, [f"m{n // 2}"]),
    "holds": lambda c, n: incoming.holds(c, CHANNEL, [f"m{n // 2}", "unknown"]),
    "turn of a message": lambda c, n: conversations.turn_of_message(c, CHANNEL, f"m{n // 2}"),
    "new turn": lambda c, n: replies.begin_reply(
        c, CHANNEL, access.read_turn(c, n).speaker, persona="", answers=[n]
    ),
    "recover": lambda c, n: replies.left_running(c),
}


def database_of(turns: int) -> Engine:
    """One conversation of so many turns: a question, its answer, and talk at the end."""
    engine = create_engine("sqlite+pysqlite://", poolclass=StaticPool)
    Base.metadata.create_all(engine)
    rows: list[dict[str, Any]] = []
    for number in range(1, turns + 1):
        is_bot = number % 2 == 0 and number <= turns - NEWEST_REPLY
        rows.append(
            {
                "id": number,
                "conversation_id": 1,
                "position": number - 1,
                "role": "bot" if is_bot else "user",
                "speaker_id": "ada" if is_bot else f"user{number % 40}",
                "speaker_name": "Name",
                "speaker_is_bot": is_bot,
                "text": "" if is_bot else "Text",
                "created_at": NOON,
                "persona": "",
                "addressed": not is_bot,
                "is_pending": number in (1, 3, turns),
                "active_swipe": 0,
            }
        )
    numbers = range(1, turns + 1)
    with engine.begin() as connection:
        channel = {"platform": "discord", "platform_channel_id": "100", "is_direct": False}
        connection.execute(insert(ChannelRow), channel)
        conversation = {"channel_id": 1, "is_current": True, "created_at": NOON}
        connection.execute(insert(ConversationRow), conversation)
        connection.execute(insert(TurnRow), rows)
        connection.execute(
            insert(MessageRow),
            [
                {"channel_id": 1, "message_id": f"m{n}", "turn_id": n, "position": 0}
                for n in numbers
            ],
        )
        connection.execute(
            insert(SwipeRow),
            [
                {"turn_id": row["id"], "position": 0, "text": "Answer", "state": "whole"}
                for row in rows
                if row["role"] == "bot"
            ],
        )
    return engine


@pytest.fixture(scope="module")
def engines() -> dict[int, Engine]:
    return {turns: database_of(turns) for turns in (YOUNG, OLD)}


def steps_of(engine: Engine, turns: int, call: Callable[[Connection, int], object]) -> int:
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    with engine.connect() as connection:
        driver: Any = connection.connection.driver_connection
        driver.set_progress_handler(count, 10)
        call(connection, turns)
        driver.set_progress_handler(None, 0)
        connection.rollback()
    return steps


@pytest.mark.parametrize("name", CALLS)
def test_no_call_takes_longer_in_an_old_conversation(name: str, engines: dict[int, Engine]) -> None:
    young, old = (steps_of(engine, turns, CALLS[name]) for turns, engine in engines.items())
    assert old <= young * 1.2 + 20
