"""Records of purges, and the port that keeps them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from bot.chat.messages import ChannelKey


@dataclass(frozen=True, slots=True)
class PurgeWish:
    """What of a channel is to go. All that is given has to be true of it.

    An exchange is a reply of the bot's with what it answers; what nobody answered is one, too.
    """

    channel: ChannelKey
    speaker_id: str = ""  # whose messages, with the replies to them; "": everybody's
    since: datetime | None = None  # what was said then or later, with the replies to it
    exchanges: int | None = None  # the newest so many
    until_turn: int | None = None  # no message that was taken up after this turn


@dataclass(frozen=True, slots=True)
class PurgePlan:
    """What would go now."""

    wish: PurgeWish  # bounded by what there was: whatever comes later stays
    exchanges: int
    turns: int
    digest: str  # of which turns these are
    people: Mapping[str, int]  # messages by who said them
    own_messages: int  # the bot's, its personas' too
    oldest: datetime | None  # when the first of it was said
    oldest_message_ids: tuple[str, ...] = ()  # the first few, oldest first

    @property
    def messages(self) -> int:
        """Of people and the bot."""
        return self.own_messages + sum(self.people.values())


@dataclass(frozen=True, slots=True)
class PurgedMessage:
    """A platform's message whose turn is gone already."""

    message_id: str
    is_own: bool  # the bot's, or a persona's


@dataclass(frozen=True, slots=True)
class Purge:
    """A purge of which messages may still stand on the platform."""

    purge_id: int
    channel: ChannelKey
    asked_by: str
    asked_at: datetime
    speaker_id: str
    exchanges: int
    messages: tuple[PurgedMessage, ...] = field(default=(), repr=False)  # still to be taken away
    copies: tuple["Purge", ...] = ()  # what went of it in forks, with messages of their own


class Purges(Protocol):
    """Takes turns out for good, and keeps in mind which messages are still to follow."""

    async def plan(self, wish: PurgeWish) -> PurgePlan:
        """What would go. Changes nothing."""
        ...

    async def channels_with_copies(self, plan: PurgePlan) -> list[ChannelKey]:
        """Where forks have copies of what would go now."""
        ...

    async def purge_copies(self, plan: PurgePlan, channel: ChannelKey, *, by: str) -> Purge | None:
        """Take out a channel's copies of what the plan means; as :meth:`purge`."""
        ...

    async def purge(self, plan: PurgePlan, *, by: str) -> Purge | None:
        """Take it out, in one transaction. None, and nothing done, where it is no longer the same.

        The messages of the result are to be taken away on the platform: until :meth:`gone` tells
        of each, :meth:`unfinished` lists them.
        """
        ...

    async def gone(self, purge_id: int, message_ids: Sequence[str]) -> None:
        """These messages are gone, or will never be. With the last of them, the purge is over."""
        ...

    async def unfinished(self, platform: str) -> list[Purge]:
        """Purges that are not over, the oldest first: another process may be at one of them."""
        ...
