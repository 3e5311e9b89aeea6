"""Shows a reply as it is written: typing, first text, edits, the last edit, an error's line."""

import asyncio
import bisect
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial

import discord

from bot.chat.definitions import ChannelSettings
from bot.chat.messages import ChannelKey, Turn
from bot.chat.talk.conversations import Reply
from bot.chat.talk.generation import Anew
from bot.chat.text.split import MESSAGE_CHARACTERS, split_message
from cogs.platform import (
    WRITE_ERRORS,
    Channel,
    is_gone,
    is_passing,
    persistently,
)
from cogs.showing.pacing import Pace
from cogs.showing.request_budget import NoRoomError, RequestBudget, Urgency
from cogs.showing.screen import Post, Screen
from cogs.showing.voice import Controls

_log = logging.getLogger(__name__)


def finished_controls(turn: Turn) -> Controls:
    """The buttons of a turn that is written."""
    places = sorted(swipe.index for swipe in turn.swipes) or [turn.active_swipe]
    place = places.index(turn.active_swipe) if turn.active_swipe in places else 0
    return Controls(turn.turn_id, is_running=False, swipe=place + 1, swipes=len(places))


def running_controls(turn: Turn) -> Controls:
    """The button of a turn that is being written."""
    return Controls(turn.turn_id, is_running=True)


@dataclass(frozen=True, slots=True)
class Manner:
    """How a channel's replies are shown, by its settings."""

    streams: bool = True  # while they are written; else once they are whole
    has_buttons: bool = True

    @classmethod
    def of(cls, settings: ChannelSettings) -> "Manner":
        """As the settings in force say."""
        return cls(settings.streaming == "on", settings.buttons == "on")

    def finished(self, turn: Turn) -> Controls | None:
        """The buttons of a turn that is written, if any."""
        return finished_controls(turn) if self.has_buttons else None

    def running(self, turn: Turn) -> Controls | None:
        """The button of a turn that is being written, if any."""
        return running_controls(turn) if self.has_buttons else None


def pieces_of(
    text: str, controls: Controls | None, first_characters: int = MESSAGE_CHARACTERS
) -> list[Post]:
    """A turn's text as messages, the last of which carries the buttons."""
    contents = split_message(text, first_limit=first_characters) if text.strip() else []
    pieces = [Post(content, None) for content in contents[:-1]]
    return [*pieces, *(Post(content, controls) for content in contents[-1:])]


def shown_part(
    text: str, contents: Sequence[str | None], first_characters: int = MESSAGE_CHARACTERS
) -> str:
    """The longest beginning of `text` that fits into as many messages as there are."""

    def messages(length: int) -> int:
        return len(split_message(text[:length], first_limit=first_characters))

    if messages(len(text)) <= len(contents):
        return text
    end = bisect.bisect_right(range(len(text) + 1), len(contents), key=messages)
    return text[: max(0, end - 1)]


class Delivery:
    """One reply on its way to one channel."""

    def __init__(
        self,
        reply: Reply,
        screen: Screen,
        channel: Channel,
        budget: RequestBudget,
        pace: Pace,
        on_gone: Callable[[ChannelKey, Sequence[str]], Awaitable[object]],
        manner: Manner,
    ) -> None:
        """`on_gone` hears of messages that turn out to be deleted."""
        self._reply = reply
        self._on_gone = on_gone
        self._screen = screen
        self._channel = channel
        self._budget = budget
        self._pace = pace
        self._manner = manner
        self._text = reply.text_before
        self._had_messages = not screen.is_empty
        self._is_rewriting = self._had_messages and not reply.text_before
        self._has_new_text = False
        self._done = False
        self._changed = asyncio.Event()
        self._notice: int | None = None  # the line that says the model is busy
        if reply.text_before:
            screen.assume([piece.content for piece in self._pieces()])

    async def run(self) -> None:
        """Show the reply until its end. Raises nothing of Discord's."""
        async with self._reply:
            reader = asyncio.create_task(self._read())
            typing = asyncio.create_task(self._keep_typing())
            try:
                await self._wait_for_text()
                typing.cancel()
                await self._write_to_the_end()
                if self._reply.left is None:
                    await self._say_what_went_wrong()
            except WRITE_ERRORS as error:
                await self._give_up(error)
            finally:
                typing.cancel()
                if not self._done:
                    self._reply.stop()
                await asyncio.wait([reader, typing])
                await self._take_away()
            reader.result()  # a fault of ours
        await self._restore_controls()

    async def _read(self) -> None:
        try:
            async with contextlib.aclosing(aiter(self._reply)) as texts:
                async for text in texts:
                    if isinstance(text, Anew):
                        self._text = self._reply.text_before
                        self._is_rewriting = not self._screen.is_empty
                    self._text += text
                    self._has_new_text = self._has_new_text or bool(text.strip())
                    self._changed.set()
        finally:
            self._done = True
            self._changed.set()

    async def _keep_typing(self) -> None:
        while True:
            try:
                with self._budget.at(Urgency.STREAM):
                    await self._channel.typing()
            except WRITE_ERRORS as error:
                _log.debug("No typing indicator: %s", error)
                if not is_passing(error):
                    return
            await asyncio.sleep(self._pace.typing_seconds)

    async def _wait_for_text(self) -> None:
        """Until there is something to show, or nothing will come; says so when it takes long."""
        pace = self._pace
        is_rewritten = not self._screen.is_empty and self._manner.has_buttons
        shows = self._comes if self._manner.streams else self._ends
        if is_rewritten and not await shows(pace.first_text_seconds):
            with contextlib.suppress(*WRITE_ERRORS):  # a button less; the reply comes all the same
                await self._screen.set_controls(running_controls(self._reply.turn))
        expected = self._reply.expected_wait_seconds
        if not await self._comes(0.0 if expected >= pace.busy_seconds else pace.busy_seconds):
            await self._say_busy(expected)
            await self._comes(None)
        # A short reply is best shown whole, and any where it isn't to be seen growing.
        await self._ends(pace.first_text_seconds if self._manner.streams else None)

    async def _comes(self, seconds: float | None) -> bool:
        """Wait for text or the end; False when neither comes in time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not (self._done or self._has_new_text):
                    self._changed.clear()
                    await self._changed.wait()
        return self._done or self._has_new_text

    async def _say_busy(self, expected: float) -> None:
        wait = f"about {expected:.0f} s" if expected >= 1 else "a moment"
        line = f"⏳ The model is busy; your answer takes {wait} longer."
        controls = self._manner.running(self._reply.turn) if self._screen.is_empty else None
        try:
            self._notice = await self._screen.send_line(line, controls)
        except WRITE_ERRORS as error:
            if not is_passing(error):
                raise
            return
        self._screen.adopt(self._notice, line, controls)

    async def _ends(self, seconds: float | None = None) -> bool:
        """Wait for the end; False when it doesn't come in time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not self._done:
                    self._changed.clear()
                    await self._changed.wait()
        return self._done

    async def _write_to_the_end(self) -> None:
        notice = self._notice
        if notice is not None and self._has_new_text and not self._screen.has(notice):
            await self._screen.delete_line(notice)
            self._notice = None
        while True:
            self._changed.clear()
            is_last = self._done
            try:
                is_written = await persistently(self._step, self._pace.retry_seconds)
            except NoRoomError:
                continue  # no room for an edit that the next one makes obsolete
            except WRITE_ERRORS as error:
                if is_last or self._screen.is_empty or isinstance(error, discord.NotFound):
                    raise
                _log.warning("An edit was refused, the last one is still to come: %s", error)
                await self._ends()
                continue
            if is_written:
                await self._report()
            elif is_last:
                return
            else:
                await self._changed.wait()

    async def _step(self) -> bool:
        if self._done:
            return await self._screen.step(self._pieces, Urgency.REPLY, None)
        return await self._screen.step(self._pieces, Urgency.STREAM, self._pace.edit_seconds)

    def _pieces(self) -> list[Post]:
        if not self._has_new_text and not self._reply.text_before:
            return []
        if self._reply.left is not None:
            return []
        turn = self._reply.turn
        controls = self._manner.finished(turn) if self._done else self._manner.running(turn)
        return pieces_of(self._text, controls, self._screen.first_characters)

    async def _report(self) -> None:
        """Tell the core what people see now, and only of messages that show it."""
        is_rewriting = self._is_rewriting  # as of this text: newer text may come meanwhile
        contents = [piece.content for piece in self._pieces()]
        shown = 0
        for wanted, there in zip(contents, self._screen.contents(), strict=False):
            if wanted != there:
                break
            shown += 1
        text = self._text
        if shown < len(contents):
            room = self._screen.first_characters
            text = shown_part(text, contents[:shown], room) if shown else ""
        if text.strip():
            outcome = self._reply.outcome
            is_well = outcome is not None and not outcome.error  # else a line is still to be sent
            last = self._done and is_well and shown == len(contents)
            await self._reply.shown(text, self._screen.message_ids(shown), last=last)
            await self._screen.sweep()
        if is_rewriting and shown:
            self._is_rewriting = False
            await self._screen.trim(1)

    async def _say_what_went_wrong(self) -> None:
        outcome = self._reply.outcome
        line = f"⚠️ {outcome.error}" if outcome is not None and outcome.error else ""
        notice = self._notice if not self._has_new_text else None
        if notice is not None and not line:
            await self._screen.delete_line(notice)
        elif notice is not None:
            edit = partial(self._screen.edit_line, notice, line)
            await persistently(edit, self._pace.retry_seconds)
        elif line:
            await self._screen.send_line(line, pauses=self._pace.retry_seconds)

    async def _give_up(self, error: BaseException) -> None:
        channel = self._reply.turn.channel
        level = logging.INFO if isinstance(error, discord.NotFound) else logging.WARNING
        _log.log(level, "A reply in %s could not be shown: %s", channel, error)
        if (
            is_gone(error) and self._screen.edited_last
        ):  # the news of it may never come, or came before it was known here
            await self._on_gone(channel, [self._screen.edited_last])

    async def _take_away(self) -> None:
        """Somebody deleted the reply, a part of it, or its question: only what is left stays."""
        left = self._reply.left
        if left is None:
            return
        if self._notice is not None and not self._screen.has(self._notice):
            await self._screen.delete_line(self._notice)
        await self._screen.keep_only(left)

    async def _restore_controls(self) -> None:
        """Where nothing new came, the old text stays, with its buttons."""
        if self._has_new_text or not self._had_messages or self._screen.is_empty:
            return
        if not self._manner.has_buttons:
            return
        restore = partial(self._screen.set_controls, finished_controls(self._reply.turn))
        with contextlib.suppress(*WRITE_ERRORS):
            await persistently(restore, self._pace.retry_seconds)


async def show_turn(
    screen: Screen, turn: Turn, pace: Pace, manner: Manner, is_outdated: Callable[[], bool]
) -> list[str]:
    """Bring a turn's messages to its text, whole; returns their ids. Raises WRITE_ERRORS.

    Writes nothing more once `is_outdated`.
    """
    pieces = pieces_of(turn.text, manner.finished(turn), screen.first_characters)
    wanted = partial(_unless, is_outdated, pieces)
    step = partial(screen.step, wanted, Urgency.REPLY, None)
    while await persistently(step, pace.retry_seconds):
        pass
    return screen.message_ids(len(pieces))


def _unless(is_outdated: Callable[[], bool], pieces: Sequence[Post]) -> Sequence[Post]:
    return [] if is_outdated() else pieces
