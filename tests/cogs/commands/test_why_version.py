"""«Why this reply?» of a persona that was edited or deleted since: the version that wrote it."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import simcord
from making_cards import as_json, picture_bytes
from worlds import World, talking

from bot.chat.personas.guild.book_files import read_book_file

BOOK = as_json({"entries": {"0": {"uid": 0, "key": ["lantern"], "content": "It burns blue."}}})


async def why(world: World) -> tuple[str, str]:
    """What is told of the last reply, and its prompt."""
    reply = world.messages()[-1]
    told = await world.alice.context_menu(world.channel, "Why this reply?", reply)
    assert told.response is not None
    prompt = (await told.response.attachments[0].read()).decode()
    return told.response.embeds[0].footer.text or "", prompt


async def deleted(world: World) -> simcord.InteractionResult:
    """«Nova» is deleted as people do it; the answer has the Undo."""
    asked = await world.chief.slash(world.channel, "persona delete", name="Nova")
    assert asked.response is not None
    await world.chief.click(asked.response, label="Delete")
    return asked


async def pictured(world: World, persona: Any) -> bool:
    return await world.bot.desk.pictures.find(persona) is not None


async def test_why_is_told_with_the_version_that_wrote_the_reply(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        workshop, guild = world.bot.desk.workshop, str(world.guild.id)
        values = {"name": "Nova", "description": "She maps the stars."}
        nova = await workshop.create(guild, values, "1")
        await world.chief.slash(world.channel, "persona use", name="Nova")
        await world.ask("hello")
        await workshop.edit(nova, {"description": "She digs for coal."}, "1")
        said, prompt = await why(world)
        assert said == "Nova has been edited since: this is the prompt with the version of then."
        assert "maps the stars" in prompt
        assert "coal" not in prompt
        await world.ask("and now?")
        assert "coal" in world.engine.requests[-1].prompt


async def test_for_ten_minutes_a_deleted_persona_still_stands_in_its_turns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with talking(tmp_path) as world:
        workshop, guild = world.bot.desk.workshop, str(world.guild.id)
        values = {"name": "Nova", "description": "She maps the stars."}
        nova = await workshop.create(guild, values, "1")
        await world.chief.slash(world.channel, "persona use", name="Nova")
        await world.ask("hello")
        await workshop.edit(nova, {"scenario": "A ship."}, "1")
        await deleted(world)
        _, prompt = await why(world)
        assert "maps the stars" in prompt
        assert "A ship." not in prompt
        await world.alice.click(world.messages()[-1], label="Regenerate")
        assert "maps the stars" in world.engine.requests[-1].prompt
        assert world.messages()[-1].author.display_name == "Nova"
        await world.ask("who are you?")
        assert "maps the stars" not in world.engine.requests[-1].prompt
        assert world.messages()[-1].author.display_name != "Nova"
        clock = workshop._clock
        monkeypatch.setattr(workshop, "_clock", lambda: clock() + timedelta(minutes=11))
        await workshop.purge()
        [turn] = [one for one in await world.turns() if one.persona == "Nova"]
        explanation = await world.bot.conversations.why(turn.turn_id)
        assert "maps the stars" not in explanation.prompt.text
        assert explanation.persona_since == "gone"


async def test_an_undo_brings_everything_back(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        desk, guild = world.bot.desk, str(world.guild.id)
        nova = await desk.workshop.create(guild, {"name": "Nova", "description": "Old."}, "1")
        await desk.workshop.set_picture(nova, picture_bytes((30, 30)), "1")
        await desk.workshop.edit(nova, {"description": "New."}, "1")
        book = await desk.lorebooks.take(guild, read_book_file("coast.json", BOOK), "1")
        await desk.lorebooks.attach(book, ("persona", nova.id))
        await world.chief.slash(world.channel, "persona add", name="Nova")
        scope = f"discord:{world.channel.id}"
        result = await deleted(world)
        assert not await pictured(world, nova)
        assert result.response is not None
        await world.chief.click(result.response, label="Undo")
        back = await desk.personas.find(guild, "Nova")
        assert back is not None
        assert (back.id, back.description) == (nova.id, "New.")
        assert await pictured(world, back)
        assert await desk.casts.cast(scope) == [nova.id]
        attached = await world.database.lorebooks.attached(guild, [("persona", nova.id)])
        assert [one.name for one in attached] == ["coast"]
        old = await desk.personas.at_version(guild, nova.id, nova.version)
        assert old is not None
        assert old.description == "Old."
