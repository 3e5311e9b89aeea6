"""What a container or a service may use of the machine: Linux control groups, both versions.

https://docs.kernel.org/admin-guide/cgroup-v2.html and cgroup-v1/memory.html: a group's limits hold
for all below it, so the least of the group's own and its parents' counts. Files that are missing or
hold something else mean «no limit»: not every system has them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

GROUPS = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")  # a line for each hierarchy: number:controllers:path

MOST_FILE_BYTES = 64 << 10
NO_LIMIT_BYTES = 1 << 60  # version 1 writes «none» as the largest number of whole pages
DEEPEST = 32  # groups above one


@dataclass(frozen=True, slots=True)
class Limits:
    """None is no limit."""

    memory_bytes: int | None = None
    memory_free_bytes: int | None = None  # of that limit; what the kernel can drop counts as free
    processors: float | None = None


def read_limits(groups: Path = GROUPS, membership: Path = MEMBERSHIP) -> Limits:
    """The limits of this process's groups. Raises nothing."""
    memory: list[tuple[int, int]] = []
    processors: list[float] = []
    for group in _groups(groups, membership):
        memory.extend(_memory(group))
        processors.extend(_processors(group))
    return Limits(
        memory_bytes=min((limit for limit, _ in memory), default=None),
        memory_free_bytes=min((free for _, free in memory), default=None),
        processors=min(processors, default=None),
    )


def _groups(groups: Path, membership: Path) -> Iterator[Path]:
    """The folders of the process's groups and of all above them, in every hierarchy."""
    for line in _read(membership).splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers == "":
            roots = (groups, groups / "unified")
        elif {"memory", "cpu"} & set(controllers.split(",")):
            roots = (groups / controllers, *(groups / name for name in controllers.split(",")))
        else:
            continue
        parts = [part for part in PurePosixPath(path).parts if part != "/"]
        if ".." in parts or len(parts) > DEEPEST:  # seen from inside another namespace
            parts = []
        for root in roots:
            for depth in range(len(parts), -1, -1):
                yield root.joinpath(*parts[:depth])


def _memory(group: Path) -> Iterator[tuple[int, int]]:
    """A group's limit and what is left of it, in bytes; nothing where it has none."""
    for limit_name, used_name, droppable_name in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        limit = _number(_read(group / limit_name))
        if limit is None or limit >= NO_LIMIT_BYTES:
            continue
        used = _number(_read(group / used_name)) or 0
        droppable = 0
        for line in _read(group / "memory.stat").splitlines():
            name, _, value = line.partition(" ")
            if name == droppable_name:
                droppable = _number(value) or 0
        yield limit, max(0, limit - max(0, used - droppable))


def _processors(group: Path) -> Iterator[float]:
    """How many processors a group may keep busy; nothing where it has no limit."""
    whole = _read(group / "cpu.max").split()
    if not whole:
        whole = [_read(group / "cpu.cfs_quota_us"), _read(group / "cpu.cfs_period_us")]
    if len(whole) != 2:
        return
    most, period = _number(whole[0]), _number(whole[1])
    if most and period:
        yield most / period


def _number(text: str) -> int | None:
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 20 else None


def _read(path: Path) -> str:
    try:
        with path.open(encoding="ascii", errors="replace") as file:
            return file.read(MOST_FILE_BYTES)
    except (OSError, ValueError):
        return ""
