"""Takes in what people say and change: heard, admitted, kept, and perhaps to be answered."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace

from bot.chat.definitions import ChannelSettings
from bot.chat.limits.gate import WELCOME, Access, Admission, Gate
from bot.chat.limits.notices import Notices
from bot.chat.limits.words.censor import NOT_ANSWERED, Censor, ScreenedMessage
from bot.chat.messages import ChannelKey, IncomingMessage, Speaker
from bot.chat.ports import History
from bot.chat.settings import SettingsCascade
from bot.chat.talk.channel_states import ChannelState, ChannelStates
from bot.chat.talk.hearing import Hearing, Verdict
from bot.chat.talk.listening import Heard, without_asides
from bot.chat.talk.turn_taking import ANSWERED_FOR, Clock
from bot.chat.text.asides import is_out_of_character
from bot.chat.text.forbidden.redaction import Then


class Intake:
    """Hears messages, one after another in each channel."""

    def __init__(
        self,
        history: History,
        settings: SettingsCascade,
        hearing: Hearing,
        gate: Gate,
        channels: ChannelStates,
        clock: Clock,
        censor: Censor,
    ) -> None:
        """`gate` says who is heard and answered; `channels` is shared with the replies.

        `censor` knows the words that guilds do not want.
        """
        self.history = history
        self.settings = settings
        self._hearing = hearing
        self._gate = gate
        self._channels = channels
        self._clock = clock
        self._notices = Notices(clock)
        self.censor = censor

    async def admit(self, channel: ChannelKey, speaker: Speaker, *, asks: bool) -> Admission:
        """How far somebody comes in a channel who uses a command or a button there.

        With `asks`, the bot is to write for them, which counts where that is limited. Raises
        SettingsError or StoreError.
        """
        settings = await self.settings.resolve(channel)
        admission = await self._gate.admit(channel, speaker, settings, asks=asks, at=self._clock())
        if asks and admission.access is Access.ANSWERED and not speaker.is_bot:
            self._gate.spoke(channel)
        return admission

    async def hears(self, channel: ChannelKey, speaker: Speaker, settings: ChannelSettings) -> bool:
        """Whether anything is heard of what somebody says: ask before you read a message.

        `settings` are those of the channel. Raises StoreError.
        """
        admission = await self._gate.admit(channel, speaker, settings, asks=False, at=self._clock())
        return admission.access is not Access.UNHEARD

    async def wrote(self, channel: ChannelKey, speaker_id: str, tokens: int) -> None:
        """The bot has written so many tokens for somebody, elsewhere than in a reply.

        Raises SettingsError or StoreError.
        """
        settings = await self.settings.resolve(channel)
        await self._gate.wrote(channel, settings, {speaker_id}, tokens)

    async def hear(
        self, message: IncomingMessage, settings: ChannelSettings | None = None
    ) -> Heard:
        """Take a message in: keep it if the channel's `context` says so, decide about an answer.

        Idempotent by message id. Never waits for a running reply. What was said more than ten
        minutes ago is kept, but no longer answered. `settings` are the channel's, where they were
        resolved for this message already.
        """
        message = without_asides(message)
        channel = message.channel
        async with self._intake(channel) as state:
            settings = settings or await self.settings.resolve(channel)
            verdict = await self._hearing.judge(message, settings)
            admission = await self._admitted(message, verdict, settings)
            if verdict.kept and admission.access is not Access.UNHEARD:
                screened = await self._screen(message)
                if not screened.is_heard:
                    await self.history.note_seen(channel, message.message_id)
                    is_answered = admission.access is Access.ANSWERED
                    return self._unheard(screened, asks=verdict.addressed and is_answered)
                message = await self._without_unheard(screened.message, settings)
            await self._note_spoken(message, verdict, admission, settings)
            if admission.access is Access.ANSWERED and verdict.kept:
                return await self._keep(message, state, addressed=verdict.addressed)
            heard = Heard(kept=False, addressed=False)
            if admission.access is Access.UNANSWERED and (
                not verdict.addressed
                or await self._hearing.is_kept_unanswered(message, verdict, settings)
            ):
                heard = await self._keep(message, state, addressed=False)
            else:
                await self.history.note_seen(channel, message.message_id)
            return replace(heard, refusal=self._due(channel, admission))

    async def _admitted(
        self, message: IncomingMessage, verdict: Verdict, settings: ChannelSettings
    ) -> Admission:
        """How far the author of a message comes, on which nothing hangs where it is not kept."""
        if not verdict.kept:
            return WELCOME
        asks = verdict.addressed and message.sent_at >= self._clock() - ANSWERED_FOR
        admission = await self._gate.admit(
            message.channel, message.said_by, settings, asks=asks, at=message.sent_at
        )
        # Whoever asked nothing waits for nothing; a bot might answer.
        is_told = asks and not message.author.is_bot
        return admission if is_told else replace(admission, notice="")

    async def _note_spoken(
        self,
        message: IncomingMessage,
        verdict: Verdict,
        admission: Admission,
        settings: ChannelSettings,
    ) -> None:
        """Tell the gate that a person said something, where it lets them and that matters."""
        channel = message.channel
        if message.author.is_bot or not self._gate.awaits_people(channel):
            return
        if not verdict.kept:  # nobody has asked so far
            admission = await self._gate.admit(
                channel, message.said_by, settings, asks=False, at=message.sent_at
            )
        if admission.access is Access.ANSWERED:
            self._gate.spoke(channel)

    async def _screen(self, message: IncomingMessage) -> ScreenedMessage:
        """A message that is for us, without the words that its guild does not want."""
        screened = await self.censor.screen(message)
        await self.censor.heard(screened)
        return screened

    async def _without_unheard(
        self, message: IncomingMessage, settings: ChannelSettings
    ) -> IncomingMessage:
        """Without what it replies or links to, where the bot does not hear who said that."""
        quote = message.reply_to
        if quote is None or message.replies_to_bot:
            return message
        is_heard = await self.hears(message.channel, quote.author, settings)
        return message if is_heard else replace(message, reply_to=None)

    def _unheard(self, screened: ScreenedMessage, *, asks: bool) -> Heard:
        """What becomes of a message with such a word, where that forbids all of it."""
        refusal = None
        if asks and screened.then is Then.STOP:
            admission = Admission(Access.UNHEARD, NOT_ANSWERED)
            refusal = self._due(screened.message.channel, admission)
        return Heard(kept=False, addressed=False, refusal=refusal)

    def _due(self, channel: ChannelKey, admission: Admission) -> Admission | None:
        return admission if self._notices.is_due(channel, admission) else None

    async def _keep(
        self, message: IncomingMessage, state: ChannelState, *, addressed: bool
    ) -> Heard:
        turn = await self.history.add_message(message, addressed=addressed)
        if turn is None:  # it came twice; perhaps nobody got to answering it the first time
            turn = await self.history.turn_of_message(message.channel, message.message_id)
            since = self._clock() - ANSWERED_FOR
            pending = await self.history.pending(message.channel, since=since)
            addressed = turn is not None and any(turn.turn_id == w.turn_id for w in pending)
        if turn is None:  # deleted in between
            return Heard(kept=False, addressed=False)
        if addressed and message.sent_at >= self._clock() - ANSWERED_FOR:
            state.heard[turn.turn_id] = message.words
            state.speakers[turn.turn_id] = message.said_by
        return Heard(kept=True, addressed=turn.turn_id in state.heard, turn=turn)

    async def edited(self, channel: ChannelKey, message_id: str, text: str) -> bool:
        """A user edited a message: the new text stands everywhere, the old one is not kept.

        A message that is out of character now, or has a word in it that its guild does not want, is
        taken out. False when it is unknown.
        """
        async with self._intake(channel) as state:
            state.tell_of_change()
            screened = await self.censor.screen_text(channel, text)
            if is_out_of_character(text) or screened.then in (Then.STOP, Then.IGNORE):
                return await self._take_out(channel, message_id, state)
            return await self._edit(channel, message_id, screened.text)

    async def edited_message(
        self, message: IncomingMessage, settings: ChannelSettings | None = None
    ) -> Heard:
        """A user edited a message, which reads so now. Also answers what addresses the bot now.

        As :meth:`edited`. A message that names the bot only since its edit is taken up then: it
        stands after what was said in between. Idempotent, and with `settings`, like :meth:`hear`.
        """
        message = without_asides(message)
        channel, message_id = message.channel, message.message_id
        async with self._intake(channel) as state:
            state.tell_of_change()
            if is_out_of_character(message.text):
                await self._take_out(channel, message_id, state)
                return Heard(kept=False, addressed=False)
            turn = await self.history.turn_of_message(channel, message_id)
            settings = settings or await self.settings.resolve(channel)
            screened = await self.censor.screen(message)
            if not screened.is_heard:
                asks = message.mentions_bot or (turn is not None and turn.addressed)
                said_by, at = message.said_by, message.sent_at
                admission = await self._gate.admit(channel, said_by, settings, asks=False, at=at)
                if admission.access is not Access.UNHEARD and (turn is not None or asks):
                    await self.censor.heard(screened)
                await self._take_out(channel, message_id, state)
                is_answered = admission.access is Access.ANSWERED
                return self._unheard(screened, asks=asks and is_answered)
            message = screened.message
            admission = WELCOME
            if turn is None or (turn.role == "user" and not turn.addressed):
                verdict = await self._hearing.judge_edit(message, settings)
                admission = await self._admitted(message, verdict, settings)
                if verdict.addressed and admission.access is Access.ANSWERED:
                    await self._note_spoken(message, verdict, admission, settings)
                    message = await self._without_unheard(message, settings)
                    was_kept = turn is not None
                    turn = await self.history.renew_message(message)
                    if was_kept:
                        self._channels.tell_edited(channel)
                    state.heard[turn.turn_id] = message.words
                    state.speakers[turn.turn_id] = message.said_by
                    return Heard(kept=True, addressed=True, turn=turn)
            # Whoever is not heard any more: what they said before reads as they want it to.
            await self._edit(channel, message_id, message.text)
            state.reread(turn, message.words)
            refusal = self._due(channel, admission)
            return Heard(kept=turn is not None, addressed=False, turn=turn, refusal=refusal)

    async def _edit(self, channel: ChannelKey, message_id: str, text: str) -> bool:
        """A message reads otherwise now. False when it was unknown."""
        is_edited = await self.history.edit_message(channel, message_id, text)
        if is_edited:  # told only now: a reply may have begun with the old text meanwhile
            self._channels.tell_edited(channel)
        return is_edited

    async def _take_out(self, channel: ChannelKey, message_id: str, state: ChannelState) -> bool:
        """A message is out of character since its edit. False when it was unknown."""
        is_held = await self.history.holds(channel, [message_id])
        count = await self.history.delete_messages(channel, [message_id])
        if is_held:
            self._channels.tell_taken_out(channel)
        if state.running is not None and count:
            await state.running.taken_out([message_id])
        await self._forget_unheard(channel, state)
        return count > 0

    async def took_place(
        self,
        message: IncomingMessage,
        original_id: str,
        settings: ChannelSettings | None = None,
    ) -> Heard | None:
        """Somebody's message was sent again in another name: the new one stands for it.

        Whether it is answered was decided with the original. None when the original is not kept
        (any more): hear the new one then. `settings` as in :meth:`hear`.
        """
        message = without_asides(message)
        async with self._intake(message.channel) as state:
            if is_out_of_character(message.text):
                return None  # goes as any aside; its original goes with its deletion
            screened = await self._screen(message)
            if not screened.is_heard:
                await self._take_out(message.channel, original_id, state)
                await self.history.note_seen(message.channel, message.message_id)
                return self._unheard(screened, asks=False)
            settings = settings or await self.settings.resolve(message.channel)
            message = await self._without_unheard(screened.message, settings)
            turn = await self.history.replace_message(message, original_id)
            if turn is None:
                return None
            self._channels.tell_edited(message.channel)
            await self.history.note_seen(message.channel, message.message_id)
            is_waiting = state.reread(turn, message.words)
            if is_waiting:
                state.speakers[turn.turn_id] = message.said_by
            return Heard(kept=True, addressed=is_waiting, turn=turn)

    async def _forget_unheard(self, channel: ChannelKey, state: ChannelState) -> None:
        """What was taken back is no longer to be answered: keep no note of it."""
        if state.heard:
            waiting = await self.history.pending(channel, since=self._clock(), also=state.heard)
            state.forget_all_but({turn.turn_id for turn in waiting})

    @asynccontextmanager
    async def _intake(self, channel: ChannelKey) -> AsyncGenerator[ChannelState, None]:
        """Messages, edits and deletions one after another, in the order in which they came."""
        with self._channels.use(channel) as state:
            async with state.intake:
                yield state
