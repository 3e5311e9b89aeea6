"""Everything of one person goes, nothing of anybody else's does."""

from collections.abc import Callable
from pathlib import Path

import pytest
from store_samples import ANN, BEN, BOT, CHANNEL, MORNING, OTHER_CHANNEL, Talk, forget, said

from bot.chat.messages import ChannelKey, QuotedMessage, Scope
from bot.chat.privacy.handing_out import write_everything
from bot.chat.privacy.people import Person, Place
from bot.chat.privacy.removals import Removal
from bot.chat.roleplay.scenes.scene import Scene
from bot.store.database import Database
from bot.store.history import SqlHistory

OTHER_GUILD = ChannelKey("discord", "900", guild_id="9")
DIRECT = ChannelKey("discord", "77", is_direct=True)
FORK = ChannelKey("discord", "150", guild_id="1", parent_id="100")
FORK_OF_FORK = ChannelKey("discord", "151", guild_id="1", parent_id="100")
PAGE = ChannelKey("workbench", "1", is_direct=True)


async def texts(history: SqlHistory, channel: ChannelKey = CHANNEL) -> list[str]:
    return [turn.text for turn in await history.export(channel)]


async def test_turns_quotes_and_replies_of_a_person_go(history: SqlHistory, talk: Talk) -> None:
    hers = await talk.ask("from Ann", author=ANN)
    await talk.ask("from Ben", author=BEN, reply_to=QuotedMessage("q", ANN, "Ann's words"))
    await talk.answer(hers, text="To her.")
    await talk.answer(await talk.ask("Ben again", author=BEN), text="To him.")
    elsewhere = await Talk(history, OTHER_CHANNEL).ask("also Ann", author=ANN)
    await history.reset(CHANNEL)
    both = await talk.ask("Ann again", author=ANN), await talk.ask("and Ben", author=BEN)
    await talk.answer(*both, text="To both.")
    await forget(history, "ann")
    assert await texts(history) == ["and Ben"]
    assert await texts(history, elsewhere.channel) == []
    before = (await history.list_conversations(CHANNEL))[-1].conversation_id
    left = await history.export(CHANNEL, conversation_id=before)
    assert [turn.text for turn in left] == ["from Ben", "Ben again", "To him."]
    assert left[0].reply_to is None


async def test_replies_that_repeat_them_go_and_their_other_swipes(
    history: SqlHistory, talk: Talk
) -> None:
    await talk.mention("my cat Brimble sleeps on the old stove all day", author=ANN)
    kept = await talk.answer(await talk.ask("hello", author=BEN), text="Hello, Ben.")
    again = await history.begin_swipe(kept.turn_id)
    await history.show_reply(again.turn_id, "It sleeps on the old stove, Ben.", ["r1"])
    await history.finish_reply(again.turn_id, again.state.WHOLE, None)
    await history.select_swipe(kept.turn_id, 0)
    for text in ("Brimble is a cat.", "Ann said hello.", "An oven is no stove."):
        await talk.answer(await talk.ask("so?", author=BEN), text=text)
    await forget(history, "ann")
    assert await texts(history) == [
        *("hello", "Hello, Ben.", "so?", "so?", "so?"),
        "An oven is no stove.",
    ]
    assert [swipe.text for swipe in (await history.turn(kept.turn_id)).swipes] == ["Hello, Ben."]


async def test_replies_that_repeat_what_only_a_quote_holds_of_them(
    history: SqlHistory, talk: Talk
) -> None:
    """They spoke to others, or elsewhere; somebody replied, or linked to it, to ask about it."""
    quote = QuotedMessage("q", ANN, "my cat Brimble sleeps on the old stove all day")
    his = await talk.ask("what does that mean?", author=BEN, reply_to=quote)
    await talk.answer(his, text="Somebody sleeps on the old stove all day.")
    for text in ("Brimble is a cat.", "An oven is no stove."):
        await talk.answer(await talk.ask("so?", author=BEN), text=text)
    await forget(history, "ann")
    left = ["what does that mean?", "so?", "so?", "An oven is no stove."]
    assert await texts(history) == left


async def test_what_they_wrote_for_a_scene_goes_from_its_copies_too(
    database: Database, tmp_path: Path
) -> None:
    words = Scene(
        CHANNEL, "Ann's isle", ("file:ada",), "ann", MORNING, scenario="On her isle.", note="Rain."
    )
    await database.scenes.start(words)
    hers = await Talk(database.history).ask("hello", author=ANN)
    thread = ChannelKey("discord", "101", guild_id="1", parent_id="100")
    await database.scenes.fork(hers.turn_id, thread, "ben")
    [part] = await write_everything(
        database.belongings, "discord", "ben", tmp_path, at=MORNING, most_bytes=2**20
    )
    assert "isle." not in part.read_text("utf-8"), "he went on with it, but did not write it"
    await forget(database.history, "ann")
    for channel, by in ((CHANNEL, ""), (thread, "ben")):
        scene = await database.scenes.running(channel)
        assert scene is not None
        assert (scene.started_by, scene.title) == (by, "Scene")
        assert (scene.scenario, scene.note) == ("", "")
    assert await texts(database.history, thread) == []


async def test_messages_that_showed_what_goes_are_to_be_taken_away(database: Database) -> None:
    talk = Talk(database.history)
    await talk.answer(await talk.ask("hello"), text="Hello.", ids=("501", "502"))
    await forget(database.history, "ann")
    rows = await database.removals.to_remove("discord", 0, 10)
    assert [row.message_id for row in rows] == ["501", "502"]
    assert rows[0] == Removal(rows[0].number, "100", "", "501")
    await database.removals.removed([row.number for row in rows])
    assert await database.removals.to_remove("discord", 0, 10) == []


async def test_a_direct_channel_goes_with_all_that_is_set_in_it(database: Database) -> None:
    talk = Talk(database.history, DIRECT)
    await talk.answer(await talk.ask("hello"), text="Hello.", ids=("501",))
    await database.settings.change(Scope.CHANNEL, "discord:77", "top_k", 5, by="ann")
    await Talk(database.history, ChannelKey("discord", "78", is_direct=True)).ask(
        "Ben's own", author=BEN, reply_to=QuotedMessage("q", ANN, "Ann's words")
    )
    await forget(database.history, "ann")
    assert await texts(database.history, DIRECT) == []
    assert await database.settings.values([(Scope.CHANNEL, "discord:77")]) == {}
    assert await texts(database.history, ChannelKey("discord", "78")) == ["Ben's own"]
    rows = await database.removals.to_remove("discord", 0, 10)
    assert [row.message_id for row in rows] == ["501"]


async def test_a_direct_channel_without_a_word_goes_where_it_is_known(database: Database) -> None:
    await database.settings.change(Scope.CHANNEL, "discord:77", "top_k", 5, by="ann")
    person = Person("discord", "ann")
    (place,) = await database.people.places(person, own="77")
    assert place == Place(0, DIRECT, is_own=True)
    assert not await database.people.remove_place(place)
    assert await database.settings.values([(Scope.CHANNEL, "discord:77")]) == {}


async def test_in_one_guild_alone(database: Database) -> None:
    history = database.history
    for channel in (CHANNEL, OTHER_GUILD, DIRECT):
        await Talk(history, channel).ask("hello", author=ANN)
    for guild in ("1", "9"):
        await database.settings.change(Scope.GUILD, f"discord:{guild}", "top_k", 5, by="ann")
        await database.facts.add_fact(
            ChannelKey("discord", f"{guild}00", guild), f"of {guild}", by="ann", persona_id="mira"
        )
    await forget(history, "ann", guild_id="1")
    assert await texts(history) == []
    assert await texts(history, OTHER_GUILD) == ["hello"]
    assert await texts(history, DIRECT) == ["hello"]
    scopes = [(Scope.GUILD, "discord:1"), (Scope.GUILD, "discord:9")]
    assert {one.changed_by for one in await database.settings.changes(scopes)} == {"", "ann"}
    assert [fact.text for fact in await database.facts.facts(OTHER_GUILD)] == ["of 9"]


async def test_the_same_id_on_another_platform_is_somebody_else(history: SqlHistory) -> None:
    theirs = await Talk(history, PAGE).ask("mine", author=ANN)
    await Talk(history, PAGE).answer(theirs)
    await Talk(history).ask("not mine", author=ANN)
    await forget(history, "ann")
    assert await texts(history) == []
    assert await texts(history, PAGE) == ["mine", "Indeed."]
    assert (await history.turn(theirs.turn_id + 1)).asked_by == {"ann"}


async def test_a_persona_with_a_persons_id_keeps_its_replies(
    history: SqlHistory, talk: Talk
) -> None:
    reply = await talk.answer(await talk.ask("one"), text="I am here.")
    await forget(history, "bot")
    assert await history.turn(reply.turn_id) == reply


async def test_more_messages_than_fit_a_step(history: SqlHistory, talk: Talk) -> None:
    for number in range(510):
        await history.add_message(said(f"{number}", author=ANN), addressed=False)
    await talk.mention("Ben's", author=BEN)
    await forget(history, "ann")
    assert await texts(history) == ["Ben's"]


async def test_what_another_program_is_writing_from_their_words_goes(
    history: SqlHistory, talk: Talk
) -> None:
    await talk.mention("a secret", author=ANN)
    asked = await talk.ask("so?", author=BEN)
    reply = await history.begin_reply(CHANNEL, ANN, persona="Ada", answers=[asked.turn_id])
    await forget(history, "ann")
    assert await history.turn_of_message(CHANNEL, asked.message_ids[0]) is not None
    assert reply.turn_id not in [turn.turn_id for turn in await history.export(CHANNEL)]


async def test_what_other_channels_quote_of_replies_to_them_goes(
    database: Database, talk: Talk
) -> None:
    reply = await talk.answer(await talk.ask("my secret"), text="Your secret!", ids=("r1",))
    quote = QuotedMessage("r1", reply.speaker, reply.text)
    kept = QuotedMessage("r2", reply.speaker, "To Ben.")
    bens = await talk.ask("whose?", author=BEN, reply_to=quote)
    copied = await database.scenes.fork(bens.turn_id, FORK, "ben")
    await database.scenes.fork(copied.last.turn_id, FORK_OF_FORK, "ben")
    await Talk(database.history, OTHER_CHANNEL).mention("look", author=BEN, reply_to=quote)
    await Talk(database.history, OTHER_CHANNEL).mention("and", author=BEN, reply_to=kept)
    await forget(database.history, "ann")
    quotes = {
        (turn.text, turn.reply_to and turn.reply_to.text)
        for channel in (CHANNEL, FORK, FORK_OF_FORK, OTHER_CHANNEL)
        for turn in await database.history.export(channel)
    }
    assert quotes == {("whose?", None), ("look", None), ("and", "To Ben.")}


async def test_a_quote_of_a_reply_that_was_deleted_goes_where_it_repeats_them(
    database: Database, talk: Talk
) -> None:
    await talk.mention("I keep a purple heron in the cellar.")
    for text, asked in (("A purple heron in the cellar!", "what?"), ("Nothing at all.", "why?")):
        await talk.mention(asked, author=BEN, reply_to=QuotedMessage("gone", BOT, text))
    await forget(database.history, "ann")
    quotes = [
        turn.reply_to and turn.reply_to.text for turn in await database.history.export(CHANNEL)
    ]
    assert quotes == [None, "Nothing at all."]


async def test_a_mark_is_no_message_of_theirs_and_does_not_go_back(database: Database) -> None:
    await Talk(database.history).mention("hello", message_id="4711")
    await forget(database.history, "ann")
    assert await database.history.last_seen("discord") == {CHANNEL: "4712"}


@pytest.mark.parametrize(
    ("key", "value", "left"),
    [
        ("allowed_roles", ["<@4711>", "ops"], ["<@0>", "ops"]),
        ("blocked_roles", ["<@4711>"], ["<@4711>"]),
        ("instructions", "Obey <@4711>, not 47110.", "Obey <@0>, not 47110."),
    ],
)
async def test_lists_of_settings_stay_as_narrow_and_who_is_kept_out_stays_out(
    database: Database, key: str, value: str | list[str], left: str | list[str]
) -> None:
    scope = (Scope.GUILD, "discord:1")
    await database.settings.change(*scope, key, value, by="ben")
    await forget(database.history, "4711")
    assert (await database.settings.values([scope]))[scope] == {key: left}
    (change,) = await database.settings.changes([scope])
    assert "<@4711>" not in f"{change.new}"


async def test_how_much_there_is(database: Database) -> None:
    talk = Talk(database.history)
    await talk.answer(await talk.ask("hello"))
    await talk.mention("so", author=BEN, reply_to=QuotedMessage("q", ANN, "hello"))
    await Talk(database.history, OTHER_GUILD).mention("there")
    await database.facts.add_fact(CHANNEL, "a fact", by="ann")
    everywhere = await database.people.preview(Person("discord", "ann"))
    here = await database.people.preview(Person("discord", "ann", "1"))
    counted: Callable[..., tuple[int, ...]] = lambda one: (  # noqa: E731
        one.messages, one.replies, one.quotes, one.facts, one.channels
    )  # fmt: skip
    assert counted(everywhere) == (2, 1, 1, 1, 2)
    assert counted(here) == (1, 1, 1, 1, 1)
