"""An engine that is chosen at its start."""

import asyncio
import threading

import pytest

from bot.engine.api import EngineState, GenerationRequest
from bot.engine.chosen import ChosenEngine, Report
from bot.engine.fake import FakeEngine
from bot.errors import EngineUnavailable, ModelError

REQUEST = GenerationRequest("Hello", "c", "u")


async def test_everything_goes_to_what_was_chosen() -> None:
    fake = FakeEngine(["One two."])
    engine = ChosenEngine(lambda _: fake, model="m")
    assert (engine.status().state, engine.status().model) == (EngineState.STOPPED, "m")
    await engine.start()
    assert engine.chosen is fake
    assert engine.status() == fake.status()
    assert engine.info == fake.info
    assert await engine.count_tokens(["a b"]) == await fake.count_tokens(["a b"])
    assert "".join([chunk.text async for chunk in engine.generate(REQUEST)]) == "One two."
    await engine.close()
    await engine.close()
    assert fake.status().state is EngineState.STOPPED


async def test_while_it_looks_for_the_model_it_says_so() -> None:
    goes_on = threading.Event()
    told = asyncio.Event()
    loop = asyncio.get_running_loop()

    def choose(report: Report) -> FakeEngine:
        report("Downloading m", 0.5)
        loop.call_soon_threadsafe(told.set)
        goes_on.wait()
        return FakeEngine()

    engine = ChosenEngine(choose)
    starting = asyncio.create_task(engine.start())
    await told.wait()
    status = engine.status()
    assert (status.state, status.activity, status.progress) == (
        EngineState.STARTING,
        "Downloading m",
        0.5,
    )
    assert 0 < status.starting_seconds < 60
    with pytest.raises(EngineUnavailable, match="still being loaded"):
        await anext(engine.generate(REQUEST))
    goes_on.set()
    await starting
    assert engine.status().state is EngineState.READY
    assert engine.status().starting_seconds == 0


async def test_a_model_that_is_none_is_told_and_remembered() -> None:
    def choose(_: Report) -> FakeEngine:
        raise ModelError("There is no such model.", "Look.")

    engine = ChosenEngine(choose)
    with pytest.raises(ModelError, match="no such model"):
        await engine.start()
    assert engine.status().last_error == "There is no such model."
    with pytest.raises(EngineUnavailable, match="could not be loaded: There is no such model"):
        _ = engine.info


async def test_closing_ends_the_search_with_its_next_word() -> None:
    goes_on = threading.Event()
    began = asyncio.Event()
    loop = asyncio.get_running_loop()

    def choose(report: Report) -> FakeEngine:
        loop.call_soon_threadsafe(began.set)
        goes_on.wait()
        report("Downloading", 0.6)
        return FakeEngine()

    engine = ChosenEngine(choose)
    starting = asyncio.create_task(engine.start())
    await began.wait()
    await engine.close()
    goes_on.set()
    with pytest.raises(EngineUnavailable, match="stopped while it started"):
        await starting
    assert engine.status().state is EngineState.STOPPED


async def test_it_is_lost_when_what_was_chosen_is() -> None:
    engine = ChosenEngine(lambda _: FakeEngine())
    waiting = asyncio.create_task(engine.lost())
    await engine.start()
    await asyncio.sleep(0)
    assert not waiting.done()
    waiting.cancel()
