"""What a prompt is made of beside the turns: parts, each with its place and its priority.

A feature that tells the model something appends a :class:`Part` to the request; it is then guarded,
budgeted, written and explained like all others.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum, auto
from types import MappingProxyType
from typing import Literal

Role = Literal["system", "user", "bot"]


class Place(IntEnum):
    """Where a part stands; parts of one place stand in the order in which they were appended.

    The places down to `BEFORE_HISTORY` make the system text.
    """

    OPENING = auto()  # the system text of a persona's author
    BEFORE_PERSONA = auto()
    PERSONA = auto()
    AFTER_PERSONA = auto()
    EXAMPLES = auto()
    INSTRUCTIONS = auto()
    BEFORE_HISTORY = auto()
    IN_HISTORY = auto()  # `depth` turns from the end
    CLOSING = auto()  # after all turns, just before the reply is opened

    @property
    def is_system(self) -> bool:
        """Whether it belongs to the system text, rather than among the turns."""
        return self < Place.IN_HISTORY


class Priority(IntEnum):
    """What has to go first when not all of it fits: the lowest."""

    SPARE = auto()  # goes before any turn does, so a long conversation is without: examples
    HISTORY = auto()  # the earlier turns, which go one by one: no part has it
    IMPORTANT = auto()  # stands even when no earlier turn has room: give it a budget
    REQUIRED = auto()  # like the newest message: where it has no room, there is no prompt


@dataclass(frozen=True, slots=True)
class TokenBudget:
    """How many tokens all parts that carry it may take together. Required ones go before others."""

    name: str
    tokens: int


@dataclass(frozen=True, slots=True)
class Part:
    """A text on its way into the prompt. What can go block by block is a part a block.

    Of one priority, the lowest `rank` goes first, of one rank the first in the list; and with a
    part that has no room go those of its name that would have gone before it.
    """

    name: str  # its section in «Why this reply?»
    text: str
    place: Place
    priority: Priority
    rank: int = 0
    # IN_HISTORY: before so many of the newest turns, at most before all that are shown; 0 is after
    # the newest message.
    depth: int = 0
    role: Role = "system"  # who says it, IN_HISTORY and CLOSING
    heading: str = ""  # stands once before neighbours that have the same; not guarded
    joint: str = "\n\n"  # what parts it from its heading, and from neighbours of its name
    budget: TokenBudget | None = None
    # Written by the persona's author or a moderator: macros are replaced, and it may hold lines
    # with a speaker's name in the system text.
    is_trusted: bool = False
    # It repeats this turn, and stands only where the turn itself is not shown.
    turn_id: int | None = None

    @property
    def is_droppable(self) -> bool:
        """Whether there is a prompt without it."""
        return self.priority is not Priority.REQUIRED

    def masked(self, mask: Callable[[str], str]) -> "Part":
        """The same, without the words that `mask` masks."""
        text = mask(self.text)
        return self if text == self.text else replace(self, text=text)


def giving_up_order(parts: Sequence[Part]) -> list[int]:
    """The indexes of the droppable parts: the first goes first."""
    droppable = [index for index, part in enumerate(parts) if part.is_droppable]
    return sorted(droppable, key=lambda index: (parts[index].priority, parts[index].rank, index))


def over_budget(
    parts: Sequence[Part],
    tokens: Sequence[int],
    without: Collection[int] = (),
    headings: Mapping[str, int] = MappingProxyType({}),
) -> Iterator[int]:
    """The indexes of the droppable parts that have no room in their own budgets.

    What doesn't fit is passed over: a shorter one that matters less may still stand. Those
    `without` which the prompt is anyway take no room, and are not among them. `headings` says what
    each heading takes: it is the first's that stands beneath it.
    """
    left: dict[TokenBudget, int] = {}
    headed: set[tuple[TokenBudget, str]] = set()
    for part, cost in zip(parts, tokens, strict=True):
        if part.budget is not None:
            left.setdefault(part.budget, part.budget.tokens)
            left[part.budget] -= 0 if part.is_droppable else cost
    for index in reversed(giving_up_order(parts)):
        budget = parts[index].budget
        if budget is None or index in without:
            continue
        heading = parts[index].heading
        cost = tokens[index]
        cost += 0 if (budget, heading) in headed else headings.get(heading, 0)
        if cost > left[budget]:
            yield index
        else:
            left[budget] -= cost
            headed.add((budget, heading))


def turn_order(part: Part) -> tuple[int, bool, int]:
    """Sorts parts among the turns: the deepest first, the system's nearest to the end."""
    is_closing = part.place is Place.CLOSING
    depth = 0 if is_closing else max(part.depth, 0)
    return -depth, is_closing, ("bot", "user", "system").index(part.role)
