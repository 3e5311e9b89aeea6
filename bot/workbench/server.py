"""The workbench's server: listens on 127.0.0.1, serves the page and its API."""

import asyncio
import errno
import logging

from aiohttp import web

from bot.background import Background
from bot.chat.personas.folder import PersonaFolder
from bot.chat.roleplay.memory.notebook import Notebook
from bot.chat.talk.conversations import Conversations
from bot.chat.talk.directing import Director
from bot.errors import UserError
from bot.workbench import views
from bot.workbench.answers import translate_errors
from bot.workbench.api import Api
from bot.workbench.facts_api import FactsApi
from bot.workbench.pages import Pages
from bot.workbench.rooms import Rooms
from bot.workbench.scenes.api import ScenesApi
from bot.workbench.security import BODY_BYTES, add_headers, guard
from bot.workbench.workshop.counting import TokenCounter
from bot.workbench.workshop.library_api import LibraryApi
from bot.workbench.workshop.lore_api import LoreApi
from bot.workbench.workshop.uploads import Uploads

HOST = "127.0.0.1"
STATUS_SECONDS = 0.5
GRACE_SECONDS = 20.0
SHUTDOWN_SECONDS = 2.0

log = logging.getLogger(__name__)


class Workbench:
    """A page on this machine for talking with the personas, on the core that Discord uses too."""

    def __init__(
        self,
        conversations: Conversations,
        *,
        port: int = 8080,
        version: str = "",
        folder: PersonaFolder | None = None,
        notebook: Notebook,
    ) -> None:
        """`port` 0 takes any free one. The engine may still be starting: the page says so.

        `folder` has the personas that the page edits; without it, it edits none. `notebook` keeps
        the chats' facts.
        """
        self._conversations = conversations
        self._port = port
        self._rooms = Rooms(conversations)
        self._api = Api(conversations, self._rooms, version, has_library=folder is not None)
        self._more: list[web.RouteDef] = FactsApi(self._rooms, notebook).routes()
        if conversations.scenes is not None:
            director = Director(conversations, conversations.scenes)
            self._more += ScenesApi(conversations, self._rooms, director).routes()
        if folder is not None:
            uploads, counter = Uploads(), TokenCounter(conversations.engines)
            self._more += LibraryApi(folder, uploads, counter).routes()
            self._more += LoreApi(folder, uploads, counter).routes()
        self._runner: web.AppRunner | None = None
        self._watch = Background(
            "workbench status", lost="The page no longer hears what the engine does"
        )

    @property
    def url(self) -> str:
        """Where the page is. Only after :meth:`start`, when `port` was 0."""
        return f"http://{HOST}:{self._port}/"

    async def start(self) -> str:
        """Listen. Returns the page's address. Raises UserError when the port cannot be had."""
        await self._rooms.open()
        pages = await asyncio.to_thread(Pages.read)
        runner = web.AppRunner(
            self._application(pages), access_log=None, shutdown_timeout=SHUTDOWN_SECONDS
        )
        await runner.setup()
        try:
            await web.TCPSite(runner, HOST, self._port).start()
        except (OSError, OverflowError) as error:
            await runner.cleanup()
            raise _port_error(self._port, error) from error
        self._runner = runner
        self._port = runner.addresses[0][1]
        self._watch.begin(self._watch_engine())
        return self.url

    async def close(self, grace_seconds: float = GRACE_SECONDS) -> None:
        """Let running replies end for `grace_seconds`, then stop all of it. Idempotent."""
        self._api.refuse_more()
        rooms = self._rooms.all()
        await asyncio.gather(*(room.writer.finish(grace_seconds) for room in rooms))
        await self._watch.end()
        for room in rooms:
            room.hub.close()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def _application(self, pages: Pages) -> web.Application:
        application = web.Application(
            middlewares=[guard(lambda: self._port), translate_errors],
            client_max_size=BODY_BYTES,
        )
        application.on_response_prepare.append(add_headers)
        application.add_routes(self._api.routes())
        application.add_routes(self._more)
        application.add_routes(pages.routes())
        return application

    async def _watch_engine(self) -> None:
        """Tell the pages when an engine's state changes, or another one answers."""
        told: views.Json = {}
        while True:
            status = views.engine(self._conversations.engines)
            if status != told:
                told = status
                for room in self._rooms.all():
                    room.hub.publish("engine", status)
            await asyncio.sleep(STATUS_SECONDS)


def _port_error(port: int, error: OSError | OverflowError) -> UserError:
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        return UserError(f"Port {port} is in use.", 'Give another: `make run ARGS="--port 9000"`.')
    if isinstance(error, PermissionError):
        return UserError(f"Port {port} is not open to you.", "Give one from 1024 up with --port.")
    return UserError(f"Port {port} cannot be used: {error}.", "Give another with --port.")
