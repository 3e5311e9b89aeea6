"""A remote OpenAI-compatible server: vLLM, llama.cpp, text-generation-webui, TabbyAPI and the like.

`POST {base_url}/completions` with ``stream: true`` and the prompt that we built, so that format,
budget and stops stay ours (https://platform.openai.com/docs/api-reference/completions); where there
is only `/chat/completions`, that, with the same conversation in roles. Read with aiohttp, whose
lines are bounded: a hostile server cannot make us buffer without end.
"""

import asyncio
import logging
import random
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

from bot.engine.api import (
    Chunk,
    EngineState,
    EngineStatus,
    GenerationRequest,
    ModelInfo,
)
from bot.engine.remote.banning import ReplyWithout
from bot.engine.remote.completion import (
    CHARACTERS_PER_TOKEN_LIMIT,
    Exchange,
    PassingError,
    RefusedBodyError,
)
from bot.engine.remote.counting import TokenCounter, choose_counter
from bot.engine.remote.link import KEEP_ALIVE_SECONDS, Link
from bot.engine.remote.pace import Pace
from bot.engine.remote.parameters import told_context
from bot.engine.remote.probe import (
    REFRESH_SECONDS,
    ServerFacts,
    WrongAddressError,
    probe_server,
    refresh_facts,
    tidy_base_url,
)
from bot.engine.remote.reply import Manner, ServerReply
from bot.engine.remote.shortcomings import missing_samplers, shortcomings
from bot.errors import CaduceusError, EngineUnavailable, RemoteEngineError, RequestTooLarge

logger = logging.getLogger(__name__)

DEFAULT_CONTEXT_TOKENS = 4096
CHAT_TOKENS = 64  # kept free for what the server writes around messages in roles
RETRY_SECONDS = 0.5  # doubled at each further try
LOOK_SECONDS = 5.0  # how often a server that is not ready is looked for


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
        self._base_url = tidy_base_url(base_url)
        self._api_key = api_key
        self._model = model
        self._first_token_seconds = first_token_seconds
        self._stall_seconds = stall_seconds
        self._tokenizer = tokenizer
        self._context_tokens = context_tokens
        self._link: Link | None = None
        self._counter: TokenCounter | None = None
        self._facts: ServerFacts | None = None  # as the server told them last
        self._info: ModelInfo | None = None
        self._manner = Manner()
        self._state = EngineState.STOPPED
        self._meeting = asyncio.Lock()
        self._works = False  # it has written a reply since it was last looked for
        self._seen_connections = 0  # when it was last looked at
        self._active = 0
        self._pace = Pace()
        self._not_ready: RemoteEngineError | None = None  # why it is STARTING
        self._reply_error = ""  # of the last reply
        self._wake = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Ask the server what it is. One that is not there yet is no fault: it may come.

        Raises ModelError when TOKENIZER is no tokenizer.
        """
        self._link = Link(self._api_key)
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
        if self._link is not None:
            await self._link.close()
            self._link = None

    @property
    def info(self) -> ModelInfo:
        """What the server said of its model, or what was configured."""
        if self._info is None:
            raise _shut_down()
        return self._info

    async def count_tokens(self, texts: Sequence[str]) -> tuple[int, ...]:
        """By the server itself, a local tokenizer or an estimate: `counting` says which."""
        if self._counter is None or self._link is None:
            raise _shut_down()
        try:
            return await self._counter.count(texts)
        except RemoteEngineError as error:
            if self._not_ready is not None:
                raise self._not_ready from error
            self._lose(error)
            if not await self._is_back():  # perhaps as another one, which counts otherwise
                raise
            return await self._counter.count(texts)

    @property
    def counting(self) -> str:
        """How tokens are counted, in words."""
        return self._counter.description if self._counter else "not known yet"

    @property
    def shortcomings(self) -> tuple[tuple[str, str], ...]:
        """What does not work as it should with this server, and what to do, in words."""
        facts, manner = self._facts or ServerFacts(), self._manner
        missing = missing_samplers(manner.asked_for, facts.kinds, manner.refused.names)
        return shortcomings(manner.uses_chat, facts.wraps_prompts, missing)

    @property
    def not_ready(self) -> RemoteEngineError | None:
        """Why it cannot answer yet, if it cannot."""
        return self._not_ready

    def status(self) -> EngineStatus:
        """What is under way here; the server's own queue is not visible to us."""
        return EngineStatus(
            state=self._state,
            model=self._info.name if self._info else self._model,
            device=f"remote {self._base_url}",
            kernel=f"tokens counted by {self.counting}",
            running=self._active,
            expected_wait_seconds=self._pace.expected_wait_seconds,
            tokens_per_second=self._pace.tokens_per_second * self._active,
            last_error=self._not_ready.message if self._not_ready else self._reply_error,
        )

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[Chunk, None]:
        """Stream one reply; closing the iterator closes the HTTP stream, which cancels it."""
        if self._state is EngineState.STARTING:
            await self._meet_server()
        came, known = False, self.shortcomings
        self._active += 1
        try:
            async with aclosing(self._write_all(request)) as chunks:
                async for chunk in chunks:
                    if chunk.finish is not None:
                        await self._succeed()
                    came = True
                    yield chunk
        except GeneratorExit:
            if came:  # whoever reads it has what was wanted
                self._reply_error = ""
            raise
        except RemoteEngineError as error:
            if self._state is EngineState.STOPPED:
                raise _shut_down() from error
            self._reply_error = error.message
            if isinstance(error, PassingError):
                self._lose(error)
            elif isinstance(error, RefusedBodyError):
                await self._look_again(error)
            raise
        finally:
            self._active -= 1
            self._warn(known)

    def _write_all(self, request: GenerationRequest) -> AsyncGenerator[Chunk, None]:
        if not request.sampling.banned_words:
            return self._write(request)
        seed = request.sampling.seed
        return ReplyWithout(
            request,
            lambda part, _single: self._write(part),
            seed=random.getrandbits(31) if seed is None else seed,
            goes_on=lambda: not self._manner.uses_chat,
        ).chunks()

    async def _write(self, request: GenerationRequest) -> AsyncGenerator[Chunk, None]:
        if isinstance(self._not_ready, WrongAddressError):
            raise self._not_ready
        if self._link is not None and self._link.idle_seconds > KEEP_ALIVE_SECONDS:
            self._seen_connections = -1
        (prompt_tokens,) = await self.count_tokens([request.prompt])
        await self._refresh()  # counting has perhaps made a new connection
        max_tokens = self._room_for(prompt_tokens, request.max_tokens)
        if self._link is None:
            raise _shut_down()
        seed = request.sampling.seed
        seed = random.getrandbits(31) if seed is None else seed
        started = time.monotonic()
        asked = request.max_tokens + request.thinking_tokens
        exchange = Exchange(
            started=started,
            first_token_deadline=started + self._first_token_seconds,
            stall_seconds=self._stall_seconds,
            characters_limit=asked * CHARACTERS_PER_TOKEN_LIMIT,
        )
        reply = ServerReply(
            link=self._link,
            base_url=self._base_url,
            model=self.info.name,
            request=request,
            max_tokens=max_tokens,
            thinking_tokens=self._room_for(prompt_tokens, asked) - max_tokens,
            seed=seed,
            manner=self._manner,
            exchange=exchange,
            retry_seconds=RETRY_SECONDS,
        )
        async with aclosing(reply.events()) as events:
            async for event in events:
                if event.finish is None:
                    yield Chunk(event.text)
                else:
                    statistics = exchange.statistics(self.info.name, seed, prompt_tokens)
                    self._pace.take(statistics)
                    yield Chunk(event.text, event.finish, statistics)

    async def _meet_server(self, *, again: bool = False) -> None:
        """Find out what the server is; `again` also while it is ready."""
        async with self._meeting:
            if self._link is None:
                raise _shut_down()
            if self._state is EngineState.READY and not again:
                return
            was_ready = self._state is EngineState.READY
            facts: ServerFacts | None = None
            error: RemoteEngineError | None = None
            try:
                facts = await probe_server(self._link, self._base_url, self._model)
            except RemoteEngineError as fault:
                error = fault
            if facts is not None and facts.is_loading and not self._works:
                error = RemoteEngineError(
                    "The model's server is still loading its model.", "Try again in a moment."
                )
            if self._state is EngineState.STOPPED:
                raise _shut_down()
            if error is not None:
                self._lose(error)
            else:
                self._state, self._not_ready = EngineState.READY, None
            if facts is not None and not was_ready and not self._works:
                self._manner = Manner(uses_chat=not facts.has_completions)
            known = self._facts or facts or ServerFacts(model=self._model)
            await self._take(known if error is not None or facts is None else facts)

    def _lose(self, error: RemoteEngineError) -> None:
        """It is not ready (any more), and is looked for from now on."""
        if self._state is EngineState.STOPPED:
            return
        if self._not_ready is None or error.message != self._not_ready.message:
            logger.warning("%s", error)  # else it is known
        self._state, self._not_ready, self._works = EngineState.STARTING, error, False

    async def _take(self, facts: ServerFacts) -> None:
        """Go by these facts from now on."""
        old, self._facts = self._facts, facts
        if (link := self._link) is None:
            raise _shut_down()
        if self._counter is None or old is None or _counting(old) != _counting(facts):
            self._counter = await choose_counter(link, facts, self._tokenizer)
        self._seen_connections = link.connections
        info = self._model_info(facts, self._counter)
        if info != self._info:
            self._info = info
            self._warn(())

    def _warn(self, known: Sequence[tuple[str, str]]) -> None:
        for text, fix in self.shortcomings:
            if (text, fix) not in known:
                logger.warning("%s %s", text, fix)

    async def _look_for_server(self) -> None:
        """Find a server that comes, or comes back, also while nobody asks for a reply."""
        while True:
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()
            try:
                if self._state is EngineState.STARTING:
                    await self._meet_server()
                else:
                    await self._refresh()
            except CaduceusError as error:
                self._reply_error = error.message

    async def _refresh(self) -> None:
        """A short look, since a new connection may be to a server that was started anew."""
        link, facts = self._link, self._facts
        if link is None or facts is None or self._state is not EngineState.READY:
            return
        if link.connections == self._seen_connections:
            return
        now = await refresh_facts(link, self._base_url, facts, self._model)
        if now.is_loading:
            return  # the request will tell; in the end it is looked for
        if now.model != facts.model:
            await self._meet_server(again=True)
        elif facts is self._facts:
            await self._take(now)
        self._seen_connections = link.connections

    async def _is_back(self) -> bool:
        """Ask the server at once what it is (now), but not for long; False where it isn't ready."""
        try:
            async with asyncio.timeout(REFRESH_SECONDS):
                await self._meet_server(again=True)
        except (CaduceusError, TimeoutError):
            return False
        return self._state is EngineState.READY

    async def _look_again(self, error: RefusedBodyError) -> None:
        """After a 400: perhaps the server is no longer the one that we knew."""
        if not await self._is_back():
            return
        told = told_context(error.said)
        if self._facts is not None and 0 < told < self.info.context_tokens:
            await self._take(replace(self._facts, context_tokens=told))

    async def _succeed(self) -> None:
        self._reply_error = ""
        facts = self._facts
        if facts is None or self._state is EngineState.STOPPED:
            return
        if self._state is EngineState.STARTING:
            self._works = True  # whatever it answered when it was asked what it is
        elif facts.has_completions == self._manner.uses_chat:
            await self._take(replace(facts, has_completions=not self._manner.uses_chat))
        if facts.context_api == "Ollama":
            self._seen_connections = -1  # it tells how it runs the model only once it runs
        self._wake.set()

    def _model_info(self, facts: ServerFacts, counter: TokenCounter) -> ModelInfo:
        return ModelInfo(
            name=facts.model or self._model or "remote model",
            context_tokens=self._context_tokens or facts.context_tokens or DEFAULT_CONTEXT_TOKENS,
            chat_template=facts.chat_template,
            special_tokens=counter.special_tokens,
            eos_token=facts.eos_token,
            bos_token=facts.bos_token,
            counts_exactly=counter.exact,
            takes_prompts=not self._manner.uses_chat,
            added_tokens=facts.added_tokens + (CHAT_TOKENS if self._manner.uses_chat else 0),
            sampling_defaults=facts.sampling,
        )

    def _room_for(self, prompt_tokens: int, wanted: int) -> int:
        """How long the reply may be: as was asked for, or as there is room."""
        if self._state is not EngineState.READY and not self._context_tokens:
            return wanted  # the context is a guess
        info = self.info
        room = info.room_tokens - prompt_tokens
        if room < 1:
            raise RequestTooLarge(
                f"The prompt has {prompt_tokens} tokens and the model takes {info.context_tokens}.",
                "Shorten the persona or the message.",
            )
        return min(wanted, room)


def _counting(facts: ServerFacts) -> tuple[object, ...]:
    return facts.model, facts.counting_api, facts.counting_url, facts.counted_extra


def _shut_down() -> EngineUnavailable:
    return EngineUnavailable("The engine is not running.", "Try again in a moment.")
