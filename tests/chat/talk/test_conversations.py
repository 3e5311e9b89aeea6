"""What is kept, what is answered, and in which order it stands."""

import asyncio
from datetime import timedelta

import pytest
from conversing import HERE, THERE, Stage, StageMaker, quote, settle

from bot.chat.messages import ChannelKey, IncomingMessage, QuotedMessage, Speaker, Turn
from bot.chat.ports import History
from bot.engine.api import GenerationRequest


async def test_a_mention_is_kept_and_answered(stage: Stage) -> None:
    heard = await stage.say("Hello there")
    assert heard.kept
    assert heard.addressed
    reply = await stage.answer()
    assert reply is not None
    assert await stage.texts() == ["Hello there", "One."]
    question, answer = await stage.turns()
    assert question.answered_by == answer.turn_id
    assert answer.asked_by == {"bob"}
    assert answer.persona == reply.persona_name == "Ada"
    assert "Hello there" in stage.prompt
    assert stage.is_idle


async def test_nothing_waits_where_nobody_spoke(stage: Stage) -> None:
    assert await stage.conversations.next_reply(HERE) is None
    await stage.overhear("not for you")
    assert await stage.conversations.next_reply(HERE) is None
    assert stage.is_idle


async def test_addressed_keeps_only_what_is_said_to_the_bot(stage: Stage) -> None:
    assert not (await stage.overhear("just us")).kept
    await stage.say("hello bot")
    await stage.answer()
    await stage.overhear("still just us")
    assert await stage.texts() == ["hello bot", "One."]


async def test_replies_to_what_was_said_to_the_bot_are_kept(stage: Stage) -> None:
    asked = await stage.say("who was first?")
    answer = await stage.answer()
    assert answer is not None
    aside = await stage.overhear("I know that one", by="eve", reply_to=quote(asked))
    assert aside.kept
    assert not aside.addressed
    deeper = await stage.overhear("do you?", by="dan", reply_to=quote(aside))
    assert not deeper.kept
    assert (await stage.say("and then?", mention=False, to_bot=True)).addressed
    await stage.answer()
    assert "I know that one" in stage.prompt
    assert "do you?" not in stage.prompt


async def test_channel_keeps_everything_but_asides(stage: Stage) -> None:
    await stage.set("context", "channel")
    assert (await stage.overhear("good morning")).kept
    assert (await stage.overhear("I am a bot too", by="other", is_bot=True)).kept
    assert not (await stage.overhear("((brb))")).kept
    assert not (await stage.overhear("// brb")).kept
    assert not (await stage.overhear("  ")).kept
    await stage.say("what did we say?")
    await stage.answer()
    assert "good morning" in stage.prompt
    assert "I am a bot too" in stage.prompt
    assert "brb" not in stage.prompt


async def test_a_narrower_context_hides_what_the_wider_one_kept(stage: Stage) -> None:
    await stage.set("context", "channel")
    await stage.overhear("our secret")
    asked = await stage.say("first question")
    await stage.answer()
    await stage.overhear("an aside on that", reply_to=quote(asked))
    await stage.set("context", "addressed")
    await stage.say("second question")
    await stage.answer()
    assert "our secret" not in stage.prompt
    assert "first question" in stage.prompt
    assert "an aside on that" in stage.prompt


async def test_bots_and_asides_are_never_answered(stage: Stage) -> None:
    await stage.set("trigger", "always")
    assert not (await stage.say("hi", is_bot=True)).addressed
    assert not (await stage.say("((hi))")).addressed
    assert not (await stage.say("// hi")).addressed
    assert await stage.conversations.next_reply(HERE) is None


async def test_off_beats_everything(stage: Stage) -> None:
    await stage.set("trigger", "off")
    direct = ChannelKey("discord", "300", is_direct=True)
    await stage.set("trigger", "off", direct)
    assert not (await stage.say("hi", to_bot=True)).kept
    assert not (await stage.say("hi", channel=direct)).addressed


async def test_what_is_quoted_from_an_aside_is_not_seen(stage: Stage) -> None:
    aside = QuotedMessage("7", Speaker("eve", "Eve"), "((the surprise party is at eight))")
    await stage.say("what do you make of it?", reply_to=aside)
    await stage.answer()
    assert "surprise" not in stage.prompt


async def test_what_comes_during_a_reply_is_answered_together_in_the_next(stage: Stage) -> None:
    await stage.say("one?", by="bob")
    reply = await stage.conversations.next_reply(HERE)
    assert reply is not None
    await stage.say("two?", by="eve")
    await stage.say("three?", by="dan")
    await stage.show(reply)
    following = await stage.answer()
    assert following is not None
    assert following.asked_by == {"eve", "dan"}
    assert [turn.text for turn in following.answers] == ["two?", "three?"]
    assert await stage.texts() == ["one?", "One.", "two?", "three?", "Two."]
    assert "two?" not in stage.engine.requests[0].prompt
    assert await stage.conversations.next_reply(HERE) is None


async def test_one_reply_at_a_time_in_a_channel_and_channels_side_by_side(stage: Stage) -> None:
    await stage.say("here")
    await stage.say("there", channel=THERE)
    first = await stage.conversations.next_reply(HERE)
    await stage.say("here again")
    waiting = asyncio.create_task(stage.conversations.next_reply(HERE))
    other = await stage.conversations.next_reply(THERE)
    assert first is not None
    assert other is not None
    assert stage.conversations.running(HERE) is first
    assert stage.conversations.running(THERE) is other
    await settle()
    assert not waiting.done()
    await stage.show(other)
    await stage.show(first)
    second = await waiting
    assert second is not None
    await stage.show(second)
    assert stage.is_idle


async def test_a_message_that_comes_twice_is_one_turn_and_answered_once(stage: Stage) -> None:
    message = stage.message("hello?")
    assert (await stage.conversations.hear(message)).addressed
    again = await stage.conversations.hear(message)
    assert again.kept
    assert again.addressed
    await stage.answer()
    late = await stage.conversations.hear(message)
    assert late.kept
    assert not late.addressed
    assert await stage.conversations.next_reply(HERE) is None
    assert await stage.texts() == ["hello?", "One."]
    assert stage.is_idle


async def test_a_message_whose_answer_was_deleted_is_not_answered_again(stage: Stage) -> None:
    message = stage.message("hello?")
    await stage.conversations.hear(message)
    reply = await stage.answer()
    assert reply is not None
    await stage.conversations.delete_turn(reply.turn.turn_id)
    assert not (await stage.conversations.hear(message)).addressed
    assert await stage.conversations.next_reply(HERE) is None


async def test_what_was_missed_is_answered_when_it_is_younger_than_ten_minutes(
    stage: Stage,
) -> None:
    old = await stage.say("long ago", age=timedelta(minutes=11))
    assert old.kept
    assert not old.addressed
    assert await stage.conversations.next_reply(HERE) is None
    young = await stage.say("just now", age=timedelta(minutes=9))
    assert young.addressed
    reply = await stage.answer()
    assert reply is not None
    assert [turn.text for turn in reply.answers] == ["just now"]
    assert "long ago" in stage.prompt


async def test_after_a_restart_young_questions_are_answered_once_and_old_ones_not(
    stage: Stage,
) -> None:
    await stage.say("old", channel=THERE, age=timedelta(minutes=5))
    await stage.say("young")
    stage.now += timedelta(minutes=6)
    conversations = stage.start_again()
    since = stage.now - timedelta(minutes=10)
    assert await stage.history.channels_with_pending("discord", since=since) == [HERE]
    assert await conversations.next_reply(THERE) is None
    assert await stage.answer() is not None
    assert await conversations.next_reply(HERE) is None


async def test_a_question_heard_in_time_is_answered_however_long_it_waits(stage: Stage) -> None:
    await stage.say("patience")
    stage.now += timedelta(hours=1)
    reply = await stage.answer()
    assert reply is not None
    assert [turn.text for turn in reply.answers] == ["patience"]


async def test_an_edit_changes_what_the_model_sees(stage: Stage) -> None:
    heard = await stage.say("I like cats")
    assert heard.turn is not None
    message_id = heard.turn.message_ids[0]
    assert await stage.conversations.edited(HERE, message_id, "I like dogs")
    await stage.answer()
    assert "dogs" in stage.prompt
    assert "cats" not in stage.prompt
    assert not await stage.conversations.edited(HERE, "12345", "nothing")


async def test_an_edit_during_a_reply_is_seen_by_the_next_one(stage: Stage) -> None:
    heard = await stage.say("I like cats")
    reply = await stage.conversations.next_reply(HERE)
    assert reply is not None
    assert heard.turn is not None
    async with reply:
        async for text in reply:
            await reply.shown(text, ["b1"])
            await stage.conversations.edited(HERE, heard.turn.message_ids[0], "I like dogs")
    await stage.say("which?")
    await stage.answer()
    assert "dogs" in stage.prompt
    assert "cats" not in stage.prompt


async def test_a_message_edited_to_an_aside_is_taken_out(stage: Stage) -> None:
    heard = await stage.say("the secret is 42")
    assert heard.turn is not None
    assert await stage.conversations.edited(HERE, heard.turn.message_ids[0], "((never mind))")
    assert await stage.texts() == []
    assert await stage.conversations.next_reply(HERE) is None


async def test_a_deleted_question_is_not_answered_and_its_answer_stays(stage: Stage) -> None:
    gone = await stage.say("forget this")
    assert gone.turn is not None
    assert await stage.conversations.deleted(HERE, gone.turn.message_ids) == 1
    assert await stage.conversations.next_reply(HERE) is None
    assert stage.is_idle
    asked = await stage.say("keep this")
    assert asked.turn is not None
    await stage.answer()
    assert await stage.conversations.deleted(HERE, asked.turn.message_ids) == 1
    assert await stage.texts() == ["One."]


async def test_a_reset_begins_anew_and_deletes_nothing(stage: Stage) -> None:
    await stage.say("before")
    await stage.answer()
    old, _ = await stage.conversations.reset(HERE)
    await stage.say("after")
    await stage.answer()
    assert "before" not in stage.prompt
    await stage.history.restore(HERE, old)
    assert await stage.texts() == ["before", "One."]


async def test_what_waits_when_the_conversation_is_reset_is_not_answered(stage: Stage) -> None:
    await stage.say("before")
    await stage.conversations.reset(HERE)
    assert await stage.conversations.next_reply(HERE) is None
    assert stage.is_idle


async def test_undo_hides_the_last_exchange(stage: Stage) -> None:
    await stage.say("one?")
    await stage.answer()
    await stage.say("two?")
    await stage.answer()
    hidden = await stage.conversations.undo(HERE)
    assert await stage.texts() == ["one?", "One."]
    await stage.history.unhide(hidden)
    assert await stage.texts() == ["one?", "One.", "two?", "Two."]


async def test_all_questions_are_seen_even_with_no_history_at_all(stage: Stage) -> None:
    await stage.set("history_turns", 0)
    await stage.set("context", "channel")
    await stage.overhear("long before")
    await stage.say("the first question")
    for number in range(30):
        await stage.overhear(f"chatter {number}")
    await stage.say("the last question")
    await stage.answer()
    assert "the first question" in stage.prompt
    assert "the last question" in stage.prompt
    assert "long before" not in stage.prompt


async def test_the_channel_persona_speaks(stage: Stage) -> None:
    await stage.set("persona", "byron")
    await stage.say("who are you?")
    reply = await stage.answer()
    assert reply is not None
    assert reply.persona_name == "Byron"
    assert reply.turn.speaker.name == "Byron"
    assert "Byron broods" in stage.prompt


@pytest.mark.parametrize(("chance", "answered"), [(0, 0), (1, 50)])
async def test_chance_zero_is_never_and_one_always(
    stage: Stage, chance: float, answered: int
) -> None:
    await stage.set("trigger", "chance")
    await stage.set("chance", chance)
    heard = [await stage.overhear(f"number {number}") for number in range(50)]
    assert sum(h.addressed for h in heard) == answered


async def test_the_newest_message_seen_is_remembered_kept_or_not(stage: Stage) -> None:
    await stage.say("kept", message_id="10")
    await stage.overhear("not kept", message_id="11")
    await stage.say("late", message_id="9")
    assert await stage.history.last_seen("discord") == {HERE: "11"}


async def test_nothing_is_kept_in_memory_of_channels_that_are_quiet(stage: Stage) -> None:
    for number in range(40):
        channel = ChannelKey("discord", str(number))
        await stage.say("hello", channel=channel)
        await stage.overhear("hm", channel=channel)
        await stage.answer(channel)
    assert stage.is_idle


class SlowHistory:
    """A history that takes longer over the first message than over what follows it."""

    def __init__(self, history: History) -> None:
        self._history = history
        self.go_on = asyncio.Event()

    def __getattr__(self, name: str) -> object:
        return getattr(self._history, name)

    async def add_message(self, message: IncomingMessage, *, addressed: bool) -> Turn | None:
        if message.text == "first":
            await self.go_on.wait()
        return await self._history.add_message(message, addressed=addressed)


async def test_messages_stand_in_the_order_in_which_they_came(stage: Stage) -> None:
    slow = SlowHistory(stage.history)
    stage.history = slow  # type: ignore[assignment]
    stage.start_again()
    first = asyncio.create_task(stage.say("first", message_id="1"))
    await asyncio.sleep(0)
    later = [
        asyncio.create_task(stage.say("second", message_id="2")),
        asyncio.create_task(stage.conversations.edited(HERE, "1", "first, edited")),
        asyncio.create_task(stage.conversations.deleted(HERE, ["2"])),
    ]
    await settle()
    slow.go_on.set()
    await asyncio.gather(first, *later)
    assert await stage.texts() == ["first, edited"]


async def test_a_hundred_people_at_once_are_all_answered_once(stage: Stage) -> None:
    async def talk(number: int) -> None:
        channel = ChannelKey("discord", str(number % 10))
        await stage.say(f"question {number}", by=f"user{number}", channel=channel)
        await stage.answer(channel)

    await asyncio.gather(*(talk(number) for number in range(100)))
    for number in range(10):
        turns = await stage.turns(ChannelKey("discord", str(number)))
        questions = [turn for turn in turns if turn.role == "user"]
        assert len(questions) == 10
        assert all(turn.answered_by for turn in questions)
    assert stage.is_idle


async def test_the_engine_never_writes_twice_at_once_for_a_channel(set_stage: StageMaker) -> None:
    most = 0

    def watch(_: GenerationRequest) -> str:
        nonlocal most
        most = max(most, stage.engine.status().running)
        return "Yes."

    stage = set_stage(replies=watch)

    async def talk(number: int) -> None:
        await stage.say(f"question {number}")
        await stage.answer()

    await asyncio.gather(*(talk(number) for number in range(20)))
    assert stage.engine.requests
    assert most == 0  # it asks for its line before it counts itself
