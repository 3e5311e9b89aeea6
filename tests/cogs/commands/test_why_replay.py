"""«Why this reply?» for moderators: where a reply came from, and the same written once more."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import simcord
from worlds import World, held, labels, let, talking

from bot.chat.messages import Speaker
from bot.chat.moderation.replay import MOST_REPLAYS
from bot.chat.talk.directing import Director
from bot.engine.api import GenerationRequest
from bot.engine.fake import FakeEngine
from cogs.platform import bare_key


def by_seed(request: GenerationRequest) -> str:
    """What an engine writes that keeps to its seed."""
    return f"A number comes to mind, all of it by chance alone: {request.sampling.seed}."


async def why(world: World, actor: simcord.MemberActor) -> simcord.ResponseMessage:
    told = await actor.context_menu(world.channel, "Why this reply?", world.messages()[-1])
    assert told.response is not None
    assert told.ephemeral
    return told.response


async def replayed(world: World) -> tuple[str, dict[str, str], simcord.ResponseMessage]:
    """The text that came, and what is said of it."""
    shown = await why(world, world.mod)
    result = await world.mod.click(shown.message, label="Replay")
    response = result.response
    assert response is not None
    assert response.ephemeral
    [embed] = response.embeds
    said = {str(field.name): str(field.value) for field in embed.fields}
    return embed.description or "", said, response


async def test_moderators_are_told_where_a_reply_came_from(tmp_path: Path) -> None:
    async with talking(tmp_path, by_seed) as world:
        await world.keeper.slash(world.channel, "settings set", key="top_k", value="7")
        await world.ask("one")
        [seed] = [request.sampling.seed for request in world.engine.requests]
        fields = {f.name: str(f.value) for f in (await why(world, world.mod)).embeds[0].fields}
        assert fields["Asked by"] == world.alice.mention
        assert f"seed {seed}" in fields["Written"]
        assert "<t:" in fields["Written"]
        assert "as of change 1" in fields["Written"]
        assert {"Persona", "Model", "Chosen with"} <= set(fields)


async def test_others_are_told_what_they_were_and_are_offered_no_replay(tmp_path: Path) -> None:
    async with talking(tmp_path, by_seed) as world:
        await world.ask("one")
        shown = await why(world, world.alice)
        fields = {field.name for field in shown.embeds[0].fields}
        assert "Asked by" in fields
        assert "Written" not in fields
        assert labels(shown.message) == ["Delete this reply"]
        shown = await why(world, world.bob)
        assert not {"Asked by", "Written"} & {field.name for field in shown.embeds[0].fields}
        assert labels(shown.message) == []


async def test_a_replay_asks_for_the_same_gets_the_same_and_is_kept_nowhere(tmp_path: Path) -> None:
    async with talking(tmp_path, by_seed) as world:
        await world.ask("one")
        before = await world.turns()
        text, said, _ = await replayed(world)
        assert text == before[1].text
        assert said == {"Is it the same?": "The same text came again."}
        first, again = world.engine.requests
        assert again == replace(first, channel=again.channel, user=f"discord:{world.mod.id}")
        assert again.channel != first.channel
        assert await world.turns() == before
        assert world.said() == [before[1].text]


async def test_the_swipe_that_is_shown_is_replayed(tmp_path: Path) -> None:
    async with talking(tmp_path, by_seed) as world:
        await world.ask("one")
        await world.alice.click(world.messages()[0], label="Regenerate")
        await world.alice.click(world.messages()[0], label="◀")
        text, said, _ = await replayed(world)
        assert text == world.said()[0]
        assert "same text" in said["Is it the same?"]


async def test_a_replay_says_what_is_no_longer_as_it_was(tmp_path: Path) -> None:
    async with talking(tmp_path, lambda request: f"Said of {len(request.prompt)} signs.") as world:
        question = await world.ask("one")
        await world.alice.edit(question, f"{world.me} one, or perhaps two or three")
        world.engine._info = replace(world.engine.info, name="another-model")
        text, said, _ = await replayed(world)
        assert text != world.said()[0]
        assert said["Is it the same?"] == "Another text came."
        lines = said["No longer as it was"]
        assert "and is another-model" in lines
        assert "The prompt is another one" in lines


async def test_an_engine_that_keeps_to_no_seed_is_told_of(tmp_path: Path) -> None:
    async with talking(tmp_path, ["First.", "Second."]) as world:
        await world.ask("one")
        text, said, _ = await replayed(world)
        assert text == "Second."
        assert "does not repeat itself exactly" in said["Is it the same?"]


async def test_a_reply_that_was_stopped_or_continued_begins_the_same(tmp_path: Path) -> None:
    whole = "It was a long way down to the harbour, and nobody spoke until they had come there."
    engine, gate = held(whole, letters=60)
    async with talking(tmp_path, engine=engine) as world:
        let(gate, 1)
        await world.ask("one")
        await world.pass_time(1)
        await world.alice.click(world.messages()[0], label="Stop")
        let(gate)
        text, said, _ = await replayed(world)
        assert text == whole
        assert said["Is it the same?"].endswith("ends before: it was cut.")


async def test_a_scenes_replay_gets_the_prompt_with_the_scene_in_it(tmp_path: Path) -> None:
    async with talking(tmp_path, by_seed) as world:
        bot = world.bot
        key = bare_key(world.channel.id, world.guild.id)
        ada = await bot.conversations.personas.find(key.guild_id, "Ada")
        assert ada is not None
        assert bot.conversations.scenes is not None
        director = Director(bot.conversations, bot.conversations.scenes)
        await director.start(
            key, "The pier", [ada], Speaker(str(world.alice.id), "Alice"), scenario="A grey storm."
        )
        await world.alice.send(world.channel, "What do you see?")
        _, said, _ = await replayed(world)
        first, again = world.engine.requests
        assert "A grey storm." in first.prompt
        assert again.prompt == first.prompt
        assert "same text" in said["Is it the same?"]


async def test_what_came_neither_pings_nor_hides_links_and_is_whole_in_a_file(
    tmp_path: Path,
) -> None:
    steps = " ".join(f"Step {number} leads to {number * 7919 % 1009}." for number in range(200))
    text = f"[free](https://bad.example) <@1> @everyone **and** {steps}"
    async with talking(tmp_path, [text.strip()]) as world:
        most = {"key": "max_reply_tokens", "value": "2048"}
        await world.keeper.slash(world.channel, "settings set", **most)
        await world.ask("one")
        shown, _, response = await replayed(world)
        assert "[free](" not in shown.replace("\\[free](", "")
        assert "@everyone" not in shown
        [file] = response.attachments
        assert (await file.read()).decode() == text.strip()


async def test_a_greeting_cannot_be_replayed(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        workshop = world.bot.desk.workshop
        values = {"name": "Nova", "greeting": "Good evening."}
        await workshop.create(str(world.guild.id), values, "1")
        await world.chief.slash(world.channel, "persona use", name="Nova")
        assert "Replay" not in labels((await why(world, world.mod)).message)


async def test_shutting_down_breaks_a_replay_off(tmp_path: Path) -> None:
    engine, gate = held("First.", "Second.", letters=100)
    async with talking(tmp_path, engine=engine) as world:
        let(gate, 1)
        await world.ask("one")
        shown = await why(world, world.mod)
        result = await world.mod.click(shown.message, label="Replay")
        assert len(engine.requests) == 2
        with world.env._bot_scope():
            async with asyncio.timeout(5):
                await world.bot.replays.close()
        await world.env.settle()
        assert "not ready" in " ".join(_told(result))
        again = await world.mod.click(shown.message, label="Replay")
        assert "not ready" in " ".join(_told(again))
        assert len(engine.requests) == 2


def _told(result: Any) -> list[str]:
    said = [*result.followups, *([result.response] if result.response else [])]
    return [one.content for one in said if one.ephemeral]


async def test_only_so_many_are_replayed_at_a_time(tmp_path: Path) -> None:
    engine = FakeEngine(by_seed, gate=(gate := asyncio.Semaphore(0)))
    async with talking(tmp_path, engine=engine) as world:
        let(gate, 100)
        await world.ask("one")
        while not gate.locked():
            await gate.acquire()
        places = [await why(world, world.mod) for _ in range(MOST_REPLAYS + 1)]
        results = [await world.mod.click(each.message, label="Replay") for each in places]
        assert len(engine.requests) == 1 + MOST_REPLAYS
        assert "Others are being replayed" in " ".join(_told(results[-1]))
        let(gate)
        await world.env.settle()


async def test_what_a_server_does_not_want_by_now_is_no_fault_of_the_engine(tmp_path: Path) -> None:
    said = "A lovely banana, see [this](https://a.example/x)."
    async with talking(tmp_path, [said, said]) as world:
        await world.ask("one")
        await world.chief.slash(world.channel, "moderation words", action="add", pattern="banana")
        await world.chief.slash(world.channel, "settings set", key="links", value="plain")
        text, verdict, _ = await replayed(world)
        assert "banana" not in text
        assert "[this](" not in text
        assert verdict["Is it the same?"] == "The same text came again."
        assert "are not shown like that any more" in verdict["No longer as it was"]
