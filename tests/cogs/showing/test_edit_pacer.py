"""When a channel's messages may be written: pure, on a clock of the test's own."""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogs.showing.pacing import KEPT_PACERS, EditPacer, Pacers

Steps = st.lists(st.tuples(st.booleans(), st.floats(0, 3), st.floats(0, 2)), max_size=40)


@given(Steps)
def test_edits_are_an_interval_apart_whatever_comes(
    steps: list[tuple[bool, float, float]],
) -> None:
    now = 100.0
    pacer = EditPacer(1.0, lambda: now)
    edits: list[float] = []
    sends: list[float] = []
    for is_edit, pause, others_first in steps:
        delay = pacer.claim_edit() if is_edit else pacer.claim_send()
        assert delay >= 0
        now += delay + others_first
        pacer.wrote(edit=is_edit)
        (edits if is_edit else sends).append(now)
        now += pause
    assert all(later - earlier >= 0.999 for earlier, later in pairwise(edits))
    assert all(later - earlier >= 0.999 for earlier, later in pairwise(sends))


def test_moments_claimed_ahead_are_apart_too() -> None:
    pacer = EditPacer(1.0, lambda: 5.0)
    assert [pacer.claim_edit() for _ in range(3)] == [0, 1, 2]


def test_the_first_write_waits_for_nothing() -> None:
    pacer = EditPacer(1.0, lambda: 5.0)
    assert pacer.claim_send() == 0
    assert pacer.claim_edit() == 1.0


def test_a_new_message_does_not_wait_for_an_edit() -> None:
    pacer = EditPacer(1.0, lambda: 5.0)
    assert pacer.claim_edit() == 0
    assert pacer.claim_send() == 0


def test_pacers_of_quiet_channels_are_forgotten() -> None:
    pacers = Pacers(0.0)
    for channel_id in range(KEPT_PACERS * 10):
        pacers.of(channel_id).claim_edit()
    assert len(pacers._pacers) <= KEPT_PACERS + 1
    kept = Pacers(1000.0)
    busy = kept.of(1)
    busy.claim_edit()
    for channel_id in range(2, KEPT_PACERS * 2):
        kept.of(channel_id)
    assert kept.of(1) is busy


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 3)), min_size=1, max_size=8))
def test_who_wakes_late_holds_up_whoever_follows(turns: list[tuple[bool, float]]) -> None:
    """On a busy machine a wait takes longer than it was to: the next one must not catch up."""
    clock, sleeping = [0.0], list[tuple[float, float, asyncio.Future[None]]]()
    pacer = EditPacer(1.0, lambda: clock[0])
    written: list[tuple[float, bool]] = []
    lateness = iter([late for _, late in turns])

    async def sleep(delay: float) -> None:
        woken = asyncio.get_running_loop().create_future()
        sleeping.append((clock[0] + delay, next(lateness, 0.0), woken))
        await woken

    async def write(is_edit: bool) -> None:
        await pacer.turn(edit=is_edit)
        written.append((clock[0], is_edit))

    async def write_all(real_sleep: Callable[[float], Awaitable[None]]) -> None:
        writes = [asyncio.create_task(write(is_edit)) for is_edit, _ in turns]
        while len(written) < len(turns):
            for _ in range(3):
                await real_sleep(0)
            if sleeping:
                due, late, woken = min(sleeping, key=lambda one: one[0] + one[1])
                sleeping.remove((due, late, woken))
                clock[0] = max(clock[0], due + late)
                woken.set_result(None)
        await asyncio.gather(*writes)

    with pytest.MonkeyPatch.context() as patch:
        real_sleep = asyncio.sleep
        patch.setattr(asyncio, "sleep", sleep)
        asyncio.run(write_all(real_sleep))
    sends = [at for at, is_edit in written if not is_edit]
    assert all(later - earlier > 0.998 for earlier, later in pairwise(sends))
    for (earlier, _), (later, is_edit) in pairwise(written):
        assert not is_edit or later - earlier > 0.998
