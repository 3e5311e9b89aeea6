"""A turn on the screen, on a voice that keeps what people see and loses what it is told to."""

import asyncio
import itertools
from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from walls import Outcome, Wall

from cogs.showing.pacing import EditPacer
from cogs.showing.request_budget import RequestBudget, Urgency
from cogs.showing.screen import Post, Screen
from cogs.showing.voice import Controls, Voice

STOP = Controls(1, is_running=True)
DONE = Controls(1, is_running=False)


def screen_of(voice: Voice, own_voice: Voice | None = None, ids: Sequence[str] = ()) -> Screen:
    budget = RequestBudget(limit=1_000_000)
    return Screen(voice, own_voice or voice, EditPacer(0.0), budget, message_ids=ids)


async def bring(screen: Screen, wanted: Sequence[Post], tries: int | None = None) -> None:
    """Make so many tries at a write, or as many as are needed."""
    for _ in itertools.count() if tries is None else range(tries):
        try:
            if not await screen.step(lambda: wanted, Urgency.REPLY, None):
                return
        except ConnectionResetError:
            continue


contents = st.sampled_from("abcd")
all_controls = st.sampled_from([None, STOP, DONE])
pieces = st.builds(Post, contents, all_controls)
screens = st.lists(st.lists(pieces, max_size=3), min_size=1, max_size=6)
outcomes = st.lists(st.sampled_from(Outcome), max_size=12)


@given(screens, st.lists(st.integers(0, 4), max_size=6), outcomes, st.booleans(), st.booleans())
@example([[Post("a", STOP)], [Post("b", DONE)]], [1], [Outcome.UNHEARD], False, False)
@example(
    [[Post("a", None)], [Post("b", None)], [Post("a", None)]],
    [1, 1],
    [Outcome.HEARD, Outcome.UNHEARD],
    False,
    False,
)
def test_in_the_end_people_see_what_is_wanted_and_nothing_twice(
    wanted: list[list[Post]],
    tries: list[int],
    outcomes: list[Outcome],
    says_busy: bool,
    is_another_voice: bool,
) -> None:
    wanted.sort(key=len)  # a text that is written only grows

    async def show() -> None:
        wall = Wall(outcomes)
        own_wall = Wall() if is_another_voice else wall
        screen = screen_of(wall, own_wall)
        if says_busy:
            line = await screen.send_line("busy", STOP, pauses=[0.0] * len(outcomes))
            screen.adopt(line, "busy", STOP)
            if not screen.has(line):
                await screen.delete_line(line)
        for number, those in itertools.zip_longest(tries, wanted[:-1], fillvalue=None):
            await bring(screen, those or [], number or 0)
        await bring(screen, wanted[-1])
        await screen.trim(len(wanted[-1]))
        assert list(wall.seen.values()) == wanted[-1]
        assert is_another_voice <= (not own_wall.seen)
        assert screen.message_ids(9) == [str(number) for number in wall.seen]
        shorter = wanted[-1][:1]
        await screen.trim(1)
        assert list(wall.seen.values()) == shorter

    asyncio.run(show())


@given(outcomes, st.booleans())
def test_buttons_are_set_though_requests_fail(outcomes: list[Outcome], is_known: bool) -> None:
    async def show() -> None:
        wall = Wall()
        before = screen_of(wall)
        await bring(before, [Post("a", DONE)])
        screen = before if is_known else screen_of(wall, ids=before.message_ids(1))
        wall.outcomes = itertools.chain(outcomes, itertools.repeat(Outcome.HEARD))
        for controls in (STOP, DONE, STOP):
            for _ in range(3):
                try:
                    await screen.set_controls(controls)
                except ConnectionResetError:
                    continue
        for _ in outcomes:
            try:
                await screen.set_controls(DONE)
            except ConnectionResetError:
                continue
        await screen.set_controls(DONE)
        assert wall.seen == {1: Post("a", DONE)}

    asyncio.run(show())


async def test_nothing_is_written_that_is_there_already() -> None:
    wall = Wall()
    screen = screen_of(wall)
    await bring(screen, [Post("a", None), Post("b", DONE)])
    await bring(screen, [Post("a", None), Post("b", DONE)])
    await screen.set_controls(DONE)
    assert wall.writes == 2


async def test_a_line_of_another_voice_is_not_taken_for_the_turns_own() -> None:
    wall, own_wall = Wall(), Wall()
    screen = screen_of(wall, own_wall)
    line = await screen.send_line("busy", STOP)
    screen.adopt(line, "busy", STOP)
    assert screen.is_empty
    await bring(screen, [Post("a", DONE)])
    await screen.edit_line(line, "broken")
    assert list(wall.seen.values()) == [Post("a", DONE)]
    assert list(own_wall.seen.values()) == [Post("broken", None)]


async def test_lines_and_messages_are_told_apart_when_they_are_sent_again() -> None:
    wall = Wall([Outcome.UNHEARD, Outcome.UNHEARD, Outcome.HEARD, Outcome.UNHEARD])
    screen = screen_of(wall)
    with pytest.raises(ConnectionResetError):
        await screen.send_line("busy")
    await screen.send_line("broken", pauses=[0.0])
    await bring(screen, [Post("a", None)])
    assert [piece.content for piece in wall.seen.values()] == ["busy", "broken", "a"]
