"""Work in a thread that nobody waits for when the program ends.

`asyncio.to_thread` is for what is done in a moment: at the end, its threads are waited for. A
download or a hash of gigabytes in one of them would keep the program from ending.
"""

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")


async def in_own_thread(work: Callable[[], Result]) -> Result:
    """What `work` returns or raises. It goes on when whoever awaits this is cancelled."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Result] = loop.create_future()

    def settle(result: Callable[[], None]) -> None:
        if not done.done():
            result()

    def tell(result: Callable[[], None]) -> None:
        try:
            loop.call_soon_threadsafe(settle, result)
        except RuntimeError:
            if not loop.is_closed():
                raise
            # Nobody is left to be told.

    def run() -> None:
        try:
            found = work()
        except BaseException as fault:  # noqa: BLE001 - raised again, where it was asked for
            tell(lambda fault=fault: done.set_exception(fault))
        else:
            tell(lambda: done.set_result(found))

    # By this name, `leave` in `bot.__main__` knows what may still run.
    threading.Thread(target=run, name="engine", daemon=True).start()
    return await done
