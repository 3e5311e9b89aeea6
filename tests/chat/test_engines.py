"""Which engine is asked: by what they say of themselves, and by what is seen of them."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.chat.engines import (
    CALM_SECONDS,
    FAILURES_IN_A_ROW,
    REST_SECONDS,
    Engines,
    NamedEngine,
    choose,
)
from bot.engine.api import (
    Chunk,
    EngineState,
    EngineStatus,
    FinishReason,
    GenerationRequest,
)
from bot.engine.fake import FakeEngine
from bot.errors import EngineError, ModelError, RemoteEngineError, RequestTooLarge

REQUEST = GenerationRequest("Say something.", channel="1", user="1")
LIMIT = 30.0

states = st.sampled_from(EngineState)
waits = st.floats(0, 1000, allow_nan=False)
statuses = st.lists(
    st.builds(EngineStatus, states, st.just("some"), expected_wait_seconds=waits),
    min_size=1,
    max_size=4,
)
failing = st.sets(st.integers(0, 3))


def is_up(place: int, given: list[EngineStatus], down: set[int]) -> bool:
    return given[place].state is EngineState.READY and place not in down


@given(statuses, waits, failing)
def test_one_that_is_up_is_chosen_where_there_is_one(
    given: list[EngineStatus], limit: float, down: set[int]
) -> None:
    place = choose(given, limit, down)
    up = [at for at in range(len(given)) if is_up(at, given, down)]
    assert place in up or not up


@given(statuses, waits, failing)
def test_nobody_is_passed_over_who_is_up_and_quick_enough(
    given: list[EngineStatus], limit: float, down: set[int]
) -> None:
    place = choose(given, limit, down)
    for before in range(place):
        quick = given[before].expected_wait_seconds <= limit
        assert not (is_up(before, given, down) and quick)


@given(statuses, waits, failing)
def test_too_long_a_wait_is_chosen_only_where_every_other_is_as_long(
    given: list[EngineStatus], limit: float, down: set[int]
) -> None:
    place = choose(given, limit, down)
    wait = given[place].expected_wait_seconds
    if is_up(place, given, down) and wait > limit:
        for other, status in enumerate(given):
            assert not is_up(other, given, down) or status.expected_wait_seconds >= wait


@given(statuses, waits, failing)
def test_one_that_has_ended_is_chosen_only_where_all_have(
    given: list[EngineStatus], limit: float, down: set[int]
) -> None:
    place = choose(given, limit, down)
    if given[place].state is EngineState.STOPPED:
        assert place == 0
        assert {status.state for status in given} == {EngineState.STOPPED}


@given(st.builds(EngineStatus, states, st.just("some"), expected_wait_seconds=waits), waits)
def test_a_single_engine_is_always_chosen(status: EngineStatus, limit: float) -> None:
    assert choose([status], limit) == choose([status], limit, {0}) == 0


class Clock:
    """A time that stands still."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Moody(FakeEngine):
    """An engine that says of itself what a test wants."""

    def __init__(self, *replies: str | EngineError) -> None:
        super().__init__(list(replies) or ["Yes."])
        self.state = EngineState.READY
        self.wait = 0.0

    def status(self) -> EngineStatus:
        return replace(super().status(), state=self.state, expected_wait_seconds=self.wait)


class Pair:
    """Two engines and a clock."""

    def __init__(self, first: FakeEngine | None = None) -> None:
        self.clock = Clock()
        self.own_first = first or Moody()
        self.own_second = Moody()
        self.first = NamedEngine("local", self.own_first, clock=self.clock)
        self.second = NamedEngine("fallback:openai", self.own_second, clock=self.clock)
        self.engines = Engines([self.first, self.second], after_seconds=LIMIT, clock=self.clock)


async def text_of(engine: NamedEngine) -> str:
    return "".join([chunk.text async for chunk in engine.generate(REQUEST)])


def moody(engine: FakeEngine) -> Moody:
    assert isinstance(engine, Moody)
    return engine


@pytest.mark.parametrize(
    ("state", "wait", "picked"),
    [
        (EngineState.READY, 0.0, "local"),
        (EngineState.READY, LIMIT, "local"),
        (EngineState.READY, LIMIT + 1, "fallback:openai"),
        (EngineState.STARTING, 0.0, "fallback:openai"),
        (EngineState.RESTARTING, 0.0, "fallback:openai"),
        (EngineState.STOPPED, 0.0, "fallback:openai"),
    ],
)
def test_the_second_is_picked_when_the_first_is_down_or_slow(
    state: EngineState, wait: float, picked: str
) -> None:
    pair = Pair()
    moody(pair.own_first).state, moody(pair.own_first).wait = state, wait
    assert pair.engines.pick().name == picked
    answering = [one.name for one in pair.engines.standings() if one.answers]
    assert answering == [picked]


def test_the_longer_wait_is_never_picked() -> None:
    pair = Pair()
    moody(pair.own_first).wait, pair.own_second.wait = 40.0, 50.0
    assert pair.engines.pick() is pair.first
    pair.own_second.wait = 35.0
    assert pair.engines.pick() is pair.second


async def test_an_engine_that_fails_again_and_again_rests() -> None:
    pair = Pair(Moody(*[RemoteEngineError("502")] * FAILURES_IN_A_ROW, "Here again."))
    for _ in range(FAILURES_IN_A_ROW):
        assert pair.engines.pick() is pair.first
        with pytest.raises(RemoteEngineError):
            await text_of(pair.first)
    assert pair.engines.pick() is pair.second
    pair.clock.now += REST_SECONDS
    assert pair.engines.pick() is pair.first
    assert await text_of(pair.first) == "Here again."
    assert not pair.first.is_failing


async def test_a_request_that_is_too_large_says_nothing_about_the_engine() -> None:
    pair = Pair(Moody(*[RequestTooLarge("Too much.")] * 3))
    for _ in range(3):
        with pytest.raises(RequestTooLarge):
            await text_of(pair.first)
    assert pair.engines.pick() is pair.first


async def test_a_failure_after_the_first_word_says_nothing_about_the_next_request() -> None:
    class Breaking(FakeEngine):
        words = True

        async def generate(self, request: GenerationRequest) -> AsyncGenerator[Chunk, None]:
            if self.words:
                yield Chunk("A word")
            raise RemoteEngineError("broken off")

    engine = Breaking()
    await engine.start()
    pair = Pair(engine)
    for engine.words in (True, True, True, False):
        with pytest.raises(RemoteEngineError):
            await text_of(pair.first)
    assert pair.engines.pick() is pair.first


async def test_an_engine_that_says_nothing_for_long_is_passed_over() -> None:
    gate = asyncio.Semaphore(0)
    engine = FakeEngine(["One two three."], gate=gate)
    await engine.start()
    pair = Pair(engine)
    waiting = asyncio.create_task(text_of(pair.first))
    await asyncio.sleep(0)
    pair.clock.now += LIMIT
    assert pair.engines.pick() is pair.first
    pair.clock.now += 1
    assert pair.engines.pick() is pair.second
    assert pair.engines.standings()[0].status.expected_wait_seconds == LIMIT + 1
    for _ in range(10):
        gate.release()
    await waiting
    assert pair.engines.pick() is pair.first


async def test_one_who_waits_does_not_count_while_others_are_answered() -> None:
    gate = asyncio.Semaphore(0)
    engine = FakeEngine(["One."], gate=gate)
    await engine.start()
    pair = Pair(engine)
    waiting = asyncio.create_task(text_of(pair.first))
    for _ in range(5):  # until it stands at the gate
        await asyncio.sleep(0)
    pair.clock.now += LIMIT + 1
    engine.gate = None
    assert await text_of(pair.first) == "One."
    assert pair.engines.pick() is pair.first
    gate.release()
    await waiting


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_the_log_tells_once_when_it_changes(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "bot.chat.engines")
    pair = Pair()
    for _ in range(3):
        pair.engines.pick()
    assert lines(caplog) == []
    for _ in range(5):  # now too slow, now not
        moody(pair.own_first).wait = 45.0
        pair.engines.pick()
        moody(pair.own_first).wait = 0.0
        pair.engines.pick()
    assert lines(caplog) == ["fallback:openai answers instead of local: its expected wait is 45 s."]
    pair.clock.now += CALM_SECONDS
    for _ in range(3):
        pair.engines.pick()
    assert lines(caplog)[1:] == ["local answers again"]
    moody(pair.own_first).state = EngineState.RESTARTING
    pair.engines.pick()
    assert lines(caplog)[2:] == ["fallback:openai answers instead of local: it is restarting."]


def test_looking_at_the_standings_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "bot.chat.engines")
    pair = Pair()
    moody(pair.own_first).state = EngineState.STOPPED
    assert pair.engines.status().state is EngineState.READY
    assert pair.engines.standings()[1].answers
    assert lines(caplog) == []


def test_nobody_takes_the_place_of_the_only_one_or_when_the_other_is_down() -> None:
    only = Engines.only(Moody())
    assert only.instead_of(only.pick()) is None
    pair = Pair()
    assert pair.engines.instead_of(pair.first) is pair.second
    assert pair.engines.instead_of(pair.second) is pair.first
    pair.own_second.state = EngineState.STARTING
    assert pair.engines.instead_of(pair.first) is None


def test_a_record_finds_its_engine_by_name() -> None:
    pair = Pair()
    assert pair.engines.named("fallback:openai") is pair.second
    assert pair.engines.named("") is pair.first
    assert pair.engines.named("openai") is None


async def test_a_start_that_failed_stands_in_the_status() -> None:
    class Broken(FakeEngine):
        async def start(self) -> None:
            raise ModelError("The weights are cut off.", "Download them again.")

    pair = Pair(Broken())
    with pytest.raises(ModelError):
        await pair.first.start()
    status = pair.engines.standings()[0].status
    assert status.state is EngineState.STOPPED
    assert "cut off" in status.last_error


async def test_closing_closes_all() -> None:
    pair = Pair()
    await pair.engines.close()
    await pair.engines.close()
    for engine in (pair.first, pair.second):
        with pytest.raises(EngineError):
            await text_of(engine)


def test_without_an_engine_there_are_none() -> None:
    with pytest.raises(ValueError, match="an engine"):
        Engines([])


async def test_whoever_asks_does_not_wait_for_what_is_written_aside() -> None:
    gate = asyncio.Event()
    inner = FakeEngine(["One."], gate=gate)
    await inner.start()
    engine = NamedEngine("fake", inner)
    request = GenerationRequest("prompt", "summary", "summary")
    aside = asyncio.create_task(engine.write_aside(request))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not engine.is_idle
    assert await engine.write_aside(request) is None, "one at a time"
    engines = Engines([engine])
    assert engines.pick() is engine
    assert await aside is None
    assert inner.cancelled == [request]
    gate.set()
    written = await engine.write_aside(request)
    assert written is not None
    assert (written.text, written.finish) == ("One.", FinishReason.STOP)
    assert engine.is_idle
