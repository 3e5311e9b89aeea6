"""Begins replies, one at a time in a channel, and ends them when the bot closes."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from random import Random
from typing import Any

from bot.chat.definitions import ChannelSettings
from bot.chat.engines import Engines
from bot.chat.limits.ages import require_may_speak
from bot.chat.limits.gate import Access, Admission, Gate
from bot.chat.limits.notices import Notices
from bot.chat.messages import ChannelKey, GenerationRecord, Speaker, Turn
from bot.chat.persona import Persona
from bot.chat.ports import History
from bot.chat.prompt.additions import Occasion
from bot.chat.prompt.build import window_turns
from bot.chat.prompt.preparation import Given, Preparer, occasion_of
from bot.chat.settings import SettingsCascade
from bot.chat.talk.casting import Casting
from bot.chat.talk.channel_states import ChannelState, ChannelStates
from bot.chat.talk.floor import Floors
from bot.chat.talk.reply import Reply, ReplyKind, continued_record
from bot.chat.talk.shown_again import ShownAgain
from bot.chat.talk.tasks import all_ended, complete
from bot.chat.talk.unfinished import Unfinished
from bot.chat.talk.writer import SEED_BITS, ReplyWriter
from bot.errors import EngineUnavailable, NotAllowed, NotFound

Clock = Callable[[], datetime]

ANSWERED_FOR = timedelta(minutes=10)  # how long a message that nobody heard in time is answered
AGE_TOLD_AGAIN = timedelta(days=1)
STOPPING_SECONDS = 10.0  # for a stopped reply to be finished by its front end


def utc_now() -> datetime:
    """The time, aware and in UTC."""
    return datetime.now(UTC)


class Replies:
    """Every reply begins here."""

    def __init__(
        self,
        history: History,
        settings: SettingsCascade,
        engines: Engines,
        preparer: Preparer,
        casting: Casting,
        channels: ChannelStates,
        clock: Clock,
        random: Random,
        gate: Gate,
        notices: Notices,
        shown_again: ShownAgain,
    ) -> None:
        """`channels` is shared with whoever hears the messages, as are `gate` and `notices`.

        `on_refused` hear of turns that are not answered after all, where that is to be told.
        """
        self._history = history
        self._settings = settings
        self._engines = engines
        self._preparer = preparer
        self._casting = casting
        self._floors = Floors(history)
        self._channels = channels
        self._clock = clock
        self._random = random
        self._gate = gate
        self._notices = notices
        self.on_refused: list[Callable[[Turn, Admission], None]] = []
        self._shown_again = shown_again
        self._unfinished = Unfinished(history)
        self._closing = False
        self._beginning: set[asyncio.Task[Reply | None]] = set()
        self._asked_again: set[int] = set()  # turns to be written again once their channel is free

    async def begin_next(self, channel: ChannelKey) -> Reply | None:
        """The reply to what waits in a channel, None when nothing does or the bot is closing."""
        state = await self._claim(channel)
        return await self._begin(channel, state, self._begin_next(channel, state))

    async def begin_again(
        self, turn_id: int, kind: ReplyKind, channel: ChannelKey | None = None, by: str = ""
    ) -> Reply:
        """A new swipe of a bot's turn, or its continuation. NotAllowed when that is asked twice.

        See :meth:`Conversations.regenerate`.
        """
        turn = await self.bot_turn(turn_id)
        running = self._channels.running(turn.channel)
        is_written = running is not None and running.turn.turn_id == turn_id
        if is_written or turn_id in self._asked_again:
            raise NotAllowed("That reply is being written.", "Wait for its end, or stop it.")
        self._asked_again.add(turn_id)
        try:
            state = await self._claim(turn.channel)
            work = self._begin_again(turn_id, state, kind, channel or turn.channel, by)
            reply = await self._begin(turn.channel, state, work)
        finally:
            self._asked_again.discard(turn_id)
        if reply is None:
            raise EngineUnavailable("The bot is about to stop.", "Try again in a minute.")
        return reply

    async def bot_turn(self, turn_id: int) -> Turn:
        """A turn of the bot's. Raises NotFound, or NotAllowed for anybody else's."""
        turn = await self._history.turn(turn_id)
        if turn.role != "bot":
            raise NotAllowed("That is no reply of the bot's.", "Choose one of its messages.")
        return turn

    def let_speak(self, channel: ChannelKey, persona_id: str, by: str) -> None:
        """Somebody wants a persona to speak next: :meth:`begin_next` gives its reply.

        To be called with the channel's intake, or whoever gets the floor just now is not told.
        """
        self._floors.request(channel, persona_id, by)

    async def stop(self, channel: ChannelKey) -> None:
        """Stop what is being written in a channel, and wait until it has been kept.

        Personas that were still to speak there don't.
        """
        try:
            await self.end_round(channel)
        finally:  # a database that fails keeps nothing from being stopped
            running = self._channels.running(channel)
            if running is not None:
                running.stop()
                await all_ended([running.ended()], STOPPING_SECONDS)

    async def end_round(self, channel: ChannelKey) -> None:
        """Personas that were still to speak in a channel don't. Raises StoreError."""
        await self._floors.end(channel, self._clock() - ANSWERED_FOR)

    async def close(self, grace_seconds: float) -> None:
        """See :meth:`Conversations.close`."""
        hurry, self._closing = self._closing, True
        if self._beginning:
            await asyncio.wait(set(self._beginning), timeout=STOPPING_SECONDS)
        if not hurry:
            await all_ended(map(Reply.ended, self._channels.all_running()), grace_seconds)
        running = self._channels.all_running()
        for reply in running:
            reply.shut_down()
        await all_ended(map(Reply.ended, running), STOPPING_SECONDS)
        await self._unfinished.close()

    # One reply at a time -------------------------------------------------------------------------

    async def _claim(self, channel: ChannelKey) -> ChannelState:
        """Wait until no reply runs in a channel, and let no other one begin."""
        state = self._channels.enter(channel)
        try:
            await state.turnstile.acquire()
        except BaseException:  # also cancelled, as where the one who asked goes away
            self._channels.leave(channel)
            raise
        return state

    def _release(self, channel: ChannelKey) -> None:
        with self._channels.use(channel) as state:
            state.running = None
            state.turnstile.release()
            self._channels.leave(channel)

    async def _begin(
        self,
        channel: ChannelKey,
        state: ChannelState,
        work: Coroutine[Any, Any, Reply | None],
    ) -> Reply | None:
        """Do the work to its end; where it gives no reply, or nobody takes it, free the channel."""
        task = asyncio.ensure_future(work)
        self._beginning.add(task)
        task.add_done_callback(self._beginning.discard)
        try:
            reply = await complete(task)
        except BaseException as error:
            if state.running is None:
                self._release(channel)
            else:
                await complete(state.running.end(error))
            raise
        if reply is None:
            self._release(channel)
        return reply

    async def _begin_next(self, channel: ChannelKey, state: ChannelState) -> Reply | None:
        if self._closing:
            return None
        await self._unfinished.store(channel)  # the prompt leaves out what runs
        # Nothing may be heard between the look at what waits and the reply's place in the history.
        async with state.intake:
            since = self._clock() - ANSWERED_FOR
            waiting = await self._history.waiting(
                channel,
                self._settings.scopes(channel),
                since=since,
                also=state.heard,  # all that this process heard, however old
            )
            if not waiting.turns:
                state.let_go()  # deleted meanwhile, or of a conversation that was left
            settings = self._settings.settle(channel, waiting.settings.values)
            scene = await self._casting.scene(channel)
            if scene is not None and scene.is_paused:
                return None
            cast = await self._casting.here(channel, settings, scene=scene)
            is_private = scene is None and settings.history_scope == "user"
            admitted = partial(self._still_admitted, channel, settings, state)
            turns = await admitted(waiting.turns)
            chain = settings.persona_chain
            await self._floors.take_again(channel, cast, chain, scene, since, admitted)
            for _ in range(2 if is_private else 1):  # once more where who was to speak does no more
                heard = self._floors.of_one_person(channel, turns) if is_private else turns
                speaking = await self._floors.give(channel, heard, cast, chain, scene, state.heard)
                if speaking is not None:
                    break
            else:
                return None
            persona = speaking.persona
            left_out = await self._casting.left_out(channel, settings, cast[0], scene)
            notice = "" if left_out is None else self._told_once(channel, left_out, cast[0])
            try:
                begun = await self._history.take_up(
                    channel,
                    Speaker(f"persona:{persona.id}", persona.name, is_bot=True),
                    persona=persona.name,
                    persona_id=persona.id,
                    answers=[taken.turn_id for taken in speaking.takes_up],
                    limit=window_turns(settings),
                    asked_by=speaking.asked_by,
                    follows=speaking.follows,
                    is_awaited=speaking.is_awaited,
                )
            except NotFound:  # taken out by someone who does not ask us
                self._floors.forget(channel)
                return None
            payers = state.take_up(speaking.takes_up) or speaking.asked_by
            self._floors.spoke(channel, begun.turn.turn_id)
        # With a scope of its own, the window is read by it.
        given = None if is_private else Given(waiting.settings, begun.window, persona)
        turn = replace(begun.turn, channel=channel)
        others = tuple(each.name for each in cast if each.id != persona.id)
        occasion = self._occasion(ReplyKind.NEW, others)
        reply = self._reply(
            *(turn, state, ReplyKind.NEW, speaking.answers, speaking.asked_by, occasion),
            payers=payers,
            given=given,
        )
        reply.notice = notice
        return reply

    async def _begin_again(
        self, turn_id: int, state: ChannelState, kind: ReplyKind, channel: ChannelKey, by: str
    ) -> Reply | None:
        if self._closing:
            return None
        await self._unfinished.store((await self.bot_turn(turn_id)).channel)
        # Nobody may turn to another swipe between this look at the turn and the reply's beginning.
        async with state.intake:
            turn = await self.bot_turn(turn_id)
            await self._history.require_seen(turn_id)
            require_may_speak(await self._preparer.speaking_now(turn), channel)
            answers = await self._preparer.questions(turn)
            if kind is ReplyKind.SWIPE:
                if turn.is_greeting and not answers:
                    raise NotAllowed(
                        "The greeting is as its author wrote it.",
                        "Where it has others, turn to them with ◀ and ▶.",
                    )
                if not answers and not await self._preparer.has_somebody_to_answer(turn):
                    raise NotAllowed(
                        "What this reply answers is no longer there.", "Say something new to me."
                    )
                turn = await self._history.begin_swipe(turn_id)
            others = await self._casting.beside(channel, turn.persona_id)
            occasion = self._occasion(kind, others)
            if kind is ReplyKind.CONTINUED:  # what it was told, it goes on with
                turn = await self._shown_again.turn(turn)
                record = await self._history.generation(turn.turn_id, turn.active_swipe)
                occasion = occasion_of(record) or occasion
            payers = frozenset({by}) if by else turn.asked_by
            return self._reply(turn, state, kind, answers, turn.asked_by, occasion, payers)

    async def _still_admitted(
        self,
        channel: ChannelKey,
        settings: ChannelSettings,
        state: ChannelState,
        waiting: Sequence[Turn],
    ) -> Sequence[Turn]:
        """What waits, without whoever is not heard or answered any more by now."""
        said: dict[str, Admission] = {}
        found: list[Turn] = []
        refused: list[Turn] = []
        for turn in waiting:
            speaker = state.speakers.get(turn.turn_id, turn.speaker)
            if speaker.speaker_id not in said:
                admission = await self._gate.still_admits(channel, speaker, settings)
                said[speaker.speaker_id] = admission
                if self._notices.is_due(channel, admission):
                    for tell in self.on_refused:
                        tell(turn, admission)
            if said[speaker.speaker_id].access is Access.ANSWERED:
                found.append(turn)
            else:
                refused.append(turn)
        if refused:
            state.take_up(refused)
            await self._history.answer_no_more([turn.turn_id for turn in refused])
        return found

    def _told_once(self, channel: ChannelKey, left_out: Persona, speaks: Persona) -> str:
        """Why the channel's own persona does not speak, where that was not said lately."""
        line = (
            f"«{left_out.name}» is age-restricted, and this channel is not: {speaks.name} answers."
        )
        about = f"age of {left_out.id} in {channel}"
        told = Admission(Access.UNANSWERED, line, about=about, told_again=AGE_TOLD_AGAIN)
        return line if self._notices.is_due(channel, told) else ""

    def _occasion(self, kind: ReplyKind, others: tuple[str, ...]) -> Occasion:
        seed = self._random.getrandbits(SEED_BITS)
        return Occasion(seed, self._clock(), _TRIGGERS[kind], others)

    def _reply(
        self,
        turn: Turn,
        state: ChannelState,
        kind: ReplyKind,
        answers: tuple[Turn, ...],
        asked_by: frozenset[str],
        occasion: Occasion,
        payers: frozenset[str],
        given: Given | None = None,
    ) -> Reply:
        asker = answers[-1].speaker.speaker_id if answers else min(asked_by, default="")
        engine = self._engines.pick()
        writer = ReplyWriter(
            self._preparer,
            self._engines,
            engine,
            self._random,
            turn,
            answers=[answered.turn_id for answered in answers],
            user=f"{turn.channel.platform}:{asker}",
            occasion=occasion,
            text_before=turn.text if kind is ReplyKind.CONTINUED else "",
            given=given,
            censor=self._shown_again.censor,
        )

        async def record(writer: ReplyWriter) -> GenerationRecord | None:
            made = await writer.record(self._clock())
            if made is None or kind is not ReplyKind.CONTINUED:
                return made
            before = await self._history.generation(turn.turn_id, turn.active_swipe)
            return continued_record(made, before)

        async def charge(writer: ReplyWriter) -> None:
            spent = await writer.spent()
            if spent is not None:
                await self._gate.wrote(turn.channel, spent[0], payers, spent[1])

        state.running = Reply(
            turn,
            writer,
            self._history,
            kind=kind,
            answers=answers,
            asked_by=asked_by,
            expected_wait_seconds=engine.status().expected_wait_seconds,
            record=record,
            unfinished=self._unfinished,
            release=lambda: self._release(turn.channel),
            charge=charge,
        )
        return state.running


_TRIGGERS = {
    ReplyKind.NEW: "normal",
    ReplyKind.SWIPE: "swipe",
    ReplyKind.CONTINUED: "continue",
}
