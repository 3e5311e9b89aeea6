"""Who is heard, and who is answered: asked before anything is kept of a message, and before a
command or button makes the bot speak.

A :class:`Check` says who may talk at all, a :class:`Limit` how much of that is answered.
"""

from collections.abc import Callable, Sequence
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


class Limit(Protocol):
    """Bounds how much is answered: asked where the bot is about to write, of nobody but those
    whom all checks let through.
    """

    async def admit(
        self, channel: ChannelKey, speaker: Speaker, settings: ChannelSettings, *, at: datetime
    ) -> Admission:
        """Whether what they asked for at that moment is answered. Counts nothing."""
        ...

    def count(
        self, channel: ChannelKey, speaker: Speaker, settings: ChannelSettings, *, at: datetime
    ) -> None:
        """It is answered."""
        ...

    def spoke(self, channel: ChannelKey) -> None:
        """A person, no bot, said something there, to whomever."""
        ...


class Gate:
    """Asks every check, then every limit; whoever objects first decides."""

    def __init__(
        self,
        checks: Sequence[Check] = (),
        *,
        always: Sequence[Check] = (),
        limits: Sequence[Limit] = (),
        is_owner: Callable[[ChannelKey, Speaker], bool] = lambda _channel, _speaker: False,
    ) -> None:
        """The checks in order: who is not heard at all comes first.

        `always` holds for the bot's owner, too: other people's privacy, and their own. Of
        `limits`, those that have to look something up come first: the others count at once.
        """
        self._checks = tuple(checks)
        self._always = tuple(always)
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
        for check in (*self._always, *(() if is_owner else self._checks)):
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

    def spoke(self, channel: ChannelKey) -> None:
        """A person, no bot, said something in a channel, to whomever."""
        for limit in self._limits:
            limit.spoke(channel)
