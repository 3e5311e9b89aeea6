"""The script for a GPU: what fits the budget runs, what was cut off goes on, nothing is lost."""

import argparse
import importlib.util
import json
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import psutil
import pytest

from bot.bench.plan import Plan
from bot.cli import bench

ROOT = Path(__file__).parents[2]
LONG_SECONDS = 1000


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bench_gpu", ROOT / "scripts" / "bench_gpu.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["bench_gpu"] = module
    spec.loader.exec_module(module)
    return module


def cell(script: ModuleType, name: str, code: str, seconds: int = 1) -> Any:
    return script.Cell(name, seconds, ("-c", code), "something")


def plan_of(words: tuple[str, ...]) -> Plan:
    parser = argparse.ArgumentParser()
    bench.add_arguments(parser)
    return bench.make_plan(parser.parse_args(words[3:]), None, on_gpu=True)


def test_every_cell_is_one_that_the_benchmark_takes(script: ModuleType, tmp_path: Path) -> None:
    plans = {
        found.name: plan_of(found.words)
        for peer in ("", "vllm/bin/python")
        for found in script.cells(peer, tmp_path)
        if found.is_bench
    }
    for name in ("8bit", "16bit", "16bit-vllm"):
        assert plans[name].streams == (1, 8, 32, 64)
        assert [chat.channels for chat in plans[name].chats] == [16, 32]
        assert plans[name].baseline_tokens == 0
    assert plans["after-generate"].baseline_tokens > 0
    assert [chat.channels for chat in plans["after-generate"].chats] == [16, 32]
    assert {
        plans[f"{size}gb-{bits}bit"].gpu_memory_gb for size in (12, 24) for bits in (8, 16)
    } == {
        12.0,
        24.0,
    }


def test_what_does_not_fit_is_left_for_later_and_what_is_whole_is_not_run_again(
    script: ModuleType, tmp_path: Path
) -> None:
    count = tmp_path / "count"
    code = f"open({str(count)!r}, 'a').write('x')"
    wanted = [cell(script, "long", code, LONG_SECONDS), cell(script, "short", code)]
    first = script.run_cells(wanted, tmp_path, 60)
    assert {name: found.state for name, found in first.items()} == {
        "long": "left for later",
        "short": "whole",
    }
    again = script.run_cells(wanted, tmp_path, LONG_SECONDS + 60)
    assert {found.state for found in again.values()} == {"whole"}
    assert count.read_text() == "xx"
    assert "| short | something | whole |" in (tmp_path / "cells.md").read_text()


def test_a_failure_is_told_with_its_last_lines_and_the_rest_runs(
    script: ModuleType, tmp_path: Path
) -> None:
    wanted = [cell(script, "bad", "raise SystemExit('no card')"), cell(script, "good", "")]
    script.run_cells(wanted, tmp_path, 60)
    told = json.loads((tmp_path / "cells.json").read_text())
    assert (told["bad"]["state"], told["bad"]["last_lines"]) == ("failed", ["no card"])
    assert told["good"]["state"] == "whole"


def test_what_is_cut_off_ends_with_all_it_started(script: ModuleType, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    code = (
        "import subprocess, time\n"
        f"helper = subprocess.Popen(['sleep', '{LONG_SECONDS}'])\n"
        f"open({str(mark)!r}, 'w').write(str(helper.pid))\n"
        f"time.sleep({LONG_SECONDS})"
    )
    began = time.monotonic()
    outcome = script.run_cell(cell(script, "endless", code), tmp_path, 2.0, sys.executable)
    assert outcome.state == "cut off"
    assert time.monotonic() - began < LONG_SECONDS
    if psutil.pid_exists(helper := int(mark.read_text())):
        process = psutil.Process(helper)
        psutil.wait_procs([process], 30)
        assert not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    script.run_cells([cell(script, "endless", "")], tmp_path, 60)
    assert json.loads((tmp_path / "cells.json").read_text())["endless"]["state"] == "whole"


def test_what_went_wrong_waits_until_all_was_tried(script: ModuleType, tmp_path: Path) -> None:
    order = tmp_path / "order"

    def naming(name: str, end: str = "") -> Any:
        return cell(script, name, f"open({str(order)!r}, 'a').write('{name} '){end}")

    wanted = [naming("bad", "; raise SystemExit(1)"), naming("good")]
    script.run_cells(wanted[:1], tmp_path, 60)
    script.run_cells(wanted, tmp_path, 60)
    assert order.read_text() == "bad good bad "


def test_results_that_are_not_whole_are_made_again(script: ModuleType, tmp_path: Path) -> None:
    found = script.bench("8bit", 1, "as it comes")
    outcomes = {"8bit": script.Outcome("whole")}
    file = tmp_path / "8bit.json"
    assert not script.is_whole(found, tmp_path, outcomes)
    file.write_text('{"complete": tr')
    assert not script.is_whole(found, tmp_path, outcomes)
    file.write_text('{"complete": true}')
    assert script.is_whole(found, tmp_path, outcomes)
    assert not script.is_whole(found, tmp_path, {"8bit": script.Outcome("failed")})
