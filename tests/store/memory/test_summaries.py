"""The sections of summaries in the store, on both databases."""

import io
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from store_samples import ANN, BEN, CHANNEL, MORNING, OTHER_CHANNEL, Talk, forget, record

from bot.chat.messages import Speaker, Turn, TurnState
from bot.chat.roleplay.memory.sections import NewSection, Section, standing
from bot.store.database import Database
from bot.store.export import export_json
from bot.store.history import SqlHistory
from bot.store.memory.summaries import SqlSummaries

CLEO = Speaker("cleo", "Cleo")


@pytest.fixture
def shelf(database: Database) -> SqlSummaries:
    return database.summaries


def made_of(turns: list[Turn], text: str = "They talked.") -> NewSection:
    first = turns[0]
    return NewSection(
        first.conversation_id,
        text,
        0,
        first.turn_id,
        turns[-1].turn_id,
        MORNING,
        turns=tuple(turns),
    )


def merged(sections: list[Section], conversation: int) -> NewSection:
    first, last = sections[0].first_turn, sections[-1].last_turn
    ids = tuple(each.section_id for each in sections)
    return NewSection(conversation, "In short.", 1, first, last, MORNING, merged=ids)


async def say(talk: Talk, count: int) -> list[Turn]:
    return [await talk.mention(f"number {number}", author=ANN) for number in range(count)]


async def answer(history: SqlHistory, talk: Talk, shown_from: int) -> Turn:
    """A reply whose prompt began with a turn."""
    question = await talk.ask("And?")
    turn = await talk.answer(question)
    how = replace(record(), first_turn_id=shown_from)
    return await history.finish_reply(turn.turn_id, TurnState.WHOLE, how)


async def test_what_is_older_than_the_newest_prompt_has_fallen_out(
    shelf: SqlSummaries, history: SqlHistory, talk: Talk
) -> None:
    assert await shelf.folding_state(CHANNEL) is None
    turns = await say(talk, 6)
    state = await shelf.folding_state(CHANNEL)
    assert state is not None
    assert (state.shown_from, state.unfolded, state.sections) == (None, False, ())
    await answer(history, talk, turns[4].turn_id)
    state = await shelf.folding_state(CHANNEL)
    assert state is not None
    assert (state.shown_from, state.unfolded) == (turns[4].turn_id, True)
    between = await shelf.turns_between(state.conversation_id, 0, turns[4].turn_id, 3)
    assert between == turns[:3]
    assert await shelf.channels_to_fold() == [CHANNEL]
    assert await shelf.keep_section(CHANNEL, made_of(turns[:4]))
    state = await shelf.folding_state(CHANNEL)
    assert state is not None
    assert not state.unfolded
    assert await shelf.channels_to_fold() == []
    (kept,) = state.sections
    assert kept == Section(
        kept.section_id, "They talked.", 0, turns[0].turn_id, turns[3].turn_id, MORNING
    )


Change = Callable[[SqlHistory, list[Turn]], Awaitable[object]]
CHANGES: dict[str, Change] = {
    "edit": lambda history, turns: history.edit_message(CHANNEL, turns[1].message_ids[0], "new"),
    "delete": lambda history, turns: history.delete_turn(turns[1].turn_id),
    "erase": lambda history, turns: forget(history, "ann"),
    "reset": lambda history, turns: history.reset(CHANNEL),
}


@pytest.mark.parametrize("name", CHANGES)
async def test_what_was_made_while_the_chat_changed_is_not_kept(
    shelf: SqlSummaries, history: SqlHistory, talk: Talk, name: str
) -> None:
    turns = await say(talk, 3)
    await CHANGES[name](history, turns)
    assert not await shelf.keep_section(CHANNEL, made_of(turns))
    assert await shelf.sections(turns[0].conversation_id) == []


async def test_a_change_empties_what_knows_of_it_and_nothing_else(
    shelf: SqlSummaries, history: SqlHistory, talk: Talk
) -> None:
    turns = await say(talk, 6)
    conversation = turns[0].conversation_id
    for start in (0, 2, 4):
        assert await shelf.keep_section(CHANNEL, made_of(turns[start : start + 2]))
    narrow = await shelf.sections(conversation)
    assert await shelf.keep_section(CHANNEL, merged(narrow[:2], conversation))
    assert not await shelf.keep_section(CHANNEL, merged(narrow[1:], conversation)), "overlaps"
    assert [each.text for each in standing(await shelf.sections(conversation))] == [
        "In short.",
        "They talked.",
    ]
    await history.edit_turn(turns[0].turn_id, "something else")
    now = await shelf.sections(conversation)
    assert [(each.level, each.text) for each in now if each.is_stale] == [(0, ""), (1, "")]
    assert standing(now) == narrow[1:]
    assert await shelf.channels_to_fold() == [CHANNEL]
    stale = [each for each in now if each.is_stale]
    await shelf.remove_sections([stale[1].section_id])
    turns[0] = await history.turn(turns[0].turn_id)
    again = replace(made_of(turns[:2], "Anew."), replaces=(stale[0].section_id,))
    assert await shelf.keep_section(CHANNEL, again)
    assert [each.text for each in await shelf.sections(conversation)] == [
        "Anew.",
        "They talked.",
        "They talked.",
    ]
    assert not await shelf.keep_section(CHANNEL, again), "it stands there already"


async def test_what_comes_back_among_folded_turns_makes_them_stale(
    shelf: SqlSummaries, history: SqlHistory, talk: Talk
) -> None:
    turns = await say(talk, 2)
    reply = await answer(history, talk, turns[0].turn_id)
    hidden = await history.hide_last_exchange(CHANNEL)
    turns += await say(talk, 2)
    assert await shelf.keep_section(CHANNEL, made_of(turns))
    await history.unhide(hidden)
    (section,) = await shelf.sections(reply.conversation_id)
    assert section.is_stale
    assert not await shelf.keep_section(
        CHANNEL, replace(made_of(turns), replaces=(section.section_id,))
    ), "it was read without what is back"


async def test_a_text_by_hand_stands_for_all_up_to_its_turn(
    shelf: SqlSummaries, history: SqlHistory, talk: Talk
) -> None:
    turns = await say(talk, 6)
    conversation = turns[0].conversation_id
    for start in (0, 2, 4):
        await shelf.keep_section(CHANNEL, made_of(turns[start : start + 2]))
    up_to = turns[3].turn_id
    written = {"up_to": up_to, "at": MORNING}
    assert not await shelf.write_by_hand(OTHER_CHANNEL, conversation, "No.", **written)  # type: ignore[arg-type]
    assert await shelf.write_by_hand(CHANNEL, conversation, "By hand.", **written)  # type: ignore[arg-type]
    await history.delete_turn(turns[0].turn_id)
    now = await shelf.sections(conversation)
    assert [(each.text, each.by_hand, each.last_turn) for each in now] == [
        ("By hand.", True, up_to),
        ("They talked.", False, turns[5].turn_id),
    ]
    await shelf.clear(conversation)
    assert await shelf.sections(conversation) == []


async def test_a_conversation_takes_its_summary_along(
    shelf: SqlSummaries, history: SqlHistory, talk: Talk
) -> None:
    turns = await say(talk, 2)
    conversation = turns[0].conversation_id
    await shelf.keep_section(CHANNEL, made_of(turns))
    await history.reset(CHANNEL)
    state = await shelf.folding_state(CHANNEL)
    assert state is not None
    assert state.sections == ()
    assert len(await shelf.sections(conversation)) == 1
    await history.delete_conversation(CHANNEL, conversation)
    assert await shelf.sections(conversation) == []


async def test_a_part_of_a_reply_that_is_deleted_makes_its_section_stale(
    shelf: SqlSummaries, history: SqlHistory, talk: Talk
) -> None:
    question = await talk.ask("And?")
    reply = await talk.answer(question, text="One. Two.", ids=("r1", "r2"))
    await shelf.keep_section(CHANNEL, made_of([question, reply]))
    await history.shorten_reply(reply.turn_id, ["r2"], lambda text, count, gone: "One.")
    (section,) = await shelf.sections(reply.conversation_id)
    assert section.is_stale


async def test_a_text_by_hand_goes_with_the_data_of_somebody_who_spoke_in_its_time(
    shelf: SqlSummaries, history: SqlHistory, talk: Talk
) -> None:
    turns = [await talk.mention("a secret"), await talk.mention("later", author=BEN)]
    last = await talk.mention("after it", author=CLEO)
    conversation = last.conversation_id
    up_to = turns[1].turn_id
    assert await shelf.write_by_hand(CHANNEL, conversation, "A secret.", up_to=up_to, at=MORNING)
    assert await shelf.keep_section(CHANNEL, made_of([last]))
    await forget(history, "cleo")
    assert [each.text for each in await shelf.sections(conversation)] == ["A secret.", ""]
    await forget(history, "ann")
    assert await shelf.sections(conversation) == []


async def test_an_export_tells_what_each_section_stands_for(
    database: Database, database_url: str, talk: Talk
) -> None:
    turns = await say(talk, 3)
    conversation, up_to = turns[0].conversation_id, turns[1].turn_id
    await database.summaries.write_by_hand(CHANNEL, conversation, "By me.", up_to=up_to, at=MORNING)
    await database.summaries.keep_section(CHANNEL, made_of(turns[2:]))
    stream = io.StringIO()
    await export_json(database_url, stream)
    kept = json.loads(stream.getvalue())["channels"][0]["derived"]
    told = [(each["text"], each["by_hand"], each["level"], each["last_turn_id"]) for each in kept]
    assert told == [("By me.", True, 0, up_to), ("They talked.", False, 0, turns[2].turn_id)]
