"""What people see of one of the bot's turns: its messages, written one request at a time."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial

from bot.chat.text.split import MESSAGE_CHARACTERS
from cogs.platform import persistently
from cogs.showing.pacing import EditPacer
from cogs.showing.request_budget import RequestBudget, Urgency
from cogs.showing.voice import Controls, MessageLostError, Voice, delete_quietly


@dataclass(frozen=True, slots=True)
class Post:
    """What one message is to look like."""

    content: str
    controls: Controls | None


@dataclass(slots=True)
class _Posted:
    message_id: int
    content: str | None  # None: not known here
    controls: Controls | None  # None also where they are not known


class Screen:
    """The messages of one turn, brought step by step to what they should be.

    A write that failed may have been made all the same, its answer lost on the way: what it would
    have shown is not known until a later one succeeds.
    """

    def __init__(
        self,
        voice: Voice,
        own_voice: Voice,
        pacer: EditPacer,
        budget: RequestBudget,
        *,
        message_ids: Sequence[str] = (),
        first_characters: int = MESSAGE_CHARACTERS,
    ) -> None:
        """The turn is written by `voice`, lines of the bot's own by `own_voice`.

        `message_ids` are there already, by `voice`. `first_characters`: the most that it has room
        for in the first message.
        """
        self.first_characters = first_characters
        self._voice = voice
        self._own_voice = own_voice
        self._pacer = pacer
        self._budget = budget
        self.edited_last = ""  # the message of the newest edit, made or tried
        self._sent = 0
        self._lines = 0
        self._unheard: set[Post] = set()  # tried for the next new message, and failed
        self._posted = [_Posted(int(number), None, None) for number in message_ids]
        self._lost: list[int] = []  # there, but not to be written to any more

    @property
    def is_empty(self) -> bool:
        """Whether nothing is posted."""
        return not self._posted

    def contents(self) -> list[str | None]:
        """The text of every message, None where it is not known."""
        return [posted.content for posted in self._posted]

    def message_ids(self, count: int) -> list[str]:
        """The first `count` messages."""
        return [str(posted.message_id) for posted in self._posted[:count]]

    def has(self, message_id: int) -> bool:
        """Whether a message is one of the turn's."""
        return any(posted.message_id == message_id for posted in self._posted)

    def assume(self, contents: Sequence[str]) -> None:
        """Take it that the messages there already read so."""
        for posted, content in zip(self._posted, contents, strict=False):
            posted.content = content

    async def step(
        self, wanted: Callable[[], Sequence[Post]], priority: Urgency, patience: float | None
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
        async with self._budget.reserved(priority if is_edit else Urgency.REPLY, patience):
            pieces = wanted()
            index = self._difference(pieces)
            if index is not None and (index < len(self._posted)) == is_edit:
                self._pacer.wrote(edit=is_edit)
                await self._write(index, pieces[index])
        return True

    async def set_controls(self, controls: Controls | None) -> None:
        """Change the buttons of the last message, or take them away, leaving its text."""
        if not self._posted or (controls and self._posted[-1].controls == controls):
            return
        last = self._posted[-1]
        await self._pacer.turn(edit=True)
        async with self._budget.reserved(Urgency.REPLY):
            self._pacer.wrote(edit=True)
            last.controls = None
            self.edited_last = str(last.message_id)
            await self._voice.set_controls(last.message_id, controls)
            last.controls = controls

    async def send_line(
        self, text: str, controls: Controls | None = None, *, pauses: Sequence[float] = ()
    ) -> int:
        """Send a line of the bot's own, not part of the turn; again as :func:`persistently`."""
        self._lines += 1
        return await persistently(
            partial(self._send_line, text, controls, f"w{self._lines}"), pauses
        )

    async def edit_line(self, message_id: int, text: str) -> None:
        """Replace a line of the bot's own, and take its buttons away."""
        await self._pacer.turn(edit=True)
        async with self._budget.reserved(Urgency.REPLY):
            self._pacer.wrote(edit=True)
            await self._own_voice.edit(message_id, text, None)

    async def delete_line(self, message_id: int) -> None:
        """Delete a line of the bot's own; it does no harm if it stays."""
        await delete_quietly(self._own_voice, message_id)

    def adopt(self, message_id: int, content: str, controls: Controls | None) -> None:
        """Let the turn's text replace a line sent before, where nothing is posted yet.

        One voice can't write into another's message: then the line stays beside the turn.
        """
        if self._voice is self._own_voice and self.is_empty:
            self._posted.append(_Posted(message_id, content, controls))

    async def keep_only(self, message_ids: Collection[str]) -> None:
        """Delete all messages but these; it does no harm if one is gone already."""
        surplus = [each for each in self._posted if str(each.message_id) not in message_ids]
        self._posted = [each for each in self._posted if each not in surplus]
        self._lost = [each for each in self._lost if str(each) not in message_ids]
        for posted in surplus:
            await delete_quietly(self._voice, posted.message_id)
        await self.sweep()

    async def sweep(self) -> None:
        """Delete what could not be written to any more and was written anew.

        Only once the core knows the new messages: the deletion of one of a turn's is news to it.
        """
        lost, self._lost = self._lost, []
        for message_id in lost:
            await delete_quietly(self._own_voice, message_id)

    async def trim(self, count: int) -> None:
        """Delete the messages after the first `count`."""
        surplus, self._posted = self._posted[count:], self._posted[:count]
        for posted in surplus:
            await delete_quietly(self._voice, posted.message_id)

    def _difference(self, pieces: Sequence[Post]) -> int | None:
        for index, piece in enumerate(pieces):
            if index >= len(self._posted):
                return index
            posted = self._posted[index]
            if (posted.content, posted.controls) != (piece.content, piece.controls):
                return index
        return None

    async def _write(self, index: int, piece: Post) -> None:
        if index < len(self._posted):
            posted = self._posted[index]
            posted.content = posted.controls = None
            self.edited_last = str(posted.message_id)
            try:
                await self._voice.edit(posted.message_id, piece.content, piece.controls)
            except MessageLostError:  # it and what follows is written anew, in order
                self._lost += [each.message_id for each in self._posted[index:]]
                del self._posted[index:]
                return
            posted.content, posted.controls = piece.content, piece.controls
            return
        self._unheard.add(piece)
        message_id = await self._voice.send(piece.content, piece.controls, str(self._sent))
        self._sent += 1
        is_known = len(self._unheard) == 1  # else an earlier one may be what is there
        self._unheard.clear()
        posted = _Posted(message_id, None, None)
        if is_known:
            posted.content, posted.controls = piece.content, piece.controls
        self._posted.append(posted)

    async def _send_line(self, text: str, controls: Controls | None, tag: str) -> int:
        await self._pacer.turn(edit=False)
        async with self._budget.reserved(Urgency.REPLY):
            self._pacer.wrote(edit=False)
            return await self._own_voice.send(text, controls, tag)
