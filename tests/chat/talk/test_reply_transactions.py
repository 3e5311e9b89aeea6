"""A reply asks the store as little as it can, and shows nothing that was taken back meanwhile."""

import pytest
from at_once import CountedTransactions, DatabaseAtOnce
from conversing import HERE, Stage

from bot.store.database import Database


def set_up() -> Stage:
    database = DatabaseAtOnce()
    return Stage(database.history, database.settings, replies=["Indeed."])


async def test_a_reply_takes_five_transactions() -> None:
    transactions = CountedTransactions()
    database = Database(transactions)
    stage = Stage(database.history, database.settings, replies=["Indeed."])
    await stage.say("one")
    await stage.answer()
    transactions.count.clear()
    await stage.say("two")
    assert transactions.count == {"reads": 1, "writes": 1}
    reply = await stage.conversations.next_reply(HERE)
    assert transactions.count == {"reads": 2, "writes": 2}
    assert reply is not None
    async with reply:
        text = "".join([piece async for piece in reply])
        await reply.shown(text, ["b2"], last=True)
    assert transactions.count == {"reads": 2, "writes": 3}
    (turn,) = (await stage.turns())[-1:]
    assert (turn.text, turn.message_ids) == ("Indeed.", ("b2",))


@pytest.mark.parametrize("how", ["delete", "edit", "delete_turn"])
async def test_what_is_taken_back_before_the_prompt_is_made_is_not_in_it(how: str) -> None:
    stage = set_up()
    core = stage.conversations
    gone = await stage.say("a secret")
    await stage.say("a question")
    reply = await core.next_reply(HERE)
    assert reply is not None
    assert gone.turn is not None
    if how == "delete":
        await core.deleted(HERE, gone.turn.message_ids)
    elif how == "edit":
        await core.edited(HERE, gone.turn.message_ids[0], "nothing")
    else:
        await core.delete_turn(gone.turn.turn_id)
    await stage.show(reply)
    assert "a question" in stage.prompt
    assert "secret" not in stage.prompt


async def test_a_message_just_shown_last_can_be_deleted() -> None:
    stage = set_up()
    await stage.say("a question")
    reply = await stage.conversations.next_reply(HERE)
    assert reply is not None
    async with reply:
        text = "".join([piece async for piece in reply])
        await reply.shown(text, ["b1"], last=True)
        assert await stage.conversations.deleted(HERE, ["b1"]) == 1
    assert await stage.texts() == ["a question"]


async def test_a_setting_is_recorded_as_it_was_for_the_prompt() -> None:
    stage = set_up()
    await stage.set("top_k", 5)
    await stage.say("a question")
    reply = await stage.conversations.next_reply(HERE)
    assert reply is not None
    await stage.set("top_k", 9)
    await stage.show(reply)
    record = await stage.history.generation(reply.turn.turn_id, 0)
    assert record is not None
    assert (record.sampling.top_k, record.settings_revision) == (5, 1)
