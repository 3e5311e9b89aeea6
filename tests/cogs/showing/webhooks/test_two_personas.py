"""Several personas in one channel, each in its own voice."""

from pathlib import Path

from worlds import World, talking

from bot.chat.talk.casting import Casts


class Beside:
    """Bram beside the main persona, everywhere."""

    async def cast(self, scope_id: str) -> list[str]:
        return ["file:bram"]


async def with_both(world: World) -> None:
    beside: Casts = Beside()
    world.bot.conversations.casting._casts = beside
    await world.bob.slash(world.channel, "persona use", name="Ada")


def voices(world: World) -> list[tuple[str, str]]:
    """Who said what, in the personas' voices."""
    said = ((message.author.name, message.content) for message in world.messages())
    return [(name, text.split("\n")[-1]) for name, text in said if name in ("Ada", "Bram")]


async def test_who_is_named_answers_in_its_own_voice_in_the_order_named(tmp_path: Path) -> None:
    async with talking(tmp_path, ["Aye.", "Indeed."]) as world:
        await with_both(world)
        await world.ask("Bram and Ada?")
        assert voices(world) == [("Bram", "Aye."), ("Ada", "Indeed.")]
        turns = [turn for turn in await world.turns() if turn.role == "bot"]
        assert [turn.persona_id for turn in turns] == ["file:bram", "file:ada"]
        assert turns[0].asked_by == turns[1].asked_by == {str(world.alice.id)}


async def test_a_persona_that_is_named_answers_the_other(tmp_path: Path) -> None:
    async with talking(tmp_path, ["Ask Bram.", "No, ask Ada.", "I did.", "Well."]) as world:
        await with_both(world)
        await world.ask("Who knows?")
        assert voices(world) == [("Ada", "Ask Bram."), ("Bram", "No, ask Ada."), ("Ada", "I did.")]


async def test_a_reply_to_a_personas_message_is_answered_by_that_one(tmp_path: Path) -> None:
    async with talking(tmp_path, ["Aye.", "Of course."]) as world:
        await with_both(world)
        await world.ask("Bram?")
        bram = next(message for message in world.messages() if message.author.name == "Bram")
        await world.alice.send(world.channel, "Really?", reply_to=bram)
        assert voices(world)[-1] == ("Bram", "Of course.")
