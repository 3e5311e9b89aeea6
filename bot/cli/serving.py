"""What the bot and the local page share: starting the engine, serving, signals, the end."""

import asyncio
import logging
import signal
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from bot.app import GRACE_SECONDS, App, open_app
from bot.cli.findings import better_model
from bot.cli.leaving import end_at_once
from bot.settings import DEMO_MODEL, ProcessSettings

logger = logging.getLogger(__name__)

LOOK_SECONDS = 0.1
STARTING = "Starting the engine"
SIGNALS = (signal.SIGTERM, signal.SIGINT)
# Under `make run`, a signal to the whole group (systemd, `timeout`) comes twice in a few
# milliseconds: once itself, once passed on by make. That is one wish, not two.
ECHO_SECONDS = 0.5

# Yields what to wait for while it serves: a task that ends only with the front end itself, or None.
FrontEnd = Callable[[App], AbstractAsyncContextManager["asyncio.Task[None] | None"]]


def serve(settings: ProcessSettings, front_end: FrontEnd, *, engine_first: bool) -> int:
    """Run a front end until a signal or a fault ends it; returns the exit code.

    `engine_first` waits for the model before the front end starts; a front end that says itself
    that the model is loading need not.
    """
    if settings.engine == "local" and settings.model == DEMO_MODEL:
        logger.info("MODEL=%s: %s", settings.model, better_model())
    asyncio.run(_serve(settings, front_end, engine_first))
    return 0


async def _serve(settings: ProcessSettings, front_end: FrontEnd, engine_first: bool) -> None:
    async with stop_signal() as told, open_app(settings) as app, showing_progress(app):
        over = asyncio.ensure_future(_first_of(told, app.engine_lost))
        if engine_first and not await _done_before(over, app.engine_start):
            return
        async with front_end(app) as running:
            if await _done_before(over, app.engine_start):
                await _done_before(over, running or over)
            await app.close_conversations()
            if app.engine_lost.done():  # who waited has been told; a supervisor starts it anew
                raise app.engine_lost.result()
    logger.info("stopped")


async def _first_of(*ends: "asyncio.Future[Any]") -> None:
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)


async def _done_before(over: "asyncio.Future[None]", awaited: "asyncio.Future[None]") -> bool:
    """Wait for `awaited`, raising what it raised; False when the end came first."""
    await asyncio.wait([awaited, over], return_when=asyncio.FIRST_COMPLETED)
    if over.done():
        return False
    await awaited
    return True


@asynccontextmanager
async def stop_signal() -> AsyncGenerator["asyncio.Future[None]", None]:
    """A future that SIGTERM or Ctrl-C resolves. A second signal ends the process at once.

    Whatever was shown of a reply is in the database by then: nothing needs tidying.
    """
    loop = asyncio.get_running_loop()
    told: asyncio.Future[None] = loop.create_future()
    first_at = 0.0

    def hear(number: int) -> None:
        nonlocal first_at
        if told.done():
            if loop.time() - first_at < ECHO_SECONDS:
                return
            print("caduceus: ended at once, on the second signal.", file=sys.stderr, flush=True)
            end_at_once(128 + number)
        logger.info(
            "stopping: no new replies, running ones get %.0f s; a second signal ends at once",
            GRACE_SECONDS,
        )
        first_at = loop.time()
        told.set_result(None)

    for number in SIGNALS:
        loop.add_signal_handler(number, hear, number)
    try:
        yield told
    finally:
        for number in SIGNALS:
            loop.remove_signal_handler(number)


@asynccontextmanager
async def showing_progress(app: App) -> AsyncGenerator[None, None]:
    """Show how far the engine's start is: a bar on a terminal, else a line for each new step."""
    console = Console(stderr=True)
    show = _bar(app, console) if console.is_terminal else _lines(app)
    task = asyncio.create_task(show, name="start progress")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _bar(app: App, console: Console) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task(STARTING, total=None)
        while not app.engine_start.done():
            status = app.engines.all[0].status()
            progress.update(
                bar,
                description=status.activity or STARTING,
                total=None if status.progress is None else 1.0,
                completed=status.progress or 0.0,
            )
            await asyncio.sleep(LOOK_SECONDS)


async def _lines(app: App) -> None:
    shown = ""
    while not app.engine_start.done():
        activity = app.engines.all[0].status().activity
        if activity and activity != shown:
            shown = activity
            logger.info("%s ...", shown)
        await asyncio.sleep(LOOK_SECONDS)
