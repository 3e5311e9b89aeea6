# pyright: basic
"""Pieces of prompts as the numbers that one launch needs, in one tensor of a fixed length.

One copy brings them to the GPU; and as every length that varies is padded up to a layout's, a
captured graph can read them.
"""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from bot.engine.local.runner import Segment

TILE_TOKENS = 64  # of a prompt
TILE_FIELDS = 4
ROW_FIELDS = 3


@dataclass(frozen=True, slots=True)
class PromptLayout:
    """How many tokens there may be, and how many rows that choose or have a tile of their own."""

    tokens: int
    rows: int

    @property
    def tiles(self) -> int:
        """Whole tiles, and one that is not whole for each row."""
        return self.tokens // TILE_TOKENS + self.rows

    @property
    def length(self) -> int:
        """Numbers in all."""
        return 3 * self.tokens + TILE_FIELDS * self.tiles + ROW_FIELDS * self.rows

    def takes(self, pieces: Sequence[Segment]) -> bool:
        """Whether these pieces fit."""
        return len(pieces) <= self.rows and sum(len(p.tokens) for p in pieces) <= self.tokens


class PromptInputs:
    """Views into a layout's numbers, [length] int32."""

    def __init__(self, layout: PromptLayout, numbers: torch.Tensor) -> None:
        count, tiles, rows = layout.tokens, layout.tiles, layout.rows
        sizes = [count] * 3 + [tiles] * TILE_FIELDS + [rows] * ROW_FIELDS
        views = numbers.split(sizes)
        self.numbers = numbers
        self.tokens, self.positions, self.slots = views[:3]
        self.tiles = (views[3], views[4], views[5], views[6])
        self.last, self.choosing, self.lengths = views[7:]


def prompt_numbers(pieces: Sequence[Segment], layout: PromptLayout, idle_slot: int) -> torch.Tensor:
    """The numbers for some pieces, in pinned memory. What is padding belongs to the idle slot."""
    return torch.frombuffer(
        packed_numbers(pieces, layout, idle_slot), dtype=torch.int32
    ).pin_memory()


def packed_numbers(pieces: Sequence[Segment], layout: PromptLayout, idle_slot: int) -> "array[int]":
    """The same, side by side as a tensor has them: they are not looked at one by one again."""
    tokens, positions, slots = array("i"), array("i"), array("i")
    tiles: list[tuple[int, int, int, int]] = []
    rows: list[tuple[int, int, int]] = []
    for piece in pieces:
        begin, count = len(tokens), len(piece.tokens)
        tokens.extend(piece.tokens)
        positions.extend(range(piece.start, piece.start + count))
        slots.extend(array("i", [piece.slot]) * count)
        for first in range(0, count, TILE_TOKENS):
            size = min(TILE_TOKENS, count - first)
            tiles.append((piece.slot, begin + first, size, piece.start + first))
        if piece.chooses:
            # The sampler moves a slot on by one: to the tokens that the cache then has.
            rows.append((begin + count - 1, piece.slot, piece.start + count - 1))
    missing = layout.tokens - len(tokens)
    tiles += [(idle_slot, 0, 0, 0)] * (layout.tiles - len(tiles))
    rows += [(0, idle_slot, 0)] * (layout.rows - len(rows))
    nothing, idle = array("i", [0]) * missing, array("i", [idle_slot]) * missing
    numbers = tokens + nothing + positions + nothing + slots + idle
    for column in (*zip(*tiles, strict=True), *zip(*rows, strict=True)):
        numbers.extend(column)
    return numbers
