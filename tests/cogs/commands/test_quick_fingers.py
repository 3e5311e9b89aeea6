"""People press faster than Discord lets a message change."""

import asyncio
from pathlib import Path

import discord
import pytest
from worlds import QUICK, World, labels, talking

from bot.chat.messages import Turn
from cogs.client import CaduceusBot
from cogs.showing.pacing import Pace

SLOW = Pace(
    edit_seconds=1.0,
    first_text_seconds=0.0,
    busy_seconds=10.0,
    typing_seconds=8.0,
    retry_seconds=QUICK.retry_seconds,
)
LONG = "\n\n".join(f"Paragraph {number}. " + "longest " * 60 for number in range(6)).strip()
SHORT = "Second."


async def press(world: World, *names: str) -> None:
    """Ask, have four swipes written, and press while the buttons' edits still wait."""
    await world.ask("one")
    for _ in range(3):
        await world.alice.click(world.messages()[-1], label="Regenerate")
    turn = (await world.turns())[1]
    channel = world.bot.get_channel(world.channel.id)
    assert isinstance(channel, discord.TextChannel)
    with world.env._bot_scope():
        tasks: list[asyncio.Task[None]] = []
        for number, name in enumerate(names):
            tasks.append(asyncio.create_task(do(world.bot, turn, channel, name, number)))
            async with asyncio.timeout(10):
                while (await world.database.history.turn(turn.turn_id)) == turn:  # noqa: ASYNC110
                    await asyncio.sleep(0)
            turn = await world.database.history.turn(turn.turn_id)
    await world.pass_time(30)
    for task in tasks:
        await task


async def do(
    bot: CaduceusBot, turn: Turn, channel: discord.TextChannel, name: str, number: int
) -> None:
    """What a button does, without simcord waiting for its end."""
    if name == "◀":
        turn = await bot.conversations.swipe(turn.turn_id, -1)
        await bot.serving.show(turn, channel, f"button{number}")
    else:
        reply = await bot.conversations.regenerate(turn.turn_id)
        await bot.serving.deliver(reply, channel, f"button{number}")


@pytest.mark.parametrize("second", [SHORT, LONG])
async def test_swiping_fast_ends_at_the_last_swipe_and_mixes_up_no_texts(
    tmp_path: Path, second: str
) -> None:
    replies = ["First.", second, "Third.", "Fourth."]
    async with talking(tmp_path, replies, pace=SLOW) as world:
        await press(world, "◀", "◀", "◀")
        turn = (await world.turns())[1]
        assert [swipe.text for swipe in turn.swipes] == replies
        assert turn.text == "First."
        assert world.said() == ["First."]
        assert "1/4 ▶" in labels(world.messages()[0])
        assert turn.message_ids == (str(world.messages()[0].id),)


async def test_swiping_fast_to_a_long_swipe_shows_all_of_it(tmp_path: Path) -> None:
    async with talking(tmp_path, ["First.", LONG, "Third.", "Fourth."], pace=SLOW) as world:
        await press(world, "◀", "◀")
        turn = (await world.turns())[1]
        assert len(world.said()) == 2
        assert turn.message_ids == tuple(str(message.id) for message in world.messages())
        assert labels(world.messages()[0]) == []


@pytest.mark.parametrize("second", [SHORT, LONG])
async def test_regenerating_while_a_swipe_is_being_shown_shows_the_new_reply(
    tmp_path: Path, second: str
) -> None:
    replies = ["First.", second, "Third.", "Fourth.", "Fifth."]
    async with talking(tmp_path, replies, pace=SLOW) as world:
        await press(world, "◀", "◀", "Regenerate")
        turn = (await world.turns())[1]
        assert [swipe.text for swipe in turn.swipes] == replies
        assert turn.text == "Fifth."
        assert world.said() == ["Fifth."]
        assert turn.message_ids == (str(world.messages()[0].id),)
