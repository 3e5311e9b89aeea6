"""Who has opted out is kept out of everything that is read, and nothing of theirs is kept."""

import io
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace

import pytest
import pytest_asyncio
from sqlalchemy import Connection, insert
from store_samples import ANN, BEN, BOT, CHANNEL, MORNING, OTHER_CHANNEL, Talk, forget, said

from bot.chat.messages import QuotedMessage
from bot.chat.personas.guild.kept import Limits, PersonaDraft
from bot.chat.roleplay.memory.facts import FactSource
from bot.chat.roleplay.memory.sections import NewSection
from bot.chat.roleplay.scenes.scene import Character, Scene
from bot.chat.text.search_words import mark
from bot.errors import NotAllowed, NotFound
from bot.store.database import Database
from bot.store.export import export_json
from bot.store.privacy.left_out import OptOutRow

SECRET = "zanzibar"
SCENE = Scene(
    channel=CHANNEL,
    title="The pier",
    cast=("file:ada",),
    started_by="ben",
    started_at=MORNING,
    characters={"ann": Character("Kael", SECRET), "ben": Character("Bruna", "A sailor.")},
)

EVE = PersonaDraft("Eve", "eve", "", "v-1", "JSON", "v1", b"{}", "", ())


@pytest_asyncio.fixture
async def talked(database: Database, talk: Talk) -> AsyncIterator[Database]:
    """Ann has said, pinned and played something, which Ben has quoted; both were answered."""
    asked = await talk.ask(f"I live in {SECRET}.", message_id="500800")
    await talk.answer(asked, text=f"Nice, {SECRET}!")
    quoted = QuotedMessage("500800", ANN, f"I live in {SECRET}.")
    bens = await talk.ask("Really?", author=BEN, reply_to=quoted)
    await talk.answer(bens, text="Really.")
    await database.facts.add_fact(CHANNEL, f"Ann: {SECRET}", by="ann")
    source = FactSource("500800", "ann")
    await database.facts.add_fact(CHANNEL, f"I live in {SECRET}.", by="ben", source=source)
    await database.scenes.start(SCENE)
    window = await database.history.window(CHANNEL, 10)
    section = NewSection(
        window.conversation_id,
        f"Ann lives in {SECRET}.",
        0,
        window.turns[0].turn_id,
        window.turns[-1].turn_id,
        MORNING,
        turns=window.turns,
    )
    assert await database.summaries.keep_section(CHANNEL, section)
    await database.search.index_all()
    yield database


def everything(found: Mapping[str, Sequence[int]]) -> list[int]:
    return [turn for turns in found.values() for turn in turns]


async def read_all(database: Database) -> str:
    """All that anybody is told, in one text."""
    history = database.history
    window = await history.window(CHANNEL, 500)
    newest = await Talk(history).mention("what was that", author=BEN)
    marks = [mark(SECRET)]
    state = await database.summaries.folding_state(CHANNEL)
    found: list[object] = [
        window,
        await history.window(CHANNEL, 500, conversation_id=window.conversation_id),
        await history.pending(CHANNEL),
        await history.waiting(CHANNEL, [], since=MORNING),
        await history.overview([CHANNEL], []),
        await history.last_reply(CHANNEL),
        await history.export(CHANNEL),
        await history.list_conversations(CHANNEL),
        await history.derived(CHANNEL),
        await database.facts.facts(CHANNEL),
        await database.search.search(newest.turn_id, marks, everything),
        await database.summaries.sections(window.conversation_id),
        await database.summaries.turns_between(window.conversation_id, 0, 10_000, 100),
        await database.scenes.running(CHANNEL),
        await database.scenes.at(CHANNEL, MORNING),
        state,
    ]
    await history.delete_turn(newest.turn_id)
    return repr(found)


async def test_nothing_that_is_read_holds_a_word_of_theirs(talked: Database) -> None:
    assert SECRET in await read_all(talked)
    assert await talked.opt_outs.opt_out("discord", "ann") == [CHANNEL]
    told = await read_all(talked)
    assert SECRET not in told
    assert "'ann'" not in told
    assert "Really?" in told
    assert "Bruna" in told, "the others play on"


async def test_what_was_being_kept_while_they_opted_out_is_not_answered_later(
    database: Database, talk: Talk
) -> None:
    await talk.ask("Now?")

    def opt_out_beside(connection: Connection) -> None:
        """As another program does that cannot see yet what this one is keeping."""
        values = {"platform": "discord", "speaker_id": "ann", "since": MORNING}
        connection.execute(insert(OptOutRow).values(values))

    await database.history.transactions.write(opt_out_beside)
    assert await database.history.pending(CHANNEL) == []
    await database.opt_outs.opt_in("discord", "ann")
    assert await database.history.pending(CHANNEL) == []
    assert await talk.texts() == ["Now?"]


async def test_all_comes_back_when_they_opt_in(talked: Database) -> None:
    before = await talked.history.window(CHANNEL, 10)
    facts = await talked.facts.facts(CHANNEL)
    await talked.opt_outs.opt_out("discord", "ann")
    assert await talked.opt_outs.opt_in("discord", "ann") == [CHANNEL]
    assert await talked.history.window(CHANNEL, 10) == before
    assert await talked.facts.facts(CHANNEL) == facts
    assert await talked.opt_outs.opt_in("discord", "ann") is None


async def test_a_summary_is_made_anew_both_times(talked: Database) -> None:
    """Of their turns, and of those around which theirs come back."""
    conversation = (await talked.history.window(CHANNEL, 1)).conversation_id
    await talked.opt_outs.opt_out("discord", "ann")
    [section] = await talked.summaries.sections(conversation)
    assert (section.is_stale, section.text) == (True, "")
    turns = (await talked.history.window(CHANNEL, 10)).turns
    anew = NewSection(
        conversation,
        "Ben asked.",
        0,
        section.first_turn,
        section.last_turn,
        MORNING,
        turns=turns,
        replaces=(section.section_id,),
    )
    assert await talked.summaries.keep_section(CHANNEL, anew)
    await talked.opt_outs.opt_in("discord", "ann")
    [section] = await talked.summaries.sections(conversation)
    assert (section.is_stale, section.text) == (True, "")


async def test_a_summary_that_is_being_made_of_their_turns_is_not_kept(talked: Database) -> None:
    window = await talked.history.window(CHANNEL, 10)
    await talked.summaries.clear(window.conversation_id)
    await talked.opt_outs.opt_out("discord", "ann")
    first, last = window.turns[0].turn_id, window.turns[-1].turn_id
    read_before = NewSection(
        window.conversation_id, SECRET, 0, first, last, MORNING, turns=window.turns
    )
    assert not await talked.summaries.keep_section(CHANNEL, read_before)


async def test_a_summary_by_hand_that_may_tell_of_them_goes(talked: Database) -> None:
    window = await talked.history.window(CHANNEL, 1)
    conversation, newest = window.conversation_id, window.turns[-1].turn_id
    by_hand = talked.summaries.write_by_hand
    assert await by_hand(CHANNEL, conversation, SECRET, up_to=newest, at=MORNING)
    await talked.opt_outs.opt_out("discord", "ann")
    assert await talked.summaries.sections(conversation) == []


async def test_nothing_they_say_is_kept(talked: Database) -> None:
    history = talked.history
    await talked.opt_outs.opt_out("discord", "ann")
    assert await history.add_message(said("new", message_id="500900"), addressed=True) is None
    assert (await history.last_seen("discord"))[CHANNEL] == "500900", "so it is not fetched again"
    assert await history.turn_of_message(CHANNEL, "500900") is None
    with pytest.raises(NotFound):
        await history.renew_message(said("edited in", message_id="500901"))
    bens = await Talk(history).ask("mine", author=BEN, message_id="500902")
    assert await history.replace_message(said("by proxy", message_id="500903"), "500902") is None
    assert (await history.turn(bens.turn_id)).text == "mine"


async def test_what_others_quote_of_them_is_not_kept(talked: Database) -> None:
    await talked.opt_outs.opt_out("discord", "ann")
    quoted = QuotedMessage("500800", ANN, SECRET)
    turn = await Talk(talked.history).ask("what?", author=BEN, reply_to=quoted, message_id="500904")
    assert turn.reply_to is None
    await talked.opt_outs.opt_in("discord", "ann")
    assert (await talked.history.turn(turn.turn_id)).reply_to is None


async def test_an_edit_by_them_changes_nothing_that_is_kept(talked: Database) -> None:
    """Neither their old message, nor quotes of it, nor what was pinned of it."""
    await talked.opt_outs.opt_out("discord", "ann")
    assert not await talked.history.edit_message(CHANNEL, "500800", "something new")
    await talked.opt_outs.opt_in("discord", "ann")
    assert "something new" not in await read_all(talked)


async def test_a_message_that_they_delete_is_deleted_all_the_same(talked: Database) -> None:
    await talked.opt_outs.opt_out("discord", "ann")
    assert await talked.history.delete_messages(CHANNEL, ["500800"]) == 1
    await talked.opt_outs.opt_in("discord", "ann")
    assert f"I live in {SECRET}" not in await read_all(talked)


async def test_what_waits_of_theirs_is_not_answered_not_even_later(
    database: Database, talk: Talk
) -> None:
    waits = await talk.ask("soon?")
    await database.opt_outs.opt_out("discord", "ann")
    assert await database.history.pending(CHANNEL) == []
    assert await database.history.channels_with_pending("discord", since=MORNING) == []
    with pytest.raises(NotFound):
        await database.history.begin_reply(CHANNEL, BOT, persona="Ada", answers=[waits.turn_id])
    await database.opt_outs.opt_in("discord", "ann")
    assert await database.history.pending(CHANNEL) == []


async def test_a_reply_to_several_stays(database: Database, talk: Talk) -> None:
    asked = await talk.ask("I am Ann.")
    bens = await talk.ask("I am Ben.", author=BEN)
    await talk.answer(asked, bens, text="Hello, both.")
    await database.opt_outs.opt_out("discord", "ann")
    assert await talk.texts() == ["I am Ben.", "Hello, both."]
    await database.opt_outs.opt_out("discord", "ben")
    assert await talk.texts() == []


async def test_what_another_program_writes_for_them_is_taken_out(
    database: Database, database_url: str, talk: Talk
) -> None:
    other = await Database.open(database_url)
    try:
        asked = await talk.ask("well?")
        begun = await other.history.begin_reply(
            CHANNEL, BOT, persona="Ada", answers=[asked.turn_id]
        )
        await database.opt_outs.opt_out("discord", "ann")
        assert await database.opt_outs.withdraw("discord", "ann") == 1
        with pytest.raises(NotFound):
            await other.history.show_reply(begun.turn_id, "I", ["77"])
    finally:
        await other.close()


async def test_what_they_would_have_kept_is_refused_with_the_way_back(talked: Database) -> None:
    await talked.opt_outs.opt_out("discord", "ann")
    running = await talked.scenes.running(CHANNEL)
    assert running is not None

    def play(scene: Scene) -> Scene:
        return replace(scene, characters={**scene.characters, "ann": Character("Kael")})

    for refused in (
        talked.facts.add_fact(CHANNEL, "I am tall", by="ann"),
        talked.scenes.change(running.scene_id, play),
        talked.scenes.start(replace(SCENE, channel=OTHER_CHANNEL, started_by="ann")),
        talked.personas.add("1", EVE, Limits(), "ann"),
    ):
        with pytest.raises(NotAllowed, match="/privacy optin"):
            await refused
    source = FactSource("555", "ann")
    with pytest.raises(NotAllowed, match="has opted out"):
        await talked.facts.add_fact(CHANNEL, "Ann said so", by="ben", source=source)


async def test_a_scene_that_changes_meanwhile_keeps_whom_they_play(talked: Database) -> None:
    await talked.opt_outs.opt_out("discord", "ann")
    running = await talked.scenes.running(CHANNEL)
    assert running is not None
    assert set(running.characters) == {"ben"}

    def rename(scene: Scene) -> Scene:
        return replace(scene, characters={"ben": Character("Bo")}, note="Rain.")

    await talked.scenes.change(running.scene_id, rename)
    await talked.opt_outs.opt_in("discord", "ann")
    back = await talked.scenes.running(CHANNEL)
    assert back is not None
    assert {each: one.name for each, one in back.characters.items()} == {"ann": "Kael", "ben": "Bo"}


async def test_a_copy_of_the_conversation_is_without_them(talked: Database) -> None:
    window = await talked.history.window(CHANNEL, 10)
    await talked.opt_outs.opt_out("discord", "ann")
    with pytest.raises(NotAllowed):
        await talked.scenes.fork(window.turns[0].turn_id, OTHER_CHANNEL, "ben")
    fork = await talked.scenes.fork(window.turns[-1].turn_id, OTHER_CHANNEL, "ben")
    assert fork.turns == 2
    await talked.opt_outs.opt_in("discord", "ann")
    copies = await talked.history.export(OTHER_CHANNEL)
    assert SECRET not in repr(copies)


async def test_what_they_wrote_for_a_scene_is_not_seen_in_it_or_its_copies(
    database: Database, talk: Talk
) -> None:
    scenes = database.scenes
    words = replace(SCENE, started_by="ann", scenario=f"In {SECRET}.", note=SECRET)
    hers = await scenes.start(replace(words, title=SECRET, characters={}))
    asked = await talk.ask("Where are we?", author=BEN)
    await scenes.fork(asked.turn_id, OTHER_CHANNEL, "ben")
    await database.opt_outs.opt_out("discord", "ann")
    for channel in (CHANNEL, OTHER_CHANNEL):
        assert SECRET not in repr(await scenes.running(channel))
    await scenes.change(hers.scene_id, lambda scene: replace(scene, is_paused=True))
    await database.opt_outs.opt_in("discord", "ann")
    assert await scenes.running(CHANNEL) == replace(hers, is_paused=True), "nothing was lost"
    copy = await scenes.running(OTHER_CHANNEL)
    assert copy is not None
    assert copy.scenario == f"In {SECRET}."


async def test_a_scene_that_somebody_else_copied_is_not_theirs(
    database: Database, talk: Talk
) -> None:
    """Ann goes on with Ben's scene in a thread of hers: Ben's stays as it is, whatever she does."""
    await database.scenes.start(replace(SCENE, scenario="On the pier."))
    asked = await talk.ask("Where are we?", author=BEN)
    await database.scenes.fork(asked.turn_id, OTHER_CHANNEL, "ann")
    await database.opt_outs.opt_out("discord", "ann")
    for _ in ("left out", "erased"):
        bens = await database.scenes.running(CHANNEL)
        assert bens is not None
        assert (bens.title, bens.scenario) == ("The pier", "On the pier.")
        await forget(database.history, "ann")


async def test_another_platform_has_people_of_its_own(database: Database) -> None:
    await database.opt_outs.opt_out("discord", "ann")
    assert await database.opt_outs.since("workbench", "ann") is None
    assert await database.opt_outs.since("discord", "ann") is not None
    assert await database.opt_outs.among("discord", ["ann", "ben"]) == {"ann"}
    assert await database.opt_outs.opt_out("discord", "ann") is None


async def test_the_owners_export_tells_of_it_and_still_has_everything(
    talked: Database, database_url: str
) -> None:
    await talked.opt_outs.opt_out("discord", "ann")
    stream = io.StringIO()
    await export_json(database_url, stream)
    document = json.loads(stream.getvalue())
    assert [each["speaker_id"] for each in document["opt_outs"]] == ["ann"]
    [conversation] = document["channels"][0]["conversations"]
    assert conversation["turns"][2]["reply_to"]["text"] == f"I live in {SECRET}."
    assert set(document["scenes"][0]["characters"]) == {"ann", "ben"}
