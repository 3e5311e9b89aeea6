"""The commands as a whole, and whether Discord's own description takes what the bot sends."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import discord
import jsonschema
import pytest
from api_document import check, described
from discord import app_commands
from discord.ext import commands
from worlds import World, labels, talking

from cogs.client import intents
from cogs.showing.voice import NONCE_CHARACTERS, nonce_of

EXPECTED = {
    "chat reset",
    "chat undo",
    "chat continue",
    "chat regenerate",
    "chat export",
    "lore attach",
    "lore delete",
    "lore detach",
    "lore export",
    "lore import",
    "lore list",
    "lore show",
    "lore test",
    "persona add",
    "persona create",
    "persona delete",
    "persona edit",
    "persona export",
    "persona import",
    "persona list",
    "memory add",
    "memory edit",
    "memory remove",
    "memory show",
    "memory summary",
    "persona remove",
    "persona show",
    "persona use",
    "roleplay cast",
    "roleplay end",
    "roleplay me",
    "roleplay note",
    "roleplay pause",
    "roleplay recap",
    "roleplay resume",
    "roleplay say",
    "roleplay start",
    "roleplay turns",
    "settings show",
    "settings set",
    "settings reset",
    "settings history",
    "settings panel",
    "settings undo",
    "status",
}


def walk(
    items: Iterator[Any],
) -> Iterator[app_commands.Command[Any, ..., Any]]:
    for item in items:
        if isinstance(item, app_commands.Group):
            yield from walk(iter(item.commands))
        elif isinstance(item, app_commands.Command):
            yield item


async def test_every_command_is_there_once(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        names = Counter(
            command.qualified_name for command in walk(iter(world.bot.tree.get_commands()))
        )
        assert set(names) == EXPECTED
        assert max(names.values()) == 1
        menus = world.bot.tree.get_commands(type=discord.AppCommandType.message)
        assert sorted(menu.name for menu in menus) == [
            "Fork from here",
            "Remember this",
            "Why this reply?",
        ]
        assert world.bot.commands == set()  # no prefix commands


async def test_no_command_or_listener_of_a_cog_shadows_discord_pys_own(tmp_path: Path) -> None:
    own = set(dir(commands.GroupCog)) | set(dir(commands.Cog))
    async with talking(tmp_path) as world:
        for cog in world.bot.cogs.values():
            mine = {name for kind in type(cog).__mro__[:1] for name in vars(kind)}
            shadowed = {
                name
                for name in mine & own
                if not name.startswith("__") and name not in ("cog_load", "cog_unload")
            }
            assert not shadowed, (cog, shadowed)


async def test_the_commands_are_for_guilds_and_direct_messages_of_everybody(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        [entry] = world.requests("PUT", "/commands")
        for command in entry.json:
            assert sorted(command["contexts"]) == [0, 1]
            assert command["integration_types"] == [0]
            assert command.get("default_member_permissions") is None


def test_the_bot_listens_to_no_more_than_it_needs() -> None:
    assert {name for name, on in intents() if on} == {
        "guilds",
        "guild_messages",
        "dm_messages",
        "message_content",
    }


async def use_everything(world: World) -> None:
    await world.ask("hello @everyone")
    reply = world.messages()[0]
    await world.alice.click(reply, label="Regenerate")
    await world.alice.click(world.messages()[0], label="◀")
    await world.alice.click(world.messages()[0], label="Continue")
    await world.alice.slash(world.channel, "chat regenerate")
    await world.alice.slash(world.channel, "chat export")
    await world.alice.slash(world.channel, "status")
    await world.alice.slash(world.channel, "persona list")
    await world.alice.slash(world.channel, "persona show", name="Ada")
    await world.alice.slash(world.channel, "persona use", name="Ada")
    await world.alice.autocomplete(world.channel, "persona use", "name", "a")
    await world.mod.slash(world.channel, "settings set", key="top_k", value="7")
    await world.mod.autocomplete(world.channel, "settings set", "key", "")
    await world.mod.slash(world.channel, "settings show")
    await world.mod.slash(world.channel, "settings history")
    await world.mod.slash(world.channel, "settings undo", id=1)
    await world.alice.context_menu(world.channel, "Why this reply?", world.messages()[0])
    await world.alice.slash(world.channel, "chat undo")
    await world.alice.click(world.channel.history()[-1], label="Undo")
    await world.alice.slash(world.channel, "chat reset")
    deletable = next(message for message in world.messages() if "Delete" in labels(message))
    await world.alice.click(deletable, label="Delete")


async def test_all_that_is_sent_is_what_discord_describes(tmp_path: Path) -> None:
    described()
    long = " ".join(f"Sentence {number} of the reply." for number in range(150))
    async with talking(tmp_path, ["First.", "Second.", " More.", long, "Last."]) as world:
        await use_everything(world)
        checked = 0
        for entry in world.env.http_requests:
            check(entry.method, entry.path, entry.json)
            checked += entry.json is not None
        assert checked > 30


def test_the_check_does_refuse() -> None:
    described()
    with pytest.raises(jsonschema.ValidationError):
        check("POST", "/channels/1/messages", {"content": "x" * 4001})
    with pytest.raises(jsonschema.ValidationError):
        check("POST", "/channels/1/messages", {"nonce": "n" * 26})
    with pytest.raises(AssertionError):
        check("POST", "/channels/1/nonsense", {})


def test_a_nonce_fits_whatever_it_is_made_of() -> None:
    nonces = {nonce_of(str(2**64 - 1), str(number)) for number in range(1000)}
    assert len(nonces) == 1000
    assert max(map(len, nonces)) <= NONCE_CHARACTERS
