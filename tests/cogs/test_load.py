"""Twenty channels, fifty people, five hundred messages in ten seconds: in real time."""

import asyncio
import gc
import random
import threading
import time
import tracemalloc
from collections import Counter, defaultdict
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
from bot.chat.talk.reply import Reply
from bot.engine.api import GenerationRequest
from bot.engine.fake import FakeEngine
from bot.store.database import Database
from cogs.client import CaduceusBot
from cogs.listening.messages import MessageListener
from cogs.platform import WAIT
from cogs.showing.pacing import Pace

pytestmark = pytest.mark.slow  # on the real clock

CHANNELS, PEOPLE, MESSAGES, SECONDS = 20, 50, 500, 10.0
FLOODERS, FLOOD = 2, 50  # of them, and what each says of the messages: more than is answered
RATE_LIMIT = 20  # a minute and member, as it comes
DISCORD_REQUESTS_PER_SECOND = 50
LAG_SECONDS = 0.1
GROWTH_BYTES = 60_000
LATENCY_SECONDS = 0.05
OURS = ("/cogs/", "/bot/chat/", "/discord/")


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
) -> dict[str, float]:
    """People mention the bot, evenly over the time. Returns when each message was sent."""
    assert bot.user is not None
    sent: dict[str, float] = {}
    count = int(MESSAGES * seconds / SECONDS)
    began = time.monotonic()
    for number in range(count):
        message = backend.create_message(
            channels[number % len(channels)],
            people[number % len(people)],
            f"{bot.user.mention} message {number}",
        )
        sent[str(message.id)] = time.monotonic()
        await asyncio.sleep(began + seconds * (number + 1) / count - time.monotonic())
    return sent


def crowd(people: list[int]) -> list[int]:
    """Who says the messages: some flood, all others say as much as may be answered."""
    flooders, others = people[:FLOODERS], people[FLOODERS:]
    rest = MESSAGES - FLOODERS * FLOOD
    speakers = flooders * FLOOD + [others[number % len(others)] for number in range(rest)]
    random.Random(7).shuffle(speakers)
    assert max(Counter(speakers)[each] for each in others) <= RATE_LIMIT
    return speakers


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
    """But who floods: of theirs as much as anybody may have, and one line about the rest."""
    engine = FakeEngine(answer, chunk_characters=20, chunk_seconds=0.03)
    async with connected(tmp_path, engine, Pace()) as (bot, backend, client, database):
        channels, people = people_and_channels(backend)
        speakers = crowd(people)
        answered: dict[str, float] = {}

        async def note(reply: Reply) -> None:
            now = time.monotonic()
            answered.update((each, now) for turn in reply.answers for each in turn.message_ids)

        bot.serving.on_ended(note)
        await asyncio.sleep(0.1)
        client.asked.clear()
        gc.collect()
        gc.freeze()  # what other tests have left is not to be walked through in this one
        lags: list[float] = []
        work: list[float] = []
        beating = asyncio.create_task(beat(lags, work))
        with machine_lags() as idle:
            sent = await talk(bot, backend, channels, speakers, SECONDS)
            await all_answered(bot)
        beating.cancel()

        heard: Counter[int] = Counter()
        told: Counter[int] = Counter()
        for channel_id in channels:
            turns = await database.history.export(ChannelKey("discord", str(channel_id)))
            heard.update(int(turn.speaker.speaker_id) for turn in turns if turn.role == "user")
            assert all(turn.answered_by for turn in turns if turn.role == "user")
            messages = backend.messages[channel_id]
            shown = [message.content for message in messages.values()]
            for turn in turns:
                if turn.role == "bot":
                    assert turn.state is TurnState.WHOLE
                    assert shown.count(turn.text) or len(turn.message_ids) > 1
            for message in messages.values():
                if message.content.startswith(WAIT):
                    replied = messages[int(message.reference["message_id"])]
                    told[replied.author_id] += 1
        assert heard == {
            each: RATE_LIMIT if count > RATE_LIMIT else count
            for each, count in Counter(speakers).items()
        }
        assert told == dict.fromkeys(people[:FLOODERS], 1)
        waits = [answered[each] - sent[each] for each in answered]
        assert len(waits) == heard.total()

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
            f"{len(times)} requests, at most {most_within(times, 1.0)} in a second; answers whole "
            f"after {median(waits):.1f} s in the middle, {max(waits):.1f} s at most; the loop "
            f"late by {max(lags) * 1000:.0f} ms at most, {median(lags) * 1000:.1f} ms in the "
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
                assert len(backend.messages[channels[0]]) >= 2  # a question, and its answer
                for messages in backend.messages.values():
                    messages.clear()  # they hold what the bot has sent, as do the next two
                backend.http_requests.clear()
                backend.transcript.clear()
                engine.requests.clear()
                client.asked.clear()
                gc.collect()
                sizes.append(bytes_of_ours())
        finally:
            tracemalloc.stop()
        print(f"{[size // 1000 for size in sizes]} kB held")  # noqa: T201 - read with `pytest -s`
        assert sizes[-1] - sizes[1] < GROWTH_BYTES
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
    """What code of the bot and its cogs, and discord.py for them, holds."""
    by_file = tracemalloc.take_snapshot().statistics("filename")
    return sum(each.size for each in by_file if is_ours(each.traceback[0].filename))


def is_ours(filename: str) -> bool:
    return "/tests/" not in filename and any(part in filename for part in OURS)
