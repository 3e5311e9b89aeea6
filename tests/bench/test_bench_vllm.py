"""vLLM beside our engine: a process with a stand-in for the library, in all its moods."""

import argparse
import asyncio
import shutil
import sys
from pathlib import Path

import psutil
import pytest
import torch

from bot.bench.chat import Chat, run_chat
from bot.bench.checkpoint import Shapes, make_checkpoint
from bot.bench.load import Load, Streams, ask, request_for
from bot.bench.plan import Peer, Plan
from bot.bench.prompts import PromptMaker, RandomWordMaker
from bot.bench.results import PeerResult
from bot.bench.vllm.engine import VllmEngine, VllmSetup, engine_arguments, find_version
from bot.bench.vllm.session import context_tokens, measure_vllm
from bot.cli import bench
from bot.engine.api import EngineState
from bot.engine.local.tokens import TextTokens
from bot.errors import EngineFailed, EngineUnavailable, SettingsError

SECONDS = 30.0  # for what comes at once
MODULES = {
    "__init__": "SamplingParams",
    "engine/arg_utils": "AsyncEngineArgs",
    "sampling_params": "RequestOutputKind",
    "v1/engine/async_llm": "AsyncLLM",
}


class Numbers:
    """A tokenizer for texts like `t1 t22`."""

    def encode_prompt(self, text: str) -> list[int]:
        return [int(word.removeprefix("t")) for word in text.split()]


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stand-in where our Python finds it."""
    site = tmp_path / "site"
    (site / "vllm" / "v1" / "engine").mkdir(parents=True)
    (site / "vllm" / "engine").mkdir()
    shutil.copy(Path(__file__).with_name("vllm_stand_in.py"), site / "vllm" / "stand_in.py")
    for module, name in MODULES.items():
        path = site / "vllm" / f"{module}.py"
        path.write_text(f"from vllm.stand_in import {name}\n__all__ = [{name!r}]\n")
    metadata = site / "vllm-0.99.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: vllm\nVersion: 0.99\n")
    monkeypatch.setenv("PYTHONPATH", str(site))


def engine_for(
    tmp_path: Path,
    python: str = "",
    *,
    start_seconds: float = SECONDS,
    silent_seconds: float = 30.0,
) -> VllmEngine:
    return VllmEngine(
        VllmSetup(tmp_path, 64, 4),
        Numbers(),
        python,
        start_seconds=start_seconds,
        silent_seconds=silent_seconds,
    )


def script(tmp_path: Path, text: str) -> str:
    path = tmp_path / "python"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o700)
    return str(path)


async def test_what_measures_ours_measures_it(installed: None, tmp_path: Path) -> None:
    engine = engine_for(tmp_path)
    prompts: PromptMaker = RandomWordMaker(Numbers(), 500)
    streams = Streams(engine, prompts)
    try:
        await engine.start()
        assert (engine.version, engine.room_tokens) == ("0.99", 1600)
        assert engine.unknown_arguments == ("enable_prefix_caching",)
        assert engine.start_seconds > 0
        assert engine.status().state is EngineState.READY
        found = await streams.run(Load(3, 8, 5, 1.15))
        assert (found.reply_tokens, found.prompt_tokens) == (15, 24)
        assert 0 < min(found.first_token_seconds) <= max(found.first_token_seconds)
        last = await run_chat(engine, prompts, streams, Chat(2, 3, 20, 4, 3))
        assert (last.prompt_tokens, last.cached_tokens, last.cached_tokens_fresh) == (38, 16, 0)
    finally:
        await engine.close()
        await engine.close()
    assert engine.status().state is EngineState.STOPPED
    with pytest.raises(EngineUnavailable):
        await ask(engine, request_for("t1", "a", 4))


async def test_the_tokens_are_those_of_our_tokenizer(installed: None, tmp_path: Path) -> None:
    engine = engine_for(tmp_path)
    try:
        await engine.start()
        answer = await ask(engine, request_for("t7 t8 t9", "a", 4))
    finally:
        await engine.close()
    assert answer.text == " 7 8 9 7"
    assert answer.statistics.prompt_tokens == 3


@pytest.mark.parametrize(
    ("mood", "start_seconds", "words"),
    [
        ("hangs", 0.3, "vLLM said nothing for 0.3 s"),
        ("crashes", SECONDS, "vLLM was ended by signal 6. Its log ends: .*no such kernel"),
        ("no memory", SECONDS, "does not start: RuntimeError: CUDA out of memory.* Its log ends: "),
    ],
)
async def test_a_start_that_fails_says_why(
    installed: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    mood: str,
    start_seconds: float,
    words: str,
) -> None:
    monkeypatch.setenv("VLLM_STAND_IN", mood)
    engine = engine_for(tmp_path, start_seconds=start_seconds)
    try:
        with pytest.raises(EngineFailed, match=words):
            await engine.start()
    finally:
        await engine.close()


@pytest.mark.parametrize(
    ("mood", "silent_seconds", "words"),
    [
        ("falls silent", 0.5, "gave no token for 0.5 s"),
        ("dies", SECONDS, "ended with exit code 3. Its log ends: .*illegal memory access"),
    ],
)
async def test_what_breaks_off_fails_every_request_from_then_on(
    installed: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    mood: str,
    silent_seconds: float,
    words: str,
) -> None:
    monkeypatch.setenv("VLLM_STAND_IN", mood)
    engine = engine_for(tmp_path, silent_seconds=silent_seconds)
    try:
        await engine.start()
        asked = [ask(engine, request_for(f"t{n}", str(n), 4)) for n in range(3)]
        found = await asyncio.gather(*asked, return_exceptions=True)
        with pytest.raises(EngineFailed, match=words):
            await ask(engine, request_for("t1", "a", 4))
        assert [type(error) for error in found] == [EngineFailed] * 3
    finally:
        await engine.close()


async def test_a_request_that_it_refuses_leaves_the_others_alone(
    installed: None, tmp_path: Path
) -> None:
    engine = engine_for(tmp_path)
    try:
        await engine.start()
        long = " ".join(f"t{number}" for number in range(65))
        with pytest.raises(EngineFailed, match="ValueError: The prompt is too long"):
            await ask(engine, request_for(long, "a", 4))
        assert (await ask(engine, request_for("t1", "a", 4))).statistics.reply_tokens == 4
    finally:
        await engine.close()


async def test_a_reply_that_ends_early_spoils_the_round(
    installed: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLLM_STAND_IN", "short")
    engine = engine_for(tmp_path)
    try:
        await engine.start()
        with pytest.raises(EngineFailed, match="ended after 1 tokens of 4"):
            await Streams(engine, RandomWordMaker(Numbers(), 9)).run(Load(2, 8, 4, 1.0))
    finally:
        await engine.close()


async def test_what_it_started_ends_with_it(
    installed: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLLM_STAND_IN", "has helpers")
    engine = engine_for(tmp_path)
    try:
        await engine.start()
        with pytest.raises(EngineFailed) as caught:
            await ask(engine, request_for("t1", "a", 4))
    finally:
        await engine.close()
    helper = int(str(caught.value).rsplit(" ", 1)[1].strip("."))
    try:
        process = psutil.Process(helper)
    except psutil.NoSuchProcess:
        return
    _gone, alive = await asyncio.to_thread(psutil.wait_procs, [process], SECONDS)
    assert all(left.status() == psutil.STATUS_ZOMBIE for left in alive)


async def test_who_is_cancelled_ends_it(
    installed: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLLM_STAND_IN", "hangs")
    engine = engine_for(tmp_path)
    started = asyncio.create_task(engine.start())
    while not engine.pid:  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.01)
    process = psutil.Process(engine.pid)
    started.cancel()
    with pytest.raises(asyncio.CancelledError):
        await started
    await engine.close()
    assert not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


async def test_a_reply_that_nobody_reads_on_is_cancelled(installed: None, tmp_path: Path) -> None:
    engine = engine_for(tmp_path)
    try:
        await engine.start()
        reply = engine.generate(request_for("t1", "a", 10**6))
        await anext(reply)
        await reply.aclose()
        assert engine.status().running == 0
        assert (await ask(engine, request_for("t1", "a", 4))).statistics.reply_tokens == 4
    finally:
        await engine.close()


async def test_a_python_that_talks_nonsense_is_given_up(tmp_path: Path) -> None:
    python = script(tmp_path, "echo '{\"ready'; echo hello; echo '[]'; echo 42; echo why >&2")
    engine = engine_for(tmp_path, python)
    try:
        with pytest.raises(EngineFailed, match=r"ended with exit code 0. Its log ends: why"):
            await engine.start()
    finally:
        await engine.close()


async def test_its_version_is_found_without_importing_it(
    installed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLLM_STAND_IN", "crashes")
    assert await find_version("") == "0.99"


def test_where_it_is_not_installed_one_line_says_what_to_do() -> None:
    with pytest.raises(SettingsError) as caught:
        bench.find_peer(sys.executable)
    assert f"vLLM is not installed for {sys.executable}." in str(caught.value)
    assert "--peer-python vllm/bin/python" in str(caught.value)


@pytest.mark.parametrize("text", ["exit 4", "echo nonsense"])
def test_what_is_no_python_is_named(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsError, match="does not run as a Python"):
        bench.find_peer(script(tmp_path, text))
    with pytest.raises(SettingsError, match="cannot be started"):
        bench.find_peer(str(tmp_path / "gone"))


def test_another_python_does_not_get_our_packages_nor_any_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", "ours")
    monkeypatch.setenv("DISCORD_TOKEN", "hidden")
    seen = tmp_path / "seen"
    with pytest.raises(SettingsError):
        bench.find_peer(script(tmp_path, f"env > {seen}"))
    names = {line.partition("=")[0] for line in seen.read_text().splitlines()}
    assert not names & {"PYTHONPATH", "DISCORD_TOKEN"}
    assert "VLLM_NO_USAGE_STATS" in names


async def measure(tmp_path: Path) -> tuple[PeerResult, list[PeerResult]]:
    shapes = Shapes(128, 128, 1, 2, 2, 300)
    folder = await asyncio.to_thread(make_checkpoint, shapes, tmp_path / "cache")
    plan = Plan("", shapes, (1, 2), 8, 4, (1.0,), 2, 0, (Chat(2, 3, 16, 4, 3),))
    kept: list[PeerResult] = []
    found = await measure_vllm(
        plan,
        Peer("", "0.99"),
        str(folder),
        tmp_path,
        torch.device("cpu"),
        lambda tokenizer: RandomWordMaker(TextTokens(tokenizer), 300),
        say=lambda _text: None,
        keep=kept.append,
    )
    return found, kept


async def test_all_of_a_plan_is_measured_and_kept_on_the_way(
    installed: None, tmp_path: Path
) -> None:
    found, kept = await measure(tmp_path)
    assert [(load.load.streams, len(load.rounds)) for load in found.loads] == [(1, 2), (2, 2)]
    assert [(chat.channels, len(chat.reused)) for chat in found.chats] == [(2, 2)]
    assert found.settings["model"] == "random-gptq-128x128-1l-2h-2kv-300v-g128"
    assert found.notes == ("vLLM does not know enable_prefix_caching",)
    assert found.complete
    assert [sum(len(load.rounds) for load in partial.loads) for partial in kept] == [
        1,
        2,
        3,
        4,
        4,
        4,
    ]


async def test_a_start_without_memory_is_a_note_and_no_end(
    installed: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLLM_STAND_IN", "no memory")
    found, _kept = await measure(tmp_path)
    assert found.loads == ()
    assert "CUDA out of memory" in found.notes[0]
    assert not found.complete


def test_it_is_told_the_same_and_nothing_else() -> None:
    told = engine_arguments(VllmSetup(Path("/m"), 2048, 64, 0.88))
    assert told == {
        "model": "/m",
        "max_model_len": 2048,
        "max_num_seqs": 64,
        "enable_prefix_caching": True,
        "generation_config": "vllm",
        "disable_log_stats": True,
        "gpu_memory_utilization": 0.88,
    }
    assert "gpu_memory_utilization" not in engine_arguments(VllmSetup(Path("/m"), 64, 1))


def test_its_context_is_what_is_needed_and_the_models_at_most() -> None:
    assert context_tokens(640, 131_072) == 768
    assert context_tokens(1840, 2048) == 2048


def test_its_python_is_for_nothing_else(tmp_path: Path) -> None:
    parser = argparse.ArgumentParser()
    bench.add_arguments(parser)
    with pytest.raises(SettingsError, match="--peer vllm"):
        bench.run(parser.parse_args(["--peer-python", "x"]), argparse.Namespace(data_dir=tmp_path))
