"""Whatever a person does is acknowledged before anything is asked of the database."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import discord
import pytest
from discord import app_commands
from making_cards import picture_bytes
from panels import Panel
from worlds import World, labels, talking

from bot.chat.personas.guild.book_files import read_book_file
from bot.chat.personas.library import PersonaLibrary
from cogs import interactions

LOREBOOK = b'{"name": "Coast", "entries": {"0": {"key": ["harbour"], "content": "Grey."}}}'

# A value for every option of every command: a new option needs one, too.
OPTIONS: dict[str, Any] = {
    "action": "list",
    "book": "Coast",
    "depth": 1,
    "description": "A sailor",
    "file": ("ada.json", b'{"char_name": "Eve", "char_persona": "p"}'),
    "format": "text",
    "id": 1,
    "key": "top_k",
    "mode": "round",
    "name": "Ada",
    "persona": "Ada",
    "picture": ("ada.png", picture_bytes()),
    "scenario": "A storm",
    "scope": "channel",
    "text": "harbour",
    "title": "The pier",
    "value": "7",
}


OTHERS: dict[str, dict[str, Any]] = {
    "persona add": {"name": "Bram"},
    "persona remove": {"name": "Bram"},
    "persona export": {"format": "png"},
    "persona edit": {"name": "Eve"},
    "persona delete": {"name": "Eve"},
    "roleplay me": {"name": "Kael"},
    "lore import": {"file": ("coast.json", LOREBOOK)},
    "lore export": {"format": "v3"},
    "lore attach": {"scope": "persona"},
    "lore detach": {"scope": "persona"},
}


class Watch:
    """Notes what is asked of the store and the personas before an acknowledgement."""

    def __init__(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        self.world = world
        self.asked: list[str] = []
        self.too_early: list[str] = []
        self.acknowledged_before = 0
        transactions = world.database.history.transactions
        for owner, names in (
            (type(transactions), ("read", "write")),
            (PersonaLibrary, ("by_id", "by_name", "listed", "default")),
        ):
            for name in names:
                monkeypatch.setattr(owner, name, self._watched(getattr(owner, name), name))

    def _watched(self, original: Any, name: str) -> Any:
        async def method(*args: Any, **options: Any) -> Any:
            if asyncio.current_task() in self.world.env._work.tasks:  # not the run's heartbeat
                self.asked.append(name)
                if self._acknowledged() == self.acknowledged_before:
                    self.too_early.append(name)
            return await original(*args, **options)

        return method

    def _acknowledged(self) -> int:
        return len(self.world.requests("POST", "/callback"))

    def begin(self) -> None:
        self.asked.clear()
        self.too_early.clear()
        self.acknowledged_before = self._acknowledged()

    def end(self, what: str) -> None:
        assert not self.too_early, f"{what} asks for {self.too_early} before it acknowledges"
        assert self._acknowledged() > self.acknowledged_before, f"{what} was not acknowledged"


def walk(items: Iterator[Any]) -> Iterator[app_commands.Command[Any, ..., Any]]:
    for item in items:
        if isinstance(item, app_commands.Group):
            yield from walk(iter(item.commands))
        elif isinstance(item, app_commands.Command):
            yield item


async def test_every_command_acknowledges_before_it_asks_the_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with talking(tmp_path) as world:
        await world.chief.slash(world.channel, "settings set", key="top_k", value="9")
        await world.bot.desk.workshop.create(str(world.guild.id), {"name": "Eve"}, "chief")
        book = read_book_file("coast.json", LOREBOOK)
        await world.bot.desk.lorebooks.take(str(world.guild.id), book, "chief")
        asked = set()
        watch = Watch(world, monkeypatch)
        for command in walk(iter(world.bot.tree.get_commands())):
            await world.pass_time(60)  # webhooks may write no more than so often a minute
            await world.ask("something to work on")
            options = {one.display_name: OPTIONS[one.display_name] for one in command.parameters}
            options |= OTHERS.get(command.qualified_name, {})
            is_in_scene = command.parent is not None and command.parent.name == "roleplay"
            threads = world.channel.threads if is_in_scene else ()
            place = threads[-1] if threads else world.channel  # the scene's, once it has begun
            watch.begin()
            await world.chief.slash(place, command.qualified_name, **options)
            watch.end(f"/{command.qualified_name}")
            asked |= {command.qualified_name} if watch.asked else set()
        assert asked >= {"chat reset", "persona use", "settings show"}, "the watch sees the store"


async def test_every_menu_and_button_acknowledges_before_it_asks_the_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with talking(tmp_path) as world:
        watch = Watch(world, monkeypatch)
        for menu in world.bot.tree.get_commands(type=discord.AppCommandType.message):
            await world.ask("something")
            watch.begin()
            await world.alice.context_menu(world.channel, menu.name, world.messages()[-1])
            watch.end(menu.name)
        for button in ("Regenerate", "◀", "Continue", "Delete"):
            message = next(one for one in world.messages() if "Delete" in labels(one))
            watch.begin()
            await world.alice.click(message, label=button)
            watch.end(button)
        for words in ("chat reset", "chat undo"):
            await world.ask("something")
            await world.alice.slash(world.channel, words)
            message = next(one for one in world.messages() if "Undo" in labels(one))
            watch.begin()
            await world.alice.click(message, label="Undo")
            watch.end(f"Undo of {words}")


async def test_every_control_of_the_panel_acknowledges_before_it_asks_the_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with talking(tmp_path) as world:
        watch = Watch(world, monkeypatch)
        panel = await Panel.open(world, world.chief, "trigger")
        presses: list[tuple[str, Callable[[], Awaitable[object]]]] = [
            ("a value", lambda: panel.choose("take", "off")),
            ("Reset", lambda: panel.press("Reset")),
            ("the server", lambda: panel.press("The whole server")),
            ("a page", lambda: panel.choose("page", "sampling")),
            ("a setting", lambda: panel.choose("pick", "top_k")),
            ("a form", panel.open_form),
            ("what is typed", lambda: world.chief.submit_modal(panel.result, {"value": "5"})),
        ]
        for what, press in presses:
            watch.begin()
            await press()
            watch.end(what)


async def test_a_completion_that_takes_too_long_offers_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Completions can't be deferred: each answers in time, also where the database does not."""

    async def never(*_args: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(interactions, "COMPLETION_SECONDS", 0.05)
    async with talking(tmp_path) as world:
        for name in ("by_id", "by_name", "listed", "default"):
            monkeypatch.setattr(PersonaLibrary, name, never)
        seen = 0
        for command in walk(iter(world.bot.tree.get_commands())):
            for option in (one for one in command.parameters if one.autocomplete):
                key = {"key": "persona"} if option.name == "value" else {}
                async with asyncio.timeout(5):
                    await world.chief.autocomplete(
                        world.channel, command.qualified_name, option.name, "a", **key
                    )
                seen += 1
        assert seen >= 5


async def test_a_refusal_of_an_open_command_is_for_the_person_alone(tmp_path: Path) -> None:
    async with talking(tmp_path, check_errors=False) as world:
        result = await world.alice.slash(world.channel, "persona use", name="Nobody")
        assert world.said() == []
        assert [one.ephemeral for one in result.followups] == [True]
        assert "There is no persona «Nobody»" in result.followups[0].content
