"""Who is heard, and who is answered: asked before anything is kept of a message, and before a
command or button makes the bot speak.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

from bot.chat.definitions import ChannelSettings
from bot.chat.messages import ChannelKey, Speaker


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


WELCOME = Admission(Access.ANSWERED)


class Check(Protocol):
    """One thing that may keep somebody out."""

    async def admit(
        self, channel: ChannelKey, speaker: Speaker, settings: ChannelSettings, *, asks: bool
    ) -> Admission:
        """How far this lets them come.

        `asks` is true when the bot is about to write for them, which counts where it is counted:
        once for a reply that is asked for. Raises StoreError where it cannot know.
        """
        ...


class Gate:
    """Asks every check; whoever objects first decides."""

    def __init__(self, checks: Sequence[Check] = ()) -> None:
        """The checks in order: who is not heard at all comes first."""
        self._checks = tuple(checks)

    async def admit(
        self, channel: ChannelKey, speaker: Speaker, settings: ChannelSettings, *, asks: bool
    ) -> Admission:
        """How far a person comes in a channel with these settings. See :class:`Check`."""
        for check in self._checks:
            admission = await check.admit(channel, speaker, settings, asks=asks)
            if admission.access is not Access.ANSWERED:
                return admission
        return WELCOME
