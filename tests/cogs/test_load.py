"""Twenty channels, fifty people, two hundred messages in ten seconds: in real time."""

import asyncio
import gc
import random
import threading
import time
import tracemalloc
from collections import defaultdict
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import discord
import pytest
import simcord._dpy_internals as internals
from discord.http import Route
from simcord import Backend
from simcord.gateway import ShardRouter
from simcord.http import FakeHTTPClient
from worlds import PERSONAS, new_bot, write_personas

from bot.chat.messages import ChannelKey, TurnState
from bot.engine.api import GenerationRequest
from bot.engine.fake import FakeEngine
from bot.store.database import Database
from cogs.client import CaduceusBot
from cogs.listening.messages import MessageListener
from cogs.showing.pacing import Pace

pytestmark = pytest.mark.slow  # on the real clock

CHANNELS, PEOPLE, MESSAGES, SECONDS = 20, 50, 200, 10.0
DISCORD_REQUESTS_PER_SECOND = 50
LAG_SECONDS = 0.1
GROWTH_BYTES = 200_000
LATENCY_SECONDS = 0.05


class SlowDiscord(FakeHTTPClient):
    """Answers after a while, as the real one does, and remembers when it was asked what."""

    asked: list[tuple[float, str, str]]

    async def request(self, route: Route, **options: Any) -> Any:
        self.asked.append((time.monotonic(), route.method, route.url))
        await asyncio.sleep(LATENCY_SECONDS)
        return await super().request(route, **options)


@asynccontextmanager
async def connected(
    folder: Path, engine: FakeEngine, pace: Pace
) -> AsyncGenerator[tuple[CaduceusBot, Backend, SlowDiscord, Database], None]:
    """The bot on simcord's Discord, but on the real loop and the real clock."""
    loop = asyncio.get_running_loop()
    personas = await asyncio.to_thread(write_personas, folder / "personas", PERSONAS)
    database = await Database.open(f"sqlite+aiosqlite:///{folder / 'load.db'}")
    await engine.start()
    bot = await asyncio.to_thread(new_bot, database, personas, engine, pace)
    backend = Backend()
    bot.conversations._clock = backend.clock.now  # by which its messages are dated
    client = SlowDiscord(backend, loop)
    client.asked = []
    internals.install_http(bot, client)
    internals.set_guild_ready_timeout(bot, 0.0)
    state = internals.get_state(bot)
    state.shard_count, state.shard_ids = 1, [0]
    router = ShardRouter(backend, state, bot.dispatch, 1, (0,))
    backend.subscribers.append(router.feed)
    internals.install_websocket(bot, router.websockets[0])
    try:
        await bot.login("simcord.fake.token")
        router.identify(0)
        await bot.wait_until_ready()
        yield bot, backend, client, database
    finally:
        await bot.close()
        await database.close()


def answer(request: GenerationRequest) -> str:
    """Some hundred characters, some replies over two messages."""
    length = 900 if hash(request.prompt) % 10 == 0 else 60
    return " ".join(f"word{number}" for number in range(length))[: length * 7]


async def talk(
    bot: CaduceusBot, backend: Backend, channels: list[int], people: list[int], seconds: float
) -> None:
    """People mention the bot, evenly over the time."""
    chance = random.Random(7)
    assert bot.user is not None
    count = int(MESSAGES * seconds / SECONDS)
    for number in range(count):
        backend.create_message(
            channels[number % len(channels)],
            chance.choice(people),
            f"{bot.user.mention} message {number}",
        )
        await asyncio.sleep(seconds / count)


async def all_answered(bot: CaduceusBot) -> None:
    """Wait until nothing is being taken in or answered."""
    chat = bot.get_cog("MessageListener")
    assert isinstance(chat, MessageListener)
    async with asyncio.timeout(60):
        quiet = 0
        while quiet < 5:
            await asyncio.sleep(0.05)
            quiet = 0 if bot.serving._workers or chat._orders else quiet + 1


async def beat(lags: list[float], work: list[float]) -> None:
    """How late the loop is, by the clock, and how much of that is this thread's own work."""
    while True:
        clock, own = time.monotonic(), time.thread_time()
        await asyncio.sleep(0.01)
        lags.append(time.monotonic() - clock - 0.01)
        work.append(time.thread_time() - own)


@contextmanager
def machine_lags() -> Generator[list[float], None, None]:
    """How late a thread is that has nothing to do: what the machine, not the loop, is late by."""
    lags: list[float] = []
    ended = threading.Event()

    def measure() -> None:
        clock = time.monotonic()
        while not ended.wait(0.01):
            lags.append(time.monotonic() - clock - 0.01)
            clock = time.monotonic()

    thread = threading.Thread(target=measure)
    thread.start()
    try:
        yield lags
    finally:
        ended.set()
        thread.join()


def most(lags: list[float]) -> float:
    """What all but one in a hundred stay below."""
    return sorted(lags)[int(len(lags) * 0.99)]


def people_and_channels(backend: Backend) -> tuple[list[int], list[int]]:
    guild = backend.create_guild("Busy")
    channels = [backend.create_channel(guild.id, f"room-{n}").id for n in range(CHANNELS)]
    people: list[int] = []
    for number in range(PEOPLE):
        user = backend.make_user(f"person{number}")
        backend.add_member(guild.id, user.id, announce=False)
        people.append(user.id)
    return channels, people


async def test_everybody_is_answered_within_discords_limits(tmp_path: Path) -> None:
    engine = FakeEngine(answer, chunk_characters=20, chunk_seconds=0.03)
    async with connected(tmp_path, engine, Pace()) as (bot, backend, client, database):
        channels, people = people_and_channels(backend)
        await asyncio.sleep(0.1)
        client.asked.clear()
        gc.collect()
        gc.freeze()  # what other tests have left is not to be walked through in this one
        lags: list[float] = []
        work: list[float] = []
        beating = asyncio.create_task(beat(lags, work))
        with machine_lags() as idle:
            await talk(bot, backend, channels, people, SECONDS)
            await all_answered(bot)
        beating.cancel()
        gc.unfreeze()

        heard = 0
        for channel_id in channels:
            turns = await database.history.export(ChannelKey("discord", str(channel_id)))
            heard += sum(turn.role == "user" for turn in turns)
            assert all(turn.answered_by for turn in turns if turn.role == "user")
            shown = [m.content for m in backend.messages[channel_id].values()]
            for turn in turns:
                if turn.role == "bot":
                    assert turn.state is TurnState.WHOLE
                    assert shown.count(turn.text) or len(turn.message_ids) > 1
        assert heard == MESSAGES

        times = [moment for moment, _, _ in client.asked]
        assert most_within(times, 1.0) <= DISCORD_REQUESTS_PER_SECOND
        edits: dict[str, list[float]] = defaultdict(list)
        for moment, method, url in client.asked:
            if method in ("PATCH", "POST") and "/messages" in url:
                edits[f"{method} {url.split('/channels/')[1].split('/')[0]}"].append(moment)
        for moments in edits.values():
            assert most_within(moments, 5.0) <= 6  # five, and one on the edge of both clocks
        for key, moments in edits.items():
            if key.startswith("PATCH"):
                assert all(later - earlier > 0.9 for earlier, later in pairwise(moments))

        assert max(work) < LAG_SECONDS
        assert most(lags) < LAG_SECONDS + most(idle)
        print(  # noqa: T201 - read with `pytest -s`
            f"{len(times)} requests, at most {most_within(times, 1.0)} in a second; the loop late "
            f"by {max(lags) * 1000:.0f} ms at most, {median(lags) * 1000:.1f} ms in the "
            f"middle; its own work at most {max(work) * 1000:.0f} ms"
        )


async def test_memory_stays_flat(tmp_path: Path) -> None:
    engine = FakeEngine(["A short answer."], chunk_characters=20)
    pace = Pace(edit_seconds=0.05, first_text_seconds=0.01)
    async with connected(tmp_path, engine, pace) as (bot, backend, client, _):
        channels, people = people_and_channels(backend)
        tracemalloc.start()
        try:
            sizes: list[int] = []
            for _ in range(4):
                await talk(bot, backend, channels, people, 2.0)
                await all_answered(bot)
                engine.requests.clear()
                client.asked.clear()
                gc.collect()
                sizes.append(bytes_of_ours())
        finally:
            tracemalloc.stop()
        assert sizes[-1] - sizes[1] < GROWTH_BYTES
        assert len(backend.messages[channels[0]]) > 10
        assert not bot.serving._workers
        assert not bot.serving._wanted
        assert not bot.serving._busy
        assert not internals.get_state(bot)._view_store._views
        assert len(bot.cached_messages) == 0
        assert isinstance(bot, discord.Client)


def most_within(times: list[float], seconds: float) -> int:
    """The most moments in any stretch of time."""
    return max(
        (sum(first <= time < first + seconds for time in times) for first in times), default=0
    )


def bytes_of_ours() -> int:
    """What code of the bot and its cogs holds."""
    snapshot = tracemalloc.take_snapshot()
    ours = snapshot.filter_traces(
        [
            tracemalloc.Filter(True, "*/cogs/*.py"),
            tracemalloc.Filter(True, "*/bot/chat/*.py"),
            tracemalloc.Filter(True, "*/discord/*"),
        ]
    ).filter_traces([tracemalloc.Filter(False, "*/tests/*")])
    return sum(statistic.size for statistic in ours.statistics("filename"))
