"""Who may write when more want to than can."""

import asyncio
from contextlib import AsyncExitStack

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from bot.engine.llamacpp.admission import Admission
from bot.engine.local.scheduler import Job
from bot.errors import EngineUnavailable


def job(number: int, channel: str = "", user: str = "", room: int = 10) -> Job:
    return Job(number, channel or f"c{number}", user or f"u{number}", room // 2, room)


class Writers:
    """Requests that stay until they are told to go."""

    def __init__(self, admission: Admission) -> None:
        self.admission = admission
        self.order: list[int] = []
        self.slots: dict[int, int] = {}
        self._go: dict[int, asyncio.Event] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}

    async def come(self, one: Job) -> None:
        self._go[one.number] = asyncio.Event()
        self._tasks[one.number] = asyncio.create_task(self._stay(one))
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    async def go(self, number: int) -> None:
        self._go[number].set()
        await self._tasks[number]
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    async def cancel(self, number: int) -> None:
        self._tasks[number].cancel()
        await asyncio.wait([self._tasks[number]])
        await asyncio.sleep(0)

    async def _stay(self, one: Job) -> None:
        async with self.admission.place(one) as slot:
            self.order.append(one.number)
            self.slots[one.number] = slot
            await self._go[one.number].wait()


async def test_users_are_taken_in_turn() -> None:
    writers = Writers(Admission(slots=1, room_tokens=100, share_tokens=10))
    await writers.come(job(1, user="a"))
    for number in (2, 3):
        await writers.come(job(number, user="a"))
    await writers.come(job(4, user="b"))
    assert writers.admission.waiting == 3
    for number in (1, 2, 4, 3):
        await writers.go(number)
    assert writers.order == [1, 2, 4, 3]


async def test_a_channel_writes_one_reply_at_a_time() -> None:
    writers = Writers(Admission(slots=2, room_tokens=100, share_tokens=10))
    await writers.come(job(1, channel="c", user="a"))
    await writers.come(job(2, channel="c", user="b"))
    await writers.come(job(3, channel="d", user="c"))
    assert writers.order == [1, 3]
    await writers.go(1)
    assert writers.slots[2] == writers.slots[1]
    await writers.go(2)
    await writers.go(3)


async def test_room_is_waited_for_and_nobody_overtakes_meanwhile() -> None:
    writers = Writers(Admission(slots=4, room_tokens=100, share_tokens=10))
    await writers.come(job(1, room=70))
    await writers.come(job(2, room=60))
    await writers.come(job(3, room=10))
    assert writers.order == [1]
    await writers.go(1)
    assert writers.order == [1, 2, 3]
    await writers.go(2)
    await writers.go(3)


async def test_who_gives_up_makes_room_waiting_or_writing() -> None:
    writers = Writers(Admission(slots=1, room_tokens=100, share_tokens=10))
    await writers.come(job(1))
    await writers.come(job(2))
    await writers.come(job(3))
    await writers.cancel(2)
    await writers.cancel(1)
    assert writers.order == [1, 3]
    await writers.go(3)
    assert (writers.admission.running, writers.admission.waiting) == (0, 0)


async def test_who_gives_up_as_its_turn_comes_lets_the_next_one_in() -> None:
    writers = Writers(Admission(slots=1, room_tokens=100, share_tokens=10))
    for number in (1, 2, 3):
        await writers.come(job(number))
    tasks = [writers._tasks[1], writers._tasks[2]]
    for task in tasks:  # the first leaves its place to the second, which has given up by then
        task.cancel()
    await asyncio.wait(tasks)
    assert all(task.cancelled() for task in tasks)
    await asyncio.sleep(0)
    await writers.go(3)
    assert writers.order == [1, 3]
    assert (writers.admission.running, writers.admission.waiting) == (0, 0)


async def test_who_waits_at_the_end_is_told() -> None:
    admission = Admission(slots=1, room_tokens=100, share_tokens=10)
    writers = Writers(admission)
    await writers.come(job(1))
    waiting = asyncio.create_task(_enter(admission, job(2)))
    await asyncio.sleep(0)
    admission.close(EngineUnavailable("The engine was stopped."))
    with pytest.raises(EngineUnavailable):
        await waiting
    await writers.go(1)
    assert (admission.running, admission.waiting) == (0, 0)


async def _enter(admission: Admission, one: Job) -> None:
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(admission.place(one))


@settings(max_examples=40)
@given(
    st.integers(1, 3),
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xy")), max_size=12),
    st.randoms(use_true_random=False),
)
async def test_all_come_to_their_turn_each_in_a_slot_of_its_own(
    slots: int, requests: list[tuple[str, str]], random: object
) -> None:
    admission = Admission(slots, room_tokens=1000, share_tokens=10)
    writers = Writers(admission)
    for number, (channel, user) in enumerate(requests):
        await writers.come(job(number, channel, user))
    gone: set[int] = set()
    while len(gone) < len(requests):
        inside = [number for number in writers.order if number not in gone]
        assert inside
        assert len({writers.slots[number] for number in inside}) == len(inside) <= slots
        assert len({requests[number][0] for number in inside}) == len(inside)
        leaving = random.choice(inside)  # type: ignore[attr-defined]
        await writers.go(leaving)
        gone.add(leaving)
    assert sorted(writers.order) == list(range(len(requests)))
