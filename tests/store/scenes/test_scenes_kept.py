"""Scenes in the database: one at a time in a channel, changed whole, copied, taken out."""

import io
import json
from dataclasses import replace
from datetime import timedelta

import pytest
from store_samples import ANN, BEN, CHANNEL, MORNING, OTHER_CHANNEL, Talk, forget, record

from bot.chat.messages import ChannelKey, Turn, TurnState
from bot.chat.roleplay.scenes.scene import Character, Mode, Scene
from bot.errors import NotAllowed, NotFound
from bot.store.database import Database
from bot.store.export import export_json
from bot.store.history import SqlHistory
from bot.store.turns.access import now

SCENE = Scene(
    channel=CHANNEL,
    title="The lighthouse",
    cast=("file:ada", "guild:1"),
    started_by="ann",
    started_at=MORNING,
    scenario="A storm comes up.",
    mode=Mode.ROUND,
    characters={"ann": Character("Kael", "A smith."), "ben": Character("Bruna")},
    note="Keep it short.",
    note_depth=2,
)


async def test_a_scene_is_kept_as_it_is_and_ends(database: Database) -> None:
    scenes = database.scenes
    assert await scenes.running(CHANNEL) is None
    kept = await scenes.start(SCENE)
    assert kept == replace(SCENE, scene_id=kept.scene_id)
    assert kept.scene_id
    assert await scenes.running(CHANNEL) == kept
    assert await scenes.running(OTHER_CHANNEL) is None
    with pytest.raises(NotAllowed, match="End that one"):
        await scenes.start(SCENE)
    ended = await scenes.end(kept.scene_id)
    assert ended.has_ended
    assert await scenes.running(CHANNEL) is None
    for gone in (scenes.end(kept.scene_id), scenes.change(kept.scene_id, lambda scene: scene)):
        with pytest.raises(NotFound):
            await gone
    again = await scenes.start(replace(SCENE, started_at=now()))
    assert again.scene_id > kept.scene_id


async def test_the_scene_of_a_moment_is_found_also_after_its_end(database: Database) -> None:
    scenes = database.scenes
    kept = await scenes.start(SCENE)
    during = now()
    ended = await scenes.end(kept.scene_id)
    assert ended.ended_at is not None
    assert await scenes.at(CHANNEL, during) == ended
    assert await scenes.at(CHANNEL, MORNING) == ended
    assert await scenes.at(CHANNEL, MORNING - timedelta(seconds=1)) is None
    assert await scenes.at(CHANNEL, ended.ended_at) is None
    assert await scenes.at(OTHER_CHANNEL, during) is None


async def test_a_change_is_made_whole_or_not_at_all(database: Database) -> None:
    scenes = database.scenes
    kept = await scenes.start(SCENE)

    def refuse(scene: Scene) -> Scene:
        raise NotAllowed("No.")

    with pytest.raises(NotAllowed):
        await scenes.change(kept.scene_id, refuse)
    assert await scenes.running(CHANNEL) == kept
    changed = replace(
        kept,
        cast=("guild:1", "file:bram", "file:ada"),
        characters={"ben": Character("Bruna", "Tall.")},
        mode=Mode.NAMED,
        note="",
        is_paused=True,
        scenario="Calm.",
    )
    assert await scenes.change(kept.scene_id, lambda _: changed) == changed
    assert await scenes.running(CHANNEL) == changed


async def test_a_person_who_is_forgotten_leaves_no_character(database: Database) -> None:
    kept = await database.scenes.start(SCENE)
    page = ChannelKey("workbench", "1", is_direct=True)
    elsewhere = await database.scenes.start(replace(SCENE, channel=page))
    await forget(database.history, "ann")
    left = replace(kept, started_by="", characters={"ben": Character("Bruna")})
    left = replace(left, title="Scene", scenario="", note="")  # Ann had written these
    assert await database.scenes.running(CHANNEL) == left
    assert await database.scenes.running(page) == elsewhere


async def test_a_guild_that_goes_takes_its_scenes_along(database: Database) -> None:
    await database.scenes.start(SCENE)
    other = await database.scenes.start(
        replace(SCENE, channel=ChannelKey("discord", "300", guild_id="2"))
    )
    await database.personas.remove_guild("1")
    assert await database.scenes.running(CHANNEL) is None
    assert await database.scenes.running(other.channel) == other


async def test_scenes_are_exported(database: Database, database_url: str) -> None:
    kept = await database.scenes.start(SCENE)
    await database.scenes.end(kept.scene_id)
    stream = io.StringIO()
    await export_json(database_url, stream)
    [scene] = json.loads(stream.getvalue())["scenes"]
    assert scene["channel"]["channel_id"] == "100"
    assert (scene["mode"], scene["cast"]) == ("round", ["file:ada", "guild:1"])
    assert scene["characters"]["ann"] == {"name": "Kael", "description": "A smith."}
    assert scene["ended_at"]


async def test_a_fork_has_its_own_turns_swipes_and_scene(
    database: Database, history: SqlHistory, talk: Talk
) -> None:
    scene = await database.scenes.start(SCENE)
    question = await talk.ask("Who goes there?", author=ANN)
    reply = await talk.answer(question, text="Nobody.")
    await history.begin_swipe(reply.turn_id)
    await history.show_reply(reply.turn_id, "Somebody.", ["10"])
    await history.finish_reply(reply.turn_id, TurnState.WHOLE, record(seed=8))
    later = await talk.ask("And then?", author=BEN)
    hidden = await talk.answer(later, text="Not this.")
    original = await history.export(CHANNEL)

    fork = await database.scenes.fork(reply.turn_id, OTHER_CHANNEL, "ben")
    copies = await history.export(OTHER_CHANNEL)
    assert fork.turns == 2
    assert fork.last == copies[-1]
    assert [turn.text for turn in copies] == ["Who goes there?", "Somebody."]
    assert [swipe.text for swipe in copies[1].swipes] == ["Nobody.", "Somebody."]
    assert copies[0].answered_by == copies[1].turn_id
    assert copies[1].asked_by == {"ann"}
    assert not copies[0].message_ids
    assert await history.pending(OTHER_CHANNEL) == []
    assert await database.scenes.running(OTHER_CHANNEL) == replace(
        scene,
        channel=OTHER_CHANNEL,
        started_by="ben",
        scene_id=scene.scene_id + 1,
    )
    kept = await history.generation(copies[1].turn_id, 1)
    assert kept is not None
    assert kept.statistics.seed == 8

    await history.edit_turn(copies[0].turn_id, "Edited.")
    await history.select_swipe(copies[1].turn_id, 0)
    await Talk(history, OTHER_CHANNEL).ask("Only here.")
    assert await history.export(CHANNEL) == original
    await history.edit_turn(question.turn_id, "Edited there.")
    await history.delete_turn(hidden.turn_id)
    await history.delete_turn(reply.turn_id)
    texts = [turn.text for turn in await history.export(OTHER_CHANNEL)]
    assert texts == ["Edited.", "Nobody.", "Only here."]


async def test_a_fork_is_of_the_scene_however_the_platforms_clock_goes(
    database: Database, history: SqlHistory, talk: Talk
) -> None:
    before = await talk.ask("Before it")
    await talk.answer(before)
    scene = await database.scenes.start(replace(SCENE, started_at=now()))
    await history.reset(CHANNEL)
    during = await talk.ask("Who goes there?")  # said in the morning, by that clock
    assert during.created_at < scene.started_at

    async def scene_of(turn: Turn, number: int) -> str:
        fork = await database.scenes.fork(turn.turn_id, ChannelKey("discord", f"9{number}"), "ben")
        return fork.scene.title if fork.scene is not None else ""

    assert await scene_of(during, 1) == scene.title
    reply = await talk.answer(during)
    assert await scene_of(reply, 2) == scene.title
    assert await scene_of(before, 3) == ""
    await database.scenes.end(scene.scene_id)
    await history.reset(CHANNEL)
    after = await talk.ask("After it")
    assert [await scene_of(turn, 4 + at) for at, turn in enumerate((before, during, after))] == [
        "", scene.title, "",
    ]  # fmt: skip


async def test_a_fork_from_what_was_taken_back_is_refused(
    database: Database, history: SqlHistory, talk: Talk
) -> None:
    await talk.answer(await talk.ask("one"))
    second = await talk.ask("two")
    reply = await talk.answer(second)
    await history.hide_last_exchange(CHANNEL)
    for turn in (second, reply):
        with pytest.raises(NotFound, match="taken back"):
            await database.scenes.fork(turn.turn_id, OTHER_CHANNEL, "ann")
    assert await history.export(OTHER_CHANNEL) == []


async def test_a_fork_leaves_out_what_is_hidden_or_still_written(
    database: Database, history: SqlHistory, talk: Talk
) -> None:
    first = await talk.ask("one")
    await talk.answer(first, text="taken back")
    await history.hide_last_exchange(CHANNEL)
    second = await talk.ask("two")
    reply = await talk.answer(second, text="whole")
    await history.begin_swipe(reply.turn_id)
    await history.show_reply(reply.turn_id, "half a sw", ["10"])
    fork = await database.scenes.fork(reply.turn_id, OTHER_CHANNEL, "ann")
    assert (fork.turns, fork.scene) == (2, None)
    assert (fork.last.text, fork.last.state) == ("whole", TurnState.WHOLE)
    with pytest.raises(NotFound):
        await database.scenes.fork(first.turn_id, OTHER_CHANNEL, "ann")
    assert [turn.text for turn in await history.export(OTHER_CHANNEL)] == ["two", "whole"]


async def test_a_fork_of_more_turns_than_fit_a_statement(
    database: Database, history: SqlHistory, talk: Talk
) -> None:
    for number in range(505):
        last = await talk.mention(f"{number}")
    fork = await database.scenes.fork(last.turn_id, CHANNEL, "ann")
    copies = await history.export(CHANNEL)
    assert fork.turns == 505
    assert [turn.text for turn in copies] == [f"{number}" for number in range(505)]
    assert copies[0].turn_id > last.turn_id
