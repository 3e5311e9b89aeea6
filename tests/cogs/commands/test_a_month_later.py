"""Buttons that are pressed a month after they were shown: they work, or say plainly why not."""

import asyncio
from pathlib import Path
from typing import Any

from panels import Panel
from test_rights_of_controls import press, told
from worlds import QUICK, World, labels, new_bot, talking

from cogs.commands.lost import LOST
from cogs.rights.rules import NO_LONGER

MONTH_SECONDS = 31 * 24 * 3600.0


def id_of(message: Any, label: str) -> str:
    """The id of a message's button, which goes when its time is over."""
    components = [one for row in message.components for one in row["components"]]
    return next(one["custom_id"] for one in components if one.get("label") == label)


async def later(world: World, folder: Path) -> None:
    """A month goes by, with a restart in it."""
    await world.pass_time(MONTH_SECONDS)
    personas = folder / "personas"
    bot = await asyncio.to_thread(new_bot, world.database, personas, world.engine, QUICK)
    await world.env.restart_bot(bot)
    world.bot = bot


async def test_the_buttons_of_a_reply_work(tmp_path: Path) -> None:
    async with talking(tmp_path, ["First.", " Second.", "Third."]) as world:
        await world.ask("one")
        await later(world, tmp_path)
        await world.alice.click(world.messages()[0], label="Continue")
        assert world.said() == ["First. Second."]
        await world.alice.click(world.messages()[0], label="Delete")
        assert world.said() == []


async def test_the_undo_of_a_reset_works(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        await world.ask("one")
        await world.alice.slash(world.channel, "chat reset")
        message = next(one for one in world.messages() if "Undo" in labels(one))
        await later(world, tmp_path)
        await world.bob.click(message, label="Undo")
        assert "The earlier conversation goes on." in world.said()


async def test_an_editor_has_had_its_time(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        await world.bot.desk.workshop.create(str(world.guild.id), {"name": "Eve"}, "chief")
        shown = (await world.chief.slash(world.channel, "persona edit", name="Eve")).response
        assert shown is not None
        await later(world, tmp_path)
        result = await press(world.chief, world.channel, shown.message, "persona-picture")
        assert told(result) == LOST


async def test_a_reply_that_is_kept_no_longer_says_so_in_every_button(tmp_path: Path) -> None:
    """As after its guild's data has gone: the message may still stand there."""
    async with talking(tmp_path) as world:
        await world.ask("one")
        turn = (await world.turns())[1]
        for each in await world.turns():
            await world.database.history.delete_turn(each.turn_id)
        await later(world, tmp_path)
        [message] = world.messages()

        async def said(deed: str, actor: Any) -> str:
            custom_id = f"caduceus:{deed}:{turn.turn_id}"
            return told(await press(actor, world.channel, message, custom_id))

        for deed in ("stop", "regenerate", "continue", "back", "forth", "delete", "replay"):
            assert await said(deed, world.chief) == NO_LONGER, deed


async def test_the_undo_of_an_undo_works(tmp_path: Path) -> None:
    async with talking(tmp_path, ["First."]) as world:
        await world.ask("one")
        await world.alice.slash(world.channel, "chat undo")
        message = next(one for one in world.messages() if "Undo" in labels(one))
        await later(world, tmp_path)
        await world.bob.click(message, label="Undo")
        assert "The last exchange is back." in world.said()


async def test_a_reply_is_replayed(tmp_path: Path) -> None:
    async with talking(tmp_path, lambda _request: "First.") as world:
        await world.ask("one")
        [message] = world.messages()
        why = (await world.mod.context_menu(world.channel, "Why this reply?", message)).response
        assert why is not None
        await later(world, tmp_path)
        result = await world.mod.click(why, label="Replay")
        assert result.response is not None
        assert "The same text came again." in str(result.response.embeds[0].to_dict())


async def test_a_panel_works_as_far_as_what_is_shown_still_holds(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        panel = await Panel.open(world, world.chief, "trigger")
        await later(world, tmp_path)
        await panel.choose("take", "off")
        assert "`trigger` is now off for this channel." in panel.words()


async def test_questions_have_had_their_time_and_nothing_is_taken_away(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        await world.ask("one")
        asked = [
            ("moderation purge", {"count": 1}, "Purge"),
            ("privacy forget", {"member": world.alice}, "Erase for good"),
            ("privacy forget", {}, "Erase for good"),
            ("moderation log", {"channel": world.channel}, ""),
            ("moderation log", {}, "Switch off"),
        ]
        shown: list[tuple[Any, str]] = []
        for command, options, label in asked:
            response = (await world.chief.slash(world.channel, command, **options)).response
            assert response is not None
            if label:
                shown.append((response.message, id_of(response, label)))
        await later(world, tmp_path)
        for message, custom_id in shown:
            assert told(await press(world.chief, world.channel, message, custom_id)) == LOST
        assert len(await world.turns()) == 2
        logs = world.bot.moderation.log_channels
        assert await logs.find("discord", str(world.guild.id)) is not None
