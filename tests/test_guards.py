"""The guards of conftest.py do guard."""

import asyncio
import contextlib
import socket
import time
from pathlib import Path
from types import ModuleType

import hypothesis
import pytest
from blockbuster import BlockBuster, BlockingError


def module_in_bot(source: str) -> ModuleType:
    """A module whose code claims to stand in bot/."""
    import bot

    module = ModuleType("pretended")
    path = Path(bot.__file__).parent / "pretended.py"
    exec(compile(source, str(path), "exec"), module.__dict__)
    return module


async def test_blocking_the_loop_is_a_fault_even_when_swallowed(
    loop_guard: BlockBuster, provoked_faults: list[str]
) -> None:
    pretended = module_in_bot("import time\ndef nap() -> None:\n    time.sleep(0)\n")
    with contextlib.suppress(BlockingError):
        pretended.nap()
    assert provoked_faults == ["the event loop was blocked by time.sleep"]
    provoked_faults.clear()


async def test_threads_and_the_tests_themselves_may_block() -> None:
    pretended = module_in_bot("import time\ndef nap() -> None:\n    time.sleep(0)\n")
    await asyncio.to_thread(pretended.nap)
    time.sleep(0)  # noqa: ASYNC251
    Path(__file__).read_text()  # noqa: ASYNC240


def test_only_this_machine_can_be_reached(provoked_faults: list[str]) -> None:
    with pytest.raises(RuntimeError, match="stay on this machine"):
        socket.create_connection(("discord.com", 443), timeout=1)
    with pytest.raises(RuntimeError, match="stay on this machine"), socket.socket() as plain:
        plain.connect(("192.0.2.1", 80))
    assert len(provoked_faults) == 2
    provoked_faults.clear()
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname(), timeout=5).close()


@hypothesis.given(hypothesis.strategies.integers())
async def test_property_tests_run_beside_the_guards(number: int) -> None:
    await asyncio.sleep(0)
    assert number == number


def test_the_files_that_are_begun_first_are_there(request: pytest.FixtureRequest) -> None:
    here = Path(__file__).parent
    conftest = request.config.pluginmanager.get_plugin(str(here / "conftest.py"))
    there = {file.stem for file in here.rglob("test_*.py")}
    assert conftest is not None
    assert set(conftest.LONGEST) <= there
