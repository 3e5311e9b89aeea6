# pyright: basic
"""CUDA kernels of our own, compiled when the engine starts by NVRTC, which comes with torch.

No compiler has to be installed: a kernel takes a fraction of a second. See
https://docs.nvidia.com/cuda/nvrtc.
"""

import ctypes
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import torch

from bot.engine.cuda.products import OLDEST_CAPABILITY

SHARED_BYTES_ATTRIBUTE = 8  # CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
PLAIN_SHARED_BYTES = 48 << 10  # more has to be asked for


class CannotCompile(RuntimeError):  # noqa: N818 - reads as the sentence it is
    """There is no NVRTC, or it or the driver refuses the kernel."""


class CompiledKernel:
    """One function, ready to be launched on a device's current stream."""

    def __init__(
        self,
        sources: Sequence[Path],
        name: str,
        defines: Mapping[str, int],
        *,
        shared_bytes: int = 0,
        own_instructions: bool = False,
    ) -> None:
        """Compiles for the current device. Raises CannotCompile.

        `own_instructions`: those that only this generation of cards has, too.
        """
        self.shared_bytes = shared_bytes
        major, minor = torch.cuda.get_device_capability()
        if (major, minor) < OLDEST_CAPABILITY:
            raise CannotCompile(f"cards of capability {major}.{minor} lack the instructions")
        suffix = "a" if own_instructions else ""
        options = [f"--gpu-architecture=sm_{major}{minor}{suffix}", "--std=c++17"]
        options += [f"-D{key}={value}" for key, value in defines.items()]
        source = b"\n".join(path.read_bytes() for path in sources)
        image = _compile(source, sources[-1].name, options)
        torch.cuda.current_stream()  # makes the context that the module is loaded into
        driver = _driver()
        module = ctypes.c_void_p()
        _check(driver.cuModuleLoadData(ctypes.byref(module), image), "load")
        self._module = module  # lives as long as the process: a captured graph may hold it
        self._function = ctypes.c_void_p()
        found = driver.cuModuleGetFunction(ctypes.byref(self._function), module, name.encode())
        _check(found, "find")
        if shared_bytes > PLAIN_SHARED_BYTES:
            asked = driver.cuFuncSetAttribute(
                self._function, ctypes.c_int(SHARED_BYTES_ATTRIBUTE), ctypes.c_int(shared_bytes)
            )
            _check(asked, "give shared memory to")

    def launch(
        self,
        grid: tuple[int, int, int],
        threads: int,
        arguments: Sequence[torch.Tensor | int],
    ) -> None:
        """Tensors go as their addresses, numbers as int32."""
        values = [
            ctypes.c_void_p(argument.data_ptr())
            if isinstance(argument, torch.Tensor)
            else ctypes.c_int32(argument)
            for argument in arguments
        ]
        addresses = [ctypes.cast(ctypes.byref(value), ctypes.c_void_p) for value in values]
        pointers = (ctypes.c_void_p * len(values))(*addresses)
        stream = ctypes.c_void_p(torch.cuda.current_stream().cuda_stream)
        launched = _driver().cuLaunchKernel(
            self._function,
            *grid,
            threads,
            1,
            1,
            self.shared_bytes,
            stream,
            pointers,
            None,
        )
        _check(launched, "launch")


@lru_cache
def _driver() -> ctypes.CDLL:
    return ctypes.CDLL("libcuda.so.1")


@lru_cache
def _nvrtc() -> ctypes.CDLL:
    version = (torch.version.cuda or "").split(".")[0]
    for name in (f"libnvrtc.so.{version}", "libnvrtc.so"):
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    raise CannotCompile("NVRTC is not there")


def nvrtc_is_there() -> bool:
    """Whether kernels can be compiled at all."""
    try:
        _nvrtc()
    except CannotCompile:
        return False
    return True


def _check(result: int, doing: str) -> None:
    if result != 0:
        text = ctypes.c_char_p()
        _driver().cuGetErrorString(result, ctypes.byref(text))
        said = text.value.decode(errors="replace") if text.value else f"error {result}"
        raise CannotCompile(f"CUDA cannot {doing} the kernel: {said}")


def _compile(source: bytes, name: str, options: Sequence[str]) -> bytes:
    nvrtc = _nvrtc()
    program = ctypes.c_void_p()
    made = nvrtc.nvrtcCreateProgram(ctypes.byref(program), source, name.encode(), 0, None, None)
    if made != 0:
        raise CannotCompile(f"NVRTC failed: {made}")
    try:
        words = [option.encode() for option in options]
        chosen = (ctypes.c_char_p * len(words))(*words)
        if nvrtc.nvrtcCompileProgram(program, len(words), chosen) != 0:
            raise CannotCompile(_log(nvrtc, program))
        size = ctypes.c_size_t()
        nvrtc.nvrtcGetCUBINSize(program, ctypes.byref(size))
        image = ctypes.create_string_buffer(size.value)
        nvrtc.nvrtcGetCUBIN(program, image)
        return image.raw
    finally:
        nvrtc.nvrtcDestroyProgram(ctypes.byref(program))


def _log(nvrtc: ctypes.CDLL, program: ctypes.c_void_p) -> str:
    size = ctypes.c_size_t()
    nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    text = ctypes.create_string_buffer(size.value)
    nvrtc.nvrtcGetProgramLog(program, text)
    return text.value.decode(errors="replace").strip()[:500]
