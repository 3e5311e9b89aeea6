"""`/settings` in words: what it says of what was there before, old names, direct messages."""

from pathlib import Path

import pytest
import simcord
from panels import Panel
from worlds import World, talking

from bot.chat import definitions
from bot.chat.definitions import DEFINITIONS
from bot.chat.limits.words.word import GuildWord
from bot.chat.messages import Scope
from bot.chat.text.forbidden.redaction import BLOCK
from bot.errors import NotAllowed
from bot.store.database import Database


def refusals(world: World) -> list[type[BaseException]]:
    return [type(getattr(error, "original", error)) for error in world.env.errors]


def words(result: simcord.InteractionResult) -> str:
    assert result.response is not None
    embeds = result.response.embeds
    fields = [f"{field.name}: {field.value}" for embed in embeds for field in embed.fields]
    return "\n".join([result.response.content, *(e.description or "" for e in embeds), *fields])


async def test_set_and_reset_say_what_they_replaced_and_whose_that_was(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:

        async def said(actor: simcord.MemberActor, command: str, **options: str) -> str:
            result = await actor.slash(world.channel, f"settings {command}", key="top_k", **options)
            return words(result)

        first = await said(world.keeper, "set", value="5")
        assert "`top_k` is now 5 for this channel. (" in first
        second = await said(world.chief, "set", value="9")
        assert f"is now 9 for this channel. It was 5, set by <@{world.keeper.id}>" in second
        third = await said(world.keeper, "reset")
        assert "is no longer set for this channel; here it is now 0 (default)." in third
        assert f"It was 9, set by <@{world.chief.id}>" in third


async def test_an_undo_says_whose_newer_change_it_replaces(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        for actor, value in ((world.keeper, "5"), (world.keeper, "6"), (world.chief, "9")):
            await actor.slash(world.channel, "settings set", key="top_k", value=value)
        result = await world.keeper.slash(world.channel, "settings undo", id=2)
        assert "`top_k` 9 → 5 for this channel" in words(result)
        assert f"this replaces change 3, by <@{world.chief.id}>" in words(result)
        result = await world.keeper.slash(world.channel, "settings undo", id=4)
        assert "this replaces" not in words(result)


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("rate_limit", "600", False),
        ("channel_rate_limit", "600", False),
        ("daily_tokens", "0", False),
        ("allowed_roles", "Friends", False),
        ("answer_bots", "on", True),
        ("context", "channel", True),
        ("history_scope", "user", True),
        ("quiet_hours", "22:00-07:00 Europe/Berlin", True),
        ("retention_days", "30", True),
    ],
)
async def test_in_a_direct_message_the_member_sets_what_is_theirs(
    tmp_path: Path, key: str, value: str, allowed: bool
) -> None:
    async with talking(tmp_path) as world:
        for command, options in (("set", {"value": value}), ("reset", {})):
            result = await world.alice.user.slash(f"settings {command}", key=key, **options)
            assert (f"`{key}` is" in words(result)) is allowed
        assert refusals(world) == ([] if allowed else [NotAllowed, NotAllowed])


async def test_what_the_owner_set_for_a_direct_message_stays(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        world.bot.owner_ids = {world.bob.id}
        await world.bob.user.slash("settings set", key="daily_tokens", value="100")
        assert refusals(world) == []
        world.bot.owner_ids = set()
        await world.bob.user.slash("settings undo", id=1)
        assert refusals(world) == [NotAllowed]
        assert await world.database.settings.revision() == 1


async def test_a_setting_says_what_it_takes_and_who_may_set_it(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        result = await world.bob.slash(world.channel, "settings show", key="rate_limit")
        assert "Takes: 0 to 600" in words(result)
        assert "Who may set it: Manage Server; for a channel, Manage Channels too." in words(result)
        assert "In a direct message: the bot's owner alone." in words(result)


async def test_all_settings_are_shown_however_long_their_values_are(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        for key, definition in DEFINITIONS.items():
            many = ", ".join(f"{number}".ljust(90, "x") for number in range(20))
            value = "x" * 2000 if definition.kind == "text" else many
            if definition.kind in ("text", "words", "roles"):
                await world.keeper.slash(world.channel, "settings set", key=key, value=value)
        result = await world.bob.slash(world.channel, "settings show")
        assert all(f"`{key}`" in words(result) for key in DEFINITIONS)


async def test_history_and_undo_know_a_setting_by_its_old_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(definitions, "RENAMED", {"best_words": "top_k"})
    async with talking(tmp_path) as world:
        place = (Scope.CHANNEL, f"discord:{world.channel.id}")
        for value in (5, 6):
            await world.database.settings.change(*place, "best_words", value, by="before")
        shown = await world.bob.slash(world.channel, "settings show")
        assert "`top_k` 6 · set for this channel" in words(shown)
        history = await world.bob.slash(world.channel, "settings history")
        assert "`best_words` (now `top_k`) 5 → 6 for this channel" in words(history)
        undone = await world.keeper.slash(world.channel, "settings undo", id=2)
        assert "`top_k` 6 → 5" in words(undone)
        typed = await world.keeper.slash(world.channel, "settings set", key="best_words", value="8")
        assert "`top_k` is now 8 for this channel. It was 5" in words(typed)
        choices = await world.keeper.autocomplete(world.channel, "settings set", "key", "best")
        assert [choice["value"] for choice in choices] == ["top_k"]


async def test_a_key_is_found_by_what_one_remembers_of_it(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:

        async def offered(typed: str) -> list[str]:
            choices = await world.keeper.autocomplete(world.channel, "settings set", "key", typed)
            return [choice["value"] for choice in choices]

        assert (await offered("rate"))[:2] == ["rate_limit", "channel_rate_limit"]
        assert (await offered("Quiet H"))[0] == "quiet_hours"
        assert "temperature" in await offered("likeliest word")


async def test_what_another_program_changes_holds_for_the_next_reply(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        await world.ask("hello?")
        other = await Database.open(f"sqlite+aiosqlite:///{tmp_path / 'test.db'}")
        try:
            place = (Scope.CHANNEL, f"discord:{world.channel.id}")
            await other.settings.change(*place, "temperature", 1.5, by="another program")
            await world.ask("and now?")
            assert [one.sampling.temperature for one in world.engine.requests] == [0.7, 1.5]
            await other.settings.change(*place, "trigger", "off", by="another program")
            await world.ask("and now?")
            assert len(world.said()) == 2
        finally:
            await other.close()


async def test_what_is_set_shows_as_it_was_typed(tmp_path: Path) -> None:
    """Whoever reads a setting is shown no link in disguise, and nothing turned about."""
    async with talking(tmp_path) as world:
        await world.put(instructions="[rules](https://x.y) \u202e**loud**")
        shown = words(await world.alice.slash(world.channel, "settings show", key="instructions"))
        assert r"\[rules](https://x.y) \*\*loud\*\*" in shown
        await world.put(allowed_roles=["[staff](https://x.y)"])
        panel = await Panel.open(world, world.chief, "allowed_roles")
        assert r"Those are: \[staff](https://x.y)" in panel.words()


@pytest.mark.parametrize("name", ["Friends", "@Friends", "@ friends"])
async def test_a_role_that_is_named_holds_when_it_is_renamed(tmp_path: Path, name: str) -> None:
    async with talking(tmp_path) as world:
        friends = world.guild.create_role(name)
        result = await world.chief.slash(
            world.channel, "settings set", key="allowed_roles", value="@friends, alice, 123"
        )
        assert f"<@&{friends.id}>" in words(result)

        (change, *_) = await world.database.settings.changes(
            [(Scope.CHANNEL, f"discord:{world.channel.id}")]
        )

        assert change.new == [f"<@&{friends.id}>", "alice", "123"]


async def test_of_roles_with_one_name_all_are_meant_and_everybody_stays_a_name(
    tmp_path: Path,
) -> None:
    async with talking(tmp_path) as world:
        two = [world.guild.create_role("Twins") for _ in range(2)]
        await world.chief.slash(
            world.channel, "settings set", key="blocked_roles", value="Twins, @everyone"
        )

        (change, *_) = await world.database.settings.changes(
            [(Scope.CHANNEL, f"discord:{world.channel.id}")]
        )

        assert sorted(change.new) == sorted([*(f"<@&{role.id}>" for role in two), "everyone"])


async def test_resetting_what_is_not_set_says_so_and_is_no_change(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        await world.chief.slash(world.channel, "settings set", key="top_k", value="7")
        await world.chief.slash(world.channel, "settings reset", key="top_k")
        revision = await world.database.settings.revision()
        for key in ("top_k", "top_p"):
            again = await world.chief.slash(world.channel, "settings reset", key=key)
            assert again.response is not None
            assert f"`{key}` is not set for this channel; here it is" in again.response.content
        assert await world.database.settings.revision() == revision


async def test_what_the_panel_says_of_a_setting_is_without_the_word(tmp_path: Path) -> None:
    """In the block and the form it stands as it was typed: there it is edited."""
    async with talking(tmp_path) as world:
        guild = ("discord", str(world.guild.id))
        await world.database.words.put(guild, GuildWord("zirconium"))
        blocks = BLOCK * len("zirconium")
        panel = await Panel.open(world, world.chief, "instructions")
        late = await Panel.open(world, world.keeper, "instructions")
        await panel.type("Talk of zirconium.")
        assert f"is now Talk of {blocks}. for this channel" in panel.message.content
        await late.type("No more zirconium.")
        assert f"not set → Talk of {blocks}." in late.message.content
        await late.press("Set it all the same")
        assert f"is now No more {blocks}. for this channel" in late.message.content
        number = await Panel.open(world, world.chief, "top_k")
        await number.type("zirconium")
        assert blocks in number.told
        assert "zirconium" not in number.told
