"""The bot's share of Discord's 50 requests a second, and who gives way when it is short.

discord.py keeps each route's own limit, but not the global one. Responses to interactions do not
count towards it and do not pass here.
"""

import asyncio
import heapq
import itertools
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from enum import IntEnum
from http import HTTPStatus
from types import SimpleNamespace
from typing import Any

import aiohttp
from discord.http import HTTPClient, Route

REQUESTS_PER_SECOND = 45  # under Discord's 50: our clock is not theirs
WINDOW_SECONDS = 1.0
LEAST_WAIT_SECONDS = 0.001


class NoRoomError(Exception):
    """Requests of a higher priority left no room in time."""


class Urgency(IntEnum):
    """Who goes first when requests queue up."""

    REPLY = 0  # new messages, last edits, answers to people
    NORMAL = 1
    STREAM = 2  # edits that the next one makes obsolete; typing indicators
    LATER = 3  # what nobody waits for at this moment


@dataclass(slots=True)
class _Permit:
    """Room for one request, acquired before its content was decided."""

    used: bool = False


@dataclass(slots=True)
class Attempt:
    """One call of the HTTP client, which may try several times."""

    priority: Urgency
    tried: bool = False
    failed: bool = False  # a try may have been heard all the same: its answer was no answer


_priority: ContextVar[Urgency] = ContextVar("request_priority", default=Urgency.NORMAL)
_permit: ContextVar[_Permit | None] = ContextVar("request_permit", default=None)
_attempt: ContextVar[Attempt | None] = ContextVar("request_attempt", default=None)


class RequestBudget:
    """At most `limit` requests in any second; waiting ones go by priority, then in order."""

    def __init__(
        self, limit: int = REQUESTS_PER_SECOND, clock: Callable[[], float] | None = None
    ) -> None:
        self._limit = limit
        self._clock = clock or (lambda: time.monotonic())
        self._granted: deque[float] = deque()
        self._waiting: list[tuple[Urgency, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()
        self._timer: asyncio.TimerHandle | None = None

    async def acquire(self, priority: Urgency) -> None:
        """Wait for room for one request, and take it."""
        if not self._waiting and self._has_room():
            self._granted.append(self._clock())
            return
        granted = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (priority, next(self._numbers), granted))
        self._set_timer()
        await granted

    @contextmanager
    def at(self, priority: Urgency) -> Generator[None]:
        """Requests made within go by `priority`."""
        token = _priority.set(priority)
        try:
            yield
        finally:
            _priority.reset(token)

    @asynccontextmanager
    async def reserved(
        self, priority: Urgency, patience_seconds: float | None = None
    ) -> AsyncGenerator[None, None]:
        """Wait for room first, so that the one request made within carries the newest content.

        Raises NoRoomError when there is none within `patience_seconds`.
        """
        try:
            async with asyncio.timeout(patience_seconds):
                await self.acquire(priority)
        except TimeoutError:
            raise NoRoomError from None
        token = _permit.set(_Permit())
        try:
            with self.at(priority):
                yield
        finally:
            _permit.reset(token)

    @asynccontextmanager
    async def one_request(self) -> AsyncGenerator[Attempt, None]:
        """Around one request: it takes the room reserved for it, else waits for some.

        What the client tries again by itself is counted by :meth:`trace`.
        """
        permit = _permit.get()
        if permit is not None and not permit.used:
            permit.used = True
        else:
            await self.acquire(_priority.get())
        attempt = Attempt(_priority.get())
        token = _attempt.set(attempt)
        try:
            yield attempt
        finally:
            _attempt.reset(token)

    def install(self, http: HTTPClient) -> None:
        """Let every request of discord.py's client pass through here.

        Webhooks have a client of their own: their requests are made within :meth:`one_request`.
        """
        original = http.request

        async def request(route: Route, **options: Any) -> Any:
            async with self.one_request():
                return await original(route, **options)

        http.request = request

    def trace(self) -> aiohttp.TraceConfig:
        """Counts what the client tries again by itself after a 429 or a server error."""

        async def on_start(
            _session: aiohttp.ClientSession,
            _context: SimpleNamespace,
            _start: aiohttp.TraceRequestStartParams,
        ) -> None:
            attempt = _attempt.get()
            if attempt is None:
                return
            if attempt.tried:
                await self.acquire(attempt.priority)
            attempt.tried = True

        async def on_end(
            _session: aiohttp.ClientSession,
            _context: SimpleNamespace,
            end: aiohttp.TraceRequestEndParams,
        ) -> None:
            attempt = _attempt.get()
            if attempt is not None and end.response.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                attempt.failed = True

        async def on_exception(
            _session: aiohttp.ClientSession,
            _context: SimpleNamespace,
            _exception: aiohttp.TraceRequestExceptionParams,
        ) -> None:
            attempt = _attempt.get()
            if attempt is not None:
                attempt.failed = True

        trace = aiohttp.TraceConfig()
        trace.on_request_start.append(on_start)
        trace.on_request_end.append(on_end)
        trace.on_request_exception.append(on_exception)
        return trace

    def _has_room(self) -> bool:
        now = self._clock()
        while self._granted and self._granted[0] <= now - WINDOW_SECONDS:
            self._granted.popleft()
        return len(self._granted) < self._limit

    def _set_timer(self) -> None:
        if self._timer is None and self._waiting:
            oldest = self._granted[0] if self._granted else 0.0
            # Never nothing: rounding would make it ask again and again in the same moment.
            delay = max(LEAST_WAIT_SECONDS, oldest + WINDOW_SECONDS - self._clock())
            self._timer = asyncio.get_running_loop().call_later(delay, self._grant)

    def _grant(self) -> None:
        self._timer = None
        while self._waiting and self._has_room():
            _, _, granted = heapq.heappop(self._waiting)
            if not granted.done():  # else its request was given up while it waited
                self._granted.append(self._clock())
                granted.set_result(None)
        self._set_timer()
