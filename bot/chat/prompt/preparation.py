"""From a bot's turn to the prompt that it is written from, now or again."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import partial

from bot.chat.definitions import ChannelSettings
from bot.chat.engines import Engines, NamedEngine
from bot.chat.messages import ChannelKey, GenerationRecord, HistoryWindow, StoredSettings, Turn
from bot.chat.persona import DepthPrompt, Persona
from bot.chat.ports import History, Personas
from bot.chat.prompt.additions import NOTHING, Additions, LoreQuestion, LoreTeller, NoLore, Occasion
from bot.chat.prompt.build import Prompt, PromptRequest, Section, build_prompt, window_turns
from bot.chat.prompt.choosing import FormatChooser
from bot.chat.prompt.counting import CountCache
from bot.chat.prompt.reading import AS_IT_IS, AsItIs, Reading, Screen
from bot.chat.prompt.recollection import (
    NOTHING_REMEMBERED,
    MemoryQuestion,
    MemoryTeller,
    NoMemory,
    Recollection,
    masked,
    standing,
)
from bot.chat.prompt.staging import NoScenes, SceneTeller
from bot.chat.prompt.system import note_part
from bot.chat.prompt.windows import (
    RECENT_REPLIES,
    beginning_with,
    messages_in,
    reader_of,
    replies_in,
    said_to_the_bot,
    stops_short,
)
from bot.chat.settings import SettingsCascade
from bot.errors import NotFound

ANSWERED_TURNS = 200  # before a reply, among which its questions are looked for
RECENT_TURNS = 24  # among which they are looked for
MOST_TURNS = 10_000  # looked through for a question that long talk has carried off
SWIPES_LOOKED_AT = 4  # for the version of a deleted persona: one that failed has none


@dataclass(frozen=True, slots=True)
class Prepared:
    """A prompt, and what it was made with."""

    prompt: Prompt
    settings: ChannelSettings
    persona: Persona
    revision: int  # the newest setting change at that time
    occasion: Occasion
    lore: Additions
    memory: Recollection
    recent: tuple[str, ...] = ()  # what the bot said last in the channel, the newest first
    reading: Reading = AS_IT_IS  # what of `lore` and `memory` may be told

    def told(self) -> tuple[Additions, Recollection]:
        """What people are told of lore and memory. Takes time with long texts; in any thread."""
        return self.lore.told(self.reading.card), masked(self.memory, self.reading.said)


@dataclass(frozen=True, slots=True)
class Given:
    """What was read already when a reply began, to be read no second time."""

    stored: StoredSettings
    window: HistoryWindow
    persona: Persona  # who speaks


class PersonaSince(StrEnum):
    """What has become of a persona since a reply of its was written."""

    SAME = "same"
    EDITED = "edited"
    GONE = "gone"  # the prompt is rebuilt with the one that speaks there now, if nothing is kept


@dataclass(frozen=True, slots=True)
class Explanation:
    """«Why this reply?»: the prompt, rebuilt."""

    turn: Turn
    prompt: Prompt
    sections: tuple[Section, ...]
    record: GenerationRecord | None
    changed_since: bool  # history, settings or persona: the prompt is no longer what it was
    persona: Persona  # with which the prompt is rebuilt
    persona_since: PersonaSince = PersonaSince.SAME
    missing_engine: str = ""  # the name of the engine that wrote it, if it is there no more
    lore: Additions = NOTHING  # as it is found now
    is_kept_version: bool = False  # `persona` is the version of then, though there is another now
    memory: Recollection = NOTHING_REMEMBERED  # as it is now


class Preparer:
    """Builds the prompt for a turn from the history before it."""

    def __init__(
        self,
        history: History,
        settings: SettingsCascade,
        personas: Personas,
        *,
        max_reply_tokens: int,
        thinking_tokens: int,
        formats: FormatChooser,
        lore: LoreTeller | None = None,
        memory: MemoryTeller | None = None,
        stager: SceneTeller | None = None,
        screen: Screen | None = None,
    ) -> None:
        """`max_reply_tokens` and `thinking_tokens` are the process's."""
        self._history = history
        self._settings = settings
        self._personas = personas
        self._max_reply_tokens = max_reply_tokens
        self._thinking_tokens = thinking_tokens
        self._formats = formats
        self._counts = CountCache()
        self._lore = lore or NoLore()
        self._memory = memory or NoMemory()
        self._stager = stager or NoScenes()
        self._screen = screen or AsItIs()

    async def persona(
        self, channel: ChannelKey, settings: ChannelSettings, turn: Turn | None = None
    ) -> Persona:
        """Who spoke in `turn`; where nobody did, or that one is gone, who speaks in `channel`.

        One that was deleted speaks on in its turns, as it was, while its versions are kept.
        """
        find, guild_id = self._personas.find, channel.guild_id
        found = None
        if turn is not None and turn.persona_id:
            found = await find(guild_id, turn.persona_id) or await self._deleted(turn)
        if found is None and turn is not None and turn.persona:
            found = await find(guild_id, turn.persona)
        return found or await self._settings.persona(channel, settings)

    async def _deleted(self, turn: Turn) -> Persona | None:
        """The version that wrote the swipe, or the one before where it is being written."""
        newest = turn.active_swipe
        for swipe in range(newest, max(newest - SWIPES_LOOKED_AT, -1), -1):
            record = await self._history.generation(turn.turn_id, swipe)
            if record is not None:
                return await self.persona_of_then(turn, record)
        return None

    async def speaking_now(self, turn: Turn) -> Persona:
        """The same, with the settings as they are."""
        return await self.persona(turn.channel, await self._settings.resolve(turn.channel), turn)

    async def persona_of_then(self, turn: Turn, record: GenerationRecord) -> Persona | None:
        """The version of a persona that wrote a reply, where its home still has it."""
        if not record.persona_id or not record.persona_version:
            return None
        return await self._personas.at_version(
            turn.channel.guild_id, record.persona_id, record.persona_version
        )

    async def questions(self, turn: Turn) -> tuple[Turn, ...]:
        """What a bot's turn answers, oldest first, as far as it is still there."""
        before = await self._history.window(turn.channel, ANSWERED_TURNS, before_turn=turn.turn_id)
        return tuple(
            asked
            for asked in before.turns
            if asked.role == "user" and asked.answered_by == turn.turn_id
        )

    async def has_somebody_to_answer(self, turn: Turn) -> bool:
        """Whether the prompt of a bot's turn shows anything that somebody else said.

        In a scene there needs to be nobody: one of the cast may have been told to speak.
        """
        if (await self._stager.stage(turn, 0)).is_scene:
            return True
        settings = await self._settings.resolve(turn.channel)
        window = await self._window(turn, settings)
        window = await self._reaching(window, turn, settings, None, None)
        return any(earlier.role == "user" for earlier in window.turns)

    async def prepare(
        self,
        turn: Turn,
        engine: NamedEngine,
        *,
        answers: Collection[int] = (),
        reply_so_far: str = "",
        first_turn: int | None = None,
        given: Given | None = None,
        occasion: Occasion | None = None,
        note: DepthPrompt | None = None,
        written_at: datetime | None = None,
        persona: Persona | None = None,
    ) -> Prepared:
        """The prompt for a bot's turn and `engine`. Raises EngineError, SettingsError, StoreError.

        All of `answers` are among what the model sees, as far as they fit. `first_turn` makes the
        prompt begin with that turn, as it did when it was built first. `given` is not read again.
        `occasion` decides chance and time, `note` is an author's note. `written_at` is when it
        was built first: a format that tells the date tells that one. `persona` speaks in the place
        of the one that :meth:`persona` finds.
        """
        occasion = occasion or Occasion(moment=turn.created_at)
        oldest = min(answers, default=None)
        stored = await self._settings.stored(turn.channel) if given is None else given.stored
        known = persona if given is None else given.persona
        persona, settings = await self._speaking(turn, stored, engine, known)
        room = engine.info.room_tokens
        staging = await self._stager.stage(turn, room)
        settings = _as_played(settings) if staging.is_scene else settings
        window = await self._window(turn, settings) if given is None else given.window
        messages = messages_in(window)
        recent = await self._recent_replies(turn, window)
        window = await self._reaching(window, turn, settings, oldest, first_turn)
        reading = await self._screen.reading(turn.channel)
        staging = staging.masked(reading.said)
        window = await reading.window(staging.cast(window))
        day = written_at.astimezone().date() if written_at else None
        chosen = await self._formats.choose(engine, engine.info, day)
        note = note or staging.note
        noted = None if note is None else note_part(note)
        lore = await self._lore.tell(
            LoreQuestion(
                turn.channel, persona, window, messages, room, occasion, turn.turn_id, noted
            )
        )
        memory = await self._memory.recollect(
            MemoryQuestion(
                *(turn.channel, persona, settings, window, room, turn.turn_id, occasion.moment),
                only_of=reader_of(turn, settings),
            )
        )
        request = PromptRequest(
            persona=persona,
            window=window,
            settings=_reaching_back(settings, window, first_turn if oldest is None else oldest),
            format=chosen.format,
            info=engine.info,
            reply_tokens=min(settings.max_reply_tokens, self._max_reply_tokens),
            reply_so_far=reply_so_far,
            parts=(*staging.parts, *memory.parts),
            staging=staging,
            thinking_tokens=self._thinking_tokens,
            lore=lore,
            occasion=occasion,
            reading=reading,
        )
        prompt = await build_prompt(request, engine.count_tokens, self._counts)
        return Prepared(
            *(prompt, settings, persona, stored.revision, occasion, lore, memory, recent, reading)
        )

    async def _speaking(
        self, turn: Turn, stored: StoredSettings, engine: NamedEngine, persona: Persona | None
    ) -> tuple[Persona, ChannelSettings]:
        """Who speaks in `turn`, and the settings that hold for it, its own sampling among them."""
        own = engine.info.sampling_defaults
        if persona is None:
            settings = self._settings.settle(turn.channel, stored.values, own)
            persona = await self.persona(turn.channel, settings, turn)
        return persona, self._settings.settle(turn.channel, stored.values, own, persona)

    async def _recent_replies(self, turn: Turn, window: HistoryWindow) -> tuple[str, ...]:
        """The bot's last replies before `turn`, also where the settings show fewer turns."""
        replies = replies_in(window)
        if window.skipped and len(replies) < RECENT_REPLIES:
            before = turn.turn_id
            longer = await self._history.window(turn.channel, RECENT_TURNS, before_turn=before)
            replies = replies_in(longer)
        return replies

    async def _window(self, turn: Turn, settings: ChannelSettings) -> HistoryWindow:
        """What was said before `turn`, as far as the settings let the model see it."""
        return await self._turns_before(turn, settings, window_turns(settings))

    async def _turns_before(
        self, turn: Turn, settings: ChannelSettings, limit: int
    ) -> HistoryWindow:
        return await self._history.window(
            turn.channel, limit, before_turn=turn.turn_id, only_of=reader_of(turn, settings)
        )

    async def _reaching(
        self,
        window: HistoryWindow,
        turn: Turn,
        settings: ChannelSettings,
        oldest: int | None,
        first_turn: int | None,
    ) -> HistoryWindow:
        """The window before `turn`, back to `oldest` at least, or to `first_turn` exactly."""
        limit = window_turns(settings)
        reach = oldest if first_turn is None else first_turn
        while reach is not None and stops_short(window, reach) and limit < MOST_TURNS:
            limit = min(2 * limit + 16, MOST_TURNS)
            window = await self._turns_before(turn, settings, limit)
        if first_turn is None and len(window.turns) > window_turns(settings):
            first_turn = reach  # as far as it must reach, and no further
        if first_turn is not None:
            window = beginning_with(window, first_turn)
        if settings.context == "addressed":
            window = await said_to_the_bot(self._history, window)
        return window


async def explain(
    history: History, preparer: Preparer, engines: Engines, turn_id: int
) -> Explanation:
    """Explain a bot's turn, as its active swipe came to be, by the engine that wrote it.

    With the version of the persona that wrote it, where that is still kept. Where that engine is
    configured no more, the prompt is the one that a reply would have now.
    Raises NotFound, and EngineError or SettingsError when the prompt cannot be built any more.
    """
    turn = await history.turn(turn_id)
    if turn.role != "bot":
        raise NotFound("That is no reply of the bot's.", "Ask about one of its messages.")
    record = await history.generation(turn_id, turn.active_swipe)
    answers = [asked.turn_id for asked in await preparer.questions(turn)]
    wrote = engines.named(record.engine) if record is not None else None
    engine = wrote or engines.answering()
    occasion = occasion_of(record)
    at = record.created_at if record is not None else None
    speaking = await preparer.speaking_now(turn)
    since = _persona_since(record, speaking)
    kept = None
    if record is not None and since is not PersonaSince.SAME:
        kept = await preparer.persona_of_then(turn, record)
    prepare = partial(
        preparer.prepare, turn, engine, occasion=occasion, written_at=at, persona=kept or speaking
    )
    now = await prepare(answers=answers)
    changed_since = record is not None and now.prompt.sha256 != record.prompt_sha256
    if changed_since and record is not None and record.first_turn_id is not None:
        # Turns older than the prompt's first one may have gone: they were not in it anyway.
        now = await prepare(first_turn=record.first_turn_id)
        changed_since = now.prompt.sha256 != record.prompt_sha256
    lore, memory = await asyncio.to_thread(now.told)
    return Explanation(
        turn,
        now.prompt,
        await now.prompt.sections(engine.count_tokens),
        record,
        changed_since,
        now.persona,
        since,
        missing_engine=record.engine if record is not None and wrote is None else "",
        lore=lore,
        is_kept_version=kept is not None,
        memory=standing(memory, now.prompt.parts),
    )


def occasion_of(record: GenerationRecord | None) -> Occasion | None:
    """What chance and time depended on in a reply, as far as that was kept."""
    if record is None or record.occasion is None:
        return None
    kept = record.occasion
    return Occasion(kept.seed, kept.moment, kept.trigger, kept.others)


def _persona_since(record: GenerationRecord | None, persona: Persona) -> PersonaSince:
    # A version of "": recorded before there were any.
    if record is None or record.persona_version in ("", persona.version):
        return PersonaSince.SAME
    return PersonaSince.EDITED if record.persona_id == persona.id else PersonaSince.GONE


def _as_played(settings: ChannelSettings) -> ChannelSettings:
    """In a scene all that is said belongs to it, and to all who play."""
    return settings.model_copy(update={"context": "channel", "history_scope": "channel"})


def _reaching_back(
    settings: ChannelSettings, window: HistoryWindow, turn_id: int | None
) -> ChannelSettings:
    """With as many `history_turns` as it takes to show `turn_id`, which is being answered."""
    if turn_id is None:
        return settings
    needed = sum(turn.turn_id >= turn_id for turn in window.turns) - 1
    if needed <= settings.history_turns * 7 // 8:  # the prompt drops up to an eighth at once
        return settings
    turns = max(settings.history_turns, needed * 8 // 7 + 1)
    return settings.model_copy(update={"history_turns": turns})
