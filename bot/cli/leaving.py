"""Ending the process while a model is being prepared: at once, and nothing half made is left."""

import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import NoReturn, TypeVar

import psutil

from bot.engine.models.folders.making import remove_unfinished
from bot.engine.models.gptq.marlin import forget_build

SIGNALS = (signal.SIGTERM, signal.SIGINT)

Result = TypeVar("Result")


def end_at_once(code: int) -> NoReturn:
    """End the process, its compilers too, and take away what it was making.

    Nothing else needs tidying: whoever calls this has closed the rest, or is in a hurry.
    """
    children = psutil.Process().children(recursive=True)
    for child in children:
        try:
            child.kill()
        except psutil.NoSuchProcess:
            continue
    if children:
        forget_build()
    remove_unfinished()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):  # nobody reads on, or it is closed
            continue
    os._exit(code)


def run_interruptibly(
    work: Callable[[], Result], what_is_left: str = "nothing half made is left."
) -> Result:
    """What `work` returns, or raises. A signal ends the process at once, whatever it is doing.

    Who interrupts it is told `what_is_left`.

    Most of what prepares a model is one long call into a library, which hears no signal: so it
    works in a thread, and this one listens.
    """
    if threading.current_thread() is not threading.main_thread():
        return work()  # signals come to the main one alone
    results: list[Result] = []
    faults: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as fault:  # noqa: BLE001 - raised again, where it was asked for
            faults.append(fault)

    def hear(number: int, _frame: FrameType | None) -> None:
        print(f"caduceus: interrupted; {what_is_left}", file=sys.stderr)
        end_at_once(128 + number)

    before = {number: signal.signal(number, hear) for number in SIGNALS}
    thread = threading.Thread(target=run, name="preparing", daemon=True)
    try:
        thread.start()
        thread.join()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if faults:
        raise faults[0]
    return results[0]
