"""The bot's replies: running, finished, cut, swiped."""

from collections.abc import Collection
from dataclasses import replace

import pytest
from store_samples import ANN, BEN, BOT, CHANNEL, OTHER_CHANNEL, Talk, record

from bot.chat.messages import FinishReason, QuotedMessage, TurnState
from bot.errors import NotFound
from bot.store.history import SqlHistory


async def test_a_reply_runs_and_ends(history: SqlHistory, talk: Talk) -> None:
    one, two = await talk.ask("one"), await talk.ask("two", author=BEN)
    running = await history.begin_reply(
        CHANNEL, BOT, persona="Ada", persona_id="file:ada", answers=[one.turn_id, two.turn_id]
    )
    assert (running.role, running.state, running.text) == ("bot", TurnState.RUNNING, "")
    assert (running.persona, running.persona_id, running.speaker) == ("Ada", "file:ada", BOT)
    assert running.asked_by == {ANN.speaker_id, BEN.speaker_id}
    assert await history.pending(CHANNEL) == []
    assert (await history.turn(one.turn_id)).answered_by == running.turn_id

    await history.show_reply(running.turn_id, "Well", ["10"])
    await history.show_reply(running.turn_id, "Well, then.", ["10", "11"])
    shown = await history.turn(running.turn_id)
    assert (shown.text, shown.message_ids) == ("Well, then.", ("10", "11"))
    assert shown.state is TurnState.RUNNING

    ended = await history.finish_reply(running.turn_id, TurnState.WHOLE, record())
    assert ended.state is TurnState.WHOLE
    assert ended.swipes[0].finish is FinishReason.STOP
    assert ended == await history.turn(running.turn_id)
    assert await history.generation(ended.turn_id, 0) == record()
    assert await history.generation(ended.turn_id, 1) is None
    assert await history.turn_of_message(CHANNEL, "11") == ended


@pytest.mark.parametrize("count", [-1, 3_000_000_000, 10**20])
@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), -1.0, 1e300])
async def test_whatever_a_server_counted_the_reply_is_kept(
    history: SqlHistory, talk: Talk, count: int, seconds: float
) -> None:
    reply = await history.begin_reply(
        CHANNEL, BOT, persona="", answers=[(await talk.ask("hi")).turn_id]
    )
    await history.show_reply(reply.turn_id, "Hello", ["10"])
    counted = replace(
        record(),
        statistics=replace(
            record().statistics,
            prompt_tokens=count,
            cached_prompt_tokens=count,
            reply_tokens=count,
            queued_seconds=seconds,
            first_token_seconds=seconds,
            total_seconds=seconds,
        ),
    )
    ended = await history.finish_reply(reply.turn_id, TurnState.WHOLE, counted)
    assert (ended.text, ended.state) == ("Hello", TurnState.WHOLE)
    kept = await history.generation(ended.turn_id, 0)
    assert kept is not None
    assert 0 <= kept.statistics.prompt_tokens < 2**31
    assert kept.statistics.total_seconds == 0.0


async def test_a_message_taken_up_during_a_reply_stands_after_it(
    history: SqlHistory, talk: Talk
) -> None:
    running = await history.begin_reply(
        CHANNEL, BOT, persona="", answers=[(await talk.ask("first")).turn_id]
    )
    await talk.ask("meanwhile")
    await history.show_reply(running.turn_id, "answer", ["10"])
    await history.finish_reply(running.turn_id, TurnState.CUT, None)
    assert await talk.texts() == ["first", "answer", "meanwhile"]
    assert [turn.text for turn in await history.pending(CHANNEL)] == ["meanwhile"]
    assert (await history.turn(running.turn_id)).state is TurnState.CUT


async def test_a_greeting_answers_nothing(history: SqlHistory, talk: Talk) -> None:
    greeting = await history.begin_reply(CHANNEL, BOT, persona="Ada", answers=[])
    assert greeting.asked_by == frozenset()
    assert greeting.conversation_id == (await history.window(CHANNEL, 1)).conversation_id


async def test_no_reply_to_what_was_deleted_meanwhile(history: SqlHistory, talk: Talk) -> None:
    gone, there = await talk.ask("gone"), await talk.ask("there")
    await history.delete_turn(gone.turn_id)
    with pytest.raises(NotFound):
        await history.begin_reply(CHANNEL, BOT, persona="", answers=[gone.turn_id])
    reply = await history.begin_reply(
        CHANNEL, BOT, persona="", answers=[gone.turn_id, there.turn_id]
    )
    assert (await history.turn(there.turn_id)).answered_by == reply.turn_id


async def test_a_reply_stands_with_its_question_also_after_a_reset(
    history: SqlHistory, talk: Talk
) -> None:
    question = await talk.ask("before the reset")
    await history.reset(CHANNEL)
    reply = await history.begin_reply(CHANNEL, BOT, persona="", answers=[question.turn_id])
    assert reply.conversation_id == question.conversation_id


async def test_swipes_come_and_are_chosen(history: SqlHistory, talk: Talk) -> None:
    reply = await talk.answer(await talk.ask("hi"), text="zero", ids=("10", "11"))
    second = await history.begin_swipe(reply.turn_id)
    assert (second.active_swipe, second.state, second.text) == (1, TurnState.RUNNING, "")
    assert second.message_ids == ("10", "11")
    await history.show_reply(reply.turn_id, "one", ["10"])
    await history.finish_reply(reply.turn_id, TurnState.CUT, record(seed=2**64 - 1))
    chosen = await history.select_swipe(reply.turn_id, 0)
    assert (chosen.text, chosen.state, chosen.active_swipe) == ("zero", TurnState.WHOLE, 0)
    assert [swipe.text for swipe in chosen.swipes] == ["zero", "one"]
    assert await talk.texts() == ["hi", "zero"]
    assert await history.generation(reply.turn_id, 0) == record()
    assert await history.generation(reply.turn_id, 1) == record(seed=2**64 - 1)
    assert (await history.select_swipe(reply.turn_id, 1)).state is TurnState.CUT
    for index in (2, -1, 2**70):
        with pytest.raises(NotFound):
            await history.select_swipe(reply.turn_id, index)


async def test_only_replies_have_swipes(history: SqlHistory, talk: Talk) -> None:
    question = await talk.ask("hi")
    for call in (
        history.begin_swipe(question.turn_id),
        history.select_swipe(question.turn_id, 0),
        history.show_reply(question.turn_id, "x", []),
        history.finish_reply(question.turn_id, TurnState.WHOLE, None),
        history.abandon_reply(question.turn_id, requeue=True),
    ):
        with pytest.raises(NotFound):
            await call
    assert await talk.texts() == ["hi"]


async def test_a_continued_reply_grows_in_its_swipe(history: SqlHistory, talk: Talk) -> None:
    reply = await talk.answer(await talk.ask("hi"), text="Once")
    await history.show_reply(reply.turn_id, "Once upon", ["10"])
    ended = await history.finish_reply(
        reply.turn_id, TurnState.CUT, record(seed=8, finish=FinishReason.CANCELLED)
    )
    assert (ended.text, ended.state, len(ended.swipes)) == ("Once upon", TurnState.CUT, 1)
    newest = await history.generation(reply.turn_id, 0)
    assert newest is not None
    assert newest.statistics.seed == 8


@pytest.mark.parametrize("requeue", [True, False])
async def test_an_abandoned_reply_leaves_nothing(
    history: SqlHistory, talk: Talk, requeue: bool
) -> None:
    question = await talk.ask("hi")
    overheard = await talk.mention("by the way")
    reply = await history.begin_reply(
        CHANNEL, BOT, persona="", answers=[question.turn_id, overheard.turn_id]
    )
    await history.abandon_reply(reply.turn_id, requeue=requeue)
    waiting = [turn.turn_id for turn in await history.pending(CHANNEL)]
    assert waiting == ([question.turn_id] if requeue else [])
    assert await talk.texts() == ["hi", "by the way"]
    with pytest.raises(NotFound):
        await history.turn(reply.turn_id)


async def test_an_abandoned_swipe_gives_the_one_before_back(
    history: SqlHistory, talk: Talk
) -> None:
    reply = await talk.answer(await talk.ask("hi"), text="zero")
    await history.begin_swipe(reply.turn_id)
    await history.show_reply(reply.turn_id, "one", ["10"])
    await history.finish_reply(reply.turn_id, TurnState.WHOLE, None)
    await history.select_swipe(reply.turn_id, 0)
    await history.begin_swipe(reply.turn_id)
    await history.abandon_reply(reply.turn_id, requeue=True)
    after = await history.turn(reply.turn_id)
    assert (after.active_swipe, after.text, len(after.swipes)) == (0, "zero", 2)
    assert await history.pending(CHANNEL) == []


async def test_a_finished_reply_cannot_be_abandoned(history: SqlHistory, talk: Talk) -> None:
    reply = await talk.answer(await talk.ask("hi"))
    await history.abandon_reply(reply.turn_id, requeue=True)
    assert await history.turn(reply.turn_id) == reply
    assert await history.pending(CHANNEL) == []


async def test_what_is_written_goes_to_the_running_swipe_also_if_another_is_chosen(
    history: SqlHistory, talk: Talk
) -> None:
    reply = await talk.answer(await talk.ask("hi"), text="zero")
    await history.begin_swipe(reply.turn_id)
    await history.select_swipe(reply.turn_id, 0)
    await history.show_reply(reply.turn_id, "one", ["10"])
    ended = await history.finish_reply(reply.turn_id, TurnState.WHOLE, None)
    assert [swipe.text for swipe in ended.swipes] == ["zero", "one"]


async def test_a_reply_deleted_while_it_runs_is_gone(history: SqlHistory, talk: Talk) -> None:
    question = await talk.ask("hi")
    reply = await history.begin_reply(CHANNEL, BOT, persona="", answers=[question.turn_id])
    await history.show_reply(reply.turn_id, "We", ["10"])
    await history.delete_messages(CHANNEL, ["10"])
    with pytest.raises(NotFound):
        await history.show_reply(reply.turn_id, "Well", ["10"])
    assert await history.turn_of_message(CHANNEL, "10") is None


async def test_a_shorter_swipe_gives_its_messages_back(history: SqlHistory, talk: Talk) -> None:
    reply = await talk.answer(await talk.ask("hi"), ids=("10", "11"))
    await history.show_reply(reply.turn_id, "short", ["10", "10"])
    assert (await history.turn(reply.turn_id)).message_ids == ("10",)
    assert await history.delete_messages(CHANNEL, ["11"]) == 0


async def test_last_reply_is_the_newest_visible_one(history: SqlHistory, talk: Talk) -> None:
    assert await history.last_reply(CHANNEL) is None
    first = await talk.answer(await talk.ask("one"))
    second = await talk.answer(await talk.ask("two"))
    await talk.ask("three")
    assert await history.last_reply(CHANNEL) == second
    await history.hide_last_exchange(CHANNEL)
    assert await history.last_reply(CHANNEL) == first
    assert await history.last_reply(OTHER_CHANNEL) is None


async def test_the_last_reply_to_one_person_alone(history: SqlHistory, talk: Talk) -> None:
    to_ann = await talk.answer(await talk.ask("one", author=ANN))
    to_ben = await talk.answer(await talk.ask("two", author=BEN))
    to_both = [await talk.ask("three", author=ANN), await talk.ask("four", author=BEN)]
    await talk.answer(*to_both)
    await talk.ask("five", author=ANN)
    assert await history.last_reply(CHANNEL, only_of="ann") == to_ann
    assert await history.last_reply(CHANNEL, only_of="ben") == to_ben
    assert await history.last_reply(CHANNEL, only_of="cleo") is None
    await history.reset(CHANNEL)
    assert await history.last_reply(CHANNEL, only_of="ann") is None


def without(text: str, messages: int, gone: Collection[int]) -> str:
    """One word a message."""
    words = text.split()
    assert len(words) == messages
    return " ".join(word for place, word in enumerate(words) if place not in gone)


async def test_a_reply_loses_some_of_its_messages(history: SqlHistory, talk: Talk) -> None:
    question = await talk.ask("hi", message_id="1")
    reply = await talk.answer(question, text="one two three", ids=("10", "11", "12"))
    await talk.ask("see", reply_to=QuotedMessage("11", BOT, "two"))
    assert await history.replies_in(CHANNEL, ["1", "11", "12", "404"]) == [reply]
    assert await history.replies_in(OTHER_CHANNEL, ["11"]) == []
    left = await history.shorten_reply(reply.turn_id, ["11", "404"], without)
    assert (left.text, left.message_ids, left.state) == ("one three", ("10", "12"), reply.state)
    assert left == await history.turn(reply.turn_id)
    assert await history.turn_of_message(CHANNEL, "11") is None
    assert (await history.export(CHANNEL))[-1].reply_to is None
    await history.shorten_reply(reply.turn_id, ["10"], without)
    assert (await history.turn(reply.turn_id)).text == "three"


@pytest.mark.parametrize("shown", ["", "four five"])
async def test_of_a_reply_written_again_it_loses_what_people_see(
    history: SqlHistory, talk: Talk, shown: str
) -> None:
    reply = await talk.answer(await talk.ask("hi"), text="one two", ids=("10", "11"))
    await history.begin_swipe(reply.turn_id)
    if shown:
        await history.show_reply(reply.turn_id, shown, ["10", "11"])
    left = await history.shorten_reply(reply.turn_id, ["10"], without)
    assert [swipe.text for swipe in left.swipes] == (["one two", "five"] if shown else ["two", ""])


async def test_token_counts_that_no_database_holds_keep_no_reply_from_its_end(
    history: SqlHistory, talk: Talk
) -> None:
    question = await talk.ask("hi")
    reply = await history.begin_reply(CHANNEL, BOT, persona="", answers=[question.turn_id])
    await history.show_reply(reply.turn_id, "Hello", ["10"])
    absurd = replace(record().statistics, prompt_tokens=10**20, reply_tokens=2**31)
    ended = await history.finish_reply(
        reply.turn_id, TurnState.WHOLE, replace(record(), statistics=absurd)
    )
    assert ended.state is TurnState.WHOLE
    kept = await history.generation(reply.turn_id, 0)
    assert kept is not None
    assert (kept.statistics.prompt_tokens, kept.statistics.reply_tokens) == (2**31 - 1, 2**31 - 1)
