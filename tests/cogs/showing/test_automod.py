"""A server's own AutoMod refuses what the bot writes: a plain line, not a fault."""

import logging
from pathlib import Path

import discord
import pytest
import simcord
from worlds import World, held, labels, let, talking

from bot.chat.messages import TurnState

LINE = "⚠️ This server's AutoMod did not let my reply through."
MESSAGES = "/channels/*/messages"
A_MESSAGE = "/channels/*/messages/*"


def refuse(world: World, method: str, path: str, code: int = 200000, times: int = 1) -> None:
    """AutoMod does not let the next messages through."""
    world.env.inject_error(method, path, status=400, code=code, times=times)


async def log_of(world: World) -> simcord.ChannelHandle:
    channel = world.guild.create_text_channel("mod-log")
    await world.chief.slash(world.channel, "moderation log", channel=channel)
    return channel


@pytest.mark.parametrize("code", [200000, 200001])
async def test_a_reply_that_is_refused_at_once(
    tmp_path: Path, code: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with talking(tmp_path, ["Something foul.", "Something fair."]) as world:
        log = await log_of(world)
        refuse(world, "POST", MESSAGES, code)
        with caplog.at_level(logging.WARNING):
            await world.ask("say something")
        assert world.said() == [LINE]
        assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
        turns = await world.turns()
        assert [turn.text for turn in turns] == ["say something"], "it was never shown"
        await world.ask("again")
        assert world.said() == [LINE, "Something fair."]
        await world.pass_time(10)
        lines = "\n".join(message.content for message in log.history()).split("\n")
        assert lines[1:] == [
            "**AutoMod** This server's AutoMod did not let a reply of mine through"
            f" · in <#{world.channel.id}>"
        ]


async def test_a_reply_that_is_refused_while_it_streams_is_kept_as_it_was_shown(
    tmp_path: Path,
) -> None:
    engine, gate = held("A fine beginning. Then something foul, and so on and on.", letters=17)
    async with talking(tmp_path, engine=engine) as world:
        await world.ask("tell me")
        let(gate, 1)
        await world.pass_time(1)
        assert world.said() == ["A fine beginning."]
        refuse(world, "PATCH", A_MESSAGE)
        let(gate, 1)
        await world.pass_time(1)
        assert world.said() == ["A fine beginning.", LINE]
        assert len(engine.cancelled) == 1, "nothing more is written"
        reply = (await world.turns())[-1]
        assert (reply.text, reply.state) == ("A fine beginning.", TurnState.CUT)
        assert "Stop" not in labels(world.messages()[0])
        assert "Delete" in labels(world.messages()[0])
        let(gate)
        await world.pass_time(5)
        assert world.said() == ["A fine beginning.", LINE]


async def test_the_last_edit_refused_leaves_what_was_shown(tmp_path: Path) -> None:
    engine, gate = held("A fine beginning. Then the foul end.", letters=17)
    async with talking(tmp_path, engine=engine) as world:
        await world.ask("tell me")
        let(gate, 1)
        await world.pass_time(1)
        refuse(world, "PATCH", A_MESSAGE)
        let(gate)
        await world.pass_time(3)
        assert world.said() == ["A fine beginning.", LINE]
        reply = (await world.turns())[-1]
        assert (reply.text, reply.state) == ("A fine beginning.", TurnState.CUT)
        edits = len(world.requests("PATCH"))
        await world.pass_time(60)
        assert len(world.requests("PATCH")) == edits, "it is not tried again and again"


async def test_the_line_takes_the_place_of_the_one_about_the_wait(tmp_path: Path) -> None:
    engine, gate = held("Something foul.")
    async with talking(tmp_path, engine=engine) as world:
        await world.ask("tell me")
        await world.pass_time(12)
        assert "busy" in world.said()[0]
        refuse(world, "PATCH", A_MESSAGE)
        let(gate)
        await world.pass_time(3)
        assert world.said() == [LINE]
        assert labels(world.messages()[0]) == []


async def test_a_personas_message_is_not_said_by_the_bot_instead(tmp_path: Path) -> None:
    async with talking(tmp_path, ["Something foul."]) as world:
        await world.chief.slash(world.channel, "settings set", key="persona", value="Ada")
        refuse(world, "POST", "/webhooks/*")
        await world.ask("say something")
        assert world.said() == [LINE]
        assert world.messages()[0].author.id == world.bot.user.id  # type: ignore[union-attr]
        assert len(await world.turns()) == 1


async def test_a_refused_swipe_leaves_the_one_before(tmp_path: Path) -> None:
    async with talking(tmp_path, ["Something fair.", "Something foul."]) as world:
        await world.ask("say something")
        refuse(world, "PATCH", A_MESSAGE)
        await world.alice.click(world.messages()[0], label="Regenerate")
        await world.pass_time(3)
        assert world.said()[0] == "Something fair."
        assert LINE in world.said()
        reply = (await world.turns())[-1]
        assert (reply.text, len(reply.swipes)) == ("Something fair.", 1)
        assert "Regenerate" in labels(world.messages()[0])


async def test_a_swipe_turned_to_that_is_refused_is_told_to_who_pressed(tmp_path: Path) -> None:
    async with talking(tmp_path, ["Something fair.", "Something else."]) as world:
        await world.ask("say something")
        await world.alice.click(world.messages()[0], label="Regenerate")
        refuse(world, "PATCH", A_MESSAGE)
        result = await world.alice.click(world.messages()[0], label="◀")
        assert result.followups[0].content == LINE.removeprefix("⚠️ ")
        assert isinstance(world.messages()[0], discord.Message)
