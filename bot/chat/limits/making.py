"""The gate with everything that this room has to object."""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime

from bot.chat.limits.ages import OWNERS_PLATFORMS
from bot.chat.limits.bots import BotChain
from bot.chat.limits.gate import Check, Gate
from bot.chat.limits.quiet import Quiet
from bot.chat.limits.quota import DailyTokens, TokenLedger
from bot.chat.limits.rates import ChannelRate, MemberRate
from bot.chat.limits.roles import RoleLists
from bot.chat.messages import ChannelKey, Speaker


def make_gate(
    ledger: TokenLedger,
    clock: Callable[[], datetime],
    *,
    owners: Collection[str] = (),
    always: Sequence[Check] = (),
    checks: Sequence[Check] = (),
) -> Gate:
    """Roles, quiet hours, quotas and rates, after the `checks` of others.

    `owners` are the bot's owner's accounts, each as `platform:id`: nothing of it bounds them, but
    `always` does.
    """

    def is_owner(channel: ChannelKey, speaker: Speaker) -> bool:
        if channel.platform in OWNERS_PLATFORMS:
            return True
        return f"{channel.platform}:{speaker.speaker_id}" in owners

    return Gate(
        (*checks, RoleLists()),
        always=always,
        # What is told for longest comes first; who only waits a minute may then ask again.
        limits=(Quiet(clock), DailyTokens(ledger, clock), BotChain(), ChannelRate(), MemberRate()),
        is_owner=is_owner,
    )
