# pyright: basic
"""Puts a model onto one GPU: which kernels, and what of the weights is kept there twice."""

import logging
from dataclasses import dataclass
from typing import Any

import torch

from bot.engine.cuda.checkpoint import CheckpointReader, LayerReader, read_decoder, read_shape
from bot.engine.cuda.fitting import Fitting, free_bytes, token_bytes
from bot.engine.cuda.gptq import GptqTensors
from bot.engine.cuda.linear import MarlinProduct, Scratch
from bot.engine.cuda.llama import LlamaDecoder, LlamaShape
from bot.engine.cuda.runner import CudaRunner
from bot.engine.local.memory import with_growing_reserve
from bot.engine.local.runner import RunnerLimits, RunnerOutOfMemory
from bot.engine.models.folders.folder import ModelFolder
from bot.engine.models.gptq.marlin import marlin_is_there
from bot.engine.models.progress import Progress
from bot.errors import ModelError

log = logging.getLogger(__name__)

CHUNK_TOKENS = 2048  # of prompts in one step: a step of this size takes some 90 ms on a Hopper card
SMALL_CHUNK_TOKENS = 512  # where memory is short
CONTEXTS_WORTH_A_COPY = 16  # room for so many full contexts must remain beside a second copy
CONTEXTS_WORTH_UNPACKING = 16  # the same, beside a copy in 16 bits


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """What goes onto the card besides the weights."""

    keep_packed: bool  # GPTQ's own layout beside Marlin's, for prompts
    unpacked_bytes: int  # for layers in 16 bits beside the packed ones, for prompts
    chunk_tokens: int


def build_cuda_runner(
    folder: ModelFolder,
    config: Any,
    context_tokens: int,
    limits: RunnerLimits,
    report: Progress,
) -> CudaRunner:
    """Load, measure, allocate and warm up. Raises ModelError when the card is too small."""
    device = torch.device("cuda", 0)
    shape = read_shape(config)
    bf16 = any(tensor.dtype == "BF16" for tensor in folder.tensors.values())
    dtype = torch.bfloat16 if bf16 and folder.gptq is None else torch.float16
    marlin, kernel = _choose_kernel(folder, device, dtype, report)
    plan = _plan_memory(folder, shape, context_tokens, device, marlin=marlin)
    try:
        decoder = _load(folder, config, context_tokens, dtype, device, marlin, plan, report)
        fitting = Fitting(decoder, context_tokens, plan.chunk_tokens, limits, dtype, kernel, report)
        return with_growing_reserve(fitting.runner, fitting.reserves())
    except (torch.OutOfMemoryError, RunnerOutOfMemory) as error:
        raise ModelError(
            f"{folder.path.name} does not fit: the card has {free_bytes(device) / 1e9:.1f} GB "
            "left, and more was needed.",
            "Close what else uses the card, shorten CONTEXT_TOKENS, or use a smaller model.",
        ) from error


def _choose_kernel(
    folder: ModelFolder, device: torch.device, dtype: torch.dtype, report: Progress
) -> tuple[bool, str]:
    name = str(dtype).removeprefix("torch.")
    if folder.gptq is None:
        return False, f"{name}, cuBLAS, Triton attention, CUDA graphs"
    if folder.gptq.sym and marlin_is_there():
        report("Preparing Marlin (compiled in about three minutes at first use)", None)
        try:
            _try_marlin(device)
        except (RuntimeError, ImportError, ValueError, OSError) as error:
            log.warning("Marlin does not run here, Triton's kernel does: %s", error)
        else:
            return True, f"{folder.gptq.words}, Marlin, Triton attention, CUDA graphs"
    return False, f"{folder.gptq.words}, Triton, CUDA graphs"


def _try_marlin(device: torch.device) -> None:
    size, group = 128, 128
    words = torch.zeros(size // 8, size, dtype=torch.int32, device=device)
    ones = torch.ones(1, size, dtype=torch.float16, device=device)
    product = MarlinProduct(GptqTensors(words, ones, ones * 8, group))
    product(torch.ones(1, size, dtype=torch.float16, device=device))
    torch.cuda.synchronize(device)


def _plan_memory(
    folder: ModelFolder, shape: LlamaShape, context: int, device: torch.device, *, marlin: bool
) -> MemoryPlan:
    free = free_bytes(device)
    if folder.bytes > free:
        raise ModelError(
            f"{folder.path.name} needs {folder.bytes / 1e9:.1f} GB for its weights alone, and the "
            f"card has {free / 1e9:.1f} GB free.",
            "Close what else uses the card, or use a smaller model.",
        )
    context_bytes = context * token_bytes(shape)
    left = free - (2 if marlin else 1) * folder.bytes
    ample = left > CONTEXTS_WORTH_A_COPY * context_bytes
    return MemoryPlan(
        keep_packed=ample or not marlin,
        unpacked_bytes=max(0, left - CONTEXTS_WORTH_UNPACKING * context_bytes),
        chunk_tokens=CHUNK_TOKENS if ample else SMALL_CHUNK_TOKENS,
    )


def _load(
    folder: ModelFolder,
    config: Any,
    context_tokens: int,
    dtype: torch.dtype,
    device: torch.device,
    marlin: bool,
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
            marlin=marlin,
            scratch=scratch,
            unpacked_bytes=plan.unpacked_bytes,
        )
        return read_decoder(reader, layers, config, context_tokens, report)


def _largest_product(config: Any) -> int:
    shape = read_shape(config)
    merged = (shape.heads + 2 * shape.kv_heads) * shape.head_size
    return shape.hidden * max(merged, 2 * int(config.intermediate_size))
