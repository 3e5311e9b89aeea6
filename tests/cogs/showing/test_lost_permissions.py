"""A guild that takes every permission away while a reply streams, and gives them back."""

import logging
from pathlib import Path

import discord
import pytest
from worlds import World, held, labels, let, talking

from bot.chat.messages import TurnState

WORDS = "It was a long way down to the harbour, and nobody spoke until they had come there. "


def take_away(world: World) -> dict[int, int]:
    """Every permission of everybody's; returns what was there."""
    backend = world.env.backend
    roles = backend.get_guild(world.guild.id).roles
    before = {role.id: role.permissions for role in roles.values()}
    for number in before:
        backend.edit_role(world.guild.id, number, {"permissions": 0})
    return before


def give_back(world: World, before: dict[int, int]) -> None:
    for number, permissions in before.items():
        world.env.backend.edit_role(world.guild.id, number, {"permissions": permissions})


async def test_a_reply_ends_as_far_as_shown_and_goes_on_once_it_may(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    engine, gate = held(WORDS * 40, "I am back.", letters=20)
    async with talking(tmp_path, engine=engine) as world:
        let(gate, 6)
        await world.ask("one")
        await world.pass_time(1)
        shown = world.said()[0]
        assert WORDS.startswith(shown[:20])
        before = take_away(world)
        requests = len(world.env.http_requests)
        with caplog.at_level(logging.INFO, "cogs"):
            let(gate, 20)
            await world.pass_time(5)
            let(gate)
            await world.pass_time(60)
        assert len(world.env.http_requests) - requests <= 3
        lines = [r for r in caplog.records if r.name.startswith("cogs") and r.levelno > 20]
        assert [line.getMessage()[:9] for line in lines] == ["A reply i"]
        assert not [record for record in caplog.records if record.exc_info]
        assert len(engine.cancelled) == 1  # no model's time for what nobody can see
        reply = (await world.turns())[1]
        assert (reply.text, reply.state) == (shown, TurnState.CUT)
        assert world.bot.conversations.running(reply.channel) is None

        give_back(world, before)
        await world.ask("two")
        assert world.said()[-1] == "I am back."
        # The old one has the Stop button yet; pressed, it becomes what it is.
        assert labels(world.messages()[0]) == ["Stop"]
        await world.alice.click(world.messages()[0], label="Stop")
        assert labels(world.messages()[0]) == ["Regenerate", "Continue", "Delete"]


async def test_a_whole_reply_that_cannot_be_shown_to_its_end_counts_as_far_as_shown(
    tmp_path: Path,
) -> None:
    engine, gate = held(WORDS * 3, letters=20)
    async with talking(tmp_path, engine=engine) as world:
        let(gate, 4)
        await world.ask("one")
        await world.pass_time(1)
        shown = world.said()[0]
        take_away(world)
        let(gate)
        await world.pass_time(5)
        reply = (await world.turns())[1]
        assert reply.text == shown
        assert reply.state is TurnState.CUT


async def test_buttons_pressed_while_nothing_is_allowed_say_so(tmp_path: Path) -> None:
    async with talking(tmp_path, ["First.", "Second."]) as world:
        await world.ask("one")
        guild = world.bot.get_guild(world.guild.id)
        assert guild is not None
        message = world.messages()[0]
        world.env.inject_error("PATCH", "/channels/*/messages/*", status=403)
        result = await world.alice.click(message, label="Regenerate")
        assert isinstance(guild, discord.Guild)
        assert result.acknowledged
        assert len((await world.turns())[1].swipes) == 1
