"""`rate_limit` and `channel_rate_limit`: how many messages are answered in a minute.

They are counted in memory, each program by itself: every program that serves a bot's account hears
all of its messages, so each has the whole count; a restart forgets a minute at most.
"""

from datetime import datetime

from bot.chat.definitions import ChannelSettings
from bot.chat.limits.gate import WELCOME, Access, Admission, Limit
from bot.chat.limits.windows import Windows
from bot.chat.messages import ChannelKey, Speaker


def home_of(channel: ChannelKey) -> str:
    """Within which somebody's limits hold: a guild, all its channels together; a direct message."""
    return f"{channel.platform}:{channel.guild_id or channel.channel_id}"


class MemberRate(Limit):
    """Bounds what one member is answered."""

    def __init__(self) -> None:
        """Nobody was answered yet."""
        self._windows = Windows()

    async def admit(
        self, channel: ChannelKey, speaker: Speaker, settings: ChannelSettings, *, at: datetime
    ) -> Admission:
        """Whether there is room in their minute."""
        limit = settings.rate_limit
        key = _member(channel, speaker)
        if not limit or self._windows.has_room(key, limit, at):
            return WELCOME
        return Admission(
            Access.UNANSWERED,
            f"That was a lot at once: I answer each member {_times(limit)} a minute. "
            "Please ask again in a minute.",
            about=f"rate of {key}",
        )

    def count(
        self, channel: ChannelKey, speaker: Speaker, settings: ChannelSettings, *, at: datetime
    ) -> None:
        """They are answered."""
        if settings.rate_limit:
            self._windows.count(_member(channel, speaker), at)


class ChannelRate(Limit):
    """Bounds what is answered in one channel."""

    def __init__(self) -> None:
        """Nothing was answered yet."""
        self._windows = Windows()

    async def admit(
        self, channel: ChannelKey, speaker: Speaker, settings: ChannelSettings, *, at: datetime
    ) -> Admission:
        """Whether there is room in the channel's minute."""
        del speaker
        limit = settings.channel_rate_limit
        if not limit or self._windows.has_room(str(channel), limit, at):
            return WELCOME
        return Admission(
            Access.UNANSWERED,
            f"There is a lot to answer here: in this channel I answer {_times(limit)} a minute. "
            "Please ask again in a minute.",
            about=f"rate in {channel}",
        )

    def count(
        self, channel: ChannelKey, speaker: Speaker, settings: ChannelSettings, *, at: datetime
    ) -> None:
        """It is answered."""
        del speaker
        if settings.channel_rate_limit:
            self._windows.count(str(channel), at)


def _member(channel: ChannelKey, speaker: Speaker) -> str:
    return f"{home_of(channel)}:{speaker.speaker_id}"


def _times(limit: int) -> str:
    return "once" if limit == 1 else f"{limit} times"
