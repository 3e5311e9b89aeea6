"""What the core needs of the world: implemented by the store, the persona folder, the engine."""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from bot.chat.messages import (
    BegunReply,
    ChannelKey,
    Derived,
    GenerationRecord,
    HistoryWindow,
    IncomingMessage,
    LorePast,
    Overview,
    PastConversation,
    Scope,
    Speaker,
    Turn,
    TurnState,
    Waiting,
)
from bot.chat.persona import Persona
from bot.engine.api import Engine, EngineStatus

__all__ = ["Engine", "EngineStatus", "History", "Personas"]
Scopes = Sequence[tuple[Scope, str]]


class History(Protocol):
    """Every channel's turns. Each method is one transaction: it is durable when it returns.

    Methods that take a `turn_id` raise :class:`~bot.errors.NotFound` when that turn is gone.
    """

    async def serve(
        self, platform: str, account: str, on_waiting: Callable[[ChannelKey], None]
    ) -> None:
        """From now on this program answers as `account` on a platform ("" where there is but one).

        Pending turns and what was last seen are an account's own. `on_waiting` is told of a channel
        where a question of the account's waits and nobody takes it up: another program, which has
        ended, left it. What nobody in particular had heard goes to the first who serves.
        """
        ...

    async def add_message(self, message: IncomingMessage, *, addressed: bool) -> Turn | None:
        """Append a user's turn to the channel's current conversation, made if there is none.

        None when it is known already (the same id in the same channel): one that arrives twice,
        live and after a reconnect, is one turn. Either way it is noted as seen.
        """
        ...

    async def note_seen(self, channel: ChannelKey, message_id: str) -> None:
        """Remember the newest message seen in a channel, kept or not. Never goes back."""
        ...

    async def last_seen(self, platform: str) -> Mapping[ChannelKey, str]:
        """The newest message id seen, for every channel that the bot serves on `platform`."""
        ...

    async def edit_message(self, channel: ChannelKey, message_id: str, text: str) -> bool:
        """Replace a user's text, also where it is quoted or pinned; the old one is not kept.

        False when nothing of the message is kept.
        """
        ...

    async def renew_message(self, message: IncomingMessage) -> Turn:
        """Take a message up, to be answered, as if it came only now: at the conversation's end.

        What was kept of it before is replaced.
        """
        ...

    async def replace_message(self, message: IncomingMessage, original_id: str) -> Turn | None:
        """Let a message stand for another one of its channel: the same turn, whatever its state.

        The turn has the new one's id, author and text, and so has what quotes it. None when the
        original is no user's turn, or the new message is known already.
        """
        ...

    async def channels_quoting(self, platform: str, message_ids: Sequence[str]) -> list[ChannelKey]:
        """The channels in which some turn quotes one of these messages."""
        ...

    async def holds(self, channel: ChannelKey, message_ids: Sequence[str]) -> bool:
        """Whether anything there is of these messages: turns, quotes, or what was pinned."""
        ...

    async def delete_messages(self, channel: ChannelKey, message_ids: Sequence[str]) -> int:
        """Take messages out, prompt and database.

        A user's turn goes; of a bot's turn that was several messages, it goes with the first one of
        them deleted (:meth:`shorten_reply` comes first where others stay). The bot's answer to a
        deleted question stays. Returns how many turns went.
        """
        ...

    async def ask_again(self, turn_id: int) -> Turn:
        """A user's turn is to be answered, whether or not it was before. NotFound for a bot's."""
        ...

    async def delete_turn(self, turn_id: int) -> Turn:
        """Take one turn out with its swipes; returns what it was."""
        ...

    async def edit_turn(self, turn_id: int, text: str) -> Turn:
        """Replace the (active) text of any turn, a bot's too (the workbench's editing)."""
        ...

    async def turn(self, turn_id: int) -> Turn:
        """One turn."""
        ...

    async def turn_of_message(self, channel: ChannelKey, message_id: str) -> Turn | None:
        """The turn that a platform's message belongs to."""
        ...

    async def replies_in(self, channel: ChannelKey, message_ids: Sequence[str]) -> list[Turn]:
        """The bot's turns that these messages hold, or parts of them."""
        ...

    async def window(
        self,
        channel: ChannelKey,
        limit: int,
        *,
        before_turn: int | None = None,
        conversation_id: int | None = None,
        only_of: str | None = None,
    ) -> HistoryWindow:
        """The newest `limit` visible turns of the current conversation, or of `before_turn`'s own
        before it, or of another one of the channel's, else NotFound. `only_of` leaves what that
        person said, replies to them alone, greetings, and what `before_turn` answers.
        """
        ...

    async def pending(
        self, channel: ChannelKey, *, since: datetime | None = None, also: Collection[int] = ()
    ) -> list[Turn]:
        """Addressed and unanswered turns of the current conversation, oldest first.

        With `since`, those said then or later, and whichever `also` names.
        """
        ...

    async def waiting(
        self, channel: ChannelKey, scopes: Scopes, *, since: datetime, also: Collection[int] = ()
    ) -> Waiting:
        """:meth:`pending` and :meth:`SettingsStore.stored` of the same moment."""
        ...

    async def answer_no_more(self, turn_ids: Sequence[int]) -> None:
        """These turns wait for no answer any more; they stay as they are."""
        ...

    async def overview(self, channels: Sequence[ChannelKey], scopes: Scopes) -> Overview:
        """The newest visible turn of each channel's current conversation, and what is set."""
        ...

    async def channels_with_pending(self, platform: str, *, since: datetime) -> list[ChannelKey]:
        """Where somebody still waits for an answer, or for another persona's."""
        ...

    async def unended_round(self, channel: ChannelKey, *, since: datetime) -> list[Turn]:
        """The replies of a round in which other personas are still to speak, and what they answer.

        In order; nothing where none begun `since` then waits for another.
        """
        ...

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
        """Insert the bot's running turn (empty) and mark `answers` as answered by it.

        `persona` is the name that people see, `persona_id` whose it is; `asked_by` are the speaker
        ids of who caused it, beside those of `answers`. NotFound when these are gone or taken.
        """
        ...

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
        """:meth:`begin_reply`, and the window of `limit` turns before it, of the same moment.

        It `follows` another persona's reply, which has to wait for one: else NotFound. It
        `is_awaited` where another persona is to follow this one.
        """
        ...

    async def begin_swipe(self, turn_id: int) -> Turn:
        """Add an empty, running swipe to a bot's turn and make it the active one."""
        ...

    async def show_reply(self, turn_id: int, text: str, message_ids: Sequence[str]) -> None:
        """The active swipe's text as people see it now. Called at every edit, also the last."""
        ...

    async def shorten_reply(
        self,
        turn_id: int,
        message_ids: Sequence[str],
        text_left: Callable[[str, int, Collection[int]], str],
    ) -> Turn:
        """Take some of a reply's messages out, and of the text that people see what they held.

        `text_left` is given that text, how many messages it stood in, and which of them go.
        """
        ...

    async def finish_reply(
        self,
        turn_id: int,
        state: TurnState,
        record: GenerationRecord | None,
        *,
        shown: tuple[str, Sequence[str]] | None = None,
    ) -> Turn:
        """End a running reply as WHOLE or CUT, and keep how it came to be.

        `shown`, its text and messages, is kept first, as :meth:`show_reply` does.
        """
        ...

    async def abandon_reply(self, turn_id: int, *, requeue: bool) -> None:
        """A running reply of which nothing was shown: take it (or its new swipe) out.

        `requeue` makes the questions pending again; else they count as answered.
        """
        ...

    async def select_swipe(self, turn_id: int, index: int) -> Turn:
        """Make another swipe the active one. NotFound when there is no such swipe."""
        ...

    async def generation(self, turn_id: int, swipe: int) -> GenerationRecord | None:
        """How a swipe came to be."""
        ...

    async def require_seen(self, turn_id: int) -> None:
        """Raise NotAllowed for what somebody said who has opted out, or a reply to them alone."""
        ...

    async def add_greeting(
        self,
        channel: ChannelKey,
        speaker: Speaker,
        texts: Sequence[str],
        *,
        persona: str,
        persona_id: str,
        asked_by: str,
    ) -> Turn:
        """Append a bot's turn that is whole, with a swipe a text, to the current conversation.

        `asked_by` is the speaker id of whoever began the conversation.
        """
        ...

    async def lore_past(self, turn_id: int) -> LorePast:
        """What lore was told for the replies before a turn in its conversation, as they stand.

        Of swipes, the active one counts; what was taken out or hidden does not.
        """
        ...

    async def last_reply(self, channel: ChannelKey, *, only_of: str | None = None) -> Turn | None:
        """The newest visible bot's turn of the current conversation.

        With `only_of`, the newest reply to that person alone, as :meth:`hide_last_exchange` does.
        """
        ...

    async def reset(self, channel: ChannelKey) -> tuple[int, int]:
        """Start a new conversation, deleting nothing. Returns (old, new) conversation ids."""
        ...

    async def restore(self, channel: ChannelKey, conversation_id: int) -> None:
        """Make an earlier conversation the current one again (the Undo of a reset)."""
        ...

    async def list_conversations(self, channel: ChannelKey) -> list[PastConversation]:
        """Every conversation of a channel in which something was said, the newest first."""
        ...

    async def delete_conversation(self, channel: ChannelKey, conversation_id: int) -> None:
        """Take out one that was left, with all its turns. NotFound when it is not among them."""
        ...

    async def hide_last_exchange(
        self, channel: ChannelKey, *, only_of: str | None = None
    ) -> list[int]:
        """Hide the newest reply, what it answered and anything after it. Returns the turn ids.

        With `only_of`, the newest reply to that speaker alone, and what they have said since.
        """
        ...

    async def unhide(self, turn_ids: Sequence[int]) -> None:
        """Bring hidden turns back (the Undo of an undo)."""
        ...

    async def export(
        self, channel: ChannelKey, *, conversation_id: int | None = None
    ) -> list[Turn]:
        """Every visible turn of the current conversation, or of another one of the channel's."""
        ...

    async def keep_derived(
        self,
        channel: ChannelKey,
        kind: str,
        text: str,
        turn_ids: Sequence[int],
        *,
        conversation_id: int | None = None,
    ) -> Derived:
        """Keep a text that was made from these turns; stale at once when one of them has gone.

        Editing, hiding or taking out such a turn marks it stale. With `conversation_id` it is that
        conversation's, else the whole channel's. NotFound for another channel's conversation.
        """
        ...

    async def derived(self, channel: ChannelKey, *, kind: str | None = None) -> list[Derived]:
        """What is kept of a channel, the oldest first; of one kind, or of every."""
        ...

    async def remove_derived(self, derived_ids: Sequence[int]) -> int:
        """Take derived texts out. Returns how many went."""
        ...


class Personas(Protocol):
    """The personas that are there: the owner's everywhere, a guild's own in that guild alone.

    `guild_id` is that of a channel's key: None outside of guilds, where the owner's are.
    """

    async def find(self, guild_id: str | None, reference: str) -> Persona | None:
        """The last good version of a persona, by its id or name, whatever the case.

        An id goes before a name, and a guild's own persona before the owner's. None also for
        another guild's.
        """
        ...

    async def by_ids(self, guild_id: str | None, ids: Sequence[str]) -> Mapping[str, Persona]:
        """The last good versions of those that have these ids, by the ids as they were given."""
        ...

    async def listed(self, guild_id: str | None) -> list[Persona]:
        """Those that can be chosen, in alphabetical order; each name stands once."""
        ...

    async def at_version(
        self, guild_id: str | None, persona_id: str, version: str
    ) -> Persona | None:
        """A persona as it was in a version, where that is still kept, though it may be deleted."""
        ...

    async def default(self) -> Persona:
        """The persona that speaks where none is chosen."""
        ...

    def problems(self) -> Mapping[str, str]:
        """File name to error, for files whose newest version cannot be used."""
        ...
