"""What is deleted while its reply is on the way, or afterwards."""

import asyncio
from dataclasses import replace

import pytest
from conversing import HERE, Stage, StageMaker, until

from bot.chat.messages import Turn, TurnState
from bot.chat.talk.reply import Reply
from bot.engine.fake import FakeEngine
from bot.errors import NotAllowed, NotFound

LONG = "\n\n".join(
    f"Part {name}. " + "".join(f"word{number:03} " for number in range(160))
    for name in ("one", "two", "three")
)
IDS = ["b1", "b2", "b3"]


async def begun(stage: Stage, text: str = "") -> tuple[Reply, asyncio.Task[str]]:
    """A reply that waits for its first word, or has come and shown as far as `text`."""
    reply = await stage.conversations.next_reply(HERE)
    assert reply is not None
    seen: list[str] = []

    async def read() -> str:
        async with reply:
            async for piece in reply:
                seen.append(piece)
                await reply.shown("".join(seen), ["b1"])
        return "".join(seen)

    task = asyncio.create_task(read())
    await until(lambda: bool(stage.engine.requests) and "".join(seen) == text)
    return reply, task


@pytest.fixture
def gate() -> asyncio.Semaphore:
    return asyncio.Semaphore(0)


@pytest.fixture
def held(set_stage: StageMaker, gate: asyncio.Semaphore) -> Stage:
    return set_stage(engine=FakeEngine(["A long story."], gate=gate, chunk_characters=4))


async def delete(stage: Stage, *turns: Turn | None) -> int:
    ids = [number for turn in turns if turn is not None for number in turn.message_ids]
    return await stage.conversations.deleted(HERE, ids)


@pytest.mark.parametrize(
    "way", ["deleted", "quoted and turned into an aside", "edited into an aside", "by its number"]
)
async def test_a_question_deleted_before_the_first_word_has_no_answer(
    held: Stage, way: str
) -> None:
    asked = (await held.say("my secret")).turn
    assert asked is not None
    reply, task = await begun(held)
    if way == "deleted":
        await delete(held, asked)
    elif way == "by its number":
        await held.conversations.delete_turn(asked.turn_id)
    elif way == "edited into an aside":
        aside = replace(held.message("// never mind"), message_id=asked.message_ids[0])
        await held.conversations.edited_message(aside)
    else:
        await held.conversations.edited(HERE, asked.message_ids[0], "// never mind")
    assert await task == ""
    assert reply.left == ()
    assert reply.outcome is not None
    assert reply.outcome.error == ""
    assert await held.turns() == []
    assert len(held.engine.cancelled) == 1
    assert held.is_idle


async def test_where_other_questions_are_left_it_answers_those_alone(
    held: Stage, gate: asyncio.Semaphore
) -> None:
    secret = (await held.say("my secret")).turn
    await held.say("and a question", by="eve")
    reply, task = await begun(held)
    await delete(held, secret)
    await until(lambda: len(held.engine.requests) == 2)
    for _ in range(20):
        gate.release()
    assert await task == "A long story."
    assert "my secret" in held.engine.requests[0].prompt
    assert "my secret" not in held.prompt
    assert "and a question" in held.prompt
    assert [asked.text for asked in reply.answers] == ["and a question"]
    assert await held.texts() == ["and a question", "A long story."]
    record = await held.history.generation(reply.turn.turn_id, 0)
    assert record is not None
    assert not (await held.conversations.why(reply.turn.turn_id)).changed_since


async def test_what_was_said_before_and_is_deleted_is_not_in_the_prompt_either(
    set_stage: StageMaker, gate: asyncio.Semaphore
) -> None:
    stage = set_stage(engine=FakeEngine(["One.", "Two."]))
    secret = (await stage.say("my secret")).turn
    await stage.answer()
    stage.engine.gate = gate
    await stage.say("a question")
    reply = await stage.conversations.next_reply(HERE)
    assert reply is not None
    task = asyncio.create_task(stage.show(reply))
    await until(lambda: len(stage.engine.requests) == 2)
    await delete(stage, secret)
    await until(lambda: len(stage.engine.requests) == 3)
    for _ in range(20):
        gate.release()
    await task
    assert "my secret" not in stage.prompt
    assert reply.turn.state is TurnState.WHOLE


async def test_a_reply_that_can_be_seen_goes_on(held: Stage, gate: asyncio.Semaphore) -> None:
    asked = (await held.say("a question")).turn
    gate.release()
    _, task = await begun(held, "A long")
    await delete(held, asked)
    for _ in range(20):
        gate.release()
    assert await task == "A long story."
    assert await held.texts() == ["A long story."]
    assert len(held.engine.requests) == 1


async def test_what_comes_is_not_kept_once_the_question_is_gone(held: Stage) -> None:
    asked = (await held.say("a question")).turn
    reply = await held.conversations.next_reply(HERE)
    assert reply is not None
    held.engine.gate = None
    async with reply:
        text = "".join([piece async for piece in reply])
        await delete(held, asked)  # while its first message is being sent
        await reply.shown(text, ["b1"])
    assert reply.left == ()
    assert await held.turns() == []


async def test_an_alternative_is_not_written_once_its_question_is_gone(
    set_stage: StageMaker, gate: asyncio.Semaphore
) -> None:
    stage = set_stage(replies=["One.", "Two."])
    asked = (await stage.say("a question")).turn
    first = await stage.answer()
    assert first is not None
    stage.engine.gate = gate
    again = await stage.conversations.regenerate(first.turn.turn_id)
    task = asyncio.create_task(stage.show(again))
    await until(lambda: len(stage.engine.requests) == 2)
    await delete(stage, asked)
    await task
    assert again.left == first.turn.message_ids
    [turn] = await stage.turns()
    assert (turn.text, len(turn.swipes)) == ("One.", 1)


# Written again, without its question ------------------------------------------------------------


async def test_nothing_is_written_again_from_no_conversation(stage: Stage) -> None:
    asked = (await stage.say("a question")).turn
    first = await stage.answer()
    assert first is not None
    await delete(stage, asked)
    with pytest.raises(NotAllowed, match="no longer there"):
        await stage.conversations.regenerate(first.turn.turn_id)
    assert len(stage.engine.requests) == 1
    assert await stage.texts() == ["One."]
    assert stage.is_idle
    more = await stage.conversations.continue_reply(first.turn.turn_id)  # it has its own text
    await stage.show(more)
    assert await stage.texts() == ["One.Two."]


async def test_what_the_prompt_would_not_show_is_no_conversation(stage: Stage) -> None:
    await stage.set("context", "channel")
    await stage.overhear("not to the bot")
    asked = (await stage.say("a question")).turn
    first = await stage.answer()
    assert first is not None
    await delete(stage, asked)
    await stage.show(await stage.conversations.regenerate(first.turn.turn_id))
    assert "not to the bot" in stage.prompt
    await stage.set("context", "addressed")
    with pytest.raises(NotAllowed):
        await stage.conversations.regenerate(first.turn.turn_id)


# Replies of several messages --------------------------------------------------------------------


async def three_messages(stage: Stage) -> Turn:
    await stage.say("tell me much")
    reply = await stage.conversations.next_reply(HERE)
    assert reply is not None
    async with reply:
        await reply.shown("".join([piece async for piece in reply]), IDS)
    return await stage.history.turn(reply.turn.turn_id)


async def test_of_several_messages_the_text_of_the_others_stays(set_stage: StageMaker) -> None:
    stage = set_stage(replies=[LONG])
    told: list[Turn] = []
    stage.conversations.on_shortened(told.append)
    turn = await three_messages(stage)
    assert await stage.conversations.deleted(HERE, ["b2"]) == 0
    left = await stage.history.turn(turn.turn_id)
    assert told == [left]
    assert left.message_ids == ("b1", "b3")
    assert left.state is TurnState.WHOLE
    assert ("Part one" in left.text, "Part two" in left.text, "Part three" in left.text) == (
        True,
        False,
        True,
    )
    assert await stage.conversations.deleted(HERE, ["b1", "b3"]) == 1
    assert told == [left]
    with pytest.raises(NotFound):
        await stage.history.turn(turn.turn_id)


async def test_a_reply_of_which_a_part_is_deleted_while_it_is_written_ends(
    set_stage: StageMaker, gate: asyncio.Semaphore
) -> None:
    stage = set_stage(engine=FakeEngine([LONG + " And much more."], chunk_characters=len(LONG)))
    stage.engine.gate = gate
    await stage.say("tell me much")
    reply = await stage.conversations.next_reply(HERE)
    assert reply is not None
    gate.release()
    async with reply:
        async for text in reply:
            await reply.shown(text, IDS)
            await stage.conversations.deleted(HERE, ["b1"])
            await reply.shown(text + " more", [*IDS, "b4"])
    assert reply.left == ("b2", "b3")
    turn = await stage.history.turn(reply.turn.turn_id)
    assert (turn.state, turn.message_ids) == (TurnState.CUT, ("b2", "b3"))
    assert turn.text.startswith("Part two")
    assert "Part one" not in turn.text
    assert stage.is_idle


async def test_while_it_is_written_again_the_old_text_is_what_is_shortened(
    set_stage: StageMaker, gate: asyncio.Semaphore
) -> None:
    stage = set_stage(engine=FakeEngine([LONG, "Another."]))
    turn = await three_messages(stage)
    stage.engine.gate = gate
    again = await stage.conversations.regenerate(turn.turn_id)
    task = asyncio.create_task(stage.show(again))
    await until(lambda: len(stage.engine.requests) == 2)
    await stage.conversations.deleted(HERE, ["b1"])
    await task
    left = await stage.history.turn(turn.turn_id)
    assert left.text.startswith("Part two")
    assert (left.message_ids, len(left.swipes)) == (("b2", "b3"), 1)
