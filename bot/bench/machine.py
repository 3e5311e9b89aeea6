"""What the figures were measured on: no host name, no paths."""

# pyright: reportUnknownMemberType=false
# (an edge to a library that is only partly typed)

import os
import platform
import re
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:  # a GGUF file is measured without it
    import torch

LLAMA_CPP_PACKAGES = ("xllamacpp",)
PACKAGES = ("torch", "transformers", "triton", "gptqmodel", "optimum", "tokenizers", "safetensors")
CPU_INFO = Path("/proc/cpuinfo")
DRIVER_INFO = Path("/proc/driver/nvidia/version")
GIGABYTE = 1e9


def describe_processor(threads: int, packages: Sequence[str]) -> dict[str, object]:
    """Processor, memory and the versions of what computes."""
    versions = {name: _version(name) for name in packages}
    return {
        "processor": processor_name(),
        "cores": os.cpu_count(),
        "threads": threads,
        "memory_gb": round(psutil.virtual_memory().total / GIGABYTE, 1),
        "python": platform.python_version(),
        "packages": {name: found for name, found in versions.items() if found},
    }


def describe_machine(device: "torch.device") -> dict[str, object]:
    """The same with torch's view of it: card and driver."""
    import torch

    described = describe_processor(torch.get_num_threads(), PACKAGES)
    if device.type == "cuda":
        total = torch.cuda.mem_get_info(device)[1]
        described |= {
            "gpu": torch.cuda.get_device_name(device),
            "gpu_memory_gb": round(total / GIGABYTE, 1),
            "gpu_memory_fraction": torch.cuda.get_per_process_memory_fraction(device),
            "driver": driver_version(),
            "cuda": torch.version.cuda,
        }
    return described


def processor_name() -> str:
    """As the kernel calls it."""
    try:
        text = CPU_INFO.read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1].strip() if found else platform.machine()


def driver_version() -> str:
    """Of NVIDIA's kernel module; "" where it does not say."""
    try:
        text = DRIVER_INFO.read_text(encoding="utf-8")
    except OSError:
        return ""
    found = re.search(r"\s(\d+\.\d+(?:\.\d+)?)\s", text)
    return found[1] if found else ""


def memory_bytes(device: "torch.device") -> int:
    """What is taken of the card by everything on it, or of the memory by this process."""
    import torch

    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        return total - free
    return int(psutil.Process().memory_info().rss)


def load_average() -> float:
    """How many processes wanted a core lately; others disturb what is measured on it."""
    return round(psutil.getloadavg()[0], 2)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
