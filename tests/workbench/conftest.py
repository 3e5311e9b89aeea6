"""A workbench on a real database, with a scripted engine behind it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from browsing import ARGUMENTS, CHROMIUM, OpenPage, Visit
from empty_database import put_empty_database
from given_personas import GivenPersonas
from playwright.async_api import Browser, async_playwright, expect
from workbench_parts import HOSTILE, REPLIES, Bench, Client, StartBench

from bot.chat.engines import Engines, NamedEngine
from bot.chat.persona import Persona
from bot.chat.personas.folder import PersonaFolder
from bot.chat.personas.library import PersonaLibrary
from bot.chat.roleplay.memory.notebook import Notebook
from bot.chat.settings import SettingsCascade
from bot.chat.talk.conversations import Conversations
from bot.engine.fake import FakeEngine
from bot.store.database import Database
from bot.workbench import Workbench

HERE = Path(__file__).parent


EXPECT_MILLISECONDS = 15_000  # a wait only where something fails, or the machine is busy
expect.set_options(timeout=EXPECT_MILLISECONDS)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A file's tests share a loop, for they share the browser, whose objects belong to one."""
    for item in items:
        if HERE in item.path.parents and pytest_asyncio.is_async_test(item):
            item.add_marker(pytest.mark.asyncio(loop_scope="module"), append=False)


@pytest_asyncio.fixture(loop_scope="module")
async def start_bench(tmp_path: Path) -> AsyncIterator[StartBench]:
    """Start a workbench; `engine` and `started` as a test needs them."""
    async with AsyncExitStack() as stack:

        async def start(
            engine: FakeEngine | None = None,
            *,
            started: bool = True,
            fallback: FakeEngine | None = None,
            personas_dir: Path | None = None,
        ) -> Bench:
            engine = engine or FakeEngine(REPLIES)
            if started:
                await engine.start()
            stack.push_async_callback(engine.close)
            if not (tmp_path / "workbench.db").exists():
                await asyncio.to_thread(put_empty_database, tmp_path / "workbench.db")
            database = await Database.open(f"sqlite+aiosqlite:///{tmp_path}/workbench.db")
            stack.push_async_callback(database.close)
            cast = GivenPersonas(
                Persona(
                    id="test:mara",
                    name="Mara",
                    summary="Keeps a lighthouse",
                    description="{{char}} keeps the light.",
                ),
                Persona(id="test:tobias", name="Tobias", summary="A ferryman"),
                Persona(id="test:hostile", name=HOSTILE[:80], greeting=HOSTILE, summary=HOSTILE),
            )
            settings = SettingsCascade(database.settings, cast)
            named = [NamedEngine("fake", engine)]
            if fallback is not None:
                named.append(NamedEngine("fallback:fake", fallback))
            engines = Engines(named)
            notebook = Notebook(database.facts)
            conversations = Conversations(
                database.history,
                settings,
                cast,
                engines,
                memory=notebook,
                scenes=database.scenes,
            )
            stack.push_async_callback(conversations.close, 0)
            folder = None
            if personas_dir is not None:
                folder = PersonaFolder(await asyncio.to_thread(PersonaLibrary, personas_dir))
            workbench = Workbench(
                conversations, port=0, version="1.2.3", folder=folder, notebook=notebook
            )
            url = await workbench.start()
            stack.push_async_callback(workbench.close, 0)
            return Bench(workbench, conversations, engine, cast, database, url)

        yield start


@pytest_asyncio.fixture(loop_scope="module")
async def bench(start_bench: StartBench) -> Bench:
    """A workbench whose engine answers at once."""
    return await start_bench()


@pytest_asyncio.fixture(loop_scope="module")
async def open_client() -> AsyncIterator[Callable[[Bench], Awaitable[Client]]]:
    """Make a client of a workbench."""
    async with AsyncExitStack() as stack:

        async def open_for(bench: Bench) -> Client:
            return Client(await stack.enter_async_context(aiohttp.ClientSession()), bench.url)

        yield open_for


@pytest_asyncio.fixture(loop_scope="module")
async def client(bench: Bench, open_client: Callable[[Bench], Awaitable[Client]]) -> Client:
    """A client of `bench`."""
    return await open_client(bench)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    """One a file: each page has a context of its own."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="module")
async def open_page(browser: Browser) -> AsyncIterator[OpenPage]:
    """Open a workbench's page. A test fails when the page logged an error or left this machine."""
    visits: list[Visit] = []

    async def open_for(bench: Bench, **options: object) -> Visit:
        context = await browser.new_context(**options)  # type: ignore[arg-type]
        context.set_default_timeout(EXPECT_MILLISECONDS)
        page = await context.new_page()
        visit = Visit(page)
        visits.append(visit)
        page.on("pageerror", lambda error: visit.faults.append(str(error)))
        page.on(
            "console",
            lambda line: visit.faults.append(line.text) if line.type == "error" else None,
        )
        page.on(
            "request",
            lambda request: (
                None if request.url.startswith(bench.url) else visit.faults.append(request.url)
            ),
        )
        await page.goto(bench.url)
        await expect(page.locator("#bar-name")).not_to_be_empty()
        return visit

    yield open_for
    for visit in visits:
        await visit.page.context.close()
        assert visit.faults == []


@pytest_asyncio.fixture(loop_scope="module")
async def visit(bench: Bench, open_page: OpenPage) -> Visit:
    return await open_page(bench)
