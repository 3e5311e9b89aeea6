"""Server-sent events of a streamed completion (https://html.spec.whatwg.org/#server-sent-events).

Only `data:` lines matter here: a completion's event is one line of JSON, and `[DONE]` ends it.
"""

import asyncio
import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any, cast

import aiohttp
from aiohttp.http_exceptions import LineTooLong

from bot.engine.api import FinishReason
from bot.errors import RemoteEngineError

DONE = "[DONE]"
LINES_AT_ONCE = 1000  # without an event; then the event loop gets its turn


@dataclass(frozen=True, slots=True)
class CompletionEvent:
    """One event: new text, perhaps the end, perhaps the usage."""

    text: str = ""
    finish: FinishReason | None = None
    prompt_tokens: int = 0
    reply_tokens: int = 0


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
