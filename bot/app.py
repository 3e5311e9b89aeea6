"""The composition root: builds store, engines and conversation, and owns their lifetimes."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from bot.background import Background, end
from bot.chat.engines import Engines
from bot.chat.moderation.desk import Moderation
from bot.chat.personas.guild.desk import PersonaDesk
from bot.chat.personas.library import PersonaLibrary
from bot.chat.ports import Personas
from bot.chat.privacy.desk import Privacy
from bot.chat.privacy.erasure import Erasure
from bot.chat.prompt.choosing import check_format_name
from bot.chat.roleplay.memory.notebook import Notebook
from bot.chat.roleplay.memory.summary import SummaryDesk
from bot.chat.talk.conversations import Conversations, utc_now
from bot.core import Core, make_core
from bot.disclosing import handling_of
from bot.engine.api import Engine
from bot.engine_start import build_engines, start_engines, until_one_answers
from bot.errors import EngineError, SettingsError
from bot.metrics import MetricsServer
from bot.owner_defaults import load_owner_defaults
from bot.settings import ProcessSettings
from bot.store.database import Database

logger = logging.getLogger(__name__)

T = TypeVar("T")

GRACE_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class App:
    """Everything that a front end needs, for as long as :func:`open_app`'s context lasts."""

    settings: ProcessSettings
    conversations: Conversations
    database: Database
    engines: Engines
    personas: Personas
    desk: PersonaDesk
    notebook: Notebook
    summaries: SummaryDesk
    moderation: Moderation
    privacy: Privacy
    erasure: Erasure
    library: PersonaLibrary  # the owner's folder, one of the homes of `personas`
    engine_start: asyncio.Task[None]  # done when one answers; raises where none could be started
    engine_lost: asyncio.Task[EngineError]  # done when an engine needs another process

    async def close_conversations(self, grace_seconds: float = GRACE_SECONDS) -> None:
        """No new replies; running ones get `grace_seconds`, then are cut as if stopped.

        A front end calls this while it still can show what comes.
        """
        await self.conversations.close(grace_seconds)


@asynccontextmanager
async def open_app(
    settings: ProcessSettings, *, engine: Engine | None = None
) -> AsyncGenerator[App, None]:
    """Build everything, start loading the model, and take it all down in reverse.

    The model loads beside: await `app.engine_start`, or serve meanwhile. `engine` replaces the one
    that ENGINE names; FALLBACK_ENGINE's loads beside it. Raises SettingsError, PersonaError or
    StoreError.
    """
    check_format_name(settings.prompt_format)
    await asyncio.to_thread(_make_data_dir, settings.data_dir)
    async with AsyncExitStack() as stack:
        library = await asyncio.to_thread(PersonaLibrary, settings.personas_dir)
        owner = await load_owner_defaults(settings.data_dir, library)
        personas_lost = "Changes in PERSONAS_DIR are noticed no more until the next start"
        _watch_within(stack, Background("personas", lost=personas_lost), library.watch())
        database = await Database.open(settings.database_url)
        stack.push_async_callback(database.close)
        await database.ledger.forget_before(utc_now().date())  # also where nobody has a quota now
        engines = build_engines(settings, engine)
        stack.push_async_callback(engines.close)
        await _serve_metrics_within(stack, engines, settings.metrics_port)
        core = make_core(
            database,
            library,
            engines,
            handling_of(settings),
            owner=owner,
            owner_accounts=[f"discord:{number}" for number in settings.owner_ids],
            max_reply_tokens=settings.max_reply_tokens,
            thinking_tokens=settings.thinking_tokens,
        )
        await _begin_within(stack, core)
        engine_start, engine_lost = _start_engines_within(stack, settings, engines, core)
        yield App(
            settings=settings,
            conversations=core.conversations,
            database=database,
            engines=engines,
            personas=core.desk.personas,
            desk=core.desk,
            notebook=core.notebook,
            summaries=core.summaries,
            moderation=core.moderation,
            privacy=core.privacy,
            erasure=core.erasure,
            library=library,
            engine_start=engine_start,
            engine_lost=engine_lost,
        )


def _go_on_within(
    stack: AsyncExitStack, work: Coroutine[Any, Any, T], name: str
) -> asyncio.Task[T]:
    """Do something beside that somebody awaits, until the stack is taken down."""
    task = asyncio.create_task(work, name=name)
    stack.push_async_callback(end, task)
    return task


def _watch_within(
    stack: AsyncExitStack, beside: Background, work: Coroutine[Any, Any, None]
) -> None:
    """Do something beside that nobody awaits, until the stack is taken down."""
    beside.begin(work)
    stack.push_async_callback(beside.end)


async def _serve_metrics_within(stack: AsyncExitStack, engines: Engines, port: int) -> None:
    if port:
        metrics = MetricsServer(engines.standings, port)
        stack.push_async_callback(metrics.close)
        logger.info("metrics at %s", await metrics.start())


async def _begin_within(stack: AsyncExitStack, core: Core) -> None:
    """Begin what goes on beside the conversations, and end all of it in reverse."""
    deleted_lost = "Deleted personas are not taken out for good until the next start"
    purging = Background("deleted personas", lost=deleted_lost)
    _watch_within(stack, purging, core.desk.workshop.watch())
    core.folding.start()
    stack.push_async_callback(core.folding.close)
    stack.push_async_callback(core.conversations.close, 0.0)  # when no front end came so far
    stack.push_async_callback(core.erasure.close)
    await core.erasure.start()


def _start_engines_within(
    stack: AsyncExitStack, settings: ProcessSettings, engines: Engines, core: Core
) -> tuple[asyncio.Task[None], asyncio.Task[EngineError]]:
    """The start of the engines, and the end of one that needs another process."""
    both_here = settings.engine == settings.fallback_engine == "local"
    starts = start_engines(engines, one_by_one=both_here, formats=core.conversations.formats)
    for start in starts:
        stack.push_async_callback(end, start)
    one_answers = _go_on_within(stack, until_one_answers(engines, starts), "engine start")
    return one_answers, _go_on_within(stack, engines.lost(), "engine lost")


def _make_data_dir(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".write-test"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise SettingsError(
            f"DATA_DIR ({folder}) cannot be written: {error.strerror or error}.",
            "Set it to a folder that this user may change.",
        ) from error
