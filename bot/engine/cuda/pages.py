# pyright: basic
"""Keys and values in pages of a few tokens, and which slot has which pages.

In 8 bits each token's head is a row of whole numbers and one scale, its greatest value over 127:
half the memory and half of what a step reads. That is within 0.7% of the values, where an 8-bit
float, which no card before 2022 has either, is within 3%.
"""

from dataclasses import dataclass

import torch

PAGE_TOKENS = 64
SCALE_BYTES = 4


def kept_bytes(size: int, element_bytes: int, *, bits: int) -> int:
    """What one token's key (or value) of one head takes."""
    return size * element_bytes if bits == 16 else size + SCALE_BYTES


@dataclass(frozen=True, slots=True)
class LayerCache:
    """One layer's keys and values: [pages, kv_heads, PAGE_TOKENS, size].

    The scales, [pages, kv_heads, PAGE_TOKENS] float32, are read where the keys are int8. `table`:
    [slots, pages_per_slot] int32.
    """

    keys: torch.Tensor
    values: torch.Tensor
    key_scales: torch.Tensor
    value_scales: torch.Tensor
    table: torch.Tensor

    @property
    def is_quantized(self) -> bool:
        """Whether the scales count."""
        return self.keys.dtype == torch.int8


class PagedCache:
    """keys, values: [layers, pages, kv_heads, PAGE_TOKENS, size]. Page 0 belongs to idle rows."""

    def __init__(
        self,
        layers: int,
        kv_heads: int,
        size: int,
        *,
        pages: int,
        slots: int,
        pages_per_slot: int,
        dtype: torch.dtype,
        device: torch.device,
        bits: int = 16,
    ) -> None:
        """`dtype` is that of the steps; with 8 `bits` it is not that of what is kept."""
        self.bits = bits
        places = (layers, pages + 1, kv_heads, PAGE_TOKENS)
        kept = dtype if bits == 16 else torch.int8
        self.keys = torch.zeros(*places, size, dtype=kept, device=device)
        self.values = torch.zeros_like(self.keys)
        scales = (layers, 1) if bits == 16 else places
        self.key_scales = torch.zeros(scales, dtype=torch.float32, device=device)
        self.value_scales = torch.zeros_like(self.key_scales)
        self.table = torch.zeros(slots + 1, pages_per_slot, dtype=torch.int32, device=device)
        self.by_page = (self.keys, self.values)
        if bits != 16:
            self.by_page = (*self.by_page, self.key_scales, self.value_scales)
        self._free = list(range(pages, 0, -1))
        self._of_slot: dict[int, list[int]] = {}

    def layer(self, index: int) -> LayerCache:
        """What a layer's steps read and write."""
        return LayerCache(
            self.keys[index],
            self.values[index],
            self.key_scales[index],
            self.value_scales[index],
            self.table,
        )

    def pages_of(self, slot: int) -> list[int]:
        """Where a slot's tokens are, the first ones first."""
        return self._of_slot.get(slot, [])

    def resize(self, slot: int, tokens: int) -> None:
        """Give a slot pages for `tokens`, keeping those that it has. The caller knows they fit."""
        wanted = -(-tokens // PAGE_TOKENS)
        mine = self._of_slot.setdefault(slot, [])
        while len(mine) > wanted:
            self._free.append(mine.pop())
        while len(mine) < wanted:
            mine.append(self._free.pop())
        self._write(slot)

    def release(self, slot: int) -> None:
        """Take a slot's pages back."""
        self._free.extend(reversed(self._of_slot.pop(slot, [])))

    def copy(self, source: int, target: int, tokens: int) -> None:
        """The first `tokens` of one slot's keys and values into another's pages."""
        count = -(-tokens // PAGE_TOKENS)
        here = torch.tensor(self._of_slot[source][:count], device=self.keys.device)
        there = torch.tensor(self._of_slot[target][:count], device=self.keys.device)
        for kept in self.by_page:
            for layer in range(kept.shape[0]):
                kept[layer, there] = kept[layer, here]

    def _write(self, slot: int) -> None:
        mine = self._of_slot[slot]
        numbers = torch.tensor(mine, dtype=torch.int32)
        if self.table.is_cuda:  # from pinned memory nobody waits for the step under way
            numbers = numbers.pin_memory()
        self.table[slot, : len(mine)].copy_(numbers, non_blocking=True)
