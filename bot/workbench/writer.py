"""Writes a chat's replies, one after the other, whether or not a page looks on."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from bot.chat.messages import ChannelKey, Turn
from bot.chat.talk.conversations import Conversations, Reply
from bot.chat.talk.generation import Anew
from bot.engine.api import EngineState, FinishReason
from bot.errors import CaduceusError, NotFound
from bot.workbench import views
from bot.workbench.events import TEXT, Hub

SHOWN_SECONDS = 0.5  # how often a growing reply is written down
ENGINE_POLL_SECONDS = 0.25
STOPPING_SECONDS = 5.0  # for a stopped reply to be written down
PREPARING = (EngineState.STARTING, EngineState.RESTARTING)
NOTHING_TO_SAY = "The model had nothing to say. Try again, or say more."
BROKEN = "Something broke here. The log has it."

log = logging.getLogger(__name__)

NextReply = Callable[[], Awaitable[Reply | None]]


class MessageNumbers:
    """Ids for messages that come from nowhere else: growing, also over restarts."""

    def __init__(self) -> None:
        self._last = 0

    def next(self) -> str:
        """A new id: microseconds since 1970, or one more than the last."""
        self._last = max(self._last + 1, time.time_ns() // 1_000)
        return str(self._last)


class ChatWriter:
    """The writing side of a chat. Every step is published to `hub`."""

    def __init__(
        self, key: ChannelKey, conversations: Conversations, numbers: MessageNumbers, hub: Hub
    ) -> None:
        self.note: views.Json | None = None  # the newest error, until the next reply begins
        self._key = key
        self._conversations = conversations
        self._numbers = numbers
        self._hub = hub
        self._task: asyncio.Task[None] | None = None
        self._asked_again = False
        self._reply: Reply | None = None
        self._text = ""  # of the running reply, as far as it has come

    @property
    def is_busy(self) -> bool:
        """A reply is being written, or waits for the engine."""
        return self._task is not None and not self._task.done()

    @property
    def live_turn(self) -> int | None:
        """The turn that is being written."""
        return self._reply.turn.turn_id if self._reply else None

    def write(self, first: NextReply | None = None) -> None:
        """Write `first`, by default what waits for an answer, and then all that waits."""
        self._asked_again = True
        if not self.is_busy:
            self.note = None
            self._task = asyncio.create_task(
                self._write(first or self._next_reply), name=f"write {self._key}"
            )
            self._task.add_done_callback(self._ended)
            self._hub.publish("busy", {"busy": True})

    def stop(self) -> bool:
        """End the running reply as it stands. False when none runs."""
        if self._reply is not None:
            self._reply.stop()
            return True
        if self._task is not None and self.is_busy:
            self._task.cancel()  # nothing has begun: it waits for the engine
            return True
        return False

    async def finish(self, grace_seconds: float) -> None:
        """Let what runs end, for a while; then stop it as it stands."""
        task = self._task
        if task is None or task.done():
            return
        self._asked_again = False
        if self._reply is None:
            task.cancel()
        _done, running = await asyncio.wait([task], timeout=grace_seconds)
        if running:
            self.stop()
            await asyncio.wait(running, timeout=STOPPING_SECONDS)
            task.cancel()

    def view(self, turn: Turn) -> views.Json:
        """A turn as the page draws it: the running one with the newest text."""
        view = views.turn(turn)
        if turn.turn_id == self.live_turn:
            view |= {"text": self._text, "state": "running"}
        return view

    def tell_turn(self, turn: Turn) -> None:
        """A turn is new, or no longer what it was."""
        self._hub.publish("turn", self.view(turn))

    def tell_gone(self, turn_id: int) -> None:
        """A turn is no more."""
        self._hub.publish("gone", {"turn": turn_id})

    def tell_note(self, text: str, *, is_too_long: bool = False) -> None:
        """A line for the person that is no part of the history."""
        self.note = {"text": text, "is_too_long": is_too_long}
        self._hub.publish("note", self.note)

    def forget_note(self) -> None:
        """The line no longer holds."""
        if self.note is not None:
            self.note = None
            self._hub.publish("note", {"text": "", "is_too_long": False})

    def _next_reply(self) -> Awaitable[Reply | None]:
        return self._conversations.next_reply(self._key)

    async def _write(self, next_reply: NextReply) -> None:
        while self._asked_again:
            self._asked_again = False
            await self._engine_prepared()
            while (reply := await next_reply()) is not None:
                next_reply = self._next_reply
                if not await self._write_one(reply):
                    break  # what waits was put back; asking again at once would fail again
            next_reply = self._next_reply

    async def _engine_prepared(self) -> None:
        while True:
            if self._conversations.engine_status().state not in PREPARING:
                return
            await asyncio.sleep(ENGINE_POLL_SECONDS)

    async def _write_one(self, reply: Reply) -> bool:
        """Write one reply to its end. False when it failed."""
        message_ids = reply.turn.message_ids or (self._numbers.next(),)
        try:
            async with reply:
                self._reply, self._text, self.note = reply, reply.text_before, None
                self._hub.publish("began", self.view(reply.turn))
                await self._stream(reply, message_ids)
        finally:
            was_written = self._text != reply.text_before
            self._reply, self._text = None, ""
        await self._tell_ended(reply, was_written=was_written)
        return not (reply.outcome and reply.outcome.error)

    async def _stream(self, reply: Reply, message_ids: tuple[str, ...]) -> None:
        shown_at = 0.0
        async for piece in reply:
            if isinstance(piece, Anew):
                self._text = reply.text_before + piece
                self.tell_turn(reply.turn)
            else:
                self._text += piece
                self._hub.publish(TEXT, {"turn": reply.turn.turn_id, "text": piece})
            if time.monotonic() - shown_at >= SHOWN_SECONDS:
                await reply.shown(self._text, message_ids)
                shown_at = time.monotonic()
        if self._text != reply.text_before:
            await reply.shown(self._text, message_ids, last=True)

    async def _tell_ended(self, reply: Reply, *, was_written: bool) -> None:
        turn: Turn | None = None
        try:
            turn = await self._conversations.history.turn(reply.turn.turn_id)
            self.tell_turn(turn)
        except NotFound:
            self.tell_gone(reply.turn.turn_id)
        outcome = reply.outcome
        stopped = outcome is None or outcome.finish is FinishReason.CANCELLED
        if outcome and outcome.error:
            self.tell_note(outcome.error, is_too_long=outcome.is_too_long)
        elif not was_written and not stopped:
            self.tell_note(NOTHING_TO_SAY)
        self._hub.publish(
            "ended",
            {
                "turn": reply.turn.turn_id,
                "name": reply.persona_name,
                "text": turn.text if turn and was_written else "",
                "stopped": stopped,
                "at_limit": outcome is not None and outcome.finish is FinishReason.LENGTH,
                "speed": views.speed(outcome.statistics) if outcome else None,
            },
        )

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("A reply in %s broke off", self._key, exc_info=error)
            self.tell_note(str(error) if isinstance(error, CaduceusError) else BROKEN)
        if self._task is task:  # else the next one has begun already
            self._task = None
            self._hub.publish("busy", {"busy": False})
