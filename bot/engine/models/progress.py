"""What people who wait are told of long work."""

from collections.abc import Callable
from typing import TypeAlias

# Gets what is being done, and how much of it is done (0 to 1; None where that is not known).
Progress: TypeAlias = Callable[[str, float | None], None]


def no_progress(_text: str, _fraction: float | None) -> None:
    """Tells nobody."""
