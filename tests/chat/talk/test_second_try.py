"""A reply that is no good is written once more before anybody sees it; the second try is final."""

import asyncio
from collections.abc import Sequence

import pytest
from conversing import HERE, Stage, StageMaker, settle, until
from hypothesis import given as property_of
from hypothesis import strategies as st

from bot.chat.messages import Flaw, GenerationRecord, Retry
from bot.chat.talk.faults import NOTHING_CAME, line_for_retry
from bot.chat.talk.judging import LEAST_UNITS, Judge, Standards
from bot.chat.talk.reply import Reply
from bot.engine.api import FinishReason, GenerationRequest
from bot.engine.fake import FakeEngine, tokens_of
from bot.errors import EngineError, EngineFailed

FIRST = "*smiles* The rain had stopped, and the lanterns along the quay were lit."
OTHER = "Nobody was to be seen in the whole of the old town but a black cat on a wall."
LOOP = "I am here for you, always and for ever, my dear friend. "


@pytest.fixture(autouse=True)
def _held_back(monkeypatch: pytest.MonkeyPatch, _text_at_once: None) -> None:  # pyright: ignore[reportUnusedFunction]
    monkeypatch.setattr("bot.chat.talk.judging.LEAST_UNITS", LEAST_UNITS)


async def ask(stage: Stage, text: str = "and then?") -> Reply:
    await stage.say(text)
    reply = await stage.answer()
    assert reply is not None
    return reply


async def record_of(stage: Stage, reply: Reply, swipe: int = 0) -> GenerationRecord:
    record = await stage.history.generation(reply.turn.turn_id, swipe)
    assert record is not None
    return record


async def retry_of(stage: Stage, reply: Reply, swipe: int = 0) -> Retry | None:
    record = await record_of(stage, reply, swipe)
    assert record.occasion is not None
    return record.occasion.retry


@pytest.mark.parametrize("again", [FIRST, FIRST.upper(), FIRST.replace("*smiles*", "Hm.")])
async def test_what_was_said_before_is_not_said_again(set_stage: StageMaker, again: str) -> None:
    stage = set_stage(replies=[FIRST, again, OTHER])
    assert await retry_of(stage, await ask(stage)) is None
    reply = await ask(stage)
    assert (await stage.texts())[-1] == OTHER
    first, second = stage.engine.requests[1:]
    assert first.sampling.seed != second.sampling.seed
    assert first.prompt == second.prompt
    tokens = len(tokens_of(again))
    retry = await retry_of(stage, reply)
    assert retry is not None
    assert retry == Retry(Flaw.REPEATED, tokens)
    assert line_for_retry(retry) == (
        "The first try nearly repeated an earlier reply; this is the second try. "
        f"The other took {tokens} tokens."
    )
    record = await record_of(stage, reply)
    assert record.sampling.seed == second.sampling.seed
    assert record.statistics.reply_tokens == len(tokens_of(OTHER))
    assert record.finish is FinishReason.STOP


async def test_the_bots_last_three_replies_count(
    set_stage: StageMaker,
) -> None:
    lines = [
        "Two sailors carried a trunk.", "It was never opened by anybody.",
        "My uncle kept bees in those days.", "You should have tasted that honey!",
    ]  # fmt: skip
    stage = set_stage(replies=[FIRST, *lines[:2], FIRST, OTHER, *lines[2:], FIRST])
    for _ in range(3):
        await ask(stage)
    await ask(stage)
    assert (await stage.texts())[-1] == OTHER
    await ask(stage)
    await ask(stage)
    await ask(stage)
    assert (await stage.texts())[-1] == FIRST  # it was long ago


async def test_it_is_known_however_few_turns_the_model_sees(set_stage: StageMaker) -> None:
    stage = set_stage(replies=[FIRST, FIRST, OTHER])
    await stage.set("history_turns", 0)
    await ask(stage)
    await ask(stage)
    assert (await stage.texts())[-1] == OTHER


async def test_a_short_reply_may_come_again_but_not_for_ever(set_stage: StageMaker) -> None:
    stage = set_stage(replies=["Yes.", "Yes.", "Yes.", "Yes!", "No, never."])
    for _ in range(4):
        await ask(stage)
    bot = [turn.text for turn in await stage.turns() if turn.role == "bot"]
    assert bot == ["Yes.", "Yes.", "Yes.", "No, never."]


async def test_another_figure_is_another_reply(set_stage: StageMaker) -> None:
    counts = [f"That makes {number} bottles of beer on the wall of the inn." for number in (3, 2)]
    stage = set_stage(replies=counts)
    await ask(stage)
    await ask(stage)
    assert len(stage.engine.requests) == 2


async def test_a_long_repetition_is_broken_off(set_stage: StageMaker) -> None:
    long = " ".join(f"word{number} and so on" for number in range(120))
    stage = set_stage(replies=[long, long, OTHER])
    await ask(stage)
    reply = await ask(stage)
    assert (await stage.texts())[-1] == OTHER
    assert len(stage.engine.cancelled) == 1
    retry = await retry_of(stage, reply)
    assert retry is not None
    assert 0 < retry.tokens < len(tokens_of(long))


@pytest.mark.parametrize(
    ("bad", "flaw"),
    [
        ("", Flaw.EMPTY), (" \n", Flaw.EMPTY), ("**", Flaw.EMPTY), ('"', Flaw.EMPTY),
        ("Ada:", Flaw.EMPTY), ("Ada", Flaw.NAME), ("**Bob**", Flaw.NAME), ("ada.", Flaw.NAME),
        ("\ufeff", Flaw.EMPTY), ("\u2800 \u00ad", Flaw.EMPTY), ("Ada\n\n**Bob**", Flaw.NAME),
        (LOOP * 30, Flaw.LOOP),
    ],
)  # fmt: skip
async def test_what_is_no_reply_is_written_anew(
    set_stage: StageMaker, bad: str, flaw: Flaw
) -> None:
    stage = set_stage(replies=[bad, OTHER])
    reply = await ask(stage)
    assert await stage.texts() == ["and then?", OTHER]
    retry = await retry_of(stage, reply)
    assert retry is not None
    assert retry.flaw is flaw
    assert not retry.kept_first


@pytest.mark.parametrize("good", ["...", "?!", "😀", "♥", "No.", "Adah", "はい"])
async def test_a_short_reply_is_one(set_stage: StageMaker, good: str) -> None:
    stage = set_stage(replies=[good])
    await ask(stage)
    assert (await stage.texts())[-1] == good
    assert len(stage.engine.requests) == 1


@pytest.mark.parametrize(
    ("first", "second", "shown", "kept_first"),
    [
        ("Ada", "", "Ada", True),
        ("Ada", "Bob", "Bob", False),
        (FIRST, "Ada", FIRST, True),
        (FIRST, FIRST.upper(), FIRST.upper(), False),
        ("", FIRST, FIRST, False),
        (LOOP * 30, "Ada", (LOOP * 2).strip(), True),
        (FIRST, EngineFailed("gone"), FIRST, True),
        ("Ada", EngineFailed("gone"), "Ada", True),
    ],
)
async def test_the_second_try_is_final_and_the_better_one_is_shown(
    set_stage: StageMaker, first: str, second: str | EngineError, shown: str, kept_first: bool
) -> None:
    stage = set_stage(replies=[FIRST, first, second, "Not this."])
    await ask(stage)
    reply = await ask(stage)
    assert (await stage.texts())[-1] == shown
    assert len(stage.engine.requests) == 3
    assert reply.outcome is not None
    assert not reply.outcome.error
    retry = await retry_of(stage, reply)
    assert retry is not None
    assert retry.kept_first is kept_first
    await ask(stage)  # the channel is free


async def test_nothing_twice_is_said(set_stage: StageMaker) -> None:
    stage = set_stage(replies=["**", "Ada:", "Not this."])
    reply = await ask(stage)
    assert reply.outcome is not None
    assert reply.outcome.error == NOTHING_CAME
    assert await stage.texts() == ["and then?"]


async def test_text_that_is_like_nothing_before_streams(set_stage: StageMaker) -> None:
    gate = asyncio.Semaphore(0)
    stage = set_stage(engine=FakeEngine([FIRST, OTHER], gate=gate))
    await stage.say("hello")
    reply = await stage.conversations.next_reply(HERE)
    assert reply is not None
    showing = asyncio.ensure_future(stage.show(reply))
    for _ in range(4):
        gate.release()
    await until(lambda: stage.shown)
    assert OTHER.startswith(stage.shown) or FIRST.startswith(stage.shown)
    assert len(stage.shown) < len(FIRST)
    for _ in range(10):
        gate.release()
    assert await showing == FIRST


@pytest.mark.parametrize("chunks", [3, 9])
async def test_stop_works_in_either_try(set_stage: StageMaker, chunks: int) -> None:
    gate = asyncio.Semaphore(100)
    stage = set_stage(engine=FakeEngine([FIRST, FIRST, OTHER], gate=gate))
    await ask(stage)
    gate = stage.engine.gate = asyncio.Semaphore(0)
    await stage.say("and then?")
    reply = await stage.conversations.next_reply(HERE)
    assert reply is not None
    showing = asyncio.ensure_future(stage.show(reply))
    for _ in range(chunks):
        gate.release()
    await until(lambda: len(stage.engine.requests) == (2 if chunks == 3 else 3))
    await settle()
    reply.stop()
    assert await showing == ""
    assert len(stage.engine.cancelled) == 1
    assert (await stage.texts())[-1] == "and then?"
    stage.engine.gate = None
    assert stage.conversations.running(HERE) is None


@pytest.mark.parametrize(("given", "second"), [(0, 0.7), (0.2, 0.7), (1.1, 1.1)])
async def test_who_is_stuck_is_shaken(set_stage: StageMaker, given: float, second: float) -> None:
    stage = set_stage(replies=[FIRST, FIRST, OTHER])
    await stage.set("temperature", given)
    await ask(stage)
    reply = await ask(stage)
    temperatures = [request.sampling.temperature for request in stage.engine.requests]
    assert temperatures == [given, given, second]
    assert (await record_of(stage, reply)).sampling.temperature == second


async def test_regenerate_brings_something_new(set_stage: StageMaker) -> None:
    stage = set_stage(replies=["Yes, my dear.", "Yes, my dear.", "No."])
    reply = await ask(stage)
    again = await stage.conversations.regenerate(reply.turn.turn_id)
    assert await stage.show(again) == "No."
    retry = await retry_of(stage, again, 1)
    assert retry is not None
    assert retry.flaw is Flaw.REPEATED


async def test_what_goes_on_may_be_a_name_but_does_not_begin_anew(set_stage: StageMaker) -> None:
    stage = set_stage(replies=[FIRST, " Ada", FIRST, " And then it rained again, all night long."])
    reply = await ask(stage)
    await stage.show(await stage.conversations.continue_reply(reply.turn.turn_id))
    assert (await stage.texts())[-1] == f"{FIRST} Ada"
    await stage.show(await stage.conversations.continue_reply(reply.turn.turn_id))
    assert (await stage.texts())[-1] == f"{FIRST} Ada And then it rained again, all night long."
    assert await retry_of(stage, reply) == Retry(Flaw.REPEATED, len(tokens_of(FIRST)))


async def test_the_waiting_time_of_both_tries_is_told(set_stage: StageMaker) -> None:
    def slow(request: GenerationRequest) -> str:
        return "" if request.sampling.temperature == 0 else OTHER

    stage = set_stage(engine=FakeEngine(slow, chunk_seconds=0.01))
    await stage.set("temperature", 0)
    reply = await ask(stage)
    took = (await record_of(stage, reply)).statistics
    assert took.total_seconds > took.first_token_seconds > 0
    assert took.reply_tokens == len(tokens_of(OTHER))


def judged(
    *pieces: str, recent: Sequence[str] = (), is_last: bool = False
) -> tuple[str, Flaw | None]:
    judge = Judge(Standards(names=["Ada", "Bob"], recent=recent), is_last=is_last)
    shown = "".join(judge.feed(piece, may_loop=False) for piece in pieces)
    return shown + judge.end(looped=False), judge.flaw


def test_nothing_of_a_good_reply_is_lost() -> None:
    assert judged(*OTHER, recent=[FIRST]) == (OTHER, None)
    assert judged(OTHER, recent=[FIRST]) == (OTHER, None)
    assert judged(*(OTHER * 30), recent=[FIRST, OTHER]) == (OTHER * 30, None)


@property_of(
    st.text(max_size=200), st.lists(st.integers(1, 20)), st.lists(st.text(max_size=90), max_size=3)
)
def test_a_try_is_shown_whole_or_not_at_all(
    text: str, lengths: list[int], recent: list[str]
) -> None:
    pieces, rest = [], text
    for length in lengths:
        pieces.append(rest[:length])
        rest = rest[length:]
    shown, flaw = judged(*pieces, rest, recent=recent)
    assert shown == ("" if flaw else text)


def test_the_last_try_is_shown_although_it_repeats() -> None:
    long = " ".join(f"word{number} and so on" for number in range(120))
    assert judged(*long, recent=[long])[1] is Flaw.REPEATED
    assert judged(*long, recent=[long], is_last=True) == (long, None)
