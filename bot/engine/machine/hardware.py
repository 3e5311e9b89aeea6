"""What this machine has for a model: memory, cores and graphics cards. No torch."""

import os
import platform
import shutil
import signal
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path

import psutil

from bot.engine.machine.cgroups import read_limits
from bot.engine.machine.threads import count_cores

# Linux under Windows has the driver's tools here, and not always on the PATH.
WSL_NVIDIA_SMI = Path("/usr/lib/wsl/lib/nvidia-smi")
# The name last: it is the only one that could hold a comma.
NVIDIA_QUERY = (
    "--query-gpu=index,uuid,memory.total,memory.free,name",
    "--format=csv,noheader,nounits",
)
NVIDIA_SECONDS = 10  # a driver that is not kept loaded takes a few
MOST_ANSWER_BYTES = 64 << 10
MOST_GPUS = 64
MOST_NAME_CHARACTERS = 60
MIB = 1 << 20
MOST_GPU_MIB = 1 << 24
# What a driver says of a card that has no memory of its own (Jetson, GB10).
WITHOUT_MEMORY = frozenset({"[n/a]", "n/a", "[not supported]", "not supported"})
# Of a Mac's memory, what Metal lets one program use before it pages (the least that is seen).
APPLE_GPU_SHARE = (2, 3)


@dataclass(frozen=True, slots=True)
class Gpu:
    """One graphics card that this process may use."""

    name: str
    total_bytes: int
    free_bytes: int
    shares_memory: bool = False  # with the processor: it is the machine's memory, not beside it


@dataclass(frozen=True, slots=True)
class Machine:
    """What a model could use. Bytes; what a container or service may not use is not counted."""

    memory_bytes: int
    memory_free_bytes: int
    cores: int  # physical ones
    gpus: tuple[Gpu, ...] = ()  # the one with the most free memory first

    @property
    def gpu_free_bytes(self) -> int:
        """What is free now of the memory of all cards together."""
        return sum(gpu.free_bytes for gpu in self.gpus)


def look_at_machine() -> Machine:
    """The machine as this process may use it. Asks the driver's tool: may take seconds.

    Raises nothing: what cannot be found out is not there.
    """
    memory = psutil.virtual_memory()
    limits = read_limits()
    total, free = int(memory.total), int(memory.available)
    if limits.memory_bytes is not None:
        total = min(total, limits.memory_bytes)
    if limits.memory_free_bytes is not None:
        free = min(free, limits.memory_free_bytes)
    free = min(free, total)
    gpus = _nvidia_gpus(total, free) or _apple_gpu(total, free)
    return Machine(total, free, count_cores(), gpus)


def nvidia_smi() -> str | None:
    """The NVIDIA driver's own tool, where there is one."""
    found = shutil.which("nvidia-smi")
    if found is None and WSL_NVIDIA_SMI.is_file() and os.access(WSL_NVIDIA_SMI, os.X_OK):
        return str(WSL_NVIDIA_SMI)
    return found


def read_nvidia_answer(
    text: str, visible: str | None, memory_bytes: int, memory_free_bytes: int
) -> tuple[Gpu, ...]:
    """The cards in what `nvidia-smi` printed (NVIDIA_QUERY); lines that are none are passed over.

    `visible` is CUDA_VISIBLE_DEVICES. The two amounts are for cards that share the machine's
    memory.
    """
    found: list[tuple[str, str, Gpu]] = []
    for line in text.splitlines()[: 4 * MOST_GPUS]:
        fields = [field.strip() for field in line.split(",", 4)]
        if len(fields) != 5 or not fields[0].isascii() or not fields[0].isdigit():
            continue
        index, uuid, total_text, free_text, raw_name = fields
        name = "".join(c for c in raw_name if c.isprintable())[:MOST_NAME_CHARACTERS].strip()
        if total_text.lower() in WITHOUT_MEMORY:
            gpu = Gpu(name or "NVIDIA", memory_bytes, memory_free_bytes, shares_memory=True)
        else:
            total, free = _mebibytes(total_text), _mebibytes(free_text)
            if not total:
                continue
            gpu = Gpu(name or "NVIDIA", total, min(free, total))
        found.append((index, uuid, gpu))
    chosen = _visible(found[:MOST_GPUS], visible)
    return tuple(sorted(chosen, key=lambda gpu: gpu.free_bytes, reverse=True))


def _nvidia_gpus(memory_bytes: int, memory_free_bytes: int) -> tuple[Gpu, ...]:
    program = nvidia_smi()
    if program is None:
        return ()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return read_nvidia_answer(_ask(program), visible, memory_bytes, memory_free_bytes)


def _visible(found: list[tuple[str, str, Gpu]], visible: str | None) -> list[Gpu]:
    """Those that CUDA_VISIBLE_DEVICES leaves, by CUDA's rule: the list ends at what is none."""
    if visible is None:
        return [gpu for _, _, gpu in found]
    chosen: dict[str, Gpu] = {}
    for wanted in (name.strip() for name in visible.split(",")):
        match = {
            index: gpu
            for index, uuid, gpu in found
            if wanted == index or (len(wanted) > len("GPU-") and uuid.startswith(wanted))
        }
        if len(match) != 1 or match.keys() & chosen.keys():
            break
        chosen |= match
    return list(chosen.values())


def _mebibytes(text: str) -> int:
    """Bytes; 0 for what is no number or not believable."""
    if not (text.isascii() and text.isdigit()) or len(text) > 10:
        return 0
    number = int(text)
    return number * MIB if number <= MOST_GPU_MIB else 0


def _ask(program: str) -> str:
    """What the tool prints; nothing where it fails, and what it has printed when its time is up."""
    try:
        process = subprocess.Popen(  # noqa: S603 - the driver's own tool
            [program, *NVIDIA_QUERY],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except (OSError, ValueError):
        return ""
    with process:
        clock = threading.Timer(NVIDIA_SECONDS, _end, (process,))
        clock.start()
        try:
            answer = process.stdout.read(MOST_ANSWER_BYTES) if process.stdout else b""
        finally:
            clock.cancel()
            _end(process)
    return answer.decode("utf-8", errors="replace")


def _end(process: subprocess.Popen[bytes]) -> None:
    """With all that it started: they would hold the pipe open."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        process.kill()


def _apple_gpu(memory_bytes: int, memory_free_bytes: int) -> tuple[Gpu, ...]:
    if platform.system() != "Darwin" or platform.machine() != "arm64":
        return ()
    part, whole = APPLE_GPU_SHARE
    most = memory_bytes * part // whole
    return (Gpu("Apple GPU", most, min(most, memory_free_bytes), shares_memory=True),)
