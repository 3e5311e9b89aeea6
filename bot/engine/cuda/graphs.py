# pyright: basic
"""Steps as CUDA graphs, one a size: a whole step is a single launch, for rows and for prompts.

Captured when the engine starts, never while people wait. What a graph reads and writes lies at
fixed addresses: the rows' slots go in, the chosen tokens come out, everything else is state that
the GPU keeps by slot. https://docs.nvidia.com/cuda/cuda-c-programming-guide/#cuda-graphs
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from bot.engine.cuda.llama import LlamaDecoder
from bot.engine.cuda.pages import PagedCache
from bot.engine.cuda.prompts import PromptInputs, PromptLayout, prompt_numbers
from bot.engine.cuda.sampler import SamplerTensors, sample

SIZES = (1, 2, 4, 6, 8, 12, 16, 20, 24, 28, 32, 40, 48, 56, 64)
PROMPT_SIZES = (16, 32, 64, 96, 128, 192, 256, 384, 512, 640, 768, 1024, 1280, 1536, 2048)
WARM_UPS = 2


@dataclass(frozen=True, slots=True)
class StepGraph:
    """A captured step for up to `rows` rows."""

    graph: torch.cuda.CUDAGraph
    slots: torch.Tensor  # [rows] int32, read
    chosen: torch.Tensor  # [rows] int32, written


@dataclass(frozen=True, slots=True)
class PromptGraph:
    """A captured step for up to so many prompt tokens."""

    graph: torch.cuda.CUDAGraph
    layout: PromptLayout
    inputs: PromptInputs  # written before each launch
    chosen: torch.Tensor  # [layout.rows] int32


def graph_sizes(rows: int) -> list[int]:
    """The batch sizes to capture: finely for few rows, coarsely for many."""
    sizes = [size for size in SIZES if size < rows]
    last = sizes[-1] if sizes else 0
    sizes += range(last + 16, rows, 16)
    return [*sizes, rows]


def run_decode(
    decoder: LlamaDecoder,
    cache: PagedCache,
    state: SamplerTensors,
    slots: torch.Tensor,
    chosen: torch.Tensor,
    idle_slot: int,
) -> None:
    """One step over rows, eagerly: logits of every slot's newest token, and the next one chosen."""
    tokens = state.tokens[slots.long()]
    logits = decoder.decode(tokens, cache, slots, state.lengths[slots.long()])
    sample(logits, slots, state, chosen, vocabulary=decoder.shape.vocabulary, idle_slot=idle_slot)


def run_prompts(
    decoder: LlamaDecoder,
    cache: PagedCache,
    state: SamplerTensors,
    inputs: PromptInputs,
    chosen: torch.Tensor,
    idle_slot: int,
) -> None:
    """One step over prompt tokens, eagerly; a token is chosen after those that ask for one."""
    logits = decoder.prefill(inputs, cache)
    state.lengths[inputs.choosing.long()] = inputs.lengths
    sample(
        logits,
        inputs.choosing,
        state,
        chosen,
        vocabulary=decoder.shape.vocabulary,
        idle_slot=idle_slot,
    )


def prompt_sizes(chunk_tokens: int) -> list[int]:
    """The prompt lengths to capture."""
    return [size for size in PROMPT_SIZES if size < chunk_tokens] + [chunk_tokens]


def capture_prompts(
    decoder: LlamaDecoder,
    cache: PagedCache,
    state: SamplerTensors,
    *,
    sizes: Sequence[int],
    rows: int,
    idle_slot: int,
    report: Callable[[str, float | None], None],
) -> list[PromptGraph]:
    """A graph for each length, shortest first in the list."""
    device = decoder.embedding.device
    graphs: list[PromptGraph] = []
    pool, side = torch.cuda.graph_pool_handle(), torch.cuda.Stream()
    for done, tokens in enumerate(sorted(sizes, reverse=True)):
        report("Capturing prompt steps", done / len(sizes))
        layout = PromptLayout(tokens, rows)
        inputs = PromptInputs(layout, prompt_numbers([], layout, idle_slot).to(device))
        chosen = torch.zeros(rows, dtype=torch.int32, device=device)

        def run(inputs: PromptInputs = inputs, chosen: torch.Tensor = chosen) -> None:
            run_prompts(decoder, cache, state, inputs, chosen, idle_slot)

        graphs.append(PromptGraph(captured(run, pool, side), layout, inputs, chosen))
    return graphs[::-1]


def captured(run: Callable[[], None], pool: Any, side: torch.cuda.Stream) -> torch.cuda.CUDAGraph:
    """`run` as a graph; `side` is the stream that it is warmed up on."""
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(WARM_UPS):
            run()
    torch.cuda.current_stream().wait_stream(side)
    # What the warm-up took belongs to its stream, and would be kept for it.
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    graph = torch.cuda.CUDAGraph()
    # The outer one returns to this thread's stream also when the capture breaks off.
    with torch.cuda.stream(torch.cuda.current_stream()), torch.cuda.graph(graph, pool=pool):
        run()
    return graph


def capture(
    decoder: LlamaDecoder,
    cache: PagedCache,
    state: SamplerTensors,
    *,
    sizes: Sequence[int],
    idle_slot: int,
    report: Callable[[str, float | None], None],
) -> dict[int, StepGraph]:
    """A graph for each size, largest first, so that they share one pool of memory."""
    device = decoder.embedding.device
    graphs: dict[int, StepGraph] = {}
    pool, side = torch.cuda.graph_pool_handle(), torch.cuda.Stream()
    for done, rows in enumerate(sorted(sizes, reverse=True)):
        report("Capturing decode steps", done / len(sizes))
        slots = torch.full((rows,), idle_slot, dtype=torch.int32, device=device)
        chosen = torch.zeros(rows, dtype=torch.int32, device=device)

        def run(slots: torch.Tensor = slots, chosen: torch.Tensor = chosen) -> None:
            run_decode(decoder, cache, state, slots, chosen, idle_slot)

        graphs[rows] = StepGraph(captured(run, pool, side), slots, chosen)
    torch.cuda.synchronize()
    return graphs
