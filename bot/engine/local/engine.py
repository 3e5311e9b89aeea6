"""The engine on this machine. Importing this loads no torch: the worker's thread does."""

import asyncio
import itertools
import secrets
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import TYPE_CHECKING

from bot.engine.api import (
    Chunk,
    EngineState,
    EngineStatus,
    GenerationRequest,
    ModelInfo,
)
from bot.engine.local.batch import Event
from bot.engine.local.prompt_tokens import PromptTokens
from bot.engine.local.request import Submission
from bot.engine.local.runner import GuessAhead, Runner, RunnerLimits
from bot.engine.local.worker import Ready, Worker, WorkerStatus
from bot.errors import CaduceusError, EngineError, EngineUnavailable, RequestTooLarge

if TYPE_CHECKING:
    from bot.engine.local.loaded_model import LoadedModel

BACKOFF_SECONDS = (1.0, 60.0)
JOIN_SECONDS = 30.0  # a step is far shorter
LEAVE_SECONDS = 0.5  # a model being prepared may take minutes to look up, and is left
SEED_BITS = 31


class LocalEngine:
    """Serves requests with a model in this process. See :class:`~bot.engine.api.Engine`."""

    def __init__(
        self,
        load: "Callable[[], LoadedModel]",
        build: "Callable[[LoadedModel, RunnerLimits], Runner]",
        *,
        max_rows: int = 0,
        room_tokens: int = 0,
        cache_bits: int = 0,
        guess_ahead: GuessAhead = "auto",
        host_bytes: int | None = 0,
        backoff_seconds: tuple[float, float] = BACKOFF_SECONDS,
        model: str = "",
    ) -> None:
        """`load` and `build` are called in the worker's thread, at every start and restart.

        `max_rows` requests run together, in `room_tokens` of KV cache of 16 or 8 `cache_bits`; 0
        leaves that to the machine. What that has no room for takes `host_bytes` of the machine's
        memory at most, 0 for none, None for what it can spare. `model` is the name shown until the
        model itself is there.
        """
        self._load = load
        self._build = build
        self._limits = RunnerLimits(max_rows, room_tokens, cache_bits, guess_ahead, host_bytes)
        self._backoff_seconds = backoff_seconds
        self._model = model
        self._worker: Worker | None = None
        self._prompts: PromptTokens | None = None
        # Requests whose prompts are being cut: their channels, and how these were forgotten since.
        self._cutting: dict[int, tuple[str, list[bool]]] = {}
        self._streams: dict[int, asyncio.Queue[Chunk | EngineError]] = {}
        self._fault: EngineError | None = None
        self._is_lost = asyncio.Event()
        self._numbers = itertools.count(1)
        self._activity = ""
        self._progress: float | None = None

    def report(self, activity: str, progress: float | None) -> None:
        """What the loader is doing, for :meth:`status`. From any thread.

        Raises EngineUnavailable, to end what it is doing, once the engine is being closed.
        """
        if self._worker is not None and self._worker.is_stopping:
            raise EngineUnavailable("The engine was stopped while it started.")
        self._activity, self._progress = activity, progress

    async def start(self) -> None:
        """Load the model and warm up. Raises ModelError or EngineError."""
        if self._worker is not None and self._worker.status.state is not EngineState.STOPPED:
            return
        loop = asyncio.get_running_loop()
        started: asyncio.Future[None] = loop.create_future()

        def tell_started(fault: CaduceusError | None) -> None:
            _call(loop, lambda: _settle(started, fault))

        def deliver(events: Sequence[Event]) -> None:
            _call(loop, lambda: self._hand_out(events))

        self._worker = Worker(
            self._load,
            self._build,
            limits=self._limits,
            backoff_seconds=self._backoff_seconds,
            deliver=deliver,
            started=tell_started,
            lost=lambda fault: _call(loop, lambda: self._lose(fault)),
        )
        await asyncio.to_thread(self._worker.start)
        await started
        self._activity, self._progress = "", None

    async def lost(self) -> EngineError:
        """See :class:`~bot.engine.api.CanBeLost`."""
        await self._is_lost.wait()
        return self._fault or EngineUnavailable("The engine was stopped by a fault.")

    async def close(self) -> None:
        """Cancel what runs, free everything. Idempotent."""
        if self._worker is None:
            return
        self._worker.stop()
        is_serving = self._worker.status.state is EngineState.READY
        seconds = JOIN_SECONDS if is_serving else LEAVE_SECONDS
        await asyncio.to_thread(self._worker.join, seconds)
        await asyncio.sleep(0)  # what the worker handed over last has been taken by now
        for stream in self._streams.values():
            stream.put_nowait(EngineUnavailable("The engine was stopped."))

    @property
    def info(self) -> ModelInfo:
        """The loaded model. Raises EngineUnavailable before it is there."""
        return self._ready().info

    async def count_tokens(self, texts: Sequence[str]) -> tuple[int, ...]:
        """Tokens of each text. In a thread of its own: long texts take their time."""
        return await asyncio.to_thread(self._ready().tokens.count, texts)

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[Chunk, None]:
        """Stream one reply; closing this iterator frees its row before the next step."""
        asked_at = time.monotonic()
        ready, worker = self._running()
        if self._prompts is None or self._prompts.tokens is not ready.tokens:
            self._prompts = PromptTokens(ready.tokens)  # another one, after a restart
        number, forgotten = next(self._numbers), list[bool]()
        self._cutting[number] = request.channel, forgotten
        try:
            prompt = await asyncio.to_thread(_prompt_tokens, self._prompts, request)
        finally:
            del self._cutting[number]
        ready, worker = self._running()  # it may have failed, or be another, since
        seed = request.sampling.seed
        submission = Submission(
            number=number,
            request=request,
            prompt=tuple(prompt),
            seed=secrets.randbits(SEED_BITS) if seed is None else seed,
            asked_at=asked_at,
        )
        _check_fits(submission, ready.info)
        stream: asyncio.Queue[Chunk | EngineError] = asyncio.Queue()
        self._streams[submission.number] = stream
        done = False
        try:
            worker.submit(submission)
            for only_copies in forgotten:  # told again, to whom it concerns now
                worker.forget(request.channel, only_copies=only_copies)
            while not done:
                item = await stream.get()
                done = isinstance(item, EngineError) or item.finish is not None
                if isinstance(item, EngineError):
                    raise item
                yield item
        finally:
            del self._streams[submission.number]
            if not done:
                worker.cancel(submission.number)

    def forget(self, channel: str, *, only_copies: bool = False) -> None:
        """See :class:`~bot.engine.api.CanForget`."""
        for cut, forgotten in self._cutting.values():
            if cut == channel:
                forgotten.append(only_copies)
        if self._prompts is not None:
            self._prompts.forget(channel)
        if self._worker is not None:
            self._worker.forget(channel, only_copies=only_copies)

    def status(self) -> EngineStatus:
        """A snapshot; cheap."""
        worker = self._worker
        status = WorkerStatus() if worker is None else worker.status
        batch, ready = status.batch, status.ready
        running = len(batch.running_since)
        # Requests that the worker has not seen yet wait as well.
        waiting = max(len(self._streams) - running, 0)
        wait = 0.0
        if worker is not None and status.state is EngineState.READY:
            wait = worker.meter.expected_wait(
                time.monotonic(),
                running_since=batch.running_since,
                waiting=waiting,
                rows=batch.rows,
            )
        loading = status.state in (EngineState.STARTING, EngineState.RESTARTING)
        return EngineStatus(
            state=status.state,
            model=ready.info.name if ready else self._model,
            device=ready.device if ready else "",
            kernel=ready.kernel if ready else "",
            running=running,
            waiting=waiting,
            slots=batch.rows,
            kv_tokens_used=batch.used_tokens,
            kv_tokens_total=batch.room_tokens,
            host_kv_tokens_used=batch.host_used_tokens,
            host_kv_tokens_total=batch.host_room_tokens,
            host_kv_tokens_restored=batch.restored_tokens,
            expected_wait_seconds=wait,
            tokens_per_second=batch.tokens_per_second,
            guessed_tokens=worker.meter.guessed_tokens if worker is not None else 0,
            accepted_tokens=worker.meter.accepted_tokens if worker is not None else 0,
            restarts=status.restarts,
            last_error=status.last_error,
            activity=self._activity if loading else "",
            progress=self._progress if loading else None,
        )

    def _ready(self) -> Ready:
        ready = self._worker.status.ready if self._worker is not None else None
        if ready is None and self.status().state is EngineState.STOPPED:
            raise EngineUnavailable(
                f"The model could not be loaded: {self.status().last_error}", "Start the bot again."
            )
        if ready is None:
            raise EngineUnavailable("The model is still being loaded.", "Try again in a moment.")
        return ready

    def _running(self) -> tuple[Ready, Worker]:
        ready = self._ready()
        assert self._worker is not None  # noqa: S101 - _ready() has seen to it
        match self._worker.status.state:
            case EngineState.RESTARTING:
                raise EngineUnavailable(
                    "The model is being restarted after a fault.", "Try again in a moment."
                )
            case EngineState.STOPPED:
                lost = self._worker.status.is_lost
                raise EngineUnavailable(
                    "The engine was stopped by a fault." if lost else "The engine was stopped.",
                    "The bot is being started anew." if lost else "Start the bot again.",
                )
            case _:
                return ready, self._worker

    def _lose(self, fault: EngineError) -> None:
        for stream in self._streams.values():  # who came after the fault
            stream.put_nowait(fault)
        self._fault = fault
        self._is_lost.set()

    def _hand_out(self, events: Sequence[Event]) -> None:
        for number, item in events:
            stream = self._streams.get(number)
            if stream is not None:
                stream.put_nowait(item)


def _prompt_tokens(prompts: PromptTokens, request: GenerationRequest) -> list[int]:
    if request.sampling.reads_texts:
        _ = prompts.tokens.vocabulary  # made here, so that the batch doesn't wait for it
    return prompts.encode(request.channel, request.prompt)


def _check_fits(submission: Submission, info: ModelInfo) -> None:
    if submission.room_tokens > info.context_tokens:
        prompt, reply = len(submission.prompt), submission.request.max_tokens
        raise RequestTooLarge(
            f"A prompt of {prompt} tokens and a reply of up to {reply} cannot fit: the model has "
            f"room for {info.context_tokens}.",
            "Shorten the message or the persona, or lower max_reply_tokens.",
        )


def _settle(started: asyncio.Future[None], fault: CaduceusError | None) -> None:
    if started.done():
        return
    if fault is None:
        started.set_result(None)
    else:
        started.set_exception(fault)


def _call(loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
    """Run `callback` on the loop, from the worker's thread."""
    try:
        loop.call_soon_threadsafe(callback)
    except RuntimeError:
        if not loop.is_closed():
            raise
        # Nobody is left to be told.
