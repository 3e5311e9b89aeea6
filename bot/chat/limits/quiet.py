"""`quiet_hours`: when the bot answers nobody. What is asked then is not answered afterwards."""

from collections.abc import Callable
from datetime import datetime

from bot.chat.definitions import ChannelSettings
from bot.chat.limits.gate import WELCOME, Access, Admission, Limit
from bot.chat.messages import ChannelKey, Speaker
from bot.chat.text import quiet_hours


class Quiet(Limit):
    """Keeps quiet hours.

    A reply that is asked for before they begin is written to its end.
    """

    def __init__(self, clock: Callable[[], datetime]) -> None:
        """`clock` tells the time."""
        self._clock = clock

    async def admit(
        self, channel: ChannelKey, speaker: Speaker, settings: ChannelSettings, *, at: datetime
    ) -> Admission:
        """Whether it is quiet now, or was when they asked: then there is nothing more to say."""
        del speaker
        if not settings.quiet_hours:
            return WELCOME
        try:
            hours = quiet_hours.parse(settings.quiet_hours)
        except ValueError:  # the owner's, of before it was checked
            return WELCOME
        now = self._clock()
        if hours.covers(now):
            until = hours.next_end(now)
            return Admission(
                Access.UNANSWERED,
                "It is quiet hours here: I answer again from {until}.",
                until=until,
                about=f"quiet hours in {channel} until {until.isoformat()}",
                told_again=until - now,
            )
        return Admission(Access.UNANSWERED) if hours.covers(at) else WELCOME

    def count(
        self, channel: ChannelKey, speaker: Speaker, settings: ChannelSettings, *, at: datetime
    ) -> None:
        """Counts nothing."""
