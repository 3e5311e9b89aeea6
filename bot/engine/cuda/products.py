"""Which product multiplies by GPTQ's 4-bit weights, and for how many rows.

No torch here: `doctor` asks too. A row is a reply that goes on, or a token of a prompt.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

ANY_ROWS = 1 << 30
PACKED_BEFORE_MARLIN = 32  # rows up to which our own is faster
OLDEST_CAPABILITY = (8, 0)  # of the cards whose instructions our own kernels use
HOPPER = (9, 0)  # the first cards with clusters of blocks, the only ones with warpgroups' products
MARLIN_OLDEST_CAPABILITY = (7, 5)  # of gptqmodel 7.6


class FewRows(Enum):
    """The kernels for few rows, the best first."""

    PACKED = "our own"
    MARLIN = "Marlin"
    TRITON = "Triton"


def few_rows(few: FewRows, *, unpacked: bool) -> int:
    """The number of rows up to which a kernel for few rows wins against the one for many.

    Measured over all layers of a 13B model, ms. On an H100: our own 2.8 up to 8 rows, 3.3 at 16,
    4.4 at 32, 8.5 at 64; Marlin 3.5, 3.8, 4.5 and 6.4. On an H200: Marlin 10.1 at 80, 19 at 256,
    37 at 512; Triton 6.2 at 1, 6.8 at 4, 12.5 at 16, 39 at 32. By cuBLAS 9.8 up to 160 rows on an
    H100 (6.9 at 64 on an H200), 18.5 at 512 where the weights are kept unpacked; 6 to 9 more where
    not.
    """
    match few:
        case FewRows.PACKED:
            return 64 if unpacked else 96
        case FewRows.MARLIN:
            return 64 if unpacked else 255
        case FewRows.TRITON:
            return 3 if unpacked else 19


@dataclass(frozen=True, slots=True)
class Card:
    """A card, and what can be compiled for it: what decides."""

    capability: tuple[int, int]
    has_nvrtc: bool  # CUDA's compiler at run time, which comes with torch
    has_marlin: bool  # compiled already, or nvcc is there

    @property
    def packs(self) -> bool:
        """Whether our own product runs."""
        return self.has_nvrtc and self.capability >= OLDEST_CAPABILITY

    @property
    def uses_marlin(self) -> bool:
        """Whether symmetric weights are given to Marlin: on a Hopper card our own does it all."""
        if not self.has_marlin or self.capability < MARLIN_OLDEST_CAPABILITY:
            return False
        return not (self.packs and self.capability == HOPPER)


def rows_of(card: Card, *, unpacked: bool) -> Iterator[tuple[int, FewRows]]:
    """(most rows, product) for symmetric 4-bit weights, the fewest first; then cuBLAS.

    `unpacked`: where memory is ample enough for the weights in 16 bits beside the packed ones.
    """
    if card.packs and card.uses_marlin:
        yield PACKED_BEFORE_MARLIN, FewRows.PACKED
        yield few_rows(FewRows.MARLIN, unpacked=unpacked), FewRows.MARLIN
        return
    few = FewRows.TRITON
    if card.packs or card.uses_marlin:
        few = FewRows.PACKED if card.packs else FewRows.MARLIN
    yield few_rows(few, unpacked=unpacked), few
