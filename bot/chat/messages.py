"""The core's records: who said what, where. Frozen dataclasses, no behaviour beyond reading."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal, TypeAlias

from bot.engine.api import FinishReason, GenerationStatistics, Sampling


@dataclass(frozen=True, slots=True)
class ChannelKey:
    """Anything with a history of its own: a text channel, a thread, a DM, a workbench chat.

    Two keys are equal when platform and channel are: guild and parent only say whose settings
    apply.
    """

    platform: str  # "discord", "workbench"
    channel_id: str
    guild_id: str | None = field(default=None, compare=False)
    parent_id: str | None = field(default=None, compare=False)  # a thread's channel
    is_direct: bool = field(default=False, compare=False)
    # As far as is known: only who comes from the platform knows it, and it changes. Not stored.
    is_age_restricted: bool = field(default=False, compare=False)

    def __str__(self) -> str:
        return f"{self.platform}:{self.channel_id}"


@dataclass(frozen=True, slots=True)
class Speaker:
    """Someone who talks. `name` is as the platform shows it: raw, not unique, hostile."""

    speaker_id: str
    name: str
    is_bot: bool = False
    # The roles that they have where they speak, and the account's name, which nobody else can
    # take as they can `name`. Not stored: a turn's speaker has none.
    roles: frozenset[str] = field(default=frozenset(), compare=False)  # ids
    role_names: frozenset[str] = field(default=frozenset(), compare=False)
    username: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class QuotedMessage:
    """The message that another one replies to."""

    message_id: str
    author: Speaker
    text: str


@dataclass(frozen=True, slots=True)
class IncomingMessage:
    """A message as a front end heard it: mentions already names, the bot's own mention stripped."""

    message_id: str
    channel: ChannelKey
    author: Speaker
    text: str
    sent_at: datetime  # aware, UTC
    mentions_bot: bool = False
    replies_to_bot: bool = False  # to a message of the bot's or of a persona's webhook
    reply_to: QuotedMessage | None = None
    words: str | None = None  # what of `text` was written by hand: no names, nothing attached
    account: Speaker | None = None  # who spoke through a proxy, where that is known

    @property
    def said_by(self) -> Speaker:
        """Whose the message is, as far as that is known."""
        return self.account or self.author


class TurnState(StrEnum):
    """How far a turn has come."""

    WHOLE = "whole"
    RUNNING = "running"  # a reply being written
    CUT = "cut"  # a reply stopped, or broken off: as far as it was shown


@dataclass(frozen=True, slots=True)
class Swipe:
    """One alternative of a reply."""

    index: int  # from 0
    text: str
    finish: FinishReason | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """What one speaker said in one go.

    Turns of a conversation are ordered by `turn_id`: the order in which the bot took them up.
    `text` is that of the active swipe. `message_ids` are the platform's, in order.
    """

    turn_id: int
    conversation_id: int
    channel: ChannelKey
    role: Literal["user", "bot"]
    speaker: Speaker
    text: str
    created_at: datetime
    state: TurnState = TurnState.WHOLE
    message_ids: tuple[str, ...] = ()
    addressed: bool = False  # was to be answered
    answered_by: int | None = None  # the reply's turn; of a reply, the next persona's
    reply_to: QuotedMessage | None = None
    swipes: tuple[Swipe, ...] = ()  # of a bot's turn
    active_swipe: int = 0
    asked_by: frozenset[str] = frozenset()  # speaker ids whose messages a bot's turn answers
    persona: str = ""  # a bot's turn: the name under which a persona spoke
    persona_id: str = ""  # which one that was; "" in turns of before personas had ids

    @property
    def is_greeting(self) -> bool:
        """Whether a persona's author wrote it: no engine made any of its swipes.

        So it looks, too, where how a reply came to be could not be kept.
        """
        is_said = self.role == "bot" and self.state is TurnState.WHOLE and bool(self.swipes)
        return is_said and all(swipe.finish is None for swipe in self.swipes)


@dataclass(frozen=True, slots=True)
class HistoryWindow:
    """The newest turns of a channel's current conversation, oldest first.

    `positions` are the turns' absolute ones in the conversation, by which the prompt drops old
    turns in whole blocks: they grow from turn to turn and never change, with gaps where turns were
    taken out. Without them, turns follow each other without a gap from `skipped` on. `skipped` is
    how many older turns are not in `turns`: 0 if there is none, else with those that were taken
    out.
    """

    conversation_id: int
    turns: tuple[Turn, ...]
    skipped: int = 0
    positions: tuple[int, ...] = ()

    def numbered(self) -> list[tuple[int, Turn]]:
        """The turns with their positions."""
        positions = self.positions or range(self.skipped, self.skipped + len(self.turns))
        return list(zip(positions, self.turns, strict=True))


@dataclass(frozen=True, slots=True)
class Derived:
    """A text made from what people said, such as a summary, and the turns that it came from.

    `is_stale`: one of them was edited, hidden, brought back or taken out since.
    """

    derived_id: int
    channel: ChannelKey
    conversation_id: int | None  # None: the whole channel's
    kind: str
    text: str
    turn_ids: tuple[int, ...]  # those that are still there
    created_at: datetime
    is_stale: bool = False


@dataclass(frozen=True, slots=True)
class PastConversation:
    """One of a channel's conversations, with what tells it from the others."""

    conversation_id: int
    is_current: bool
    turns: int  # that can be seen; one at least
    first: Turn  # of a person's, where there is one
    newest_at: datetime


@dataclass(frozen=True, slots=True)
class LoreFiring:
    """An entry of a lorebook was told for a reply, when the conversation had `at` messages."""

    book_id: str
    entry: str  # its uid, which stays the same while the book does
    at: int


@dataclass(frozen=True, slots=True)
class LorePast:
    """What lore was told for the replies before a turn, and how many replies these are."""

    fired: tuple[LoreFiring, ...] = ()
    replies: int = 0


class Flaw(StrEnum):
    """Why a reply is written once more before anybody sees it, the worst first."""

    EMPTY = "empty"
    NAME = "name"  # nothing but somebody's name
    LOOP = "loop"  # it says the same thing over and over
    REPEATED = "repeated"  # nearly one of the bot's last replies


@dataclass(frozen=True, slots=True)
class Retry:
    """A reply was written twice; people saw the second try, or the first where that was better."""

    flaw: Flaw  # of the first try
    tokens: int  # of the try that nobody saw, beside those of the record's statistics
    kept_first: bool = False


@dataclass(frozen=True, slots=True)
class RecordedOccasion:
    """What a reply's prompt depended on beside history, settings and persona."""

    seed: int
    moment: datetime
    trigger: str = "normal"
    lore: tuple[LoreFiring, ...] = ()
    others: tuple[str, ...] = ()  # names of the personas beside the one who spoke
    retry: Retry | None = None


@dataclass(frozen=True, slots=True)
class GenerationRecord:
    """How one swipe came to be: enough to rebuild its prompt, and no copy of what people said."""

    prompt_sha256: str
    prompt_format: str
    persona: str
    first_turn_id: int | None  # oldest and newest turn that the prompt showed
    last_turn_id: int | None
    sampling: Sampling
    finish: FinishReason
    statistics: GenerationStatistics
    created_at: datetime
    settings_revision: int = 0  # the newest setting change at that time
    persona_id: str = ""  # "" in records of before personas had ids, as is the version
    persona_version: str = ""
    engine: str = ""  # which of the configured ones wrote it; "" before that was kept
    occasion: RecordedOccasion | None = None  # None before that was kept


class Scope(StrEnum):
    """Whose setting it is; later ones override earlier ones."""

    OWNER = "owner"
    GUILD = "guild"
    CHANNEL = "channel"


JsonValue: TypeAlias = str | int | float | bool | list[str] | None


StoredValues: TypeAlias = Mapping[tuple[Scope, str], Mapping[str, JsonValue]]


@dataclass(frozen=True, slots=True)
class StoredSettings:
    """What is set in some scopes, and the newest change's id then: 0 when there is none."""

    values: StoredValues
    revision: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """What is to be answered in a channel, oldest first, and what is set there."""

    turns: tuple[Turn, ...]
    settings: StoredSettings


@dataclass(frozen=True, slots=True)
class Overview:
    """The newest visible turn of some channels, where there is one, and what is set there."""

    newest: Mapping[ChannelKey, Turn]
    settings: StoredValues


@dataclass(frozen=True, slots=True)
class BegunReply:
    """A reply's turn, and what was said before it."""

    turn: Turn
    window: HistoryWindow


@dataclass(frozen=True, slots=True)
class SettingChange:
    """One entry of `/settings history`. `new` None means the setting was reset."""

    change_id: int
    scope: Scope
    scope_id: str  # guild id, or str(ChannelKey)
    key: str
    old: JsonValue
    new: JsonValue
    changed_by: str
    changed_at: datetime
