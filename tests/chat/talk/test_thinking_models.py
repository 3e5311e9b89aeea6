"""Models that think before they answer: with tokens of their own, and nobody sees any of it."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest
from conversing import HERE, Stage, StageMaker, until
from model_templates import FAMILIES, template_of

from bot.chat.talk.faults import NOTHING_CAME
from bot.chat.talk.reply import Reply
from bot.engine.api import FinishReason, GenerationRequest, ModelInfo
from bot.engine.fake import FakeEngine, tokens_of

THOUGHT = "Let me see. " * 40
REPLY_TOKENS = 64


async def begin(stage: Stage, text: str = "a question") -> Reply:
    await stage.say(text)
    reply = await stage.conversations.next_reply(HERE)
    assert reply is not None
    return reply


def model(name: str = "deepseek-r1-distill", context: int = 4096) -> ModelInfo:
    family = FAMILIES[name]
    template = template_of(name).source
    return ModelInfo(name, context, chat_template=template, bos_token=family.bos)


def thinking(
    set_stage: StageMaker,
    think: Callable[[GenerationRequest], str],
    answer: Callable[[GenerationRequest], str] = lambda _: "Four.",
    *,
    info: ModelInfo | None = None,
    thinking_tokens: int = 256,
) -> Stage:
    def reply(request: GenerationRequest) -> str:
        ends_in_thought = request.prompt.rstrip().endswith("<think>")
        return think(request) if ends_in_thought else answer(request)

    engine = FakeEngine(reply, info=info or model())
    return set_stage(engine=engine, max_reply_tokens=REPLY_TOKENS, thinking_tokens=thinking_tokens)


async def test_the_thought_comes_first_and_is_kept_apart(set_stage: StageMaker) -> None:
    stage = thinking(set_stage, lambda _: "Two and two.\nBob: is here.\n</think>\n\nForgotten.")
    reply = await begin(stage)
    assert await stage.show(reply) == "Four."
    first, second = stage.engine.requests
    assert first.prompt.endswith("<think>\n")
    assert first.max_tokens == 256
    assert second.prompt == first.prompt + "Two and two.\nBob: is here.\n</think>\n\n"
    assert second.max_tokens == REPLY_TOKENS
    assert (await stage.texts())[-1] == "Four."
    record = await stage.history.generation(reply.turn.turn_id, 0)
    assert record is not None
    assert record.statistics.reply_tokens == len(tokens_of("Four."))
    assert record.statistics.thinking_tokens >= len(tokens_of("Two and two.\nBob: is here.\n"))
    await stage.answer()
    await stage.show(await begin(stage))
    assert "Two and two" not in stage.engine.requests[2].prompt


async def test_a_thought_without_end_is_closed_and_answered_in_full(set_stage: StageMaker) -> None:
    stage = thinking(set_stage, lambda _: THOUGHT * 99, lambda _: "word " * 500)
    shown = await stage.show(await begin(stage))
    first, second = stage.engine.requests
    assert second.prompt.startswith(first.prompt + "Let me see.")
    assert second.prompt.endswith("\n</think>\n\n")
    assert len(tokens_of(shown)) > REPLY_TOKENS // 2
    assert second.max_tokens == REPLY_TOKENS
    assert "Let me see" not in shown


async def test_there_is_room_for_thought_and_reply(set_stage: StageMaker) -> None:
    stage = thinking(set_stage, lambda _: THOUGHT * 99, info=model(context=600))
    for at in range(6):
        await stage.say(f"question {at}: " + "and then? " * 20)
        await stage.answer()
    for request in stage.engine.requests:
        assert len(tokens_of(request.prompt)) + request.max_tokens < 600
    assert stage.engine.requests[0].max_tokens <= 150  # of a small context no more than a quarter


async def test_without_a_budget_the_thought_is_closed_at_once(set_stage: StageMaker) -> None:
    stage = thinking(set_stage, lambda _: THOUGHT, thinking_tokens=0)
    assert await stage.show(await begin(stage)) == "Four."
    (request,) = stage.engine.requests
    assert request.prompt.endswith("<think>\n\n</think>\n\n")


async def test_one_that_can_be_told_not_to_think_is_told(set_stage: StageMaker) -> None:
    stage = thinking(set_stage, lambda _: THOUGHT, info=model("qwen-3"), thinking_tokens=0)
    assert await stage.show(await begin(stage)) == "Four."
    (request,) = stage.engine.requests
    assert request.prompt.endswith("<|im_start|>assistant\n<think>\n\n</think>\n\n")


async def test_one_that_thinks_by_itself_is_given_its_budget(set_stage: StageMaker) -> None:
    stage = thinking(set_stage, lambda _: "Hm.\n</think>\n\n", info=model("qwen-3"))
    assert await stage.show(await begin(stage)) == "Four."
    assert [request.max_tokens for request in stage.engine.requests] == [256, REPLY_TOKENS]


async def test_names_stand_after_the_thought(set_stage: StageMaker) -> None:
    stage = thinking(set_stage, lambda _: "Hm.</think>")
    await stage.set("context", "channel")
    await stage.overhear("hello", by="carol")
    assert await stage.show(await begin(stage)) == "Four."
    first, second = stage.engine.requests
    assert first.prompt.endswith("<think>\n")
    assert second.prompt.endswith("Hm.\n</think>\n\nAda:")


async def test_a_continued_reply_is_not_thought_about_again(set_stage: StageMaker) -> None:
    stage = thinking(set_stage, lambda _: "Hm.</think>", lambda _: "Four.")
    reply = await begin(stage)
    await stage.show(reply)
    more = await stage.conversations.continue_reply(reply.turn.turn_id)
    await stage.show(more)
    prompt = stage.engine.requests[-1].prompt
    assert prompt.endswith("<think>\n\n</think>\n\nFour.")
    assert "Hm." not in prompt


async def test_stop_works_while_it_thinks(set_stage: StageMaker) -> None:
    stage = thinking(set_stage, lambda _: THOUGHT)
    stage.engine.gate = asyncio.Event()
    reply = await begin(stage)
    async with reply:
        showing = asyncio.ensure_future(_all(reply))
        await until(lambda: bool(stage.engine.requests))
        reply.stop()
        assert await showing == ""
    assert stage.engine.cancelled == stage.engine.requests
    assert await stage.texts() == ["a question"]
    assert stage.conversations.running(HERE) is None


async def _all(reply: Reply) -> str:
    return "".join([text async for text in reply])


async def test_a_blank_answer_is_tried_once_more(set_stage: StageMaker) -> None:
    stage = thinking(set_stage, lambda _: "Hm.</think>", lambda _: "")
    reply = await begin(stage)
    assert await stage.show(reply) == ""
    assert reply.outcome is not None
    assert reply.outcome.error == NOTHING_CAME
    assert len(stage.engine.requests) == 4


@pytest.mark.parametrize(
    ("opens", "closes"),
    [("<think>", "</think>"), ("[THINK]", "[/THINK]"), ("<reasoning>", "</reasoning>")],
)
async def test_an_unexpected_thought_takes_nothing_from_the_answer(
    set_stage: StageMaker, opens: str, closes: str
) -> None:
    def reply(request: GenerationRequest) -> str:
        if closes in request.prompt:
            return "word " * 40 + "end."
        return f"{opens}{THOUGHT * 99}"

    engine = FakeEngine(reply)
    stage = set_stage(engine=engine, max_reply_tokens=REPLY_TOKENS, thinking_tokens=200)
    shown = await stage.show(await begin(stage))
    assert shown.startswith("word word")
    plain, thought, answer = stage.engine.requests
    assert plain.max_tokens == REPLY_TOKENS
    assert thought.max_tokens == 200 - REPLY_TOKENS
    assert answer.max_tokens == REPLY_TOKENS
    assert answer.prompt.endswith(f"\n{closes}\n\n")


async def test_an_answer_cut_short_by_an_unexpected_thought_goes_on(set_stage: StageMaker) -> None:
    answer = " ".join(f"w{at}" for at in range(20))
    whole = f"<think>{'Hm. ' * 15}</think>\n\n{answer}"

    def reply(request: GenerationRequest) -> str:
        _, begun, said = request.prompt.partition("<think>")
        return whole.removeprefix(begun + said)

    stage = set_stage(engine=FakeEngine(reply), max_reply_tokens=REPLY_TOKENS, thinking_tokens=200)
    reply_shown = await begin(stage)
    assert await stage.show(reply_shown) == answer
    assert reply_shown.outcome is not None
    assert reply_shown.outcome.finish is FinishReason.STOP


async def test_a_server_that_takes_messages_alone_is_asked_once(set_stage: StageMaker) -> None:
    info = replace(model(), takes_prompts=False)
    engine = FakeEngine(["Hm.\n</think>\n\nFour."], info=info)
    stage = set_stage(engine=engine, max_reply_tokens=REPLY_TOKENS, thinking_tokens=256)
    assert await stage.show(await begin(stage)) == "Four."
    (request,) = engine.requests
    assert (request.max_tokens, request.thinking_tokens) == (REPLY_TOKENS, 256)
