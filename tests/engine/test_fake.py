"""The scripted engine behaves as a real one does."""

import asyncio
from contextlib import aclosing

import pytest

from bot.engine.api import (
    Chunk,
    Engine,
    EngineState,
    FinishReason,
    GenerationRequest,
    Sampling,
)
from bot.engine.fake import FakeEngine, tokens_of
from bot.errors import EngineFailed, EngineUnavailable, RequestTooLarge


def ask(prompt: str = "Hi", **changes: object) -> GenerationRequest:
    return GenerationRequest(prompt=prompt, channel="c", user="u", **changes)  # type: ignore[arg-type]


async def read(engine: Engine, request: GenerationRequest) -> list[Chunk]:
    return [chunk async for chunk in engine.generate(request)]


def text_of(chunks: list[Chunk]) -> str:
    return "".join(chunk.text for chunk in chunks)


async def started(engine: FakeEngine) -> None:
    while not engine.requests:  # noqa: ASYNC110 - the generator starts at the loop's next turn
        await asyncio.sleep(0)


async def test_replies_come_in_turn_and_again() -> None:
    engine = FakeEngine(["one", "two"])
    texts = [text_of(await read(engine, ask())) for _ in range(3)]
    assert texts == ["one", "two", "one"]
    assert len(engine.requests) == 3


async def test_only_the_newest_requests_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.engine.fake.KEPT_REQUESTS", 3)
    engine = FakeEngine(["one", "two", "three", "four"])
    texts = [text_of(await read(engine, ask(f"{number}"))) for number in range(6)]
    assert [request.prompt for request in engine.requests] == ["3", "4", "5"]
    assert texts == ["one", "two", "three", "four", "one", "two"]  # still in turn
    for number in range(6):
        async with aclosing(engine.generate(ask(f"broken off {number}"))) as chunks:
            await anext(chunks)
    assert len(engine.requests) == len(engine.cancelled) == 3


async def test_a_reply_can_be_made_from_the_request() -> None:
    engine = FakeEngine(lambda request: request.prompt.upper())
    assert text_of(await read(engine, ask("hello"))) == "HELLO"


async def test_the_last_chunk_alone_says_how_it_ended() -> None:
    reply = "a longer reply, in several pieces"
    chunks = await read(
        FakeEngine([reply]), ask("two words", sampling=Sampling(seed=7), max_tokens=99)
    )
    assert len(chunks) > 2
    assert [chunk.finish for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert chunks[-1].finish is FinishReason.STOP
    statistics = chunks[-1].statistics
    assert statistics is not None
    assert statistics.seed == 7
    assert statistics.prompt_tokens == 2
    assert statistics.reply_tokens == len(tokens_of(reply))
    assert statistics.total_seconds >= statistics.first_token_seconds >= 0


async def test_a_stop_string_ends_the_reply_and_is_not_part_of_it() -> None:
    chunks = await read(FakeEngine(["yes\nUser: no"], chunk_characters=1), ask(stop=("\nUser:",)))
    assert text_of(chunks) == "yes"
    assert chunks[-1].finish is FinishReason.STOP


async def test_max_tokens_cuts_the_reply() -> None:
    chunks = await read(FakeEngine(["one two three four"]), ask(max_tokens=2))
    assert text_of(chunks) == "one two"
    assert chunks[-1].finish is FinishReason.LENGTH


async def test_closing_the_iterator_cancels() -> None:
    engine = FakeEngine(["one two three four five"], chunk_characters=1)
    async with aclosing(engine.generate(ask())) as chunks:
        await anext(chunks)
        assert engine.status().running == 1
    assert engine.status().running == 0
    assert engine.cancelled == engine.requests


async def test_a_gate_holds_it_back_until_opened() -> None:
    gate = asyncio.Event()
    reading = asyncio.ensure_future(read(FakeEngine(["one"], gate=gate), ask()))
    await asyncio.sleep(0)
    assert not reading.done()
    gate.set()
    assert text_of(await reading) == "one"


async def test_a_semaphore_lets_single_chunks_through() -> None:
    gate = asyncio.Semaphore(1)
    engine = FakeEngine(["one two"], gate=gate, chunk_characters=1)
    chunks = engine.generate(ask())
    assert (await anext(chunks)).text == "one"
    second = asyncio.ensure_future(anext(chunks))
    await asyncio.sleep(0)
    assert not second.done()
    gate.release()
    assert (await second).text == " two"
    await chunks.aclose()


async def test_a_task_that_waits_at_the_gate_can_be_cancelled() -> None:
    engine = FakeEngine(["one"], gate=asyncio.Event())
    reading = asyncio.ensure_future(read(engine, ask()))
    await started(engine)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert engine.cancelled == engine.requests


async def test_closing_the_engine_ends_what_runs_as_cancelled() -> None:
    engine = FakeEngine(["one"], gate=asyncio.Event())
    reading = asyncio.ensure_future(read(engine, ask()))
    await started(engine)
    await engine.close()
    assert (await reading)[-1].finish is FinishReason.CANCELLED
    assert engine.status().state is EngineState.STOPPED
    with pytest.raises(EngineUnavailable):
        await read(engine, ask())


async def test_a_scripted_failure_comes_after_some_chunks() -> None:
    failure = EngineFailed("It died.")
    engine = FakeEngine(["one two three"], chunk_characters=1, fail_after_chunks=2)
    engine.fail_with = failure
    got: list[str] = []
    with pytest.raises(EngineFailed):
        async for chunk in engine.generate(ask()):
            got.append(chunk.text)
    assert got == ["one", " two"]
    engine.fail_with = None
    assert text_of(await read(engine, ask())) == "one two three"


async def test_a_failure_can_stand_among_the_replies() -> None:
    engine = FakeEngine(["fine", EngineFailed("It died.")])
    assert text_of(await read(engine, ask())) == "fine"
    with pytest.raises(EngineFailed):
        await read(engine, ask())


async def test_what_can_never_fit_is_refused_at_once() -> None:
    with pytest.raises(RequestTooLarge, match="room for 8"):
        await read(FakeEngine(["x"], context_tokens=8), ask("Hi", max_tokens=8))


async def test_tokens_are_counted_as_the_statistics_count_them() -> None:
    counts = await FakeEngine().count_tokens(["two words", "", "a, b"])
    assert counts == (2, 0, 3)
