"""What people do in the same moment: nothing is mixed up and nothing stays behind."""

import asyncio

import pytest
from at_once import DatabaseAtOnce
from conversing import HERE, Stage

from bot.chat.messages import Turn
from bot.errors import NotAllowed
from bot.store.history import SqlHistory


class SlowHistory(SqlHistory):
    """A history that can be held back after it has begun a swipe, before it says so."""

    def __init__(self, database: DatabaseAtOnce) -> None:
        super().__init__(database.transactions, database.run)
        self.begun = asyncio.Event()
        self.let_go = asyncio.Event()

    async def begin_swipe(self, turn_id: int) -> Turn:
        turn = await super().begin_swipe(turn_id)
        self.begun.set()
        await self.let_go.wait()
        return turn


def set_up() -> Stage:
    database = DatabaseAtOnce()
    return Stage(database.history, database.settings)


@pytest.mark.parametrize("how", ["delete", "aside", "reset", "undo", "delete_turn"])
async def test_nothing_is_kept_of_a_question_that_was_taken_back(how: str) -> None:
    stage = set_up()
    core = stage.conversations
    await stage.say("one")
    await stage.answer()
    heard = await stage.say("two")
    assert heard.turn is not None
    if how == "delete":
        await core.deleted(HERE, heard.turn.message_ids)
    elif how == "aside":
        await core.edited(HERE, heard.turn.message_ids[0], "// never mind")
    elif how == "reset":
        await core.reset(HERE)
    elif how == "undo":
        await core.undo(HERE)
    else:
        await core.delete_turn(heard.turn.turn_id)
    assert stage.is_idle


async def test_a_question_beside_one_that_was_taken_back_is_answered_however_late() -> None:
    stage = set_up()
    gone = await stage.say("one")
    await stage.say("two")
    assert gone.turn is not None
    await stage.conversations.deleted(HERE, gone.turn.message_ids)
    stage.now = stage.now.replace(hour=stage.now.hour + 1)
    reply = await stage.answer()
    assert reply is not None
    assert [turn.text for turn in reply.answers] == ["two"]


async def test_nobody_turns_to_another_swipe_while_a_new_one_begins() -> None:
    database = DatabaseAtOnce()
    history = SlowHistory(database)
    stage = Stage(history, database.settings)
    await stage.say("one")
    first = await stage.answer()
    assert first is not None
    turn_id = first.turn.turn_id
    regenerating = asyncio.create_task(stage.conversations.regenerate(turn_id))
    await history.begun.wait()
    swiping = asyncio.create_task(stage.conversations.swipe(turn_id, -1))
    for _ in range(20):
        await asyncio.sleep(0)
    history.let_go.set()
    await stage.show(await regenerating)
    with pytest.raises(NotAllowed):
        await swiping
    assert [swipe.text for swipe in (await history.turn(turn_id)).swipes] == ["One.", "Two."]


async def test_where_a_swipe_is_shown_is_kept_unless_another_one_is_active_by_then() -> None:
    stage = set_up()
    core = stage.conversations
    await stage.say("one")
    first = await stage.answer()
    assert first is not None
    turn_id = first.turn.turn_id
    await stage.show(await core.regenerate(turn_id))
    earlier = await core.swipe(turn_id, -1)
    now = await core.swipe(turn_id, 1)
    assert not await core.placed(earlier, ["a"])
    assert await core.placed(now, ["b", "c"])
    kept = await stage.history.turn(turn_id)
    assert kept.message_ids == ("b", "c")
    assert [swipe.text for swipe in kept.swipes] == ["One.", "Two."]


async def test_where_a_swipe_is_shown_is_not_kept_while_the_reply_is_written_anew() -> None:
    stage = set_up()
    core = stage.conversations
    await stage.say("one")
    first = await stage.answer()
    assert first is not None
    turn = await stage.history.turn(first.turn.turn_id)
    reply = await core.continue_reply(turn.turn_id)
    assert not await core.placed(turn, ["a"])
    await stage.show(reply)
    assert (await stage.history.turn(turn.turn_id)).message_ids == turn.message_ids
