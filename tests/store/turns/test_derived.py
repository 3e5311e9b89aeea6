"""A text made from turns knows when they are no longer what they were."""

from collections.abc import Awaitable, Callable

import pytest
from store_samples import ANN, BEN, CHANNEL, OTHER_CHANNEL, Talk, forget, record

from bot.chat.messages import QuotedMessage, Turn, TurnState
from bot.errors import NotFound
from bot.store.history import SqlHistory


async def test_what_is_kept_is_read_and_removed(history: SqlHistory, talk: Talk) -> None:
    one, two = await talk.ask("one"), await talk.ask("two")
    summary = await history.keep_derived(
        CHANNEL,
        "summary",
        "They counted.",
        [two.turn_id, one.turn_id],
        conversation_id=one.conversation_id,
    )
    fact = await history.keep_derived(CHANNEL, "fact", "Ann likes tea.", [])
    assert summary.turn_ids == (one.turn_id, two.turn_id)
    assert (summary.conversation_id, fact.conversation_id) == (one.conversation_id, None)
    assert not summary.is_stale
    assert await history.derived(CHANNEL) == [summary, fact]
    assert await history.derived(CHANNEL, kind="fact") == [fact]
    assert await history.derived(OTHER_CHANNEL) == []
    assert await history.remove_derived([summary.derived_id, 0, 2**70]) == 1
    assert await history.derived(CHANNEL) == [fact]


async def test_of_turns_that_have_gone_it_is_stale_from_the_start(
    history: SqlHistory, talk: Talk
) -> None:
    one = await talk.ask("one")
    theirs = await Talk(history, OTHER_CHANNEL).ask("theirs")
    hidden = await talk.answer(one)
    await history.hide_last_exchange(CHANNEL)
    for turn_id in (999, theirs.turn_id, hidden.turn_id, -1):
        kept = await history.keep_derived(CHANNEL, "summary", "", [turn_id])
        assert (kept.is_stale, kept.turn_ids) == (True, ())


async def test_a_conversation_of_another_channel_is_refused(
    history: SqlHistory, talk: Talk
) -> None:
    theirs = await Talk(history, OTHER_CHANNEL).ask("theirs")
    for conversation in (theirs.conversation_id, 999, 0, 2**70):
        with pytest.raises(NotFound):
            await history.keep_derived(CHANNEL, "summary", "", [], conversation_id=conversation)
    assert await history.derived(CHANNEL) == []


Change = Callable[[SqlHistory, Turn, Turn], Awaitable[object]]


async def go_on(history: SqlHistory, question: Turn, reply: Turn) -> None:
    await history.finish_reply(
        reply.turn_id, TurnState.WHOLE, record(), shown=(reply.text + " More.", ["r"])
    )


CHANGES: dict[str, tuple[Change, tuple[bool, bool]]] = {  # stale: of the question, of the reply
    "edit": (lambda h, q, r: h.edit_message(CHANNEL, q.message_ids[0], "new"), (True, False)),
    "edit a turn": (lambda h, q, r: h.edit_turn(r.turn_id, "new"), (False, True)),
    "delete": (lambda h, q, r: h.delete_messages(CHANNEL, q.message_ids), (True, False)),
    "delete a turn": (lambda h, q, r: h.delete_turn(r.turn_id), (False, True)),
    "hide": (lambda h, q, r: h.hide_last_exchange(CHANNEL), (True, True)),
    "unhide": (lambda h, q, r: h.unhide([q.turn_id]), (True, False)),
    "another swipe": (lambda h, q, r: h.begin_swipe(r.turn_id), (False, True)),
    "the same swipe": (lambda h, q, r: h.select_swipe(r.turn_id, 0), (False, True)),
    "continue": (lambda h, q, r: h.show_reply(r.turn_id, r.text + " More.", ["r"]), (False, True)),
    "continue to the end": (go_on, (False, True)),
    "shown elsewhere": (lambda h, q, r: h.show_reply(r.turn_id, r.text, ["r"]), (False, False)),
    "erase": (lambda h, q, r: forget(h, "ann"), (True, True)),
    "erase another": (lambda h, q, r: forget(h, "ben"), (False, False)),
}


@pytest.mark.parametrize("name", CHANGES)
async def test_what_changes_a_turn_marks_what_came_from_it(
    history: SqlHistory, talk: Talk, name: str
) -> None:
    change, expected = CHANGES[name]
    question = await talk.ask("one", author=ANN)
    reply = await talk.answer(question)
    for turn in (question, reply):
        await history.keep_derived(CHANNEL, "summary", "Made of it.", [turn.turn_id])
    await change(history, question, reply)
    assert tuple(kept.is_stale for kept in await history.derived(CHANNEL)) == expected


async def test_a_quote_that_changes_marks_it_too(history: SqlHistory, talk: Talk) -> None:
    hers = await talk.ask("Ann's words", author=ANN)
    quote = QuotedMessage(hers.message_ids[0], ANN, "Ann's words")
    his = await talk.ask("Ben", author=BEN, reply_to=quote)
    for change in (
        history.edit_message(CHANNEL, hers.message_ids[0], "other words"),
        history.delete_turn(hers.turn_id),
    ):
        kept = await history.keep_derived(CHANNEL, "summary", "", [his.turn_id])
        await change
        assert [one.is_stale for one in await history.derived(CHANNEL)] == [True]
        await history.remove_derived([kept.derived_id])


async def test_what_is_said_next_marks_nothing(history: SqlHistory, talk: Talk) -> None:
    one = await talk.ask("one")
    await history.keep_derived(CHANNEL, "summary", "", [one.turn_id])
    await talk.answer(one, await talk.ask("two"))
    assert [kept.is_stale for kept in await history.derived(CHANNEL)] == [False]
