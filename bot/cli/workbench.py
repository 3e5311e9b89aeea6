"""``python -m bot workbench``: the local page."""

import argparse
import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial

from bot import __version__
from bot.app import App
from bot.chat.personas.folder import PersonaFolder
from bot.cli.serving import serve
from bot.errors import UserError
from bot.settings import ProcessSettings
from bot.workbench import Workbench

logger = logging.getLogger(__name__)

FIRST_PORT = 8080
PORTS_TRIED = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`--port`."""
    parser.add_argument(
        "--port",
        type=_port,
        default=None,
        help=f"where to listen on 127.0.0.1 (default: {FIRST_PORT}, or the next free one)",
    )


def run(args: argparse.Namespace, settings: ProcessSettings) -> int:
    """Serve until a signal."""
    ports = [args.port] if args.port is not None else list(_default_ports())

    @asynccontextmanager
    async def front_end(app: App) -> AsyncGenerator[asyncio.Task[None] | None, None]:
        workbench = await _started(app, ports)
        print(f"Caduceus is at {workbench.url} (Ctrl-C ends it).", flush=True)
        if settings.discord_token is None:
            print("DISCORD_TOKEN is not set, so this is the local page alone.", flush=True)
        try:
            yield None
        finally:
            await workbench.close()

    return serve(settings, front_end, engine_first=False)


async def _started(app: App, ports: list[int]) -> Workbench:
    """The page on the first of `ports` that is free."""
    parts = partial(
        Workbench,
        app.conversations,
        version=__version__,
        folder=PersonaFolder(app.library),
        notebook=app.notebook,
    )
    for port in ports[:-1]:
        workbench = parts(port=port)
        try:
            await workbench.start()
        except UserError as error:
            logger.debug("port %d: %s", port, error)
            continue
        return workbench
    workbench = parts(port=ports[-1])
    await workbench.start()
    return workbench


def _default_ports() -> range:
    return range(FIRST_PORT, FIRST_PORT + PORTS_TRIED)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= 65535):
        raise argparse.ArgumentTypeError("a port is a number from 0 (any free one) to 65535")
    return int(text)
