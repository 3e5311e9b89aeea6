"""A persona's greeting in Discord: after a reset and a first `use`, with alternates as swipes."""

import asyncio
from pathlib import Path

from worlds import World, labels, talking

CARD = """
name = "Nessa"
description = "{{char}} rows a boat."
greeting = "Ahoy, {{user}}!"
alternate_greetings = ["You again, {{user}}."]
"""


async def with_nessa(world: World) -> None:
    card = world.personas_folder / "nessa.toml"
    await asyncio.to_thread(card.write_text, CARD)
    library = world.bot.desk.library
    await library.refresh()
    await world.bob.slash(world.channel, "persona use", name="Nessa")


def spoken(world: World) -> list[str]:
    return [message.content for message in world.messages() if message.author.name == "Nessa"]


async def test_the_first_use_is_greeted_in_the_personas_voice_with_swipes(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        await with_nessa(world)
        assert spoken(world) == ["Ahoy, Bob!"]
        greeting = world.messages()[-1]
        assert "1/2 ▶" in labels(greeting)
        await world.bob.click(greeting, label="1/2 ▶")
        assert spoken(world) == ["You again, Bob."]
        await world.ask("Who are you?")
        assert "You again, Bob." in world.engine.requests[-1].prompt
        await world.bob.slash(world.channel, "persona use", name="Ada")
        await world.bob.slash(world.channel, "persona use", name="Nessa")
        assert len([text for text in spoken(world) if "Bob" in text]) == 1


async def test_a_reset_is_greeted_and_its_undo_takes_that_back(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        await with_nessa(world)
        await world.ask("remember the fish")
        await world.alice.slash(world.channel, "chat reset")
        assert spoken(world)[-1] == "Ahoy, Alice!"
        notice = next(m for m in world.messages() if "new conversation" in m.content)
        await world.alice.click(notice, label="Undo")
        assert "Ahoy, Alice!" not in spoken(world)
        await world.ask("what animal?")
        assert "fish" in world.engine.requests[-1].prompt
        assert "Ahoy, Bob!" in world.engine.requests[-1].prompt
        assert "Alice!" not in world.engine.requests[-1].prompt


async def test_who_has_no_greeting_says_nothing(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        await world.bob.slash(world.channel, "persona use", name="Ada")
        await world.bob.slash(world.channel, "chat reset")
        assert await world.turns() == []
