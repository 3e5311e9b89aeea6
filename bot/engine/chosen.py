"""An engine that is chosen when it is started: what a MODEL is, a look at the disk has to tell.

A model of the hub is downloaded before, which may take an hour.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace

from bot.engine.api import (
    CanBeLost,
    CanForget,
    Chunk,
    Engine,
    EngineState,
    EngineStatus,
    GenerationRequest,
    ModelInfo,
)
from bot.engine.own_thread import in_own_thread
from bot.errors import CaduceusError, EngineError, EngineUnavailable

Report = Callable[[str, float | None], None]


class ChosenEngine:
    """Passes everything on to the engine that was chosen. See :class:`~bot.engine.api.Engine`."""

    def __init__(self, choose: Callable[[Report], Engine], *, model: str = "") -> None:
        """`choose` is called in a thread, at the start, with what takes word of what it is doing.

        It raises ModelError where there is no such model. `model` is the name shown until then.
        """
        self._choose = choose
        self._model = model
        self._engine: Engine | None = None
        self._state = EngineState.STOPPED
        self._last_error = ""
        self._activity = ""
        self._progress: float | None = None
        self._began_at = 0.0
        self._is_chosen = asyncio.Event()

    @property
    def chosen(self) -> Engine | None:
        """The engine itself; None before the start."""
        return self._engine

    async def start(self) -> None:
        """Choose, and start what was chosen. Raises ModelError or EngineError."""
        if self._engine is None:
            if self._state is EngineState.STARTING:
                return
            self._state, self._began_at = EngineState.STARTING, time.monotonic()
            try:
                engine = await in_own_thread(lambda: self._choose(self._report))
            except CaduceusError as error:
                self._state, self._last_error = EngineState.STOPPED, error.message
                raise
            except asyncio.CancelledError:
                self._state = EngineState.STOPPED
                raise
            if self._is_stopped:
                raise _stopped()
            self._engine = engine
            self._is_chosen.set()
        await self._engine.start()

    async def close(self) -> None:
        """Close what was chosen; leave what is being looked for. Idempotent."""
        self._state = EngineState.STOPPED
        if self._engine is not None:
            await self._engine.close()

    async def lost(self) -> EngineError:
        """See :class:`~bot.engine.api.CanBeLost`."""
        await self._is_chosen.wait()
        if isinstance(self._engine, CanBeLost):
            return await self._engine.lost()
        return await asyncio.get_running_loop().create_future()  # never

    @property
    def info(self) -> ModelInfo:
        """The loaded model."""
        return self._found().info

    async def count_tokens(self, texts: Sequence[str]) -> tuple[int, ...]:
        """See :class:`~bot.engine.api.Engine`."""
        return await self._found().count_tokens(texts)

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[Chunk, None]:
        """See :class:`~bot.engine.api.Engine`."""
        async with aclosing(self._found().generate(request)) as chunks:
            async for chunk in chunks:
                yield chunk

    def forget(self, channel: str, *, only_copies: bool = False) -> None:
        """See :class:`~bot.engine.api.CanForget`."""
        if isinstance(self._engine, CanForget):
            self._engine.forget(channel, only_copies=only_copies)

    def status(self) -> EngineStatus:
        """What was chosen says it; before that, what is being looked for."""
        if self._engine is not None:
            return self._since(self._engine.status())
        is_starting = self._state is EngineState.STARTING
        status = EngineStatus(
            state=self._state,
            model=self._model,
            last_error=self._last_error,
            activity=self._activity if is_starting else "",
            progress=self._progress if is_starting else None,
        )
        return self._since(status)

    def _since(self, status: EngineStatus) -> EngineStatus:
        if status.state is not EngineState.STARTING:
            return status
        return replace(status, starting_seconds=time.monotonic() - self._began_at)

    def _found(self) -> Engine:
        if self._engine is not None:
            return self._engine
        if self._state is EngineState.STARTING:
            raise EngineUnavailable("The model is still being loaded.", "Try again in a moment.")
        if self._last_error:
            raise EngineUnavailable(
                f"The model could not be loaded: {self._last_error}", "Start the bot again."
            )
        raise _stopped()

    @property
    def _is_stopped(self) -> bool:
        return self._state is EngineState.STOPPED

    def _report(self, activity: str, progress: float | None) -> None:
        if self._is_stopped:
            raise EngineUnavailable("The engine was stopped while it started.")
        self._activity, self._progress = activity, progress


def _stopped() -> EngineUnavailable:
    return EngineUnavailable("The engine was stopped.", "Start the bot again.")
