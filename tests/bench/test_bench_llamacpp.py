"""The benchmark of GGUF files: what is asked for, fair rounds, figures, and a whole small run."""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import pytest
from gguf_files import llama

from bot.bench.chat import Chat
from bot.bench.llamacpp.report import as_markdown
from bot.bench.llamacpp.results import LlamaCppResults, PairedResult
from bot.bench.llamacpp.session import ATTEMPTS, CountedWords, LlamaCppPlan, full_round, measure
from bot.bench.load import Load, Round, TimedAnswer
from bot.bench.prompts import PromptMaker, fixed_text
from bot.cli import bench
from bot.engine.api import GenerationStatistics
from bot.errors import EngineFailed, SettingsError

LOAD = Load(2, 16, 4, 1.0)


def parse(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    bench.add_arguments(parser)
    return parser.parse_args(arguments)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return llama(vocabulary=300).write(tmp_path / "tiny.gguf")


@pytest.fixture
def prompts() -> PromptMaker:
    return PromptMaker(CountedWords(1.5), fixed_text())


def answer(reply_tokens: int, seconds: float = 1.0) -> TimedAnswer:
    found = GenerationStatistics("", 0, 16, 0, reply_tokens, 0.0, 0.1, seconds)
    return TimedAnswer(0.0, 0.1, seconds, "text", found)


def rounds(*speeds: float) -> tuple[Round, ...]:
    return tuple(Round(0.01, speed, (0.1, 0.3), 32, 0, 8) for speed in speeds)


def test_a_gguf_file_is_for_llama_cpp_and_shapes_are_not(path: Path, tmp_path: Path) -> None:
    source = bench.for_llama_cpp(parse("--model", str(path)), tmp_path)
    assert source is not None
    plan = bench.make_llama_cpp_plan(parse("--model", str(path), "--streams", "2"), source)
    assert (plan.path, plan.repeats) == (path, 3)
    assert plan.loads == (Load(2, 64, 48, 1.0),)
    defaults = bench.make_llama_cpp_plan(parse(), source)
    assert [load.streams for load in defaults.loads] == [1, 4, 8]
    assert bench.for_llama_cpp(parse("--shapes", "tiny"), tmp_path) is None


@pytest.mark.parametrize(
    "arguments",
    [("--rows", "4"), ("--gpu-memory-gb", "8"), ("--baseline-tokens", "8"), ("--peer", "vllm")],
)
def test_what_only_torch_heeds_is_refused(
    arguments: tuple[str, ...], path: Path, tmp_path: Path
) -> None:
    args = parse("--model", str(path), *arguments)
    with pytest.raises(SettingsError, match=f"{arguments[0]} is for models that torch"):
        bench.run(args, argparse.Namespace(data_dir=tmp_path))


def test_what_does_not_fit_is_refused(path: Path) -> None:
    plan = LlamaCppPlan("tiny", path, (LOAD,), 1, None)
    plan.check_fits(20, 40)
    with pytest.raises(SettingsError, match="do not fit"):
        plan.check_fits(19, 40)
    with pytest.raises(SettingsError, match="do not fit"):
        plan.check_fits(20, 39)
    with pytest.raises(SettingsError, match="A chat of 20 turns"):
        replace(plan, chat=Chat()).check_fits(1000, 9000)


async def test_both_get_the_same_prompts_and_short_replies_do_not_count(
    prompts: PromptMaker,
) -> None:
    asked: tuple[list[str], list[str]] = ([], [])
    lengths = iter([4, 4, 4, 1])  # of the first round, the last reply ends early

    async def ours(prompt: str, _load: Load) -> TimedAnswer:
        asked[0].append(prompt)
        return answer(next(lengths, 4))

    async def servers(prompt: str, _load: Load) -> TimedAnswer:
        asked[1].append(prompt)
        return answer(next(lengths, 4), 2.0)

    found = await full_round(LOAD, prompts, (ours, servers), first=0)
    assert asked[0] == asked[1]
    assert len(set(asked[0])) == 4  # two rounds, no prompt twice
    assert [side.tokens_per_second for side in found] == [8.0, 4.0]


async def test_replies_that_never_have_their_length_are_named(prompts: PromptMaker) -> None:
    async def short(_prompt: str, _load: Load) -> TimedAnswer:
        tries.append(1)
        return answer(1)

    tries: list[int] = []
    with pytest.raises(EngineFailed, match="end before 4 tokens"):
        await full_round(LOAD, prompts, (short, short), first=1)
    assert len(tries) == ATTEMPTS * 4


def test_a_ratio_is_the_median_of_rounds_that_ran_side_by_side() -> None:
    row = PairedResult(LOAD, rounds(10, 30, 24), rounds(10, 40, 20))
    assert row.ratios == (1.0, 0.75, 1.2)
    assert row.ratio == 1.0
    assert row.tokens_per_second == (24, 20)


def test_figures_are_json_and_a_page() -> None:
    row = PairedResult(LOAD, rounds(19), rounds(20))
    machine: dict[str, object] = {
        "processor": "Some CPU",
        "cores": 2,
        "python": "3.11",
        "packages": {"xllamacpp": "1"},
    }
    results = LlamaCppResults(
        model="tiny",
        file_bytes=5_000_000,
        command="bench",
        date="2026-01-01",
        machine=machine,
        kernel="llama.cpp",
        threads=2,
        slots=8,
        room_tokens=512,
        start_seconds=0.5,
        server_start_seconds=0.4,
        memory_bytes=200_000_000,
        load_average=9.0,
        rows=(row,),
        chat=None,
    )
    assert json.loads(json.dumps(results.as_json()))["loads"][0]["ratio"] == 0.95
    page = as_markdown(results)
    assert "0.95" in page
    assert "busy with other work" in page
    assert "busy" not in as_markdown(replace(results, load_average=2.0))


@pytest.mark.slow
async def test_a_whole_run_of_a_small_file(path: Path, tmp_path: Path) -> None:
    pytest.importorskip("xllamacpp")
    plan = LlamaCppPlan(
        str(path), path, (Load(1, 16, 4, 1.0), Load(2, 16, 4, 1.15)), 1, Chat(1, 2, 16, 8, 4)
    )
    said: list[str] = []
    results = await measure(plan, tmp_path, "bench", say=said.append)
    assert [len(row.ours) for row in results.rows] == [1, 1]
    assert all(row.ratio > 0 for row in results.rows)
    assert results.start_seconds > 0
    assert results.memory_bytes > 10_000_000
    assert results.chat is not None
    assert results.chat.cached_tokens > 0
    assert "tiny on llama.cpp" in as_markdown(results)
