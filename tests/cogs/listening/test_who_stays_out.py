"""What others' messages hold of people who have opted out, and replies that are being written."""

from pathlib import Path

import pytest
from simcord.actors import to_discord_message
from test_pointing import thread_on
from test_proxies import Proxy
from worlds import World, held, let, new_bot, talking

from bot.engine.fake import FakeEngine


async def opts_out(world: World, who: object = None) -> None:
    await (who or world.alice).slash(world.channel, "privacy optout")  # type: ignore[attr-defined]


def prompt(world: World) -> str:
    return world.engine.requests[-1].prompt


async def test_a_forwarded_message_of_theirs_is_not_shown(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        await world.chief.slash(world.channel, "settings set", key="trigger", value="always")
        old = await world.alice.send(world.channel, "((Zanzibar))")
        bens = await world.mod.send(world.channel, "((Rome))")
        await opts_out(world)
        asked = len(world.engine.requests)
        await world.bob.forward(old, world.channel)
        assert len(world.engine.requests) == asked, "nothing is left of it"
        await world.bob.forward(bens, world.channel)
        assert "[forwarded] ((Rome))" in prompt(world)
        assert "Zanzibar" not in prompt(world)


async def test_a_thread_that_they_opened_is_without_its_title_and_first_message(
    tmp_path: Path,
) -> None:
    async with talking(tmp_path) as world:
        source = await world.alice.send(world.channel, "I live in Zanzibar")
        thread = thread_on(world, source, "Zanzibar again")
        await world.env.settle()
        await opts_out(world)
        await world.bob.send(thread, f"{world.me} where is that?")
        assert "where is that?" in prompt(world)
        assert "Zanzibar" not in prompt(world)


async def test_an_embed_with_their_picture_is_not_shown(tmp_path: Path) -> None:
    """As bots make it of somebody's message: the best of a server, moderators' logs."""
    async with talking(tmp_path) as world:
        await opts_out(world)
        pictures = "https://cdn.discordapp.com"
        guild = f"/guilds/{world.guild.id}/users/{world.alice.id}/avatars/ab.png"
        for picture in (f"/avatars/{world.alice.id}/ab.png?size=64", guild):
            author = {"name": "alice", "icon_url": pictures + picture}
            embeds = [
                {"type": "rich", "author": author, "description": "Zanzibar"},
                {"type": "rich", "description": f"by <@{world.alice.id}>: Rome"},
            ]
            source = world.env.backend.create_message(
                world.channel.id, world.bob.id, "look", embeds=embeds
            )
            await world.env.settle()
            shown = to_discord_message(world.env, source)
            await world.bob.send(world.channel, f"{world.me} what is that?", reply_to=shown)
            assert "by someone: Rome" in prompt(world)
            assert "Zanzibar" not in prompt(world)


async def test_what_they_say_through_a_proxy_is_theirs(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        await opts_out(world)
        original = await world.alice.send(world.channel, f"L: {world.me} who are you?")
        copy = await Proxy(world).says("Luna", f"{world.me} who are you?")
        await world.alice.delete(original)
        await Proxy(world).edits(copy, f"{world.me} who are you now?")
        assert world.said() == []
        assert await world.turns() == []
        await Proxy(world).says("Sol", f"{world.me} hi")
        assert world.said() == ["Hello, Alice."]


async def test_a_reply_being_written_for_them_stops(tmp_path: Path) -> None:
    engine, gate = held("one two three four five six")
    async with talking(tmp_path, engine=engine) as world:
        await world.ask("count")
        let(gate, 2)
        await world.pass_time(2)
        await opts_out(world)
        let(gate)
        await world.pass_time(3)
        [said] = world.said()
        assert said.startswith("one two")
        assert "six" not in said
        assert await world.turns() == []


async def test_a_reply_to_somebody_else_is_written_anew_without_them(tmp_path: Path) -> None:
    engine, gate = held("First.", "Second.", letters=100)
    async with talking(tmp_path, engine=engine) as world:
        await world.ask("I live in Zanzibar")
        let(gate, 1)
        await world.pass_time(3)
        await world.ask("what do you know?", world.bob)
        assert "Zanzibar" in prompt(world)
        await opts_out(world)
        let(gate)
        await world.pass_time(3)
        assert "what do you know?" in prompt(world)
        assert "Zanzibar" not in prompt(world)
        assert world.said()[-1] != ""


async def test_what_waits_of_theirs_is_dropped(tmp_path: Path) -> None:
    engine, gate = held(*["Yes."] * 3, letters=100)
    async with talking(tmp_path, engine=engine) as world:
        await world.ask("first", world.bob)
        await world.ask("I wait")
        await opts_out(world)
        let(gate)
        await world.pass_time(3)
        assert world.said() == ["Yes."]
        assert "I wait" not in prompt(world)
        await world.alice.slash(world.channel, "privacy optin")
        await world.pass_time(3)
        assert world.said() == ["Yes."]
        await world.ask("and now?")
        assert world.said() == ["Yes.", "Yes."]


async def test_it_holds_in_every_process_at_once(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        other = new_bot(world.database, world.personas_folder, FakeEngine(["No."]))
        await other.privacy.staying_out.opt_out("discord", str(world.alice.id))
        await world.ask("hello?")
        assert world.said() == []
        await world.ask("hello?", world.bob)
        assert world.said() == ["Hello, Alice."]


@pytest.mark.parametrize("by_id", [True, False])
async def test_they_are_named_to_nobody_who_mentions_them(tmp_path: Path, *, by_id: bool) -> None:
    async with talking(tmp_path) as world:
        await world.ask("it is me")
        await opts_out(world)
        mention = f"<@!{world.alice.id}>" if by_id else world.alice.mention
        await world.bob.send(world.channel, f"{world.me} do you know {mention} well?")
        assert "do you know someone well?" in prompt(world)
        assert "lice" not in prompt(world).partition("### Response:")[0].split("do you know")[-1]


async def test_what_answered_them_alone_is_quoted_to_nobody(tmp_path: Path) -> None:
    async with talking(tmp_path, ["Zanzibar is far.", "Yes.", "Two."], check_errors=False) as world:
        await world.ask("I live there")
        [answer] = world.messages()
        await world.ask("is it?", world.bob)
        before = await world.bob.send(world.channel, f"{world.me} really?", reply_to=answer)
        assert "Zanzibar" in prompt(world)
        await opts_out(world)
        other = world.guild.create_text_channel("other")
        link = f"https://discord.com/channels/{world.guild.id}/{world.channel.id}/{answer.id}"
        await world.bob.send(other, f"{world.me} what does it say? {link}")
        assert "what does it say" in prompt(world)
        await world.bob.send(world.channel, "how far?", reply_to=answer)
        assert "how far?" in prompt(world), "it is a reply to the bot all the same"
        assert "really?" in prompt(world)
        told = "".join(request.prompt for request in world.engine.requests[-2:])
        assert "Zanzibar" not in told
        asked = len(world.engine.requests)
        before_fork = world.messages()[-1]
        for label in ("Continue", "Regenerate"):
            await world.mod.click(answer, label=label)
        assert len(world.engine.requests) == asked
        fork = await world.bob.context_menu(world.channel, "Fork from here", answer)
        assert fork.response is not None
        assert "somebody who has opted out" in fork.response.content
        assert world.messages()[-1].id == before_fork.id, "no thread was opened with its words"
        pinned = await world.bob.context_menu(world.channel, "Remember this", answer)
        assert pinned.response is not None
        assert "somebody who has opted out" in pinned.response.content
        await world.alice.slash(world.channel, "privacy optin")
        await world.ask("and now?", world.bob)
        turns = {turn.message_ids[:1]: turn for turn in await world.turns()}
        quote = turns[(str(before.id),)].reply_to
        assert quote is not None, "it is seen again"
        assert "Zanzibar" in prompt(world)
