"""A server's own persona gets a picture, another one, or none, and speaks with it."""

from pathlib import Path
from typing import Any

import pytest
import simcord
from making_cards import picture_bytes
from worlds import World, talking

from bot.chat.persona import Persona
from bot.chat.personas.documents import FILE_BYTES
from bot.errors import NotAllowed, PersonaError

FIRST = picture_bytes((40, 60), "JPEG")
SECOND = picture_bytes((60, 40), "WEBP")


def shown(result: simcord.InteractionResult) -> Any:
    assert result.response is not None
    return result.response


def labels(result: simcord.InteractionResult) -> list[str]:
    return [
        child.get("label", "") for row in shown(result).components for child in row["components"]
    ]


def refusals(world: World) -> list[type[BaseException]]:
    return [type(getattr(error, "original", error)) for error in world.env.errors]


async def created(world: World, picture: tuple[str, bytes]) -> simcord.InteractionResult:
    form = await world.chief.slash(world.channel, "persona create", picture=picture)
    return await world.chief.submit_modal(form, {"name": "Eve"})


async def own(world: World, name: str) -> Persona:
    found = await world.bot.desk.personas.find(str(world.guild.id), name)
    assert found is not None
    assert found.guild_id is not None
    return found


async def has_picture(world: World, name: str) -> bool:
    return await world.bot.desk.pictures.find(await own(world, name)) is not None


async def face(world: World) -> str | None:
    """The address of the picture that the persona speaks with, asked now."""
    await world.ask("hello?")
    sent = [one for one in world.requests("POST") if "username" in (one.json or {})]
    return sent[-1].json.get("avatar_url")


def emojis(world: World) -> list[str]:
    return [f"{number}" for number in world.env.backend.application_emojis]


async def test_a_picture_is_set_changed_and_removed(tmp_path: Path) -> None:
    async with talking(tmp_path, lambda _: "Hi.") as world:
        result = await created(world, ("eve.jpg", FIRST))
        assert "Its picture is set." in shown(result).content
        assert [one.filename for one in shown(result).attachments] == ["picture.png"]
        assert shown(result).embeds[0].thumbnail.url
        await world.bob.slash(world.channel, "persona use", name="Eve")
        first = await face(world)
        [emoji] = emojis(world)
        assert first is not None
        assert emoji in first
        form = await world.chief.click(shown(result), label="Change its picture")
        await world.chief.submit_modal(form, {"picture": ("other.webp", SECOND)})
        assert shown(result).content == "Saved."
        assert emojis(world) == [], "that of the old picture is free"
        second = await face(world)
        assert second is not None
        assert second != first
        await world.chief.click(shown(result), label="Remove its picture")
        assert await has_picture(world, "Eve"), "asked once more"
        await world.chief.click(shown(result), label="Remove it for good")
        assert shown(result).content == "The picture is removed."
        assert labels(result)[-1] == "Add a picture"
        assert shown(result).attachments == []
        assert emojis(world) == []
        assert await face(world) is None


async def test_a_picture_comes_with_the_command_also_for_a_copy(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        await world.bot.desk.workshop.create(str(world.guild.id), {"name": "Eve"}, "1")
        result = await world.chief.slash(
            world.channel, "persona edit", name="Eve", picture=("eve.png", FIRST)
        )
        assert "Its picture is set." in shown(result).content
        assert await has_picture(world, "Eve")
        result = await world.chief.slash(
            world.channel, "persona edit", name="Ada", picture=("ada.png", SECOND)
        )
        await world.chief.click(shown(result), label="Make a copy for this server")
        assert await has_picture(world, "Ada (2)")


async def test_what_is_no_picture_is_said_and_costs_nothing_else(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        result = await created(world, ("eve.png", b"hello"))
        assert "not taken: eve.png is not a picture" in shown(result).content
        assert not await has_picture(world, "Eve")
        form = await world.chief.click(shown(result), label="Add a picture")
        refused = await world.chief.submit_modal(form, {"picture": ("eve.gif", FIRST[:60])})
        assert "eve.gif" in refused.followups[-1].content
        assert refusals(world) == [PersonaError]
        assert not await has_picture(world, "Eve")


@pytest.mark.parametrize("command", ["create", "edit"])
async def test_a_picture_is_refused_before_anything_is_asked(tmp_path: Path, command: str) -> None:
    options = {"name": "Ada"} if command == "edit" else {}
    large = ("large.png", b"x" * (FILE_BYTES + 1))
    async with talking(tmp_path) as world:
        await world.chief.slash(world.channel, f"persona {command}", picture=large, **options)
        await world.mod.slash(
            world.channel, f"persona {command}", picture=("a.png", FIRST), **options
        )
        assert refusals(world) == [PersonaError, NotAllowed]
