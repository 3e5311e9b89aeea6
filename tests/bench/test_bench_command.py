"""`python -m bot bench`: its options, what it needs, and a whole run on a tiny checkpoint."""

import argparse
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from blockbuster import BlockBuster

from bot import __main__ as command_line
from bot.cli import bench
from bot.errors import SettingsError
from bot.logs import StandardErrorHandler

ROOT = Path(__file__).parents[2]
FOREIGN = ("discord", "sqlalchemy", "aiosqlite", "alembic", "rich", "prometheus_client")
RUN_SECONDS = 240  # most of it imports of libraries


def parse(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    bench.add_arguments(parser)
    return parser.parse_args(arguments)


@pytest.mark.parametrize(
    "text", ["", "llama-99b", "1,2,3", "256,512,2,2,2,x", "0,512,2,2,2,512", "250,512,2,2,2,512"]
)
def test_shapes_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(SettingsError):
        bench.parse_shapes(text)


def test_shapes_are_a_name_or_numbers() -> None:
    assert bench.parse_shapes("llama-13b").hidden == 5120
    shapes = bench.parse_shapes("512,1024,3,4,2,1000")
    assert (shapes.layers, shapes.kv_heads, shapes.vocabulary) == (3, 2, 1000)


def test_a_gpu_is_asked_for_many_streams_of_a_13b() -> None:
    plan = bench.make_plan(parse(), None, on_gpu=True)
    assert (plan.model, plan.shapes and plan.shapes.layers) == ("", 40)
    assert (plan.streams, plan.prompt_tokens, plan.new_tokens) == ((1, 8, 32, 64), 512, 128)
    assert plan.penalties == (1.15, 1.0)
    (chat,) = plan.chats
    assert (chat.channels, chat.turns, chat.persona_tokens) == (32, 20, 400)
    chat.check_fits(2048)


def test_a_processor_gets_the_embedded_model() -> None:
    plan = bench.make_plan(parse(), None, on_gpu=False)
    assert (plan.model, plan.streams) == ("demo", (1, 4))


def test_options_count_more_than_defaults() -> None:
    args = parse("--streams", "2,3", "--prompt-tokens", "9", "--chat-channels", "0")
    plan = bench.make_plan(args, None, on_gpu=True)
    assert (plan.streams, plan.prompt_tokens, plan.chats) == ((2, 3), 9, ())


def test_a_chat_goes_on_in_as_many_channels_as_are_named() -> None:
    plan = bench.make_plan(parse("--chat-channels", "16,32,16"), None, on_gpu=True)
    assert [chat.channels for chat in plan.chats] == [16, 32]
    assert plan.most_streams == 64
    assert plan.longest_tokens == plan.chats[0].longest_tokens


@pytest.mark.parametrize(
    "arguments",
    [
        ("--streams", "0"),
        ("--streams", "1,"),
        ("--penalties", "nan"),
        ("--penalties", "0"),
        ("--repeats", "0"),
        ("--new-tokens", "1"),
        ("--gpu-memory-gb", "inf"),
    ],
)
def test_numbers_out_of_range_are_refused(arguments: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit):
        parse(*arguments)


def run_command(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """In a process where what the bot itself needs is not installed."""
    script = (
        "import sys\n"
        f"for name in {FOREIGN!r}: sys.modules[name] = None\n"
        "from bot.__main__ import main\n"
        f"sys.argv = ['bot', 'bench', *{list(arguments)!r}]\n"
        "sys.exit(main())\n"
    )
    environment = {**os.environ, "DATA_DIR": str(tmp_path / "data"), "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=environment | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.timeout(RUN_SECONDS + 10)
def test_a_run_measures_all_without_what_only_the_bot_needs(tmp_path: Path) -> None:
    options = "--shapes tiny --streams 1,3 --prompt-tokens 24 --new-tokens 24 --repeats 2"
    chat = "--chat-channels 2 --chat-turns 3 --persona-tokens 40 --message-tokens 8"
    files = ("--json", "found.json", "--markdown", "found.md")
    done = run_command(tmp_path, *options.split(), *chat.split(), *files)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "found.json").read_text())
    measured = [(row["streams"], row["repetition_penalty"]) for row in found["loads"]]
    assert measured == [(1, 1.15), (3, 1.15), (1, 1.0), (3, 1.0)]
    for row in [*found["loads"], *found["generate"]]:
        assert len(row["step_ms"]["values"]) == 2
        assert min(row["step_ms"]["values"]) > 0
        assert row["cached_prompt_tokens"] == [0, 0]
        assert row["prompt_tokens_counted"] == [24 * row["streams"]] * 2
    assert found["generate_missing"] == ""
    assert found["floor"]["weight_gb_per_step"] > 0
    (last,) = found["chats"]
    assert found["peer"] is None
    assert last["last_cached_tokens"] > last["last_prompt_tokens"] // 2
    assert last["last_cached_tokens_without_reuse"] == 0
    assert done.stdout.strip() == (tmp_path / "found.md").read_text().strip()
    assert os.uname().nodename not in json.dumps(found)


@pytest.fixture
def here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loop_guard: BlockBuster
) -> Iterator[None]:
    """A folder to run the command in, in this process: its libraries are imported once."""
    for function in loop_guard.functions.values():  # nobody else is served on this loop
        function.can_block_in("bot/bench/session.py", {"run"})
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    root = logging.getLogger()
    level = root.level
    yield
    root.setLevel(level)
    for handler in [h for h in root.handlers if isinstance(h, StandardErrorHandler)]:
        root.removeHandler(handler)
    logging.captureWarnings(False)


@pytest.mark.slow
@pytest.mark.usefixtures("here")
def test_without_a_file_for_them_the_figures_end_the_output(
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = "--shapes tiny --streams 1 --penalties 1 --prompt-tokens 8 --new-tokens 4 --repeats 1"
    words = ["bench", *options.split(), "--baseline-tokens=0", "--chat-channels=0"]
    assert command_line.main(words) == 0
    table, figures = capsys.readouterr().out.rstrip().rsplit("\n", 1)
    assert "| streams |" in table
    assert json.loads(figures)["loads"][0]["streams"] == 1


@pytest.mark.slow
@pytest.mark.usefixtures("here")
def test_what_cannot_fit_is_said_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["bench", "--shapes", "tiny", "--prompt-tokens", "9000"]
    assert command_line.main(words) == command_line.EXIT_USERS == 2
    assert "--prompt-tokens" in capsys.readouterr().err.splitlines()[-1]


def test_a_model_and_shapes_contradict(tmp_path: Path) -> None:
    class Settings:
        data_dir = tmp_path

    with pytest.raises(SettingsError):
        bench.run(parse("--model", "demo", "--shapes", "tiny"), Settings())


def test_results_need_a_folder_that_is_there(tmp_path: Path) -> None:
    class Settings:
        data_dir = tmp_path

    with pytest.raises(SettingsError, match="no folder"):
        bench.run(parse("--json", str(tmp_path / "gone" / "a.json")), Settings())
