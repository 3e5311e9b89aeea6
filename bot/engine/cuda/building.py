# pyright: basic
"""Puts a model onto one GPU: which kernels, and what of the weights is kept there twice."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from bot.engine.cuda.checkpoint import CheckpointReader, LayerReader, read_decoder, read_shape
from bot.engine.cuda.fitting import Fitting, free_bytes, token_bytes
from bot.engine.cuda.gptq import GptqTensors
from bot.engine.cuda.linear import MarlinProduct, Scratch
from bot.engine.cuda.llama import LlamaDecoder
from bot.engine.cuda.packed import PackedProduct, PackedWeights, is_wide
from bot.engine.cuda.products import FewRows
from bot.engine.cuda.runner import CudaRunner
from bot.engine.local.memory import with_growing_reserve
from bot.engine.local.runner import DEFAULT_CACHE_BITS, RunnerLimits, RunnerOutOfMemory
from bot.engine.machine.spare import host_cache_bytes
from bot.engine.models.folders.folder import ModelFolder
from bot.engine.models.gptq.layout import GptqLayout
from bot.engine.models.gptq.marlin import marlin_is_there
from bot.engine.models.progress import Progress
from bot.errors import ModelError

log = logging.getLogger(__name__)

TRIED_ROWS = (1, 9, 17, 33, 65)  # each is a kernel of its own
KERNELS = tuple(FewRows)  # for few rows of GPTQ, in the order in which they are tried
CHUNK_TOKENS = 2048  # of prompts in one step: a step of this size takes some 90 ms on a Hopper card
SMALL_CHUNK_TOKENS = 512  # where memory is short
CONTEXTS_WORTH_A_COPY = 16  # room for so many full contexts must remain beside a second copy
CONTEXTS_WORTH_UNPACKING = 16  # the same, beside a copy in 16 bits


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """What goes onto the card besides the weights."""

    keep_packed: bool  # a layout that can be unpacked, for prompts: Marlin's cannot
    marlin_too: bool  # Marlin's layout beside our own
    unpacked_bytes: int  # for layers in 16 bits beside the packed ones, for prompts
    chunk_tokens: int


def build_cuda_runner(
    folder: ModelFolder,
    config: Any,
    context_tokens: int,
    limits: RunnerLimits,
    report: Progress,
    *,
    only: FewRows | None = None,
) -> CudaRunner:
    """Load, measure, allocate and warm up. Raises ModelError when the card is too small.

    `only`: this kernel for few rows, and no copies in 16 bits, to compare kernels by.
    """
    device = torch.device("cuda", 0)
    shape = read_shape(config)
    dtype = torch.bfloat16 if folder.is_bfloat16 else torch.float16
    bits = limits.cache_bits or (16 if dtype is torch.bfloat16 else DEFAULT_CACHE_BITS)
    kernels = KERNELS if only is None else (only,)
    few, marlin, kernel = _choose_kernel(folder, device, dtype, report, kernels)
    if only not in (None, few):
        raise ModelError(f"The kernel «{only.value}» does not run here.")
    plan = _plan_memory(
        folder, context_tokens * token_bytes(shape, bits=bits), device, few, marlin=marlin
    )
    if only is not None:
        plan = replace(plan, unpacked_bytes=0)
    try:
        decoder = _load(folder, config, context_tokens, dtype, device, few, plan, report)
        fitting = Fitting(
            decoder,
            context_tokens,
            plan.chunk_tokens,
            limits,
            dtype,
            f"{kernel}, {bits}-bit cache",
            report,
            cache_bits=bits,
        )
        runner = with_growing_reserve(fitting.runner, fitting.reserves())
    except (torch.OutOfMemoryError, RunnerOutOfMemory) as error:
        raise ModelError(
            f"{folder.path.name} does not fit: the card has {free_bytes(device) / 1e9:.1f} GB "
            "left, and more was needed.",
            "Close what else uses the card, shorten CONTEXT_TOKENS, or use a smaller model.",
        ) from error
    runner.set_host_memory_aside(host_cache_bytes(limits.host_bytes), report)
    return runner


def _choose_kernel(
    folder: ModelFolder,
    device: torch.device,
    dtype: torch.dtype,
    report: Progress,
    kernels: Sequence[FewRows],
) -> tuple[FewRows, bool, str]:
    """The kernel for few rows, whether Marlin runs too, and all in words."""
    rest = "Triton attention, CUDA graphs"
    if folder.gptq is None:
        return FewRows.TRITON, False, f"{str(dtype).removeprefix('torch.')}, cuBLAS, {rest}"
    running: list[FewRows] = []
    for few in kernels:
        if running == [FewRows.PACKED] and is_wide(device):
            break  # Marlin is faster for some rows on older cards alone
        if _runs(few, folder.gptq, device, report):
            running.append(few)
    few = running[0] if running else FewRows.TRITON
    return few, FewRows.MARLIN in running, f"{folder.gptq.words}, {few.value}, {rest}"


def _runs(few: FewRows, layout: GptqLayout, device: torch.device, report: Progress) -> bool:
    """Whether a kernel does a small product here; a line in the log says why not."""
    symmetric = layout.sym
    if few is FewRows.TRITON:
        return True
    if few is FewRows.MARLIN:
        if not symmetric or not marlin_is_there():
            return False
        report("Preparing Marlin (compiled in about three minutes at first use)", None)
    try:
        _try_product(few, device)
    except (RuntimeError, ImportError, ValueError, OSError) as error:
        log.warning("The kernel «%s» does not run here, another does: %s", few.value, error)
        return False
    return True


def _try_product(few: FewRows, device: torch.device) -> None:
    size, group = 256, 128
    words = torch.zeros(size // 8, size, dtype=torch.int32, device=device)
    ones = torch.ones(size // group, size, dtype=torch.float16, device=device)
    tensors = GptqTensors(words, ones, ones * 8, group)
    product = (
        PackedProduct(PackedWeights(tensors)) if few is FewRows.PACKED else MarlinProduct(tensors)
    )
    for rows in TRIED_ROWS:
        found = product(torch.ones(rows, size, dtype=torch.float16, device=device))
        torch.cuda.synchronize(device)
        if not bool((found == -8 * size).all()):
            raise RuntimeError(f"its product of {rows} rows is wrong")


def _plan_memory(
    folder: ModelFolder, context_bytes: int, device: torch.device, few: FewRows, *, marlin: bool
) -> MemoryPlan:
    """`context_bytes` is what a full context takes in the cache."""
    free = free_bytes(device)
    if folder.bytes > free:
        raise ModelError(
            f"{folder.path.name} needs {folder.bytes / 1e9:.1f} GB for its weights alone, and the "
            f"card has {free / 1e9:.1f} GB free.",
            "Close what else uses the card, or use a smaller model.",
        )
    # Marlin has a layout of its own, which nothing else reads.
    left = free - (2 if marlin else 1) * folder.bytes
    ample = left > CONTEXTS_WORTH_A_COPY * context_bytes
    return MemoryPlan(
        keep_packed=ample or few is not FewRows.MARLIN,
        marlin_too=ample and marlin and few is FewRows.PACKED,
        unpacked_bytes=max(0, left - CONTEXTS_WORTH_UNPACKING * context_bytes),
        chunk_tokens=CHUNK_TOKENS if ample else SMALL_CHUNK_TOKENS,
    )


def _load(
    folder: ModelFolder,
    config: Any,
    context_tokens: int,
    dtype: torch.dtype,
    device: torch.device,
    few: FewRows,
    plan: MemoryPlan,
    report: Progress,
) -> LlamaDecoder:
    scratch = None
    if folder.gptq is not None and plan.keep_packed:
        scratch = Scratch(_largest_product(config), dtype, device)
    with CheckpointReader(folder, device, dtype) as reader:
        layers = LayerReader(
            reader,
            folder,
            device,
            few=few,
            marlin_too=plan.marlin_too,
            scratch=scratch,
            unpacked_bytes=plan.unpacked_bytes,
        )
        return read_decoder(reader, layers, config, context_tokens, report)


def _largest_product(config: Any) -> int:
    shape = read_shape(config)
    merged = (shape.heads + 2 * shape.kv_heads) * shape.head_size
    return shape.hidden * max(merged, 2 * int(config.intermediate_size))
