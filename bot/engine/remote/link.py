"""The HTTP connections to a model's server. Every wait is bounded, and so is every answer.

No redirect is followed: the key and the prompts are meant for the server that was named.
"""

import json
import socket
import struct
import time
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import aiohttp

from bot.errors import EngineUnavailable, RemoteEngineError

CONNECT_SECONDS = 10.0
# Shorter than what servers wait (uvicorn and llama.cpp 5 s): a connection that is closed while a
# request is on its way to it costs another try.
KEEP_ALIVE_SECONDS = 3.0
ANSWER_BYTES = 4 << 20
ANSWER_SECONDS = 10.0
REDIRECTS = range(300, 400)
FIX_REDIRECT = "Set OPENAI_BASE_URL to the address where the server really is."


@dataclass(frozen=True, slots=True)
class Answer:
    """A small answer: its status and its JSON object ({} when it is none)."""

    status: int
    fields: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(slots=True)
class _Way:
    """How one request went out."""

    is_reused: bool = False


class Link:
    """One HTTP session with one server."""

    def __init__(self, api_key: str = "", *, breaks_off_at_once: bool = False) -> None:
        """Call it on the event loop.

        `breaks_off_at_once`: a connection that is closed is reset, so that a server on this machine
        finds out with the next thing that it writes, not the one after it.
        """
        self.connections = 0  # made so far; a server that was started anew needs a new one
        self._used_at = time.monotonic()
        trace = aiohttp.TraceConfig()
        trace.on_connection_create_end.append(self._made)
        trace.on_connection_reuseconn.append(_reused)
        self._session = aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {api_key}"} if api_key else {},
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
            # Each stream is a connection; the server, not a pool, says how many are too many.
            connector=aiohttp.TCPConnector(
                limit=0,
                keepalive_timeout=KEEP_ALIVE_SECONDS,
                socket_factory=_resetting_socket if breaks_off_at_once else None,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            trace_configs=[trace],
        )

    @property
    def is_closed(self) -> bool:
        """Whether nothing can be asked any more."""
        return self._session.closed

    @property
    def idle_seconds(self) -> float:
        """For how long nothing has been asked."""
        return time.monotonic() - self._used_at

    async def close(self) -> None:
        """Break off what runs. Idempotent."""
        await self._session.close()

    async def open(
        self,
        method: str,
        url: str,
        body: dict[str, Any] | None = None,
        *,
        seconds: float | None = None,
    ) -> aiohttp.ClientResponse:
        """Send a request; its answer's body is still to be read.

        A kept connection that the server has closed meanwhile costs nothing: the request goes out
        again. Raises aiohttp.ClientError and TimeoutError; EngineUnavailable once it is closed.
        """
        timeout = aiohttp.ClientTimeout(total=seconds, sock_connect=CONNECT_SECONDS)
        while True:
            if self.is_closed:
                raise EngineUnavailable("The engine is not running.", "Try again in a moment.")
            way = _Way()
            self._used_at = time.monotonic()
            try:
                return await self._session.request(
                    method,
                    url,
                    json=body,
                    timeout=timeout,
                    allow_redirects=False,
                    trace_request_ctx=way,
                )
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
                if not way.is_reused:
                    raise

    async def ask(
        self,
        method: str,
        url: str,
        body: dict[str, Any] | None = None,
        *,
        seconds: float = ANSWER_SECONDS,
    ) -> Answer:
        """Ask for a small answer.

        Raises aiohttp.ClientError and TimeoutError; RemoteEngineError where it sends us elsewhere.
        """
        async with await self.open(method, url, body, seconds=seconds) as response:
            if response.status in REDIRECTS:
                raise RemoteEngineError(redirected(response), FIX_REDIRECT)
            raw = bytearray()
            async for piece in response.content.iter_chunked(1 << 16):
                raw += piece
                if len(raw) > ANSWER_BYTES:
                    return Answer(response.status)
        try:
            found: object = json.loads(raw)
        except (ValueError, RecursionError):
            return Answer(response.status)
        if not isinstance(found, dict):
            return Answer(response.status)
        return Answer(response.status, cast("dict[str, Any]", found))

    async def _made(
        self,
        session: aiohttp.ClientSession,
        context: SimpleNamespace,
        parameters: aiohttp.TraceConnectionCreateEndParams,
    ) -> None:
        self.connections += 1


def _resetting_socket(address: tuple[Any, ...]) -> socket.socket:
    family, kind, protocol, _name, _address = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return made


async def _reused(
    session: aiohttp.ClientSession,
    context: SimpleNamespace,
    parameters: aiohttp.TraceConnectionReuseconnParams,
) -> None:
    way = context.trace_request_ctx
    if isinstance(way, _Way):
        way.is_reused = True


def redirected(response: aiohttp.ClientResponse) -> str:
    """Where the server sends us, in words."""
    to = " ".join(response.headers.get("Location", "nowhere").split())[:200]
    return f"The model's server answered {response.status} and sends us to {to}."
