"""What a session does when something fails on the way."""

import weakref
from pathlib import Path
from typing import Any

import pytest

from bot.bench.load import Load
from bot.bench.plan import Plan
from bot.bench.prompts import RandomWordMaker
from bot.bench.rounds import Rounds
from bot.bench.session import Session
from bot.engine.api import EngineState
from bot.errors import EngineFailed


def plan(**changes: Any) -> Plan:
    values: dict[str, Any] = {
        "model": "demo",
        "shapes": None,
        "streams": (1, 2),
        "prompt_tokens": 8,
        "new_tokens": 4,
        "penalties": (1.15,),
        "repeats": 1,
        "baseline_tokens": 0,
        "chats": (),
    }
    return Plan(**(values | changes))


class RestartingEngine:
    """Says that it restarts, some times."""

    def __init__(self, times: int) -> None:
        self.times = times

    def status(self) -> Any:
        self.times -= 1

        class Status:
            state = EngineState.RESTARTING if self.times > 0 else EngineState.READY

        return Status()


async def test_a_failure_is_noted_and_waited_out(monkeypatch: Any) -> None:
    monkeypatch.setattr("bot.bench.rounds.RESTART_POLL_SECONDS", 0)
    said: list[str] = []
    engine: Any = RestartingEngine(3)
    tokens: Any = None
    prompts = RandomWordMaker(tokens, 9)
    rounds = Rounds(engine, prompts, [], (), say=said.append, keep=lambda: None)

    async def fail() -> None:
        raise EngineFailed("The model ran out of memory.")

    assert await rounds.attempt(Load(64, 8, 4, 1.15), fail()) is None
    assert engine.times == 0
    assert said == ["failed: 64 streams, repetition penalty 1.15: The model ran out of memory."]


def test_generate_that_cannot_load_is_a_line_in_the_results(tmp_path: Path) -> None:
    said: list[str] = []
    session = Session(plan(baseline_tokens=4), tmp_path, "bench", say=said.append)
    session._measure_baseline_first(str(tmp_path / "gone"))
    assert "gone" in session._baseline_missing
    assert session._baseline_results == ()


class Reference:
    """Stands for the model of generate()."""


def test_nothing_of_generates_model_is_left_when_the_engine_loads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[Exception] = []  # as gptqmodel keeps an ImportError, for good
    models: list[weakref.ref[Reference]] = []

    class Measured:
        def __init__(self, reference: Reference, _loads: object) -> None:
            self._reference = reference

        def warm_up(self, _prompts: object) -> None:
            try:
                raise ImportError("an optional module")
            except ImportError as error:
                kept.append(error)

        def run(self, _prompts: object) -> None: ...

        def results(self) -> tuple[()]:
            return ()

    def load(*_: object) -> tuple[Reference, None]:
        reference = Reference()
        models.append(weakref.ref(reference))
        return reference, None

    monkeypatch.setattr("bot.bench.session.load_reference", load)
    monkeypatch.setattr("bot.bench.session.Baseline", Measured)
    session = Session(plan(baseline_tokens=4), tmp_path, "bench", say=print)
    monkeypatch.setattr(session, "_prompt_maker", lambda _tokenizer: None)
    session._measure_baseline_first("m")
    assert session._baseline_missing == ""
    assert kept
    assert [model() for model in models] == [None]


def test_more_streams_than_rows_are_noted() -> None:
    assert plan(streams=(1, 64)).notes(8) == (
        "more than 8 streams wait for one another: see --rows",
    )
    assert plan(streams=(1, 8)).notes(8) == ()
