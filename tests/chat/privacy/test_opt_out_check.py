"""The gate's check for who has opted out."""

from collections.abc import Collection, Sequence
from datetime import datetime

from bot.chat.definitions import ChannelSettings
from bot.chat.limits.gate import Access
from bot.chat.messages import ChannelKey, Speaker
from bot.chat.privacy.staying_out import OptOutCheck

HERE = ChannelKey("discord", "100", guild_id="1")


class Out:
    """Ann has opted out on Discord."""

    async def among(self, platform: str, speaker_ids: Collection[str]) -> frozenset[str]:
        return frozenset(speaker_ids) & {"ann"} if platform == "discord" else frozenset()

    async def since(self, platform: str, speaker_id: str) -> datetime | None:
        raise NotImplementedError

    async def opt_out(self, platform: str, speaker_id: str) -> Sequence[ChannelKey] | None:
        raise NotImplementedError

    async def opt_in(self, platform: str, speaker_id: str) -> Sequence[ChannelKey] | None:
        raise NotImplementedError

    async def withdraw(self, platform: str, speaker_id: str) -> int:
        raise NotImplementedError


async def test_they_are_not_heard_and_told_the_way_back_where_they_use_a_command() -> None:
    check, settings = OptOutCheck(Out()), ChannelSettings()
    for asks in (True, False):
        admission = await check.admit(HERE, Speaker("ann", "Ann"), settings, asks=asks)
        assert admission.access is Access.UNHEARD
        assert "/privacy optin" in admission.notice
        others = await check.admit(HERE, Speaker("ben", "Ben"), settings, asks=asks)
        assert others.access is Access.ANSWERED
