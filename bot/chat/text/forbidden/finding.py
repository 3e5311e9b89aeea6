"""What finds something in a text that arrives in pieces."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Found:
    """Characters of the whole text, from `start` to before `end`, and whose entry found them."""

    start: int
    end: int
    entry: int


class Finder(Protocol):
    """Reads a text once. However it is cut into pieces, the same is found."""

    def feed(self, text: str) -> Sequence[Found]:
        """Take new text; return what is found for certain now."""
        ...

    def end(self) -> Sequence[Found]:
        """The text has ended: return the rest."""
        ...

    @property
    def settled(self) -> int:
        """Nothing that is still to be found begins before this place."""
        ...
