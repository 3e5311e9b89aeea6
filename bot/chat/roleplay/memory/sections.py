"""The rolling summary's records: sections, each the summary of some turns that follow each other.

Sections are made from turns; where they take more room together than a summary may have, some are
folded into a wider one. The narrow ones are kept beneath it: where a turn changes, only those
sections go that know of it, and the others stand in their place until these are made anew.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from bot.chat.messages import ChannelKey, Turn


@dataclass(frozen=True, slots=True)
class Section:
    """The summary of the turns from `first_turn` to `last_turn` of a conversation.

    `level` 0 is made from the turns themselves, any other one from narrower sections. A stale one
    is without its text: what it came from has changed since. One written `by_hand` stands for
    everything up to `last_turn`, whatever becomes of the turns.
    """

    section_id: int
    text: str
    level: int
    first_turn: int
    last_turn: int
    made_at: datetime  # aware
    is_stale: bool = False
    by_hand: bool = False


@dataclass(frozen=True, slots=True)
class FoldingState:
    """Where the summary of a channel's current conversation stands.

    `shown_from` is the oldest turn that the newest reply's prompt showed, None where there is none
    yet: what is older has fallen out. `unfolded` says whether of that something is in no section.
    """

    conversation_id: int
    sections: tuple[Section, ...]
    shown_from: int | None
    unfolded: bool


@dataclass(frozen=True, slots=True)
class NewSection:
    """A section on its way into the store, with all that it was made from as it was read.

    It is made from `turns`, or from the sections `merged`; it takes the place of `replaces`.
    """

    conversation_id: int
    text: str
    level: int
    first_turn: int
    last_turn: int
    made_at: datetime
    turns: tuple[Turn, ...] = ()
    merged: tuple[int, ...] = ()
    replaces: tuple[int, ...] = ()


class SummaryShelf(Protocol):
    """Keeps the sections. Each method is one transaction."""

    async def folding_state(self, channel: ChannelKey) -> FoldingState | None:
        """The current conversation's; None where nothing was ever said."""
        ...

    async def sections(self, conversation_id: int) -> list[Section]:
        """All of a conversation, in the order of their turns."""
        ...

    async def turns_between(
        self, conversation_id: int, after: int, before: int, limit: int
    ) -> list[Turn]:
        """The oldest visible turns between two, these not among them."""
        ...

    async def keep_section(self, channel: ChannelKey, section: NewSection) -> bool:
        """Keep a new section. False, and nothing is kept, where the chat has changed meanwhile.

        That is: a turn or section that it was made from is not as it was read, another turn is
        among them, the conversation was left, or something else stands for these turns by now.
        """
        ...

    async def write_by_hand(
        self, channel: ChannelKey, conversation_id: int, text: str, *, up_to: int, at: datetime
    ) -> bool:
        """Let this text stand for all up to a turn. False where the conversation was left."""
        ...

    async def remove_sections(self, section_ids: Sequence[int]) -> None:
        """Take sections out."""
        ...

    async def clear(self, conversation_id: int) -> None:
        """Take all sections of a conversation out, to be made anew."""
        ...

    async def channels_to_fold(self) -> list[ChannelKey]:
        """Where something has fallen out that is in no section, or a section is stale."""
        ...


def standing(sections: Iterable[Section]) -> list[Section]:
    """The sections that make the summary, in order: of those that overlap, the widest."""
    valid = [section for section in sections if not section.is_stale]
    valid.sort(key=lambda each: (each.first_turn, -each.last_turn, -each.level, each.section_id))
    chosen: list[Section] = []
    for section in valid:
        if not chosen or section.first_turn > chosen[-1].last_turn:
            chosen.append(section)
    return chosen


def as_of(
    sections: Iterable[Section], *, before_turn: int, moment: datetime | None
) -> list[Section]:
    """Those that there were when a reply began, about what was said before it."""
    return [
        section
        for section in sections
        if section.last_turn < before_turn and (moment is None or section.made_at <= moment)
    ]


def folded_up_to(sections: Sequence[Section]) -> int:
    """The newest turn that a section stands for, stale or not; 0 for none."""
    return max((section.last_turn for section in sections), default=0)
