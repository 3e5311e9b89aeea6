"""Facts are kept where they hold, and go with what they came from."""

import asyncio
from dataclasses import replace

import pytest
from store_samples import ANN, BEN, CHANNEL, OTHER_CHANNEL, Talk, forget, said

from bot.chat.messages import ChannelKey
from bot.chat.roleplay.memory.facts import Fact, FactSource
from bot.errors import NotAllowed, NotFound
from bot.store.database import Database
from bot.store.history import SqlHistory

THREAD = ChannelKey("discord", "101", guild_id="1", parent_id="100")
OTHER_GUILD = ChannelKey("discord", "900", guild_id="9")
DIRECT = ChannelKey("discord", "700", is_direct=True)
ELSEWHERE = ChannelKey("workbench", "100")


async def texts(database: Database, channel: ChannelKey, persona: str | None = None) -> list[str]:
    return [fact.text for fact in await database.facts.facts(channel, persona)]


async def pinned(database: Database, message_id: str, text: str = "copy") -> Fact:
    source = FactSource(message_id, said_by="ann")
    return await database.facts.add_fact(CHANNEL, text, by="ben", source=source)


async def test_a_fact_holds_in_its_channel_and_in_its_threads(database: Database) -> None:
    store = database.facts
    await store.add_fact(CHANNEL, "the channel's", by="ann")
    await store.add_fact(THREAD, "the thread's", by="ann")
    assert await texts(database, CHANNEL) == ["the channel's"]
    assert await texts(database, THREAD) == ["the channel's", "the thread's"]
    for other in (OTHER_CHANNEL, OTHER_GUILD, DIRECT, ELSEWHERE):
        assert await texts(database, other) == []


async def test_a_personas_fact_holds_in_its_guild_alone(database: Database) -> None:
    store = database.facts
    await store.add_fact(CHANNEL, "Mira limps.", by="ann", persona_id="mira")
    await store.add_fact(DIRECT, "Mira knows me.", by="ann", persona_id="mira")
    assert await texts(database, OTHER_CHANNEL, "mira") == ["Mira limps."]
    assert await texts(database, CHANNEL, "bram") == []
    assert await texts(database, OTHER_GUILD, "mira") == []
    assert await texts(database, DIRECT, "mira") == ["Mira knows me."]
    assert await texts(database, DIRECT, "bram") == []
    assert await texts(database, replace(DIRECT, channel_id="701"), "mira") == []


async def test_no_fact_can_be_named_from_elsewhere(database: Database) -> None:
    store = database.facts
    one = await store.add_fact(CHANNEL, "ours", by="ann")
    for place in (OTHER_CHANNEL, OTHER_GUILD, DIRECT, ELSEWHERE):
        for attempt in (
            store.fact(place, one.fact_id),
            store.edit_fact(place, one.fact_id, "theirs"),
            store.remove_fact(place, one.fact_id),
        ):
            with pytest.raises(NotFound):
                await attempt
    for number in (0, -1, 2**70):
        with pytest.raises(NotFound):
            await store.fact(CHANNEL, number)
    assert await texts(database, CHANNEL) == ["ours"]


async def test_a_fact_is_edited_and_removed(database: Database) -> None:
    store = database.facts
    one = await store.add_fact(CHANNEL, "tea", by="ann")
    assert (await store.edit_fact(THREAD, one.fact_id, "coffee")).text == "coffee"
    assert (await store.remove_fact(CHANNEL, one.fact_id)).written_by == "ann"
    assert await texts(database, CHANNEL) == []


async def test_what_repeats_a_turn_reads_as_it_does(database: Database, talk: Talk) -> None:
    turn = await talk.ask("I like tea.", message_id="1")
    reply = await talk.answer(turn, text="Tea it is.", ids=("2",))
    await pinned(database, "1")
    await pinned(database, "2")
    assert await texts(database, CHANNEL) == ["I like tea.", "Tea it is."]
    await database.history.edit_message(CHANNEL, "1", "I like coffee.")
    await database.history.edit_turn(reply.turn_id, "Coffee it is.")
    assert await texts(database, CHANNEL) == ["I like coffee.", "Coffee it is."]
    await database.history.delete_messages(CHANNEL, ["1"])
    await database.history.delete_turn(reply.turn_id)
    assert await texts(database, CHANNEL) == []


async def test_a_rewritten_fact_keeps_its_words_and_goes_with_its_message(
    database: Database, talk: Talk
) -> None:
    await talk.ask("I like tea.", message_id="1")
    fact = await pinned(database, "1")
    await database.facts.edit_fact(CHANNEL, fact.fact_id, "Ann likes tea.")
    await database.history.edit_message(CHANNEL, "1", "I like coffee.")
    assert await texts(database, CHANNEL) == ["Ann likes tea."]
    await database.history.delete_messages(CHANNEL, ["1"])
    assert await texts(database, CHANNEL) == []


async def test_what_repeats_a_message_that_was_not_kept_follows_it(database: Database) -> None:
    await pinned(database, "77", "I like tea.")
    assert await texts(database, CHANNEL) == ["I like tea."]
    await database.history.edit_message(CHANNEL, "77", "I like coffee.")
    assert await texts(database, CHANNEL) == ["I like coffee."]
    await database.history.edit_message(OTHER_CHANNEL, "77", "Another message's.")
    await database.history.delete_messages(OTHER_CHANNEL, ["77"])
    assert await texts(database, CHANNEL) == ["I like coffee."]
    await database.history.delete_messages(CHANNEL, ["77"])
    assert await texts(database, CHANNEL) == []


@pytest.mark.parametrize("was_kept", [True, False])
async def test_a_message_taken_up_anew_keeps_what_was_pinned_of_it(
    database: Database, talk: Talk, was_kept: bool
) -> None:
    if was_kept:
        await talk.mention("tea", message_id="5")
    await pinned(database, "5", "tea")
    await database.history.renew_message(said("@bot tea", message_id="5"))
    assert await texts(database, CHANNEL) == ["@bot tea"]
    await database.history.delete_messages(CHANNEL, ["5"])
    assert await texts(database, CHANNEL) == []


async def test_a_message_is_pinned_once(database: Database, talk: Talk) -> None:
    await talk.ask("tea", message_id="1")
    for message_id in ("1", "unkept"):
        await pinned(database, message_id)
        with pytest.raises(NotAllowed, match="already"):
            await pinned(database, message_id)
    assert len(await texts(database, CHANNEL)) == 2


async def test_an_undone_message_takes_its_fact_along_and_brings_it_back(
    database: Database, talk: Talk, history: SqlHistory
) -> None:
    await talk.answer(await talk.ask("tea", message_id="1"))
    fact = await pinned(database, "1")
    hidden = await history.hide_last_exchange(CHANNEL)
    assert await texts(database, CHANNEL) == []
    with pytest.raises(NotFound):
        await database.facts.fact(CHANNEL, fact.fact_id)
    await history.unhide(hidden)
    assert await texts(database, CHANNEL) == ["tea"]


async def test_a_reset_leaves_facts_alone(database: Database, talk: Talk) -> None:
    await talk.ask("tea", message_id="1")
    await pinned(database, "1")
    await database.history.reset(CHANNEL)
    assert await texts(database, CHANNEL) == ["tea"]


async def test_there_is_a_limit_to_a_place(database: Database) -> None:
    store = database.facts
    for persona in ("", "mira"):
        for number in range(3):
            await store.add_fact(CHANNEL, f"{number}", by="ann", persona_id=persona, limit=3)
        with pytest.raises(NotAllowed, match="3 facts"):
            await store.add_fact(CHANNEL, "more", by="ann", persona_id=persona, limit=3)
    await store.add_fact(THREAD, "its own", by="ann", limit=3)
    # From anywhere in the guild: what is counted is the persona's.
    with pytest.raises(NotAllowed, match="that persona"):
        await store.add_fact(OTHER_CHANNEL, "more", by="ann", persona_id="mira", limit=3)


async def test_the_limit_holds_however_many_come_at_once(database: Database) -> None:
    async def add(number: int) -> bool:
        channel = replace(CHANNEL, channel_id=f"{number % 3}")
        try:
            await database.facts.add_fact(channel, "x", by="ann", persona_id="mira", limit=4)
        except NotAllowed:
            return False
        return True

    assert sum(await asyncio.gather(*map(add, range(12)))) == 4


async def test_erasing_a_person_takes_their_words_and_their_name(
    database: Database, talk: Talk
) -> None:
    store = database.facts
    await talk.ask("ann's turn", message_id="1", author=ANN)
    await talk.ask("ben's turn", message_id="2", author=BEN)
    await pinned(database, "1")
    await store.add_fact(CHANNEL, "copy", by="ann", source=FactSource("2", said_by="ben"))
    await store.add_fact(CHANNEL, "ann's own", by="ann")
    await store.add_fact(CHANNEL, "ann's of Mira", by="ann", persona_id="mira")
    await store.add_fact(CHANNEL, "unkept", by="ben", source=FactSource("3", said_by="ann"))
    await store.add_fact(CHANNEL, "ben's own", by="ben")
    await forget(database.history, "ann")
    left = await store.facts(CHANNEL)
    assert [(fact.text, fact.written_by) for fact in left] == [
        ("ben's turn", ""),
        ("ben's own", "ben"),
    ]


async def test_what_a_guild_takes_along(database: Database) -> None:
    await database.facts.add_fact(CHANNEL, "Mira limps.", by="ann", persona_id="mira")
    await database.facts.add_fact(OTHER_GUILD, "theirs", by="ann", persona_id="mira")
    await database.personas.remove_guild("1")
    assert await texts(database, CHANNEL) == []
    assert await texts(database, OTHER_GUILD) == ["theirs"]
