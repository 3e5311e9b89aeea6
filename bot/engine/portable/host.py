"""Pages of keys and values in the machine's memory, as plain tensors: every copy is waited for."""

import time
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from bot.engine.local.memory import telling_out_of_memory
from bot.engine.local.meter import running_average
from bot.engine.local.slots import BLOCK_TOKENS


class HostTensors:
    """See :class:`~bot.engine.local.runner.HostMemory`. A page takes memory at its first use."""

    pending_bytes = 0

    def __init__(
        self,
        caches: Mapping[int, Tensor],
        shape: Sequence[int],
        dtype: torch.dtype,
        room_bytes: int,
    ) -> None:
        """`caches` are the runner's: slot to [*shape[:-2], tokens, width]; `shape` is a page's."""
        self._caches = caches
        self._shape = tuple(shape)
        self._dtype = dtype
        self.page_bytes = torch.Size(shape).numel() * dtype.itemsize
        self.pages = room_bytes // self.page_bytes
        self.bytes_per_second = 0.0
        self._held: dict[int, Tensor] = {}

    @telling_out_of_memory()
    @torch.inference_mode()
    def save(self, slot: int, first_page: int, pages: Sequence[int]) -> None:
        """See :class:`~bot.engine.local.runner.HostMemory`."""
        began = time.perf_counter()
        for number, page in enumerate(pages, first_page):
            here = _page(self._caches[slot], number)
            held = self._held.get(page)
            if held is None:
                held = self._held[page] = torch.zeros(self._shape, dtype=self._dtype)
            held[..., : here.shape[-2], :] = here
        self._measure(len(pages), time.perf_counter() - began)

    @telling_out_of_memory()
    @torch.inference_mode()
    def load(self, slot: int, first_page: int, pages: Sequence[int]) -> None:
        """See :class:`~bot.engine.local.runner.HostMemory`."""
        began = time.perf_counter()
        for number, page in enumerate(pages, first_page):
            here = _page(self._caches[slot], number)
            here.copy_(self._held[page][..., : here.shape[-2], :])
        self._measure(len(pages), time.perf_counter() - began)

    def is_here(self, slot: int) -> bool:
        """See :class:`~bot.engine.local.runner.HostMemory`."""
        return True

    @torch.inference_mode()
    def wipe(self, pages: Sequence[int]) -> None:
        """See :class:`~bot.engine.local.runner.HostMemory`."""
        for page in pages:
            if page in self._held:
                self._held[page].zero_()

    def _measure(self, pages: int, seconds: float) -> None:
        if not pages or seconds <= 0:
            return
        rate = pages * self.page_bytes / seconds
        self.bytes_per_second = running_average(self.bytes_per_second, rate)


def _page(cache: Tensor, number: int) -> Tensor:
    return cache[..., number * BLOCK_TOKENS : (number + 1) * BLOCK_TOKENS, :]
