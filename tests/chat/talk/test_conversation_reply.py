"""A reply being written: what is shown is kept, and the channel is free again whatever happens."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace

import pytest
from conversing import HERE, Stage, StageMaker, settle, until

from bot.chat.messages import TurnState
from bot.chat.talk.faults import NOTHING_CAME, OUR_FAULT
from bot.chat.talk.reply import ENTERED_WITHIN_SECONDS, Reply
from bot.engine.api import FinishReason, GenerationRequest, ModelInfo
from bot.engine.fake import FakeEngine
from bot.errors import (
    EngineError,
    EngineFailed,
    EngineUnavailable,
    RemoteEngineError,
    RequestTooLarge,
)

LONG = "This is a rather long answer in which every chunk holds but a few characters of it."


async def begin(stage: Stage, text: str = "a question") -> Reply:
    await stage.say(text)
    reply = await stage.conversations.next_reply(HERE)
    assert reply is not None
    return reply


async def assert_free(stage: Stage) -> None:
    """The channel takes the next question."""
    assert stage.conversations.running(HERE) is None
    await stage.say("are you still there?")
    async with asyncio.timeout(5):
        reply = await stage.conversations.next_reply(HERE)
    assert reply is not None
    stage.engine.gate = None
    stage.engine.fail_with = None
    await stage.show(reply)
    assert stage.is_idle


async def test_a_reply_may_be_nothing_but_a_name(set_stage: StageMaker) -> None:
    stage = set_stage(replies=["Bob", "Bob", "Not this."])
    await stage.show(await begin(stage, "what is my name?"))
    assert (await stage.texts())[-1] == "Bob"  # after a second try
    assert len(stage.engine.requests) == 2


async def test_a_whole_reply_streams_and_is_kept_with_its_record(set_stage: StageMaker) -> None:
    stage = set_stage(replies=[LONG])
    reply = await begin(stage)
    assert reply.turn.state is TurnState.RUNNING
    assert reply.expected_wait_seconds == 0
    assert await stage.show(reply) == LONG
    assert reply.outcome is not None
    assert reply.outcome.finish is FinishReason.STOP
    assert reply.outcome.error == ""
    assert reply.outcome.statistics is not None
    assert reply.turn.state is TurnState.WHOLE
    assert reply.turn.text == LONG
    turn = (await stage.turns())[-1]
    assert turn.text == LONG
    assert turn.state is TurnState.WHOLE
    assert turn.message_ids
    record = await stage.history.generation(turn.turn_id, 0)
    assert record is not None
    assert record.finish is FinishReason.STOP
    assert record.persona == "Ada"
    assert record.prompt_format == "alpaca"
    assert record.sampling.seed == stage.engine.requests[0].sampling.seed is not None
    assert record.statistics == reply.outcome.statistics
    assert record.first_turn_id == record.last_turn_id == reply.answers[0].turn_id
    assert record.created_at == stage.now
    assert record.settings_revision == 0
    await assert_free(stage)


async def test_text_comes_in_pieces_while_the_engine_writes(set_stage: StageMaker) -> None:
    gate = asyncio.Semaphore(0)
    stage = set_stage(engine=FakeEngine([LONG], gate=gate))
    reply = await begin(stage)
    pieces: list[str] = []
    async with reply:
        stream = aiter(reply)
        while True:
            gate.release()
            piece = await anext(stream, None)
            if piece is None:
                break
            pieces.append(piece)
            await reply.shown("".join(pieces), ["b"])
    assert len(pieces) > 4
    assert "".join(pieces) == LONG


async def test_stop_keeps_what_was_shown(set_stage: StageMaker) -> None:
    gate = asyncio.Semaphore(2)
    stage = set_stage(engine=FakeEngine([LONG], gate=gate))
    reply = await begin(stage)
    shown = ""
    async with reply:
        async for text in reply:
            shown += text
            await reply.shown(shown, ["b"])
            await settle()
            if gate.locked():
                reply.stop()
    assert shown
    assert LONG.startswith(shown)
    assert reply.outcome is not None
    assert reply.outcome.finish is FinishReason.CANCELLED
    turn = (await stage.turns())[-1]
    assert turn.text == shown
    assert turn.state is TurnState.CUT
    record = await stage.history.generation(turn.turn_id, 0)
    assert record is not None
    assert record.finish is FinishReason.CANCELLED
    assert record.statistics.prompt_tokens > 0
    assert record.statistics.reply_tokens > 0
    assert stage.engine.cancelled == stage.engine.requests
    await assert_free(stage)


async def test_stop_ends_promptly_while_the_first_token_is_awaited(set_stage: StageMaker) -> None:
    stage = set_stage(engine=FakeEngine([LONG], gate=asyncio.Event()))
    reply = await begin(stage)
    shown = asyncio.create_task(stage.show(reply))
    await until(lambda: stage.engine.status().running)
    assert stage.engine.status().running == 1
    reply.stop()
    assert await asyncio.wait_for(shown, 1) == ""
    assert stage.engine.status().running == 0
    assert await stage.texts() == ["a question"]
    assert await stage.history.pending(HERE) == []  # who stops a reply wants none
    await assert_free(stage)


async def test_stop_before_the_first_look_and_after_the_end(stage: Stage) -> None:
    reply = await begin(stage)
    reply.stop()
    assert await stage.show(reply) == ""
    assert reply.outcome is not None
    assert reply.outcome.finish is FinishReason.CANCELLED
    assert stage.engine.requests == []
    reply = await begin(stage, "another")
    await stage.show(reply)
    reply.stop()
    assert reply.outcome is not None
    assert reply.outcome.finish is FinishReason.STOP


async def test_a_consumer_that_leaves_frees_the_engine(set_stage: StageMaker) -> None:
    stage = set_stage(engine=FakeEngine([LONG], gate=asyncio.Semaphore(1)))
    reply = await begin(stage)
    async with reply:
        async for text in reply:
            await reply.shown(text, ["b"])
            break
    assert stage.engine.status().running == 0
    assert stage.engine.cancelled
    assert (await stage.turns())[-1].state is TurnState.CUT
    await assert_free(stage)


async def test_a_consumer_that_never_looks_frees_the_channel(stage: Stage) -> None:
    async with await begin(stage):
        pass
    assert stage.engine.requests == []
    assert await stage.texts() == ["a question"]
    await assert_free(stage)


async def test_a_front_end_that_fails_frees_the_channel(set_stage: StageMaker) -> None:
    stage = set_stage(replies=[LONG])
    reply = await begin(stage)
    with pytest.raises(PermissionError):
        async with reply:
            async for text in reply:
                await reply.shown(text, ["b"])
                raise PermissionError("may not send here")
    turn = (await stage.turns())[-1]
    assert turn.state is TurnState.CUT
    assert LONG.startswith(turn.text)
    assert await stage.history.pending(HERE) == []
    await assert_free(stage)


async def test_a_cancelled_front_end_leaves_the_question_for_later(set_stage: StageMaker) -> None:
    stage = set_stage(engine=FakeEngine([LONG], gate=asyncio.Event()))
    reply = await begin(stage)
    shown = asyncio.create_task(stage.show(reply))
    await until(lambda: stage.engine.status().running)
    shown.cancel()
    with pytest.raises(asyncio.CancelledError):
        await shown
    assert stage.engine.status().running == 0
    assert [turn.text for turn in await stage.history.pending(HERE)] == ["a question"]
    stage.engine.gate = None
    again = await stage.answer()
    assert again is not None
    assert [turn.text for turn in again.answers] == ["a question"]
    await assert_free(stage)


async def test_cancelling_at_any_moment_loses_no_question(set_stage: StageMaker) -> None:
    stage = set_stage(replies=[LONG])
    for steps in range(0, 60, 3):
        await stage.say(f"question {steps}")
        task = asyncio.create_task(stage.answer())
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert stage.conversations.running(HERE) is None
        await stage.answer()
        assert await stage.history.pending(HERE) == []
        assert all(turn.state is not TurnState.RUNNING for turn in await stage.turns())
    assert stage.is_idle


async def test_waiting_for_ones_turn_can_be_cancelled(stage: Stage) -> None:
    reply = await begin(stage)
    waiting = asyncio.create_task(stage.conversations.next_reply(HERE))
    await settle()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await stage.show(reply)
    await assert_free(stage)


async def test_a_reply_that_nobody_takes_up_frees_the_channel_after_a_while(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.chat.talk.reply.ENTERED_WITHIN_SECONDS", 0.0)
    assert ENTERED_WITHIN_SECONDS > 1
    reply = await begin(stage)
    async with asyncio.timeout(5):
        await reply.ended()
    assert [turn.text for turn in await stage.history.pending(HERE)] == ["a question"]
    monkeypatch.undo()
    await assert_free(stage)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (EngineFailed("CUDA out of memory at 0x1234"), "broke down"),
        (EngineUnavailable("starting"), "not ready"),
        (RequestTooLarge("9000 tokens"), "more than the model can read"),
        (RemoteEngineError("http://10.0.0.7 said 502"), "server did not answer"),
        (EngineError("something else"), "the log"),
    ],
)
async def test_a_failing_engine_is_one_plain_line(
    set_stage: StageMaker, error: EngineError, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    stage = set_stage(engine=FakeEngine([LONG], fail_with=error))
    reply = await begin(stage)
    with caplog.at_level(logging.WARNING, "bot.chat"):
        assert await stage.show(reply) == ""
    assert reply.outcome is not None
    assert words in reply.outcome.error
    assert "\n" not in reply.outcome.error
    assert error.message not in reply.outcome.error
    assert error.message in caplog.text
    assert await stage.texts() == ["a question"]
    assert await stage.history.pending(HERE) == []
    await assert_free(stage)


async def test_an_engine_that_fails_midway_keeps_what_had_come(set_stage: StageMaker) -> None:
    error = EngineFailed("out of memory")
    stage = set_stage(engine=FakeEngine([LONG], fail_with=error, fail_after_chunks=2))
    reply = await begin(stage)
    shown = await stage.show(reply)
    assert shown
    assert reply.outcome is not None
    assert "broke down" in reply.outcome.error
    turn = (await stage.turns())[-1]
    assert turn.text == shown
    assert turn.state is TurnState.CUT
    assert "broke down" not in turn.text
    await assert_free(stage)


async def test_an_engine_closed_meanwhile_is_not_ready(set_stage: StageMaker) -> None:
    stage = set_stage(engine=FakeEngine([LONG], gate=asyncio.Semaphore(1)))
    reply = await begin(stage)
    async with reply:
        text = ""
        async for piece in reply:
            text += piece
            await reply.shown(text, ["b"])
            await stage.engine.close()
    assert reply.outcome is not None
    assert "not ready" in reply.outcome.error
    assert (await stage.turns())[-1].state is TurnState.CUT


async def test_a_fault_of_ours_is_raised_and_frees_the_channel(
    set_stage: StageMaker, caplog: pytest.LogCaptureFixture
) -> None:
    def stumble(_: GenerationRequest) -> str:
        raise ZeroDivisionError

    stage = set_stage(replies=stumble)
    reply = await begin(stage)
    with pytest.raises(ZeroDivisionError):
        await stage.show(reply)
    assert reply.outcome is not None
    assert reply.outcome.error == OUR_FAULT
    assert "broke down" in caplog.text
    assert stage.conversations.running(HERE) is None


async def test_when_nothing_comes_it_is_tried_once_more_with_another_seed(
    set_stage: StageMaker,
) -> None:
    stage = set_stage(replies=["  \n", "Now I know."])
    await stage.set("temperature", 0)
    reply = await begin(stage)
    assert await stage.show(reply) == "Now I know."
    first, second = stage.engine.requests
    assert first.sampling.seed != second.sampling.seed
    assert first.sampling.temperature == 0
    assert second.sampling.temperature > 0  # greedy, it would only say nothing again
    record = await stage.history.generation(reply.turn.turn_id, 0)
    assert record is not None
    assert record.sampling == second.sampling


async def test_when_nothing_comes_twice_a_line_says_so(set_stage: StageMaker) -> None:
    stage = set_stage(replies=["", "<think>What now?", "Here."])
    reply = await begin(stage)
    assert await stage.show(reply) == ""
    assert reply.outcome is not None
    assert reply.outcome.error == NOTHING_CAME
    assert len(stage.engine.requests) == 2
    assert await stage.texts() == ["a question"]
    await assert_free(stage)


async def test_a_reply_that_begins_with_the_askers_name_is_one(set_stage: StageMaker) -> None:
    stage = set_stage(replies=["Bob: put it into boiling water."])
    assert await stage.show(await begin(stage)) == "Bob: put it into boiling water."


async def test_a_thought_is_neither_shown_nor_kept(set_stage: StageMaker) -> None:
    stage = set_stage(replies=["<think>\nA sum.\nBob: asks.\n</think>\n\nFour."])
    assert await stage.show(await begin(stage)) == "Four."
    assert (await stage.texts())[-1] == "Four."


async def test_a_speakers_line_in_a_thought_costs_one_attempt_at_most(
    set_stage: StageMaker,
) -> None:
    stage = set_stage(replies=["<think>\nBob: asks.\n</think>\n\nFour."] * 2)
    await stage.overhear("hello", by="carol")
    await stage.set("context", "channel")
    await stage.overhear("hello", by="carol")
    assert await stage.show(await begin(stage)) == "Four."
    first, second = stage.engine.requests
    assert "\nBob:" in first.stop
    assert "\nBob:" not in second.stop


async def test_another_speakers_line_ends_the_reply(set_stage: StageMaker) -> None:
    stage = set_stage(replies=["Ada: Indeed.\nBob: And what else?\nAda: Nothing."])
    reply = await begin(stage)
    assert await stage.show(reply) == "Indeed."
    assert reply.outcome is not None
    assert reply.outcome.finish is FinishReason.STOP
    assert reply.turn.state is TurnState.WHOLE


async def test_the_length_is_the_smallest_of_all_bounds(set_stage: StageMaker) -> None:
    stage = set_stage(max_reply_tokens=100)
    await begin_and_show(stage)
    assert stage.engine.requests[-1].max_tokens == 100
    await stage.set("max_reply_tokens", 20)
    await begin_and_show(stage)
    assert stage.engine.requests[-1].max_tokens == 20
    stage = set_stage(engine=FakeEngine(["One."], context_tokens=256))
    await stage.set("max_reply_tokens", 2048)
    await begin_and_show(stage)
    request = stage.engine.requests[-1]
    assert (await stage.engine.count_tokens([request.prompt]))[0] + request.max_tokens <= 256


async def begin_and_show(stage: Stage) -> Reply:
    reply = await begin(stage)
    await stage.show(reply)
    return reply


async def test_a_reply_cut_by_its_length_is_whole_and_says_so(set_stage: StageMaker) -> None:
    stage = set_stage(replies=["word " * 100], max_reply_tokens=16)
    reply = await begin_and_show(stage)
    assert reply.outcome is not None
    assert reply.outcome.finish is FinishReason.LENGTH
    assert reply.turn.state is TurnState.WHOLE


async def test_settings_reach_the_engine(stage: Stage) -> None:
    await stage.set("temperature", 1.5)
    await stage.set("top_k", 40)
    await stage.set("instructions", "Speak in rhymes.")
    await begin_and_show(stage)
    request = stage.engine.requests[-1]
    assert request.sampling.temperature == 1.5
    assert request.sampling.top_k == 40
    assert request.channel == "discord:100"
    assert request.user == "discord:bob"
    assert "Speak in rhymes." in request.prompt
    record = await stage.history.generation((await stage.turns())[-1].turn_id, 0)
    assert record is not None
    assert record.settings_revision == 3


@pytest.mark.parametrize("whose", ["question", "reply"])
async def test_deleting_while_it_runs_harms_nothing(set_stage: StageMaker, whose: str) -> None:
    stage = set_stage(engine=FakeEngine([LONG], gate=asyncio.Semaphore(3)))
    heard = await stage.say("a question")
    reply = await stage.conversations.next_reply(HERE)
    assert reply is not None
    assert heard.turn is not None
    text = ""
    async with reply:
        async for piece in reply:
            text += piece
            await reply.shown(text, ["b1", "b2"])
            gone = list(heard.turn.message_ids) if whose == "question" else ["b1", "b2"]
            await stage.conversations.deleted(HERE, gone)
            assert isinstance(stage.engine.gate, asyncio.Semaphore)
            stage.engine.gate.release()
            await reply.shown(text, ["b1", "b2"])
    if whose == "question":
        assert text == LONG
        assert await stage.texts() == [LONG]
    else:
        assert text != LONG
        assert reply.outcome is not None
        assert reply.outcome.finish is FinishReason.CANCELLED
        assert await stage.texts() == ["a question"]
        assert await stage.history.pending(HERE) == []
    await assert_free(stage)


@pytest.mark.parametrize("shown", [True, False])
async def test_a_running_reply_can_be_deleted(set_stage: StageMaker, shown: bool) -> None:
    stage = set_stage(engine=FakeEngine([LONG], gate=asyncio.Semaphore(int(shown))))
    reply = await begin(stage)
    task = asyncio.create_task(stage.show(reply))
    await until(lambda: stage.shown if shown else stage.engine.status().running)
    async with asyncio.timeout(5):
        await stage.conversations.delete_turn(reply.turn.turn_id)
        await task
    assert await stage.texts() == ["a question"]
    await assert_free(stage)


async def stop_by_reset(stage: Stage) -> None:
    await stage.conversations.reset(HERE)


async def stop_by_undo(stage: Stage) -> None:
    await stage.conversations.undo(HERE)


@pytest.mark.parametrize("way", [stop_by_reset, stop_by_undo])
async def test_reset_and_undo_stop_the_running_reply_first(
    set_stage: StageMaker, way: Callable[[Stage], asyncio.Future[None]]
) -> None:
    stage = set_stage(engine=FakeEngine([LONG], gate=asyncio.Semaphore(1)))
    reply = await begin(stage)
    task = asyncio.create_task(stage.show(reply))
    await until(lambda: stage.shown)
    async with asyncio.timeout(5):
        await way(stage)
    assert reply.turn.state is TurnState.CUT
    assert LONG.startswith(await task)
    assert stage.engine.status().running == 0
    assert await stage.texts() == []
    await assert_free(stage)


async def test_undo_takes_back_one_exchange_also_before_its_first_word(
    set_stage: StageMaker,
) -> None:
    stage = set_stage(engine=FakeEngine([LONG]))
    await stage.show(await begin(stage, "the first question"))
    stage.engine.gate = asyncio.Semaphore(0)
    task = asyncio.create_task(stage.show(await begin(stage, "another question")))
    await until(lambda: stage.engine.status().running)
    async with asyncio.timeout(5):
        hidden = await stage.conversations.undo(HERE)
        await task
    assert await stage.texts() == ["the first question", LONG]
    await stage.history.unhide(hidden)
    assert await stage.texts() == ["the first question", LONG, "another question"]
    await assert_free(stage)


async def test_what_is_shown_after_the_end_is_a_mistake(stage: Stage) -> None:
    reply = await begin_and_show(stage)
    with pytest.raises(RuntimeError, match="has ended"):
        await reply.shown("too late", ["b"])


async def test_a_slow_consumer_gets_everything_in_fewer_pieces(set_stage: StageMaker) -> None:
    stage = set_stage(replies=[LONG])
    reply = await begin(stage)
    pieces: list[str] = []
    async with reply:
        async for piece in reply:
            pieces.append(piece)
            await reply.shown("".join(pieces), ["b"])
            await settle()
    assert "".join(pieces) == LONG
    assert len(pieces) <= 2


async def test_close_lets_running_replies_finish(set_stage: StageMaker) -> None:
    gate = asyncio.Event()
    stage = set_stage(engine=FakeEngine([LONG], gate=gate))
    reply = await begin(stage)
    task = asyncio.create_task(stage.show(reply))
    await until(lambda: stage.engine.status().running)
    closing = asyncio.create_task(stage.conversations.close(grace_seconds=30))
    await settle()
    heard = await stage.say("one more?")
    assert heard.kept  # and answered after the restart
    waiting = asyncio.create_task(stage.conversations.next_reply(HERE))
    await settle()
    assert not closing.done()
    gate.set()
    assert await task == LONG
    await closing
    assert await waiting is None
    assert reply.turn.state is TurnState.WHOLE
    with pytest.raises(EngineUnavailable):
        await stage.conversations.regenerate(reply.turn.turn_id)
    with pytest.raises(EngineUnavailable):
        await stage.conversations.continue_reply(reply.turn.turn_id)
    assert [turn.text for turn in await stage.history.pending(HERE)] == ["one more?"]


@pytest.mark.parametrize("twice", [True, False])
async def test_close_stops_what_takes_too_long(set_stage: StageMaker, twice: bool) -> None:
    stage = set_stage(engine=FakeEngine([LONG], gate=asyncio.Semaphore(1)))
    reply = await begin(stage)
    task = asyncio.create_task(stage.show(reply))
    await until(lambda: stage.shown)
    async with asyncio.timeout(5):
        if twice:
            first = asyncio.create_task(stage.conversations.close(grace_seconds=60))
            await settle()
            assert not first.done()
            await stage.conversations.close(grace_seconds=60)
            await first
        else:
            await stage.conversations.close(grace_seconds=0.01)
    assert reply.turn.state is TurnState.CUT
    assert LONG.startswith(await task)
    assert stage.engine.status().running == 0


async def test_a_reply_closed_before_its_first_word_waits_for_the_restart(
    set_stage: StageMaker,
) -> None:
    stage = set_stage(engine=FakeEngine([LONG], gate=asyncio.Event()))
    reply = await begin(stage)
    task = asyncio.create_task(stage.show(reply))
    await until(lambda: stage.engine.status().running)
    await stage.conversations.close(grace_seconds=0)
    await task
    assert await stage.texts() == ["a question"]
    stage.engine.gate = None
    stage.start_again()
    again = await stage.answer()
    assert again is not None
    assert await stage.texts() == ["a question", LONG]


async def test_close_with_nothing_to_do(stage: Stage) -> None:
    await stage.conversations.close()
    await stage.conversations.close()
    await stage.say("anyone?")
    assert await stage.conversations.next_reply(HERE) is None


async def test_the_expected_wait_is_told_at_the_beginning(set_stage: StageMaker) -> None:
    class BusyEngine(FakeEngine):
        def status(self):
            return replace(super().status(), expected_wait_seconds=12.5)

    stage = set_stage(engine=BusyEngine(["One."]))
    reply = await begin(stage)
    assert reply.expected_wait_seconds == 12.5
    await stage.show(reply)
    assert stage.conversations.engine_status().expected_wait_seconds == 12.5


async def test_the_format_follows_the_model(set_stage: StageMaker) -> None:
    info = ModelInfo("some", 4096, chat_template="{% for m in messages %}<|im_start|>...")
    stage = set_stage(engine=FakeEngine(["One."], info=info))
    await begin_and_show(stage)
    assert "<|im_start|>" in stage.prompt
