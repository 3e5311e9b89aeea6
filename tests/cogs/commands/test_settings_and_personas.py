"""`/settings` and `/persona`: values, sources, permissions, autocomplete."""

import asyncio
from pathlib import Path

import pytest
import simcord
from worlds import PERSONAS, World, talking, write_personas

from bot.chat.definitions import DEFINITIONS
from bot.chat.messages import Scope
from bot.errors import ChannelSettingError, NotAllowed, NotFound


def listed(result: simcord.InteractionResult) -> str:
    """What a page of the list says."""
    assert result.response is not None
    return "\n".join(embed.description or "" for embed in result.response.embeds)


def refusals(world: World) -> list[type[BaseException]]:
    return [type(getattr(error, "original", error)) for error in world.env.errors]


async def test_show_tells_every_value_and_where_it_comes_from(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        await world.chief.slash(
            world.channel, "settings set", key="temperature", value="1.2", scope="guild"
        )
        await world.keeper.slash(world.channel, "settings set", key="top_k", value="40")
        result = await world.bob.slash(world.channel, "settings show")
        assert result.ephemeral
        assert result.response is not None
        text = result.response.embeds[0].description or ""
        assert all(f"`{key}`" in text for key in DEFINITIONS)
        assert "`temperature` 1.2 · set for the server" in text
        assert "`top_k` 40 · set for this channel" in text
        assert "`top_p` 0.95 · default" in text
        result = await world.bob.slash(world.channel, "settings show", key="top_k")
        assert result.response is not None
        assert result.response.embeds[0].description == "40"


@pytest.mark.parametrize(
    ("who", "scope", "allowed"),
    [
        ("alice", "channel", False),
        ("alice", "guild", False),
        ("keeper", "channel", True),
        ("keeper", "guild", False),
        ("chief", "channel", True),
        ("chief", "guild", True),
    ],
)
async def test_changing_is_checked_for_its_scope(
    tmp_path: Path, who: str, scope: str, allowed: bool
) -> None:
    async with talking(tmp_path) as world:
        actor = getattr(world, who)
        result = await actor.slash(
            world.channel, "settings set", key="top_k", value="7", scope=scope
        )
        assert result.ephemeral
        assert refusals(world) == ([] if allowed else [NotAllowed])
        result = await actor.slash(world.channel, "settings reset", key="top_k", scope=scope)
        assert refusals(world) == ([] if allowed else [NotAllowed, NotAllowed])
        changes = await world.bot.conversations.settings.history((await _key(world)), limit=10)
        assert len(changes) == (2 if allowed else 0)


async def _key(world: World):
    from cogs.platform import key_of

    channel = world.bot.get_channel(world.channel.id)
    assert channel is not None
    return key_of(channel)  # type: ignore[arg-type]


async def test_undoing_needs_the_permission_of_the_changes_scope(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        await world.chief.slash(
            world.channel, "settings set", key="top_k", value="7", scope="guild"
        )
        await world.keeper.slash(world.channel, "settings undo", id=1)
        assert refusals(world) == [NotAllowed]
        await world.chief.slash(world.channel, "settings undo", id=1)
        result = await world.bob.slash(world.channel, "settings history")
        assert result.response is not None
        text = result.response.embeds[0].description or ""
        assert text.index("**2** `top_k` 7 → not set") < text.index("**1** `top_k` not set → 7")
        assert f"<@{world.chief.id}>" in text


async def test_a_setting_that_is_no_more_leaves_the_history_readable(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        await world.keeper.slash(world.channel, "settings set", key="top_k", value="7")
        store = world.database.settings
        for value in (["loud", "low"], None):
            await store.change(
                Scope.CHANNEL, f"discord:{world.channel.id}", "volume", value, by="an older version"
            )
        result = await world.bob.slash(world.channel, "settings history")
        assert result.response is not None
        text = result.response.embeds[0].description or ""
        assert "`top_k` not set → 7" in text
        assert "`volume` (no longer there) not set → loud, low for this channel" in text
        assert "`volume` (no longer there) loud, low → not set" in text
        result = await world.keeper.slash(world.channel, "settings undo", id=3)
        assert result.response is not None
        assert "«volume»" in (result.response.content or "")
        assert refusals(world) == [NotFound]
        assert await store.revision() == 3


async def test_a_change_of_another_guild_cannot_be_undone_here(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        await world.chief.slash(
            world.channel, "settings set", key="top_k", value="7", scope="guild"
        )
        elsewhere = world.env.create_guild("Elsewhere")
        channel = elsewhere.create_text_channel("general")
        owner = elsewhere.add_member(elsewhere.owner)
        await owner.slash(channel, "settings undo", id=1)
        assert refusals(world) == [NotFound]


async def test_in_a_direct_message_the_member_moderates_themselves(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        user = world.alice.user
        await user.slash("settings set", key="top_k", value="3")
        assert refusals(world) == []
        result = await user.slash("settings set", key="top_k", value="3", scope="guild")
        assert refusals(world) == [NotAllowed]
        assert "direct message" in result.response.content


@pytest.mark.parametrize(
    ("key", "value", "kind"),
    [
        ("temperature", "5", ChannelSettingError),
        ("temperature", "hot", ChannelSettingError),
        ("trigger", "sometimes", ChannelSettingError),
        ("persona", "Nobody", ChannelSettingError),
        ("colour", "red", NotFound),
    ],
)
async def test_a_bad_value_is_refused_in_plain_words(
    tmp_path: Path, key: str, value: str, kind: type[Exception]
) -> None:
    async with talking(tmp_path) as world:
        result = await world.keeper.slash(world.channel, "settings set", key=key, value=value)
        assert result.ephemeral
        assert result.response is not None
        assert value in result.response.content or key in result.response.content
        assert refusals(world) == [kind]


async def test_autocomplete_offers_what_fits(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:

        async def offered(command: str, option: str, typed: str, **filled: str) -> list[str]:
            by = world.keeper
            choices = await by.autocomplete(world.channel, command, option, typed, **filled)
            return [choice["value"] for choice in choices]

        assert (await offered("settings set", "key", "top"))[:2] == ["top_p", "top_k"]
        keys = await offered("settings set", "key", "")
        assert keys == list(DEFINITIONS)[: len(keys)]
        assert len(keys) == 25  # Discord shows no more; the rest comes with its letters
        assert await offered("settings set", "key", "instr") == ["instructions"]
        assert await offered("settings set", "value", "w", key="trigger") == ["wakeword", "always"]
        assert await offered("settings set", "value", "ad", key="persona") == ["Ada", "Caduceus"]
        assert await offered("settings set", "value", "", key="nonsense") == []
        assert await offered("persona use", "name", "br") == ["Bram"]


async def test_autocomplete_offers_no_more_than_discord_shows(tmp_path: Path) -> None:
    write_personas(tmp_path / "personas", {f"Person {number:02}": "x" for number in range(40)})
    async with talking(tmp_path) as world:
        choices = await world.alice.autocomplete(world.channel, "persona show", "name", "")
        assert len(choices) == 25


async def test_personas_are_listed_shown_and_used(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        result = await world.bob.slash(world.channel, "persona list")
        assert result.ephemeral
        text = listed(result)
        assert all(f"**{name}**" in text and summary in text for name, summary in PERSONAS.items())
        assert "**Caduceus** (here)" in text
        result = await world.bob.slash(world.channel, "persona show", name="ada")
        assert result.response is not None
        assert result.response.embeds[0].title == "Ada"
        result = await world.bob.slash(world.channel, "persona use", name="ada")
        assert not result.ephemeral
        assert world.said() == ["**Ada** speaks here from now on."]
        await world.ask("who are you?")
        assert "Ada: A mathematician" in world.engine.requests[0].prompt
        assert (await world.turns())[1].speaker.name == "Ada"


async def test_a_persona_is_shown_by_its_name_and_said_to_be_gone(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:

        async def shown(command: str, **options: object) -> str:
            result = await world.keeper.slash(world.channel, f"settings {command}", **options)
            assert result.response is not None
            embeds = result.response.embeds
            return (embeds[0].description if embeds else result.response.content) or ""

        said = await shown("set", key="persona", value="ada")
        assert "`persona` is now Ada for this channel" in said
        await shown("set", key="persona", value="file:bram")
        assert "`persona` Bram · set for this channel" in await shown("show")
        assert "`persona` Ada → Bram for" in await shown("history")
        assert "`persona` Bram → Ada for" in await shown("undo", id=2)

        library = world.bot.desk.library
        await asyncio.to_thread((world.personas_folder / "ada.toml").unlink)
        await library.refresh()
        gone = "file:ada (gone: Caduceus speaks instead)"
        assert await shown("show", key="persona") == gone
        assert "Bram → file:ada (gone)" in await shown("history")
        result = await world.bob.slash(world.channel, "persona list")
        assert "**Caduceus** (here)" in listed(result)


async def test_moderators_can_keep_the_choice_to_themselves(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        await world.keeper.slash(
            world.channel, "settings set", key="persona_choice", value="moderators"
        )
        await world.bob.slash(world.channel, "persona use", name="Ada")
        assert refusals(world) == [NotAllowed]
        await world.keeper.slash(world.channel, "persona use", name="Ada")
        assert refusals(world) == [NotAllowed]


async def test_an_unknown_persona_is_refused(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        result = await world.bob.slash(world.channel, "persona show", name="Nobody")
        assert "Nobody" in result.response.content
        await world.bob.slash(world.channel, "persona use", name="Nobody")
        assert refusals(world) == [NotFound, NotFound]


async def test_a_broken_persona_file_is_told_to_moderators_only(tmp_path: Path) -> None:
    folder = write_personas(tmp_path / "personas", PERSONAS)
    (folder / "broken.toml").write_text("name = ")
    async with talking(tmp_path) as world:
        for actor, sees in ((world.bob, False), (world.mod, True)):
            result = await actor.slash(world.channel, "persona list")
            assert ("broken.toml" in listed(result)) is sees
