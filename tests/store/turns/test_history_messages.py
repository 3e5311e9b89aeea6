"""Messages that people send, edit and delete."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from store_samples import ANN, BEN, BOT, CHANNEL, MORNING, OTHER_CHANNEL, Talk, said

from bot.chat.messages import ChannelKey, QuotedMessage, TurnState
from bot.errors import NotFound
from bot.store.history import SqlHistory


async def test_a_message_becomes_a_turn_with_all_it_brought(history: SqlHistory) -> None:
    quoted = QuotedMessage("900", BEN, "what I said")
    turn = await history.add_message(said("Hello", message_id="1", reply_to=quoted), addressed=True)
    assert turn is not None
    assert (turn.role, turn.speaker, turn.text) == ("user", ANN, "Hello")
    assert (turn.channel.guild_id, turn.created_at, turn.state) == ("1", MORNING, TurnState.WHOLE)
    assert (turn.message_ids, turn.addressed, turn.answered_by) == (("1",), True, None)
    assert turn.reply_to == quoted
    assert turn == await history.turn(turn.turn_id)
    assert turn == await history.turn_of_message(CHANNEL, "1")


async def test_a_message_that_arrives_twice_is_one_turn(history: SqlHistory, talk: Talk) -> None:
    message = said("once")
    assert await history.add_message(message, addressed=True) is not None
    assert await history.add_message(message, addressed=True) is None
    assert await talk.texts() == ["once"]


async def test_the_same_message_id_in_another_channel_is_another_message(
    history: SqlHistory,
) -> None:
    assert await history.add_message(said("here", message_id="1"), addressed=False)
    assert await history.add_message(
        said("there", message_id="1", channel=OTHER_CHANNEL), addressed=False
    )


async def test_times_are_utc_whatever_zone_they_came_in(history: SqlHistory, talk: Talk) -> None:
    berlin = timezone(timedelta(hours=2))
    message = said("late")
    local = datetime(2024, 5, 17, 23, 59, 59, 123456, tzinfo=berlin)
    turn = await history.add_message(
        type(message)("77", CHANNEL, ANN, "late", local), addressed=True
    )
    assert turn is not None
    stored = (await history.turn(turn.turn_id)).created_at
    assert stored == local
    assert stored.tzinfo is UTC
    assert await history.pending(CHANNEL, since=local) == [turn]
    assert await history.pending(CHANNEL, since=local + timedelta(microseconds=1)) == []


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("a\0b", "a\ufffdb"),
        ("half \ud83d a pair", "half \ufffd a pair"),
        ("👩‍👩‍👧 \u202e שלום 'quotes\" ; DROP TABLE turns; -- %s ? :x", None),
        ("", None),
        ("x" * 200_000, None),
    ],
)
async def test_any_text_can_be_kept(history: SqlHistory, sent: str, kept: str | None) -> None:
    message = said(sent, author=type(ANN)("id\0", sent[:100]))
    turn = await history.add_message(message, addressed=False)
    assert turn is not None
    stored = await history.turn(turn.turn_id)
    assert stored.text == (sent if kept is None else kept)
    assert stored == turn


async def test_an_edit_changes_what_the_model_sees(history: SqlHistory, talk: Talk) -> None:
    await talk.ask("before", message_id="1")
    assert await history.edit_message(CHANNEL, "1", "after")
    assert await talk.texts() == ["after"]


async def test_an_edit_reaches_where_it_is_quoted(history: SqlHistory, talk: Talk) -> None:
    await talk.ask("secret", message_id="1")
    quoting = await talk.ask("see there", reply_to=QuotedMessage("1", ANN, "secret"))
    never_kept = await talk.ask("and there", reply_to=QuotedMessage("2", BEN, "hidden"))
    assert await history.edit_message(CHANNEL, "1", "public")
    assert await history.edit_message(CHANNEL, "2", "shown")
    for turn, text in ((quoting, "public"), (never_kept, "shown")):
        quote = (await history.turn(turn.turn_id)).reply_to
        assert quote is not None
        assert quote.text == text


async def test_an_edit_of_an_unknown_message_is_none(history: SqlHistory, talk: Talk) -> None:
    assert not await history.edit_message(CHANNEL, "1", "x")
    await talk.ask("hello", message_id="1")
    assert not await history.edit_message(CHANNEL, "2", "x")
    assert not await history.edit_message(OTHER_CHANNEL, "1", "x")
    assert await talk.texts() == ["hello"]


async def test_the_bots_own_edits_do_not_come_back_as_a_persons(
    history: SqlHistory, talk: Talk
) -> None:
    await talk.answer(await talk.ask("hi"), text="shown", ids=("50",))
    assert not await history.edit_message(CHANNEL, "50", "sh")
    assert (await talk.texts())[-1] == "shown"


async def test_a_deleted_question_goes_and_its_answer_stays(
    history: SqlHistory, talk: Talk
) -> None:
    question = await talk.ask("why?", message_id="1")
    reply = await talk.answer(question, text="because")
    assert await history.delete_messages(CHANNEL, ["1", "404"]) == 1
    assert await talk.texts() == ["because"]
    assert (await history.turn(reply.turn_id)).asked_by == {"ann"}
    with pytest.raises(NotFound):
        await history.turn(question.turn_id)


async def test_a_deletion_takes_out_what_others_quote_of_it(
    history: SqlHistory, talk: Talk
) -> None:
    await talk.ask("secret", message_id="1")
    quoting = await talk.ask("see there", reply_to=QuotedMessage("1", ANN, "secret"))
    never_kept = await talk.ask("and there", reply_to=QuotedMessage("2", BEN, "hidden"))
    assert await history.holds(CHANNEL, ["1"])
    await history.delete_messages(CHANNEL, ["1"])
    assert not await history.holds(CHANNEL, ["1"])
    assert not await history.holds(OTHER_CHANNEL, ["2"])
    assert (await history.turn(quoting.turn_id)).reply_to is None
    assert (await history.turn(never_kept.turn_id)).reply_to is not None
    assert await history.holds(CHANNEL, ["404", "2"])
    await history.delete_messages(CHANNEL, ["2"])
    assert not await history.holds(CHANNEL, ["2"])
    assert (await history.turn(never_kept.turn_id)).reply_to is None


async def test_a_reply_of_several_messages_goes_with_any_one_of_them(
    history: SqlHistory, talk: Talk
) -> None:
    question = await talk.ask("tell me")
    await talk.answer(question, ids=("10", "11", "12"))
    assert await history.delete_messages(CHANNEL, ["11"]) == 1
    assert await history.delete_messages(CHANNEL, ["10", "12"]) == 0
    assert await talk.texts() == ["tell me"]
    assert await history.pending(CHANNEL) == []  # answered all the same


async def test_deleting_many_at_once(history: SqlHistory, talk: Talk) -> None:
    for number in range(3):
        await talk.ask(f"{number}", message_id=f"m{number}")
    ids = [f"m{number}" for number in range(1300)]
    assert await history.delete_messages(CHANNEL, ids) == 3
    assert await history.delete_messages(CHANNEL, []) == 0


async def test_a_turn_can_be_deleted_and_edited_by_its_number(
    history: SqlHistory, talk: Talk
) -> None:
    question = await talk.ask("one")
    reply = await talk.answer(question, text="two", ids=("20",))
    quoting = await talk.ask("three", reply_to=QuotedMessage("20", BOT, "two"))
    assert (await history.edit_turn(question.turn_id, "uno")).text == "uno"
    edited = await history.edit_turn(reply.turn_id, "due")
    assert (edited.text, edited.swipes[0].text) == ("due", "due")
    assert (await history.turn(quoting.turn_id)).reply_to == QuotedMessage("20", BOT, "due")
    assert await talk.texts() == ["uno", "due", "three"]
    assert await history.delete_turn(reply.turn_id) == edited
    assert await talk.texts() == ["uno", "three"]
    assert (await history.turn(quoting.turn_id)).reply_to is None


@pytest.mark.parametrize("turn_id", [0, -1, 2**62, 2**63 - 1, 2**63, 10**40])
async def test_a_number_without_a_turn_is_not_found(history: SqlHistory, turn_id: int) -> None:
    for call in (
        history.turn(turn_id),
        history.delete_turn(turn_id),
        history.edit_turn(turn_id, "x"),
        history.begin_swipe(turn_id),
        history.show_reply(turn_id, "x", []),
        history.finish_reply(turn_id, TurnState.WHOLE, None),
        history.abandon_reply(turn_id, requeue=True),
        history.select_swipe(turn_id, 0),
        history.window(CHANNEL, 5, before_turn=turn_id),
        history.restore(CHANNEL, turn_id),
    ):
        with pytest.raises(NotFound):
            await call
    assert await history.generation(turn_id, 0) is None
    await history.unhide([turn_id])


async def test_the_newest_message_seen_never_goes_back(history: SqlHistory) -> None:
    direct = ChannelKey("discord", "300", is_direct=True)
    for message_id in ("9", "10", "8"):  # as numbers: 10 is newer than 9
        await history.note_seen(CHANNEL, message_id)
    await history.note_seen(direct, "5")
    await history.note_seen(ChannelKey("workbench", "w"), "a")
    await history.note_seen(ChannelKey("workbench", "w"), "Z")
    seen = await history.last_seen("discord")
    assert seen == {CHANNEL: "10", direct: "5"}
    keys = {key.channel_id: key for key in seen}
    assert (keys["100"].guild_id, keys["300"].is_direct) == ("1", True)
    assert await history.last_seen("workbench") == {ChannelKey("workbench", "w"): "Z"}


async def test_a_channel_of_which_nothing_was_seen_is_not_listed(
    history: SqlHistory, talk: Talk
) -> None:
    await history.reset(CHANNEL)
    assert await history.last_seen("discord") == {}


async def test_turn_ids_rise_and_are_never_used_again(history: SqlHistory, talk: Talk) -> None:
    first = await talk.ask("one")
    second = await talk.ask("two")
    await history.delete_turn(second.turn_id)
    third = await talk.ask("three")
    assert first.turn_id < second.turn_id < third.turn_id
