"""A child that hangs, and a file that is another one, or none, when it is started again."""

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from bot.engine.api import EngineState, GenerationRequest
from bot.engine.llamacpp.engine import LlamaCppEngine
from bot.engine.llamacpp.loading import Prepared, launch
from bot.engine.llamacpp.process import LlamaProcess
from bot.engine.models.gguf.file import read_gguf_header
from bot.errors import EngineError, ModelError

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]


@pytest.fixture(scope="module")
def file(prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.gguf"
    shutil.copy(prepared.header.path, path)
    return path


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine(prepared: Prepared, file: Path) -> AsyncGenerator[LlamaCppEngine, None]:
    def prepare(_: object) -> Prepared:
        return replace(prepared, header=read_gguf_header(file))

    engine = LlamaCppEngine(
        prepare, model="demo", backoff_seconds=(0.05, 0.2), watch_seconds=(0.1, 0.4)
    )
    await engine.start()
    yield engine
    await engine.close()


async def test_a_child_that_hangs_is_started_anew_and_the_reply_begun_again(
    engine: LlamaCppEngine, asking: Callable[..., GenerationRequest]
) -> None:
    _signal(engine, signal.SIGSTOP)
    async with asyncio.timeout(60):
        chunks = [chunk async for chunk in engine.generate(asking("Hello"))]
    assert chunks[-1].finish is not None
    assert engine.status().restarts == 1
    assert "did not answer any more" in engine.status().last_error


async def test_a_child_that_hangs_while_it_loads_is_ended_and_told_of(
    prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe = tmp_path / "model.gguf"  # in which nothing ever comes
    os.mkfifo(pipe)
    monkeypatch.setattr("bot.engine.llamacpp.loading.LOAD_SECONDS", 0.5)
    monkeypatch.setattr("bot.engine.llamacpp.loading.SLOWEST_BYTES_A_SECOND", 1e12)
    process = LlamaProcess()

    async def prepare() -> Prepared:
        return replace(prepared, header=replace(prepared.header, path=pipe))

    with pytest.raises(ModelError, match=r"has not loaded .*model\.gguf in"):
        await launch(process, prepare())
    async with asyncio.timeout(5):
        await process.ended.wait()


async def test_one_that_is_busy_is_left_alone(
    engine: LlamaCppEngine, asking: Callable[..., GenerationRequest]
) -> None:
    before = engine.status().restarts
    async for _ in engine.generate(asking("The sea is wide. " * 100, max_tokens=32)):
        pass
    assert engine.status().restarts == before


async def test_a_file_that_was_replaced_is_checked_before_llama_cpp_sees_it(
    engine: LlamaCppEngine, file: Path, asking: Callable[..., GenerationRequest]
) -> None:
    whole = _replace(file, lambda whole: whole[:50_000_000])
    _signal(engine, signal.SIGKILL)
    async with asyncio.timeout(30):
        while "broken-off download" not in engine.status().last_error:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert engine.status().state is EngineState.RESTARTING
    with pytest.raises(EngineError, match="restarted"):
        await engine.count_tokens(["a"])
    other = whole.replace(b"<|im_start|>assistant", b"<|im_start|>somebody!")
    _replace(file, lambda _: other)
    async with asyncio.timeout(30):
        while engine.status().state is not EngineState.READY:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert "<|im_start|>somebody!" in (engine.info.chat_template or "")
    assert [chunk async for chunk in engine.generate(asking("Hello"))][-1].finish is not None


def _replace(file: Path, change: Callable[[bytes], bytes]) -> bytes:
    """Put another file in its place: what runs keeps the one that it has. Returns the old one."""
    before = file.read_bytes()
    file.unlink()
    file.write_bytes(change(before))
    return before


def _signal(engine: LlamaCppEngine, number: signal.Signals) -> None:
    server = engine._server
    assert server is not None
    assert server.process.pid is not None
    os.kill(server.process.pid, number)
