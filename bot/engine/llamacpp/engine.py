"""GGUF files on this machine: llama.cpp's server as a child process, asked over the loopback.

What speaks with it is the remote engine's code; who may write when, and in which slot, is decided
here. A crash of llama.cpp costs the replies that it was writing, and a start of a second or two.
"""

import asyncio
import itertools
import logging
import secrets
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace

import aiohttp

from bot.engine.api import (
    Chunk,
    EngineState,
    EngineStatus,
    GenerationRequest,
    ModelInfo,
)
from bot.engine.llamacpp.admission import Admission
from bot.engine.llamacpp.banning import TokenBans
from bot.engine.llamacpp.completion import Writing, body_of
from bot.engine.llamacpp.faults import ProcessEnded, check_fits, stopped, unavailable
from bot.engine.llamacpp.loading import LoadedServer, Prepared, launch
from bot.engine.llamacpp.process import LlamaProcess
from bot.engine.llamacpp.reading import in_turns
from bot.engine.llamacpp.watching import PATIENCE_SECONDS, PAUSE_SECONDS, until_it_ends
from bot.engine.local.scheduler import Job
from bot.engine.models.progress import Progress
from bot.engine.own_thread import in_own_thread
from bot.engine.remote.banning import ReplyWithout
from bot.engine.remote.completion import CHARACTERS_PER_TOKEN_LIMIT, Exchange, stream_completion
from bot.engine.remote.reply import cut_at_stops
from bot.errors import (
    EngineError,
    EngineFailed,
    EngineUnavailable,
    ModelError,
    RemoteEngineError,
)

log = logging.getLogger(__name__)

BACKOFF_SECONDS = (1.0, 60.0)
CALM_SECONDS = 60.0  # of service, after which a crash counts as a first one again
RETRY_SECONDS = 30.0  # how long a reply of which nothing has come waits for the process to be back
END_SECONDS = 2.0
CRASH_SECONDS = 1.0  # from a broken connection until the process is known to have ended
# A prompt that is read is an event every step; a step takes seconds where a processor is slow.
FIRST_TOKEN_SECONDS = 3600.0
STALL_SECONDS = 300.0
SEED_BITS = 31


class LlamaCppEngine:
    """Serves requests with llama.cpp. See :class:`~bot.engine.api.Engine`."""

    def __init__(
        self,
        prepare: Callable[[Progress], Prepared],
        *,
        model: str = "",
        backoff_seconds: tuple[float, float] = BACKOFF_SECONDS,
        watch_seconds: tuple[float, float] = (PAUSE_SECONDS, PATIENCE_SECONDS),
    ) -> None:
        """`prepare` finds and checks the file, in a thread; it raises ModelError.

        `model` is the name shown until the model itself is there. `watch_seconds`: how often the
        child is asked whether it is there, and how long it may take to answer.
        """
        self._prepare = prepare
        self._model = model
        self._backoff_seconds = backoff_seconds
        self._watch_seconds = watch_seconds
        self._state = EngineState.STOPPED
        self._server: LoadedServer | None = None
        self._process: LlamaProcess | None = None
        self._admission: Admission | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._is_ready = asyncio.Event()
        self._numbers = itertools.count(1)
        self._used: dict[int, int] = {}  # tokens of each running request
        self._bans = TokenBans()
        self._restarts = 0
        self._last_error = ""
        self._activity = ""
        self._progress: float | None = None

    async def start(self) -> None:
        """Load the model. Raises ModelError or EngineError."""
        if self._state is not EngineState.STOPPED:
            return
        self._state = EngineState.STARTING
        self._process = process = LlamaProcess()
        try:
            server = await launch(process, in_own_thread(lambda: self._prepare(self._report)))
        except (EngineError, ModelError) as error:
            if self._is_stopped:
                raise EngineUnavailable("The engine was stopped while it started.") from error
            self._state, self._last_error = EngineState.STOPPED, error.message
            raise
        except asyncio.CancelledError:
            self._state = EngineState.STOPPED
            raise
        plan = server.plan
        self._admission = Admission(plan.slots, plan.pool_tokens, plan.batch_tokens)
        self._serve(server)
        self._keeper = asyncio.create_task(self._keep(), name="llama.cpp")

    async def close(self) -> None:
        """End the child, and with it what it writes. Idempotent."""
        self._state = EngineState.STOPPED
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])
            self._keeper = None
        if self._admission is not None:
            self._admission.close(stopped())
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            try:
                async with asyncio.timeout(END_SECONDS):
                    await process.ended.wait()
            except TimeoutError:
                log.warning("llama.cpp's process has not ended in %g s", END_SECONDS)
        server, self._server = self._server, None
        if server is not None:
            await server.link.close()

    @property
    def info(self) -> ModelInfo:
        """The loaded model. Raises EngineUnavailable before it is there."""
        if self._server is None:
            raise self._unavailable()
        return self._server.info

    async def count_tokens(self, texts: Sequence[str]) -> tuple[int, ...]:
        """Tokens of each text, by llama.cpp itself."""
        server = self._ready_server()
        try:
            return await server.counter.count(texts)
        except RemoteEngineError as error:
            raise await self._what_happened(server, error) from error

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[Chunk, None]:
        """Stream one reply; closing this iterator frees its slot within a step.

        A reply of which nothing has come when the process ends is begun anew, once.
        """
        asked_at = time.monotonic()
        seed = request.sampling.seed
        seed = secrets.randbits(SEED_BITS) if seed is None else seed
        for is_last in (False, True):
            came = False
            try:
                async with aclosing(self._write_all(request, seed, asked_at)) as chunks:
                    async for chunk in chunks:
                        came = True
                        yield chunk
                return
            except ProcessEnded as error:
                if came or is_last:
                    raise
                await self._back_again(error)

    def status(self) -> EngineStatus:
        """A snapshot; cheap."""
        server, admission = self._server, self._admission
        is_starting = self._state in (EngineState.STARTING, EngineState.RESTARTING)
        status = EngineStatus(
            state=self._state,
            model=server.info.name if server else self._model,
            restarts=self._restarts,
            last_error=self._last_error,
            activity=self._activity if is_starting else "",
            progress=self._progress if is_starting else None,
        )
        if server is None or admission is None:
            return status
        is_ready = self._state is EngineState.READY
        return replace(
            status,
            device=server.device,
            kernel=server.kernel,
            running=admission.running,
            waiting=admission.waiting,
            slots=admission.slots,
            kv_tokens_used=sum(self._used.values()),
            kv_tokens_total=server.plan.pool_tokens,
            expected_wait_seconds=admission.expected_wait_seconds if is_ready else 0.0,
            tokens_per_second=admission.meter.tokens_per_second(time.monotonic()),
        )

    def _write_all(
        self, request: GenerationRequest, seed: int, asked_at: float
    ) -> AsyncGenerator[Chunk, None]:
        if not request.sampling.banned_words:
            return self._write(request, seed, asked_at)

        def ask(part: GenerationRequest, single: bool) -> AsyncGenerator[Chunk, None]:
            return self._write(part, part.sampling.seed or 0, asked_at, single=single)

        return ReplyWithout(request, ask, seed=seed, decides=True).chunks()

    async def _write(
        self, request: GenerationRequest, seed: int, asked_at: float, *, single: bool = False
    ) -> AsyncGenerator[Chunk, None]:
        server, admission = self._ready_server(), self._admission
        assert admission is not None  # noqa: S101 - there with the first server
        prompt = await self._tokens_of(server, request)
        path, words = server.prepared.header.path, request.sampling.banned_words
        never = await self._bans.never(path, words, prompt, single=single)
        number = next(self._numbers)
        room_tokens = len(prompt) + request.max_tokens
        job = Job(number, request.channel, request.user, len(prompt), room_tokens)
        async with admission.place(job) as slot:
            if server is not self._server or self._state is not EngineState.READY:
                raise self._process_ended()
            admitted_at = time.monotonic()
            exchange = Exchange(
                started=admitted_at,
                first_token_deadline=admitted_at + FIRST_TOKEN_SECONDS,
                stall_seconds=STALL_SECONDS,
                characters_limit=request.max_tokens * CHARACTERS_PER_TOKEN_LIMIT,
            )
            read = admission.prompt(slot, prompt)
            writing = Writing(
                server.info.name, seed, len(prompt), asked_at, admitted_at, exchange, read
            )
            body = body_of(
                request,
                prompt=prompt,
                slot=slot,
                seed=seed,
                special_tokens=server.special_tokens,
                never=never,
            )
            self._used[number] = len(prompt)
            url = f"{server.address}/v1/completions"
            events = in_turns(
                admission.turns, read, lambda: stream_completion(server.link, url, body, exchange)
            )
            events = cut_at_stops(events, request.stop)
            is_first = True
            try:
                async with aclosing(events):
                    async for event in events:
                        now = time.monotonic()
                        if event.finish is None:
                            admission.meter.step(now, 1)
                            self._used[number] = len(prompt) + exchange.pieces
                        if is_first:
                            admission.meter.first_token(now - admitted_at)
                        if event.finish is not None:
                            admission.meter.served(now - admitted_at)
                            yield Chunk(event.text, event.finish, writing.statistics(now))
                            break
                        yield Chunk(
                            event.text, so_far=writing.statistics(now) if is_first else None
                        )
                        is_first = False
            except RemoteEngineError as error:
                raise await self._what_happened(server, error) from error
            finally:
                self._used.pop(number, None)
                admission.hold(slot, prompt, exchange.pieces)

    async def _tokens_of(self, server: LoadedServer, request: GenerationRequest) -> list[int]:
        try:
            prompt = await server.tokenize(request.prompt)
        except (RemoteEngineError, aiohttp.ClientError, TimeoutError) as error:
            raise await self._what_happened(server, error) from error
        check_fits(len(prompt), request.max_tokens, server.info.context_tokens)
        return prompt

    async def _keep(self) -> None:
        """Start llama.cpp again whenever it ends."""
        shortest, longest = self._backoff_seconds
        wait = shortest
        while True:
            server = self._server
            assert server is not None  # noqa: S101 - set before this task
            since = time.monotonic()
            await until_it_ends(server, *self._watch_seconds)
            self._lose(server)
            if time.monotonic() - since > CALM_SECONDS:
                wait = shortest
            while self._state is EngineState.RESTARTING:
                await asyncio.sleep(wait)
                wait = min(2 * wait, longest)
                await self._start_again(server)
            await server.link.close()

    async def _start_again(self, before: LoadedServer) -> None:
        """The file is looked at anew: by now it may be another one, or none."""
        self._process = process = LlamaProcess()
        self._restarts += 1
        try:
            preparing = in_own_thread(lambda: self._prepare(self._report))
            server = await launch(process, preparing, before)
        except (EngineError, ModelError) as error:
            log.error("llama.cpp could not be started again: %s", error)
            self._last_error = error.message
            return
        if self._admission is not None:
            self._admission.forget(server.plan.pool_tokens)
        self._serve(server)
        log.info("llama.cpp serves %s again", server.info.name)

    def _serve(self, server: LoadedServer) -> None:
        self._server, self._state = server, EngineState.READY
        self._is_ready.set()
        plan = server.plan
        log.info(
            "%s on %s: %d slots, a context of %d tokens, room for %d in all (%d bits)",
            server.info.name,
            server.device,
            plan.slots,
            plan.context_tokens,
            plan.pool_tokens,
            plan.cache_bits,
        )

    def _lose(self, server: LoadedServer) -> None:
        if self._state is not EngineState.READY:
            return
        self._state = EngineState.RESTARTING
        self._is_ready.clear()
        reason = server.process.log.reason()
        self._last_error = f"llama.cpp's process ended ({server.process.how_it_ended})" + (
            f": {reason}." if reason else "."
        )
        log.error("%s It is being started again.", self._last_error)

    async def _back_again(self, error: ProcessEnded) -> None:
        try:
            async with asyncio.timeout(RETRY_SECONDS):
                await self._is_ready.wait()
        except TimeoutError:
            raise error from None
        if self._is_stopped:
            raise stopped() from error

    async def _what_happened(self, server: LoadedServer, error: Exception) -> EngineError:
        """Why a request failed, in our words."""
        if not self._is_stopped:
            try:
                async with asyncio.timeout(CRASH_SECONDS):
                    await server.process.ended.wait()
            except TimeoutError:
                said = getattr(error, "message", str(error)).strip(".")[:300]
                return EngineFailed(f"llama.cpp did not finish the reply ({said}).", "Try again.")
            self._lose(server)
        return stopped() if self._is_stopped else self._process_ended()

    def _process_ended(self) -> EngineError:
        if self._is_stopped:
            return stopped()
        return ProcessEnded(
            self._last_error or "llama.cpp's process ended.",
            "It is being started again: try again in a moment.",
        )

    def _ready_server(self) -> LoadedServer:
        if self._server is None or self._state is not EngineState.READY:
            raise self._unavailable()
        return self._server

    def _unavailable(self) -> EngineUnavailable:
        never_was = self._admission is None
        return unavailable(self._state, could_not_load=self._last_error if never_was else "")

    @property
    def _is_stopped(self) -> bool:
        return self._state is EngineState.STOPPED

    def _report(self, activity: str, progress: float | None) -> None:
        if self._is_stopped:
            raise EngineUnavailable("The engine was stopped while it started.")
        self._activity, self._progress = activity, progress
