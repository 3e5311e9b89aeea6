"""What takes something away, or costs a reply, pressed twice before its end: it is done once."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import simcord
from simcord import actors
from worlds import World, talking

from cogs.commands.lost import LOST
from cogs.interactions import ALREADY


class Held:
    """Something of the bot's that waits, and then does what it did."""

    def __init__(self, original: Callable[..., Any]) -> None:
        self._original = original
        self.going = asyncio.Event()
        self.calls = 0

    async def __call__(self, *args: Any, **options: Any) -> Any:
        self.calls += 1
        await self.going.wait()
        return await self._original(*args, **options)


async def asked_for(world: World, what: str) -> simcord.InteractionResult:
    """The answer under which the button stands."""
    match what:
        case "Purge":
            return await world.chief.slash(world.channel, "moderation purge", count=1)
        case "Erase for good":
            return await world.chief.slash(world.channel, "privacy forget", member=world.alice)
        case _:
            reply = world.messages()[-1]
            return await world.mod.context_menu(world.channel, "Why this reply?", reply)


def owner_of(world: World, what: str) -> tuple[object, str]:
    """What does it."""
    return {
        "Purge": (world.bot.moderation.purger, "purge"),
        "Erase for good": (world.bot.erasure.forgetting, "forget"),
        "Replay": (world.bot.replays, "replay"),
    }[what]


@pytest.mark.parametrize("what", ["Purge", "Replay"])  # the other button goes at the first press
async def test_what_is_pressed_again_while_it_is_done_is_done_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    async with talking(tmp_path, lambda _: "Well.", check_errors=False) as world:
        world.env.settle_timeout = 60.0  # an erasure passes over the files
        await world.ask("one")
        asked = await asked_for(world, what)
        owner, name = owner_of(world, what)
        held = Held(getattr(owner, name))
        monkeypatch.setattr(owner, name, held)
        actor = world.mod if what == "Replay" else world.chief
        # One after the other, the first of which is not done.
        pressed = [await actor.click(asked.response, label=what) for _ in range(2)]
        second = pressed[1].followups[-1] if pressed[1].followups else pressed[1].response
        assert second is not None
        held.going.set()
        await world.env.settle()
        assert held.calls == 1
        assert second.content in (ALREADY, LOST)
        assert not world.bot.doing


@pytest.mark.parametrize("what", ["Purge", "Erase for good", "Replay"])
async def test_what_is_pressed_twice_in_one_moment_is_done_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    async with talking(tmp_path, lambda _: "Well.", check_errors=False) as world:
        world.env.settle_timeout = 60.0  # an erasure passes over the files
        await world.ask("one")
        asked = await asked_for(world, what)
        owner, name = owner_of(world, what)
        held = Held(getattr(owner, name))
        held.going.set()
        monkeypatch.setattr(owner, name, held)
        actor = world.mod if what == "Replay" else world.chief
        dispatched: list[dict[str, Any]] = []
        state: Any = world.bot._connection
        original = state.parse_interaction_create

        def twice(data: dict[str, Any]) -> None:
            dispatched.append(data)
            original(data)
            record, again = actors._interactions.base_payload(
                world.env.backend,
                type=data["type"],
                channel_id=world.channel.id,
                guild_id=world.guild.id,
                user_id=actor.id,
                data=data["data"],
            )
            record.source_message_id = int(data["message"]["id"])
            original({**again, "message": data["message"]})

        monkeypatch.setitem(state.parsers, "INTERACTION_CREATE", twice)
        await actor.click(asked.response, label=what)
        await world.env.settle()
        assert len(dispatched) == 1
        assert held.calls == 1
        assert not world.bot.doing
