"""The composition root: builds store, engine and conversation, and owns their lifetimes."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bot.chat.personas.homes import EveryHome
from bot.chat.personas.library import PersonaLibrary
from bot.chat.ports import Personas
from bot.chat.prompt.formats import FORMATS
from bot.chat.settings import SettingsCascade
from bot.chat.talk.conversations import Conversations
from bot.engine.api import Engine
from bot.errors import SettingsError
from bot.metrics import MetricsServer
from bot.owner_defaults import load_owner_defaults
from bot.settings import ProcessSettings
from bot.store.database import Database

logger = logging.getLogger(__name__)

GRACE_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class App:
    """Everything that a front end needs, for as long as :func:`open_app`'s context lasts."""

    settings: ProcessSettings
    conversations: Conversations
    database: Database
    engine: Engine
    personas: Personas
    engine_start: asyncio.Task[None]  # raises what the engine's start raised

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
    that ENGINE names. Raises SettingsError, PersonaError or StoreError.
    """
    check_prompt_format(settings.prompt_format)
    await asyncio.to_thread(_make_data_dir, settings.data_dir)
    async with AsyncExitStack() as stack:
        library = await asyncio.to_thread(PersonaLibrary, settings.personas_dir)
        personas = EveryHome([library], library.default)
        owner = await load_owner_defaults(settings.data_dir, personas)
        stack.push_async_callback(_cancel, asyncio.create_task(library.watch(), name="personas"))
        database = await Database.open(settings.database_url)
        stack.push_async_callback(database.close)
        engine = engine or build_engine(settings)
        stack.push_async_callback(engine.close)
        if settings.metrics_port:
            metrics = MetricsServer(engine.status, settings.metrics_port)
            stack.push_async_callback(metrics.close)
            logger.info("metrics at %s", await metrics.start())
        conversations = Conversations(
            database.history,
            SettingsCascade(database.settings, personas, owner),
            personas,
            engine,
            prompt_format=settings.prompt_format,
            max_reply_tokens=settings.max_reply_tokens,
        )
        stack.push_async_callback(conversations.close, 0.0)  # when no front end came so far
        start = asyncio.create_task(engine.start(), name="engine start")
        stack.push_async_callback(_cancel, start)
        yield App(settings, conversations, database, engine, personas, start)


def build_engine(settings: ProcessSettings) -> Engine:
    """The engine that ENGINE names, not started. Only `local` imports torch, and that at start."""
    if settings.engine == "fake":
        from bot.engine.fake import FakeEngine

        return FakeEngine(chunk_seconds=0.05)
    if settings.engine == "openai":
        from bot.engine.remote.engine import OpenAIEngine

        key = settings.openai_api_key
        return OpenAIEngine(
            settings.openai_base_url,
            key.get_secret_value() if key else "",
            settings.openai_model,
            first_token_seconds=settings.openai_first_token_seconds,
            stall_seconds=settings.openai_stall_seconds,
            tokenizer=settings.tokenizer,
            context_tokens=settings.context_tokens,
        )
    from bot.engine.building import local_engine

    return local_engine(settings.model, settings.data_dir, settings.context_tokens)


def check_prompt_format(name: str) -> None:
    """Raise SettingsError for a PROMPT_FORMAT that does not exist."""
    if name != "auto" and name not in FORMATS:
        raise SettingsError(
            f"PROMPT_FORMAT knows no «{name}».", f"There are: auto, {', '.join(FORMATS)}."
        )


def _make_data_dir(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".write-test"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise SettingsError(
            f"DATA_DIR cannot be written: {error}.", "Set it to a folder that this user may change."
        ) from error


async def _cancel(task: asyncio.Task[None]) -> None:
    """End a task that may have failed already; its error was for whoever awaited it."""
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        task.exception()
