"""Whatever a person does is acknowledged before anything is asked of the database."""

import asyncio
import logging
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
# Who and where they are is the world's: a function of it.
OPTIONS: dict[str, Any] = {
    "action": "list",
    "book": "Coast",
    "channel": lambda world: world.channel,
    "count": 1,
    "depth": 1,
    "description": "A sailor",
    "file": ("ada.json", b'{"char_name": "Eve", "char_persona": "p"}'),
    "format": "text",
    "id": 1,
    "key": "top_k",
    "member": lambda world: world.bob,
    "mode": "round",
    "name": "Ada",
    "pattern": "bad",
    "persona": "Ada",
    "picture": ("ada.png", picture_bytes()),
    "scenario": "A storm",
    "scope": "channel",
    "since": "2h",
    "side": "both",
    "text": "harbour",
    "then": "mask",
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
    "moderation words": {"action": "add"},
    "moderation purge": {"member": lambda world: world.alice},
    "moderation unblock": {"member": lambda world: str(world.bob.id)},  # blocked just before
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
            given = OPTIONS | {"member": world.bob}
            options = {one.display_name: given[one.display_name] for one in command.parameters}
            options |= OTHERS.get(command.qualified_name, {})
            options = {name: one(world) if callable(one) else one for name, one in options.items()}
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


async def test_every_question_select_and_form_acknowledges_before_it_asks_the_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with talking(tmp_path) as world:
        chief, watch = world.chief, Watch(world, monkeypatch)
        for number in range(8):  # more personas than a page has
            values = {"name": f"Persona {number}"}
            await world.bot.desk.workshop.create(str(world.guild.id), values, "chief")

        async def watched(what: str, doing: Awaitable[Any]) -> Any:
            watch.begin()
            result = await doing
            watch.end(what)
            return result

        async def asked(name: str, /, **options: Any) -> Any:
            return (await chief.slash(world.channel, name, **options)).response

        async def pressed(message: Any, label: str) -> Any:
            return await watched(label, chief.click(message, label=label))

        form = await chief.slash(world.channel, "persona create")
        await watched("the form of create", chief.submit_modal(form, {"name": "Eve"}))
        editor = await asked("persona edit", name="Eve")
        for field, value in (("names", {"name": "Eva"}), ("scenario", {"part-0": "A storm."})):
            opened = await watched(field, chief.select(editor, [field], custom_id="persona-field"))
            await watched(f"form of {field}", chief.submit_modal(opened, value))
        opened = await watched("picture", chief.click(editor, label="Add a picture"))
        picture = {"picture": ("eva.png", picture_bytes())}
        await watched("form of picture", chief.submit_modal(opened, picture))
        for label in ("Remove its picture", "Remove it for good"):
            await pressed(editor, label)
        await pressed(await asked("persona list"), "▶")
        await pressed(await asked("persona edit", name="Ada"), "Make a copy for this server")
        question = await asked("persona delete", name="Eva")
        await pressed(question, "Delete")
        await pressed(question, "Undo")
        await pressed(await asked("persona delete", name="Eva"), "Keep it")
        card = ("ann.json", b'{"char_name": "Ann", "char_persona": "p"}')
        await pressed(await asked("persona import", file=card), "Import")
        question = await asked("persona import", file=card)
        opened = await pressed(question, "Another name")
        await watched("the form of another name", chief.submit_modal(opened, {"name": "Anne"}))
        await pressed(await asked("persona import", file=card), "Cancel")
        await pressed(await asked("lore import", file=("coast.json", LOREBOOK)), "Import")
        question = await asked("lore delete", book="Coast")
        await pressed(question, "Delete")
        await pressed(question, "Undo")
        await world.ask("something", chief)
        summary = await asked("memory summary")
        opened = await pressed(summary, "Rewrite")
        await watched("the form of the summary", chief.submit_modal(opened, {"text": "All sail."}))
        await pressed(summary, "Throw away and rebuild")
        why = await chief.context_menu(world.channel, "Why this reply?", world.messages()[-1])
        await pressed(why.response, "Replay")
        await pressed(why.response, "Delete this reply")


async def test_every_question_of_moderation_and_privacy_acknowledges_before_it_asks_the_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with talking(tmp_path) as world:
        watch = Watch(world, monkeypatch)
        await world.chief.slash(world.channel, "moderation log", channel=world.channel)
        questions: list[tuple[str, dict[str, Any], str]] = [
            ("moderation purge", {"count": 1}, "Cancel"),
            ("moderation purge", {"count": 1}, "Purge"),
            ("moderation log", {}, "Switch off"),
            ("privacy forget", {}, "Keep it"),
            ("privacy forget", {"member": world.alice}, "Erase for good"),
            ("privacy forget", {}, "Erase for good"),
        ]
        for command, options, label in questions:
            await world.ask("something")
            question = (await world.chief.slash(world.channel, command, **options)).response
            watch.begin()
            await world.chief.click(question, label=label)
            watch.end(f"{label} of /{command}")


async def test_a_completion_that_takes_too_long_offers_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Completions can't be deferred: each answers in time, also where the database does not."""

    async def never(*_args: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(interactions, "COMPLETION_SECONDS", 0.05)
    seen = 0
    async with talking(tmp_path) as world:
        with monkeypatch.context() as slow:
            slow.setattr(type(world.database.history.transactions), "read", never)
            for name in ("by_id", "by_name", "listed", "default"):
                slow.setattr(PersonaLibrary, name, never)
            for command in walk(iter(world.bot.tree.get_commands())):
                for option in (one for one in command.parameters if one.autocomplete):
                    key = {"key": "persona"} if option.name == "value" else {}
                    async with asyncio.timeout(5):
                        await world.chief.autocomplete(
                            world.channel, command.qualified_name, option.name, "a", **key
                        )
                    seen += 1
    assert seen >= 5
    assert not [each for each in caplog.records if each.levelno >= logging.ERROR]


async def test_a_refusal_of_an_open_command_is_for_the_person_alone(tmp_path: Path) -> None:
    async with talking(tmp_path, check_errors=False) as world:
        result = await world.alice.slash(world.channel, "persona use", name="Nobody")
        assert world.said() == []
        assert [one.ephemeral for one in result.followups] == [True]
        assert "There is no persona «Nobody»" in result.followups[0].content
