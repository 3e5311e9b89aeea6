"""What `doctor` finds of this machine: Python, memory, disk, GPU and the kernels for it."""

import os
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, cast

from bot.cli.findings import Finding, Grade
from bot.engine.cuda.products import (
    HOPPER,
    MARLIN_OLDEST_CAPABILITY,
    OLDEST_CAPABILITY,
    PACKED_BEFORE_MARLIN,
    Card,
    FewRows,
    rows_of,
)
from bot.engine.machine.hardware import nvidia_smi
from bot.engine.machine.threads import choose_threads
from bot.engine.models.extras import is_installed, missing_gpu_libraries
from bot.engine.models.gptq.marlin import marlin_is_compiled, marlin_is_there
from bot.invocation import setup

LITTLE_DISK_BYTES = 2_000_000_000
GIB = 1 << 30
PRODUCTS = {FewRows.PACKED: "our own product", FewRows.MARLIN: "Marlin", FewRows.TRITON: "Triton"}


def check_machine(data_dir: Path, *, local_engine: bool, cpu_threads: int = 0) -> list[Finding]:
    """All of it. The GPU matters only where the model runs in this process."""
    findings = [_python(), _disk(data_dir)]
    if local_engine:
        findings += _accelerator(choose_threads(cpu_threads))
    return findings


def _python() -> Finding:
    version = ".".join(str(part) for part in sys.version_info[:3])
    return Finding(Grade.OK, "python", f"{version} in {sys.prefix}.")


def _disk(data_dir: Path) -> Finding:
    folder = data_dir.absolute()
    while not folder.exists():
        folder = folder.parent
    if not _takes_files(folder):
        return Finding(
            Grade.FAIL,
            "disk",
            f"DATA_DIR cannot be written: {data_dir}.",
            "Set it to a folder that this user may change.",
        )
    free = shutil.disk_usage(folder).free
    if free < LITTLE_DISK_BYTES:
        return Finding(
            Grade.WARN,
            "disk",
            f"Only {free / GIB:.1f} GiB are free at {folder}.",
            "Make room, or set DATA_DIR to another disk.",
        )
    return Finding(Grade.OK, "disk", f"{free / GIB:.0f} GiB free for DATA_DIR ({data_dir}).")


def _takes_files(folder: Path) -> bool:
    if not (folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)):
        return False
    try:  # rights alone say too much: of root, of a disk that is read only, of /proc
        with TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _accelerator(threads: int) -> list[Finding]:
    import psutil

    memory = psutil.virtual_memory().total / GIB
    processor = _processor(threads, os.cpu_count() or threads)
    if missing_gpu_libraries():
        return [_light(memory), processor]
    import torch

    if not torch.cuda.is_available():
        return [
            _no_gpu(torch.__version__, torch.version.cuda, memory),
            processor,
        ]
    index = torch.cuda.current_device()
    properties = cast("Any", torch.cuda.get_device_properties(index))  # pyright: ignore[reportUnknownMemberType]
    generation = f"{properties.major}.{properties.minor}"
    text = f"{properties.name}, {properties.total_memory / GIB:.0f} GiB, compute {generation}."
    from bot.engine.cuda.compiling import nvrtc_is_there

    card = Card((properties.major, properties.minor), nvrtc_is_there(), marlin_is_there())
    return [Finding(Grade.OK, "gpu", text), *gpu_kernels(card)]


def _processor(threads: int, there: int) -> Finding:
    text = f"Computes with {threads} threads (CPU_THREADS)."
    if threads <= there:
        return Finding(Grade.OK, "processor", text)
    text += f" The machine has room for {there} at once: the others only get in their way."
    return Finding(Grade.WARN, "processor", text, "Set CPU_THREADS=0 to have it chosen.")


def _light(memory_gib: float) -> Finding:
    """Without the extra `gpu`, which is right for a laptop and wrong for a machine with a card."""
    text = (
        f"The light set is installed ({memory_gib:.0f} GiB of memory): llama.cpp runs GGUF files; "
        "GPTQ and safetensors models need the extra `gpu`."
    )
    if nvidia_smi() is None:
        return Finding(Grade.OK, "gpu", text)
    return Finding(Grade.WARN, "gpu", text, f"There is an NVIDIA driver: run {setup('gpu')}.")


def _no_gpu(torch_version: str, cuda: str | None, memory_gib: float) -> Finding:
    """What is at home on a CPU, and what is not."""
    text = (
        f"None that torch {torch_version} can use; the model runs on the CPU ({memory_gib:.0f} GiB "
        "of memory). GGUF files run well there up to some 8 billion weights, larger ones slowly; "
        "GPTQ and safetensors models want a GPU."
    )
    if nvidia_smi() is None:
        return Finding(Grade.OK, "gpu", text)
    fix = (
        "There is an NVIDIA driver: install a CUDA build of torch (this one is for CPUs)."
        if cuda is None
        else f"There is an NVIDIA driver: update it to one for CUDA {cuda}."
    )
    return Finding(Grade.WARN, "gpu", text, fix)


def gpu_kernels(card: Card) -> list[Finding]:
    """What speeds a GPU up, and what its absence costs."""
    triton = _triton()
    if triton.grade is not Grade.OK:  # then none of ours runs
        return [triton, _attention()]
    return [triton, *_products(card), _attention()]


def _triton() -> Finding:
    if not is_installed("triton"):
        return Finding(
            Grade.WARN,
            "kernels",
            "Triton is not installed, so the fast kernels cannot be used: PyTorch's own take "
            "several times as long for every token.",
            "Install the CUDA build of torch for Linux, which brings it.",
        )
    if not any(shutil.which(name) for name in ("cc", "gcc", "clang")):
        return Finding(
            Grade.WARN,
            "kernels",
            "Triton finds no C compiler, so the fast kernels cannot be used.",
            "Install one: sudo apt-get install build-essential.",
        )
    return Finding(Grade.OK, "kernels", "Triton and a C compiler are there.")


def _products(card: Card) -> list[Finding]:
    """What multiplies by GPTQ's weights here, and what would be faster."""
    ample = [f"{PRODUCTS[few]} up to {most}" for most, few in rows_of(card, unpacked=True)]
    (most, few) = list(rows_of(card, unpacked=False))[-1]
    text = (
        f"4-bit models, by rows (replies that go on, tokens of prompts): {', '.join(ample)}, "
        f"cuBLAS above. Where memory is short {PRODUCTS[few]} goes up to {most}, and cuBLAS, which "
        "keeps no copies in 16 bits then, takes half as long again."
    )
    if card.uses_marlin and not marlin_is_compiled():
        text += " Marlin is compiled at the first load, in about three minutes, once."
    found = [Finding(Grade.OK, "gptq", text)]
    missing = _missing_products(card)
    return found if missing is None else [*found, missing]


def _missing_products(card: Card) -> Finding | None:
    """The product that would be faster. Figures: ms a step of a 13B's weights on an H100."""
    if card.packs:
        if card.capability == HOPPER or card.has_marlin:
            return None
        return Finding(
            Grade.OK,
            "gptq",
            "nvcc is missing, so Marlin cannot be compiled. It is faster for more than "
            f"{PACKED_BEFORE_MARLIN} replies at once alone: 6.4 ms a step of 64 instead of 8.5 "
            "(measured on an H100, a 13B).",
            "For that many, install the CUDA toolkit of torch's version.",
        )
    if card.capability >= OLDEST_CAPABILITY:
        why = "NVRTC, which comes with torch, is not found, so our own product cannot be compiled"
        fix = f"Run {setup('gpu')}."
    else:
        why = "This card is older than what our own product is for (compute 8.0, of 2020)"
        fix = ""
    if card.uses_marlin:
        cost = "Marlin does its work: 3.5 ms a step of one reply instead of 2.8"
    else:
        cost = "Triton and cuBLAS do its work: 6 ms a step of one reply and 10 of 16 instead of 3"
        if card.capability >= MARLIN_OLDEST_CAPABILITY:
            toolkit = "the CUDA toolkit: with nvcc, Marlin is compiled."
            fix = f"{fix} Or install {toolkit}" if fix else f"Install {toolkit}"
    text = f"{why}. {cost} (measured on an H100 and an H200, a 13B)."
    return Finding(Grade.WARN, "gptq", text, fix)


def _attention() -> Finding:
    if any(is_installed(name) for name in ("flash_attn_interface", "flash_attn")):
        return Finding(Grade.OK, "attention", "FlashAttention is installed.")
    return Finding(
        Grade.OK,
        "attention",
        "FlashAttention is not installed. Llama and Mistral models have kernels of their own; any "
        "other runs on PyTorch's attention without CUDA graphs (measured: 47 ms a step instead "
        "of 8).",
    )
