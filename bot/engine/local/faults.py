"""Faults of the device: which ones pass, and what a failed life of the worker leaves behind."""

import gc
import sys
from contextlib import suppress
from types import CodeType, FrameType, TracebackType

# After these every call to the device fails, until another process takes it: CUDA's words, which
# torch, Triton and the libraries repeat.
STICKY_WORDS = (
    "device-side assert",
    "illegal memory access",
    "illegal instruction",
    "unspecified launch failure",
    "misaligned address",
    "invalid program counter",
    "invalid address space",
    "not supported on global/shared address space",
    "hardware stack error",
    "uncorrectable ECC error",
    "launch timed out",
    "context is destroyed",
    "CUDA error: unknown error",
)
# The same by cudaError's numbers, which torch.AcceleratorError brings.
STICKY_CODES = frozenset([214, 700, 702, 709, 710, 714, 715, 716, 717, 718, 719, 999])


def is_sticky(fault: BaseException) -> bool:
    """Whether this process can use its device no more: only a new one can."""
    seen: BaseException | None = fault
    while seen is not None:
        if isinstance(seen, RuntimeError):
            said = str(seen)
            if any(words in said for words in STICKY_WORDS):
                return True
            if getattr(seen, "error_code", None) in STICKY_CODES:
                return True
        seen = seen.__cause__ or seen.__context__
    return not device_works()


def device_works() -> bool:
    """Whether the GPU still does the least that can be asked. True where none is in use."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return True
    from bot.engine.local.memory import is_out_of_memory

    try:
        torch.cuda.synchronize()
        torch.zeros(1, device="cuda").item()
    except RuntimeError as error:
        return is_out_of_memory(error)
    return True


def forget_frames(code: CodeType) -> None:
    """Take the local variables of ended calls of a function, and of whatever it called.

    An exception that somebody keeps holds its traceback, this the frames up to the thread's first
    one, and they all that their functions held: gptqmodel keeps the ImportError of an optional
    module for good, and with it went a runner and its memory.
    """
    # Not isinstance(): it asks the object, and some do things when asked.
    for frame in [o for o in gc.get_objects() if type(o) is FrameType]:
        if _is_of(frame, code):
            with suppress(RuntimeError):  # of a call that has not ended
                frame.clear()


def forget_tracebacks(code: CodeType) -> None:
    """Take the tracebacks of exceptions that come from ended calls of a function.

    A frame that was cleared still holds its function, and a closure (as what a graph captures is
    one) everything that it closes over. For faults that were logged already.
    """
    for found in [o for o in gc.get_objects() if issubclass(type(o), BaseException)]:
        if _comes_from(found.__traceback__, code):
            found.__traceback__ = None


def _comes_from(traceback: TracebackType | None, code: CodeType) -> bool:
    while traceback is not None:
        if _is_of(traceback.tb_frame, code):
            return True
        traceback = traceback.tb_next
    return False


def _is_of(frame: FrameType | None, code: CodeType) -> bool:
    while frame is not None:
        if frame.f_code is code:
            return True
        frame = frame.f_back
    return False
