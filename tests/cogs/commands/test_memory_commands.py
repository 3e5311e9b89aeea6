"""`/memory` and «Remember this»: who may do what, and what then stands in prompts."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import simcord
from worlds import World, talking

from bot.chat.roleplay.memory.facts import Fact
from cogs.commands.memory import facts_page


def told(result: simcord.InteractionResult) -> str:
    """What one person alone was answered."""
    assert result.response is not None
    assert result.response.flags.ephemeral
    embeds = (embed.description or "" for embed in result.response.embeds)
    return "\n".join([result.response.content, *embeds])


async def facts(world: World, actor: simcord.MemberActor) -> str:
    return told(await actor.slash(world.channel, "memory show"))


async def test_a_pinned_fact_stands_in_every_prompt_until_it_is_removed(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        assert "Nothing yet" in await facts(world, world.bob)
        said = await world.alice.slash(
            world.channel, "memory add", text="The *ferry*  sails\nat noon."
        )
        assert "Fact 1 is pinned to this channel: The \\*ferry\\* sails at noon." in told(said)
        await world.ask("Hello!")
        assert "- The *ferry* sails at noon." in world.engine.requests[-1].prompt
        why = await world.bob.context_menu(world.channel, "Why this reply?", world.messages()[-1])
        assert why.response is not None
        fields = {field.name: field.value for field in why.response.embeds[0].fields}
        expected = "Fact 1: The \\*ferry\\* sails at noon. (pinned to this channel)"
        assert fields["Memory"] == expected
        await world.alice.slash(world.channel, "memory edit", id=1, text="It sails at one.")
        assert f"**1** It sails at one. (by <@{world.alice.id}>)" in await facts(world, world.bob)
        await world.ask("Hello again!")
        assert "- It sails at one." in world.engine.requests[-1].prompt
        said = await world.alice.slash(world.channel, "memory remove", id=1)
        assert "is forgotten: It sails at one." in told(said)
        await world.ask("And now?")
        assert "sails" not in world.engine.requests[-1].prompt


async def test_others_facts_are_the_moderators(tmp_path: Path) -> None:
    async with talking(tmp_path, check_errors=False) as world:
        await world.alice.slash(world.channel, "memory add", text="The ferry sails at noon.")
        await world.alice.slash(world.channel, "memory add", text="Ada limps.", persona="Ada")
        for number in (1, 2):
            for words in ("edit", "remove"):
                options = {"text": "changed"} if words == "edit" else {}
                result = await world.bob.slash(
                    world.channel, f"memory {words}", id=number, **options
                )
                assert "can change it" in told(result)
        # A channel's moderator has no say over what holds in the whole server.
        said = await world.mod.slash(world.channel, "memory edit", id=2, text="No.")
        assert "Manage Server" in told(said)
        said = await world.mod.slash(world.channel, "memory edit", id=1, text="It sails at one.")
        assert "says now: It sails at one." in told(said)
        said = await world.chief.slash(world.channel, "memory remove", id=2)
        assert "is forgotten: Ada limps." in told(said)


async def test_a_personas_fact_goes_where_it_speaks(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        await world.alice.slash(world.channel, "memory add", text="Ada limps.", persona="ada")
        assert "(for Ada, by " in await facts(world, world.bob)
        await world.ask("Hello!")
        assert "Ada limps" not in world.engine.requests[-1].prompt
        await world.bob.slash(world.channel, "persona use", name="Ada")
        await world.ask("Hello!")
        assert "- Ada limps." in world.engine.requests[-1].prompt


async def test_a_remembered_message_is_followed(tmp_path: Path) -> None:
    async with talking(tmp_path, check_errors=False) as world:
        kept = await world.ask("I like tea.")
        unkept = await world.alice.send(world.channel, "My boat is the Sprite.")
        for message in (kept, unkept):
            result = await world.bob.context_menu(world.channel, "Remember this", message)
            assert "It follows the message" in told(result)
        again = await world.bob.context_menu(world.channel, "Remember this", unkept)
        assert "already" in told(again)
        await world.alice.edit(unkept, "My boat is the Kite.")
        shown = await facts(world, world.bob)
        assert "I like tea." in shown
        assert "My boat is the Kite." in shown
        # Whose words they are may take them out, whoever pinned them.
        said = await world.alice.slash(world.channel, "memory remove", id=1)
        assert "is forgotten" in told(said)
        await world.alice.delete(unkept)
        assert "Nothing yet" in await facts(world, world.bob)


async def test_what_is_too_long_or_empty_or_unknown_is_refused_in_plain_words(
    tmp_path: Path,
) -> None:
    async with talking(tmp_path, check_errors=False) as world:
        said = await world.alice.slash(world.channel, "memory add", text="x" * 501)
        assert "501 characters; a fact has 500 at most" in told(said)
        said = await world.alice.slash(world.channel, "memory add", text="   ")
        assert "no words" in told(said)
        said = await world.alice.slash(world.channel, "memory remove", id=7)
        assert "There is no fact number 7 here. See `/memory show`." in told(said)


async def test_in_a_direct_message_everybody_keeps_their_own(tmp_path: Path) -> None:
    async with talking(tmp_path, check_errors=False) as world:
        await world.alice.slash(world.channel, "memory add", text="The ferry sails at noon.")
        alice, bob = world.alice.user, world.bob.user
        await alice.send_dm("Hello!")
        said = await alice.slash("memory add", text="My cat is Brimble.")
        assert "pinned to this channel" in told(said)
        await alice.send_dm("Hello again!")
        prompt = world.engine.requests[-1].prompt
        assert "- My cat is Brimble." in prompt
        assert "ferry" not in prompt
        assert "Brimble" not in await facts(world, world.alice)
        await bob.send_dm("Hello!")
        assert "Brimble" not in world.engine.requests[-1].prompt
        said = await bob.slash("memory remove", id=2)
        assert "There is no fact number 2 here" in told(said)


def test_a_long_list_has_pages_and_says_whose_each_is() -> None:
    one = Fact(1, "x" * 500, "5", "5", datetime(2026, 5, 1, tzinfo=UTC), channel_id="100")
    many = [replace(one, fact_id=number) for number in range(1, 30)]
    page = facts_page(many, "100", {}, 1)
    assert page.description is not None
    assert "**8** xxx" in page.description
    assert len(page.description) <= 4096
    assert page.footer.text == "page 2 of 5"
    of_channel = facts_page([replace(one, repeats_message=True)], "101", {}, 0).description
    assert of_channel is not None
    assert of_channel.endswith("(from <#100>, by <@5>, follows its message)")
    gone = facts_page([replace(one, persona_id="guild:3", channel_id="")], "100", {}, 0)
    assert gone.description is not None
    assert "for a persona that is gone" in gone.description
