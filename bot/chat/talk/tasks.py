"""Waiting for the end of things: whatever happens to who waits, or for so long at most."""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

T = TypeVar("T")

_unfinished: set[asyncio.Future[Any]] = set()  # the loop itself holds tasks only weakly


async def complete(work: "Coroutine[Any, Any, T] | asyncio.Task[T]") -> T:
    """Await `work`, which runs to its end even when this is cancelled meanwhile.

    The cancellation takes effect after the work. An exception of the work goes before it.
    """
    task = asyncio.ensure_future(work)
    _unfinished.add(task)
    task.add_done_callback(_unfinished.discard)
    cancelled = False
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            cancelled = True
    result = task.result()
    if cancelled:
        raise asyncio.CancelledError
    return result


async def all_ended(waits: Iterable[Coroutine[Any, Any, None]], seconds: float) -> None:
    """Wait for all of them, at most so long."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    if not tasks:
        return
    try:
        await asyncio.wait(tasks, timeout=max(0.0, seconds))
    finally:
        for task in tasks:
            task.cancel()
