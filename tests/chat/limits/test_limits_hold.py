"""Rates and quotas at the gate: never more than they allow, whoever asks, wherever, whenever."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from bot.chat.definitions import ChannelSettings
from bot.chat.limits.gate import Access, Gate
from bot.chat.limits.making import make_gate
from bot.chat.limits.windows import WINDOW_SECONDS
from bot.chat.messages import ChannelKey, Speaker

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
CHANNELS = [ChannelKey("discord", str(number), guild_id=str(number // 2)) for number in range(4)]
PEOPLE = [Speaker(name, name.title()) for name in ("ann", "ben", "cleo")]
ZONES = ("UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago", "Europe/Berlin", "America/St_Johns")


class Ledger:
    """What was written, in memory: one for as many gates as there are processes."""

    def __init__(self) -> None:
        self.tokens: Counter[tuple[str, str, date]] = Counter()

    async def spent(self, home: str, speaker_id: str, day: date) -> int:
        return self.tokens[home, speaker_id, day]

    async def spend(self, home: str, tokens: Mapping[str, int], day: date) -> None:
        for speaker_id, count in tokens.items():
            self.tokens[home, speaker_id, day] += count


asked = st.lists(
    st.tuples(
        st.integers(0, 25),  # seconds since the last one
        st.integers(0, 59),  # seconds that it comes late
        st.sampled_from(PEOPLE),
        st.sampled_from(CHANNELS),
    ),
    max_size=60,
)


@given(asked=asked, rate=st.integers(0, 4), channel_rate=st.integers(0, 4))
def test_nobody_and_no_channel_is_answered_more_often_in_any_minute(
    asked: Sequence[tuple[int, int, Speaker, ChannelKey]], rate: int, channel_rate: int
) -> None:
    settings = ChannelSettings.model_validate(
        {"rate_limit": rate, "channel_rate_limit": channel_rate}
    )
    now = NOON
    gate = make_gate(Ledger(), lambda: now)
    answered: list[tuple[datetime, str, str]] = []

    def most(
        of: Callable[[tuple[datetime, str, str]], str], extra: tuple[datetime, str, str]
    ) -> int:
        """Within any minute with `extra`, of its own."""
        times = [one[0] for one in (*answered, extra) if of(one) == of(extra)]
        minute = timedelta(seconds=WINDOW_SECONDS)
        return max(sum(start <= each < start + minute for each in times) for start in times)

    async def ask_all() -> None:
        nonlocal now
        for step, late, who, channel in asked:
            now += timedelta(seconds=step)
            at = now - timedelta(seconds=late)
            admission = await gate.admit(channel, who, settings, asks=True, at=at)
            one = at, f"{who.speaker_id} in {channel.guild_id}", channel.channel_id
            fits = (not rate or most(lambda each: each[1], one) <= rate) and (
                not channel_rate or most(lambda each: each[2], one) <= channel_rate
            )
            assert (admission.access is Access.ANSWERED) == fits
            if fits:
                answered.append(one)

    asyncio.run(ask_all())


replies = st.lists(
    st.tuples(
        st.integers(0, 40_000),  # seconds since the last one
        st.sampled_from(ZONES),  # where the clock of the machine stands
        st.sampled_from(PEOPLE),
        st.sampled_from(CHANNELS),
        st.integers(0, 1),  # which process answers
        st.integers(1, 60),  # tokens
    ),
    max_size=40,
)


@given(replies=replies, quota=st.integers(1, 150))
def test_a_days_tokens_are_shared_by_processes_and_begin_anew_at_midnight(
    replies: Sequence[tuple[int, str, Speaker, ChannelKey, int, int]], quota: int
) -> None:
    settings = ChannelSettings.model_validate({"daily_tokens": quota, "rate_limit": 0})
    now, ledger = NOON, Ledger()
    processes: Sequence[Gate] = [make_gate(ledger, lambda: now) for _ in range(2)]
    written: Counter[tuple[date, str | None, str]] = Counter()

    async def ask_all() -> None:
        nonlocal now
        for step, zone, who, channel, process, tokens in replies:
            now = (now + timedelta(seconds=step)).astimezone(ZoneInfo(zone))
            gate = processes[process]
            admission = await gate.admit(channel, who, settings, asks=True, at=now)
            today = now.astimezone(UTC).date()
            day = today, channel.guild_id, who.speaker_id
            assert (admission.access is Access.ANSWERED) == (written[day] < quota)
            if admission.access is Access.ANSWERED:
                await gate.wrote(channel, settings, {who.speaker_id}, tokens)
                written[day] += tokens
                # The reply that goes over is written to its end, and is the last one.
                assert written[day] < quota + tokens
            else:
                assert admission.until is not None
                assert admission.until.astimezone(UTC).date() == today + timedelta(days=1)
                assert now < admission.until <= now + timedelta(days=1)

    asyncio.run(ask_all())


@given(
    askers=st.sets(st.sampled_from(["ann", "ben", "cleo", "dan"]), min_size=1),
    tokens=st.integers(0, 1_000),
)
def test_who_asked_together_pays_together_and_nothing_is_lost(
    askers: set[str], tokens: int
) -> None:
    ledger = Ledger()
    gate = make_gate(ledger, lambda: NOON)
    settings = ChannelSettings.model_validate({"daily_tokens": 100})
    asyncio.run(gate.wrote(CHANNELS[0], settings, askers, tokens))
    shares = list(ledger.tokens.values())
    assert sum(shares) == tokens
    assert not shares or max(shares) - min(shares) <= 1
