"""`daily_tokens`: how much the bot writes for one member in a day.

A day is one of UTC. The count is a guild's, all its channels together, or a direct message's. It is
kept in the database, and so shared by all programs on it and not forgotten at a restart. What is
counted are the tokens of replies, as the engine counted them; a reply that several people asked for
is shared by them. The reply that goes over is written to its end, the next one is refused.
"""

import logging
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Protocol

from bot.chat.definitions import ChannelSettings
from bot.chat.limits.gate import WELCOME, Access, Admission, Limit
from bot.chat.limits.rates import home_of
from bot.chat.messages import ChannelKey, Speaker
from bot.errors import StoreError

TOLD_AGAIN = timedelta(minutes=10)

_log = logging.getLogger(__name__)


class TokenLedger(Protocol):
    """Keeps what was written for whom. `home` is as :func:`~bot.chat.limits.rates.home_of` says."""

    async def spent(self, home: str, speaker_id: str, day: date) -> int:
        """What was written for somebody on a day. Raises StoreError."""
        ...

    async def spend(self, home: str, tokens: Mapping[str, int], day: date) -> None:
        """Add what was written, by speaker. What is of days before goes. Raises StoreError."""
        ...


class DailyTokens(Limit):
    """Keeps everybody's quota."""

    def __init__(self, ledger: TokenLedger, clock: Callable[[], datetime]) -> None:
        """`ledger` keeps the count; `clock` says which day it is."""
        self._ledger = ledger
        self._clock = clock

    async def admit(
        self, channel: ChannelKey, speaker: Speaker, settings: ChannelSettings, *, at: datetime
    ) -> Admission:
        """Whether anything is left of their day. Raises StoreError."""
        del at
        if not settings.daily_tokens:
            return WELCOME
        home, today = home_of(channel), self._today()
        spent = await self._ledger.spent(home, speaker.speaker_id, today)
        if spent < settings.daily_tokens:
            return WELCOME
        return Admission(
            Access.UNANSWERED,
            "You have had all that I write for one member in a day here: "
            f"{settings.daily_tokens:,} tokens. It begins anew at {{until}}.",
            until=datetime.combine(today + timedelta(days=1), time(), UTC),
            about=f"quota of {home}:{speaker.speaker_id}",
            told_again=TOLD_AGAIN,
        )

    async def wrote(
        self, channel: ChannelKey, settings: ChannelSettings, askers: Collection[str], tokens: int
    ) -> None:
        """They share what was written for them. Nothing is kept where there is no quota."""
        if not (settings.daily_tokens and askers and tokens > 0):
            return
        share, rest = divmod(tokens, len(askers))
        shares = {who: share + (at < rest) for at, who in enumerate(sorted(askers))}
        try:
            await self._ledger.spend(home_of(channel), shares, self._today())
        except StoreError as error:
            _log.error("What was written in %s counts for nobody: %s", channel, error)

    def _today(self) -> date:
        return self._clock().astimezone(UTC).date()
