"""Buttons that are pressed a month after they were shown: they work, or say plainly why not."""

import asyncio
from pathlib import Path
from typing import Any

from test_rights_of_controls import press, told
from worlds import QUICK, World, labels, new_bot, talking

from cogs.commands.lost import LOST
from cogs.rights.rules import NO_LONGER

MONTH_SECONDS = 31 * 24 * 3600.0


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
