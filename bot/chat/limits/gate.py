"""Who is heard, and who is answered: asked before anything is kept of a message, and before a
command or button makes the bot speak.

A :class:`Check` says who may talk at all, a :class:`Limit` how much of that is answered.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Protocol

from bot.chat.definitions import ChannelSettings
from bot.chat.messages import ChannelKey, Speaker

TOLD_AGAIN = timedelta(minutes=1)


class Access(IntEnum):
    """How far somebody comes."""

    UNHEARD = 0  # as if they had said nothing: nothing is kept, nothing told
    UNANSWERED = 1  # kept where the channel keeps it, but not answered
    ANSWERED = 2


@dataclass(frozen=True, slots=True)
class Admission:
    """What the gate says of somebody."""

    access: Access
    notice: str = ""  # one line for the person; "" tells them nothing
    until: datetime | None = None  # `{until}` in the line stands for it
    about: str = ""  # what is told once in `told_again`; "": this line in this channel
    told_again: timedelta = TOLD_AGAIN

    def line(self, moment: Callable[[datetime], str]) -> str:
        """The line, with `until` as `moment` writes it."""
        return self.notice.replace("{until}", moment(self.until)) if self.until else self.notice


WELCOME = Admission(Access.ANSWERED)


class Check(Protocol):
    """One thing that may keep somebody out."""

    async def admit(
        self, channel: ChannelKey, speaker: Speaker, settings: ChannelSettings, *, asks: bool
    ) -> Admission:
        """How far this lets them come.

        `asks` is true when the bot is about to write for them. Raises StoreError where it cannot
        know.
        """
        ...


class Limit(ABC):
    """Bounds how much is answered: asked where the bot is about to write, of nobody but those
    whom all checks let through.
    """

    @abstractmethod
    async def admit(
        self, channel: ChannelKey, speaker: Speaker, settings: ChannelSettings, *, at: datetime
    ) -> Admission:
        """Whether what they asked for at that moment is answered. Counts nothing."""

    async def still_admits(
        self, channel: ChannelKey, speaker: Speaker, settings: ChannelSettings
    ) -> Admission:
        """Whether it is answered after all, once its turn has come. Raises StoreError."""
        del channel, speaker, settings
        return WELCOME

    def count(  # noqa: B027 - not every limit counts
        self, channel: ChannelKey, speaker: Speaker, settings: ChannelSettings, *, at: datetime
    ) -> None:
        """It is answered."""

    def awaits_people(self, channel: ChannelKey) -> bool:
        """Whether it matters there that a person says something, to whomever."""
        del channel
        return False

    def spoke(self, channel: ChannelKey) -> None:  # noqa: B027 - as above
        """A person, no bot, who is heard and answered, said something there, to whomever."""

    async def wrote(  # noqa: B027 - as above
        self, channel: ChannelKey, settings: ChannelSettings, askers: Collection[str], tokens: int
    ) -> None:
        """The bot has written so many tokens for these people. Raises nothing of ours."""


class Gate:
    """Asks every check, then every limit; whoever objects first decides."""

    def __init__(
        self,
        checks: Sequence[Check] = (),
        *,
        always: Sequence[Check] = (),
        by_roles: Sequence[Check] = (),
        limits: Sequence[Limit] = (),
        is_owner: Callable[[ChannelKey, Speaker], bool] = lambda _channel, _speaker: False,
    ) -> None:
        """The checks in order: who is not heard at all comes first.

        `always` holds for the bot's owner, too: other people's privacy, and their own. `by_roles`
        come after the checks, and depend on the roles that a speaker came with. Of `limits`, those
        that have to look something up come first: the others count at once.
        """
        self._checks = tuple(checks)
        self._always = tuple(always)
        self._by_roles = tuple(by_roles)
        self._limits = tuple(limits)
        self._is_owner = is_owner

    async def admit(
        self,
        channel: ChannelKey,
        speaker: Speaker,
        settings: ChannelSettings,
        *,
        asks: bool,
        at: datetime,
    ) -> Admission:
        """How far a person comes in a channel with these settings. See :class:`Check`.

        With `asks`, and where they are answered, it counts as asked for `at` that moment.
        """
        is_owner = self._is_owner(channel, speaker)
        checks = (*self._always, *(() if is_owner else (*self._checks, *self._by_roles)))
        for check in checks:
            admission = await check.admit(channel, speaker, settings, asks=asks)
            if admission.access is not Access.ANSWERED:
                return admission
        if not asks or is_owner:
            return WELCOME
        for limit in self._limits:
            admission = await limit.admit(channel, speaker, settings, at=at)
            if admission.access is not Access.ANSWERED:
                return admission
        for limit in self._limits:
            limit.count(channel, speaker, settings, at=at)
        return WELCOME

    async def still_admits(
        self, channel: ChannelKey, speaker: Speaker, settings: ChannelSettings
    ) -> Admission:
        """Whether somebody who was admitted is answered after all, once their turn has come.

        A stored speaker comes without roles: those were looked at when they asked.
        """
        is_owner = self._is_owner(channel, speaker)
        roles = self._by_roles if speaker.roles else ()
        for check in (*self._always, *(() if is_owner else (*self._checks, *roles))):
            admission = await check.admit(channel, speaker, settings, asks=False)
            if admission.access is not Access.ANSWERED:
                return admission
        for limit in () if is_owner else self._limits:
            admission = await limit.still_admits(channel, speaker, settings)
            if admission.access is not Access.ANSWERED:
                return admission
        return WELCOME

    def awaits_people(self, channel: ChannelKey) -> bool:
        """Whether it matters in a channel that a person says something, to whomever."""
        return any(limit.awaits_people(channel) for limit in self._limits)

    def spoke(self, channel: ChannelKey) -> None:
        """A person, no bot, whom nothing keeps out, said something in a channel, to whomever."""
        for limit in self._limits:
            limit.spoke(channel)

    async def wrote(
        self, channel: ChannelKey, settings: ChannelSettings, askers: Collection[str], tokens: int
    ) -> None:
        """The bot has written so many tokens for these people, by their ids."""
        for limit in self._limits:
            await limit.wrote(channel, settings, askers, tokens)
