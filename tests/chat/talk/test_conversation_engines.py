"""A reply with two engines: whose prompt it is, who takes over, and what is written down."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from dataclasses import replace

import pytest
from conversing import HERE, Stage, StageMaker, until

from bot.chat.engines import Engines, NamedEngine
from bot.chat.messages import GenerationRecord
from bot.chat.talk.reply import Reply
from bot.engine.api import Chunk, EngineStatus, GenerationRequest, ModelInfo
from bot.engine.fake import FakeEngine
from bot.errors import (
    EngineError,
    EngineFailed,
    EngineUnavailable,
    RemoteEngineError,
    RequestTooLarge,
)

CHATML = ModelInfo("mistral", 2048, special_tokens=("<|im_start|>", "<|im_end|>"))


class Two:
    """A stage with two engines that are up."""

    def __init__(self, set_stage: StageMaker, first: FakeEngine, second: FakeEngine) -> None:
        self.first, self.second = first, second
        self.stage: Stage = set_stage(engines=engines_of(first, second))

    async def up(self) -> "Two":
        await self.first.start()
        await self.second.start()
        return self

    async def answer(self) -> Reply:
        await self.stage.say("a question")
        reply = await self.stage.answer()
        assert reply is not None
        return reply

    async def record(self, reply: Reply, swipe: int = 0) -> GenerationRecord:
        record = await self.stage.history.generation(reply.turn.turn_id, swipe)
        assert record is not None
        return record


def engines_of(first: FakeEngine, second: FakeEngine) -> Engines:
    return Engines([NamedEngine("local", first), NamedEngine("fallback:openai", second)])


async def two(
    set_stage: StageMaker, *said: str | EngineError, first: FakeEngine | None = None
) -> Two:
    first = first or FakeEngine(list(said) or ["Mine."])
    return await Two(set_stage, first, FakeEngine(["Instead."], info=CHATML)).up()


async def test_the_prompt_is_the_picked_engines_own(set_stage: StageMaker) -> None:
    pair = await two(set_stage)
    reply = await pair.answer()
    assert (await pair.record(reply)).engine == "local"
    assert "### " in pair.first.requests[0].prompt
    await pair.first.close()
    reply = await pair.answer()
    record = await pair.record(reply)
    assert (record.engine, record.statistics.model) == ("fallback:openai", "mistral")
    assert record.prompt_format == "chatml"
    assert "<|im_start|>" in pair.second.requests[0].prompt
    assert len(pair.first.requests) == 1
    await pair.first.start()
    await pair.answer()
    assert "<|im_start|>" not in pair.first.requests[-1].prompt


async def test_the_sampling_is_the_picked_models_own(set_stage: StageMaker) -> None:
    calm = ModelInfo("calm", 2048, sampling_defaults={"temperature": 0.2, "repetition_penalty": 1})
    pair = await two(set_stage, first=FakeEngine(["Mine."], info=calm))
    await pair.answer()
    sampling = pair.first.requests[0].sampling
    assert (sampling.temperature, sampling.repetition_penalty, sampling.top_p) == (0.2, 1.0, 0.95)
    settings = pair.stage.conversations.settings
    assert (await settings.resolve(HERE)).temperature == 0.2
    await pair.first.close()
    await pair.answer()
    assert pair.second.requests[0].sampling.temperature == 0.7
    shown = {o.definition.key: o.origin for o in await settings.explain(HERE)}
    assert shown["temperature"] is None


async def test_a_format_that_was_set_is_the_first_engines_alone(set_stage: StageMaker) -> None:
    pair = await two(set_stage)
    second = FakeEngine(["Instead."])  # of the same model
    await second.start()
    first = NamedEngine("local", pair.first, prompt_format="vicuna")
    pair.stage.engines = Engines([first, NamedEngine("fallback:openai", second)])
    pair.stage.start_again()
    assert (await pair.record(await pair.answer())).prompt_format == "vicuna"
    await pair.first.close()
    assert (await pair.record(await pair.answer())).prompt_format == "alpaca"


@pytest.mark.parametrize(
    "fault",
    [EngineUnavailable("It restarts."), EngineFailed("Out of memory."), RemoteEngineError("502")],
)
async def test_a_request_that_fails_before_any_text_is_tried_on_the_other(
    set_stage: StageMaker, fault: EngineError, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "bot.chat")
    pair = await two(set_stage, fault)
    reply = await pair.answer()
    assert await pair.stage.texts() == ["a question", "Instead."]
    assert reply.outcome is not None
    assert not reply.outcome.error
    record = await pair.record(reply)
    assert (record.engine, record.prompt_format) == ("fallback:openai", "chatml")
    assert record.statistics.model == "mistral"
    assert str(fault) in caplog.text


async def test_a_model_that_is_not_there_for_the_prompt_is_a_failure_too(
    set_stage: StageMaker,
) -> None:
    class Unloaded(FakeEngine):
        @property
        def info(self) -> ModelInfo:
            raise EngineUnavailable("The model is being loaded.")

    pair = await two(set_stage, first=Unloaded())
    await pair.answer()
    assert await pair.stage.texts() == ["a question", "Instead."]


async def test_it_is_tried_once_and_the_others_fault_is_told(set_stage: StageMaker) -> None:
    pair = await two(set_stage, EngineFailed("gone"))
    pair.second.fail_with = RemoteEngineError("502")
    reply = await pair.answer()
    assert reply.outcome is not None
    assert "server did not answer" in reply.outcome.error
    assert (len(pair.first.requests), len(pair.second.requests)) == (1, 1)


async def test_a_request_that_is_too_large_is_not_tried_again(set_stage: StageMaker) -> None:
    pair = await two(set_stage, RequestTooLarge("too much"))
    reply = await pair.answer()
    assert reply.outcome is not None
    assert reply.outcome.error
    assert pair.second.requests == []


async def test_after_the_first_text_nobody_takes_over(set_stage: StageMaker) -> None:
    class Breaking(FakeEngine):
        async def generate(self, request: GenerationRequest) -> AsyncGenerator[Chunk, None]:
            yield Chunk("One two three four five")
            raise EngineFailed("gone")

    pair = await two(set_stage, first=Breaking())
    reply = await pair.answer()
    assert (await pair.stage.texts())[-1].startswith("One two three")
    assert pair.second.requests == []
    assert reply.outcome is not None
    assert reply.outcome.error
    assert (await pair.record(reply)).engine == "local"


async def test_where_the_other_is_down_too_the_first_ones_fault_is_told(
    set_stage: StageMaker,
) -> None:
    pair = await two(set_stage, EngineFailed("gone"))
    await pair.second.close()
    reply = await pair.answer()
    assert reply.outcome is not None
    assert "broke down" in reply.outcome.error


async def test_the_wait_told_is_the_picked_engines(set_stage: StageMaker) -> None:
    class Busy(FakeEngine):
        wait = 31.0

        def status(self) -> EngineStatus:
            return replace(super().status(), expected_wait_seconds=self.wait)

    engine = Busy(["Mine."])
    pair = await two(set_stage, first=engine)
    assert (await pair.answer()).expected_wait_seconds == 0
    engine.wait = 29.0
    assert (await pair.answer()).expected_wait_seconds == 29.0


async def test_another_engine_may_write_the_next_swipe_and_go_on(set_stage: StageMaker) -> None:
    pair = await two(set_stage)
    reply = await pair.answer()
    await pair.first.close()
    again = await pair.stage.conversations.regenerate(reply.turn.turn_id)
    assert await pair.stage.show(again) == "Instead."
    assert (await pair.record(reply, 0)).engine == "local"
    assert (await pair.record(reply, 1)).engine == "fallback:openai"
    await pair.stage.conversations.swipe(reply.turn.turn_id, 1)
    longer = await pair.stage.conversations.continue_reply(reply.turn.turn_id)
    assert (await pair.stage.show(longer)).startswith("Mine.")
    assert len(pair.second.requests) == 2
    assert (await pair.record(reply, 0)).engine == "local"  # its prompt is what can be rebuilt


async def test_why_rebuilds_with_the_engine_that_wrote_it(set_stage: StageMaker) -> None:
    pair = await two(set_stage)
    await pair.first.close()
    reply = await pair.answer()
    await pair.first.start()
    why = await pair.stage.conversations.why(reply.turn.turn_id)
    assert why.prompt.text == pair.second.requests[0].prompt
    assert not why.changed_since
    assert why.missing_engine == ""


async def test_why_says_that_the_engine_is_configured_no_more(set_stage: StageMaker) -> None:
    pair = await two(set_stage)
    await pair.first.close()
    reply = await pair.answer()
    await pair.first.start()
    pair.stage.engines = Engines([NamedEngine("local", pair.first)])
    pair.stage.start_again()
    why = await pair.stage.conversations.why(reply.turn.turn_id)
    assert why.missing_engine == "fallback:openai"
    assert "### " in why.prompt.text
    assert why.changed_since


async def test_stopping_a_reply_is_no_failure_of_the_engine(set_stage: StageMaker) -> None:
    pair = await two(set_stage)
    pair.first.gate = asyncio.Event()
    await pair.stage.say("a question")
    reply = await pair.stage.conversations.next_reply(HERE)
    assert reply is not None
    showing = asyncio.create_task(pair.stage.show(reply))
    await until(lambda: pair.first.status().running)
    reply.stop()
    assert await showing == ""
    assert pair.second.requests == []


class Changing(FakeEngine):
    """Turns out to have another model when it is asked for the first time."""

    def __init__(self, now: ModelInfo, *, fails: int) -> None:
        super().__init__(["Mine."])
        self._now = now
        self._fails = fails
        self.tries: list[GenerationRequest] = []

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[Chunk, None]:
        self.tries.append(request)
        if len(self.tries) <= self._fails:
            self._info = replace(self._now, name=f"{self._now.name} {len(self.tries)}")
            raise RequestTooLarge("The prompt is for another one.")
        async for chunk in super().generate(request):
            yield chunk


async def test_a_prompt_is_made_anew_where_the_model_turns_out_to_be_another(
    set_stage: StageMaker,
) -> None:
    first = Changing(CHATML, fails=1)
    pair = await two(set_stage, first=first)
    reply = await pair.answer()
    assert ["<|im_start|>" in request.prompt for request in first.tries] == [False, True]
    assert (await pair.record(reply)).prompt_format == "chatml"
    assert (await pair.record(reply)).engine == "local"
    assert pair.second.requests == []


async def test_a_prompt_is_made_anew_once_for_an_engine(set_stage: StageMaker) -> None:
    first = Changing(CHATML, fails=5)
    pair = await two(set_stage, first=first)
    await pair.stage.say("a question")
    await pair.stage.answer()
    assert len(first.tries) == 2
