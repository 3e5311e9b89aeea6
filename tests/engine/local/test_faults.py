"""Faults of the device: which ones last, and that nothing of a failed runner lives on."""

import asyncio
import gc
import logging
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from test_local_engine import PROMPTS, ask, read, running, text_of, until

from bot.engine.api import EngineState
from bot.engine.local.engine import LocalEngine
from bot.engine.local.faults import is_sticky
from bot.engine.local.runner import RunnerLimits, Segment
from bot.engine.portable.llama import LlamaRunner
from bot.errors import EngineError, EngineFailed, EngineUnavailable

ASSERT = "CUDA error: device-side assert triggered\nCUDA kernel errors might be reported later"


@pytest.fixture(scope="module")
def loaded(tiny_loader: Callable[..., Any]) -> Any:
    return tiny_loader()


class Keeping:
    """Builds runners as gptqmodel does: an exception that was met on the way is kept for good."""

    def __init__(self, fault: Exception | None = None, *, at_build: bool = False) -> None:
        self.kept: list[Exception] = []
        self.runners: list[weakref.ref[Any]] = []
        self._fault = fault
        self._at_build = at_build

    def __call__(self, loaded: Any, limits: RunnerLimits) -> Any:
        try:
            self._import()
        except ImportError as error:
            self.kept.append(error)
        first = not self.runners
        runner = self._runner(loaded, limits, self._fault if first else None)
        self.runners.append(weakref.ref(runner))
        if first and self._at_build and self._fault is not None:
            raise self._fault
        return runner

    def _import(self) -> None:
        raise ImportError("an optional module")

    def _runner(self, loaded: Any, limits: RunnerLimits, fault: Exception | None) -> LlamaRunner:
        class Failing(LlamaRunner):
            def step(self, pieces: Sequence[Segment]) -> list[int]:
                if fault is not None and pieces[0].start > 6:
                    raise fault
                return super().step(pieces)

        return Failing(loaded, limits)

    def alive(self) -> list[bool]:
        gc.collect()
        return [runner() is not None for runner in self.runners]


async def test_nothing_of_a_failed_runner_lives_on(loaded: Any) -> None:
    build = Keeping(ValueError("once"))
    async with running(lambda: loaded, build=build, backoff_seconds=(0.01, 0.01)) as engine:
        with pytest.raises(EngineFailed):
            await read(engine, ask())
        await until(lambda: engine.status().state is EngineState.READY)
        assert text_of(await read(engine, ask(PROMPTS[3])))
        assert await asyncio.to_thread(build.alive) == [False, True]
    assert await asyncio.to_thread(build.alive) == [False, False]


async def test_nothing_of_a_runner_that_could_not_be_built_lives_on(loaded: Any) -> None:
    build = Keeping(ValueError("at once"), at_build=True)
    engine = LocalEngine(lambda: loaded, build)
    with pytest.raises(EngineFailed) as caught:  # who keeps it keeps no runner
        await engine.start()
    await engine.close()
    assert await asyncio.to_thread(build.alive) == [False]
    assert isinstance(caught.value.__cause__, ValueError)


async def test_a_fault_that_lasts_ends_the_engine_after_telling_who_waits(loaded: Any) -> None:
    build = Keeping(RuntimeError(ASSERT))
    async with running(
        lambda: loaded, build=build, max_rows=1, backoff_seconds=(0.01, 0.01)
    ) as engine:
        lost = asyncio.ensure_future(engine.lost())
        asked = [asyncio.ensure_future(read(engine, ask(channel=name))) for name in "ab"]
        for one in asked:
            with pytest.raises(EngineFailed, match="started anew"):
                await one
        async with asyncio.timeout(20):
            assert "device-side assert" in str(await lost)
        status = engine.status()
        assert (status.state, status.restarts) == (EngineState.STOPPED, 0)
        assert "device-side assert" in status.last_error
        with pytest.raises(EngineUnavailable, match="started anew"):
            await read(engine, ask())
        assert len(build.runners) == 1


async def test_a_fault_that_passes_loses_nothing(loaded: Any) -> None:
    build = Keeping(RuntimeError("CUDA error: invalid configuration argument"))
    async with running(lambda: loaded, build=build, backoff_seconds=(0.01, 0.01)) as engine:
        lost = asyncio.ensure_future(engine.lost())
        with pytest.raises(EngineFailed, match="restarted"):
            await read(engine, ask())
        await until(lambda: engine.status().state is EngineState.READY)
        assert not lost.done()
        lost.cancel()


async def test_a_device_that_fails_at_the_giving_back_of_memory_is_lost(
    loaded: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def give_back() -> None:
        raise RuntimeError(ASSERT)

    monkeypatch.setattr("bot.engine.local.worker._give_back_memory", give_back)
    async with running(lambda: loaded, build=Keeping(ValueError("once"))) as engine:
        with pytest.raises(EngineError):
            await read(engine, ask())
        async with asyncio.timeout(20):
            await engine.lost()
        assert engine.status().state is EngineState.STOPPED


def caused_by(cause: Exception) -> Exception:
    fault = ValueError("what it led to")
    fault.__cause__ = cause
    return fault


class NumberedError(RuntimeError):
    error_code = 700


@pytest.mark.parametrize(
    ("fault", "sticky"),
    [
        (RuntimeError(ASSERT), True),
        (torch.AcceleratorError("CUDA error: an illegal memory access was encountered"), True),
        (RuntimeError("Triton Error [CUDA]: an illegal memory access was encountered"), True),
        (RuntimeError("CUDA error: unspecified launch failure"), True),
        (NumberedError("in another language"), True),
        (caused_by(RuntimeError("CUDA error: misaligned address")), True),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate"), False),
        (RuntimeError("CUDA error: out of memory"), False),
        (RuntimeError("CUDA error: no kernel image is available for execution"), False),
        (ValueError("somebody wrote: device-side assert"), False),
        (MemoryError(), False),
    ],
)
def test_which_faults_last(fault: Exception, sticky: bool) -> None:
    assert is_sticky(fault) is sticky


class Breaking:
    """Runners of which the first breaks once somebody asks, in one place; it keeps the fault."""

    def __init__(self, place: str) -> None:
        self.runners: list[weakref.ref[Any]] = []
        self.is_armed = False
        self.broke = False
        self.faults: list[Exception] = []
        self._place = place

    def __call__(self, loaded: Any, limits: RunnerLimits) -> Any:
        runner = LlamaRunner(loaded, limits)
        self.runners.append(weakref.ref(runner))
        owner: Any = runner.host if self._place in ("save", "load") else runner
        plain = getattr(owner, self._place)

        def breaking(*arguments: Any, **named: Any) -> Any:
            if self.is_armed:
                self.is_armed, self.broke = False, True
                fault = RuntimeError("once")
                self.faults.append(fault)
                raise fault
            return plain(*arguments, **named)

        setattr(owner, self._place, breaking)
        return runner

    def alive(self) -> list[bool]:
        gc.collect()
        return [runner() is not None for runner in self.runners]


@pytest.mark.parametrize("place", ["begin", "sample", "logits", "release", "save", "load"])
async def test_wherever_a_runner_breaks_nothing_of_it_lives_on(
    loaded: Any, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What collects log records for tests keeps their tracebacks, and these the functions.
    monkeypatch.setattr(logging.getLogger("bot.engine.local.worker"), "disabled", True)
    build = Breaking(place)
    options: dict[str, Any] = {"room_tokens": 192, "host_bytes": 8 << 20, "max_rows": 1}
    async with running(
        lambda: loaded, build=build, backoff_seconds=(0.01, 0.01), **options
    ) as engine:
        long = "two wings and two snakes " * 8
        build.is_armed = place not in ("load", "release")
        with pytest.raises(EngineFailed, match="once"):
            for number in range(8):  # more than there is room for
                build.is_armed = build.is_armed or number > 3
                await read(engine, ask(f"{number % 4} {long}", channel=f"c{number % 4}"))
        await until(lambda: engine.status().state is EngineState.READY)
        assert text_of(await read(engine, ask(PROMPTS[3])))
        assert build.broke
        assert await asyncio.to_thread(build.alive) == [False, True]
        assert engine.status().host_kv_tokens_used == 0  # no copy of before is trusted
