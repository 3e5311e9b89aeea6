"""Doing a thing to its end although whoever asked for it is cancelled."""

import asyncio
from collections.abc import Coroutine
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
