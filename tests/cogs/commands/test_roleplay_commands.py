"""`/roleplay` and «Fork from here» in Discord: threads, rights, files."""

import json
from pathlib import Path

import discord
import simcord
from simcord import actors
from simcord.backend import serializers
from simcord.enums import AppCommandType, InteractionType
from worlds import World, labels, talking

from bot.chat.messages import ChannelKey

ADA = 'name = "Ada"\ndescription = "{{char}} counts."\ngreeting = "Welcome, {{user}}."\n'


def thread_of(world: World, name: str) -> simcord.ChannelHandle:
    """The thread of a scene, or of a fork."""
    [thread] = [each for each in world.channel.threads if each.name == name]
    return thread


def answer(result: simcord.InteractionResult) -> str:
    shown = result.response or result.followups[-1]
    return shown.content


async def fork_in_private(world: World, message: discord.Message) -> None:
    """«Fork from here» in a direct message, for which simcord has no word of its own."""
    alice, dm = world.alice.user, world.alice.user.dm_channel
    kind = AppCommandType.MESSAGE
    root = actors._resolve_visible_command(alice, dm.id, "Fork from here", kind)
    stored = world.env.backend.messages[dm.id][message.id]
    shown = serializers.message_payload(world.env.backend, stored)
    data = {"id": root["id"], "name": root["name"], "type": kind, "target_id": str(message.id)}
    data["resolved"] = {"messages": {str(message.id): dict(shown)}}
    call = InteractionType.APPLICATION_COMMAND
    await actors._dispatch_actor_interaction(alice, call, dm, data)


async def start(world: World, **options: object) -> simcord.ChannelHandle:
    """Alice starts a scene with Ada, who greets."""
    card = world.personas_folder / "ada.toml"
    card.write_text(ADA, "utf-8")
    await world.bot.desk.library.refresh()
    given = {"title": "The light", "persona": "Ada", **options}
    await world.alice.slash(world.channel, "roleplay start", **given)
    return thread_of(world, "The light")


async def test_a_scene_from_its_start_to_its_end(tmp_path: Path) -> None:
    async with talking(tmp_path, lambda request: "It glows.") as world:
        thread = await start(world, scenario="A *storm*.", persona="Ada, Bram")
        assert f"A scene begins in <#{thread.id}>." in world.said()
        first, greeting = world.messages(thread)[:2]
        assert first.content.startswith("## The light\n> A \\*storm\\*.\nWith **Ada**, **Bram**.")
        assert (greeting.content, greeting.author.name) == ("Welcome, Alice.", "Ada")

        assert not (
            await world.bob.slash(thread, "roleplay me", name="Kael", description="A smith.")
        ).ephemeral
        await world.bob.send(thread, "Ada, is the lamp lit?")
        assert world.messages(thread)[-1].content.endswith("It glows.")
        assert "Kael: Ada, is the lamp lit?" in world.engine.requests[-1].prompt
        await world.bob.send(thread, "((back in a minute))")
        assert len(world.engine.requests) == 1

        listed = await world.bob.slash(thread, "roleplay cast", action="list")
        assert listed.ephemeral
        assert "**Kael**: A smith." in answer(listed)
        await world.alice.slash(thread, "roleplay cast", action="remove", persona="Bram")
        await world.alice.slash(thread, "roleplay turns", mode="named")
        await world.alice.slash(thread, "roleplay note", text="Be brief.", depth=0)
        await world.bob.send(thread, "Anybody?")
        assert len(world.engine.requests) == 1
        said = await world.alice.slash(thread, "roleplay say", persona="ada")
        assert said.ephemeral
        assert len(world.engine.requests) == 2
        assert "Be brief." in world.engine.requests[-1].prompt

        await world.alice.slash(thread, "roleplay pause")
        await world.bob.send(thread, "Ada?")
        assert len(world.engine.requests) == 2
        await world.alice.slash(thread, "roleplay resume")
        await world.bob.slash(thread, "roleplay recap")
        recap = next(each for each in world.messages(thread) if "has happened" in each.content)
        assert recap.content == "**The light: what has happened so far**\nIt glows."
        assert recap.pinned

        forked = await world.bob.context_menu(thread, "Fork from here", greeting)
        assert "after 1 turn." in answer(forked)
        fork = thread_of(world, f"Fork of {world.channel.name}")
        listed = await world.bob.slash(fork, "roleplay cast", action="list")
        assert "**Kael**" in answer(listed)
        await world.bob.slash(fork, "roleplay end")  # it is his

        ended = await world.alice.slash(thread, "roleplay end")
        assert not ended.ephemeral
        assert "**The light** ends after" in answer(ended)
        assert ended.response is not None
        assert not ended.response.attachments
        private = ended.followups[-1]
        assert private.flags.ephemeral
        markdown, document = [await file.read() for file in private.attachments]
        assert "**Kael:** Ada, is the lamp lit?" in markdown.decode()
        assert json.loads(document)["cast"] == [{"id": "file:ada", "name": "Ada"}]
        assert world.requests("PATCH", f"/channels/{thread.id}")[-1].json == {"archived": True}


async def test_a_scene_belongs_to_who_started_it_and_to_moderators(tmp_path: Path) -> None:
    async with talking(tmp_path, check_errors=False) as world:
        thread = await start(world)
        for command, options in (
            ("cast", {"action": "add", "persona": "Bram"}),
            ("say", {"persona": "Ada"}),
            ("turns", {"mode": "round"}),
            ("note", {"text": "Bob was here."}),
            ("pause", {}),
            ("resume", {}),
            ("end", {}),
        ):
            refused = await world.bob.slash(thread, f"roleplay {command}", **options)
            assert "Only who started this scene" in answer(refused), command
        assert not world.engine.requests
        await world.mod.slash(thread, "roleplay cast", action="add", persona="Bram")
        twice = await world.mod.slash(thread, "roleplay cast", action="add", persona="Bram")
        assert "Bram plays in this scene already" in answer(twice)
        choices = await world.mod.autocomplete(thread, "roleplay say", "persona", "b")
        assert [choice["name"] for choice in choices] == ["Bram"]
        unnamed = await world.bob.slash(thread, "roleplay me", description="A smith.")
        assert "You play nobody" in answer(unnamed)
        await world.bob.slash(thread, "roleplay me", name="Kael")
        await world.bob.slash(thread, "roleplay me", description="A smith.")
        listed = await world.bob.slash(thread, "roleplay cast", action="list")
        assert "**Kael**: A smith." in answer(listed)
        nobody = await world.bob.slash(thread, "roleplay me", name="ada")
        assert "called ada already" in answer(nobody)
        here = await world.alice.slash(world.channel, "roleplay pause")
        assert "Start one with `/roleplay start`" in answer(here)
        unknown = await world.mod.slash(thread, "roleplay say", persona="Caduceus")
        assert "`/roleplay cast add`" in answer(unknown)


async def test_where_no_thread_can_be_opened_it_is_played_right_there(tmp_path: Path) -> None:
    async with talking(tmp_path, check_errors=False) as world:
        everyone = world.guild.default_role
        closed = discord.PermissionOverwrite(create_public_threads=False)
        channel = world.guild.create_text_channel("plain", overwrites={everyone: closed})
        options = {"title": "Here", "persona": "Bram"}
        refused = await world.alice.slash(channel, "roleplay start", **options)
        assert "Create Public Threads" in answer(refused)
        assert "moderator" in answer(refused)
        await world.alice.send(channel, "Hello?")
        assert not world.engine.requests
        await world.mod.slash(channel, "roleplay start", **options)
        assert "right here" in world.said(channel)[-1]
        await world.alice.send(channel, "Hello?")
        assert len(world.engine.requests) == 1


async def test_a_scene_in_a_direct_message(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        alice = world.alice.user
        await alice.slash("roleplay start", title="Two", persona="Bram")
        key = ChannelKey("discord", str(alice.dm_channel.id), is_direct=True)
        history = world.database.history
        assert key in await history.last_seen("discord"), "what is missed from now on is fetched"
        await alice.slash("roleplay turns", mode="named")
        await alice.send_dm("Anybody?")
        assert not world.engine.requests
        await alice.send_dm("Bram?")
        assert len(world.engine.requests) == 1
        question = next(m for m in alice.dm_channel.history() if m.content == "Anybody?")
        await fork_in_private(world, question)
        notice = world.messages(alice.dm_channel)[-1]
        assert "after 1 turn:" in notice.content
        assert question.jump_url in notice.content
        assert "Anybody" not in notice.content
        assert [turn.text for turn in await history.export(key)] == ["Anybody?"]
        await alice.click(notice, label="Undo")
        assert len(await history.export(key)) == 3
        ended = await alice.slash("roleplay end")
        assert "ends after 3 turns" in answer(ended)


async def test_a_fork_goes_on_by_itself_in_a_thread(tmp_path: Path) -> None:
    async with talking(tmp_path, ["First.", "Second.", "Third.", "In the fork."]) as world:
        await world.ask("one")
        reply = world.messages()[-1]
        await world.alice.click(reply, label="Regenerate")
        await world.ask("two")
        result = await world.bob.context_menu(world.channel, "Fork from here", reply)
        assert result.ephemeral
        assert "after 2 turns" in answer(result)
        thread = thread_of(world, f"Fork of {world.channel.name}")
        assert [turn.text for turn in await world.turns(thread)] == ["one", "Second."]
        opening, shown = world.messages(thread)
        assert opening.content.startswith(f"Forked from {reply.jump_url}:")
        assert shown.content == "Second."
        assert "2/2 ▶" in labels(shown)
        await world.bob.send(thread, f"{world.me} and then?")
        assert "Third." not in world.engine.requests[-1].prompt
        assert [turn.text for turn in await world.turns()][-2:] == ["two", "Third."]


async def test_a_fork_repeats_nobodys_words(tmp_path: Path) -> None:
    async with talking(tmp_path, ["First.", "Second."]) as world:
        question = await world.ask("a secret")
        stored = world.env.backend.create_thread(world.channel.id, "Alice's secret", world.alice.id)
        thread = simcord.ChannelHandle(world.env, world.guild, stored)
        await world.env.settle()
        await world.bob.context_menu(world.channel, "Fork from here", question)
        in_thread = await world.alice.send(thread, f"{world.me} another secret")
        await world.bob.context_menu(thread, "Fork from here", in_thread)
        forks = [each for each in world.channel.threads if each.id != thread.id]
        assert [each.name for each in forks] == [f"Fork of {world.channel.name}"] * 2
        for fork, source in zip(forks, (question, in_thread), strict=True):
            [opening] = world.said(fork)
            assert opening == (
                f"Forked from {source.jump_url}: what was said up to there is known here."
            )


async def test_a_reset_within_a_scene_begins_it_anew_and_says_so(tmp_path: Path) -> None:
    async with talking(tmp_path, lambda _: "It glows.") as world:
        thread = await start(world)
        await world.bob.slash(thread, "roleplay me", name="Kael")
        await world.bob.send(thread, "Ada, is the lamp lit?")
        reset = await world.alice.slash(thread, "chat reset")
        assert "The scene is played on from its beginning" in answer(reset)
        assert [turn.text for turn in await world.turns(thread)] == ["Welcome, Alice."]
        await world.bob.send(thread, "And now?")
        prompt = world.engine.requests[-1].prompt
        assert "Kael: And now?" in prompt
        assert "is the lamp lit" not in prompt
        outside = await world.alice.slash(world.channel, "chat reset")
        assert "scene" not in answer(outside)
        ended = await world.alice.slash(thread, "roleplay end")
        assert "ends after 3 turns" in answer(ended), "what was said before the reset is not in it"


async def test_a_transcript_has_nothing_of_what_was_purged(tmp_path: Path) -> None:
    async with talking(tmp_path, lambda _: "It glows.") as world:
        thread = await start(world)
        await world.bob.send(thread, "Ada, is the secret lamp lit?")
        await world.alice.send(thread, "Ada, and the stove?")
        asked = await world.chief.slash(thread, "moderation purge", member=world.bob)
        assert asked.response is not None
        await world.chief.click(asked.response, label="Purge")
        ended = await world.alice.slash(thread, "roleplay end")
        for file in ended.followups[-1].attachments:
            said = (await file.read()).decode()
            assert "secret" not in said
            assert "and the stove?" in said
