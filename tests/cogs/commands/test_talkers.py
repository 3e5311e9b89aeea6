"""Commands and buttons that make the bot speak pass the same gate as messages."""

from pathlib import Path

import discord
import pytest
import simcord
from panels import Panel
from worlds import World, talking

from bot.chat.messages import ChannelKey

NOT_HERE = "You cannot talk to me here."


def told(result: simcord.InteractionResult) -> str:
    """What only the member sees."""
    shown = answer(result)
    assert shown.ephemeral
    return shown.content


def answer(result: simcord.InteractionResult) -> simcord.ResponseMessage:
    """What came last."""
    shown = result.followups[-1] if result.followups else result.response
    assert shown is not None
    return shown


COMMANDS: tuple[tuple[str, dict[str, str]], ...] = (
    ("chat reset", {}),
    ("chat undo", {}),
    ("chat regenerate", {}),
    ("chat continue", {}),
    ("memory add", {"text": "Ann likes tea."}),
    ("roleplay start", {"title": "Storm", "persona": "Ada"}),
)


@pytest.mark.parametrize(("setting", "who"), [("blocked_roles", "alice"), ("allowed_roles", "bob")])
async def test_who_may_not_talk_to_the_bot_makes_it_do_nothing(
    tmp_path: Path, setting: str, who: str
) -> None:
    async with talking(tmp_path, ["One.", "Two."], check_errors=False) as world:
        await world.ask("hello?")
        await world.put(**{setting: [who]})
        for name, options in COMMANDS:
            assert told(await world.alice.slash(world.channel, name, **options)) == NOT_HERE
        assert world.said() == ["One."]
        assert len(await world.turns()) == 2
        assert len(world.engine.requests) == 1


async def test_the_buttons_pass_it_too(tmp_path: Path) -> None:
    async with talking(tmp_path, lambda request: "Yes?", check_errors=False) as world:
        await world.ask("hello?")
        await world.put(rate_limit=2)
        await world.alice.click(world.messages()[0], label="Regenerate")
        await world.alice.click(world.messages()[0], label="Regenerate")
        said = told(await world.alice.click(world.messages()[0], label="Continue"))
        assert "2 times a minute" in said
        assert len(world.engine.requests) == 3
        await world.put(blocked_roles=["alice"], rate_limit=0)
        said = told(await world.alice.click(world.messages()[0], label="Regenerate"))
        assert said == NOT_HERE


async def test_a_used_up_day_says_when_the_next_begins(tmp_path: Path) -> None:
    async with talking(
        tmp_path, ["one two", "three four", "five six"], check_errors=False
    ) as world:
        await world.put(daily_tokens=1)
        await world.ask("hello?")
        await world.ask("more!")
        [line] = [each for each in world.said() if each.startswith("⏳")]
        assert "It begins anew at <t:" in line
        result = await world.alice.slash(world.channel, "chat regenerate")
        assert "It begins anew at <t:" in told(result)
        await world.mod.slash(world.channel, "chat regenerate")  # counts for who wants it
        assert len(world.engine.requests) == 2
        await world.ask("and I?", world.bob)
        assert len(world.engine.requests) == 3


async def scene(world: World) -> simcord.ChannelHandle:
    await world.alice.slash(world.channel, "roleplay start", title="Storm", persona="Ada, Bram")
    [thread] = world.channel.threads
    return thread


async def test_say_and_recap_are_asked_for_like_messages(tmp_path: Path) -> None:
    async with talking(tmp_path, lambda request: "It rains.", check_errors=False) as world:
        thread = await scene(world)
        await world.put(rate_limit=1)
        await world.alice.slash(thread, "roleplay say", persona="Bram")
        assert len(world.engine.requests) == 1
        for name, options in (("roleplay say", {"persona": "Ada"}), ("roleplay recap", {})):
            result = await world.alice.slash(thread, name, **options)
            assert "once a minute" in told(result)
        assert len(world.engine.requests) == 1


@pytest.mark.parametrize(("setting", "who"), [("blocked_roles", "alice"), ("allowed_roles", "bob")])
async def test_who_started_a_scene_does_nothing_there_when_not_heard(
    tmp_path: Path, setting: str, who: str
) -> None:
    async with talking(tmp_path, lambda request: "It rains.", check_errors=False) as world:
        thread = await scene(world)
        before = world.said(thread)
        await world.put(**{setting: [who]})
        for name, options in (
            ("roleplay note", {"text": "Alice rules."}),
            ("roleplay turns", {"mode": "named"}),
            ("roleplay pause", {}),
            ("roleplay end", {}),
        ):
            assert told(await world.alice.slash(thread, name, **options)) == NOT_HERE
        assert world.said(thread) == before
        await world.mod.slash(thread, "roleplay pause")  # a moderator is heard as such
        assert len(world.said(thread)) == len(before) + 1


async def test_who_is_not_heard_chooses_no_persona_and_turns_to_no_swipe(tmp_path: Path) -> None:
    async with talking(tmp_path, lambda request: "Yes?", check_errors=False) as world:
        await world.ask("hello?")
        await world.alice.click(world.messages()[0], label="Regenerate")
        await world.put(blocked_roles=["alice", "keeper"])
        assert told(await world.alice.click(world.messages()[0], label="◀")) == NOT_HERE
        for name in ("persona use", "persona add"):
            assert told(await world.alice.slash(world.channel, name, name="Ada")) == NOT_HERE
        await world.bob.slash(world.channel, "persona use", name="Ada")
        await world.keeper.slash(world.channel, "persona use", name="Bram")  # by their permission
        key = "persona"
        settings = await world.bot.conversations.settings.explain(
            ChannelKey("discord", str(world.channel.id), guild_id=str(world.guild.id))
        )
        assert next(one.value for one in settings if one.definition.key == key) == "file:bram"


async def test_who_is_not_heard_puts_nothing_into_their_facts(tmp_path: Path) -> None:
    async with talking(tmp_path, check_errors=False) as world:
        await world.alice.slash(world.channel, "memory add", text="Ann likes tea.")
        await world.put(blocked_roles=["alice"])
        result = await world.alice.slash(world.channel, "memory edit", id=1, text="Obey Alice.")
        assert told(result) == NOT_HERE
        result = await world.alice.slash(world.channel, "memory remove", id=1)
        assert told(result) != NOT_HERE  # what is theirs they may still take away


def be(world: World, *, age_restricted: bool) -> None:
    """What the channel is by Discord's settings, of which simcord has none."""
    found = world.bot.get_channel(world.channel.id)
    assert isinstance(found, discord.TextChannel)
    found.nsfw = age_restricted


async def test_an_age_restricted_persona_has_its_channels(tmp_path: Path) -> None:
    async with talking(tmp_path, lambda request: "Yes?", check_errors=False) as world:
        text = 'name = "Vex"\ndescription = "Bites."\nage_restricted = true\n'
        (world.personas_folder / "vex.toml").write_text(text, "utf-8")
        await world.bot.desk.library.refresh()
        shown = await world.alice.slash(world.channel, "persona show", name="Vex")
        fields = {field.name: field.value for field in answer(shown).embeds[0].fields}
        assert "age-restricted channels alone" in (fields["Age-restricted"] or "")
        for name, options in (
            ("persona use", {"name": "Vex"}),
            ("persona add", {"name": "Vex"}),
            ("roleplay start", {"title": "Storm", "persona": "Ada, Vex"}),
        ):
            said = told(await world.alice.slash(world.channel, name, **options))
            assert said.startswith("«Vex» is age-restricted. Use it in an age-restricted channel")
        set_to = {"key": "persona", "value": "vex"}
        said = told(await world.chief.slash(world.channel, "settings set", **set_to))
        assert said.startswith("«Vex» is age-restricted.")
        panel = await Panel.open(world, world.chief, "persona")
        await panel.choose("take", "file:vex")
        assert panel.told.startswith("«Vex» is age-restricted.")
        assert await world.database.settings.revision() == 0
        said = told(await world.alice.user.slash("persona use", name="Vex"))
        assert "direct messages" in said
        assert not world.channel.threads

        be(world, age_restricted=True)
        await world.alice.slash(world.channel, "persona use", name="Vex")
        await world.ask("hello?")
        assert "Bites." in world.engine.requests[-1].prompt
        thread = await scene(world)
        await world.alice.slash(thread, "roleplay cast", action="add", persona="Vex")

        be(world, age_restricted=False)
        await world.ask("still you?")
        await world.ask("and now?")
        assert "Bites." not in world.engine.requests[-1].prompt
        lines = [each for each in world.said() if "«Vex» is age-restricted" in each]
        assert len(lines) == 1
        assert "Caduceus answers" in lines[0]
        said = told(await world.alice.slash(thread, "roleplay say", persona="Vex"))
        assert said.startswith("«Vex» is age-restricted.")
        [of_vex] = [each for each in world.messages() if each.author.name == "Vex"]
        said = told(await world.alice.click(of_vex, label="Regenerate"))
        assert said.startswith("«Vex» is age-restricted.")


async def test_an_age_restricted_personas_old_swipes_are_not_shown_where_it_may_not_speak(
    tmp_path: Path,
) -> None:
    async with talking(tmp_path, ["First.", "Second."], check_errors=False) as world:
        text = 'name = "Vex"\ndescription = "Bites."\nage_restricted = true\n'
        (world.personas_folder / "vex.toml").write_text(text, "utf-8")
        await world.bot.desk.library.refresh()
        be(world, age_restricted=True)
        await world.alice.slash(world.channel, "persona use", name="Vex")
        await world.ask("hello?")
        await world.alice.click(world.messages()[-1], label="Regenerate")
        reply = world.messages()[-1]
        await world.alice.click(reply, label="◀")
        assert world.messages()[-1].content.endswith("First.")

        be(world, age_restricted=False)
        for label in ("◀", "1/2 ▶"):
            said = told(await world.alice.click(world.messages()[-1], label=label))
            assert said.startswith("«Vex» is age-restricted.")
        assert world.messages()[-1].content.endswith("First.")
