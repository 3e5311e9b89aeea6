"""The page's calls for what is always kept in mind in a chat."""

from aiohttp import web

from bot.chat.roleplay.memory.facts import Fact
from bot.chat.roleplay.memory.notebook import Notebook
from bot.errors import NotAllowed
from bot.workbench import views
from bot.workbench.answers import Refused
from bot.workbench.forms import NewText, read_form
from bot.workbench.room import PERSON_ID, Room
from bot.workbench.rooms import Rooms

FACT = r"/api/chats/{chat}/facts/{fact:[0-9]{1,18}}"


class FactsApi:
    """The handlers, and the routes to them. Each answers with all facts of the chat."""

    def __init__(self, rooms: Rooms, notebook: Notebook) -> None:
        self._rooms = rooms
        self._notebook = notebook

    def routes(self) -> list[web.RouteDef]:
        """Every call there is."""
        return [
            web.get("/api/chats/{chat}/facts", self.facts),
            web.post("/api/chats/{chat}/facts", self.pin),
            web.put(FACT, self.rewrite),
            web.delete(FACT, self.take_out),
        ]

    async def facts(self, request: web.Request) -> web.Response:
        """What is kept in mind, the oldest first."""
        return await self._all(self._room(request))

    async def pin(self, request: web.Request) -> web.Response:
        """One more."""
        room, text = self._room(request), (await read_form(request, NewText)).text
        try:
            await self._notebook.pin(room.key, text, by=PERSON_ID)
        except NotAllowed as error:
            raise Refused(409, error.message, error.fix) from error
        return await self._all(room, status=201)

    async def rewrite(self, request: web.Request) -> web.Response:
        """Let one say something else."""
        room, text = self._room(request), (await read_form(request, NewText)).text
        try:
            await self._notebook.rewrite(room.key, _number(request), text)
        except NotAllowed as error:
            raise Refused(409, error.message, error.fix) from error
        return await self._all(room)

    async def take_out(self, request: web.Request) -> web.Response:
        """Forget one."""
        room = self._room(request)
        await self._notebook.take_out(room.key, _number(request))
        return await self._all(room)

    def _room(self, request: web.Request) -> Room:
        return self._rooms.get(request.match_info["chat"])

    async def _all(self, room: Room, status: int = 200) -> web.Response:
        facts = [_view(fact) for fact in await self._notebook.all(room.key)]
        return web.json_response({"facts": facts}, status=status)


def _number(request: web.Request) -> int:
    return int(request.match_info["fact"])


def _view(fact: Fact) -> views.Json:
    return {"id": fact.fact_id, "text": fact.text, "repeats_message": fact.repeats_message}
