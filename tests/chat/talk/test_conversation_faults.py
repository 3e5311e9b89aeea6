"""What goes wrong around a conversation: the database, a persona that went, a task cut short."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace

import pytest
from conversing import HERE, THERE, Stage, StageMaker, until

from bot.chat.messages import ChannelKey, TurnState
from bot.chat.talk.faults import line_for
from bot.chat.talk.tasks import complete
from bot.engine.api import Chunk, FinishReason, GenerationRequest, GenerationStatistics
from bot.engine.fake import FakeEngine
from bot.errors import (
    CaduceusError,
    EngineError,
    EngineFailed,
    EngineUnavailable,
    PersonaError,
    SettingsError,
    StoreError,
)


class FailingHistory:
    """A history whose database goes away at some methods."""

    def __init__(self, history: object, method: str) -> None:
        self._history = history
        self.method = method
        self.methods: list[str] = []
        self.failed = 0

    def __getattr__(self, name: str) -> object:
        if name not in (self.method, *self.methods):
            return getattr(self._history, name)

        async def fail(*_: object, **__: object) -> None:
            await asyncio.sleep(0)
            self.failed += 1
            raise StoreError("The database is locked.", "Stop the other program.")

        return fail


@pytest.fixture
def failing(stage: Stage) -> FailingHistory:
    history = FailingHistory(stage.history, "")
    stage.history = history  # type: ignore[assignment]
    stage.start_again()
    return history


@pytest.mark.parametrize("method", ["waiting", "take_up"])
async def test_a_lost_database_never_blocks_the_channel(
    stage: Stage, failing: FailingHistory, method: str
) -> None:
    await stage.say("a question")
    failing.method = method
    with pytest.raises(StoreError):
        await stage.answer()
    failing.method = ""
    assert stage.conversations.running(HERE) is None
    assert stage.engine.status().running == 0
    await stage.say("again?")
    async with asyncio.timeout(5):
        assert await stage.answer() is not None
    assert await stage.history.pending(HERE) == []
    assert stage.is_idle


@pytest.mark.parametrize("methods", [["show_reply"], ["finish_reply"], ["show_reply", "turn"]])
async def test_what_was_shown_is_known_once_the_database_is_back(
    stage: Stage, failing: FailingHistory, methods: list[str]
) -> None:
    await stage.say("a question")
    failing.methods = ["finish_reply", *methods]
    reply = await stage.answer()
    assert reply is not None
    assert reply.outcome is not None
    assert reply.outcome.error == ""  # people have seen all of it
    assert stage.is_idle
    failing.methods = []
    await stage.say("again?")
    await stage.answer()
    assert "One." in stage.prompt
    assert await stage.texts() == ["a question", "One.", "again?", "Two."]
    turns = await stage.turns()
    assert all(turn.state is TurnState.WHOLE for turn in turns)
    assert (await stage.history.generation(turns[1].turn_id, 0)) is not None


async def test_what_was_shown_is_stored_by_itself(
    stage: Stage, failing: FailingHistory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.chat.talk.unfinished.FIRST_PAUSE_SECONDS", 0.01)
    await stage.say("a question")
    await stage.say("elsewhere", channel=THERE)
    failing.methods = ["finish_reply"]
    await stage.answer()
    await stage.answer(THERE)
    unfinished = stage.conversations._replies._unfinished
    assert len(unfinished) == 2
    await until(lambda: failing.failed > 4)
    failing.methods = []
    await until(lambda: not len(unfinished))
    for channel in (HERE, THERE):
        assert (await stage.turns(channel))[-1].state is TurnState.WHOLE


async def test_a_reply_that_came_to_nothing_is_taken_out_once_the_database_is_back(
    set_stage: StageMaker,
) -> None:
    stage = set_stage(replies=[EngineFailed("dead"), "Two."])
    stage.history = failing = FailingHistory(stage.history, "")  # type: ignore[assignment]
    stage.start_again()
    await stage.say("a question")
    failing.methods = ["abandon_reply"]
    await stage.answer()
    assert len(await stage.turns()) == 2
    failing.methods = []
    await stage.say("again?")
    await stage.answer()
    assert await stage.texts() == ["a question", "again?", "Two."]


async def test_a_turn_deleted_before_its_end_could_be_stored_stays_deleted(
    stage: Stage, failing: FailingHistory
) -> None:
    await stage.say("a question")
    failing.methods = ["finish_reply"]
    reply = await stage.answer()
    assert reply is not None
    failing.methods = []
    await stage.history.delete_turn(reply.turn.turn_id)
    await stage.conversations.close()
    assert len(stage.conversations._replies._unfinished) == 0
    assert await stage.texts() == ["a question"]


async def test_at_the_end_it_is_tried_once_more(stage: Stage, failing: FailingHistory) -> None:
    await stage.say("a question")
    failing.methods = ["finish_reply"]
    await stage.answer()
    failing.methods = []
    await stage.conversations.close()
    assert (await stage.turns())[-1].state is TurnState.WHOLE


async def test_only_so_many_ends_are_kept_in_mind(
    stage: Stage, failing: FailingHistory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.chat.talk.unfinished.MOST_KEPT", 2)
    failing.methods = ["finish_reply"]
    for number in range(4):
        channel = ChannelKey("discord", f"{number}")
        await stage.say("a question", channel=channel)
        await stage.answer(channel)
    assert len(stage.conversations._replies._unfinished) == 2
    await stage.conversations.close()


async def test_a_database_lost_while_the_prompt_is_built_is_one_line(
    stage: Stage, failing: FailingHistory, caplog: pytest.LogCaptureFixture
) -> None:
    await stage.say("a question")
    failing.method = "window"
    with caplog.at_level(logging.WARNING, "bot.chat"):
        reply = await stage.conversations.next_reply(HERE)
        assert reply is not None
        reply.read_again()
        await stage.show(reply)
    assert reply.outcome is not None
    assert "memory cannot be reached" in reply.outcome.error
    assert "database is locked" in caplog.text
    assert stage.is_idle


async def test_a_message_that_could_not_be_kept_can_be_said_again(
    stage: Stage, failing: FailingHistory
) -> None:
    message = stage.message("a question")
    failing.method = "add_message"
    with pytest.raises(StoreError):
        await stage.conversations.hear(message)
    failing.method = ""
    assert (await stage.conversations.hear(message)).addressed
    await stage.answer()
    assert await stage.texts() == ["a question", "One."]
    assert stage.is_idle


async def test_where_the_chosen_persona_has_gone_the_default_one_speaks(stage: Stage) -> None:
    await stage.set("persona", "Byron")
    await stage.say("a question")
    byrons = await stage.answer()
    stage.personas.personas = stage.personas.personas[:1]
    await stage.say("another")
    reply = await stage.answer()
    assert byrons is not None
    assert reply is not None
    assert (byrons.persona_name, reply.persona_name) == ("Byron", "Ada")
    again = await stage.conversations.regenerate(byrons.turn.turn_id)
    await stage.show(again)
    assert again.turn.state is TurnState.WHOLE


class BreakingEngine(FakeEngine):
    """Writes a word, tells what it knows, and then fails, or waits to be cancelled."""

    so_far = GenerationStatistics(
        model="fake",
        seed=7,
        prompt_tokens=99,
        cached_prompt_tokens=60,
        reply_tokens=1,
        queued_seconds=1.5,
        first_token_seconds=2.5,
        total_seconds=2.5,
    )

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[Chunk, None]:
        yield Chunk("One two three", so_far=self.so_far)
        yield Chunk(" four")
        if self.fail_with is not None:
            raise self.fail_with
        await asyncio.Event().wait()


@pytest.mark.parametrize("fault", [None, EngineFailed("gone")])
async def test_what_the_engine_knew_of_a_broken_off_reply_is_kept(
    set_stage: StageMaker, fault: EngineError | None
) -> None:
    stage = set_stage(engine=BreakingEngine(fail_with=fault))
    await stage.say("a question")
    reply = await stage.conversations.next_reply(HERE)
    assert reply is not None
    async with asyncio.timeout(5):
        await stage.show(reply, pieces=1)
    record = await stage.history.generation(reply.turn.turn_id, 0)
    assert record is not None
    assert record.finish is FinishReason.CANCELLED
    known, kept = BreakingEngine.so_far, record.statistics
    assert kept == replace(known, reply_tokens=kept.reply_tokens, total_seconds=kept.total_seconds)
    assert kept.reply_tokens > known.reply_tokens
    assert kept.total_seconds != known.total_seconds


class StubbornEngine(FakeEngine):
    """Writes one word, then neither goes on nor lets itself be cancelled."""

    def __init__(self) -> None:
        super().__init__()
        self.let_go = asyncio.Event()

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[Chunk, None]:
        yield Chunk("Word")
        while not self.let_go.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await self.let_go.wait()

    async def count_tokens(self, texts: Sequence[str]) -> tuple[int, ...]:
        if list(texts) == ["Word"]:
            raise EngineUnavailable("It hangs.")
        return await super().count_tokens(texts)


async def test_an_engine_that_does_not_let_go_does_not_keep_the_channel(
    set_stage: StageMaker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("bot.chat.talk.reply.HALT_SECONDS", 0.01)
    engine = StubbornEngine()
    stage = set_stage(engine=engine)
    await stage.say("a question")
    reply = await stage.conversations.next_reply(HERE)
    assert reply is not None
    async with asyncio.timeout(5):
        assert await stage.show(reply, pieces=1) == "Word"
    assert "does not let go" in caplog.text
    assert (await stage.turns())[-1].state is TurnState.CUT
    assert stage.is_idle
    record = await stage.history.generation(reply.turn.turn_id, 0)
    assert record is not None
    assert record.statistics.reply_tokens == 1  # as good a guess as there is
    engine.let_go.set()
    await until(lambda: reply._task is None or reply._task.done())


@pytest.mark.parametrize(
    "error",
    [
        CaduceusError("one\ntwo"),
        EngineError("x", "y"),
        SettingsError("There is no format\n«x».", "Choose another."),
        PersonaError("ada.toml: line 3"),
        StoreError("locked"),
    ],
)
def test_every_error_has_one_plain_line(error: CaduceusError) -> None:
    line = line_for(error)
    assert line
    assert "\n" not in line


async def test_work_is_done_to_its_end_however_often_it_is_cancelled() -> None:
    gate = asyncio.Event()
    done: list[int] = []

    async def work() -> int:
        await gate.wait()
        done.append(1)
        return 7

    task = asyncio.create_task(complete(work()))
    for _ in range(3):
        await asyncio.sleep(0)
        task.cancel()
    await asyncio.sleep(0)
    assert not task.done()
    gate.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert done == [1]
    assert await complete(work()) == 7


async def test_an_exception_of_the_work_goes_before_the_cancellation() -> None:
    gate = asyncio.Event()

    async def work() -> None:
        await gate.wait()
        raise StoreError("lost")

    task = asyncio.create_task(complete(work()))
    await asyncio.sleep(0)
    task.cancel()
    gate.set()
    await until(task.done)
    assert isinstance(task.exception(), StoreError)
