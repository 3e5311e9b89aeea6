"""Sticky and cooldown: worked out from when an entry fired, never kept as a state.

So a deleted or repeated reply takes its effect with it: a firing counts only while the chat has
grown since. «For N messages» is the N messages that follow: an entry that fired at 5 messages with
sticky 2 is there at 6 and 7. (SillyTavern's own count ends a message earlier.) The cooldown begins
where sticky ends.
"""

from collections.abc import Iterable
from enum import Enum, auto


class Phase(Enum):
    """What an earlier firing means now."""

    NONE = auto()
    STICKY = auto()
    COOLDOWN = auto()


def phase_of(fired_at: Iterable[int], now: int, *, sticky: int, cooldown: int) -> Phase:
    """The phase at `now` messages of an entry that fired at these numbers of messages."""
    if sticky <= 0 and cooldown <= 0:
        return Phase.NONE
    begun: int | None = None
    for at in sorted(fired_at):
        # While it is sticky it fires again and again, which does not make it any stickier.
        if at < now and (begun is None or at > begun + sticky + cooldown):
            begun = at
    if begun is None:
        return Phase.NONE
    if now <= begun + sticky:
        return Phase.STICKY
    return Phase.COOLDOWN if now <= begun + sticky + cooldown else Phase.NONE
