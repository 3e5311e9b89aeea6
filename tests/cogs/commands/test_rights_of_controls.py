"""Every button, select and form, as every kind of member; stale and forged ids."""

import ast
import asyncio
import importlib
import inspect
import pkgutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import discord
import pytest
from discord import app_commands
from membership import (
    DIRECT,
    KINDS,
    MODERATORS,
    OWN,
    OWNER,
    SERVER,
    UNHEARD,
    UNREADING,
    Member,
    Unheard,
    member,
)
from simcord.actors import _dispatch_actor_interaction
from simcord.backend import serializers
from worlds import World, labels, talking

import cogs
from bot.chat.limits.gate import Gate
from bot.chat.messages import Turn
from bot.errors import CaduceusError
from cogs.commands import buttons
from cogs.commands.lost import LOST
from cogs.commands.undo import pack
from cogs.controls import ControlForm, ControlView, KeptControl, require_control
from cogs.platform import bare_key
from cogs.rights.rules import NO_LONGER
from cogs.rights.table import CONTROLS

KIND_OF_CONTROL = (discord.ui.View, discord.ui.LayoutView, discord.ui.Modal, discord.ui.DynamicItem)
EVERYBODY = set(KINDS)
PERSONAS_AND_BOOKS = SERVER | OWNER

# What DESIGN says of each, beside that some are for whoever they were made for alone.
LETS: Mapping[str, set[str]] = {
    "TurnButton": OWN | MODERATORS,
    "UndoButton": EVERYBODY - UNHEARD,
    "UndoDeletion": PERSONAS_AND_BOOKS,
    "PageButton": EVERYBODY,
    "Pages": EVERYBODY,
    "SummaryView": MODERATORS,
    "SummaryForm": MODERATORS,
    "PersonaDeletion": PERSONAS_AND_BOOKS,
    "BookDeletion": PERSONAS_AND_BOOKS,
    "PersonaEditor": PERSONAS_AND_BOOKS,
    "ShortForm": PERSONAS_AND_BOOKS,
    "LongForm": PERSONAS_AND_BOOKS,
    "PictureForm": PERSONAS_AND_BOOKS,
    "CreateForm": PERSONAS_AND_BOOKS,
    "RetryView": PERSONAS_AND_BOOKS,
    "CopyView": PERSONAS_AND_BOOKS,
    "CardImportView": PERSONAS_AND_BOOKS,
    "BookImportView": PERSONAS_AND_BOOKS,
    "NameForm": PERSONAS_AND_BOOKS,
    "ReplayButton": MODERATORS - UNREADING,
    "PanelControl": EVERYBODY,  # to look; a change is asked for as `/settings set`
    "SettingForm": EVERYBODY,  # likewise
    "PurgeView": MODERATORS,
    "LogView": PERSONAS_AND_BOOKS,
    "ForgetView": EVERYBODY,  # their own data; it asks once more for somebody else's
}
FOR_ANYBODY_WHO_MAY = {
    "TurnButton", "UndoButton", "UndoDeletion", "SummaryForm", "ShortForm", "LongForm",
    "PictureForm", "CreateForm", "NameForm", "ReplayButton",
}  # fmt: skip


def modules() -> list[Any]:
    found = pkgutil.walk_packages(cogs.__path__, "cogs.")
    return [importlib.import_module(module.name) for module in found]


def classes() -> list[type]:
    """Every control of ours, but those that only others are made from."""
    every = {
        each
        for module in modules()
        for _, each in inspect.getmembers(module, inspect.isclass)
        if each.__module__.startswith("cogs.") and issubclass(each, KIND_OF_CONTROL)
    }
    parents = {parent for each in every for parent in each.__mro__[1:]}
    return sorted(every - parents, key=lambda each: each.__name__)


def deeds(kind: type) -> list[str]:
    return list(kind.deeds) if issubclass(kind, KeptControl) else [""]


def test_every_control_is_guarded_and_stands_in_the_table() -> None:
    rows: set[str] = set()
    for kind in classes():
        assert issubclass(kind, KeptControl | ControlView | ControlForm), kind
        base = next(b for b in (KeptControl, ControlView, ControlForm) if issubclass(kind, b))
        for name in ("interaction_check", "_scheduled_task", "callback"):
            if name in vars(base):
                assert getattr(kind, name) is getattr(base, name), f"{kind} goes round the table"
        rows |= {f"{kind.__name__} {deed}".strip() for deed in deeds(kind)}
        assert kind.__name__ in LETS, f"say in LETS whom DESIGN lets use {kind.__name__}"
    assert rows == set(CONTROLS)


def test_nobody_makes_a_view_or_form_but_from_the_guarded_ones() -> None:
    """A plain one, with buttons put into it, would be asked nothing."""
    for module in modules():
        if module.__name__ == "cogs.controls":
            continue
        tree = ast.parse(Path(str(module.__file__)).read_text("utf-8"))
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            made = ast.unparse(call.func)
            plain = {f"discord.ui.{each.__name__}" for each in KIND_OF_CONTROL}
            assert made not in plain, f"{module.__name__}:{call.lineno} makes a {made}"


@pytest.fixture
async def none(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """What the buttons of replies would have done."""
    done: list[tuple[str, int]] = []

    def stub(name: str) -> Any:
        async def action(_: discord.Interaction, turn: Turn, __: object) -> None:
            done.append((name, turn.turn_id))

        return action

    for name in buttons.ACTIONS:
        monkeypatch.setitem(buttons.ACTIONS, name, stub(name))  # type: ignore[arg-type]
    return done


async def interaction_of(one: Member, monkeypatch: pytest.MonkeyPatch) -> discord.Interaction:
    """A real interaction of the member's, acknowledged."""
    came: list[discord.Interaction] = []

    async def body(_: object, interaction: discord.Interaction, *__: object) -> None:
        await interaction.response.defer(ephemeral=True)
        came.append(interaction)

    with monkeypatch.context() as patch:
        patch.setattr(app_commands.Command, "_do_call", body)
        where = () if one.kind in DIRECT else (one.place,)
        await one.actor.slash(*where, "status")
    return came[0]


@pytest.mark.parametrize("kind", KINDS)
async def test_every_control_lets_in_whom_the_rules_let_in(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with member(tmp_path, kind) as one:
        interaction = await interaction_of(one, monkeypatch)
        last = await one.world.database.history.last_reply(key(one))
        assert last is not None
        wrong: list[str] = []
        with one.world.env._bot_scope():
            for control in classes():
                for deed in deeds(control):
                    for presser in (one.actor.id, one.actor.id + 1):
                        let = kind in LETS[control.__name__] and (
                            presser == one.actor.id or control.__name__ in FOR_ANYBODY_WHO_MAY
                        )
                        try:
                            await require_control(
                                interaction, control, deed, presser=presser, turn_id=last.turn_id
                            )
                        except CaduceusError:
                            is_let = False
                        else:
                            is_let = True
                        if is_let is not let:
                            wrong.append(f"{control.__name__} {deed}: {is_let}")
        assert not wrong


def key(one: Member) -> Any:
    return bare_key(one.place.id, None if one.kind in DIRECT else one.world.guild.id)


async def press(
    actor: Any, place: Any, message: discord.Message, custom_id: str, **claims: Any
) -> Any:
    """Press a button that stands under a message, whatever its id; `claims` forges the rest."""
    backend = actor._env.backend
    payload = dict(serializers.message_payload(backend, backend.get_message(place.id, message.id)))
    payload["components"] = [
        {"type": 1, "components": [{"type": 2, "style": 2, "label": "x", "custom_id": custom_id}]}
    ]
    data = {"component_type": 2, "custom_id": custom_id}
    return await _dispatch_actor_interaction(
        actor, 3, place, data, extra={"message": payload, **claims}, source_message_id=message.id
    )


def told(result: Any) -> str:
    """What the person alone is told; the message of the button is a response, too."""
    said = [*result.followups, *([result.response] if result.response else [])]
    return " ".join(each.content for each in said if each.ephemeral)


@pytest.mark.parametrize("kind", KINDS)
async def test_each_button_of_a_reply_works_for_whom_the_rules_let(
    tmp_path: Path, kind: str, none: list[tuple[str, int]]
) -> None:
    async with member(tmp_path, kind) as one:
        last = await one.world.database.history.last_reply(key(one))
        assert last is not None
        for deed in buttons.TurnButton.deeds:
            none.clear()
            custom_id = f"caduceus:{deed}:{last.turn_id}"
            result = await press(one.actor, one.place, one.reply, custom_id)
            lets = kind in LETS["TurnButton"]
            assert none == ([(deed, last.turn_id)] if lets else []), deed
            assert bool(told(result)) is not lets


async def test_whoever_asked_but_is_heard_no_more_cannot_have_it_written_anew(
    tmp_path: Path, none: list[tuple[str, int]]
) -> None:
    async with member(tmp_path, "asker") as one:
        one.world.bot.conversations._gate = Gate([Unheard(one.actor.id)])
        last = await one.world.database.history.last_reply(key(one))
        assert last is not None
        for deed in buttons.TurnButton.deeds:
            await press(one.actor, one.place, one.reply, f"caduceus:{deed}:{last.turn_id}")
        done = [deed for deed, _ in none]
        assert done == [d for d in buttons.TurnButton.deeds if d in ("stop", "delete")]


@pytest.mark.parametrize(
    "custom_id",
    [
        "caduceus:delete:0",
        "caduceus:delete:9999999999999999999",  # more than a database counts to
        "caduceus:delete:\N{ARABIC-INDIC DIGIT ONE}{turn}",
        "caduceus:regenerate:-1",
        "caduceus:regenerate:1e3",
        "caduceus:explode:{turn}",
        "caduceus:delete:{turn}:",
        "caduceus:unhide:" + "z" * 80,
        "caduceus:unhide:..",
        "caduceus:unhide:.",
        "caduceus:restore:zzzzzzzzzzzzzzzz",
        "caduceus:restore:..1",
        "caduceus:persona-back:9999999999999999999",
        "caduceus:lore-back:0",
        "caduceus:personas:{user}:999999:forth",
        "caduceus:personas:99999999999999999999:0:forth",
        "x" * 100,
        "\u202e\0caduceus",
    ],
)
async def test_a_forged_id_is_told_of_in_a_line_and_changes_nothing(
    tmp_path: Path, custom_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with talking(tmp_path) as world:
        await world.ask("one")
        turn = (await world.turns())[1]
        before = await world.turns()
        custom_id = custom_id.replace("{turn}", str(turn.turn_id))
        custom_id = custom_id.replace("{user}", str(world.chief.id))
        result = await press(world.chief, world.channel, world.messages()[0], custom_id)
        assert result.acknowledged
        is_page = ":personas:" + str(world.chief.id) in custom_id  # there is a last one always
        assert told(result) or is_page
        assert await world.turns() == before
        assert not [record for record in caplog.records if record.exc_info]


async def test_another_guilds_moderator_reaches_nothing_with_an_id_of_this_one(
    tmp_path: Path, none: list[tuple[str, int]]
) -> None:
    async with talking(tmp_path) as world:
        await world.ask("one")
        turn = (await world.turns())[1]
        other = world.env.create_guild()
        lounge = other.create_text_channel("lounge")
        role = other.create_role("all", permissions=discord.Permissions.all())
        stranger = other.add_member(world.env.create_user("stranger"), roles=[role])
        await stranger.send(lounge, f"{world.me} hello")
        hidden = (await world.turns())[0].turn_id
        for custom_id in (
            f"caduceus:delete:{turn.turn_id}",
            f"caduceus:regenerate:{turn.turn_id}",
            f"caduceus:restore:{_in_36(turn.conversation_id)}",
            f"caduceus:unhide:{_in_36(hidden)}",
        ):
            result = await press(stranger, lounge, world.messages(lounge)[0], custom_id)
            assert told(result), custom_id
        assert none == []
        user = world.bob.user
        await user.send_dm("hello")
        for deed in buttons.TurnButton.deeds:
            message = world.messages(user.dm_channel)[0]
            result = await press(user, user.dm_channel, message, f"caduceus:{deed}:{turn.turn_id}")
            assert NO_LONGER in told(result)
        assert none == []


def _in_36(number: int) -> str:
    return pack([number])


async def test_what_another_channel_hid_stays_hidden(tmp_path: Path) -> None:
    """An id that names a turn of this channel does not open those of others beside it."""
    async with talking(tmp_path) as world:
        den = world.guild.create_text_channel("den")
        await world.bob.send(den, f"{world.me} a secret")
        there = [turn.turn_id for turn in await world.turns(den)]
        await world.bob.slash(den, "chat undo")
        await world.ask("one")
        here = [turn.turn_id for turn in await world.turns()]
        await world.alice.slash(world.channel, "chat undo")
        message = next(one for one in world.messages() if "Undo" in labels(one))
        forged = f"caduceus:unhide:{pack(sorted([*there, *here]))}"
        await press(world.alice, world.channel, message, forged)
        assert [turn.text for turn in await seen(world, world.channel)] == ["one", "Hello, Alice."]
        assert await seen(world, den) == []


async def seen(world: World, place: Any) -> list[Turn]:
    window = await world.database.history.window(bare_key(place.id, world.guild.id), 50)
    return list(window.turns)


async def test_a_button_pressed_twice_at_once_is_done_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with talking(tmp_path) as world:
        await world.ask("one")
        turn = (await world.turns())[1]
        going, done = asyncio.Event(), []

        async def slow(interaction: discord.Interaction, *_: object) -> None:
            done.append(interaction.user.id)
            await going.wait()

        monkeypatch.setitem(buttons.ACTIONS, "delete", slow)  # type: ignore[arg-type]
        message = world.messages()[0]
        custom_id = f"caduceus:delete:{turn.turn_id}"
        await press(world.alice, world.channel, message, custom_id)
        again = await press(world.alice, world.channel, message, custom_id)
        assert "already" in told(again)
        going.set()
        await world.env.settle()
        assert done == [world.alice.id]
        assert not world.bot.doing


async def test_a_copy_is_made_once_where_its_button_is_pressed_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with talking(tmp_path) as world:
        shown = await world.chief.slash(world.channel, "persona edit", name="Ada")
        workshop = world.bot.desk.workshop
        going, take = asyncio.Event(), workshop.take

        async def slow(*given: Any) -> Any:
            await going.wait()
            return await take(*given)

        monkeypatch.setattr(workshop, "take", slow)
        message = shown.response
        await world.chief.click(message, label="Make a copy for this server")
        again = await world.chief.click(message, label="Make a copy for this server")
        assert "already" in told(again)
        going.set()
        await world.env.settle()
        entries = await world.bot.desk.personas.entries(str(world.guild.id))
        assert len([entry for entry in entries if entry.guild_id]) == 1


async def test_a_form_that_comes_back_after_the_right_is_gone_changes_nothing(
    tmp_path: Path,
) -> None:
    async with talking(tmp_path, check_errors=False) as world:
        shown = await world.chief.slash(world.channel, "persona create")
        role = world.env.backend.get_guild(world.guild.id).members[world.chief.id].role_ids
        role.clear()
        result = await world.chief.submit_modal(shown, {"name": "Eve"})
        assert "needs the permission Manage Server" in told(result)
        entries = await world.bot.desk.personas.entries(str(world.guild.id))
        assert not [entry for entry in entries if entry.guild_id]


async def test_an_editor_is_shut_once_the_right_is_gone(tmp_path: Path) -> None:
    async with talking(tmp_path, check_errors=False) as world:
        await world.bot.desk.workshop.create(str(world.guild.id), {"name": "Eve"}, "chief")
        shown = await world.chief.slash(world.channel, "persona edit", name="Eve")
        world.env.backend.get_guild(world.guild.id).members[world.chief.id].role_ids.clear()
        result = await world.chief.select(
            shown.response, ["description"], custom_id="persona-field"
        )
        assert result.modal is None
        assert "needs the permission Manage Server" in told(result)


async def test_controls_of_before_a_restart_say_that_they_have_had_their_time(
    tmp_path: Path,
) -> None:
    async with talking(tmp_path) as world:
        await world.ask("one")
        for custom_id in ("persona-field", "0123456789abcdef0123456789abcdef"):
            result = await press(world.alice, world.channel, world.messages()[0], custom_id)
            assert told(result) == LOST
        form = {"custom_id": "gone", "components": []}
        result = await _dispatch_actor_interaction(world.alice, 5, world.channel, form)
        assert told(result) == LOST


async def test_a_control_without_a_row_is_for_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, none: list[tuple[str, int]]
) -> None:
    async with talking(tmp_path) as world:
        await world.ask("one")
        monkeypatch.delitem(CONTROLS, "TurnButton delete")  # type: ignore[arg-type]
        result = await world.alice.click(world.messages()[0], label="Delete")
        assert "Nobody may use that" in told(result)
        assert none == []
