"""After a fault, wherever it comes, the engine is back on a real GPU with all of its memory."""

import asyncio
import gc
import subprocess
import sys
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoints import make_gptq, write_new_layout

from bot.engine.api import EngineState, GenerationRequest, Sampling
from bot.engine.building import build_runner, load_model
from bot.engine.cuda import building, graphs
from bot.engine.cuda.fitting import RESERVE_BYTES
from bot.engine.cuda.runner import CudaRunner
from bot.engine.local.engine import LocalEngine
from bot.errors import EngineFailed

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
    pytest.mark.timeout(600),  # Marlin is compiled at its first use
]

PASSING = "CUDA error: made up for this test"
CACHE_BYTES = 400 << 20  # more than a runner of the small card takes: two of them do not fit
STEP_BYTES = 128 << 20  # for weights and steps


@pytest.fixture
def small_card() -> Iterator[None]:
    """A card that a second runner beside the first one does not fit on."""
    gc.collect()
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    allowed = torch.cuda.memory_allocated() + RESERVE_BYTES + STEP_BYTES + CACHE_BYTES
    torch.cuda.set_per_process_memory_fraction(allowed / total)
    yield
    torch.cuda.set_per_process_memory_fraction(1.0)


class Lives:
    """Builds runners as the engine does, and remembers them without keeping them."""

    def __init__(self, folder: Path, in_second_life: Callable[[], None] = lambda: None) -> None:
        self.path = write_new_layout(make_gptq(group_size=64), folder / "model")
        self.data_dir = folder / "data"
        self.runners: list[weakref.ref[CudaRunner]] = []
        self._in_second_life = in_second_life
        self._loads = 0

    def load(self) -> Any:
        self._loads += 1
        if self._loads == 2:
            self._in_second_life()
        loaded = load_model(str(self.path), data_dir=self.data_dir)
        loaded.end_tokens = (-1,)
        return loaded

    def build(self, loaded: Any, limits: Any) -> Any:
        runner = build_runner(loaded, limits)
        self.runners.append(weakref.ref(runner))  # type: ignore[arg-type]
        return runner

    def alive(self) -> list[bool]:
        gc.collect()
        return [runner() is not None for runner in self.runners]


async def ask(engine: LocalEngine) -> int:
    request = GenerationRequest("t5 t6 t7", "c", user="u", max_tokens=6, sampling=Sampling(seed=1))
    found = 0
    async for chunk in engine.generate(request):
        if chunk.statistics is not None:
            found = chunk.statistics.reply_tokens
    return found


async def is_back(engine: LocalEngine) -> None:
    async with asyncio.timeout(120):
        while engine.status().state is not EngineState.READY:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.05)


def fail_once(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> None:
    """The next call fails as a device does, while it holds what it was given."""
    plain = getattr(owner, name)

    def failing(*arguments: Any, **named: Any) -> Any:
        monkeypatch.setattr(owner, name, plain)
        raise RuntimeError(PASSING)

    monkeypatch.setattr(owner, name, failing)


@pytest.mark.usefixtures("small_card")
@pytest.mark.parametrize("place", ["_prefill", "_launch", "_collect", "sample", "begin"])
async def test_a_fault_while_it_serves_costs_the_reply_and_nothing_else(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lives = Lives(tmp_path)
    engine = LocalEngine(lives.load, lives.build, backoff_seconds=(0.01, 0.01))
    await engine.start()
    try:
        room = engine.status().kv_tokens_total
        assert await ask(engine) == 6
        fail_once(monkeypatch, CudaRunner, place)
        with pytest.raises(EngineFailed, match="made up"):
            await ask(engine)
        await is_back(engine)
        assert await ask(engine) == 6
        assert engine.status().kv_tokens_total == room
        assert await asyncio.to_thread(lives.alive) == [False, True]
    finally:
        await engine.close()
    assert await asyncio.to_thread(lives.alive) == [False, False]


@pytest.mark.usefixtures("small_card")
@pytest.mark.parametrize(
    ("owner", "name"),
    [(building, "read_decoder"), (graphs, "_captured"), (graphs, "sample")],
    ids=["load", "capture", "sampling"],
)
async def test_a_fault_while_it_comes_back_is_come_back_from_too(
    owner: Any, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lives = Lives(tmp_path, lambda: fail_once(monkeypatch, owner, name))
    engine = LocalEngine(lives.load, lives.build, backoff_seconds=(0.01, 0.01))
    await engine.start()
    try:
        room = engine.status().kv_tokens_total
        fail_once(monkeypatch, CudaRunner, "_prefill")
        with pytest.raises(EngineFailed):
            await ask(engine)
        await is_back(engine)
        assert await ask(engine) == 6
        assert engine.status().restarts == 2
        assert engine.status().kv_tokens_total == room
    finally:
        await engine.close()


LOSING = """
import asyncio, sys
from pathlib import Path
import torch
from bot.engine.api import GenerationRequest, Sampling
from bot.engine.building import build_runner, load_model
from bot.engine.cuda.fitting import RESERVE_BYTES
from bot.engine.cuda.runner import CudaRunner
from bot.engine.local.engine import LocalEngine
from bot.errors import EngineFailed

def assert_on_device(self, pieces):
    torch.zeros(1, device="cuda")[torch.tensor([5], device="cuda")].cpu()

async def main():
    folder = Path(sys.argv[1])
    engine = LocalEngine(
        lambda: load_model(str(folder / "model"), data_dir=folder / "data"), build_runner
    )
    await engine.start()
    CudaRunner.step = assert_on_device
    lost = asyncio.ensure_future(engine.lost())
    try:
        async for _ in engine.generate(GenerationRequest("t5", "c", "u", 4, Sampling(seed=1))):
            pass
    except EngineFailed as error:
        print("told:", error)
    async with asyncio.timeout(60):
        print("lost:", await lost)
    print("restarts:", engine.status().restarts)

asyncio.run(main())
"""


def test_a_fault_that_lasts_is_told_from_one_that_passes(tmp_path: Path) -> None:
    write_new_layout(make_gptq(group_size=64), tmp_path / "model")
    ran = subprocess.run(  # the device of this process must stay whole
        [sys.executable, "-c", LOSING, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        cwd=Path(__file__).parents[3],
    )
    assert "lost:" in ran.stdout, ran.stdout + ran.stderr[-2000:]
    assert "restarts: 0" in ran.stdout
