"""One reply of a remote server: further tries, and the way in which the server takes it."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from bot.engine.api import FinishReason, GenerationRequest
from bot.engine.remote.completion import (
    Exchange,
    PassingError,
    RefusedBodyError,
    stream_completion,
)
from bot.engine.remote.events import CompletionEvent, NoEndpointError
from bot.engine.remote.link import Link
from bot.engine.remote.parameters import Refusal, Trial, body_of
from bot.engine.stops import StopStrings

logger = logging.getLogger(__name__)

TRIES = 3


@dataclass(slots=True)
class Manner:
    """How a server takes requests, as the last that succeeded have shown."""

    uses_chat: bool = False  # it has `/chat/completions` alone
    refused: Refusal = field(default_factory=Refusal)
    thinks: bool = False  # it has sent reasoning of its own, apart from the text
    asked_for: frozenset[str] = frozenset()  # parameters that some request had


async def cut_at_stops(
    events: AsyncGenerator[CompletionEvent, None], stop: Sequence[str]
) -> AsyncGenerator[CompletionEvent, None]:
    """Text up to a stop string; the last event alone has `finish`. Closes `events`."""
    stops = StopStrings(stop)
    finish = FinishReason.STOP
    async with aclosing(events):
        async for event in events:
            finish = event.finish or finish
            if text := stops.decode(event.text):
                yield CompletionEvent(text)
            if stops.stopped:
                finish = FinishReason.STOP
                break
    yield CompletionEvent(stops.flush(), finish)


@dataclass(slots=True)
class ServerReply:
    """One request, sent until the server takes it."""

    link: Link
    base_url: str
    model: str
    request: GenerationRequest
    max_tokens: int
    thinking_tokens: int  # beside those, where it thinks apart
    seed: int
    manner: Manner  # kept up to date for the requests after this one
    exchange: Exchange
    retry_seconds: float  # doubled at each further try

    async def events(self) -> AsyncGenerator[CompletionEvent, None]:
        """Text up to a stop string; the last event alone has `finish`. Raises RemoteEngineError."""
        async with aclosing(cut_at_stops(self._tries(), self.request.stop)) as events:
            async for event in events:
                yield event

    async def _tries(self) -> AsyncGenerator[CompletionEvent, None]:
        """Further tries only before the first event: `stream_completion` says when that is."""
        trial, uses_chat = Trial(self.manner.refused), self.manner.uses_chat
        failures = 0
        no_endpoint: NoEndpointError | None = None
        while True:
            body = self._body(trial.refused, is_chat=uses_chat)
            self.manner.asked_for |= body.keys()
            url = f"{self.base_url}/{'chat/' if uses_chat else ''}completions"
            try:
                events = stream_completion(self.link, url, body, self.exchange)
                async with aclosing(events):
                    async for event in events:
                        self.manner.refused = trial.refused  # this is how it takes them
                        self.manner.uses_chat = uses_chat
                        self.manner.thinks = self.manner.thinks or event.thought > 0
                        yield event
            except RefusedBodyError as error:
                if not trial.refuse(body, error.said):
                    raise
                logger.warning("%s Trying without what it may not take.", error.message)
            except NoEndpointError as error:
                if no_endpoint is not None:
                    raise no_endpoint from error  # neither of the two
                no_endpoint = error
                uses_chat = not uses_chat
            except PassingError as error:
                wait = max(self.retry_seconds * 2**failures, error.wait_seconds)
                failures += 1
                is_late = time.monotonic() + wait > self.exchange.first_token_deadline
                if failures >= TRIES or is_late or self.link.is_closed:
                    raise
                logger.warning("%s Trying again in %.1f s.", error.message, wait)
                await asyncio.sleep(wait)
            else:
                return

    def _body(self, refused: Refusal, *, is_chat: bool) -> dict[str, Any]:
        thinks = self.manner.thinks
        return body_of(
            self.request,
            model=self.model,
            max_tokens=self.max_tokens + (self.thinking_tokens if is_chat and thinks else 0),
            seed=self.seed,
            refused=refused,
            is_chat=is_chat,
        )
