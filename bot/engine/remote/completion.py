"""One streamed completion of a remote server: its time limits, and what failures mean."""

import asyncio
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import aiohttp

from bot.engine.api import GenerationStatistics
from bot.engine.remote.events import (
    DETAIL_BYTES,
    CompletionEvent,
    NoEndpointError,
    error_text,
    read_events,
)
from bot.engine.remote.link import FIX_REDIRECT, REDIRECTS, Link, redirected
from bot.errors import RemoteEngineError

CHARACTERS_PER_TOKEN_LIMIT = 64  # more than this for every token asked for is no language model
DETAIL_SECONDS = 5.0  # for an error's body, which may never come
AFTER_THE_END_SECONDS = 5.0  # for the usage, which comes after the last text
NO_ENDPOINT = {
    HTTPStatus.NOT_FOUND,
    HTTPStatus.METHOD_NOT_ALLOWED,
    HTTPStatus.GONE,
    HTTPStatus.NOT_IMPLEMENTED,
}


class PassingError(RemoteEngineError):
    """Nothing has been received yet: another try does no harm, after `wait_seconds` at least."""

    def __init__(self, message: str, fix: str = "", *, wait_seconds: float = 0.0) -> None:
        super().__init__(message, fix)
        self.wait_seconds = wait_seconds


class RefusedBodyError(RemoteEngineError):
    """400 or 422: perhaps the server does not take all our parameters. `said` is its body."""

    def __init__(self, message: str, fix: str = "", *, said: str = "") -> None:
        super().__init__(message, fix)
        self.said = said


@dataclass(slots=True)
class Exchange:
    """One request's clock (seconds of :func:`time.monotonic`) and counts, over all its tries."""

    started: float
    first_token_deadline: float
    stall_seconds: float
    characters_limit: int
    first_token: float = 0.0
    characters: int = 0
    pieces: int = 0
    prompt_tokens: int = 0
    reply_tokens: int = 0
    cached_tokens: int = 0
    waited_seconds: float = 0.0  # for the server, since its last text
    thinks: bool = False  # reasoning has come: it is at work, though there is no text yet
    ended: bool = False  # the server said why it ended: nothing has to come any more

    @property
    def next_deadline(self) -> float:
        """Until when the next event has to come."""
        if self.ended:
            return time.monotonic() + AFTER_THE_END_SECONDS - self.waited_seconds
        if not (self.pieces or self.thinks):
            return self.first_token_deadline
        return time.monotonic() + self.stall_seconds - self.waited_seconds

    def take(self, event: CompletionEvent, waited_seconds: float) -> None:
        """Count an event. Raises RemoteEngineError at more than was asked for."""
        self.prompt_tokens = event.prompt_tokens or self.prompt_tokens
        self.reply_tokens = event.reply_tokens or self.reply_tokens
        self.cached_tokens = event.cached_tokens or self.cached_tokens
        self.waited_seconds += waited_seconds
        if event.finish is not None and not self.ended:
            self.ended = True
            self.waited_seconds = 0.0
        if not (event.text or event.thought):
            return
        self.waited_seconds = 0.0
        self.thinks = self.thinks or event.thought > 0
        if event.text:
            self.first_token = self.first_token or time.monotonic()
            self.pieces += 1
        self.characters += len(event.text) + event.thought
        if self.characters > self.characters_limit:
            raise RemoteEngineError(
                "The model's server sends more than was asked for.", "See the server's log."
            )

    def statistics(self, model: str, seed: int, prompt_tokens: int) -> GenerationStatistics:
        """What it took; `prompt_tokens` counts where the server told no number."""
        ended = time.monotonic()
        of_prompt = self.prompt_tokens or prompt_tokens
        return GenerationStatistics(
            model=model,
            seed=seed,
            prompt_tokens=of_prompt,
            cached_prompt_tokens=min(self.cached_tokens, of_prompt),
            reply_tokens=self.reply_tokens or self.pieces,
            queued_seconds=0.0,
            first_token_seconds=(self.first_token or ended) - self.started,
            total_seconds=ended - self.started,
        )


async def stream_completion(
    link: Link, url: str, body: dict[str, Any], exchange: Exchange
) -> AsyncGenerator[CompletionEvent, None]:
    """The events of one try. Closing this generator closes the connection.

    Raises PassingError, RefusedBodyError and NoEndpointError before the first text only, else
    RemoteEngineError; EngineUnavailable once the link is closed.
    """
    try:
        async with _until(exchange.next_deadline):
            response = await link.open("POST", url, body)
        async with response:
            await _raise_for_status(response, exchange.next_deadline)
            events = read_events(response)
            while not link.is_closed:  # a closed one would raise a bare RuntimeError
                asked = time.monotonic()
                try:
                    async with _until(exchange.next_deadline):
                        event = await anext(events, None)
                except RemoteEngineError:
                    if not exchange.ended:
                        raise
                    return
                if event is None:
                    return
                exchange.take(event, time.monotonic() - asked)
                yield event
            raise RemoteEngineError("The engine is shut down.", "Try again after a restart.")
    except TimeoutError as error:
        if not exchange.ended:
            raise _timed_out(exchange) from error
    except aiohttp.ClientError as error:
        if not exchange.ended:
            raise _broken_off(exchange, error) from error


def _until(monotonic: float) -> asyncio.Timeout:
    return asyncio.timeout(max(0.0, monotonic - time.monotonic()))


async def _raise_for_status(response: aiohttp.ClientResponse, deadline: float) -> None:
    if response.status == HTTPStatus.OK:
        return
    if response.status in REDIRECTS:
        raise RemoteEngineError(redirected(response), FIX_REDIRECT)
    said = await _error_body(response, deadline)
    where = response.url.path.rpartition("/v1")[2] or response.url.path
    message = f"The model's server answered {response.status}"
    detail = f": {shown}" if (shown := error_text(said)) else "."
    match response.status:
        case HTTPStatus.BAD_REQUEST | HTTPStatus.UNPROCESSABLE_ENTITY:
            raise RefusedBodyError(
                message + detail, "Check OPENAI_MODEL and the server's log.", said=said
            )
        case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
            raise RemoteEngineError(message + detail, "Check OPENAI_API_KEY.")
        case status if status in NO_ENDPOINT:
            raise NoEndpointError(
                f"{message} for {where}{detail}",
                "Check OPENAI_BASE_URL (it ends in /v1) and OPENAI_MODEL.",
            )
        case status if _is_passing(status):
            raise PassingError(
                message + detail, "Try again in a moment.", wait_seconds=_retry_after(response)
            )
        case _:
            raise RemoteEngineError(message + detail, "See the server's log.")


async def _error_body(response: aiohttp.ClientResponse, deadline: float) -> str:
    """The beginning of an error's body: what has come of it in time."""
    raw = bytearray()
    try:
        async with _until(min(deadline, time.monotonic() + DETAIL_SECONDS)):
            while len(raw) < DETAIL_BYTES:
                piece = await response.content.read(DETAIL_BYTES - len(raw))
                if not piece:
                    break
                raw += piece
    except (TimeoutError, aiohttp.ClientError):
        pass  # the status says enough
    return raw.decode("utf-8", "replace")


def _is_passing(status: int) -> bool:
    is_busy = status in (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)
    return is_busy or status >= HTTPStatus.INTERNAL_SERVER_ERROR


def _retry_after(response: aiohttp.ClientResponse) -> float:
    """Seconds; a date, which no model's server sends, counts as none."""
    said = response.headers.get("Retry-After", "")[:20]
    return float(said) if said.isascii() and said.isdigit() else 0.0


def _timed_out(exchange: Exchange) -> RemoteEngineError:
    if exchange.pieces or exchange.thinks:
        return RemoteEngineError(
            f"The model's server has sent nothing for {exchange.stall_seconds:g} s.",
            "Try again; OPENAI_STALL_SECONDS sets the limit.",
        )
    waited = exchange.first_token_deadline - exchange.started
    return RemoteEngineError(
        f"The model's server gave no first word in {waited:g} s.",
        "Try again later; OPENAI_FIRST_TOKEN_SECONDS sets the limit.",
    )


def _broken_off(exchange: Exchange, error: aiohttp.ClientError) -> RemoteEngineError:
    if exchange.pieces:
        return RemoteEngineError("The model's server broke off in the middle.", "Try again.")
    return PassingError(
        f"The model's server cannot be reached ({' '.join(str(error).split())[:200]}).",
        "Is it running? OPENAI_BASE_URL says where it is looked for.",
    )
