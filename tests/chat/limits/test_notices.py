"""A flood over a limit is answered by few lines."""

from datetime import UTC, datetime, timedelta

from bot.chat.limits.gate import Access, Admission
from bot.chat.limits.notices import MOST_A_MINUTE, MOST_IN_MIND, Notices
from bot.chat.messages import ChannelKey

HERE = ChannelKey("discord", "100", guild_id="1")
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


def refused(about: str, *, again: timedelta = timedelta(minutes=1)) -> Admission:
    return Admission(Access.UNANSWERED, "Not now.", about=about, told_again=again)


class Clock:
    now = NOON

    def __call__(self) -> datetime:
        return self.now


def test_fifty_people_get_few_lines_and_each_one_a_minute() -> None:
    clock = Clock()
    notices = Notices(clock)
    told = 0
    for number in range(100):
        told += notices.is_due(HERE, refused(f"rate of {number % 50}"))
    assert told == MOST_A_MINUTE
    assert not notices.is_due(HERE, refused("rate of 0"))
    clock.now += timedelta(minutes=1)
    assert notices.is_due(HERE, refused("rate of 0"))
    assert not notices.is_due(HERE, refused("rate of 0"))


def test_a_quiet_period_is_told_of_once() -> None:
    clock = Clock()
    notices = Notices(clock)
    night = refused("quiet until 7", again=timedelta(hours=8))
    assert [notices.is_due(HERE, night) for _ in range(3)] == [True, False, False]
    clock.now += timedelta(hours=7)
    assert not notices.is_due(HERE, night)
    clock.now += timedelta(hours=1)
    assert notices.is_due(HERE, night)


def test_nothing_to_say_is_said_to_nobody() -> None:
    assert not Notices(Clock()).is_due(HERE, Admission(Access.UNHEARD))


def test_memory_stays_bounded() -> None:
    clock = Clock()
    notices = Notices(clock)
    for number in range(100_000):
        notices.is_due(ChannelKey("discord", str(number)), refused(f"rate of {number}"))
    assert len(notices) <= 2 * MOST_IN_MIND


def test_a_moment_stands_in_the_line_as_it_is_written_there() -> None:
    later = Admission(Access.UNANSWERED, "Again at {until}, {you}.", until=NOON)
    assert later.line(lambda moment: f"<{moment:%H:%M}>") == "Again at <12:00>, {you}."
    assert Admission(Access.UNANSWERED, "At {until}").line(str) == "At {until}"
