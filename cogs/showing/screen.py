"""What people see of one of the bot's turns: its messages, written one request at a time."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import discord

from cogs.platform import NOBODY, WRITE_ERRORS, Channel, is_passing, persistently
from cogs.showing.pacing import EditPacer
from cogs.showing.request_budget import Priority, RequestBudget

NONCE_CHARACTERS = 25  # Discord's limit

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Controls:
    """Which buttons a message carries. `swipe` counts from 1."""

    turn_id: int
    is_running: bool
    swipe: int = 1
    swipes: int = 1


@dataclass(frozen=True, slots=True)
class Piece:
    """What one message is to look like."""

    content: str
    controls: Controls | None


@dataclass(slots=True)
class _Posted:
    message: discord.PartialMessage
    content: str | None  # None: not known here
    controls: Controls | None


ViewOf: TypeAlias = Callable[[Controls | None], discord.ui.View | None]


class Screen:
    """The messages of one turn, brought step by step to what they should be.

    Nothing that a model wrote can mention anybody. A message is sent with a nonce, so that a
    request repeated after a fault shows it once.
    """

    def __init__(
        self,
        channel: Channel,
        pacer: EditPacer,
        budget: RequestBudget,
        view_of: ViewOf,
        *,
        nonce: str,
        message_ids: Sequence[str] = (),
        question: discord.PartialMessage | None = None,
    ) -> None:
        """`message_ids` are there already; `question` is what the first new message replies to."""
        self._channel = channel
        self._pacer = pacer
        self._budget = budget
        self._view_of = view_of
        self._nonce = nonce
        self._question = question
        self._sent = 0
        self._lines = 0
        self._posted = [
            _Posted(channel.get_partial_message(int(number)), None, None) for number in message_ids
        ]

    @staticmethod
    def nonce_of(base: str, number: int) -> str:
        """What names one message of one reply, so that Discord takes it once."""
        return f"{base}.{number}"[-NONCE_CHARACTERS:]

    @property
    def is_empty(self) -> bool:
        """Whether nothing is posted."""
        return not self._posted

    def contents(self) -> list[str | None]:
        """The text of every message, None where it is not known."""
        return [posted.content for posted in self._posted]

    def message_ids(self, count: int) -> list[str]:
        """The first `count` messages."""
        return [str(posted.message.id) for posted in self._posted[:count]]

    def assume(self, contents: Sequence[str]) -> None:
        """Take it that the messages there already read so."""
        for posted, content in zip(self._posted, contents, strict=False):
            posted.content = content

    def matches(self, pieces: Sequence[Piece]) -> bool:
        """Whether everything is as it should be."""
        return self._difference(pieces) is None

    async def step(
        self, wanted: Callable[[], Sequence[Piece]], priority: Priority, patience: float | None
    ) -> bool:
        """Make one write towards `wanted`, which is asked anew once the write may be made.

        False when nothing differs. Raises what discord.py raises; NoRoomError when other requests
        went first.
        """
        index = self._difference(wanted())
        if index is None:
            return False
        is_edit = index < len(self._posted)
        await self._pacer.turn(edit=is_edit)
        async with self._budget.reserved(priority if is_edit else Priority.REPLY, patience):
            pieces = wanted()
            index = self._difference(pieces)
            if index is not None and (index < len(self._posted)) == is_edit:
                self._pacer.wrote(edit=is_edit)
                await self._write(index, pieces[index])
        return True

    async def set_controls(self, controls: Controls | None) -> None:
        """Change the buttons of the last message, leaving its text."""
        if not self._posted or self._posted[-1].controls == controls:
            return
        last = self._posted[-1]
        await self._pacer.turn(edit=True)
        async with self._budget.reserved(Priority.REPLY):
            self._pacer.wrote(edit=True)
            await last.message.edit(view=self._view_of(controls))
        last.controls = controls

    async def send_line(
        self, text: str, controls: Controls | None = None, *, pauses: Sequence[float] = ()
    ) -> discord.Message:
        """Send a line of the bot's own, not part of the turn; again as :func:`persistently`."""
        self._lines += 1
        nonce = self.nonce_of(f"w{self._nonce}", self._lines)
        return await persistently(partial(self._send_line, text, controls, nonce), pauses)

    async def edit_line(self, message: discord.Message, text: str) -> None:
        """Replace a line of the bot's own, and take its buttons away."""
        await self._pacer.turn(edit=True)
        async with self._budget.reserved(Priority.REPLY):
            self._pacer.wrote(edit=True)
            await message.edit(content=text, view=None, allowed_mentions=NOBODY)

    def adopt(self, message: discord.Message, controls: Controls | None) -> None:
        """Let the turn's text replace a line sent before."""
        partial = self._channel.get_partial_message(message.id)
        self._posted.append(_Posted(partial, message.content, controls))

    async def trim(self, count: int) -> None:
        """Delete the messages after the first `count`."""
        surplus, self._posted = self._posted[count:], self._posted[:count]
        for posted in surplus:
            await delete_quietly(posted.message)

    def _difference(self, pieces: Sequence[Piece]) -> int | None:
        for index, piece in enumerate(pieces):
            if index >= len(self._posted):
                return index
            posted = self._posted[index]
            if (posted.content, posted.controls) != (piece.content, piece.controls):
                return index
        return None

    async def _write(self, index: int, piece: Piece) -> None:
        if index < len(self._posted):
            posted = self._posted[index]
            await posted.message.edit(content=piece.content, view=self._view_of(piece.controls))
            posted.content, posted.controls = piece.content, piece.controls
            return
        nonce = self.nonce_of(self._nonce, self._sent)
        message = await self._send(piece.content, piece.controls, nonce)
        self._sent += 1
        partial = self._channel.get_partial_message(message.id)
        self._posted.append(_Posted(partial, piece.content, piece.controls))

    async def _send_line(self, text: str, controls: Controls | None, nonce: str) -> discord.Message:
        await self._pacer.turn(edit=False)
        async with self._budget.reserved(Priority.REPLY):
            self._pacer.wrote(edit=False)
            return await self._send(text, controls, nonce)

    async def _send(self, content: str, controls: Controls | None, nonce: str) -> discord.Message:
        view = self._view_of(controls) or discord.utils.MISSING
        question, self._question = self._question, None
        if question is None:
            message = await self._send_plain(content, view, nonce)
        else:
            try:
                message = await self._channel.send(
                    content,
                    view=view,
                    nonce=nonce,
                    allowed_mentions=NOBODY,
                    reference=question.to_reference(fail_if_not_exists=False),
                )
            except discord.HTTPException as error:
                if is_passing(error) or error.status == 404:
                    self._question = question
                    raise
                # Replying needs a permission of its own; a plain message may well be allowed.
                message = await self._send_plain(content, view, nonce)
        return message

    async def _send_plain(self, content: str, view: discord.ui.View, nonce: str) -> discord.Message:
        return await self._channel.send(content, view=view, nonce=nonce, allowed_mentions=NOBODY)


async def delete_quietly(message: discord.Message | discord.PartialMessage) -> None:
    """Delete a message of the bot's; it does no harm if it stays."""
    try:
        await message.delete()
    except discord.NotFound:
        return
    except WRITE_ERRORS as error:
        _log.warning("A message could not be deleted: %s", error)
