"""The notebook: where people pin facts, and what puts them into prompts."""

from collections.abc import Sequence

from bot.chat.messages import ChannelKey
from bot.chat.prompt.parts import Part, Place, Priority
from bot.chat.prompt.recollection import (
    MemoryNote,
    MemoryQuestion,
    Recollection,
    memory_budget,
)
from bot.chat.roleplay.memory.facts import (
    FACT_CHARACTERS,
    Fact,
    FactSource,
    FactStore,
    fact_text,
    one_line,
)

HEADING = "Facts to keep in mind:"
TITLE_CHARACTERS = 80


class Notebook:
    """A :class:`~bot.chat.prompt.recollection.MemoryTeller`: tells the facts that hold."""

    def __init__(self, store: FactStore) -> None:
        """Where they are kept."""
        self._store = store

    async def pin(self, channel: ChannelKey, text: str, *, by: str, persona_id: str = "") -> Fact:
        """Keep what somebody wrote. Raises NotAllowed where it is too long, or one too many."""
        return await self._store.add_fact(channel, fact_text(text), by=by, persona_id=persona_id)

    async def pin_message(
        self, channel: ChannelKey, text: str, source: FactSource, *, by: str
    ) -> Fact:
        """Keep what a message says: the fact follows its edits, and goes with it.

        Raises NotAllowed where it is too long, or one too many.
        """
        return await self._store.add_fact(channel, fact_text(text), by=by, source=source)

    async def rewrite(self, channel: ChannelKey, fact_id: int, text: str) -> Fact:
        """Let a fact say something else. Raises NotFound or NotAllowed."""
        return await self._store.edit_fact(channel, fact_id, fact_text(text))

    async def take_out(self, channel: ChannelKey, fact_id: int) -> Fact:
        """Forget a fact. Raises NotFound."""
        return await self._store.remove_fact(channel, fact_id)

    async def find(self, channel: ChannelKey, fact_id: int) -> Fact:
        """A fact that holds in a channel. Raises NotFound."""
        return await self._store.fact(channel, fact_id)

    async def all(self, channel: ChannelKey) -> list[Fact]:
        """What holds in a channel, for whichever persona, the oldest first."""
        return await self._store.facts(channel)

    async def recollect(self, question: MemoryQuestion) -> Recollection:
        """The facts for a reply. Raises StoreError."""
        facts = await self._store.facts(question.channel, question.persona.id)
        return told(facts, question.context_tokens, question.persona.name)


def told(facts: Sequence[Fact], context_tokens: int, persona: str) -> Recollection:
    """Facts as parts of a prompt, oldest first. Where not all have room, the newest do."""
    budget = memory_budget("facts", context_tokens)
    parts: list[Part] = []
    notes: list[MemoryNote] = []
    for fact in facts:
        line = one_line(fact.text)
        if not line:
            continue
        short = line if len(line) <= FACT_CHARACTERS else f"{line[: FACT_CHARACTERS - 1]}…"
        part = Part(
            "facts",
            f"- {short}",
            Place.BEFORE_HISTORY,
            Priority.IMPORTANT,
            heading=HEADING,
            joint="\n",
            budget=budget,
        )
        title = line if len(line) <= TITLE_CHARACTERS else f"{line[: TITLE_CHARACTERS - 1]}…"
        where = f"pinned to {persona}" if fact.persona_id else "pinned to this channel"
        parts.append(part)
        notes.append(MemoryNote("Fact", f"{fact.fact_id}: {title}", where, part))
    return Recollection(tuple(parts), tuple(notes))
