"""Answers every channel: one worker for a channel, for as long as something waits there."""

import asyncio
import logging
import secrets
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial

from bot.chat.messages import ChannelKey, Turn
from bot.chat.talk.conversations import Conversations, Reply
from bot.chat.talk.faults import line_for
from bot.errors import CaduceusError, NotFound
from cogs.platform import (
    NOTICE_MARKS,
    WRITE_ERRORS,
    Channel,
    may_send_in,
    persistently,
)
from cogs.showing.delivery import Delivery, Manner, pieces_of, show_turn
from cogs.showing.pacing import Pace, Pacers
from cogs.showing.request_budget import RequestBudget
from cogs.showing.screen import Screen
from cogs.showing.voice import BotVoice, ViewOf, delete_quietly
from cogs.showing.webhooks.voices import Voices

LAST_WRITES_SECONDS = 10.0

_log = logging.getLogger(__name__)


class Serving:
    """Brings the core's replies to Discord."""

    def __init__(
        self,
        conversations: Conversations,
        budget: RequestBudget,
        pace: Pace,
        view_of: ViewOf,
        voices: Voices,
    ) -> None:
        """`voices` decides who speaks a turn, and how."""
        self._conversations = conversations
        self._budget = budget
        self._pace = pace
        self._pacers = Pacers(pace.edit_seconds)
        self._view_of = view_of
        self._voices = voices
        self._wanted: dict[str, tuple[ChannelKey, Channel]] = {}
        self._workers: dict[str, asyncio.Task[None]] = {}
        self._showing: dict[int, bool] = {}  # turns being shown; True: another swipe by now
        self._closed: set[int] = set()  # channels where we may not send, and the log has said so
        self._busy: set[asyncio.Task[object]] = set()  # buttons' and commands' tasks

    def serve(self, key: ChannelKey, channel: Channel) -> None:
        """Answer what waits in a channel. Returns at once."""
        self._wanted[key.channel_id] = (key, channel)
        if key.channel_id not in self._workers:
            self._start(key.channel_id)

    def say(self, channel: Channel, line: str) -> None:
        """Say a line of the bot's own about a fault. Returns at once."""
        if may_send_in(channel):
            task = asyncio.create_task(self._say(channel, f"{NOTICE_MARKS[0]}{line}"))
            self._busy.add(task)
            task.add_done_callback(self._busy.discard)

    def drop(self, key: ChannelKey) -> None:
        """A channel is gone: nothing more is answered there."""
        self._wanted.pop(key.channel_id, None)
        running = self._conversations.running(key)
        if running is not None:
            running.stop()

    async def deliver(self, reply: Reply, channel: Channel, nonce: str) -> None:
        """Show a reply that is written anew or goes on, in the turn's own messages."""
        with self._at_work():
            await self._deliver(reply, channel, nonce)

    async def show(
        self, turn: Turn, channel: Channel, nonce: str, *, reads_so: bool = False
    ) -> None:
        """Bring a turn's messages to its active swipe; to the last one of several asked for.

        `reads_so`: their text is that already, as far as it takes as many messages.
        """
        if turn.turn_id in self._showing:  # whoever is at it goes on to this swipe
            self._showing[turn.turn_id] = True
            return
        self._showing[turn.turn_id] = False
        try:
            screen = await self._screen(turn, channel, nonce)
            room = screen.first_characters
            manner = await self._manner(turn)
            pieces = pieces_of(turn.text, manner.finished(turn), room) if reads_so else []
            if len(pieces) == len(turn.message_ids):
                screen.assume([piece.content for piece in pieces])
            with self._at_work():
                await self._show(turn, screen, manner)
        except NotFound:  # deleted meanwhile, with the messages that it was known to have
            return
        finally:
            del self._showing[turn.turn_id]

    def show_what_is_left(self, turn: Turn, channel: Channel) -> None:
        """A part of a turn was deleted: the last message left gets its buttons. Returns at once."""
        task = asyncio.create_task(self._show_what_is_left(turn, channel))
        self._busy.add(task)
        task.add_done_callback(self._busy.discard)

    async def _show_what_is_left(self, turn: Turn, channel: Channel) -> None:
        running = self._conversations.running(turn.channel)
        if running is not None and running.turn.turn_id == turn.turn_id:
            await running.ended()
        try:
            await self.show(turn, channel, secrets.token_hex(8), reads_so=True)
        except WRITE_ERRORS as error:
            _log.warning("What is left of a reply in %s is without buttons: %s", channel.id, error)
        except CaduceusError as error:
            _log.error("What is left of a reply in %s is not shown: %s", channel.id, error)

    async def _show(self, turn: Turn, screen: Screen, manner: Manner) -> None:
        turn_id = turn.turn_id
        known = len(turn.message_ids)
        try:
            while True:
                self._showing[turn_id] = False
                turn = await self._conversations.history.turn(turn_id)
                is_outdated = partial(self._is_outdated, turn)
                ids = await show_turn(screen, turn, self._pace, manner, is_outdated)
                if self._is_written(turn):
                    return
                if not self._showing[turn_id] and await self._conversations.placed(turn, ids):
                    known = len(ids)
                    await screen.sweep()
                    if not self._showing[turn_id]:
                        return
        finally:
            await screen.trim(known)

    def _is_outdated(self, turn: Turn) -> bool:
        return self._showing[turn.turn_id] or self._is_written(turn)

    def _is_written(self, turn: Turn) -> bool:
        running = self._conversations.running(turn.channel)
        return running is not None and running.turn.turn_id == turn.turn_id

    async def refresh_controls(self, turn: Turn, channel: Channel) -> None:
        """Give a turn's last message the buttons of a turn that is written."""
        screen = await self._screen(turn, channel)
        await screen.set_controls((await self._manner(turn)).finished(turn))

    async def close(self) -> None:
        """No new replies; running ones end and are shown. A second call hurries."""
        await self._conversations.close()
        tasks = {*self._workers.values(), *self._busy} - {asyncio.current_task()}
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=LAST_WRITES_SECONDS)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late)

    async def delete_messages(self, turn: Turn, channel: Channel) -> None:
        """Take away what people see of a turn; it does no harm if some of it stays."""
        own_voice = BotVoice(channel, self._view_of)
        voice = (await self._voices.of(turn, channel, own_voice)).voice
        for message_id in turn.message_ids:
            await delete_quietly(voice, int(message_id))

    async def _screen(
        self, turn: Turn, channel: Channel, nonce: str = "", question: Turn | None = None
    ) -> Screen:
        question_id = int(question.message_ids[-1]) if question is not None else None
        own_voice = BotVoice(channel, self._view_of, nonce=nonce, question_id=question_id)
        speech = await self._voices.of(turn, channel, own_voice, question)
        return Screen(
            speech.voice,
            own_voice,
            self._pacers.of(channel.id),
            speech.budget,
            message_ids=turn.message_ids,
            first_characters=await speech.first_characters(),
        )

    async def _manner(self, turn: Turn) -> Manner:
        return Manner.of(await self._conversations.settings.resolve(turn.channel))

    def _start(self, channel_id: str) -> None:
        task = asyncio.create_task(self._work(channel_id), name=f"serve {channel_id}")
        self._workers[channel_id] = task
        task.add_done_callback(lambda done: self._ended(channel_id, done))

    def _ended(self, channel_id: str, task: asyncio.Task[None]) -> None:
        del self._workers[channel_id]
        if not task.cancelled() and (fault := task.exception()) is not None:
            _log.error("Answering in channel %s broke down", channel_id, exc_info=fault)
        if channel_id in self._wanted and not task.cancelled():
            self._start(channel_id)

    async def _work(self, channel_id: str) -> None:
        while wanted := self._wanted.pop(channel_id, None):
            key, channel = wanted
            if not self._may_answer(key, channel):
                continue
            try:
                while reply := await self._next_reply(key):
                    await self._answer(reply, channel)
            except CaduceusError as error:
                _log.warning("Nothing can be answered in %s: %s", key, error)
                await self._say(channel, f"{NOTICE_MARKS[0]}{line_for(error)}")

    def _may_answer(self, key: ChannelKey, channel: Channel) -> bool:
        """Whether an answer could be shown; else nothing is written, and the log says so once."""
        if may_send_in(channel):
            self._closed.discard(channel.id)
            return True
        if channel.id not in self._closed:
            self._closed.add(channel.id)
            _log.warning("%s is not answered in: the bot may not send messages there", key)
        self._conversations.let_go(key)
        return False

    async def _next_reply(self, key: ChannelKey) -> Reply | None:
        while True:
            try:
                return await self._conversations.next_reply(key)
            except NotFound:  # deleted in the moment before it would have been answered
                continue

    async def _answer(self, reply: Reply, channel: Channel) -> None:
        # What another persona has answered already, names that one's messages.
        fresh = [turn for turn in reply.answers if turn.answered_by is None]
        ids = [number for turn in fresh for number in turn.message_ids]
        nonce = ids[0] if ids else f"t{reply.turn.turn_id}"
        question = None
        if not reply.turn.channel.is_direct:
            question = next((turn for turn in reversed(reply.answers) if turn.message_ids), None)
        await self._deliver(reply, channel, nonce, question)

    async def _deliver(
        self, reply: Reply, channel: Channel, nonce: str, question: Turn | None = None
    ) -> None:
        try:
            manner = await self._manner(reply.turn)
            screen = await self._screen(reply.turn, channel, nonce, question)
        except BaseException as error:
            await reply.end(error)  # else its channel would stay locked
            raise
        on_gone = self._conversations.deleted
        await Delivery(reply, screen, channel, self._budget, self._pace, on_gone, manner).run()

    async def _say(self, channel: Channel, line: str) -> None:
        voice = BotVoice(channel, self._view_of, nonce=secrets.token_hex(8))
        try:
            say = partial(voice.send, line, None, "w0")
            await persistently(say, self._pace.retry_seconds)
        except WRITE_ERRORS as error:
            _log.warning("A line could not be shown: %s", error)

    @contextmanager
    def _at_work(self) -> Generator[None]:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("A reply is delivered from within a task.")
        self._busy.add(task)
        try:
            yield
        finally:
            self._busy.discard(task)
