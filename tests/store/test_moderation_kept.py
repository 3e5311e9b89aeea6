"""Blocks, log channels and purges in the database."""

import io
import json
from dataclasses import replace
from datetime import timedelta

from store_samples import ANN, BEN, CHANNEL, MORNING, OTHER_CHANNEL, Talk, forget

from bot.chat.limits.blocking import Block
from bot.chat.messages import QuotedMessage, Speaker, TurnState
from bot.chat.moderation.log_channels import LogChannel
from bot.chat.moderation.purges import PurgeWish
from bot.store.database import Database
from bot.store.export import export_json

BLOCK = Block("discord", "1", "ann", "Ann 👋", "mod", MORNING)
LOG = LogChannel("discord", "1", "500", "mod", MORNING)
ALL = PurgeWish(CHANNEL)


async def test_a_block_is_kept_once_and_listed_newest_first(database: Database) -> None:
    blocks = database.blocks
    assert await blocks.add(BLOCK) is None
    assert await blocks.add(replace(BLOCK, blocked_by="other")) == BLOCK
    later = replace(BLOCK, speaker_id="ben", blocked_at=MORNING + timedelta(hours=1))
    assert await blocks.add(later) is None
    await blocks.add(replace(BLOCK, guild_id="2"))
    assert await blocks.listed("discord", "1") == [later, BLOCK]
    assert await blocks.listed("discord", "1", limit=1) == [later]
    assert await blocks.find("discord", "1", "ann") == BLOCK
    assert await blocks.remove("discord", "1", "ann") == BLOCK
    assert await blocks.remove("discord", "1", "ann") is None
    assert await blocks.find("discord", "1", "ann") is None
    assert await blocks.find("discord", "2", "ann") is not None


async def test_a_guild_has_one_log_channel(database: Database) -> None:
    logs = database.log_channels
    assert await logs.find("discord", "1") is None
    await logs.put(LOG)
    other = replace(LOG, channel_id="600")
    await logs.put(other)
    assert await logs.find("discord", "1") == other
    await logs.note_problem(LOG, "It is gone.")  # of the one before: too late
    assert await logs.find("discord", "1") == other
    await logs.note_problem(other, "It is gone.")
    assert await logs.find("discord", "1") == replace(other, problem="It is gone.")
    assert await logs.find("discord", "2") is None
    assert await logs.remove("discord", "1") == replace(other, problem="It is gone.")
    assert await logs.remove("discord", "1") is None


async def test_lines_that_nobody_was_told_are_counted_for_their_guild(database: Database) -> None:
    logs = database.log_channels
    await logs.count_untold("discord", "1", 3)  # there is nobody to tell
    await logs.put(LOG)
    await logs.put(replace(LOG, guild_id="2"))
    assert await logs.with_untold("discord") == []
    await logs.count_untold("discord", "1", 3)
    await logs.count_untold("discord", "1", 4)
    await logs.put(replace(LOG, channel_id="600"))
    assert await logs.find("discord", "1") == replace(LOG, channel_id="600", untold=7)
    assert await logs.with_untold("discord") == ["1"]
    assert await logs.with_untold("elsewhere") == []
    await logs.count_untold("discord", "1", -5)
    assert await logs.find("discord", "1") == replace(LOG, channel_id="600", untold=2)
    await logs.count_untold("discord", "1", -5)
    assert await logs.with_untold("discord") == []


async def test_a_plan_counts_what_would_go(database: Database) -> None:
    talk = Talk(database.history)
    first = await talk.ask("one", author=ANN)
    await talk.answer(first, text="to Ann")
    second = await talk.ask("two", author=BEN)
    await talk.answer(second, text="to Ben")
    plan = await database.purges.plan(ALL)
    assert (plan.turns, plan.exchanges, plan.messages) == (4, 2, 4)
    assert plan.people == {ANN.speaker_id: 1, BEN.speaker_id: 1}
    assert plan.own_messages == 2
    theirs = await database.purges.plan(replace(ALL, speaker_id=BEN.speaker_id))
    assert (theirs.turns, theirs.people) == (2, {BEN.speaker_id: 1})
    newest = await database.purges.plan(replace(ALL, exchanges=1))
    assert newest.digest == theirs.digest
    nothing = await database.purges.plan(PurgeWish(OTHER_CHANNEL))
    assert (nothing.turns, nothing.messages, nothing.oldest) == (0, 0, None)


async def test_a_purge_is_done_only_where_it_is_still_the_same(database: Database) -> None:
    talk = Talk(database.history)
    first = await talk.ask("one", author=ANN)
    await talk.answer(first, text="to Ann")
    plan = await database.purges.plan(ALL)
    await talk.ask("later", author=BEN)  # it came after: it stays, and changes nothing
    other = await database.purges.plan(ALL)
    assert await database.purges.purge(replace(other, digest=plan.digest), by="mod") is None
    purge = await database.purges.purge(plan, by="mod")
    assert purge is not None
    assert [message.is_own for message in purge.messages] == [True, False]
    assert [turn.text for turn in await database.history.export(CHANNEL)] == ["later"]
    assert await database.purges.purge(plan, by="mod") is None


async def test_messages_are_kept_in_mind_until_they_are_gone(database: Database) -> None:
    talk = Talk(database.history)
    first = await talk.ask("one", author=ANN)
    await talk.answer(first, text="to Ann")
    plan = await database.purges.plan(ALL)
    purge = await database.purges.purge(plan, by="mod")
    assert purge is not None
    [kept] = await database.purges.unfinished("discord")
    assert kept.channel == CHANNEL
    assert set(kept.messages) == set(purge.messages)
    assert await database.purges.unfinished("workbench") == []
    await database.purges.gone(purge.purge_id, [purge.messages[0].message_id])
    [kept] = await database.purges.unfinished("discord")
    assert kept.messages == purge.messages[1:]
    await database.purges.gone(purge.purge_id, [purge.messages[1].message_id, "unknown"])
    assert await database.purges.unfinished("discord") == []
    await database.purges.gone(purge.purge_id, [])  # twice does no harm


async def test_a_purge_takes_what_was_made_of_it(database: Database) -> None:
    history = database.history
    talk = Talk(history)
    first = await talk.ask("the vault", author=ANN)
    await talk.answer(first, text="opens")
    quoted = QuotedMessage(first.message_ids[0], ANN, "the vault")
    unkept = QuotedMessage("31337", ANN, "never kept")
    await talk.ask("why?", author=BEN, reply_to=quoted)
    await talk.ask("how?", author=BEN, reply_to=unkept)
    wish = PurgeWish(CHANNEL, speaker_id=ANN.speaker_id)
    await database.purges.purge(await database.purges.plan(wish), by="mod")
    turns = await history.export(CHANNEL)
    assert [(turn.text, turn.reply_to) for turn in turns] == [("why?", None), ("how?", None)]


async def test_a_moderators_name_goes_with_them_and_a_block_stays(database: Database) -> None:
    await database.blocks.add(BLOCK)
    await database.log_channels.put(LOG)
    await forget(database.history, "mod")
    found = await database.blocks.find("discord", "1", "ann")
    assert found == replace(BLOCK, blocked_by="")
    log = await database.log_channels.find("discord", "1")
    assert log == replace(LOG, set_by="")
    await forget(database.history, "ann")
    found = await database.blocks.find("discord", "1", "ann")
    assert found == replace(BLOCK, blocked_by="", name="")


async def test_all_of_it_is_exported(database: Database, database_url: str) -> None:
    await database.blocks.add(BLOCK)
    await database.log_channels.put(LOG)
    first = await Talk(database.history).ask("one", author=ANN)
    await database.purges.purge(await database.purges.plan(ALL), by="mod")
    stream = io.StringIO()
    await export_json(database_url, stream)
    document = json.loads(stream.getvalue())
    assert document["blocks"][0]["speaker_id"] == "ann"
    assert document["log_channels"][0]["channel_id"] == "500"
    assert document["purges"][0]["messages"] == [
        {"message_id": first.message_ids[0], "is_own": False}
    ]


async def test_a_purge_up_to_a_reply_leaves_the_one_that_follows_it(database: Database) -> None:
    question = await Talk(database.history).ask("both of you?")
    first = await _speak(database, [question.turn_id], None)
    second = await _speak(database, [], first)
    plan = await database.purges.plan(replace(ALL, until_turn=first))
    assert plan.turns == 2
    assert (await database.purges.plan(replace(ALL, until_turn=second))).turns == 3


async def _speak(database: Database, answers: list[int], follows: int | None) -> int:
    history = database.history
    begun = await history.take_up(
        *(CHANNEL, Speaker("persona:ada", "Ada", is_bot=True)),
        persona="Ada",
        answers=answers,
        limit=1,
        follows=follows,
        is_awaited=follows is None,
    )
    await history.show_reply(begun.turn.turn_id, "Yes.", [f"of {begun.turn.turn_id}"])
    await history.finish_reply(begun.turn.turn_id, TurnState.WHOLE, None)
    return begun.turn.turn_id
