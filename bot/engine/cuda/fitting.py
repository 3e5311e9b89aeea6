# pyright: basic
"""How much room for keys and values there is beside the weights, and how many rows it is for.

What a step takes at its peak is measured. What the graphs take is not known before they are
captured: a reserve is kept for it, and a larger one when that was too little.
"""

import logging
from dataclasses import dataclass

import torch

from bot.engine.cuda.llama import LlamaDecoder, LlamaShape
from bot.engine.cuda.pages import PAGE_TOKENS, PagedCache, kept_bytes
from bot.engine.cuda.runner import CudaRunner
from bot.engine.local.guessing.agreement import COUNTS
from bot.engine.local.memory import device_in_words
from bot.engine.local.runner import RunnerLimits
from bot.engine.models.progress import Progress
from bot.errors import ModelError

log = logging.getLogger(__name__)

ROWS = 64
SLOTS_A_ROW = 4  # sequences kept for later, for each that can run
RESERVE_BYTES = 512 << 20  # for the graphs, cuBLAS and what else lives on the card
RESERVE_SHARE = 0.02
MORE_RESERVE_BYTES = (0, 512 << 20, 1 << 30, 2 << 30, 3 << 30)  # one after the other
HALF_BYTES = 2
LEAST_ROOM_TOKENS = 256  # with less there is no conversation


def free_bytes(device: torch.device) -> int:
    """What this process may still take: the card's free memory, or less by torch's own limit."""
    free, _ = torch.cuda.mem_get_info(device)
    allocated = torch.cuda.memory_allocated(device)
    unused = torch.cuda.memory_reserved(device) - allocated
    return min(free + unused, allowed_bytes(device) - allocated)


def allowed_bytes(device: torch.device) -> int:
    """The card's memory, or less by torch's own limit."""
    _, total = torch.cuda.mem_get_info(device)
    return int(torch.cuda.get_per_process_memory_fraction(device) * total)


def token_bytes(shape: LlamaShape, *, bits: int = 16) -> int:
    """Keys and values of one token in all layers."""
    return 2 * shape.layers * shape.kv_heads * kept_bytes(shape.head_size, HALF_BYTES, bits=bits)


@dataclass(frozen=True, slots=True)
class Fitting:
    """A decoder that is on the card, and what its runner is to be."""

    decoder: LlamaDecoder
    context_tokens: int
    chunk_tokens: int
    limits: RunnerLimits
    dtype: torch.dtype
    kernel: str
    report: Progress
    cache_bits: int = 16  # of keys and values

    @property
    def device(self) -> torch.device:
        """Where the decoder is."""
        return self.decoder.embedding.device

    def reserves(self) -> list[int]:
        """Bytes to keep free beside all that is measured, the least first."""
        least = RESERVE_BYTES + int(RESERVE_SHARE * allowed_bytes(self.device))
        return [least + more for more in MORE_RESERVE_BYTES]

    def runner(self, reserve_bytes: int) -> CudaRunner:
        """Allocated and warmed up. Raises ModelError or torch's own when memory is too short."""
        rows = self.limits.rows or ROWS
        chunk = min(self.chunk_tokens, self.context_tokens)
        step_bytes = self._measure_step(chunk)
        torch.cuda.empty_cache()
        pages = self._pages(rows, free_bytes(self.device) - step_bytes - reserve_bytes)
        slots = rows * SLOTS_A_ROW
        runner = CudaRunner(
            self.decoder,
            self._cache(pages, slots, -(-self.context_tokens // PAGE_TOKENS)),
            rows=rows,
            slots=slots,
            room_tokens=pages * PAGE_TOKENS,
            context_tokens=self.context_tokens,
            chunk_tokens=chunk,
            device=device_in_words(self.device),
            kernel=self.kernel,
            # Not measured on a GPU yet: «auto» is off.
            guessed_tokens=COUNTS[-1] if self.limits.guess_ahead == "on" else 0,
        )
        runner.warm_up(self.report)
        log.info(
            "%s: %s; room for %d tokens, %d rows",
            runner.device,
            self.kernel,
            runner.room_tokens,
            rows,
        )
        return runner

    def _pages(self, rows: int, left_bytes: int) -> int:
        left = max(left_bytes, 0)
        wanted = self.limits.room_tokens or rows * SLOTS_A_ROW * self.context_tokens
        page_bytes = token_bytes(self.decoder.shape, bits=self.cache_bits) * PAGE_TOKENS
        pages = min(left // page_bytes, -(-wanted // PAGE_TOKENS))
        if pages * PAGE_TOKENS < min(self.context_tokens, wanted, LEAST_ROOM_TOKENS):
            raise ModelError(
                f"The weights fit, but only {left / 1e9:.1f} GB are left for the conversation.",
                "Close what else uses the card, or use a smaller model.",
            )
        return pages

    def _cache(self, pages: int, slots: int, pages_per_slot: int) -> PagedCache:
        shape = self.decoder.shape
        return PagedCache(
            shape.layers,
            shape.kv_heads,
            shape.head_size,
            pages=pages,
            slots=slots,
            pages_per_slot=pages_per_slot,
            dtype=self.dtype,
            device=self.device,
            bits=self.cache_bits,
        )

    def _measure_step(self, chunk: int) -> int:
        """Bytes that the largest step takes at its peak beside what stays."""
        pages = -(-chunk // PAGE_TOKENS) + 1
        trial = CudaRunner(
            self.decoder,
            self._cache(pages, 1, pages),
            rows=1,
            slots=1,
            room_tokens=pages * PAGE_TOKENS,
            context_tokens=chunk + 1,
            chunk_tokens=chunk,
            device="",
            kernel="",
        )
        before = torch.cuda.memory_allocated(self.device)
        torch.cuda.reset_peak_memory_stats(self.device)
        trial.compute_largest()
        return torch.cuda.max_memory_allocated(self.device) - before
