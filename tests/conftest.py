"""What holds for every test: the loop is never blocked, the network ends at this machine.

A blocking call made on the event loop by code of `bot` or `cogs`, or a connection to anywhere but
loopback, fails the test that provoked it, also when the code under test swallowed the exception.
Threads (aiosqlite's, the engine's, ``asyncio.to_thread``) may block as they like.
"""

import gc
import ipaddress
import os
import socket
from collections.abc import Callable, Iterator

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
if "PYTEST_XDIST_WORKER" in os.environ:
    # One core a worker: torch's own threads would only fight over them.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import blockbuster.blockbuster as blockbuster_module
import hypothesis
import pytest
from blockbuster import BlockBuster, BlockingError

from bot.settings import SETTING_NAMES

hypothesis.settings.register_profile(
    "caduceus",
    deadline=None,
    print_blob=True,
    suppress_health_check=[
        hypothesis.HealthCheck.too_slow,  # the machine is shared, the example is not to blame
        hypothesis.HealthCheck.function_scoped_fixture,  # the guards below
    ],
)
hypothesis.settings.load_profile("caduceus")

_faults: list[str] = []  # of the running test

# Files that take ten seconds and more, the longest first (`--durations=40` tells).
LONGEST = (
    "test_workbench_browser",
    "test_load",
    "test_llamacpp_engine",
    "test_runs",
    "test_gptq_loading",
    "test_local_engine",
    "test_bench_command",
    "test_rights_of_commands",
    "test_belongings",
    "test_workbench_workshop",
    "test_forgetting_and_kills",
    "test_whole_scene",
    "test_serving",
    "test_activation_properties",
    "test_batch_memory",
    "test_quick_fingers",
    "test_hostile_cards",
    "test_workbench_page_keeps",
    "test_leaving",
    "test_light_set",
    "test_model_command",
)


@pytest.fixture(autouse=True)
def _text_at_once(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    """Scripted replies are short: none is held back until there is more of it to judge."""
    monkeypatch.setattr("bot.chat.talk.judging.LEAST_UNITS", 0)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files go first: one that is begun last would run while other workers idle.

    Those after them have slow tests, and then comes all the rest.
    """
    slow = {item.path for item in items if any(map(item.get_closest_marker, ("slow", "browser")))}

    def place(item: pytest.Item) -> tuple[int, bool]:
        name = item.path.stem
        at = LONGEST.index(name) if name in LONGEST else len(LONGEST)
        return at, item.path not in slow

    items.sort(key=place)


def pytest_collection_finish() -> None:
    """What was imported stays: no collection of garbage need walk through it any more."""
    gc.collect()
    gc.freeze()


class NetworkBlockedError(RuntimeError):
    """A test reached for a machine other than this one."""


class RecordedBlockingError(BlockingError):
    """Remembers itself: discord.py and aiohttp log what a handler raises and go on."""

    def __init__(self, func: str) -> None:
        super().__init__(func)
        _faults.append(f"the event loop was blocked by {func}")


def is_loopback(host: object) -> bool:
    """Whether a host, by name or number, is this machine."""
    if host in (None, "", b"", "localhost", b"localhost"):
        return True
    text = host.decode() if isinstance(host, bytes) else str(host)
    try:
        return ipaddress.ip_address(text.partition("%")[0]).is_loopback
    except ValueError:
        return False


@pytest.fixture(autouse=True, scope="session")
def _loopback_only() -> Iterator[None]:  # pyright: ignore[reportUnusedFunction]
    patch = pytest.MonkeyPatch()

    def refuse(host: object) -> None:
        if not is_loopback(host):
            _faults.append(f"a connection to {host!r} was tried")
            raise NetworkBlockedError(f"Tests stay on this machine; this one wanted {host!r}.")

    def guarded(original: Callable[..., object]) -> Callable[..., object]:
        def connect(self: socket.socket, address: object) -> object:
            if self.family in (socket.AF_INET, socket.AF_INET6) and isinstance(address, tuple):
                refuse(address[0])
            return original(self, address)

        return connect

    original_lookup = socket.getaddrinfo

    def lookup(host: object, *args: object, **kwargs: object) -> object:
        refuse(host)
        return original_lookup(host, *args, **kwargs)  # type: ignore[arg-type]

    patch.setattr(socket.socket, "connect", guarded(socket.socket.connect))
    patch.setattr(socket.socket, "connect_ex", guarded(socket.socket.connect_ex))
    patch.setattr(socket, "getaddrinfo", lookup)
    yield
    patch.undo()


@pytest.fixture(autouse=True)
def loop_guard() -> Iterator[BlockBuster]:
    """Fails a test whose event loop was blocked by our code.

    A test may ask for it to allow something that is blocking on purpose:
    ``loop_guard.functions["os.stat"].can_block_in("bot/thing.py", {"function"})``.
    """
    _faults.clear()
    guard = BlockBuster(["bot", "cogs"], excluded_modules=["bot.cli"])
    for function in guard.functions.values():
        function.can_block_in("<frozen importlib._bootstrap>", {"_find_and_load"})
        function.can_block_in("logging/__init__.py", {"handle"})
        function.can_block_in("linecache.py", {"updatecache", "checkcache"})
        # A time zone is a small file, read once like a module.
        function.can_block_in("zoneinfo/_common.py", {"load_tzdata", "load_data"})
        function.can_block_in("zoneinfo/_tzpath.py", {"find_tzfile"})
        function.can_block_in("_pytest/assertion/rewrite.py", {"exec_module"})
    patch = pytest.MonkeyPatch()
    patch.setattr(blockbuster_module, "BlockingError", RecordedBlockingError)
    guard.activate()
    yield guard
    guard.deactivate()
    patch.undo()
    if _faults:
        pytest.fail("; ".join(dict.fromkeys(_faults)))


@pytest.fixture
def provoked_faults() -> list[str]:
    """For tests of the guards themselves: what was recorded; clear it to let the test pass."""
    return _faults


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(  # pyright: ignore[reportUnusedFunction]
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in SETTING_NAMES:
        monkeypatch.delenv(name, raising=False)
