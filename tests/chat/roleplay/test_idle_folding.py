"""When summaries are folded: in quiet channels, one step at a time, and after failures later."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from bot.chat.messages import ChannelKey
from bot.chat.roleplay.memory.folder import Folded
from bot.chat.roleplay.memory.idle import (
    FIRST_WAIT_SECONDS,
    LONGEST_WAIT_SECONDS,
    IdleFolding,
    wait_after,
)
from bot.errors import EngineFailed, StoreError

HERE, THERE = ChannelKey("discord", "1"), ChannelKey("discord", "2")
MOMENT = 0.005
NEVER = 3600.0


class Model:
    """What is folded, and what comes of it: DONE so often, then NOTHING."""

    def __init__(self) -> None:
        self.steps: list[ChannelKey] = []
        self.left: dict[ChannelKey, int] = {}
        self.outcomes: list[Folded | Exception] = []
        self.unfinished: list[ChannelKey] = []
        self.changed = asyncio.Condition()

    async def fold(self, channel: ChannelKey) -> Folded:
        self.steps.append(channel)
        async with self.changed:
            self.changed.notify_all()
        if self.outcomes:
            outcome = self.outcomes.pop(0)
            if isinstance(outcome, Exception):
                raise outcome
            return outcome
        self.left[channel] = self.left.get(channel, 0) - 1
        return Folded.DONE if self.left[channel] > 0 else Folded.NOTHING

    async def look(self) -> list[ChannelKey]:
        return self.unfinished

    async def after(self, steps: int) -> list[ChannelKey]:
        """The steps, once there are so many."""
        async with asyncio.timeout(10), self.changed:
            await self.changed.wait_for(lambda: len(self.steps) >= steps)
        return self.steps


Maker = Callable[[float], IdleFolding]


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture
async def begin(model: Model) -> AsyncIterator[Maker]:
    begun: list[IdleFolding] = []

    def make(quiet_seconds: float) -> IdleFolding:
        folding = IdleFolding(model.fold, model.look, quiet_seconds=quiet_seconds)
        folding.start()
        begun.append(folding)
        return folding

    yield make
    for folding in begun:
        await folding.close()


async def test_a_quiet_channel_is_folded_to_the_end(model: Model, begin: Maker) -> None:
    model.left = {HERE: 3}
    begin(MOMENT).stir(HERE)
    assert await model.after(3) == [HERE, HERE, HERE]


async def test_channels_take_turns(model: Model, begin: Maker) -> None:
    model.left = {HERE: 3, THERE: 3}
    folding = begin(MOMENT)
    folding.stir(HERE)
    folding.stir(THERE)
    assert (await model.after(6))[:4] == [HERE, THERE, HERE, THERE]


async def test_where_people_talk_nothing_is_folded(model: Model, begin: Maker) -> None:
    folding = begin(0.2)
    for _ in range(5):
        folding.stir(HERE)
        await asyncio.sleep(0.02)
    assert model.steps == []
    assert await model.after(1) == [HERE]


@pytest.mark.parametrize("outcome", [Folded.GAVE_WAY, Folded.CHANGED])
async def test_what_gave_way_or_was_thrown_away_is_done_again(
    model: Model, begin: Maker, outcome: Folded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.chat.roleplay.memory.idle.FIRST_WAIT_SECONDS", MOMENT)
    model.outcomes = [outcome]
    begin(MOMENT).stir(HERE)
    assert await model.after(2) == [HERE, HERE]


async def test_a_failure_is_tried_again_later_and_holds_up_nobody_else(
    model: Model,
    begin: Maker,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("bot.chat.roleplay.memory.idle.FIRST_WAIT_SECONDS", MOMENT)
    model.outcomes = [EngineFailed("It broke."), StoreError("It is away."), Folded.NOTHING]
    begin(MOMENT).stir(HERE)
    assert await model.after(3) == [HERE, HERE, HERE]
    assert caplog.text.count("is tried again in") == 2


def test_each_failure_in_a_row_waits_twice_as_long() -> None:
    waits = [wait_after(failures) for failures in range(1, 100)]
    assert waits[:3] == [FIRST_WAIT_SECONDS, 2 * FIRST_WAIT_SECONDS, 4 * FIRST_WAIT_SECONDS]
    assert max(waits) == LONGEST_WAIT_SECONDS


async def test_what_the_last_run_left_is_gone_on_with(model: Model, begin: Maker) -> None:
    model.unfinished = [HERE, THERE]
    begin(MOMENT)
    assert sorted(map(str, await model.after(2))) == ["discord:1", "discord:2"]


async def test_closing_breaks_off_a_step(model: Model) -> None:
    begun = asyncio.Event()

    async def fold(channel: ChannelKey) -> Folded:
        begun.set()
        await asyncio.sleep(NEVER)
        return Folded.DONE

    folding = IdleFolding(fold, model.look, quiet_seconds=0)
    folding.start()
    folding.stir(HERE)
    await begun.wait()
    await folding.close()
    folding.stir(HERE)  # nobody is there any more


async def test_a_fault_of_ours_is_logged(
    model: Model, begin: Maker, caplog: pytest.LogCaptureFixture
) -> None:
    model.outcomes = [ZeroDivisionError("a bug")]
    begin(MOMENT).stir(HERE)
    await model.after(1)
    async with asyncio.timeout(10):
        while "folded no more" not in caplog.text:  # noqa: ASYNC110 - no event for it
            await asyncio.sleep(MOMENT)
    assert "a bug" in caplog.text
