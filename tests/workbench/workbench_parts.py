"""The parts that the workbench's tests share."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import aiohttp
from given_personas import GivenPersonas

from bot.chat.talk.conversations import Conversations
from bot.engine.fake import FakeEngine
from bot.store.database import Database
from bot.workbench import Workbench

HOSTILE = "<img src=x onerror=\"window.hurt='yes'\"><script>window.hurt='yes'</script>"
REPLIES = (
    "The first reply, with **bold** words.",
    "Another one, quite different.",
    "A third of them.",
)


@dataclass
class Bench:
    """All parts of a running workbench."""

    workbench: Workbench
    conversations: Conversations
    engine: FakeEngine
    cast: GivenPersonas
    database: Database
    url: str

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1].strip("/"))


StartBench = Callable[..., Awaitable[Bench]]


class Client:
    """Calls the API as the page does."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self.session = session
        self.url = url

    async def call(
        self, method: str, path: str, body: object = None, **options: object
    ) -> tuple[int, dict]:
        given = {} if body is None else {"json": body}
        async with self.session.request(method, self.url + path, **given, **options) as response:
            return response.status, await response.json()

    async def ok(self, method: str, path: str, body: object = None) -> dict:
        status, answer = await self.call(method, path, body)
        assert 200 <= status < 300, (status, answer)
        return answer

    async def say(self, text: str, name: str = "Ines", chat: int = 1) -> dict:
        return await self.ok("POST", f"api/chats/{chat}/messages", {"text": text, "name": name})

    async def chat(self, chat: int = 1) -> dict:
        return await self.ok("GET", f"api/chats/{chat}")

    async def idle(self, chat: int = 1) -> dict:
        """The chat, once nothing is written there any more."""
        async with self.session.get(f"{self.url}api/chats/{chat}/events") as response:
            busy = True
            async for line in response.content:
                if line.startswith(b"data: "):
                    busy = json.loads(line[6:]).get("busy", busy)
                if not busy:
                    break
        return await self.chat(chat)

    async def talked(self, *texts: str) -> dict:
        """Say all of it, waiting for each answer."""
        for text in texts:
            await self.say(text)
            snapshot = await self.idle()
        return snapshot

    def listen(self, chat: int = 1) -> aiohttp.client._RequestContextManager:
        """The stream of a chat's events; wrap what it gives in :class:`Events`."""
        return self.session.get(f"{self.url}api/chats/{chat}/events?name=Ines")


class Events:
    """A chat's events as a page hears them."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[tuple[str, dict]]:
        name = ""
        async for line in self._response.content:
            if line.startswith(b"event: "):
                name = line[7:].decode().strip()
            elif line.startswith(b"data: "):
                yield name, json.loads(line[6:])

    async def until(self, wanted: str) -> list[tuple[str, dict]]:
        """Everything up to the first event of that name, that one too."""
        found = []
        async with asyncio.timeout(10):
            async for name, data in self:
                found.append((name, data))
                if name == wanted:
                    return found
        raise AssertionError(f"no {wanted}: {found}")
