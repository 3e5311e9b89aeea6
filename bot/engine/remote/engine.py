"""A remote OpenAI-compatible server: vLLM, llama.cpp, text-generation-webui, TabbyAPI and the like.

`POST {base_url}/completions` with ``stream: true`` and the prompt that we built, so that format,
budget and stops stay ours (https://platform.openai.com/docs/api-reference/completions). Read with
aiohttp, whose lines are bounded: a hostile server cannot make us buffer without end.
"""

import asyncio
import logging
import random
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

import aiohttp

from bot.engine.api import (
    Chunk,
    EngineState,
    EngineStatus,
    FinishReason,
    GenerationRequest,
    GenerationStatistics,
    ModelInfo,
)
from bot.engine.remote.completion import (
    CHARACTERS_PER_TOKEN_LIMIT,
    Exchange,
    PassingError,
    RefusedBodyError,
    UnreachableError,
    stream_completion,
)
from bot.engine.remote.counting import TokenCounter, choose_counter
from bot.engine.remote.probe import ServerFacts, probe_server
from bot.engine.stops import StopStrings
from bot.errors import CaduceusError, EngineUnavailable, RemoteEngineError, RequestTooLarge

logger = logging.getLogger(__name__)

DEFAULT_CONTEXT_TOKENS = 4096
CONNECT_SECONDS = 10.0
TRIES = 3
RETRY_SECONDS = 0.5  # doubled at each further try
PLAIN_STOPS = 4  # OpenAI's own limit
AVERAGE_WEIGHT = 0.3  # of the newest value
WAIT_KNOWN_SECONDS = 60.0  # for so long, what was measured tells what to expect
LOOK_SECONDS = 10.0  # how often a server that was not there is looked for


class OpenAIEngine:
    """An :class:`~bot.engine.api.Engine` that asks a server. One HTTP session for its lifetime."""

    def __init__(
        self,
        base_url: str,
        api_key: str = "",
        model: str = "",
        *,
        first_token_seconds: float = 120.0,
        stall_seconds: float = 30.0,
        tokenizer: Path | None = None,
        context_tokens: int = 0,
    ) -> None:
        """`context_tokens` 0 asks the server, and takes 4,096 where it does not say."""
        self._base_url = base_url.rstrip("/")
        self._api_key = api_key
        self._model = model
        self._first_token_seconds = first_token_seconds
        self._stall_seconds = stall_seconds
        self._tokenizer = tokenizer
        self._context_tokens = context_tokens
        self._http: aiohttp.ClientSession | None = None
        self._counter: TokenCounter | None = None
        self._info: ModelInfo | None = None
        self._state = EngineState.STOPPED
        self._meeting = asyncio.Lock()
        self._plain = False  # the server refused what is not OpenAI's own
        self._active = 0
        self._first_token_average = 0.0
        self._speed_average = 0.0
        self._measured_at = 0.0
        self._last_error = ""
        self._looking: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Ask the server what it is. One that is not there yet is no fault: it may come.

        Raises ModelError when TOKENIZER is no tokenizer.
        """
        headers = {"Authorization": f"Bearer {self._api_key}"} if self._api_key else {}
        self._http = aiohttp.ClientSession(
            headers=headers,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
            # Each stream is a connection; the server, not a pool, says how many are too many.
            connector=aiohttp.TCPConnector(limit=0),
        )
        self._state = EngineState.STARTING
        await self._meet_server()
        self._looking = asyncio.create_task(self._look_for_server(), name="look for the server")

    async def close(self) -> None:
        """Close the session, which breaks off what runs. Idempotent."""
        self._state = EngineState.STOPPED
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait([self._looking])
            self._looking = None
        if self._http is not None:
            await self._http.close()
            self._http = None

    @property
    def info(self) -> ModelInfo:
        """What the server said of its model, or what was configured."""
        if self._info is None:
            raise _shut_down()
        return self._info

    async def count_tokens(self, texts: Sequence[str]) -> tuple[int, ...]:
        """By the server's `/tokenize`, a local tokenizer or an estimate: `counting` says which."""
        if self._counter is None or self._http is None:
            raise _shut_down()
        return await self._counter.count(texts)

    @property
    def counting(self) -> str:
        """How tokens are counted, in words."""
        return self._counter.description if self._counter else "not known yet"

    def status(self) -> EngineStatus:
        """What is under way here; the server's own queue is not visible to us."""
        is_known = time.monotonic() - self._measured_at < WAIT_KNOWN_SECONDS
        return EngineStatus(
            state=self._state,
            model=self._info.name if self._info else self._model,
            device=f"remote {self._base_url}",
            kernel=f"tokens counted by {self.counting}",
            running=self._active,
            expected_wait_seconds=self._first_token_average if is_known else 0.0,
            tokens_per_second=self._speed_average * self._active,
            last_error=self._last_error,
        )

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[Chunk, None]:
        """Stream one reply; closing the iterator closes the HTTP stream, which cancels it."""
        if self._state is EngineState.STARTING:
            await self._meet_server()
        await self._check_room(request)
        self._active += 1
        try:
            async with aclosing(self._tries(request)) as chunks:
                async for chunk in chunks:
                    yield chunk
        except RemoteEngineError as error:
            if self._state is EngineState.STOPPED:
                raise _shut_down() from error
            if isinstance(error, UnreachableError):
                self._state = EngineState.STARTING  # it may come back as another model
            self._last_error = error.message
            raise
        finally:
            self._active -= 1

    async def _meet_server(self) -> None:
        async with self._meeting:
            if self._http is None:
                raise _shut_down()
            if self._state is EngineState.READY:
                return
            facts = ServerFacts(model=self._model)
            try:
                facts = await probe_server(self._http, self._base_url, self._model)
            except RemoteEngineError as error:
                if error.message != self._last_error:  # else it is known, and looked for again
                    logger.warning("%s", error)
                self._last_error = error.message
            else:
                self._state = EngineState.READY
                self._last_error = ""
            self._counter = await choose_counter(self._http, facts, self._tokenizer)
            self._info = self._model_info(facts, self._counter)

    async def _look_for_server(self) -> None:
        """Find a server that comes, or comes back, also while nobody asks for a reply."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if self._state is EngineState.STARTING:
                try:
                    await self._meet_server()
                except CaduceusError as error:
                    self._last_error = error.message

    def _model_info(self, facts: ServerFacts, counter: TokenCounter) -> ModelInfo:
        return ModelInfo(
            name=facts.model or self._model or "remote model",
            context_tokens=self._context_tokens or facts.context_tokens or DEFAULT_CONTEXT_TOKENS,
            chat_template=facts.chat_template,
            special_tokens=counter.special_tokens,
            counts_exactly=counter.exact,
        )

    async def _check_room(self, request: GenerationRequest) -> None:
        (tokens,) = await self.count_tokens([request.prompt])
        if tokens + 1 > self.info.context_tokens:
            raise RequestTooLarge(
                f"The prompt has {tokens} tokens and the model takes {self.info.context_tokens}.",
                "Shorten the persona or the message.",
            )

    async def _tries(self, request: GenerationRequest) -> AsyncGenerator[Chunk, None]:
        """Further tries only before the first text: `stream_completion` says when that is."""
        seed = request.sampling.seed
        seed = random.getrandbits(31) if seed is None else seed
        started = time.monotonic()
        exchange = Exchange(
            started=started,
            first_token_deadline=started + self._first_token_seconds,
            stall_seconds=self._stall_seconds,
            characters_limit=request.max_tokens * CHARACTERS_PER_TOKEN_LIMIT,
        )
        failures, plain = 0, self._plain
        while True:
            try:
                async with aclosing(self._one_try(request, seed, exchange, plain)) as chunks:
                    async for chunk in chunks:
                        self._plain = plain  # this is how it takes them
                        yield chunk
            except RefusedBodyError as error:
                if plain:
                    raise
                logger.warning("%s Trying without what only some servers take.", error.message)
                plain = True
            except PassingError as error:
                wait = max(RETRY_SECONDS * 2**failures, error.wait_seconds)
                failures += 1
                late = time.monotonic() + wait > exchange.first_token_deadline
                if failures >= TRIES or late or self._state is EngineState.STOPPED:
                    raise
                logger.warning("%s Trying again in %.1f s.", error.message, wait)
                await asyncio.sleep(wait)
            else:
                return

    async def _one_try(
        self, request: GenerationRequest, seed: int, exchange: Exchange, plain: bool
    ) -> AsyncGenerator[Chunk, None]:
        if self._http is None:
            raise _shut_down()
        url, body = f"{self._base_url}/completions", self._body(request, seed, plain)
        stops = StopStrings(request.stop)
        finish = FinishReason.STOP
        async with aclosing(stream_completion(self._http, url, body, exchange)) as events:
            async for event in events:
                finish = event.finish or finish
                text = stops.decode(event.text)
                if text:
                    yield Chunk(text)
                if stops.stopped:
                    finish = FinishReason.STOP
                    break
        yield Chunk(stops.flush(), finish, await self._statistics(request, seed, exchange))

    def _body(self, request: GenerationRequest, seed: int, plain: bool) -> dict[str, Any]:
        sampling = request.sampling
        body: dict[str, Any] = {
            "model": self.info.name,
            "prompt": request.prompt,
            "stream": True,
            "max_tokens": request.max_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "seed": seed,
        }
        if request.stop:
            body["stop"] = list(request.stop[:PLAIN_STOPS] if plain else request.stop)
        if not plain:
            # vLLM, text-generation-webui and TabbyAPI say repetition_penalty, llama.cpp
            # repeat_penalty; each ignores the other's name. -1 and 0 are both "off" for top_k.
            body |= {
                "stream_options": {"include_usage": True},
                "top_k": sampling.top_k or -1,
                "min_p": sampling.min_p,
                "repetition_penalty": sampling.repetition_penalty,
                "repeat_penalty": sampling.repetition_penalty,
            }
        return body

    async def _statistics(
        self, request: GenerationRequest, seed: int, exchange: Exchange
    ) -> GenerationStatistics:
        ended = time.monotonic()
        prompt_tokens = exchange.prompt_tokens
        if not prompt_tokens:
            (prompt_tokens,) = await self.count_tokens([request.prompt])
        statistics = GenerationStatistics(
            model=self.info.name,
            seed=seed,
            prompt_tokens=prompt_tokens,
            cached_prompt_tokens=0,
            reply_tokens=exchange.reply_tokens or exchange.pieces,
            queued_seconds=0.0,
            first_token_seconds=(exchange.first_token or ended) - exchange.started,
            total_seconds=ended - exchange.started,
        )
        self._measured_at = ended
        self._first_token_average = _average(
            self._first_token_average, statistics.first_token_seconds
        )
        self._speed_average = _average(self._speed_average, statistics.tokens_per_second)
        return statistics


def _average(old: float, new: float) -> float:
    return old + AVERAGE_WEIGHT * (new - old) if old else new


def _shut_down() -> EngineUnavailable:
    return EngineUnavailable("The engine is not running.", "Try again in a moment.")
