"""Where a guild's moderators are told of what happens: a record, and the port that keeps it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class LogChannel:
    """A guild's log channel. With a `problem`, nothing is written there any more."""

    platform: str
    guild_id: str
    channel_id: str
    set_by: str
    set_at: datetime
    problem: str = ""


class LogChannels(Protocol):
    """The log channels of guilds, one each."""

    async def find(self, platform: str, guild_id: str) -> LogChannel | None:
        """A guild's."""
        ...

    async def put(self, log: LogChannel) -> None:
        """Let a guild have this one, in place of any other."""
        ...

    async def remove(self, platform: str, guild_id: str) -> LogChannel | None:
        """Switch a guild's off; returns what it was."""
        ...

    async def fail(self, log: LogChannel, problem: str) -> None:
        """Write no more to it, for this reason. Nothing where the guild has another by now."""
        ...
