# pyright: basic
"""Keys and values in pages of a few tokens, and which slot has which pages."""

import torch

PAGE_TOKENS = 64


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
    ) -> None:
        shape = (layers, pages + 1, kv_heads, PAGE_TOKENS, size)
        self.keys = torch.zeros(shape, dtype=dtype, device=device)
        self.values = torch.zeros(shape, dtype=dtype, device=device)
        self.table = torch.zeros(slots + 1, pages_per_slot, dtype=torch.int32, device=device)
        self._free = list(range(pages, 0, -1))
        self._of_slot: dict[int, list[int]] = {}

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
        for layer in range(self.keys.shape[0]):
            self.keys[layer, there] = self.keys[layer, here]
            self.values[layer, there] = self.values[layer, here]

    def _write(self, slot: int) -> None:
        mine = self._of_slot[slot]
        self.table[slot, : len(mine)] = torch.tensor(mine, dtype=torch.int32)
