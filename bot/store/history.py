"""The core's `History` port on SQL: the contract stands in `bot/chat/ports.py`."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from bot.chat.messages import (
    BegunReply,
    ChannelKey,
    GenerationRecord,
    IncomingMessage,
    Speaker,
    Turn,
    TurnState,
    Waiting,
)
from bot.store.connecting.binding import OnTransactions, reads, writes
from bot.store.connecting.transactions import Transactions
from bot.store.privacy.left_out import refuse_left_out
from bot.store.runs import Run
from bot.store.settings import Scopes
from bot.store.turns import (
    access,
    conversations,
    derived,
    greetings,
    incoming,
    replies,
    rounds,
    undoing,
)


class SqlHistory(OnTransactions):
    """Every channel's turns. Each method is one transaction: durable when it returns.

    What is written out below, and not bound, says also for which account or run it is done.
    """

    def __init__(self, transactions: Transactions, run: Run) -> None:
        """The database's, and this program's own run."""
        super().__init__(transactions)
        self._run = run
        self.serve = run.serve

    # What people say
    edit_message = writes(incoming.edit_message, erases=True)
    _renew_message = writes(incoming.renew_message, erases=True)
    replace_message = writes(incoming.replace_message, erases=True)
    delete_messages = writes(incoming.delete_messages, erases=True)
    delete_turn = writes(incoming.delete_turn, erases=True)
    edit_turn = writes(incoming.edit_turn, erases=True)
    _ask_again = writes(incoming.ask_again)
    _add_message = writes(incoming.add_message)
    _note_seen = writes(incoming.note_seen)
    _last_seen = reads(incoming.last_seen)

    async def add_message(self, message: IncomingMessage, *, addressed: bool) -> Turn | None:
        """Append a user's turn, which waits for our account where it is addressed."""
        account = self._run.account(message.channel.platform)
        return await self._add_message(message, addressed=addressed, heard_by=account)

    async def renew_message(self, message: IncomingMessage) -> Turn:
        """Take a message up, to be answered by our account, as if it came only now."""
        account = self._run.account(message.channel.platform)
        return await self._renew_message(message, heard_by=account)

    async def ask_again(self, turn_id: int) -> Turn:
        """Let a user's turn wait for an answer of our account."""
        turn = await self.turn(turn_id)
        account = self._run.account(turn.channel.platform)
        return await self._ask_again(turn_id, heard_by=account)

    async def note_seen(self, channel: ChannelKey, message_id: str) -> None:
        """Remember the newest message that our account has seen in a channel."""
        account = self._run.account(channel.platform)
        await self._note_seen(channel, message_id, seen_by=account)

    async def last_seen(self, platform: str) -> Mapping[ChannelKey, str]:
        """The newest message id that our account has seen, for every channel of `platform`."""
        return await self._last_seen(platform, seen_by=self._run.account(platform))

    # Reading
    turn = reads(access.read_turn)
    turn_of_message = reads(conversations.turn_of_message)
    replies_in = reads(conversations.replies_in)
    window = reads(conversations.window)
    _waiting = reads(conversations.waiting)
    overview = reads(conversations.overview)
    holds = reads(incoming.holds)
    channels_quoting = reads(conversations.channels_quoting)
    last_reply = reads(conversations.last_reply)
    export = reads(conversations.export)
    list_conversations = reads(conversations.list_conversations)
    answer_no_more = writes(replies.answer_no_more)
    _pending = reads(conversations.pending)
    _unended_round = reads(rounds.unended_round)
    _channels_with_pending = reads(conversations.channels_with_pending)

    async def pending(
        self,
        channel: ChannelKey,
        *,
        since: datetime | None = None,
        also: Collection[int] = (),
    ) -> list[Turn]:
        """What our account is still to answer in a channel's conversation, oldest first."""
        account = self._run.account(channel.platform)
        return await self._pending(channel, since=since, also=also, heard_by=account)

    async def waiting(
        self,
        channel: ChannelKey,
        scopes: Scopes,
        *,
        since: datetime,
        also: Collection[int] = (),
    ) -> Waiting:
        """What our account is to answer, and what is set, at the same moment."""
        account = self._run.account(channel.platform)
        return await self._waiting(channel, scopes, since=since, also=also, heard_by=account)

    async def unended_round(self, channel: ChannelKey, *, since: datetime) -> list[Turn]:
        """The replies of our account's round that has not ended, with what they answer."""
        account = self._run.account(channel.platform)
        return await self._unended_round(channel, since=since, heard_by=account)

    async def channels_with_pending(self, platform: str, *, since: datetime) -> list[ChannelKey]:
        """Where somebody waits for our account, the longest waiting first."""
        account = self._run.account(platform)
        return await self._channels_with_pending(platform, since=since, heard_by=account)

    # The bot's own turns
    _take_up = writes(replies.take_up)
    add_greeting = writes(greetings.add_greeting)
    select_swipe = writes(replies.select_swipe)
    shorten_reply = writes(replies.shorten_reply, erases=True)
    generation = reads(replies.generation)
    require_seen = reads(refuse_left_out)
    lore_past = reads(replies.lore_past)
    _begin_reply = writes(replies.begin_reply)
    _begin_swipe = writes(replies.begin_swipe)
    _show_reply = writes(replies.show_reply)
    _finish_reply = writes(replies.finish_reply)
    _abandon_reply = writes(replies.abandon_reply, erases=True)

    async def begin_reply(
        self,
        channel: ChannelKey,
        speaker: Speaker,
        *,
        persona: str,
        answers: Sequence[int],
        persona_id: str = "",
        asked_by: Collection[str] = (),
    ) -> Turn:
        """Insert the bot's running turn, which is our run's while that lives."""
        turn = await self._begin_reply(
            channel,
            speaker,
            persona=persona,
            answers=answers,
            persona_id=persona_id,
            run_id=self._run.id,
            asked_by=asked_by,
        )
        self._run.writing[turn.turn_id] = turn.active_swipe
        return turn

    async def take_up(
        self,
        channel: ChannelKey,
        speaker: Speaker,
        *,
        persona: str,
        answers: Sequence[int],
        limit: int,
        persona_id: str = "",
        asked_by: Collection[str] = (),
        follows: int | None = None,
        is_awaited: bool = False,
    ) -> BegunReply:
        """:meth:`begin_reply`, and the window of `limit` turns before it, of the same moment."""
        account = self._run.account(channel.platform)
        begun = await self._take_up(
            channel,
            speaker,
            persona=persona,
            answers=answers,
            limit=limit,
            persona_id=persona_id,
            run_id=self._run.id,
            asked_by=asked_by,
            follows=follows,
            awaited_by=account if is_awaited else None,
        )
        self._run.writing[begun.turn.turn_id] = begun.turn.active_swipe
        return begun

    async def begin_swipe(self, turn_id: int) -> Turn:
        """Add an empty, running swipe, which is our run's while that lives."""
        turn = await self._begin_swipe(turn_id, run_id=self._run.id)
        self._run.writing[turn_id] = turn.active_swipe
        return turn

    async def show_reply(self, turn_id: int, text: str, message_ids: Sequence[str]) -> None:
        """What people see now of the swipe that our run began, else of the active one."""
        begun = self._run.writing.get(turn_id)
        await self._show_reply(turn_id, text, message_ids, position=begun)

    async def finish_reply(
        self,
        turn_id: int,
        state: TurnState,
        record: GenerationRecord | None,
        *,
        shown: tuple[str, Sequence[str]] | None = None,
    ) -> Turn:
        """End what our run writes in a turn, after keeping what was `shown` last of it."""
        begun = self._run.writing.get(turn_id)
        with self._run.ending(turn_id):
            turn = await self._finish_reply(turn_id, state, record, position=begun, shown=shown)
        self._run.has_answered = True
        return turn

    async def abandon_reply(self, turn_id: int, *, requeue: bool) -> None:
        """Take out what our run began in a turn, of which nothing was shown."""
        with self._run.ending(turn_id):
            await self._abandon_reply(turn_id, requeue=requeue)

    # What was made from turns
    keep_derived = writes(derived.keep_derived)
    remove_derived = writes(derived.remove_derived, erases=True)
    derived = reads(derived.derived)

    # Turning a conversation over
    reset = writes(conversations.reset)
    restore = writes(conversations.restore)
    delete_conversation = writes(conversations.delete_conversation, erases=True)
    hide_last_exchange = writes(undoing.hide_last_exchange)
    unhide = writes(undoing.unhide)
