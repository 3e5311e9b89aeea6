"""`history_scope` = `user`: each person's talk with the bot is theirs alone."""

import asyncio

import pytest
from conversing import HERE, Stage, quote

from bot.chat.messages import Speaker
from bot.chat.prompt.recollection import JoinedMemory
from bot.chat.roleplay.memory.recall import Recall
from bot.chat.roleplay.memory.summary import SummaryTeller
from bot.engine.fake import FakeEngine
from bot.store.history import SqlHistory
from bot.store.memory.indexing import SqlSearch
from bot.store.memory.summaries import SqlSummaries

TALK = "They talk about the weather for a while, and about nothing else. " * 3


@pytest.fixture
async def on(stage: Stage) -> Stage:
    stage.engine = FakeEngine([f"Reply {number}." for number in range(100)])
    stage.start_again()
    await stage.set("history_scope", "user")
    return stage


async def ask(on: Stage, text: str, by: str) -> int:
    await on.say(text, by=by)
    reply = await on.answer()
    assert reply is not None
    assert reply.asked_by == {by}
    return reply.turn.turn_id


async def test_the_model_sees_the_askers_turns_and_the_replies_to_them_alone(on: Stage) -> None:
    await on.set("context", "channel")
    await ask(on, "My code is 1111.", "ann")
    await ask(on, "My code is 2222.", "ben")
    await on.overhear("Ann's aside: 3333.", by="ann")
    await on.overhear("Ben's aside: 4444.", by="ben")
    turn_id = await ask(on, "Which codes do you know?", "ann")
    for seen in ("1111", "3333", "Reply 0."):
        assert seen in on.prompt
    for unseen in ("2222", "4444", "Reply 1.", "Ben"):
        assert unseen not in on.prompt
    why = await on.conversations.why(turn_id)
    assert why.prompt.text == on.prompt
    assert not why.changed_since


async def test_the_newest_reply_of_somebody_is_their_own(on: Stage) -> None:
    newest = on.conversations.newest_reply
    ada = Speaker("persona:ada", "Ada", is_bot=True)
    await on.history.add_greeting(
        HERE, ada, ["Welcome."], persona="Ada", persona_id="ada", asked_by="ann"
    )
    assert await newest(HERE, "ann") is None  # the greeting is everybody's
    first = await ask(on, "One?", "ann")
    second = await ask(on, "Two?", "ben")
    for person, turn_id in (("ann", first), ("ben", second), ("cleo", None)):
        found = await newest(HERE, person)
        assert (found.turn_id if found else None) == turn_id
    await on.say("Three?", by="ann")
    running = await on.conversations.next_reply(HERE)
    assert running is not None
    async with running:  # which nobody can have written anew meanwhile
        assert await newest(HERE, "ann") == running.turn
        assert (await newest(HERE, "ben") or running.turn).turn_id == second
    await on.set("history_scope", "channel")
    last = await on.history.last_reply(HERE)
    assert await newest(HERE, "ann") == last


async def test_undo_takes_back_the_askers_own_exchange(on: Stage) -> None:
    await on.set("context", "channel")
    ada = Speaker("persona:ada", "Ada", is_bot=True)
    await on.history.add_greeting(
        HERE, ada, ["Welcome."], persona="Ada", persona_id="ada", asked_by="ann"
    )
    await ask(on, "One?", "ann")
    await ask(on, "Two?", "ben")
    await on.overhear("Oh.", by="ann")
    await on.overhear("Ah.", by="ben")
    hidden = await on.conversations.undo(HERE, by="ann")
    assert await on.texts() == ["Welcome.", "Two?", "Reply 1.", "Ah."]
    assert await on.conversations.undo(HERE, by="ann") == []  # the greeting is everybody's
    await on.history.unhide(hidden)
    assert await on.texts() == ["Welcome.", "One?", "Reply 0.", "Two?", "Reply 1.", "Oh.", "Ah."]
    await on.set("history_scope", "channel")
    await on.conversations.undo(HERE, by="ann")
    assert await on.texts() == ["Welcome.", "One?", "Reply 0."]


async def test_undo_stops_nobody_elses_reply(on: Stage) -> None:
    await ask(on, "One?", "ann")
    await on.say("Two?", by="ben")
    running = await on.conversations.next_reply(HERE)
    assert running is not None
    assert await on.conversations.undo(HERE, by="ann")
    await on.show(running)
    assert await on.texts() == ["Two?", "Reply 1."]


async def test_undo_stops_ones_own_reply(on: Stage) -> None:
    await ask(on, "One?", "ann")
    await on.say("Two?", by="ann")
    running = await on.conversations.next_reply(HERE)
    assert running is not None
    async with asyncio.TaskGroup() as group:
        undone = group.create_task(on.conversations.undo(HERE, by="ann"))
        async with running:
            async for _ in running:
                pass
    assert len(undone.result()) == 2
    assert await on.texts() == ["One?", "Reply 0."]


async def test_who_waits_is_answered_one_by_one_who_waited_longest_first(on: Stage) -> None:
    for text, by in (("A1", "ann"), ("B1", "ben"), ("A2", "ann"), ("C1", "cleo"), ("B2", "ben")):
        await on.say(f"{text}?", by=by)
    answered: list[tuple[set[str], list[str]]] = []
    while reply := await on.answer():
        if not answered:
            await on.say("A3?", by="ann")  # comes after whoever waits already
        answered.append((set(reply.asked_by), [turn.text for turn in reply.answers]))
        own = reply.answers[0].text[0]
        assert not any(f"{other}1?" in on.prompt for other in "ABC" if other != own)
    assert answered == [
        ({"ann"}, ["A1?", "A2?"]),
        ({"ben"}, ["B1?", "B2?"]),
        ({"cleo"}, ["C1?"]),
        ({"ann"}, ["A3?"]),
    ]


async def test_a_reply_is_written_again_in_its_askers_scope(on: Stage) -> None:
    first = await ask(on, "My code is 1111.", "ann")
    await ask(on, "My code is 2222.", "ben")
    third = await ask(on, "Which codes?", "ann")
    for write_again in (on.conversations.regenerate, on.conversations.continue_reply):
        await on.show(await write_again(third, by="mod"))
        assert "1111" in on.prompt
        assert "2222" not in on.prompt
    await on.show(await on.conversations.regenerate(first))
    assert "2222" not in on.prompt


async def test_of_a_reply_to_several_nobody_else_shares_more_than_they_asked(on: Stage) -> None:
    await ask(on, "My code is 1111.", "ann")
    await on.set("history_scope", "channel")
    await on.say("What is my number?", by="ann")
    await on.say("And what is mine?", by="ben")
    shared = await on.answer()
    assert shared is not None
    assert shared.asked_by == {"ann", "ben"}
    await on.set("history_scope", "user")
    await on.show(await on.conversations.regenerate(shared.turn.turn_id))
    assert "What is my number?" in on.prompt
    assert "And what is mine?" in on.prompt
    assert "1111" not in on.prompt
    await ask(on, "Go on.", "ben")  # a reply to both is not to one alone
    assert on.shown not in on.prompt
    assert "What is my number?" not in on.prompt


async def test_what_somebody_points_at_is_shown(on: Stage) -> None:
    bens = await on.say("The tide comes at nine.", by="ben")
    await on.answer()
    await on.say("Is that so?", by="ann", reply_to=quote(bens))
    await on.answer()
    assert "The tide comes at nine." in on.prompt


async def test_far_back_turns_of_ones_own_are_reached(on: Stage) -> None:
    await on.set("history_turns", 4)
    await on.set("context", "channel")
    await ask(on, "My code is 1111.", "ann")
    for number in range(40):
        await on.overhear(f"{number}: {TALK}", by="ben")
    await ask(on, "What is it?", "ann")
    assert "1111" in on.prompt


async def test_neither_recall_nor_the_summary_tells_what_others_said(on: Stage) -> None:
    assert isinstance(on.history, SqlHistory)
    search = SqlSearch(on.history.transactions)
    summaries = SqlSummaries(on.history.transactions)
    on.memory = JoinedMemory([SummaryTeller(summaries), Recall(search, on.history)])
    on.start_again()
    await on.set("history_turns", 2)
    await on.set("context", "channel")
    await on.overhear("My cat Brimble is afraid of bells.", by="ann")
    await on.overhear("My cat Brimble is afraid of Ben's dog.", by="ben")
    for number in range(30):
        await on.overhear(f"{number}: {TALK}", by="ann")
    await search.index_all()
    state = await summaries.folding_state(HERE)
    assert state is not None
    await summaries.write_by_hand(HERE, state.conversation_id, "BEN TOLD ALL.", up_to=2, at=on.now)

    await ask(on, "What is Brimble afraid of?", "ann")
    assert "bells" in on.prompt
    assert "dog" not in on.prompt
    assert "BEN TOLD ALL." not in on.prompt
    await on.set("history_scope", "channel")
    await on.say("What is Brimble afraid of?", by="ann")
    await on.answer()
    assert "dog" in on.prompt
    assert "BEN TOLD ALL." in on.prompt


class AdaAndByron:
    """Byron speaks beside Ada, the main persona."""

    async def cast(self, scope_id: str) -> list[str]:
        return ["test:byron"]


async def test_nobody_waits_for_a_persona_that_is_to_answer_no_more(on: Stage) -> None:
    on.casts = AdaAndByron()
    on.start_again()
    await on.set("persona", "test:ada")
    hers = await on.say("Ada and Byron, hello?", by="ann")
    await on.say("And I, Ada?", by="ben")
    first = await on.answer()
    assert first is not None
    assert first.asked_by == {"ann"}
    assert hers.turn is not None
    await on.conversations.deleted(HERE, hers.turn.message_ids)
    second = await on.answer()
    assert second is not None
    assert second.asked_by == {"ben"}
    assert await on.answer() is None
