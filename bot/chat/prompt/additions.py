"""What is told to the model beside persona and turns, and where it comes from: lore.

The records are neutral, so that the prompt knows nothing of how lore is found: `roleplay` does that
behind :class:`LoreTeller`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol

from bot.chat.messages import ChannelKey, HistoryWindow, LoreFiring
from bot.chat.persona import Persona
from bot.chat.prompt.parts import Part


@dataclass(frozen=True, slots=True)
class Occasion:
    """What makes one reply differ from another: kept with it, so that its prompt can be rebuilt."""

    seed: int = 0  # chance in lore and macros depends on it
    moment: datetime | None = None  # aware; what macros of time tell
    trigger: str = "normal"  # or "swipe", "continue": SillyTavern's words
    # Personas beside the one who speaks, where there are several.
    others: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LoreQuestion:
    """For which reply lore is asked for. `window` ends with the newest message."""

    channel: ChannelKey
    persona: Persona
    window: HistoryWindow
    messages: int  # of the conversation, those that were taken out among them
    context_tokens: int
    occasion: Occasion
    before_turn: int  # the reply's own: what fired for turns before it counts
    note: Part | None = None  # the author's, which lore may stand beside


@dataclass(frozen=True, slots=True)
class LoreNote:
    """An entry in words for «Why this reply?»."""

    title: str
    book: str
    why: str  # «by its keys «dragon» in message 1», «chance was against it, 50 %»

    def masked(self, mask: Callable[[str], str]) -> "LoreNote":
        """The same, without the words that `mask` masks."""
        return LoreNote(mask(self.title), mask(self.book), mask(self.why))


@dataclass(frozen=True, slots=True)
class Additions:
    """What lore adds to a prompt."""

    parts: tuple[Part, ...] = ()
    outlets: Mapping[str, str] = field(default_factory=dict[str, str])
    silenced: frozenset[str] = frozenset()  # of SYSTEM_PROMPT and CLOSING_REMINDER
    firings: tuple[LoreFiring, ...] = ()  # to be recorded with the reply
    fired: tuple[LoreNote, ...] = ()
    left_out: tuple[LoreNote, ...] = ()
    problems: tuple[str, ...] = ()  # books that cannot be read, patterns that were given up

    def told(self, mask: Callable[[str], str]) -> "Additions":
        """With what people are told of it masked; its parts are as they were."""
        return replace(
            self,
            fired=tuple(note.masked(mask) for note in self.fired),
            left_out=tuple(note.masked(mask) for note in self.left_out),
            problems=tuple(map(mask, self.problems)),
        )


NOTHING = Additions()


class LoreTeller(Protocol):
    """Finds the lore for a reply."""

    async def tell(self, question: LoreQuestion) -> Additions:
        """What fires, with the author's note. Raises StoreError.

        A book that cannot be read is among the problems.
        """
        ...


class NoLore:
    """Where there is none."""

    async def tell(self, question: LoreQuestion) -> Additions:
        """The author's note alone."""
        return alone(question.note)


def alone(note: Part | None) -> Additions:
    """An author's note without lore."""
    return NOTHING if note is None else Additions(parts=(note,))
