"""How much is allowed after memory ran out."""

from hypothesis import given
from hypothesis import strategies as st

from bot.engine.local.restraint import CALM_STEPS, CALM_STEPS_LONGEST, Restraint
from bot.engine.local.slots import BLOCK_TOKENS

ROOM = 64 * BLOCK_TOKENS


def calm(restraint: Restraint, steps: int) -> int:
    return sum(restraint.relax() for _ in range(steps))


def test_half_of_what_was_too_much_is_allowed() -> None:
    restraint = Restraint(rows=8, room_tokens=ROOM)
    restraint.tighten(running=6, used_tokens=30 * BLOCK_TOKENS)
    assert (restraint.rows, restraint.room_tokens) == (3, 15 * BLOCK_TOKENS)


def test_more_is_allowed_step_by_step_until_it_is_everything() -> None:
    restraint = Restraint(rows=4, room_tokens=ROOM)
    restraint.tighten(running=4, used_tokens=ROOM)
    assert calm(restraint, 2 * CALM_STEPS - 1) == 0
    assert restraint.relax()
    assert (restraint.rows, restraint.room_tokens) == (3, ROOM // 2 + ROOM // 8)
    assert calm(restraint, 3 * 2 * CALM_STEPS) == 3
    assert (restraint.rows, restraint.room_tokens) == (4, ROOM)
    assert calm(restraint, 10 * CALM_STEPS) == 0


def test_the_wait_is_longer_each_time() -> None:
    restraint = Restraint(rows=4, room_tokens=ROOM)
    restraint.tighten(running=4, used_tokens=ROOM)
    restraint.tighten(running=2, used_tokens=ROOM)
    assert calm(restraint, 4 * CALM_STEPS - 1) == 0
    assert restraint.relax()
    for _ in range(20):
        restraint.tighten(running=2, used_tokens=ROOM)
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
