"""One streamed completion of a remote server: its events, its time limits, what failures mean.

Its events are server-sent ones (https://html.spec.whatwg.org/#server-sent-events). Only `data:`
lines matter here: a completion's event is one line of JSON, and `[DONE]` ends it.
"""

import asyncio
import json
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, cast

import aiohttp
from aiohttp.http_exceptions import LineTooLong

from bot.engine.api import FinishReason
from bot.engine.remote.probe import FIX_REDIRECT, REDIRECTS, redirected
from bot.errors import RemoteEngineError

CHARACTERS_PER_TOKEN_LIMIT = 64  # more than this for every token asked for is no language model
DETAIL_BYTES = 2_000
DONE = "[DONE]"
LINES_AT_ONCE = 1000  # without an event; then the event loop gets its turn
AFTER_THE_END_SECONDS = 5.0  # for the usage, which comes after the last text
PASSING = {
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
}


class PassingError(RemoteEngineError):
    """Nothing has been received yet: another try does no harm, after `wait_seconds` at least."""

    def __init__(self, message: str, mend: str = "", *, wait_seconds: float = 0.0) -> None:
        super().__init__(message, mend)
        self.wait_seconds = wait_seconds


class UnreachableError(PassingError):
    """No connection at all."""


class RefusedBodyError(RemoteEngineError):
    """400 or 422: perhaps the server does not take all our parameters."""


@dataclass(frozen=True, slots=True)
class CompletionEvent:
    """One event: new text, perhaps the end, perhaps the usage."""

    text: str = ""
    finish: FinishReason | None = None
    prompt_tokens: int = 0
    reply_tokens: int = 0


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
    waited_seconds: float = 0.0  # for the server, since its last text
    ended: bool = False  # the server said why it ended: nothing has to come any more

    @property
    def next_deadline(self) -> float:
        """Until when the next event has to come."""
        if self.ended:
            return time.monotonic() + AFTER_THE_END_SECONDS - self.waited_seconds
        if not self.pieces:
            return self.first_token_deadline
        return time.monotonic() + self.stall_seconds - self.waited_seconds

    def take(self, event: CompletionEvent, waited_seconds: float) -> None:
        """Count an event. Raises RemoteEngineError at more than was asked for."""
        self.prompt_tokens = event.prompt_tokens or self.prompt_tokens
        self.reply_tokens = event.reply_tokens or self.reply_tokens
        self.waited_seconds += waited_seconds
        if event.finish is not None and not self.ended:
            self.ended = True
            self.waited_seconds = 0.0
        if not event.text:
            return
        self.waited_seconds = 0.0
        self.first_token = self.first_token or time.monotonic()
        self.pieces += 1
        self.characters += len(event.text)
        if self.characters > self.characters_limit:
            raise RemoteEngineError(
                "The model's server sends more than was asked for.", "See the server's log."
            )


async def stream_completion(
    session: aiohttp.ClientSession, url: str, body: dict[str, Any], exchange: Exchange
) -> AsyncGenerator[CompletionEvent, None]:
    """The events of one try. Closing this generator closes the connection.

    Raises PassingError and RefusedBodyError before the first text only, else RemoteEngineError.
    """
    try:
        async with _until(exchange.next_deadline):
            # Followed elsewhere, the prompt would reach a server that nobody named.
            response = await session.post(url, json=body, allow_redirects=False)
        async with response:
            await _raise_for_status(response)
            events = read_events(response)
            while not session.closed:  # a closed one would raise a bare RuntimeError
                asked = time.monotonic()
                async with _until(exchange.next_deadline):
                    event = await anext(events, None)
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


async def _raise_for_status(response: aiohttp.ClientResponse) -> None:
    if response.status == HTTPStatus.OK:
        return
    detail = _plain_detail(await response.content.read(DETAIL_BYTES))
    message = f"The model's server answered {response.status}: {detail}"
    match response.status:
        case HTTPStatus.BAD_REQUEST | HTTPStatus.UNPROCESSABLE_ENTITY:
            raise RefusedBodyError(message, "Check OPENAI_MODEL and the server's log.")
        case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
            raise RemoteEngineError(message, "Check OPENAI_API_KEY.")
        case HTTPStatus.NOT_FOUND:
            raise RemoteEngineError(
                message, "Check OPENAI_BASE_URL (it ends in /v1) and OPENAI_MODEL."
            )
        case status if status in PASSING:
            wait_seconds = _retry_after(response)
            raise PassingError(message, "Try again in a moment.", wait_seconds=wait_seconds)
        case status if status in REDIRECTS:
            raise RemoteEngineError(redirected(response), FIX_REDIRECT)
        case _:
            raise RemoteEngineError(message, "See the server's log.")


def _retry_after(response: aiohttp.ClientResponse) -> float:
    """Seconds; a date, which no model's server sends, counts as none."""
    said = response.headers.get("Retry-After", "")
    return float(said) if said.isascii() and said.isdigit() else 0.0


def _timed_out(exchange: Exchange) -> RemoteEngineError:
    if exchange.pieces:
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
    kind = UnreachableError if isinstance(error, aiohttp.ClientConnectorError) else PassingError
    return kind(
        f"The model's server cannot be reached ({' '.join(str(error).split())[:200]}).",
        "Is it running? OPENAI_BASE_URL says where it is looked for.",
    )


def _plain_detail(body: bytes) -> str:
    """The message within an error's body, on one line, shortened."""
    text = body.decode("utf-8", "replace")
    try:
        found: object = json.loads(text)
    except (ValueError, RecursionError):
        found = text
    for key in ("error", "message", "detail"):
        if isinstance(found, dict):
            fields = cast("dict[str, Any]", found)
            found = fields.get(key, fields)
    text = " ".join(str(found).split())
    return text if len(text) <= 200 else f"{text[:200]}…"


async def read_events(response: aiohttp.ClientResponse) -> AsyncGenerator[CompletionEvent, None]:
    """The events of a response. Raises RemoteEngineError when it ends early or is none."""
    met = finished = False
    skipped = 0
    try:
        async for line in response.content:
            if not line.startswith(b"data:"):
                skipped += 1
                if skipped % LINES_AT_ONCE == 0:  # lines that are here already need no waiting
                    await asyncio.sleep(0)
                continue
            met = True
            data = line[5:].decode("utf-8", "replace").strip()
            if data == DONE:
                return
            event = parse_event(data)
            finished = finished or event.finish is not None
            yield event
    except LineTooLong as error:
        raise RemoteEngineError(
            "The model's server sent a line that is too long.", "Is it an OpenAI-compatible server?"
        ) from error
    if not met:
        raise _strange()
    if not finished:
        raise RemoteEngineError("The model's server broke off in the middle.", "Try again.")


def parse_event(data: str) -> CompletionEvent:
    """One `data:` line's JSON. Raises RemoteEngineError, also for an error that it reports."""
    try:
        found: object = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _strange() from error
    if not isinstance(found, dict):
        raise _strange()
    event = cast("dict[str, Any]", found)
    if event.get("error"):
        raise RemoteEngineError(
            f"The model's server reports: {_error_text(event['error'])}", "See its log."
        )
    usage: object = event.get("usage")
    fields = _first_choice(event.get("choices"))
    counts = cast("dict[str, Any]", usage) if isinstance(usage, dict) else {}
    text = fields.get("text")
    return CompletionEvent(
        text=_whole_characters(text) if isinstance(text, str) else "",
        finish=_finish(fields.get("finish_reason")),
        prompt_tokens=_count(counts.get("prompt_tokens")),
        reply_tokens=_count(counts.get("completion_tokens")),
    )


def _whole_characters(text: str) -> str:
    """JSON can spell half a surrogate pair, which is no text and cannot be sent on."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _first_choice(choices: object) -> dict[str, Any]:
    rows = cast("list[object]", choices) if isinstance(choices, list) else []
    if not rows:
        return {}  # the usage's own event has none
    if not isinstance(rows[0], dict):
        raise _strange()
    return cast("dict[str, Any]", rows[0])


def _error_text(error: object) -> str:
    if isinstance(error, dict):
        error = cast("dict[str, Any]", error).get("message", error)
    return str(error)[:200]


def _finish(reason: object) -> FinishReason | None:
    if not isinstance(reason, str) or not reason:
        return None
    return FinishReason.LENGTH if reason == "length" else FinishReason.STOP


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _strange() -> RemoteEngineError:
    return RemoteEngineError(
        "The model's server sent something that is no completion.",
        "OPENAI_BASE_URL must name an OpenAI-compatible server.",
    )
