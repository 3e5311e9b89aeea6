"""What is remembered beside the turns of a prompt: facts, a summary, what was said long ago.

The records are neutral, so that the prompt knows nothing of how it is kept or found: `roleplay`
does that behind :class:`MemoryTeller`.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from bot.chat.definitions import ChannelSettings
from bot.chat.messages import ChannelKey, HistoryWindow
from bot.chat.persona import Persona
from bot.chat.prompt.parts import Part, TokenBudget

CONTEXT_SHARE = 10  # each kind of memory has at most this part of the context
PARTING_TOKENS = 4  # of that, for what parts it from the turns: a template's signs


def memory_budget(name: str, context_tokens: int) -> TokenBudget:
    """What all parts of one kind of memory may take together, with the heading above them."""
    return TokenBudget(name, max(0, context_tokens // CONTEXT_SHARE - PARTING_TOKENS))


@dataclass(frozen=True, slots=True)
class MemoryQuestion:
    """For which reply something is to be remembered. `window` ends with the newest message."""

    channel: ChannelKey
    persona: Persona  # who speaks
    settings: ChannelSettings
    window: HistoryWindow
    context_tokens: int  # the room of prompt and reply together
    before_turn: int  # the reply's own: nothing of it, or of what came after, counts
    moment: datetime | None = None  # when the reply began, as far as that is known
    only_of: str | None = None  # whose turns alone may be told of: None for everybody's


@dataclass(frozen=True, slots=True)
class MemoryNote:
    """Something remembered, in words for «Why this reply?»."""

    kind: str  # «Fact», «Summary», «Said earlier»
    title: str  # which one it is: «3: Ann is allergic to nuts.»
    why: str  # «pinned to this channel», «for the words «dragon», «cave»»
    part: Part | None = None  # told of only where this one stands in the prompt


@dataclass(frozen=True, slots=True)
class Recollection:
    """What memory adds to a prompt.

    Every part has the budget of its kind: see :func:`memory_budget`.
    """

    parts: tuple[Part, ...] = ()
    notes: tuple[MemoryNote, ...] = ()


NOTHING_REMEMBERED = Recollection()


class MemoryTeller(Protocol):
    """Knows what is to be remembered in a reply."""

    async def recollect(self, question: MemoryQuestion) -> Recollection:
        """What stands in the prompt of a reply beside its turns. Raises StoreError."""
        ...


class NoMemory:
    """Where nothing is kept."""

    async def recollect(self, question: MemoryQuestion) -> Recollection:
        """Nothing."""
        del question
        return NOTHING_REMEMBERED


class JoinedMemory:
    """Several sources as one; what they tell stands in their order."""

    def __init__(self, sources: Sequence[MemoryTeller]) -> None:
        """The first one's parts stand first."""
        self._sources = tuple(sources)

    async def recollect(self, question: MemoryQuestion) -> Recollection:
        """All that they tell. Raises StoreError."""
        told = [await source.recollect(question) for source in self._sources]
        return Recollection(
            tuple(part for each in told for part in each.parts),
            tuple(note for each in told for note in each.notes),
        )


def masked(memory: Recollection, mask: Callable[[str], str]) -> Recollection:
    """What is remembered, without the words that `mask` masks."""
    notes = (
        replace(
            note,
            title=mask(note.title),
            why=mask(note.why),
            part=None if note.part is None else note.part.masked(mask),
        )
        for note in memory.notes
    )
    return Recollection(tuple(part.masked(mask) for part in memory.parts), tuple(notes))


def standing(memory: Recollection, parts: Collection[Part]) -> Recollection:
    """What of it is to be told of where these parts stand in the prompt."""
    notes = (note for note in memory.notes if note.part is None or note.part in parts)
    return replace(memory, notes=tuple(notes))
