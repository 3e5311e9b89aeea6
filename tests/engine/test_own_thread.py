"""Work that does not keep the program from ending."""

import subprocess
import sys
from pathlib import Path

import pytest

from bot.engine.own_thread import in_own_thread

STUCK = """
import asyncio, threading
from bot.engine.own_thread import in_own_thread

async def main():
    task = asyncio.create_task(in_own_thread(threading.Event().wait))
    await asyncio.sleep(0)
    task.cancel()

asyncio.run(main())
"""


async def test_it_gives_what_the_work_gives() -> None:
    assert await in_own_thread(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        await in_own_thread(lambda: 1 // 0)


@pytest.mark.slow
def test_nobody_waits_for_it_at_the_end() -> None:
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", STUCK], cwd=root, check=True, timeout=30)
