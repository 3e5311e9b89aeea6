"""What a device is called, how much memory its KV cache may take, and when memory ran out."""

import gc
import logging
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from typing import Any, TypeVar

import psutil
import torch

from bot.engine.local.runner import RunnerOutOfMemory

CPU_SHARE = 0.25  # of the memory that is free once the model is loaded
GPU_SHARE = 0.85  # the rest is for the steps' own tensors

MEMORY_WORDS = ("can't allocate memory", "out of memory", "CUBLAS_STATUS_ALLOC_FAILED")

Result = TypeVar("Result")

log = logging.getLogger(__name__)


def device_in_words(device: torch.device) -> str:
    """For example `cpu (2 threads)` or `cuda:0 NVIDIA H100`."""
    if device.type == "cpu":
        return f"cpu ({torch.get_num_threads()} threads)"
    if device.type == "cuda":
        return f"cuda:{device.index or 0} {torch.cuda.get_device_name(device)}"
    return str(device)


def free_room_tokens(device: torch.device, token_bytes: int) -> int:
    """How many tokens' keys and values, of `token_bytes` each, there is room for now."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(free * GPU_SHARE) // token_bytes
    return int(psutil.virtual_memory().available * CPU_SHARE) // token_bytes


def give_back_memory() -> None:
    """Return what is no longer used, and what torch keeps in reserve, to device and machine."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        # Pinned memory has a reserve of its own. No public name for this is in every torch we take.
        core: Any = torch._C  # pyright: ignore[reportPrivateUsage]
        if hasattr(core, "_host_emptyCache"):
            core._host_emptyCache()


def is_out_of_memory(fault: BaseException) -> bool:
    """Whether a fault of torch's says, or was raised because, there is no memory left."""
    if isinstance(fault, MemoryError | torch.OutOfMemoryError):
        return True
    # Only torch's own allocator for CUDA has an exception type: the driver, cuBLAS, Triton and the
    # allocator for the processor say it in words.
    if isinstance(fault, RuntimeError) and any(words in str(fault) for words in MEMORY_WORDS):
        return True
    # A graph whose capture ran out of memory fails once more when the capture is ended.
    earlier = fault.__cause__ or fault.__context__
    return earlier is not None and is_out_of_memory(earlier)


def with_growing_reserve(attempt: Callable[[int], Result], reserves: Iterable[int]) -> Result:
    """What `attempt` returns for the first of `reserves`, in bytes, that leaves enough memory.

    Raises RunnerOutOfMemory when none does.
    """
    detail = ""
    for reserve in reserves:
        try:
            with telling_out_of_memory():
                return attempt(reserve)
        except RunnerOutOfMemory as fault:
            detail = str(fault)
        # The exception is gone by now, and with it the frames that hold an attempt's tensors.
        try:
            give_back_memory()
        except RuntimeError as fault:  # a broken-off capture can leave torch's allocator unusable
            raise RunnerOutOfMemory(detail) from fault
        log.info("%.1f GB kept free were too few: %s", reserve / 1e9, detail)
    raise RunnerOutOfMemory(detail)


@contextmanager
def telling_out_of_memory() -> Generator[None]:
    """Raises RunnerOutOfMemory for whatever torch raises when there is no memory left."""
    try:
        yield
    except (MemoryError, RuntimeError) as fault:  # torch.OutOfMemoryError is a RuntimeError
        if isinstance(fault, RunnerOutOfMemory) or not is_out_of_memory(fault):
            raise
        first_line = next(iter(str(fault).splitlines()), "")
        raise RunnerOutOfMemory(first_line[:200]) from fault
