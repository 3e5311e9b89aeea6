"""How many threads compute, and that they sleep while they wait."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bot.engine.machine import threads
from bot.engine.machine.cgroups import Limits
from bot.engine.machine.threads import choose_threads

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def nothing_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(threads, "read_limits", lambda: Limits())


def machine(monkeypatch: pytest.MonkeyPatch, folder: Path, siblings: dict[int, str]) -> None:
    for number, text in siblings.items():
        topology = folder / f"cpu{number}" / "topology"
        topology.mkdir(parents=True)
        (topology / "thread_siblings_list").write_text(f"{text}\n")
    monkeypatch.setattr(threads, "CPUS", folder)


@pytest.mark.parametrize(
    ("allowed", "count"), [({0, 1, 2, 3}, 2), ({0, 2}, 1), ({0, 1}, 2), ({0}, 1), ({0, 9}, 2)]
)
def test_two_threads_of_a_core_count_once(
    allowed: set[int], count: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    machine(monkeypatch, tmp_path, {0: "0,2", 2: "0,2", 1: "1,3", 3: "1,3"})
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: allowed, raising=False)
    assert choose_threads() == count
    assert choose_threads(7) == 7


@pytest.mark.parametrize(("share", "count"), [(None, 4), (1.5, 2), (0.05, 1), (16.0, 4)])
def test_a_containers_share_is_not_exceeded(
    share: float | None, count: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0, 1, 2, 3}, raising=False)
    monkeypatch.setattr(threads, "CPUS", tmp_path / "nothing")
    monkeypatch.setattr(threads, "read_limits", lambda: Limits(processors=share))
    assert choose_threads() == count


def test_what_the_environment_says_counts_unless_the_setting_says_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3,2")
    assert choose_threads() == 3
    assert choose_threads(1) == 1


@pytest.mark.slow
@pytest.mark.parametrize("named", ["", "ACTIVE"])
def test_the_wait_policy_stands_before_torch_is_loaded(named: str) -> None:
    code = (
        "import os, sys\n"
        "import bot.__main__ as program\n"
        "program.main(['persona', 'list'])\n"
        "assert 'torch' not in sys.modules\n"
        "print(os.environ['OMP_WAIT_POLICY'])"
    )
    environment = {name: v for name, v in os.environ.items() if name != "OMP_WAIT_POLICY"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=environment | ({"OMP_WAIT_POLICY": named} if named else {}),
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines()[-1] == (named or "PASSIVE")
