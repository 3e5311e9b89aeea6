"""The core's `History` port on SQL: the contract stands in `bot/chat/ports.py`."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from bot.chat.messages import (
    ChannelKey,
    GenerationRecord,
    HistoryWindow,
    IncomingMessage,
    Speaker,
    Turn,
    TurnState,
)
from bot.store import access, conversations, incoming, replies
from bot.store.transactions import Transactions


class SqlHistory:
    """Every channel's turns. Each method is one transaction: durable when it returns."""

    def __init__(self, transactions: Transactions) -> None:
        """The database's."""
        self._transactions = transactions

    async def add_message(self, message: IncomingMessage, *, addressed: bool) -> Turn | None:
        """Append a user's turn; None when the message is known already."""
        return await self._transactions.write(
            lambda connection: incoming.add_message(connection, message, addressed)
        )

    async def note_seen(self, channel: ChannelKey, message_id: str) -> None:
        """Remember the newest message seen in a channel. Never goes back."""
        await self._transactions.write(
            lambda connection: incoming.note_seen(connection, [(channel, message_id)])
        )

    async def last_seen(self, platform: str) -> Mapping[ChannelKey, str]:
        """The newest message id seen, for every channel of `platform`."""
        return await self._transactions.read(
            lambda connection: incoming.last_seen(connection, platform)
        )

    async def edit_message(self, channel: ChannelKey, message_id: str, text: str) -> bool:
        """Replace a user's text, also where it is quoted. False when nothing of it was kept.

        A bot's turn is left alone: its text is what :meth:`show_reply` says.
        """
        return await self._transactions.write(
            lambda connection: incoming.edit_message(connection, channel, message_id, text),
            erases=True,
        )

    async def delete_messages(self, channel: ChannelKey, message_ids: Sequence[str]) -> int:
        """Take messages out, with what others quote of them. Returns how many turns went."""
        return await self._transactions.write(
            lambda connection: incoming.delete_messages(connection, channel, message_ids),
            erases=True,
        )

    async def delete_turn(self, turn_id: int) -> Turn:
        """Take one turn out with its swipes; returns what it was."""
        return await self._transactions.write(
            lambda connection: incoming.delete_turn(connection, turn_id), erases=True
        )

    async def edit_turn(self, turn_id: int, text: str) -> Turn:
        """Replace the (active) text of any turn, also where it is quoted."""
        return await self._transactions.write(
            lambda connection: incoming.edit_turn(connection, turn_id, text), erases=True
        )

    async def turn(self, turn_id: int) -> Turn:
        """One turn, also a hidden one."""
        return await self._transactions.read(
            lambda connection: access.read_turn(connection, turn_id)
        )

    async def turn_of_message(self, channel: ChannelKey, message_id: str) -> Turn | None:
        """The turn that a platform's message belongs to, also a hidden one."""
        return await self._transactions.read(
            lambda connection: conversations.turn_of_message(connection, channel, message_id)
        )

    async def window(
        self, channel: ChannelKey, limit: int, *, before_turn: int | None = None
    ) -> HistoryWindow:
        """The newest `limit` visible turns. Conversation 0 where nothing was ever said."""
        return await self._transactions.read(
            lambda connection: conversations.window(connection, channel, limit, before_turn)
        )

    async def pending(self, channel: ChannelKey, *, since: datetime | None = None) -> list[Turn]:
        """Addressed and unanswered turns of the current conversation, oldest first."""
        return await self._transactions.read(
            lambda connection: conversations.pending(connection, channel, since)
        )

    async def channels_with_pending(self, platform: str, *, since: datetime) -> list[ChannelKey]:
        """Where somebody still waits for an answer, the longest waiting first."""
        return await self._transactions.read(
            lambda connection: conversations.channels_with_pending(connection, platform, since)
        )

    async def begin_reply(
        self, channel: ChannelKey, speaker: Speaker, *, persona: str, answers: Sequence[int]
    ) -> Turn:
        """Insert the bot's running turn (empty) and mark `answers` as answered by it.

        It stands in the conversation of what it answers, else in the current one. NotFound when
        all that it would answer is gone.
        """
        return await self._transactions.write(
            lambda connection: replies.begin_reply(connection, channel, speaker, persona, answers)
        )

    async def begin_swipe(self, turn_id: int) -> Turn:
        """Add an empty, running swipe to a bot's turn and make it the active one."""
        return await self._transactions.write(
            lambda connection: replies.begin_swipe(connection, turn_id)
        )

    async def show_reply(self, turn_id: int, text: str, message_ids: Sequence[str]) -> None:
        """The active swipe's text as people see it now, and the messages that hold it.

        While another one is being written, that one's.
        """
        await self._transactions.write(
            lambda connection: replies.show_reply(connection, turn_id, text, message_ids)
        )

    async def finish_reply(
        self, turn_id: int, state: TurnState, record: GenerationRecord | None
    ) -> Turn:
        """End a running reply as WHOLE or CUT, and keep how it came to be."""
        return await self._transactions.write(
            lambda connection: replies.finish_reply(connection, turn_id, state, record)
        )

    async def abandon_reply(self, turn_id: int, *, requeue: bool) -> None:
        """A running reply of which nothing was shown: take it (or its new swipe) out.

        `requeue` makes the questions pending again; not where an earlier swipe answers them.
        A reply that does not run is left alone.
        """
        await self._transactions.write(
            lambda connection: replies.abandon_reply(connection, turn_id, requeue), erases=True
        )

    async def select_swipe(self, turn_id: int, index: int) -> Turn:
        """Make another swipe the active one. NotFound when there is no such swipe."""
        return await self._transactions.write(
            lambda connection: replies.select_swipe(connection, turn_id, index)
        )

    async def generation(self, turn_id: int, swipe: int) -> GenerationRecord | None:
        """How a swipe came to be: its newest record."""
        return await self._transactions.read(
            lambda connection: replies.generation(connection, turn_id, swipe)
        )

    async def last_reply(self, channel: ChannelKey) -> Turn | None:
        """The newest visible bot's turn of the current conversation."""
        return await self._transactions.read(
            lambda connection: conversations.last_reply(connection, channel)
        )

    async def reset(self, channel: ChannelKey) -> tuple[int, int]:
        """Start a new conversation, deleting nothing. Returns (old, new) conversation ids."""
        return await self._transactions.write(
            lambda connection: conversations.reset(connection, channel)
        )

    async def restore(self, channel: ChannelKey, conversation_id: int) -> None:
        """Make an earlier conversation the current one again. NotFound when it is not here."""
        await self._transactions.write(
            lambda connection: conversations.restore(connection, channel, conversation_id)
        )

    async def hide_last_exchange(self, channel: ChannelKey) -> list[int]:
        """Hide the newest reply, what it answered and anything after it. Returns the turn ids."""
        return await self._transactions.write(
            lambda connection: conversations.hide_last_exchange(connection, channel)
        )

    async def unhide(self, turn_ids: Sequence[int]) -> None:
        """Bring hidden turns back; those deleted meanwhile stay gone."""
        await self._transactions.write(
            lambda connection: conversations.unhide(connection, turn_ids)
        )

    async def export(self, channel: ChannelKey) -> list[Turn]:
        """Every visible turn of the current conversation."""
        return await self._transactions.read(
            lambda connection: conversations.export(connection, channel)
        )

    async def recover(self) -> int:
        """After a crash: running replies with text become CUT, empty ones are taken out and their

        questions pend again. Returns how many were mended. Called once at start.
        """
        return await self._transactions.write(replies.recover)
