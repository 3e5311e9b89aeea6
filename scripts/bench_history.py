"""What a reply costs around the engine, by the age of its conversation.

Builds databases of 100, 20,000 and 600,000 turns, each all in one channel, and measures on each:
one reply through the conversation core with the scripted engine (time, the processor's time,
transactions, and what the engine is asked to count), and the store's own calls. Prints a table, and
JSON with `--json FILE`:

    PYTHONPATH=. python scripts/bench_history.py [--turns 100 20000 600000] [--replies 40]
"""

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, insert

from bot.chat.engines import Engines
from bot.chat.messages import ChannelKey, IncomingMessage, Speaker
from bot.chat.persona import Persona
from bot.chat.settings import SettingsCascade
from bot.chat.talk.conversations import Conversations
from bot.engine.fake import FakeEngine
from bot.store.connecting.connection import parse_url
from bot.store.connecting.migrate import upgrade
from bot.store.connecting.transactions import Transactions, open_transactions
from bot.store.database import Database
from bot.store.tables import ChannelRow, ConversationRow, MessageRow, SwipeRow, TurnRow

CHANNEL = ChannelKey("discord", "1", guild_id="1")
BEGAN = datetime(2024, 1, 1, tzinfo=UTC)
WORDS = (
    "the",
    "quick",
    "brown",
    "fox",
    "jumps",
    "over",
    "a",
    "lazy",
    "dog",
    "while",
    "it",
    "rains",
)
PEOPLE = 50
ROWS_AT_ONCE = 10_000
CALLS = 15  # of each of the store's own, of which the median counts


class OnePersona:
    """A persona that is simply there."""

    def __init__(self) -> None:
        self._persona = Persona(id="file:ada", name="Ada", description="{char} has a clear head.")

    async def find(self, _guild_id: str | None, _reference: str) -> Persona | None:
        return self._persona

    async def listed(self, _guild_id: str | None) -> list[Persona]:
        return [self._persona]

    async def default(self) -> Persona:
        return self._persona

    def problems(self) -> dict[str, str]:
        return {}


class CountingEngine(FakeEngine):
    """Notes what it is asked to count."""

    def __init__(self) -> None:
        super().__init__(["A reply of some length, as people get them every day."])
        self.counted: Counter[str] = Counter()

    async def count_tokens(self, texts: Sequence[str]) -> tuple[int, ...]:
        counts = await super().count_tokens(texts)
        self.counted.update(calls=1, texts=len(texts), tokens=sum(counts))
        return counts


class CountingTransactions:
    """Counts transactions on their way."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions
        self.counted: Counter[str] = Counter()

    async def read(self, work: Callable[[Connection], Any]) -> Any:
        self.counted["reads"] += 1
        return await self._transactions.read(work)

    async def write(self, work: Callable[[Connection], Any], *, erases: bool = False) -> Any:
        self.counted["writes"] += 1
        return await self._transactions.write(work, erases=erases)

    async def close(self) -> None:
        await self._transactions.close()


def turn_rows(first: int, last: int) -> Iterator[dict[str, Any]]:
    """Questions and answers by turns; a few questions nobody answered."""
    for number in range(first, last + 1):
        is_bot = number % 2 == 0
        speaker = "persona:Ada" if is_bot else f"user{number // 2 % PEOPLE}"
        yield {
            "id": number,
            "conversation_id": 1,
            "position": number - 1,
            "role": "bot" if is_bot else "user",
            "speaker_id": speaker,
            "speaker_name": speaker.title(),
            "speaker_is_bot": is_bot,
            "text": "" if is_bot else text_of(number),
            "created_at": BEGAN + timedelta(seconds=number),
            "persona": "Ada" if is_bot else "",
            "addressed": not is_bot,
            "is_pending": not is_bot and number % 1000 == 1 and number < last - 1,
            "active_swipe": 0,
        }


def text_of(number: int) -> str:
    """What somebody said."""
    return " ".join(WORDS[(number * 7 + at) % len(WORDS)] for at in range(6 + number % 20))


def fill(connection: Connection, turns: int) -> None:
    """A channel with so many turns."""
    channel = {"id": 1, "platform": "discord", "platform_channel_id": "1", "is_direct": False}
    connection.execute(insert(ChannelRow), channel)
    conversation = {"id": 1, "channel_id": 1, "is_current": True, "created_at": BEGAN}
    connection.execute(insert(ConversationRow), conversation)
    for first in range(1, turns + 1, ROWS_AT_ONCE):
        numbers = range(first, min(first + ROWS_AT_ONCE, turns + 1))
        connection.execute(insert(TurnRow), list(turn_rows(numbers[0], numbers[-1])))
        messages = [
            {"channel_id": 1, "message_id": f"m{n}", "turn_id": n, "position": 0} for n in numbers
        ]
        connection.execute(insert(MessageRow), messages)
        swipes = [
            {"turn_id": n, "position": 0, "text": text_of(n), "state": "whole", "finish": "stop"}
            for n in numbers
            if n % 2 == 0
        ]
        if swipes:
            connection.execute(insert(SwipeRow), swipes)


async def reply_once(core: Conversations, number: int) -> None:
    """Somebody asks and is answered, with two edits."""
    message = IncomingMessage(
        message_id=str(10**9 + 2 * number),
        channel=CHANNEL,
        author=Speaker(f"user{number % PEOPLE}", f"User {number % PEOPLE}"),
        text=f"A question, number {number}, of an ordinary length.",
        sent_at=datetime.now(UTC),
        mentions_bot=True,
    )
    await core.hear(message)
    reply = await core.next_reply(CHANNEL)
    if reply is None:
        raise RuntimeError("There was nothing to answer.")
    async with reply:
        text = "".join([piece async for piece in reply])
        await reply.shown(text, [str(10**9 + 2 * number + 1)], last=True)


@contextmanager
def added_to(totals: Counter[str], counter: Counter[str]) -> Iterator[None]:
    """Add to `totals` what was counted meanwhile."""
    before = counter.copy()
    yield
    totals.update(counter - before)


async def measure_replies(
    database: Database, transactions: CountingTransactions, replies: int
) -> dict[str, float]:
    """One reply after another."""
    engine, personas = CountingEngine(), OnePersona()
    cascade = SettingsCascade(database.settings, personas)
    core = Conversations(database.history, cascade, personas, Engines.only(engine))
    for number in range(5):
        await reply_once(core, number)
    totals: Counter[str] = Counter()
    seconds: list[float] = []
    processor = time.process_time()
    with added_to(totals, engine.counted), added_to(totals, transactions.counted):
        for number in range(5, 5 + replies):
            began = time.perf_counter()
            await reply_once(core, number)
            seconds.append(time.perf_counter() - began)
    processor = time.process_time() - processor
    await core.close(0)
    return {
        "reply_ms": 1000 * statistics.median(seconds),
        "reply_processor_ms": 1000 * processor / replies,
        "replies_a_second": replies / sum(seconds),
        "reads": totals["reads"] / replies,
        "writes": totals["writes"] / replies,
        "counted_texts": totals["texts"] / replies,
        "counted_tokens": totals["tokens"] / replies,
    }


async def measure_calls(database: Database, turns: int) -> dict[str, float]:
    """The store's own calls."""
    history = database.history
    middle = turns // 2
    calls: dict[str, Callable[[int], Awaitable[object]]] = {
        "window_ms": lambda _: history.window(CHANNEL, 101),
        "window_before_ms": lambda n: history.window(CHANNEL, 101, before_turn=middle - n),
        "pending_ms": lambda _: history.pending(CHANNEL, since=datetime.now(UTC)),
        "last_reply_ms": lambda _: history.last_reply(CHANNEL),
        "edit_ms": lambda n: history.edit_message(CHANNEL, f"m{middle + 2 * n + 1}", "new"),
        "hide_ms": lambda _: history.hide_last_exchange(CHANNEL),
        "delete_ms": lambda n: history.delete_messages(CHANNEL, [f"m{middle + 2 * n + 1}"]),
        "recover_ms": lambda _: database.run.recover(),
    }
    found: dict[str, float] = {}
    for name, call in calls.items():
        seconds: list[float] = []
        for number in range(CALLS):
            began = time.perf_counter()
            await call(number)
            seconds.append(time.perf_counter() - began)
        found[name] = 1000 * statistics.median(seconds)
    return found


async def measure(turns: int, replies: int, folder: Path) -> dict[str, float]:
    """Everything, on a database of its own."""
    url = f"sqlite+aiosqlite:///{folder}/history.db"
    await upgrade(url)
    transactions = CountingTransactions(await asyncio.to_thread(open_transactions, parse_url(url)))
    await transactions.write(lambda connection: fill(connection, turns))
    database = Database(transactions)
    try:
        found = await measure_replies(database, transactions, replies)
        found |= await measure_calls(database, turns)
        if erase := getattr(database.history, "erase", None):
            began = time.perf_counter()
            await erase("discord", "user7")
            found["erase_ms"] = 1000 * (time.perf_counter() - began)
    finally:
        await database.close()
    return found


def table(results: dict[int, dict[str, float]]) -> str:
    """The results for people."""
    lines = ["| |" + "".join(f" {turns:,} turns |" for turns in results)]
    lines.append("|---|" + "---:|" * len(results))
    for name in next(iter(results.values())):
        values = "".join(f" {found[name]:,.1f} |" for found in results.values())
        lines.append(f"| {name.replace('_', ' ')} |{values}")
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--turns", type=int, nargs="+", default=[100, 20_000, 600_000])
    parser.add_argument("--replies", type=int, default=40)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    results: dict[int, dict[str, float]] = {}
    for turns in options.turns:
        with tempfile.TemporaryDirectory(prefix="caduceus-bench-") as folder:
            results[turns] = asyncio.run(measure(turns, options.replies, Path(folder)))
    print(table(results))  # noqa: T201 - what it is for
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
