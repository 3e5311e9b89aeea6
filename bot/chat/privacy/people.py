"""A person's data, where it stands, and the port that takes it out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from bot.chat.messages import ChannelKey

Page = tuple[int, int]
"""Up to which conversation and turn something was read."""

START: Page = (0, 0)


@dataclass(frozen=True, slots=True)
class Person:
    """Whose data: all of it on a platform, or what there is in one guild."""

    platform: str
    speaker_id: str
    guild_id: str = ""  # "": everywhere


@dataclass(frozen=True, slots=True)
class Place:
    """A channel in which something of a person stands."""

    number: int  # the store's own
    channel: ChannelKey
    is_own: bool = False  # a direct one, between them and the bot alone


@dataclass(frozen=True, slots=True)
class Preview:
    """How much of a person would go."""

    messages: int = 0
    replies: int = 0  # that answer them
    quotes: int = 0  # in what others said
    facts: int = 0
    channels: int = 0


@dataclass(frozen=True, slots=True)
class Own:
    """What tells a person's own words in a channel, besides their turns."""

    names: tuple[str, ...] = ()
    facts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SaidByThem:
    """A turn of theirs, or one of somebody else's that quotes them."""

    conversation_id: int
    turn_id: int
    text: str  # theirs alone


@dataclass(frozen=True, slots=True)
class SaidByOthers:
    """A turn of somebody else's, or a reply with its swipes by their positions."""

    conversation_id: int
    turn_id: int
    text: str  # of a reply, that of its active swipe
    persona: str = ""  # of a reply
    is_reply: bool = False
    active: int = 0
    quoted: str = ""  # of the bot's, by somebody
    swipes: Mapping[int, str] = field(default_factory=dict[int, str])


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a channel's replies had come at a moment."""

    swipe: int = 0
    generation: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """What a step of taking out has come to."""

    has_more: bool
    quoting: Sequence[ChannelKey] = ()  # the other channels that had quoted what went


class PeopleStore(Protocol):
    """Reads and takes out what is kept of a person. Each method is one transaction.

    What takes out is bounded: it is called again for as long as it says that there is more.
    """

    async def preview(self, person: Person) -> Preview:
        """How much there is."""
        ...

    async def places(self, person: Person, *, own: str = "") -> list[Place]:
        """Where something of theirs stands; `own` is the id of their own direct channel."""
        ...

    async def own(self, person: Person, place: Place) -> Own:
        """What else is theirs in a channel."""
        ...

    async def said_by_them(
        self, person: Person, place: Place, after: Page, limit: int
    ) -> list[SaidByThem]:
        """Their turns there, in order."""
        ...

    async def said_by_others(
        self, person: Person, place: Place, after: Page, limit: int
    ) -> list[SaidByOthers]:
        """All others' turns and the bot's replies there, in order."""
        ...

    async def mark(self, place: Place) -> Mark:
        """How far the channel's replies have come."""
        ...

    async def replies_since(self, place: Place, since: Mark) -> list[SaidByOthers]:
        """The replies that have come or changed since."""
        ...

    async def remove_replies(
        self, place: Place, turn_ids: Sequence[int], swipes: Sequence[tuple[int, int]] = ()
    ) -> Sequence[ChannelKey]:
        """Take out whole replies, and single swipes (turn, position).

        Returns the other channels that had quoted them. A reply without another swipe goes whole.
        The messages that showed what goes are to be taken off the platform.
        """
        ...

    async def forget_quotes(self, place: Place, turn_ids: Sequence[int]) -> None:
        """Take out what these turns quote."""
        ...

    async def remove_turns(self, person: Person, place: Place) -> Step:
        """Take out some of their turns there, and replies to them."""
        ...

    async def remove_traces(self, person: Person, place: Place) -> Sequence[ChannelKey]:
        """Take out what else of them stands there: quotes, marks, replies that others write now.

        Returns the other channels that had quoted these.
        """
        ...

    async def remove_place(self, place: Place) -> bool:
        """Take out some of all that a channel holds, then itself. Whether there is more."""
        ...

    async def remove_names(self, person: Person) -> None:
        """Take their id, and what they pinned or play, from all that is not said in a channel."""
        ...
