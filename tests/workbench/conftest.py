"""A workbench on a real database, with a scripted engine behind it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest
from given_personas import GivenPersonas
from workbench_parts import HOSTILE, REPLIES, Bench, Client, StartBench

from bot.chat.engines import Engines, NamedEngine
from bot.chat.persona import Persona
from bot.chat.settings import SettingsCascade
from bot.chat.talk.conversations import Conversations
from bot.engine.fake import FakeEngine
from bot.store.database import Database
from bot.workbench import Workbench


@pytest.fixture
async def start_bench(tmp_path: Path) -> AsyncIterator[StartBench]:
    """Start a workbench; `engine` and `started` as a test needs them."""
    async with AsyncExitStack() as stack:

        async def start(
            engine: FakeEngine | None = None,
            *,
            started: bool = True,
            fallback: FakeEngine | None = None,
        ) -> Bench:
            engine = engine or FakeEngine(REPLIES)
            if started:
                await engine.start()
            stack.push_async_callback(engine.close)
            database = await Database.open(f"sqlite+aiosqlite:///{tmp_path}/workbench.db")
            stack.push_async_callback(database.close)
            cast = GivenPersonas(
                Persona(
                    id="test:mara",
                    name="Mara",
                    summary="Keeps a lighthouse",
                    description="{{char}} keeps the light.",
                    greeting="*The door is open.* Come in, {{user}}.",
                ),
                Persona(id="test:tobias", name="Tobias", summary="A ferryman"),
                Persona(id="test:hostile", name=HOSTILE[:80], greeting=HOSTILE, summary=HOSTILE),
            )
            settings = SettingsCascade(database.settings, cast)
            named = [NamedEngine("fake", engine)]
            if fallback is not None:
                named.append(NamedEngine("fallback:fake", fallback))
            engines = Engines(named)
            conversations = Conversations(database.history, settings, cast, engines)
            stack.push_async_callback(conversations.close, 0)
            workbench = Workbench(conversations, port=0, version="1.2.3")
            url = await workbench.start()
            stack.push_async_callback(workbench.close, 0)
            return Bench(workbench, conversations, engine, cast, database, url)

        yield start


@pytest.fixture
async def bench(start_bench: StartBench) -> Bench:
    """A workbench whose engine answers at once."""
    return await start_bench()


@pytest.fixture
async def open_client() -> AsyncIterator[Callable[[Bench], Awaitable[Client]]]:
    """Make a client of a workbench."""
    async with AsyncExitStack() as stack:

        async def open_for(bench: Bench) -> Client:
            return Client(await stack.enter_async_context(aiohttp.ClientSession()), bench.url)

        yield open_for


@pytest.fixture
async def client(bench: Bench, open_client: Callable[[Bench], Awaitable[Client]]) -> Client:
    """A client of `bench`."""
    return await open_client(bench)
