"""Every command of the tree, as every kind of member: only whom DESIGN lets gets through."""

import asyncio
import runpy
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import discord
import pytest
from discord import app_commands
from membership import (
    CHANNEL_CHANGE,
    CHANNEL_FACT,
    DIRECT,
    GUILD_CHANGE,
    KINDS,
    PERSONA_FACT,
    Member,
    may,
    member,
)
from simcord.actors import _dispatch_actor_interaction
from simcord.backend import serializers
from test_acknowledging import OPTIONS, OTHERS, walk
from worlds import World, talking

from cogs.commands import chat
from cogs.interactions import ALREADY
from cogs.rights.table import COMMANDS, row_of_command

SHOWN = "the body was reached"
VARIED = ("action", "scope")  # options on which a right may hang
NUMBERS = {
    "memory edit": (CHANNEL_FACT, PERSONA_FACT),
    "memory remove": (CHANNEL_FACT, PERSONA_FACT),
    "settings undo": (GUILD_CHANGE, CHANNEL_CHANGE),
}


@pytest.fixture
def reached(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Commands whose bodies would have run: the bodies themselves do nothing."""
    names: list[str] = []

    async def body(command: Any, interaction: discord.Interaction, *_options: object) -> None:
        names.append(command.qualified_name)
        if not interaction.response.is_done():
            await interaction.response.send_message(SHOWN, ephemeral=True)

    async def complete(command: Any, interaction: discord.Interaction, *_more: object) -> None:
        names.append(command.qualified_name)
        await interaction.response.autocomplete([])

    monkeypatch.setattr(app_commands.Command, "_do_call", body)
    monkeypatch.setattr(app_commands.ContextMenu, "_invoke", body)
    monkeypatch.setattr(app_commands.Command, "_invoke_autocomplete", complete)
    return names


def variants(command: app_commands.Command[Any, ..., Any], one: Member) -> Iterator[dict[str, Any]]:
    """Options for a command, in all the ways on which its right may hang."""
    name = command.qualified_name
    given = {each.display_name: OPTIONS.get(each.display_name, "") for each in command.parameters}
    given |= OTHERS.get(name, {})
    given = {key: value(one.world) if callable(value) else value for key, value in given.items()}
    if one.kind in DIRECT:
        given.pop("channel", None)  # there is none to choose
    kinds = {each.display_name: each.type for each in command.parameters}
    if "member" in given:
        is_text = kinds["member"] is discord.AppCommandOptionType.string
        given["member"] = str(one.world.alice.id) if is_text else one.world.alice
    choices = {
        each.display_name: [choice.value for choice in each.choices]
        for each in command.parameters
        if each.display_name in VARIED and each.choices
    }
    if name in NUMBERS:
        choices["id"] = list(NUMBERS[name])
    for chosen in product(*choices.values()):
        yield given | dict(zip(choices, chosen, strict=True))


async def use(one: Member, name: str, options: dict[str, Any]) -> None:
    if name in {menu.name for menu in menus(one.world)}:
        await menu(one, name)
    elif one.kind in DIRECT:
        await one.actor.slash(name, **options)
    else:
        await one.actor.slash(one.place, name, **options)


async def menu(one: Member, name: str) -> None:
    """The same as simcord's own, which keeps it from people who cannot read what was said."""
    env = one.world.env
    root = env.backend.find_command(name, None, type=3)
    message = serializers.message_payload(
        env.backend, env.backend.get_message(one.place.id, one.reply.id)
    )
    await _dispatch_actor_interaction(
        one.actor,
        2,
        one.place,
        {
            "id": root["id"],
            "name": name,
            "type": 3,
            "target_id": str(one.reply.id),
            "resolved": {"messages": {str(one.reply.id): dict(message)}},
        },
    )


def menus(world: World) -> list[Any]:
    return world.bot.tree.get_commands(type=discord.AppCommandType.message)


@pytest.mark.parametrize("kind", KINDS)
async def test_every_command_lets_in_whom_the_rules_let_in(
    tmp_path: Path, kind: str, reached: list[str]
) -> None:
    async with member(tmp_path, kind) as one:
        cases = [
            (command.qualified_name, options)
            for command in walk(iter(one.world.bot.tree.get_commands()))
            for options in variants(command, one)
        ]
        cases += [(menu.name, {}) for menu in menus(one.world)]
        wrong: list[str] = []
        for name, options in cases:
            reached.clear()
            await use(one, name, options)
            if (reached == [name]) is not may(kind, name, options):
                chosen = {key: options[key] for key in (*VARIED, "id") if key in options}
                wrong.append(f"/{name} {chosen} {'got through' if reached else 'is refused'}")
        for name, option, filled in completions(one):
            reached.clear()
            offered = await complete(one, name, option, filled)
            if (reached == [name]) is not may(kind, name, {"scope": "channel", "id": 0, **filled}):
                wrong.append(f"/{name} {option}: {'is' if reached else 'is not'} completed")
            assert offered == []
        assert not wrong, f"{kind}: {wrong}"
        assert len(cases) > 40


def completions(one: Member) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for command in walk(iter(one.world.bot.tree.get_commands())):
        for option in command.parameters:
            if option.autocomplete:
                has_action = any(each.display_name == "action" for each in command.parameters)
                filled = {"action": "add"} if has_action else {}
                yield command.qualified_name, option.display_name, filled


async def complete(one: Member, name: str, option: str, filled: dict[str, Any]) -> object:
    if one.kind in DIRECT:
        return await one.actor.autocomplete(name, option, "", **filled)
    return await one.actor.autocomplete(one.place, name, option, "", **filled)


async def test_every_command_stands_in_the_table_and_every_row_is_a_commands(
    tmp_path: Path,
) -> None:
    async with talking(tmp_path) as world:
        used = {menu.name for menu in menus(world)}
        for command in walk(iter(world.bot.tree.get_commands())):
            name = command.qualified_name
            actions = [
                choice.value
                for each in command.parameters
                for choice in each.choices
                if each.display_name == "action"
            ]
            for action in actions or [None]:
                row = row_of_command(name, action)
                assert row is not None, f"/{name} {action} has no row in cogs/rights/table.py"
                used |= {key for key in (name, f"{name} {action}") if COMMANDS.get(key) is row}
        used |= {menu.name for menu in menus(world) if row_of_command(menu.name)}
        assert used == set(COMMANDS)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_whatever_asks_the_store_is_acknowledged_before(name: str) -> None:
    row = COMMANDS[name]
    assert row.rights
    assert (row.answer is not None) is row.asks_the_store


async def test_a_command_without_a_row_is_for_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with talking(tmp_path, check_errors=False) as world:
        monkeypatch.delitem(COMMANDS, "status")  # type: ignore[arg-type]
        world.bot.owner_ids = {world.chief.id}
        result = await world.chief.slash(world.channel, "status")
        assert result.response is not None
        assert "Nobody may use that" in result.response.content
        assert "/status stands in no row" in caplog.text


def test_the_page_for_moderators_is_up_to_date() -> None:
    root = Path(__file__).resolve().parents[3]
    tables = runpy.run_path(str(root / "scripts" / "readme_tables.py"))
    page = (root / "docs" / "rights.md").read_text()
    assert tables["with_table"](page, "rights", tables["rights_table"]()) == page


@pytest.mark.parametrize("forged", ["", "everything", "list ", "add\0"])
async def test_an_action_that_there_is_not_gets_nobody_through(forged: str) -> None:
    assert row_of_command("roleplay cast", forged) is None


async def test_a_command_sent_twice_at_once_is_done_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with talking(tmp_path) as world:
        await world.ask("one")
        going, done = asyncio.Event(), []

        async def regenerate(*_: object) -> None:
            done.append(1)
            await going.wait()

        monkeypatch.setattr(chat, "regenerate", regenerate)
        await world.alice.slash(world.channel, "chat regenerate")
        again = await world.alice.slash(world.channel, "chat regenerate")
        assert again.response is not None
        assert again.response.content == ALREADY
        await world.bob.slash(world.channel, "status")  # nobody else waits for it
        going.set()
        await world.env.settle()
        await world.alice.slash(world.channel, "chat regenerate")
        assert len(done) == 2
