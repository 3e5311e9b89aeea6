"""Messages that are taken up again, stand for others, or are quoted elsewhere."""

from store_samples import BEN, CHANNEL, OTHER_CHANNEL, Talk, said

from bot.chat.messages import QuotedMessage, Speaker
from bot.store.history import SqlHistory

LUNA = Speaker("proxy:1:Luna", "Luna")


async def test_a_message_taken_up_again_stands_last_and_waits(
    history: SqlHistory, talk: Talk
) -> None:
    first = await talk.mention("first", message_id="1")
    quoting = await talk.mention(
        "later", message_id="2", reply_to=QuotedMessage("1", first.speaker, "first")
    )
    renewed = await history.renew_message(said("first, bot!", message_id="1"))
    assert await talk.texts() == ["later", "first, bot!"]
    assert await history.pending(CHANNEL) == [renewed]
    assert await history.turn_of_message(CHANNEL, "1") == renewed
    kept = (await history.turn(quoting.turn_id)).reply_to
    assert kept is not None
    assert kept.text == "first, bot!"


async def test_a_message_that_was_not_kept_is_taken_up_like_a_new_one(
    history: SqlHistory, talk: Talk
) -> None:
    renewed = await history.renew_message(said("bot!", message_id="1"))
    assert await history.pending(CHANNEL) == [renewed]


async def test_a_stand_in_has_the_originals_turn_and_its_answer(
    history: SqlHistory, talk: Talk
) -> None:
    asked = await talk.ask("L: hello", message_id="1")
    reply = await talk.answer(asked)
    quoting = await talk.mention(
        "that", message_id="3", reply_to=QuotedMessage("1", asked.speaker, "L: hello")
    )
    copy = said("hello", message_id="2", author=LUNA, reply_to=QuotedMessage("0", BEN, "older"))
    turn = await history.replace_message(copy, "1")
    assert turn is not None
    assert (turn.turn_id, turn.answered_by) == (asked.turn_id, reply.turn_id)
    assert (turn.speaker, turn.text, turn.message_ids) == (LUNA, "hello", ("2",))
    assert turn.reply_to == copy.reply_to
    assert (await history.turn(quoting.turn_id)).reply_to == QuotedMessage("2", LUNA, "hello")
    assert await history.delete_messages(CHANNEL, ["1"]) == 0
    assert await history.pending(CHANNEL) == []
    assert (await history.turn(reply.turn_id)).asked_by == frozenset({asked.speaker.speaker_id})


async def test_a_stand_in_of_a_waiting_message_waits(history: SqlHistory, talk: Talk) -> None:
    asked = await talk.ask("L: hello", message_id="1")
    await history.replace_message(said("hello", message_id="2", author=LUNA), "1")
    assert [turn.turn_id for turn in await history.pending(CHANNEL)] == [asked.turn_id]


async def test_nothing_stands_for_what_is_unknown_or_the_bots(
    history: SqlHistory, talk: Talk
) -> None:
    asked = await talk.ask("hello", message_id="1")
    await talk.answer(asked, ids=("9",))
    copy = said("hello", message_id="2", author=LUNA)
    assert await history.replace_message(copy, "77") is None
    assert await history.replace_message(copy, "9") is None
    assert await history.add_message(copy, addressed=False)
    assert await history.replace_message(copy, "1") is None  # it has a turn of its own
    assert await talk.texts() == ["hello", "Indeed.", "hello"]


async def test_where_a_message_is_quoted_is_known_across_channels(
    history: SqlHistory, talk: Talk
) -> None:
    quoted = QuotedMessage("900", BEN, "what I said")
    await talk.mention("here", reply_to=quoted)
    await talk.mention("here again", reply_to=quoted)
    await history.add_message(
        said("there", channel=OTHER_CHANNEL, reply_to=quoted), addressed=False
    )
    found = await history.channels_quoting("discord", ["1", "900"])
    assert sorted(found, key=str) == [CHANNEL, OTHER_CHANNEL]
    assert await history.channels_quoting("discord", ["1"]) == []
    assert await history.channels_quoting("workbench", ["900"]) == []
