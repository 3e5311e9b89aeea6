"""How many processor threads a model computes with, and how they wait for each other. No torch."""

import os
from collections.abc import Mapping
from math import ceil
from pathlib import Path

from bot.engine.machine.cgroups import read_limits

CPUS = Path("/sys/devices/system/cpu")

# OpenMP's threads wait for their next piece of work in a loop that takes a whole core each. Where
# somebody else wants that core, the one with the work waits for those with none: a step then takes
# several times as long.
WAIT_POLICY: Mapping[str, str] = {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}


def set_wait_policy() -> None:
    """Have threads sleep while they wait. Read when torch is loaded: call this before.

    What the environment says already stays.
    """
    for name, value in WAIT_POLICY.items():
        os.environ.setdefault(name, value)


def choose_threads(asked: int = 0) -> int:
    """How many threads to compute with: `asked`, or with 0 one for each core that we may use.

    Two threads of one core share what computes: a second one only gets in the first one's way.
    """
    if asked > 0:
        return asked
    named = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    if named.isascii() and named.isdigit() and int(named) > 0:
        return int(named)
    return count_cores()


def count_cores() -> int:
    """The physical cores that this process may use: by its affinity and its container's share."""
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set[int]()
    share = read_limits().processors
    cores = _cores(allowed)
    return max(1, cores if share is None else min(cores, ceil(share)))


def _cores(allowed: set[int]) -> int:
    """The cores that the processors in `allowed` belong to."""
    if not allowed:
        import psutil

        return psutil.cpu_count(logical=False) or os.cpu_count() or 1
    cores: set[str] = set()
    for number in allowed:
        try:
            path = CPUS / f"cpu{number}" / "topology" / "thread_siblings_list"
            cores.add(path.read_text(encoding="ascii").strip())
        except (OSError, ValueError):
            cores.add(str(number))  # a machine that does not tell: as if it were one of its own
    return len(cores)
