"""Who is admitted, who is in the next step, and how much is allowed after memory ran out."""

from collections import Counter, defaultdict
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from bot.engine.local.scheduler import (
    CALM_STEPS,
    CALM_STEPS_LONGEST,
    Job,
    Restraint,
    Scheduler,
    Work,
)
from bot.engine.local.slots import BLOCK_TOKENS

ROOM = 100
MACHINE_ROOM = 64 * BLOCK_TOKENS


def job(number: int, channel: str = "", user: str = "", prompt: int = 3, room: int = 10) -> Job:
    return Job(number, channel or f"c{number}", user or f"u{number}", prompt, room)


def scheduler(rows: int = 4, room: int = ROOM, chunk: int = 8) -> Scheduler:
    return Scheduler(rows=rows, room_tokens=room, chunk_tokens=chunk)


def numbers(jobs: list[Job]) -> list[int]:
    return [job.number for job in jobs]


@dataclass
class Arrival:
    """A request of a random history, and how long it runs once admitted."""

    job: Job
    at_round: int
    rounds: int


arrivals = st.lists(
    st.builds(
        lambda channel, user, room, at, rounds: (f"c{channel}", f"u{user}", room, at, rounds),
        st.integers(0, 5),
        st.integers(0, 3),
        st.integers(1, ROOM),
        st.integers(0, 20),
        st.integers(1, 5),
    ),
    max_size=30,
)


@given(arrivals, st.integers(1, 4))
def test_whatever_comes_every_request_runs_once_within_room_rows_and_channels(
    history: list[tuple[str, str, int, int, int]], rows: int
) -> None:
    plan = scheduler(rows)
    coming = [
        Arrival(Job(number, channel, user, 1, room), at, rounds)
        for number, (channel, user, room, at, rounds) in enumerate(history)
    ]
    left: dict[int, int] = {}
    rounds_of = {arrival.job.number: arrival.rounds for arrival in coming}
    jobs = {arrival.job.number: arrival.job for arrival in coming}
    served: Counter[int] = Counter()
    for now in range(21 + 5 * len(coming)):
        for arrival in coming:
            if arrival.at_round == now:
                plan.add(arrival.job)
        for admitted in plan.admit():
            served[admitted.number] += 1
            left[admitted.number] = rounds_of[admitted.number]
        running = [jobs[number] for number in left]
        assert len(running) == plan.running <= rows
        assert sum(job.room_tokens for job in running) == plan.reserved_tokens <= ROOM
        assert len({job.channel for job in running}) == len(running)
        for number in list(left):
            left[number] -= 1
            if not left[number]:
                del left[number]
                plan.remove(number)
    assert served == Counter(list(jobs))
    assert plan.waiting == plan.running == 0


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 40)), min_size=1, max_size=40))
def test_one_at_a_time_users_are_taken_in_turn(waiting: list[tuple[int, int]]) -> None:
    plan = scheduler(rows=1)
    queues: dict[str, list[int]] = defaultdict(list)
    for number, (user, channel) in enumerate(waiting):
        plan.add(job(number, f"c{channel}", f"u{user}"))
        queues[f"u{user}"].append(number)
    order: list[int] = []
    while (admitted := plan.admit()) != []:
        order += numbers(admitted)
        plan.remove(admitted[0].number)
    expected: list[int] = []
    while any(queues.values()):
        expected += [queue.pop(0) for queue in queues.values() if queue]
    assert order == expected


def test_a_user_with_many_requests_waits_for_the_others_turn() -> None:
    plan = scheduler(rows=1)
    for number in range(5):
        plan.add(job(number, user="busy"))
    assert numbers(plan.admit()) == [0]
    plan.add(job(9, user="quiet"))
    plan.remove(0)
    assert numbers(plan.admit()) == [1]  # the busy one stood there first
    plan.remove(1)
    assert numbers(plan.admit()) == [9]


def test_a_busy_channel_is_passed_over_and_keeps_its_place() -> None:
    plan = scheduler(rows=2)
    plan.add(job(1, "a", "x"))
    plan.add(job(2, "a", "y"))
    plan.add(job(3, "b", "z"))
    plan.add(job(4, "c", "w"))
    assert numbers(plan.admit()) == [1, 3]
    plan.remove(1)
    assert numbers(plan.admit()) == [2]


def test_a_large_request_whose_turn_it_is_is_not_overtaken() -> None:
    plan = scheduler()
    plan.add(job(1, room=60))
    plan.add(job(2, room=80))
    plan.add(job(3, room=5))
    assert numbers(plan.admit()) == [1]
    assert plan.admit() == []
    plan.remove(1)
    assert numbers(plan.admit()) == [2, 3]


def test_what_waits_can_be_removed() -> None:
    plan = scheduler(rows=1)
    for number in (1, 2, 3):
        plan.add(job(number))
    plan.admit()
    plan.remove(2)
    plan.remove(2)
    plan.remove(77)
    assert plan.waiting == 1
    plan.remove(1)
    assert numbers(plan.admit()) == [3]


def test_prompts_are_computed_in_pieces_while_the_others_write_on() -> None:
    plan = scheduler(chunk=8)
    plan.add(job(1, prompt=5))
    plan.add(job(2, prompt=20))
    plan.admit()
    steps: list[list[Work]] = []
    for _ in range(4):
        step = plan.plan()
        for work in step:
            plan.advance(work)
        steps.append(step)
    assert steps[0] == [Work(1, 0, 5, chooses=True), Work(2, 0, 3, chooses=False)]
    assert steps[1] == [Work(1, 5, 1, chooses=True), Work(2, 3, 8, chooses=False)]
    assert steps[2] == [Work(1, 6, 1, chooses=True), Work(2, 11, 8, chooses=False)]
    assert steps[3] == [Work(1, 7, 1, chooses=True), Work(2, 19, 1, chooses=True)]


def prompt_tokens(writing: int, arriving: int, rows: int = 64) -> int:
    """How much of the prompts is computed in the step after so many came."""
    plan = scheduler(rows=rows, room=100_000, chunk=2048)
    for number in range(writing + arriving):
        if number == writing:
            for work in step_all(plan):
                assert work.chooses
        plan.add(job(number, prompt=3 if number < writing else 1500))
    plan.admit()
    return sum(work.count for work in plan.plan() if work.count > 1)


def step_all(plan: Scheduler) -> list[Work]:
    plan.admit()
    done = plan.plan()
    for work in done:
        plan.advance(work)
    return done


def test_prompts_come_in_short_pieces_only_while_somebody_writes_and_few_wait() -> None:
    assert prompt_tokens(writing=0, arriving=1) == 1500
    assert prompt_tokens(writing=0, arriving=4) == 2048
    assert prompt_tokens(writing=1, arriving=1) == 512
    assert prompt_tokens(writing=8, arriving=4) == 512
    assert prompt_tokens(writing=8, arriving=5) == 2048
    assert prompt_tokens(writing=2, arriving=2) == 2048
    assert prompt_tokens(writing=8, arriving=12, rows=10) == 2048  # most of them in the queue


def test_what_is_cached_is_not_computed_again() -> None:
    plan = scheduler()
    plan.add(job(1, prompt=5))
    plan.admit()
    plan.skip(1, 4)
    assert plan.plan() == [Work(1, 4, 1, chooses=True)]
    assert plan.computed(1) == 4


def test_those_put_back_are_the_next_with_all_that_they_wrote_as_their_prompt() -> None:
    plan = scheduler(rows=2)
    for number in (1, 2, 3):
        plan.add(job(number))
    plan.admit()
    for work in plan.plan():
        plan.advance(work)
    plan.put_back()
    assert (plan.running, plan.waiting, plan.reserved_tokens) == (0, 3, 0)
    plan.rows = 1
    assert plan.admit() == [job(1, prompt=4)]
    assert plan.plan() == [Work(1, 0, 4, chooses=True)]
    plan.put_back()
    plan.remove(1)
    plan.rows = 3
    assert numbers(plan.admit()) == [2, 3]


def test_a_request_alone_runs_however_little_is_allowed() -> None:
    plan = scheduler()
    plan.add(job(1, room=60))
    plan.add(job(2, room=5))
    plan.room_tokens = 10
    assert numbers(plan.admit()) == [1]
    assert plan.alone == 1
    plan.remove(1)
    assert numbers(plan.admit()) == [2]


def calm(restraint: Restraint, steps: int) -> int:
    return sum(restraint.relax() for _ in range(steps))


def test_half_of_what_was_too_much_is_allowed() -> None:
    restraint = Restraint(rows=8, room_tokens=MACHINE_ROOM)
    restraint.tighten(running=6, used_tokens=30 * BLOCK_TOKENS)
    assert (restraint.rows, restraint.room_tokens) == (3, 15 * BLOCK_TOKENS)


def test_more_is_allowed_step_by_step_until_it_is_everything() -> None:
    restraint = Restraint(rows=4, room_tokens=MACHINE_ROOM)
    restraint.tighten(running=4, used_tokens=MACHINE_ROOM)
    assert calm(restraint, 2 * CALM_STEPS - 1) == 0
    assert restraint.relax()
    assert (restraint.rows, restraint.room_tokens) == (3, MACHINE_ROOM // 2 + MACHINE_ROOM // 8)
    assert calm(restraint, 3 * 2 * CALM_STEPS) == 3
    assert (restraint.rows, restraint.room_tokens) == (4, MACHINE_ROOM)
    assert calm(restraint, 10 * CALM_STEPS) == 0


def test_the_wait_is_longer_each_time() -> None:
    restraint = Restraint(rows=4, room_tokens=MACHINE_ROOM)
    restraint.tighten(running=4, used_tokens=MACHINE_ROOM)
    restraint.tighten(running=2, used_tokens=MACHINE_ROOM)
    assert calm(restraint, 4 * CALM_STEPS - 1) == 0
    assert restraint.relax()
    for _ in range(20):
        restraint.tighten(running=2, used_tokens=MACHINE_ROOM)
    assert calm(restraint, CALM_STEPS_LONGEST) == 1


@given(
    st.integers(1, 9),
    st.integers(1, 40),
    st.lists(st.one_of(st.none(), st.tuples(st.integers(1, 9), st.integers(0, 40))), max_size=30),
)
def test_something_is_always_allowed_and_never_more_than_there_is(
    rows: int, blocks: int, history: list[tuple[int, int] | None]
) -> None:
    restraint = Restraint(rows=rows, room_tokens=blocks * BLOCK_TOKENS)
    for event in history:
        if event is None:
            calm(restraint, 3 * CALM_STEPS)
        else:
            restraint.tighten(running=event[0], used_tokens=event[1] * BLOCK_TOKENS)
            assert restraint.rows == 1 or restraint.rows < event[0]
        assert 1 <= restraint.rows <= rows
        assert BLOCK_TOKENS <= restraint.room_tokens <= blocks * BLOCK_TOKENS
        assert restraint.room_tokens % BLOCK_TOKENS == 0
