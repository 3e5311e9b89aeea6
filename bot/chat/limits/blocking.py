"""Who is not heard in a guild: moderators have blocked them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from bot.chat.definitions import ChannelSettings
from bot.chat.limits.gate import WELCOME, Access, Admission
from bot.chat.messages import ChannelKey, Speaker

UNHEARD = Admission(Access.UNHEARD)


@dataclass(frozen=True, slots=True)
class Block:
    """Somebody who is not heard in a guild."""

    platform: str
    guild_id: str
    speaker_id: str
    name: str  # as it was when they were blocked, raw
    blocked_by: str
    blocked_at: datetime


class Blocks(Protocol):
    """Who is blocked where. Every process asks anew: a block counts at once in all of them."""

    async def find(self, platform: str, guild_id: str, speaker_id: str) -> Block | None:
        """Somebody's block in a guild."""
        ...

    async def add(self, block: Block) -> Block | None:
        """Block somebody. None when that is done; else the block that there was, unchanged."""
        ...

    async def remove(self, platform: str, guild_id: str, speaker_id: str) -> Block | None:
        """Take a block back; returns what it was, None where there was none."""
        ...

    async def listed(self, platform: str, guild_id: str, *, limit: int = 1000) -> list[Block]:
        """The blocks of a guild, the newest first."""
        ...


class BlockedCheck:
    """Keeps out who is blocked, as if they had said nothing. A :class:`Check`."""

    def __init__(self, blocks: Blocks) -> None:
        """Asked once for everything that somebody says or does."""
        self._blocks = blocks

    async def admit(
        self, channel: ChannelKey, speaker: Speaker, settings: ChannelSettings, *, asks: bool
    ) -> Admission:
        """Unheard where they are blocked; there are no blocks in direct messages."""
        if channel.guild_id is None:
            return WELCOME
        found = await self._blocks.find(channel.platform, channel.guild_id, speaker.speaker_id)
        return WELCOME if found is None else UNHEARD
