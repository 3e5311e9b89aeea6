"""Windows, what waits, reset and undo."""

from datetime import timedelta

import pytest
from store_samples import BOT, CHANNEL, MORNING, OTHER_CHANNEL, Talk

from bot.chat.messages import ChannelKey
from bot.errors import NotFound
from bot.store.history import SqlHistory


async def test_nothing_was_ever_said(history: SqlHistory) -> None:
    window = await history.window(CHANNEL, 10)
    assert (window.conversation_id, window.turns, window.skipped) == (0, (), 0)
    assert await history.pending(CHANNEL) == []
    assert await history.export(CHANNEL) == []
    assert await history.hide_last_exchange(CHANNEL) == []
    assert await history.turn_of_message(CHANNEL, "1") is None
    assert await history.delete_messages(CHANNEL, ["1"]) == 0


async def test_a_window_is_the_newest_turns_oldest_first(history: SqlHistory, talk: Talk) -> None:
    turns = [await talk.mention(f"{number}") for number in range(7)]
    window = await history.window(CHANNEL, 3)
    assert window.turns == tuple(turns[4:])
    assert (window.skipped, window.conversation_id) == (4, turns[0].conversation_id)
    before = await history.window(CHANNEL, 2, before_turn=turns[4].turn_id)
    assert (before.turns, before.skipped) == (tuple(turns[2:4]), 2)
    assert (await history.window(CHANNEL, 500)).skipped == 0
    for limit in (0, -1):
        none = await history.window(CHANNEL, limit)
        assert (none.turns, none.skipped) == ((), 7)


async def test_a_window_before_a_turn_is_of_that_turns_conversation(
    history: SqlHistory, talk: Talk
) -> None:
    old = await talk.mention("old")
    last = await talk.mention("last")
    await history.reset(CHANNEL)
    await talk.mention("new")
    window = await history.window(CHANNEL, 10, before_turn=last.turn_id)
    assert window.turns == (old,)
    assert window.conversation_id == old.conversation_id


async def test_pending_is_what_was_addressed_and_is_unanswered(
    history: SqlHistory, talk: Talk
) -> None:
    early = await talk.ask("early", minute=0)
    await talk.mention("nobody")
    late = await talk.ask("late", minute=20)
    assert await history.pending(CHANNEL) == [early, late]
    assert await history.pending(CHANNEL, since=MORNING + timedelta(minutes=10)) == [late]


async def test_channels_with_pending(history: SqlHistory, talk: Talk) -> None:
    await talk.ask("stale", minute=0)
    elsewhere = Talk(history, OTHER_CHANNEL)
    await elsewhere.ask("fresh", minute=20)
    await elsewhere.ask("again", minute=21)
    answered = Talk(history, ChannelKey("discord", "300"))
    await answered.answer(await answered.ask("done", minute=20))
    await Talk(history, ChannelKey("workbench", "1")).ask("other platform", minute=20)
    since = MORNING + timedelta(minutes=10)
    assert await history.channels_with_pending("discord", since=since) == [OTHER_CHANNEL]
    await history.reset(OTHER_CHANNEL)
    assert await history.channels_with_pending("discord", since=since) == []
    assert await history.channels_with_pending("discord", since=MORNING) == [CHANNEL]


async def test_reset_deletes_nothing_and_can_be_undone(history: SqlHistory, talk: Talk) -> None:
    await talk.ask("old", message_id="1")
    old, new = await history.reset(CHANNEL)
    assert old != new
    assert await talk.texts() == []
    assert await history.pending(CHANNEL) == []
    await talk.mention("new")
    assert (await history.window(CHANNEL, 9)).conversation_id == new
    await history.restore(CHANNEL, old)
    assert await talk.texts() == ["old"]
    await history.restore(CHANNEL, new)
    assert await talk.texts() == ["new"]
    assert await history.edit_message(CHANNEL, "1", "still edited")
    assert await history.delete_messages(CHANNEL, ["1"]) == 1


async def test_resetting_an_empty_channel(history: SqlHistory) -> None:
    old, new = await history.reset(CHANNEL)
    await history.restore(CHANNEL, old)
    assert (await history.window(CHANNEL, 1)).conversation_id == old != new


async def test_another_channels_conversation_cannot_be_restored(
    history: SqlHistory, talk: Talk
) -> None:
    theirs = await talk.ask("mine")
    with pytest.raises(NotFound):
        await history.restore(OTHER_CHANNEL, theirs.conversation_id)
    await history.reset(OTHER_CHANNEL)
    with pytest.raises(NotFound):
        await history.restore(OTHER_CHANNEL, theirs.conversation_id)
    assert await talk.texts() == ["mine"]


async def test_undo_hides_the_last_exchange_and_what_followed(
    history: SqlHistory, talk: Talk
) -> None:
    await talk.answer(await talk.ask("one"), text="first")
    two = await talk.ask("two")
    overheard = await talk.mention("overheard")
    three = await talk.ask("three")
    second = await talk.answer(two, three, text="second")
    after = await talk.ask("after")
    hidden = await history.hide_last_exchange(CHANNEL)
    assert hidden == [two.turn_id, three.turn_id, second.turn_id, after.turn_id]
    assert await talk.texts() == ["one", "first", overheard.text]
    assert await history.pending(CHANNEL) == []
    assert [turn.text for turn in await history.export(CHANNEL)] == await talk.texts()
    assert (await history.window(CHANNEL, 1)).skipped == 3  # "two" keeps its place

    assert len(await history.hide_last_exchange(CHANNEL)) == 3  # the exchange before, and overheard
    assert await history.hide_last_exchange(CHANNEL) == []
    await history.unhide(hidden)
    assert await talk.texts() == ["two", "three", "second", "after"]
    assert await history.pending(CHANNEL) == [after]


async def test_a_deletion_reaches_hidden_turns(history: SqlHistory, talk: Talk) -> None:
    question = await talk.ask("hide me", message_id="1")
    await talk.answer(question)
    hidden = await history.hide_last_exchange(CHANNEL)
    assert await history.delete_messages(CHANNEL, ["1"]) == 1
    await history.unhide(hidden)
    assert await talk.texts() == ["Indeed."]


async def test_channels_keep_to_themselves(history: SqlHistory, talk: Talk) -> None:
    elsewhere = Talk(history, OTHER_CHANNEL)
    await talk.ask("here")
    theirs = await elsewhere.ask("there")
    assert await talk.texts() == ["here"]
    assert await elsewhere.texts() == ["there"]
    with pytest.raises(NotFound):  # an answer belongs to its own channel
        await history.begin_reply(CHANNEL, BOT, persona="", answers=[theirs.turn_id])
    assert await history.pending(OTHER_CHANNEL) == [theirs]


async def test_what_is_known_of_a_channel_is_not_forgotten(history: SqlHistory) -> None:
    thread = ChannelKey("discord", "7", guild_id="1", parent_id="100")
    await history.note_seen(thread, "1")
    await history.note_seen(ChannelKey("discord", "7"), "2")
    (key,) = await history.last_seen("discord")
    assert (key.guild_id, key.parent_id) == ("1", "100")


async def test_every_conversation_in_which_something_was_said_is_listed(
    history: SqlHistory, talk: Talk
) -> None:
    assert await history.list_conversations(CHANNEL) == []
    first = await talk.mention("first")
    await talk.mention("more")
    old, _ = await history.reset(CHANNEL)
    await history.reset(CHANNEL)  # nothing was said in this one
    third = await talk.mention("third", minute=5)
    await Talk(history, OTHER_CHANNEL).mention("elsewhere")
    newest, oldest = await history.list_conversations(CHANNEL)
    assert (newest.first, newest.turns, newest.is_current) == (third, 1, True)
    assert (oldest.first, oldest.turns, oldest.is_current) == (first, 2, False)
    assert (oldest.conversation_id, newest.newest_at) == (old, third.created_at)
    assert (await history.window(CHANNEL, 1, conversation_id=old)).skipped == 1
    assert [one.text for one in await history.export(CHANNEL, conversation_id=old)] == [
        "first",
        "more",
    ]


async def test_a_conversation_that_was_left_can_be_deleted(history: SqlHistory, talk: Talk) -> None:
    gone = await talk.answer(await talk.ask("first"))
    old, _ = await history.reset(CHANNEL)
    kept = await talk.mention("second")
    with pytest.raises(NotFound, match="present conversation"):
        await history.delete_conversation(CHANNEL, kept.conversation_id)
    await history.delete_conversation(CHANNEL, old)
    assert [one.first for one in await history.list_conversations(CHANNEL)] == [kept]
    with pytest.raises(NotFound):
        await history.turn(gone.turn_id)
    for use in (history.delete_conversation(CHANNEL, old), history.restore(CHANNEL, old)):
        with pytest.raises(NotFound):
            await use


async def test_a_foreign_conversation_is_out_of_reach(history: SqlHistory, talk: Talk) -> None:
    foreign = (await Talk(history, OTHER_CHANNEL).mention("elsewhere")).conversation_id
    await history.reset(OTHER_CHANNEL)
    await talk.mention("here")
    for use in (
        history.window(CHANNEL, 5, conversation_id=foreign),
        history.export(CHANNEL, conversation_id=foreign),
        history.delete_conversation(CHANNEL, foreign),
        history.delete_conversation(CHANNEL, 2**70),
    ):
        with pytest.raises(NotFound):
            await use
    assert len(await history.export(OTHER_CHANNEL, conversation_id=foreign)) == 1


async def test_a_question_can_be_asked_again(history: SqlHistory, talk: Talk) -> None:
    question = await talk.ask("how so?")
    reply = await talk.answer(question)
    assert await history.pending(CHANNEL) == []
    await history.delete_turn(reply.turn_id)
    again = await history.ask_again(question.turn_id)
    assert again.turn_id == question.turn_id
    assert await history.pending(CHANNEL) == [again]
    with pytest.raises(NotFound, match="the bot's own"):
        await history.ask_again((await talk.answer(again)).turn_id)
