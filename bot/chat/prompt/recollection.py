"""What is remembered beside the turns of a prompt: facts, a summary, what was said long ago.

The records are neutral, so that the prompt knows nothing of how it is kept or found: `roleplay`
does that behind :class:`MemoryTeller`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from bot.chat.definitions import ChannelSettings
from bot.chat.messages import ChannelKey, HistoryWindow
from bot.chat.persona import Persona
from bot.chat.prompt.parts import Part


@dataclass(frozen=True, slots=True)
class MemoryQuestion:
    """For which reply something is to be remembered. `window` ends with the newest message."""

    channel: ChannelKey
    persona: Persona  # who speaks
    settings: ChannelSettings
    window: HistoryWindow
    context_tokens: int  # the room of prompt and reply together
    before_turn: int  # the reply's own: nothing of it, or of what came after, counts


@dataclass(frozen=True, slots=True)
class MemoryNote:
    """Something remembered, in words for «Why this reply?»."""

    kind: str  # «Fact», «Summary», «Said earlier»
    title: str  # which one it is: «3: Ann is allergic to nuts.»
    why: str  # «pinned to this channel», «for the words «dragon», «cave»»


@dataclass(frozen=True, slots=True)
class Recollection:
    """What memory adds to a prompt.

    Every part has a :class:`~bot.chat.prompt.parts.TokenBudget` of at most a tenth of the context.
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
