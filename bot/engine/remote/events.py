"""The events of a streamed completion, and the many shapes in which servers report an error.

Server-sent events (https://html.spec.whatwg.org/#server-sent-events), where an event of a
completion is one `data:` line of JSON, and `[DONE]` ends them.
"""

import asyncio
import codecs
import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any, cast

import aiohttp
from aiohttp.http_exceptions import LineTooLong

from bot.engine.api import FinishReason
from bot.engine.remote.apis import at, rows_at, tokens_at
from bot.errors import RemoteEngineError

DONE = "[DONE]"
LINES_AT_ONCE = 1000  # without an event; then the event loop gets its turn
DETAIL_BYTES = 8_000
DETAIL_CHARACTERS = 200
BROKEN_FINISHES = ("error", "abort", "cancelled")


class NoEndpointError(RemoteEngineError):
    """The server answers, but not at the address that was asked."""


@dataclass(frozen=True, slots=True)
class CompletionEvent:
    """One event: new text, perhaps the end, perhaps the usage.

    `thought` is how many characters of reasoning came, which is no text for people.
    `unread_tokens` is what a server has still to read of the prompt, where the event tells that.
    """

    text: str = ""
    finish: FinishReason | None = None
    prompt_tokens: int = 0
    reply_tokens: int = 0
    cached_tokens: int = 0  # of the prompt, taken from what the server had kept
    thought: int = 0
    unread_tokens: int | None = None


async def read_events(response: aiohttp.ClientResponse) -> AsyncGenerator[CompletionEvent, None]:
    """The events of a response. Raises RemoteEngineError when it ends early, fails or is none."""
    lines = _Lines()
    skipped = 0
    try:
        async for line in response.content:
            event = lines.event(line.strip())
            if lines.is_done:
                return
            if event is not None:
                yield event
                continue
            skipped += 1
            if skipped % LINES_AT_ONCE == 0:  # lines that are here already need no waiting
                await asyncio.sleep(0)
    except LineTooLong as error:
        raise RemoteEngineError(
            "The model's server sent a line that is too long.", "Is it an OpenAI-compatible server?"
        ) from error
    lines.check_end()


class _Lines:
    """What the lines so far make of a response."""

    def __init__(self) -> None:
        self.is_done = False
        self._has_events = False
        self._has_finished = False
        self._is_error = False  # the event that is under way says so of itself
        self._other = bytearray()  # the beginning of what is no event

    def event(self, line: bytes) -> CompletionEvent | None:
        """The event on this line, if there is one. Raises RemoteEngineError for an error."""
        name, _, rest = line.removeprefix(codecs.BOM_UTF8).partition(b":")
        value = rest.decode("utf-8", "replace").strip()
        if not line:
            self._is_error = False  # the event is over
        elif name == b"data" and value not in ("", "null"):
            return self._data(value)
        elif name == b"error" and value:  # a field of llama.cpp's own
            raise reported(error_text(value))
        elif name == b"event":
            self._is_error = value == "error"
        elif len(self._other) < DETAIL_BYTES:
            self._other += line
        return None

    def check_end(self) -> None:
        """Raise RemoteEngineError where the response must not end like this."""
        if not self._has_finished:
            _raise_for_plain_answer(bytes(self._other[:DETAIL_BYTES]))
        if not self._has_events:
            raise _strange()
        if not self._has_finished:
            raise RemoteEngineError("The model's server broke off in the middle.", "Try again.")

    def _data(self, data: str) -> CompletionEvent | None:
        if self._is_error:
            raise reported(error_text(data))
        if data == DONE:
            self.is_done = True
            return None
        event = parse_event(data)
        self._has_events = True
        self._has_finished = self._has_finished or event.finish is not None
        return event


def parse_event(data: str) -> CompletionEvent:
    """One `data:` line's JSON. Raises RemoteEngineError, also for an error that it reports."""
    try:
        found: object = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _strange() from error
    if not isinstance(found, dict):
        raise _strange()
    event = cast("dict[str, Any]", found)
    if has_error(event):
        raise reported(error_text(data))
    if "choices" not in event and "content" in event:  # what llama.cpp sends without `/v1`
        raise _strange()
    fields = _first_choice(event.get("choices"))
    reason = fields.get("finish_reason")
    if reason in BROKEN_FINISHES:
        raise reported(f"the reply ended as «{reason}»")
    delta = fields.get("delta")
    text = fields.get("text") if delta is None else _content(at(delta, "content"))
    thoughts = [at(delta, key) for key in ("reasoning_content", "reasoning")]
    return CompletionEvent(
        text=_whole_characters(text) if isinstance(text, str) else "",
        finish=_finish(reason),
        prompt_tokens=tokens_at(event, "usage", "prompt_tokens"),
        reply_tokens=tokens_at(event, "usage", "completion_tokens"),
        cached_tokens=tokens_at(event, "usage", "prompt_tokens_details", "cached_tokens")
        or tokens_at(event, "prompt_progress", "cache"),  # llama.cpp, while it reads
        thought=max(len(thought) if isinstance(thought, str) else 0 for thought in thoughts),
        unread_tokens=_unread(event),
    )


def _unread(event: dict[str, Any]) -> int | None:
    """llama.cpp's `prompt_progress`; nobody else tells it."""
    if "prompt_progress" not in event:
        return None
    total = tokens_at(event, "prompt_progress", "total")
    return max(0, total - tokens_at(event, "prompt_progress", "processed"))


def has_error(event: dict[str, Any]) -> bool:
    """Whether a JSON object reports an error, as OpenAI, vLLM, FastAPI or KoboldCpp word it."""
    if event.get("error") or "error" in (event.get("object"), event.get("type")):
        return True
    if "choices" in event or "usage" in event:
        return False
    return any(event.get(key) for key in ("detail", "message", "msg"))


def error_text(body: str) -> str:
    """The message within an error's body, on one line, shortened."""
    try:
        found: object = json.loads(body)
    except (ValueError, RecursionError):
        found = body
    for key in ("error", "detail", "message", "msg"):
        row: object = next(iter(cast("list[object]", found)), "") if _is_list(found) else found
        found = at(row, key) or row
    text = "".join(c if c.isprintable() else " " for c in str(found)[: 2 * DETAIL_CHARACTERS])
    text = " ".join(text.split())
    return text if len(text) <= DETAIL_CHARACTERS else f"{text[:DETAIL_CHARACTERS]}…"


def _is_list(found: object) -> bool:
    return isinstance(found, list)


def reported(text: str) -> RemoteEngineError:
    """An error that the server told of itself."""
    return RemoteEngineError(f"The model's server reports: {text}", "See its log.")


def _raise_for_plain_answer(body: bytes) -> None:
    """Raise for a JSON object that reports an error, though its status was that of a success."""
    text = body.decode("utf-8", "replace")
    try:
        found: object = json.loads(text)
    except (ValueError, RecursionError):
        return
    if not isinstance(found, dict) or not has_error(cast("dict[str, Any]", found)):
        return
    said = error_text(text)
    if "endpoint" in said.lower():  # LM Studio, for whatever it does not know
        raise NoEndpointError(f"The model's server reports: {said}", "Check OPENAI_BASE_URL.")
    raise reported(said)


def _first_choice(choices: object) -> dict[str, Any]:
    if not isinstance(choices, list) or not choices:
        return {}  # the usage's own event has none
    rows = rows_at({"choices": cast("object", choices)}, "choices")
    if not rows:
        raise _strange()
    return rows[0]


def _content(content: object) -> str | None:
    """A chat's text; of one in parts those that are text."""
    if isinstance(content, str):
        return content
    parts = rows_at({"parts": content}, "parts")
    texts = (part.get("text") for part in parts if part.get("type") == "text")
    return "".join(text for text in texts if isinstance(text, str))


def _whole_characters(text: str) -> str:
    """JSON can spell half a surrogate pair, which is no text and cannot be sent on."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _finish(reason: object) -> FinishReason | None:
    if not isinstance(reason, str) or not reason:
        return None
    return FinishReason.LENGTH if reason == "length" else FinishReason.STOP


def _strange() -> RemoteEngineError:
    return RemoteEngineError(
        "The model's server sent something that is no completion.",
        "OPENAI_BASE_URL must name an OpenAI-compatible server; as a rule it ends in /v1.",
    )
