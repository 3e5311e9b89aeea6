"""The rolling summary as prompts and people see it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from bot.chat.engines import Engines
from bot.chat.messages import ChannelKey
from bot.chat.prompt.parts import Part, Place, Priority, TokenBudget
from bot.chat.prompt.recollection import (
    NOTHING_REMEMBERED,
    MemoryNote,
    MemoryQuestion,
    Recollection,
    memory_budget,
)
from bot.chat.roleplay.memory.folding import budget_for
from bot.chat.roleplay.memory.sections import (
    FoldingState,
    Section,
    SummaryShelf,
    as_of,
    folded_up_to,
    standing,
)
from bot.chat.settings import SettingsCascade
from bot.errors import NotAllowed, NotFound

PART = "summary"
HEADING = "What was said earlier in this conversation, as a summary:"
TITLE_CHARACTERS = 80
BY_HAND_RANK = 1 << 30  # goes last of the summary


class SummaryTeller:
    """Tells the summary in prompts: :class:`~bot.chat.prompt.recollection.MemoryTeller`."""

    def __init__(self, shelf: SummaryShelf) -> None:
        """`shelf` keeps it."""
        self._shelf = shelf

    async def recollect(self, question: MemoryQuestion) -> Recollection:
        """The sections that stood when the reply began, oldest first. Raises StoreError.

        Where they have no room, the oldest goes first.
        """
        window = question.window
        if question.only_of is not None:
            return NOTHING_REMEMBERED  # it tells what everybody said
        if question.settings.memory_summary == "off" or not window.conversation_id:
            return NOTHING_REMEMBERED
        found = await self._shelf.sections(window.conversation_id)
        known = as_of(found, before_turn=question.before_turn, moment=question.moment)
        told = [section for section in standing(known) if section.text.strip()]
        budget = memory_budget(PART, question.context_tokens)
        parts = [_part(section, rank, budget) for rank, section in enumerate(told)]
        notes = [_note(section, part) for section, part in zip(told, parts, strict=True)]
        return Recollection(tuple(parts), tuple(notes))


def _part(section: Section, rank: int, budget: TokenBudget) -> Part:
    return Part(
        PART,
        section.text,
        Place.BEFORE_HISTORY,
        Priority.IMPORTANT,
        rank=BY_HAND_RANK if section.by_hand else rank,
        heading=HEADING,
        joint="\n",
        budget=budget,
        # Where the model sees its first turn, it sees all of them.
        turn_id=None if section.by_hand else section.first_turn,
    )


def _note(section: Section, part: Part) -> MemoryNote:
    text = " ".join(section.text.split())
    short = text if len(text) <= TITLE_CHARACTERS else text[: TITLE_CHARACTERS - 1] + "…"
    why = "written by hand" if section.by_hand else "of what no longer fits"
    return MemoryNote("Summary", short, why, part)


@dataclass(frozen=True, slots=True)
class Summary:
    """A conversation's summary as it stands, for people."""

    conversation_id: int
    text: str  # "" while there is none
    up_to: int  # the newest turn that it stands for; 0 for none
    by_hand: bool  # a moderator wrote it, or its beginning
    is_on: bool  # the channel's `memory_summary`
    unfinished: bool  # something is yet to be folded, or to be made anew


class SummaryDesk:
    """Where people read the summary, write it by hand and have it made anew."""

    def __init__(
        self,
        shelf: SummaryShelf,
        settings: SettingsCascade,
        engines: Engines,
        *,
        clock: Callable[[], datetime],
        stir: Callable[[ChannelKey], None],
    ) -> None:
        """`stir` is told of a channel where something is to be folded."""
        self._shelf = shelf
        self._settings = settings
        self._engines = engines
        self._clock = clock
        self._stir = stir

    async def show(self, channel: ChannelKey) -> Summary:
        """The current conversation's. Raises NotFound where nothing was ever said."""
        state = await self._state(channel)
        settings = await self._settings.resolve(channel)
        shown = standing(state.sections)
        is_stale = any(section.is_stale for section in state.sections)
        return Summary(
            conversation_id=state.conversation_id,
            text=text_of(shown),
            up_to=folded_up_to(state.sections),
            by_hand=any(section.by_hand for section in shown),
            is_on=settings.memory_summary == "on",
            unfinished=is_stale or state.unfolded,
        )

    async def rewrite(self, channel: ChannelKey, shown: Summary, text: str) -> None:
        """Let a moderator's text stand in the place of the summary that they were shown.

        It stays until it is made anew on purpose. Raises NotAllowed where it is too long, NotFound
        where the conversation was left, and EngineError.
        """
        text = text.strip()
        if not text:
            raise NotAllowed("The summary is empty.", "Write something, or have it made anew.")
        engine = self._engines.answering()
        (tokens,) = await engine.count_tokens([text])
        budget = budget_for(engine.info.room_tokens)
        most = budget.summary - budget.section  # what is folded later needs some of it
        if tokens > most:
            raise NotAllowed(
                f"That is too long: it has {tokens} tokens, and there is room for {most}.",
                f"Shorten it to about {len(text) * most // tokens} characters.",
            )
        kept = await self._shelf.write_by_hand(
            channel, shown.conversation_id, text, up_to=shown.up_to, at=self._clock()
        )
        if not kept:
            raise NotFound("That conversation has been left.", "Look at the new one's summary.")
        self._stir(channel)

    async def rebuild(self, channel: ChannelKey) -> None:
        """Have the whole summary made anew, also what was written by hand. Raises NotFound."""
        await self._shelf.clear((await self._state(channel)).conversation_id)
        self._stir(channel)

    async def _state(self, channel: ChannelKey) -> FoldingState:
        state = await self._shelf.folding_state(channel)
        if state is None:
            raise NotFound("Nothing has been said here yet.", "Say something to me first.")
        return state


def text_of(sections: Sequence[Section]) -> str:
    """Sections as one text."""
    return "\n".join(section.text for section in sections if section.text.strip())
