"""What the machine has: control groups, cards, odd answers."""

import os
import time
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.engine.machine import hardware
from bot.engine.machine.cgroups import Limits, read_limits
from bot.engine.machine.hardware import Gpu, look_at_machine, read_nvidia_answer
from bot.engine.machine.spare import AUTO_MOST_BYTES, host_cache_bytes

MIB = 1 << 20
RAM, FREE = 16 << 30, 8 << 30
TWO_CARDS = (
    "0, GPU-aaaa1111-x, 12288, 11000, NVIDIA GeForce RTX 3060\n"
    "1, GPU-bbbb2222-x, 24576, 24000, NVIDIA GeForce RTX 3090\n"
)


def tree(folder: Path, files: dict[str, str], membership: str) -> Limits:
    for name, text in files.items():
        path = folder / "groups" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / "self").write_text(membership)
    return read_limits(folder / "groups", folder / "self")


def test_version_2_in_a_container(tmp_path: Path) -> None:
    files = {
        "memory.max": f"{4 << 30}\n",
        "memory.current": f"{3 << 30}\n",
        "memory.stat": f"anon 5\ninactive_file {1 << 30}\n",
        "cpu.max": "150000 100000\n",
    }
    assert tree(tmp_path, files, "0::/\n") == Limits(4 << 30, 2 << 30, 1.5)


def test_the_least_of_a_group_and_its_parents_counts(tmp_path: Path) -> None:
    files = {
        "a/memory.max": f"{2 << 30}\n",
        "a/memory.current": f"{3 << 30}\n",
        "a/cpu.max": "max 100000\n",
        "a/b/memory.max": "max\n",
        "a/b/cpu.max": "50000 100000\n",
    }
    assert tree(tmp_path, files, "0::/a/b\n") == Limits(2 << 30, 0, 0.5)


def test_version_1_with_a_path_that_the_container_does_not_see(tmp_path: Path) -> None:
    files = {
        "memory/memory.limit_in_bytes": f"{1 << 30}\n",
        "memory/memory.usage_in_bytes": f"{512 * MIB}\n",
        "memory/memory.stat": f"total_inactive_file {256 * MIB}\n",
        "cpu,cpuacct/cpu.cfs_quota_us": "200000\n",
        "cpu,cpuacct/cpu.cfs_period_us": "100000\n",
    }
    membership = "4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n1:name=systemd:/x\n"
    assert tree(tmp_path, files, membership) == Limits(1 << 30, 768 * MIB, 2.0)


def test_a_path_that_leads_out_is_not_followed(tmp_path: Path) -> None:
    files = {"../other/memory.max": "1000", "memory.max": "5000"}
    assert tree(tmp_path, files, "0::/../other\n").memory_bytes == 5000


@pytest.mark.parametrize(
    ("files", "membership"),
    [
        ({}, ""),
        ({"memory.max": "max", "cpu.max": "max 100000"}, "0::/\n"),
        ({"memory.max": "-1", "cpu.max": "0 0"}, "0::/../../other\n"),
        ({"memory.max": "½\x00\n", "cpu.max": "1 2 3"}, "0::/" + "a/" * 5000),
        (
            {
                "memory/memory.limit_in_bytes": "9223372036854771712",
                "cpu/cpu.cfs_quota_us": "-1",
                "cpu/cpu.cfs_period_us": "100000",
            },
            "4:memory:/\n3:cpu:/\nnonsense\n::::\n",
        ),
    ],
)
def test_no_limit_where_none_is_written(
    files: dict[str, str], membership: str, tmp_path: Path
) -> None:
    assert tree(tmp_path, files, membership) == Limits()


def test_the_card_with_the_most_room_is_first() -> None:
    assert read_nvidia_answer(TWO_CARDS, None, RAM, FREE) == (
        Gpu("NVIDIA GeForce RTX 3090", 24576 * MIB, 24000 * MIB),
        Gpu("NVIDIA GeForce RTX 3060", 12288 * MIB, 11000 * MIB),
    )


@pytest.mark.parametrize(
    ("visible", "cards"),
    [("", 0), ("-1", 0), ("1", 1), ("0,1", 2), ("1,-1,0", 1), ("GPU-bbbb", 1), ("7", 0), ("G", 0)],
)
def test_cards_that_are_hidden_do_not_count(visible: str, cards: int) -> None:
    assert len(read_nvidia_answer(TWO_CARDS, visible, RAM, FREE)) == cards


def test_two_cards_of_a_kind_are_two() -> None:
    text = "0, GPU-a, 1000, 900, RTX\n1, GPU-b, 1000, 900, RTX\n"
    assert len(read_nvidia_answer(text, "0,1", RAM, FREE)) == 2


def test_a_card_without_memory_of_its_own_has_the_machines() -> None:
    text = "0, GPU-c, [N/A], [N/A], NVIDIA GB10\n"
    assert read_nvidia_answer(text, None, RAM, FREE) == (Gpu("NVIDIA GB10", RAM, FREE, True),)


def test_a_name_with_a_comma_and_control_characters() -> None:
    text = "0, u, 1000, 2000, Card, the\x1b[31m \x07other\n"
    assert read_nvidia_answer(text, None, RAM, FREE) == (
        Gpu("Card, the[31m other", 1000 * MIB, 1000 * MIB),
    )


@pytest.mark.parametrize(
    "text",
    [
        "No devices were found\n",
        "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.",
        "0, u, [GPU is lost], ERR!, x",
        "0, u, -5, 1, x\n, , , , \n",
        "0, u, 99999999999999999999, 1, x",
        "٣, u, 1000, 1000, x",
    ],
)
def test_what_is_no_card_is_passed_over(text: str) -> None:
    assert read_nvidia_answer(text, None, RAM, FREE) == ()


@given(st.text(), st.none() | st.text())
def test_any_answer_is_read(text: str, visible: str | None) -> None:
    for gpu in read_nvidia_answer(text, visible, RAM, FREE):
        assert 0 <= gpu.free_bytes <= gpu.total_bytes


def tool(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder / "nvidia-smi"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def test_the_drivers_tool_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool(tmp_path, 'echo "0, GPU-a, 8192, 8000, $1"', monkeypatch)
    (gpu,) = look_at_machine().gpus
    assert gpu == Gpu(hardware.NVIDIA_QUERY[0][:60], 8192 * MIB, 8000 * MIB)


@pytest.mark.parametrize(
    "script",
    ["sleep 60", "exit 9", "sleep 60 & sleep 60", "yes 0, u, 1000, 1000", "kill -9 $$"],
)
def test_a_tool_that_hangs_or_floods_costs_a_moment(
    script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hardware, "NVIDIA_SECONDS", 0.3)
    tool(tmp_path, script, monkeypatch)
    started = time.monotonic()
    assert look_at_machine().gpus == ()
    assert time.monotonic() - started < 10


def test_the_tool_of_linux_under_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool(tmp_path, 'echo "0, GPU-a, 8192, 8000, RTX"', monkeypatch)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setattr(hardware, "WSL_NVIDIA_SMI", tmp_path / "nvidia-smi")
    assert [gpu.name for gpu in look_at_machine().gpus] == ["RTX"]


def test_a_containers_limits_bound_what_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = look_at_machine()
    assert 0 < whole.memory_free_bytes <= whole.memory_bytes <= psutil.virtual_memory().total
    assert whole.cores >= 1
    monkeypatch.setattr(hardware, "read_limits", lambda: Limits(300 * MIB, 100 * MIB))
    small = look_at_machine()
    assert (small.memory_bytes, small.memory_free_bytes) == (300 * MIB, 100 * MIB)


def test_a_macs_gpu_has_most_of_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "nvidia_smi", lambda: None)
    monkeypatch.setattr(hardware.platform, "system", lambda: "Darwin")
    monkeypatch.setattr(hardware.platform, "machine", lambda: "arm64")
    found = look_at_machine()
    (gpu,) = found.gpus
    assert gpu.shares_memory
    assert gpu.total_bytes == found.memory_bytes * 2 // 3
    assert gpu.free_bytes <= found.memory_free_bytes


def test_what_is_set_aside_for_talks_is_bounded_by_what_is_free() -> None:
    gb = 10**9
    assert host_cache_bytes(0, 100 * gb) == 0
    assert host_cache_bytes(None, 8 * gb) == 2 * gb
    assert host_cache_bytes(None, 1000 * gb) == AUTO_MOST_BYTES
    assert host_cache_bytes(30 * gb, 100 * gb) == 30 * gb
    assert host_cache_bytes(99 * gb, 100 * gb) == 80 * gb
