"""Doing a thing to its end although whoever asked for it is cancelled."""

import asyncio
from collections.abc import Coroutine, Sequence
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


async def wait_for_all(works: Sequence[Coroutine[Any, Any, None]], seconds: float) -> None:
    """Wait until all have ended, at most so long. None is cancelled for good: only its waiting."""
    if not works:
        return
    waits = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.wait(waits, timeout=max(0.0, seconds))
    finally:
        for wait in waits:
            wait.cancel()
