"""Which turns fit: the newest, from a place that stays the same for many replies. Pure."""

from collections.abc import Callable, Sequence


def choose_start(
    costs: Sequence[int],
    positions: Sequence[int],
    *,
    room: int,
    block: int,
    cost_from: Callable[[int], int],
) -> int:
    """The index of the oldest turn to show; ``len(costs)`` when none fits.

    `costs` are tokens, oldest first, `positions` the turns' absolute positions. When not all fit
    into `room`, up to `block` tokens more than needed are dropped, to begin at the roundest
    position within reach (the one that the highest power of two divides). Positions don't change
    while the conversation grows, so the start stays where it is until the turns after it have
    outgrown the room, and then moves by a whole block. `cost_from` is the exact cost of a start.
    """
    start = _first_fitting(costs, room)
    if start == 0 and cost_from(0) <= room:
        return 0
    while start < len(costs):
        chosen = _roundest(costs, positions, start, block)
        if cost_from(chosen) <= room:
            return chosen
        start = max(start, chosen) + 1
    return start


def _first_fitting(costs: Sequence[int], room: int) -> int:
    start = len(costs)
    while start > 0 and costs[start - 1] <= room:
        start -= 1
        room -= costs[start]
    return start


def _roundest(costs: Sequence[int], positions: Sequence[int], start: int, block: int) -> int:
    best = start
    dropped = 0
    for index in range(start, len(costs)):
        if dropped > block:
            break
        if _roundness(positions[index]) >= _roundness(positions[best]):
            best = index
        dropped += costs[index]
    return best


def _roundness(position: int) -> int:
    """The highest power of two that divides it."""
    return position & -position if position > 0 else 0
