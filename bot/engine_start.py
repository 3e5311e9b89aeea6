"""The engines that the settings name: built without torch, and started beside all else."""

import asyncio
import logging

from bot.chat.engines import Engines, NamedEngine
from bot.chat.prompt.choosing import FormatChooser
from bot.engine.api import Engine, EngineState
from bot.errors import CaduceusError, EngineError, SettingsError
from bot.settings import ProcessSettings

logger = logging.getLogger(__name__)


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
        guess_ahead=settings.guess_ahead,
        host_bytes=settings.host_kv_bytes,
    )


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


async def until_one_answers(engines: Engines, starts: list[asyncio.Task[None]]) -> None:
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
