"""Where a guild's moderators are told of what happens: a record, and the port that keeps it."""

from collections.abc import Sequence
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
    untold: int = 0  # lines of which it has only this number


class LogChannels(Protocol):
    """The log channels of guilds, one each."""

    async def find(self, platform: str, guild_id: str) -> LogChannel | None:
        """A guild's."""
        ...

    async def put(self, log: LogChannel) -> None:
        """Let a guild have this one, in place of any other. Its number of lines untold stays."""
        ...

    async def remove(self, platform: str, guild_id: str) -> LogChannel | None:
        """Switch a guild's off; returns what it was."""
        ...

    async def note_problem(self, log: LogChannel, problem: str) -> None:
        """Write no more to it, for this reason ("": write again), unless the guild has another."""
        ...

    async def count_untold(self, platform: str, guild_id: str, more: int) -> None:
        """Count lines that could not be told, or take away (below 0) what has been told of them.

        Nothing where a guild has no log channel.
        """
        ...

    async def with_untold(self, platform: str) -> Sequence[str]:
        """The guilds that are to be told of a number of lines, by their ids."""
        ...
