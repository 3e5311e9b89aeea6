"""Folds what has fallen out of a channel's prompts into its summary, one step at a time."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from enum import Enum, auto

from bot.chat.engines import Engines, NamedEngine
from bot.chat.messages import ChannelKey, HistoryWindow, Turn
from bot.chat.ports import History
from bot.chat.prompt.choosing import FormatChooser
from bot.chat.prompt.reading import AsItIs, Screen
from bot.chat.prompt.windows import said_to_the_bot
from bot.chat.roleplay.memory.folding import (
    Budget,
    FoldTurns,
    Merge,
    Refold,
    Remove,
    budget_for,
    next_step,
)
from bot.chat.roleplay.memory.sections import (
    FoldingState,
    NewSection,
    Section,
    SummaryShelf,
    standing,
)
from bot.chat.roleplay.memory.writing import Scribe, is_said
from bot.chat.roleplay.scenes.keeping import Scenes
from bot.chat.settings import SettingsCascade
from bot.engine.api import EngineState
from bot.errors import EngineUnavailable, RequestTooLarge

MOST_TURNS = 48  # folded at once
ATTEMPTS = 3  # at a piece of which the model makes nothing; then it is passed over

_log = logging.getLogger(__name__)


class Folded(Enum):
    """What has become of a step."""

    NOTHING = auto()  # there is nothing to do
    DONE = auto()  # there may be more
    GAVE_WAY = auto()  # somebody asked for something
    CHANGED = auto()  # the chat changed meanwhile: what was made is thrown away


class Folder:
    """Does the next step for a channel."""

    def __init__(
        self,
        history: History,
        shelf: SummaryShelf,
        settings: SettingsCascade,
        engines: Engines,
        formats: FormatChooser,
        *,
        clock: Callable[[], datetime],
        thinking_tokens: int = 1024,
        scenes: Scenes | None = None,
        screen: Screen | None = None,
    ) -> None:
        """`thinking_tokens` are for a model that cannot be kept from thinking first."""
        self._history = history
        self._shelf = shelf
        self._settings = settings
        self._engines = engines
        self._formats = formats
        self._clock = clock
        self._thinking_tokens = thinking_tokens
        self._scenes = scenes
        self._screen = screen or AsItIs()

    async def fold(self, channel: ChannelKey) -> Folded:
        """One step, if there is any. Raises EngineError, SettingsError or StoreError."""
        settings = await self._settings.resolve(channel)
        if settings.memory_summary == "off":
            return Folded.NOTHING
        if settings.history_scope == "user" and not await self._is_scene(channel):
            return Folded.NOTHING  # no prompt shows what everybody said
        state = await self._shelf.folding_state(channel)
        if state is None or not (state.sections or state.unfolded):
            return Folded.NOTHING
        engine = self._engines.answering()
        if engine.status().state is not EngineState.READY:
            raise EngineUnavailable("The engine is not ready.", "The summary is made later.")
        if not engine.is_idle:
            return Folded.GAVE_WAY
        return await self._step(channel, state, engine, settings.context)

    async def _is_scene(self, channel: ChannelKey) -> bool:
        return self._scenes is not None and await self._scenes.running(channel) is not None

    async def _step(
        self, channel: ChannelKey, state: FoldingState, engine: NamedEngine, context: str
    ) -> Folded:
        budget = budget_for(engine.info.room_tokens)
        shown = standing(state.sections)
        counts = await engine.count_tokens([section.text for section in shown])
        tokens = {each.section_id: count for each, count in zip(shown, counts, strict=True)}
        step = next_step(state, tokens, budget)
        if step is None:
            return Folded.NOTHING
        if isinstance(step, Remove):
            await self._shelf.remove_sections([each.section_id for each in step.sections])
            return Folded.DONE
        chosen = await self._formats.choose(engine, engine.info)
        scribe = Scribe(engine, chosen.format, thinking_tokens=self._thinking_tokens)
        match step:
            case Merge():
                made = await self._merged(state, step, scribe)
            case Refold(section):
                made = await self._refolded(state, section, scribe, budget, context)
            case FoldTurns(after, before):
                made = await self._folded(state, (after, before), scribe, budget, context)
        if made is None:
            return Folded.GAVE_WAY
        kept = await self._shelf.keep_section(channel, made)
        if not kept:
            _log.info("A summary in %s is thrown away: the chat has changed", channel)
        return Folded.DONE if kept else Folded.CHANGED

    async def _merged(self, state: FoldingState, step: Merge, scribe: Scribe) -> NewSection | None:
        sections = step.sections
        texts = [section.text for section in sections if section.text]
        text: str | None = texts[0] if len(texts) == 1 else ""
        if len(texts) > 1:
            text = await _written(lambda again: scribe.of_sections(texts, step.tokens, again=again))
        if text is None:
            return None
        return NewSection(
            conversation_id=state.conversation_id,
            text=text,
            level=max(section.level for section in sections) + 1,
            first_turn=sections[0].first_turn,
            last_turn=sections[-1].last_turn,
            made_at=self._clock(),
            merged=tuple(section.section_id for section in sections),
        )

    async def _refolded(
        self, state: FoldingState, section: Section, scribe: Scribe, budget: Budget, context: str
    ) -> NewSection | None:
        turns = await self._shelf.turns_between(
            state.conversation_id, section.first_turn - 1, section.last_turn + 1, 2 * MOST_TURNS
        )
        text = await self._summed_up(state, turns, scribe, budget, context)
        if text is None:
            return None
        return NewSection(
            conversation_id=state.conversation_id,
            text=text,
            level=0,
            first_turn=section.first_turn,
            last_turn=section.last_turn,
            made_at=self._clock(),
            turns=tuple(turns),
            replaces=(section.section_id,),
        )

    async def _folded(
        self,
        state: FoldingState,
        between: tuple[int, int],
        scribe: Scribe,
        budget: Budget,
        context: str,
    ) -> NewSection | None:
        turns = await self._shelf.turns_between(state.conversation_id, *between, MOST_TURNS)
        turns = await scribe.fitting(turns)
        text = await self._summed_up(state, turns, scribe, budget, context)
        if text is None or not turns:  # deleted meanwhile: the next look finds that out
            return None
        return NewSection(
            conversation_id=state.conversation_id,
            text=text,
            level=0,
            first_turn=turns[0].turn_id,
            last_turn=turns[-1].turn_id,
            made_at=self._clock(),
            turns=tuple(turns),
        )

    async def _summed_up(
        self,
        state: FoldingState,
        turns: Sequence[Turn],
        scribe: Scribe,
        budget: Budget,
        context: str,
    ) -> str | None:
        """A summary of what the model may see of some turns; None where it had to give way."""
        window = HistoryWindow(state.conversation_id, tuple(turns))
        if context == "addressed":
            window = await said_to_the_bot(self._history, window)
        if turns:
            reading = await self._screen.reading(turns[0].channel)
            window = await reading.window(window)
        said = [turn for turn in window.turns if is_said(turn)]
        if not said:
            return ""
        return await _written(lambda again: scribe.of_turns(said, budget.section, again=again))


async def _written(write: Callable[[bool], Awaitable[str | None]]) -> str | None:
    """What the model wrote; "" where it made nothing of it however often it was asked."""
    for attempt in range(ATTEMPTS):
        try:
            text = await write(attempt > 0)
        except RequestTooLarge as error:
            _log.warning("A part of a summary is passed over: %s", error)
            return ""
        if text is None or text:
            return text
    _log.warning("A part of a summary is passed over: the model wrote nothing of use")
    return ""
