"""A message in, a streamed reply out; one reply at a time in a channel."""

from collections.abc import Callable, Sequence
from functools import partial
from random import Random

from bot.chat.definitions import ChannelSettings
from bot.chat.engines import Engines
from bot.chat.limits.ages import require_may_speak
from bot.chat.limits.gate import Admission, Gate
from bot.chat.limits.words.censor import Censor
from bot.chat.messages import ChannelKey, Turn
from bot.chat.ports import EngineStatus, History, Personas
from bot.chat.prompt.choosing import FormatChooser
from bot.chat.prompt.preparation import Explanation, PersonaSince, Preparer, explain
from bot.chat.prompt.recollection import MemoryTeller
from bot.chat.roleplay.lore import LoreReader, LoreShelf
from bot.chat.roleplay.scenes.keeping import Scenes
from bot.chat.roleplay.scenes.staging import Stager
from bot.chat.settings import SettingsCascade
from bot.chat.talk.casting import Casting, Casts
from bot.chat.talk.channel_states import ChannelStates
from bot.chat.talk.greetings import Greetings
from bot.chat.talk.hearing import Hearing
from bot.chat.talk.intake import Intake
from bot.chat.talk.listening import Heard
from bot.chat.talk.reply import Reply, ReplyKind
from bot.chat.talk.shown_again import ShownAgain
from bot.chat.talk.turn_taking import Clock, Replies, utc_now
from bot.chat.talk.writer import Outcome
from bot.chat.text.messages_left import text_left
from bot.chat.text.split import FIRST_CHARACTERS, MESSAGE_CHARACTERS
from bot.errors import NotAllowed, NotFound

__all__ = [
    "Clock",
    "Conversations",
    "Explanation",
    "Heard",
    "Outcome",
    "PersonaSince",
    "Reply",
    "utc_now",
]


class Conversations(Intake):
    """The conversation core, for every channel. Front ends (cogs, workbench) call only this.

    What needs no running reply to be regarded (export, unhiding, restoring, settings) they ask of
    the ports directly: `history`, `settings`, `personas`, `engines`.
    """

    def __init__(
        self,
        history: History,
        settings: SettingsCascade,
        personas: Personas,
        engines: Engines,
        *,
        max_reply_tokens: int = 512,
        thinking_tokens: int = 1024,
        clock: Clock = utc_now,
        random: Random | None = None,
        shelf: LoreShelf | None = None,
        casts: Casts | None = None,
        scenes: Scenes | None = None,
        memory: MemoryTeller | None = None,
        channels: ChannelStates | None = None,
        gate: Gate | None = None,
        censor: Censor | None = None,
    ) -> None:
        """`max_reply_tokens` bounds every channel's own; `random` decides chances and seeds.

        `thinking_tokens` is for a model that thinks before it answers. `shelf` holds the lorebooks
        in use beside the personas' own, `casts` who else speaks where, `memory` what is remembered,
        `scenes` what is played. `gate` says who is heard and answered; without one, all are.
        `censor` knows the words that guilds do not want.
        """
        settings = settings.with_model(engines.sampling_defaults)
        self._random = random or Random()  # noqa: S311 - nothing secret depends on it
        self.casting = casting = Casting(personas, settings, casts, scenes)
        hearing = Hearing(history, casting, self._random)
        channels = ChannelStates() if channels is None else channels
        censor = censor or Censor()
        super().__init__(history, settings, hearing, gate or Gate(), channels, clock, censor)
        self.personas = personas
        self.engines = engines
        self.scenes = scenes
        self._on_shortened: list[Callable[[Turn], None]] = []
        self.formats = FormatChooser(thinks=thinking_tokens > 0)
        self._preparer = preparer = Preparer(
            history,
            settings,
            personas,
            max_reply_tokens=max_reply_tokens,
            thinking_tokens=thinking_tokens,
            formats=self.formats,
            lore=LoreReader(history, shelf),
            memory=memory,
            stager=None if scenes is None else Stager(scenes),
            screen=censor,
        )
        self.shown_again = ShownAgain(history, settings, censor)
        self._replies = Replies(
            history,
            settings,
            engines,
            preparer,
            casting,
            self._channels,
            clock,
            self._random,
            self._gate,
            self._notices,
            self.shown_again,
        )
        self.greetings = Greetings(
            history, self.casting, self._channels, clock, self._random, self.shown_again
        )

    # Messages ------------------------------------------------------------------------------------

    async def persona_name(
        self, channel: ChannelKey, settings: ChannelSettings | None = None
    ) -> str:
        """Who the bot is in a channel of these settings. Raises SettingsError or StoreError."""
        settings = settings or await self.settings.resolve(channel)
        return (await self.casting.main(channel, settings)).name

    async def speaks_as_itself(self, turn: Turn) -> bool:
        """Whether a bot's turn is the default persona's, which is the bot itself."""
        default = await self.personas.default()
        return turn.persona_id == default.id or (
            not turn.persona_id and turn.persona in ("", default.name)
        )

    async def first_characters(self, turn: Turn) -> int:
        """The most characters of a reply's first message: above a persona's stands a line."""
        return MESSAGE_CHARACTERS if await self.speaks_as_itself(turn) else FIRST_CHARACTERS

    async def deleted(self, channel: ChannelKey, message_ids: Sequence[str]) -> int:
        """Messages were deleted: takes them out everywhere. Returns how many turns went.

        Of a reply in several messages, the text of the others stays; see :meth:`on_shortened`. A
        running reply whose message is among them stops, as does one whose questions are all gone
        before anything of it was shown. Where no text has come yet, it is written from what is
        left.
        """
        shortened: list[Turn] = []
        async with self._intake(channel) as state:
            if state.running is not None:
                await state.running.keep_shown()  # so that its messages are known
            state.tell_of_change()
            is_held = await self.history.holds(channel, message_ids)
            for turn in await self.history.replies_in(channel, message_ids):
                if set(turn.message_ids) - set(message_ids):
                    without = partial(text_left, first_limit=await self.first_characters(turn))
                    left = await self.history.shorten_reply(turn.turn_id, message_ids, without)
                    shortened.append(left)
            count = await self.history.delete_messages(channel, message_ids)
            if is_held:
                self._channels.tell_taken_out(channel)
            if state.running is not None and (count or shortened):
                await state.running.taken_out(message_ids, shortened)
            await self._forget_unheard(channel, state)
        for turn in shortened:
            for tell in self._on_shortened:
                tell(turn)
        return count

    def on_shortened(self, tell: Callable[[Turn], None]) -> None:
        """Have `tell` called with every reply of which a part was deleted, as it is now."""
        self._on_shortened.append(tell)

    def on_refused(self, tell: Callable[[Turn, Admission], None]) -> None:
        """Have `tell` called with what waited and is not answered after all, and why not."""
        self._replies.on_refused.append(tell)

    async def edit_turn(self, turn_id: int, text: str) -> Turn:
        """Replace a turn's text, a bot's too. Raises NotFound.

        NotAllowed while it is being written, which would write over the new text.
        """
        channel = (await self.history.turn(turn_id)).channel
        async with self._intake(channel):  # in which a reply begins, too
            if self._is_being_written(channel, turn_id):
                raise NotAllowed("This reply is being written.", "Stop it, or wait for its end.")
            turn = await self.history.edit_turn(turn_id, text)
            self._channels.tell_edited(channel)
            return turn

    async def ask_again(self, turn_id: int) -> Turn:
        """A user's turn is to be answered once more, however old it is: call `next_reply`."""
        channel = (await self.history.turn(turn_id)).channel
        async with self._intake(channel) as state:
            turn = await self.history.ask_again(turn_id)
            state.heard[turn_id] = None
            return turn

    # Replies -------------------------------------------------------------------------------------

    async def is_private(self, channel: ChannelKey) -> bool:
        """Whether each has a talk of their own there. Raises SettingsError or StoreError."""
        settings = await self.settings.resolve(channel)
        return settings.history_scope == "user" and not await self.casting.scene(channel)

    async def newest_reply(self, channel: ChannelKey, speaker_id: str) -> Turn | None:
        """The reply that somebody means who names none: the channel's newest one.

        Where each has a talk of their own, theirs, and no greeting, which is everybody's.
        """
        if not await self.is_private(channel):
            return await self.history.last_reply(channel)
        running = self.running(channel)
        if running is not None and speaker_id in running.asked_by:
            return running.turn
        return await self.history.last_reply(channel, only_of=speaker_id)

    async def next_reply(self, channel: ChannelKey) -> Reply | None:
        """The reply to everything that waits in this channel; None when nothing does.

        Waits for the channel's running reply to end first. None, too, once the bot is closing.
        Use it with ``async with``: leaving it frees the channel. A reply that nobody enters
        keeps its channel locked for a minute.
        """
        return await self._replies.begin_next(channel)

    async def let_speak(self, channel: ChannelKey, persona_id: str, by: str) -> None:
        """Somebody wants a persona to speak next there, whether or not anything waits."""
        async with self._intake(channel):
            self._replies.let_speak(channel, persona_id, by)

    def let_go(self, channel: ChannelKey) -> None:
        """Nobody can be answered there now. What waits is, if that changes within ten minutes."""
        with self._channels.use(channel) as state:
            state.let_go()

    async def regenerate(
        self, turn_id: int, *, channel: ChannelKey | None = None, by: str = ""
    ) -> Reply:
        """A new swipe of a bot's turn.

        `channel` is its channel as it is known now, and `by` who wants it, for whom it counts: ""
        for who asked first. Where what it answered was deleted, it is written from what else was
        said before. Raises NotFound, NotAllowed for a user's turn, where nothing was, or where its
        persona may not speak, EngineUnavailable once the bot is closing.
        """
        return await self._replies.begin_again(turn_id, ReplyKind.SWIPE, channel, by)

    async def continue_reply(
        self, turn_id: int, *, channel: ChannelKey | None = None, by: str = ""
    ) -> Reply:
        """Go on where a bot's turn ended; the same swipe grows. As :meth:`regenerate`."""
        return await self._replies.begin_again(turn_id, ReplyKind.CONTINUED, channel, by)

    async def swipe(self, turn_id: int, step: int, *, seen_in: ChannelKey | None = None) -> Turn:
        """Go `step` swipes forth or back, round the end. Raises NotFound or NotAllowed.

        `seen_in` is the turn's channel as it is known now.
        """
        turn = await self._replies.bot_turn(turn_id)
        channel = turn.channel
        require_may_speak(await self._preparer.speaking_now(turn), seen_in or channel)
        async with self._intake(channel):
            if self._is_being_written(channel, turn_id):
                raise NotAllowed("That reply is being written.", "Wait for its end, or stop it.")
            turn = await self.history.turn(turn_id)
            if not turn.swipes:
                return turn
            places = sorted(swipe.index for swipe in turn.swipes)
            place = places.index(turn.active_swipe) if turn.active_swipe in places else 0
            wanted = places[(place + step) % len(places)]
            text = next(swipe.text for swipe in turn.swipes if swipe.index == wanted)
            shown = await self.shown_again.text(turn.channel, text)
            turn = await self.history.select_swipe(turn_id, wanted)
            return turn if shown == text else await self.history.edit_turn(turn_id, shown)

    async def placed(self, turn: Turn, message_ids: Sequence[str]) -> bool:
        """People see a turn's active swipe in these messages now.

        False, and nothing is kept of it, when another swipe or text is the turn's by now or the
        reply is being written again. Raises NotFound when it is gone.
        """
        async with self._intake(turn.channel):
            now = await self.history.turn(turn.turn_id)
            if (now.active_swipe, now.text) != (turn.active_swipe, turn.text):
                return False
            if self._is_being_written(turn.channel, turn.turn_id):
                return False
            await self.history.show_reply(turn.turn_id, turn.text, message_ids)
            return True

    async def why(self, turn_id: int) -> Explanation:
        """The prompt of a reply, rebuilt. Raises NotFound, EngineError or SettingsError."""
        return await explain(self.history, self._preparer, self.engines, turn_id)

    def running(self, channel: ChannelKey) -> Reply | None:
        """The reply being written in a channel."""
        return self._channels.running(channel)

    def engine_status(self) -> EngineStatus:
        """A snapshot of the engine that would answer now."""
        return self.engines.status()

    async def close(self, grace_seconds: float = 20.0) -> None:
        """No new replies; running ones get `grace_seconds`, then are stopped and finished.

        A second call stops them at once.
        """
        await self._replies.close(grace_seconds)

    # What ends a running reply first -------------------------------------------------------------

    async def reset(self, channel: ChannelKey) -> tuple[int, int]:
        """Stop what is being written, then start a new conversation. Returns (old, new) ids."""
        await self._replies.stop(channel)
        async with self._intake(channel) as state:
            ids = await self.history.reset(channel)
            await self._forget_unheard(channel, state)
            return ids

    async def undo(self, channel: ChannelKey, *, by: str = "") -> list[int]:
        """Hide the last exchange and stop what is being written. Returns the hidden turns.

        Where each has a talk of their own, `by` takes back theirs, and what is written for others
        is not stopped. "" is the channel's.
        """
        only_of = by if by and await self.is_private(channel) else None
        async with self._intake(channel) as state:
            # Before the stop: a reply of which nothing is shown goes then, and the one before it
            # would be the last.
            state.tell_of_change()
            if only_of is None:
                await self._replies.end_round(channel)  # before who waits there is hidden
            hidden = await self.history.hide_last_exchange(channel, only_of=only_of)
            await self._forget_unheard(channel, state)
        running = self.running(channel)
        if only_of is None or (running is not None and running.turn.turn_id in hidden):
            await self._replies.stop(channel)
        return hidden

    async def delete_turn(self, turn_id: int) -> Turn:
        """Take a turn out, even a reply being written. Raises NotFound."""
        turn = await self.history.turn(turn_id)
        is_written = self._is_being_written(turn.channel, turn_id)
        if is_written:
            await self._replies.stop(turn.channel)
        async with self._intake(turn.channel) as state:
            state.tell_of_change()
            try:
                turn = await self.history.delete_turn(turn_id)
            except NotFound:
                if not is_written:
                    raise
                return turn  # nothing of it had been shown, so it went when it was stopped
            self._channels.tell_taken_out(turn.channel)
            if state.running is not None:
                await state.running.taken_out(turn.message_ids)
            await self._forget_unheard(turn.channel, state)
            return turn

    async def delete_conversation(self, channel: ChannelKey, conversation_id: int) -> None:
        """Take one out that was left. Raises NotFound."""
        await self.history.delete_conversation(channel, conversation_id)
        self._channels.tell_taken_out(channel)

    def _is_being_written(self, channel: ChannelKey, turn_id: int) -> bool:
        running = self.running(channel)
        return running is not None and running.turn.turn_id == turn_id
