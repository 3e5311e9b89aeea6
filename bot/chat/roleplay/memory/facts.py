"""Facts: short texts that people pin to a channel or a persona, and the port that keeps them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from bot.chat.messages import ChannelKey
from bot.errors import NotAllowed

FACT_CHARACTERS = 500
MOST_FACTS = 50  # of one channel, and of one persona in a guild


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that is always to be kept in mind.

    One of a channel holds there and in its threads; with `persona_id` for that persona alone. One
    of a persona in a guild holds wherever that persona speaks in it.
    """

    fact_id: int
    text: str  # of one that repeats a message: as that reads now
    written_by: str  # who pinned it, a speaker's id; "" where that person's data was erased
    said_by: str  # whose words they are
    created_at: datetime
    persona_id: str = ""  # "": whoever speaks
    channel_id: str = ""  # the platform's; "" for one of a persona in a whole guild
    repeats_message: bool = False  # its text is that message's


@dataclass(frozen=True, slots=True)
class FactSource:
    """The message that a fact is taken from."""

    message_id: str
    said_by: str  # a speaker's id


class FactStore(Protocol):
    """Keeps facts. Each method is one transaction. A fact that does not hold in `channel` is

    NotFound there: nothing of another guild, channel or direct message can be named.
    """

    async def facts(self, channel: ChannelKey, persona_id: str | None = None) -> list[Fact]:
        """What holds in a channel, oldest first; None: for any persona."""
        ...

    async def fact(self, channel: ChannelKey, fact_id: int) -> Fact:
        """One of them. Raises NotFound."""
        ...

    async def add_fact(
        self,
        channel: ChannelKey,
        text: str,
        *,
        by: str,
        persona_id: str = "",
        source: FactSource | None = None,
        limit: int = MOST_FACTS,
    ) -> Fact:
        """Keep one. With `source` it goes when that message goes, and reads as that message does.

        Raises NotAllowed where there are `limit` already.
        """
        ...

    async def edit_fact(self, channel: ChannelKey, fact_id: int, text: str) -> Fact:
        """Let it say something else, whatever its message says. Raises NotFound."""
        ...

    async def remove_fact(self, channel: ChannelKey, fact_id: int) -> Fact:
        """Take it out; returns what it was. Raises NotFound."""
        ...


def fact_text(text: str) -> str:
    """A text as a fact: on one line. Raises NotAllowed for one that is empty or too long."""
    line = one_line(text)
    if not line:
        raise NotAllowed("There are no words in that to remember.", "Write what is to be known.")
    if len(line) > FACT_CHARACTERS:
        raise NotAllowed(
            f"That has {len(line):,} characters; a fact has {FACT_CHARACTERS} at most.",
            "Write it shorter with `/memory add`.",
        )
    return line


def one_line(text: str) -> str:
    """A text without line ends and runs of blanks."""
    return " ".join(text.split())


def is_ones_own(fact: Fact, speaker_id: str) -> bool:
    """Whether a fact is somebody's own: they pinned it, or said it."""
    return speaker_id in {fact.written_by, fact.said_by} - {""}
