"""The composition root: builds store, engines and conversation, and owns their lifetimes."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bot.chat.engines import Engines, NamedEngine
from bot.chat.limits.blocking import BlockedCheck
from bot.chat.limits.making import make_gate
from bot.chat.limits.words.censor import Censor
from bot.chat.moderation.desk import Moderation, open_moderation
from bot.chat.personas.guild.desk import PersonaDesk, open_desk
from bot.chat.personas.library import PersonaLibrary
from bot.chat.ports import Personas
from bot.chat.privacy.desk import Privacy
from bot.chat.privacy.erasure import Erasure, make_erasure
from bot.chat.privacy.staying_out import OptOutCheck, StayingOut
from bot.chat.prompt.choosing import FormatChooser, check_format_name
from bot.chat.prompt.recollection import JoinedMemory
from bot.chat.roleplay.memory.folder import Folder
from bot.chat.roleplay.memory.idle import IdleFolding
from bot.chat.roleplay.memory.notebook import Notebook
from bot.chat.roleplay.memory.recall import Recall
from bot.chat.roleplay.memory.summary import SummaryDesk, SummaryTeller
from bot.chat.roleplay.shelf import GuildShelf
from bot.chat.settings import SettingsCascade
from bot.chat.talk.channel_states import ChannelStates
from bot.chat.talk.conversations import Clock, Conversations, utc_now
from bot.chat.talk.emptying import Emptying
from bot.chat.talk.taking_out import TakingOut
from bot.disclosing import handling_of
from bot.engine.api import Engine, EngineState
from bot.errors import CaduceusError, EngineError, SettingsError
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
        stack.push_async_callback(_cancel, asyncio.create_task(library.watch(), name="personas"))
        database = await Database.open(settings.database_url)
        stack.push_async_callback(database.close)
        await database.ledger.forget_before(utc_now().date())  # also where nobody has a quota now
        desk = open_desk(library, database.personas, database.lorebooks, database.casts)
        personas = desk.personas
        purging = asyncio.create_task(desk.workshop.watch(), name="deleted personas")
        stack.push_async_callback(_cancel, purging)
        engines = build_engines(settings, engine)
        stack.push_async_callback(engines.close)
        if settings.metrics_port:
            metrics = MetricsServer(engines.standings, settings.metrics_port)
            stack.push_async_callback(metrics.close)
            logger.info("metrics at %s", await metrics.start())
        notebook = Notebook(database.facts)
        recall = Recall(database.search, database.history)
        channels = ChannelStates()
        channels.on_taken_out.append(lambda channel: engines.forget(str(channel)))
        channels.on_edited.append(lambda channel: engines.forget(str(channel), only_copies=True))
        conversations = Conversations(
            database.history,
            SettingsCascade(database.settings, personas, owner),
            personas,
            engines,
            max_reply_tokens=settings.max_reply_tokens,
            thinking_tokens=settings.thinking_tokens,
            shelf=GuildShelf(desk.lorebooks),
            casts=database.casts,
            memory=JoinedMemory([notebook, SummaryTeller(database.summaries), recall]),
            channels=channels,
            scenes=database.scenes,
            gate=make_gate(
                database.ledger,
                utc_now,
                owners=frozenset(f"discord:{number}" for number in settings.owner_ids),
                always=[OptOutCheck(database.opt_outs)],
                checks=[BlockedCheck(database.blocks)],
            ),
            censor=Censor(database.words),
        )
        moderation = open_moderation(
            conversations,
            TakingOut(database.history, channels, utc_now),
            blocks=database.blocks,
            log_channels=database.log_channels,
            purges=database.purges,
            words=database.words,
        )
        folding = _fold_when_idle(conversations, database, settings.thinking_tokens)
        stack.push_async_callback(folding.close)
        channels.on_left.append(folding.stir)
        stack.push_async_callback(conversations.close, 0.0)  # when no front end came so far
        erasure = erasure_of(database, conversations.settings, desk, channels)
        stack.push_async_callback(erasure.close)
        await erasure.start()
        both_here = settings.engine == settings.fallback_engine == "local"
        formats = conversations.formats
        starts = start_engines(engines, one_by_one=both_here, formats=formats)
        for start in starts:
            stack.push_async_callback(_cancel, start)
        one_answers = asyncio.create_task(_until_one_answers(engines, starts), name="engine start")
        stack.push_async_callback(_cancel, one_answers)
        lost = asyncio.create_task(engines.lost(), name="engine lost")
        stack.push_async_callback(_cancel, lost)
        yield App(
            settings,
            conversations,
            database,
            engines,
            personas,
            desk,
            notebook,
            SummaryDesk(
                database.summaries,
                conversations.settings,
                engines,
                clock=utc_now,
                stir=folding.stir,
            ),
            moderation,
            Privacy(
                StayingOut(database.opt_outs, channels, stir=folding.stir),
                database.belongings,
                handling_of(settings),
            ),
            erasure,
            library,
            one_answers,
            lost,
        )


def _fold_when_idle(
    conversations: Conversations, database: Database, thinking_tokens: int
) -> IdleFolding:
    folder = Folder(
        database.history,
        database.summaries,
        conversations.settings,
        conversations.engines,
        conversations.formats,
        clock=utc_now,
        thinking_tokens=thinking_tokens,
        scenes=database.scenes,
        screen=conversations.censor,
    )
    folding = IdleFolding(folder.fold, database.summaries.channels_to_fold)
    folding.start()
    return folding


def erasure_of(
    database: Database,
    settings: SettingsCascade,
    desk: PersonaDesk,
    channels: ChannelStates,
    clock: Clock = utc_now,
) -> Erasure:
    """All that erases, on a database; `channels` are those where people talk meanwhile."""
    return make_erasure(
        people=database.people,
        aged=database.aged,
        places=database.places,
        removals=database.removals,
        jobs=database.jobs,
        settings=settings,
        taking_out=Emptying(database.history, channels, clock).taking_out,
        on_picture_gone=desk.workshop.picture_gone,
        clock=clock,
    )


def build_engines(settings: ProcessSettings, engine: Engine | None = None) -> Engines:
    """The engines that the settings name, not started; `engine` is instead of the first."""
    first = NamedEngine(
        settings.engine, engine or build_engine(settings), prompt_format=settings.prompt_format
    )
    engines, second = [first], settings.fallback()
    if second is not None:
        engines.append(NamedEngine(f"fallback:{second.engine}", build_engine(second)))
    return Engines(engines, after_seconds=settings.fallback_after_seconds)


def build_engine(settings: ProcessSettings) -> Engine:
    """The engine that ENGINE names, not started.

    Only `local` imports torch, and that at the start of a model that needs it.
    """
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

    return local_engine(
        settings.model,
        settings.data_dir,
        settings.context_tokens,
        cpu_threads=settings.cpu_threads,
        kv_cache=settings.kv_cache,
        host_bytes=settings.host_kv_bytes,
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


def start_engines(
    engines: Engines, *, one_by_one: bool, formats: FormatChooser
) -> list[asyncio.Task[None]]:
    """Start every engine, at once or (for the first to have its fill of the GPU) in turn.

    The prompt format of each is looked for as soon as its model is there.
    """
    starts: list[asyncio.Task[None]] = []
    for engine in engines.all:
        before = starts[-1] if one_by_one and starts else None
        work = _start_engine(engine, before, formats, is_only=len(engines.all) == 1)
        starts.append(asyncio.create_task(work, name=f"start {engine.name}"))
    return starts


async def _start_engine(
    engine: NamedEngine,
    before: asyncio.Task[None] | None,
    formats: FormatChooser,
    *,
    is_only: bool,
) -> None:
    if before is not None:
        await asyncio.wait([before])
    try:
        await engine.start()
    except CaduceusError as error:
        if not is_only:  # else it ends the program, which says why
            logger.error("%s could not be started: %s", engine.name, error)
        raise
    try:
        await formats.choose(engine, engine.info)
    except EngineError:
        return  # its model is not there yet: the first reply finds the format
    except SettingsError as error:
        logger.error("%s cannot be written to: %s", engine.name, error)


async def _until_one_answers(engines: Engines, starts: list[asyncio.Task[None]]) -> None:
    """Return when an engine is ready, or when all have done what they can to be.

    Raises what the first one's start raised, where none could be started.
    """
    waiting = set(starts)
    while waiting:
        _, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if any(one.status.state is EngineState.READY for one in engines.standings()):
            return
    if all(start.exception() is not None for start in starts):
        await starts[0]


async def _cancel(task: asyncio.Task[Any]) -> None:
    """End a task that may have failed already; its error was for whoever awaited it."""
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        task.exception()
