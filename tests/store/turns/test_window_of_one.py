"""What of a conversation is one person's alone."""

from store_samples import ANN, BEN, CHANNEL, Talk

from bot.chat.messages import Speaker, TurnState
from bot.store.database import Database

BOT = Speaker("persona:file:ada", "Ada", is_bot=True)


async def of(
    database: Database, person: str, limit: int = 50, before: int | None = None
) -> list[str]:
    window = await database.history.window(CHANNEL, limit, before_turn=before, only_of=person)
    return [turn.text for turn in window.turns]


async def test_their_turns_replies_to_them_alone_and_greetings(database: Database) -> None:
    history = database.history
    talk = Talk(history)
    await history.add_greeting(
        CHANNEL, BOT, ["Welcome."], persona="Ada", persona_id="file:ada", asked_by="ben"
    )
    anns = await talk.ask("ann's", author=ANN)
    await talk.answer(anns, text="to ann")
    bens = await talk.ask("ben's", author=BEN)
    await talk.answer(bens, text="to ben")
    both = [await talk.ask("ann's other", author=ANN), await talk.ask("ben's other", author=BEN)]
    last = await talk.answer(*both, text="to both")
    assert await of(database, "ann") == ["Welcome.", "ann's", "to ann", "ann's other"]
    assert await of(database, "ben") == ["Welcome.", "ben's", "to ben", "ben's other"]
    assert await of(database, "") == ["Welcome."]
    assert await of(database, "cleo") == ["Welcome."]
    shared = await of(database, "", before=last.turn_id)
    assert shared == ["Welcome.", "ann's other", "ben's other"]


async def test_a_reply_whose_record_is_lost_is_no_greeting(database: Database) -> None:
    history = database.history
    talk = Talk(history)
    question = await talk.ask("ben's", author=BEN)
    reply = await history.begin_reply(
        CHANNEL, BOT, persona="Ada", persona_id="file:ada", answers=[question.turn_id]
    )
    await history.show_reply(reply.turn_id, "to ben", ["m1"])
    await history.finish_reply(reply.turn_id, TurnState.WHOLE, None)
    assert await of(database, "ann") == []
    assert await of(database, "ben") == ["ben's", "to ben"]


async def test_it_is_as_long_as_was_asked_for_whatever_others_say_between(
    database: Database,
) -> None:
    talk = Talk(database.history)
    for number in range(6):
        await talk.ask(f"ann {number}", author=ANN)
        for _ in range(5):
            await talk.ask("ben", author=BEN)
    assert await of(database, "ann", 3) == ["ann 3", "ann 4", "ann 5"]
    window = await database.history.window(CHANNEL, 3, only_of="ann")
    assert window.skipped == window.positions[0] == 18


async def test_what_waits_no_more_stays(database: Database) -> None:
    history = database.history
    talk = Talk(history)
    turn, other = await talk.ask("ann's"), await talk.ask("ben's", author=BEN)
    await history.answer_no_more([turn.turn_id])
    assert [each.turn_id for each in await history.pending(CHANNEL)] == [other.turn_id]
    assert len(await history.export(CHANNEL)) == 2


async def test_of_one_person_the_last_exchange_is_hidden_and_what_they_said_since(
    database: Database,
) -> None:
    history = database.history
    talk = Talk(history)
    await talk.answer(await talk.ask("ann's", author=ANN), text="to ann")
    await talk.answer(await talk.ask("ben's", author=BEN), text="to ben")
    both = [await talk.ask("ann's other", author=ANN), await talk.ask("ben's other", author=BEN)]
    await talk.answer(*both, text="to both")
    hidden = await history.hide_last_exchange(CHANNEL, only_of="ann")
    assert len(hidden) == 3
    assert await talk.texts() == ["ben's", "to ben", "ben's other", "to both"]
    assert await history.hide_last_exchange(CHANNEL, only_of="ann") == []
    assert await history.hide_last_exchange(CHANNEL, only_of="cleo") == []
    await history.unhide(hidden)
    assert await of(database, "ann") == ["ann's", "to ann", "ann's other"]
