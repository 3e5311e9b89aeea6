"""HTTP servers on loopback that play vLLM, llama.cpp and worse, for the remote engine's tests."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from bot.engine.api import Chunk, GenerationRequest
from bot.engine.remote.engine import OpenAIEngine

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def event(text: str, finish: str | None = None) -> bytes:
    body = {"choices": [{"text": text, "finish_reason": finish}]}
    return f"data: {json.dumps(body)}\n\n".encode()


def delta(text: str, finish: str | None = None, **fields: str) -> bytes:
    body = {"choices": [{"delta": {"content": text} | fields, "finish_reason": finish}]}
    return f"data: {json.dumps(body)}\n\n".encode()


USAGE = b'data: {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3}}\n\n'
DONE = b"data: [DONE]\n\n"


class Server:
    """Remembers what it was asked; answers with what the test scripts."""

    def __init__(
        self,
        shape: str = "vllm",
        *,
        redirects_to: str = "",
        special_tokens: int = 0,
        context: int = 0,
        sampling: dict[str, float] | None = None,
    ) -> None:
        self.shape = shape
        self.redirects_to = redirects_to
        self.context = context
        self.sampling = sampling or {}
        self.special_tokens = special_tokens  # before every prompt
        self.bodies: list[dict[str, Any]] = []
        self.closed = asyncio.Event()
        self.answers: list[Handler] = []
        self.app = web.Application()
        self.app.router.add_get("/v1/models", self._models)
        self.app.router.add_get("/props", self._props)
        self.app.router.add_post("/tokenize", self._tokenize)
        if self.shape != "chat":
            self.app.router.add_post("/v1/completions", self._completions)
        if self.shape in ("chat", "both"):
            self.app.router.add_post("/v1/chat/completions", self._completions)

    def streams(self, *pieces: bytes) -> None:
        """The next request gets these bytes."""

        async def answer(request: web.Request) -> web.StreamResponse:
            return await _sent(request, pieces)

        self.answers.append(answer)

    def refuses(self, status: int, body: str = "") -> None:
        async def answer(request: web.Request) -> web.StreamResponse:
            return web.Response(status=status, text=body)

        self.answers.append(answer)

    def hangs(self, *pieces: bytes) -> None:
        """The next request gets these bytes, then nothing until the client goes away."""

        async def answer(request: web.Request) -> web.StreamResponse:
            response = await _sent(request, pieces)
            try:
                await asyncio.Event().wait()
            finally:
                self.closed.set()
            return response

        self.answers.append(answer)

    def tells(
        self, path: str, answer: dict[str, Any] | Callable[[dict[str, Any]], dict[str, Any]]
    ) -> None:
        """GET or POST `path` gets this answer, or what the function makes of the body."""

        async def tell(request: web.Request) -> web.StreamResponse:
            if not callable(answer):
                return web.json_response(answer)
            return web.json_response(answer(await request.json()))

        self.app.router.add_route("POST" if callable(answer) else "GET", path, tell)

    async def _models(self, request: web.Request) -> web.StreamResponse:
        if self.redirects_to:
            raise web.HTTPMovedPermanently(f"{self.redirects_to}/models")
        row = {"id": "nous", "max_model_len": 2048} if self.shape == "vllm" else {"id": "nous"}
        return web.json_response({"data": [row]})

    async def _props(self, request: web.Request) -> web.StreamResponse:
        if self.shape != "llama.cpp":
            return web.Response(status=404)
        return web.json_response(
            {
                "default_generation_settings": {
                    "n_ctx": self.context or 1024,
                    "params": self.sampling,
                },
                "chat_template": "<|im_start|>",
            }
        )

    async def _tokenize(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        if self.shape == "vllm" and "prompt" in body:
            extra = self.special_tokens if body["add_special_tokens"] else 0
            return web.json_response({"count": len(body["prompt"].split()) + extra})
        if self.shape == "llama.cpp":
            return web.json_response({"tokens": body.get("content", "").split()})
        return web.Response(status=404)

    async def _completions(self, request: web.Request) -> web.StreamResponse:
        self.bodies.append(await request.json())
        return await self.answers.pop(0)(request)


async def _sent(request: web.Request, pieces: Sequence[bytes]) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    for piece in pieces:
        await response.write(piece)
    return response


@asynccontextmanager
async def serving(server: Server, **options: Any) -> AsyncIterator[OpenAIEngine]:
    async with TestServer(server.app, handler_cancellation=True) as http:
        engine = OpenAIEngine(str(http.make_url("/v1")), "secret-key", **options)
        await engine.start()
        try:
            yield engine
        finally:
            await engine.close()


def request(**fields: Any) -> GenerationRequest:
    values: dict[str, Any] = {"prompt": "Say a word", "channel": "c", "user": "u", "max_tokens": 16}
    return GenerationRequest(**(values | fields))


async def collect(engine: OpenAIEngine, **fields: Any) -> list[Chunk]:
    return [chunk async for chunk in engine.generate(request(**fields))]
