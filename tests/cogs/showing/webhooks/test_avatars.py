"""Personas' pictures as emojis of the application."""

import asyncio
import hashlib
import io
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from PIL import Image
from speaking import last, restart, use
from worlds import World, talking

from bot.chat.persona import Persona
from bot.chat.personas.pictures import HeldPictures, Picture
from bot.errors import PersonaError
from cogs.showing.webhooks import avatars as avatars_module
from cogs.showing.webhooks.avatars import Avatars, emoji_name

ADA = Persona(id="file:ada", name="Ada")
BRAM = Persona(id="file:bram", name="Bram")


def picture_file(size: tuple[int, int] = (300, 500), kind: str = "PNG", color: int = 90) -> bytes:
    output = io.BytesIO()
    Image.new("RGB", size, (color, 20, 40)).save(output, kind)
    return output.getvalue()


def held(content: bytes) -> Picture:
    async def read() -> bytes:
        return content

    return Picture(hashlib.sha256(content).hexdigest(), read)


class ScopedAvatars(Avatars):
    """Whose requests the simulated Discord takes for the bot's, whoever asks."""

    world: World

    async def url(self, persona: Persona) -> str | None:
        with self.world.env._bot_scope():
            return await super().url(persona)

    async def removed(self, digest: str) -> None:
        with self.world.env._bot_scope():
            await super().removed(digest)


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def showing(
    tmp_path: Path, *pictures: tuple[Persona, Picture]
) -> AsyncGenerator[tuple[World, Avatars, HeldPictures, Clock], None]:
    async with talking(tmp_path, lambda _: "Hi.") as world:
        library = HeldPictures({persona.id: picture for persona, picture in pictures})
        clock = Clock()
        made = ScopedAvatars(world.bot, library, clock=clock)
        made.world = world
        world.bot.voices.avatars = made
        yield world, made, library, clock


def emojis(world: World) -> list[str]:
    return [emoji.name for emoji in world.env.backend.application_emojis.values()]


async def test_a_persona_speaks_with_its_picture_made_once(tmp_path: Path) -> None:
    picture = held(picture_file())
    async with showing(tmp_path, (ADA, picture)) as (world, _, library, _clock):
        await use(world)
        for _ in range(2):
            await world.ask("hello?")
        [emoji] = world.env.backend.application_emojis.values()
        sent = [
            entry.json["avatar_url"]
            for entry in world.requests("POST")
            if entry.path.startswith("/webhooks/") and "username" in (entry.json or {})
        ]
        assert sent == 2 * [f"https://cdn.discordapp.com/emojis/{emoji.id}.png"]
        assert emoji.name == emoji_name(picture.digest)
        await restart(world)
        world.bot.voices.avatars = Avatars(world.bot, library)
        await world.ask("hello?")
        assert len(world.requests("POST", "/emojis")) == 1, "found again by its name"
        await use(world, "Bram")
        await world.ask("hello?")
        assert last(world).author.display_name == "Bram"
        sends = [e for e in world.requests("POST") if "username" in (e.json or {})]
        assert "avatar_url" not in sends[-1].json


async def test_all_who_wait_have_it_made_once(tmp_path: Path) -> None:
    shared = held(picture_file())
    async with showing(tmp_path, (ADA, shared), (BRAM, shared)) as (world, made, _, _clock):
        found = await asyncio.gather(*(made.url(who) for who in (ADA, BRAM, ADA, BRAM)))
        assert len(set(found)) == 1
        assert found[0] is not None
        assert len(world.requests("POST", "/emojis")) == 1
        assert len(world.requests("GET", "/emojis")) == 1


async def test_a_picture_that_takes_long_comes_with_a_later_message(tmp_path: Path) -> None:
    come = asyncio.Event()
    content = picture_file()

    async def read() -> bytes:
        await come.wait()
        return content

    picture = Picture(hashlib.sha256(content).hexdigest(), read)
    async with showing(tmp_path, (ADA, picture)) as (world, _, library, _clock):
        made = ScopedAvatars(world.bot, library, patience_seconds=0.0)
        made.world = world
        assert await made.url(ADA) is None
        come.set()
        await asyncio.wait(set(made._making.values()))
        assert await made.url(ADA) is not None


@pytest.mark.parametrize("status", [403, 429, 500])
async def test_what_fails_is_said_once_and_tried_again_later(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    async with showing(tmp_path, (ADA, held(picture_file()))) as (world, made, _, clock):
        caplog.set_level(logging.WARNING, "cogs.showing.webhooks.avatars")
        world.env.inject_error("POST", "/applications/*/emojis", status=status, times=2)
        for _ in range(3):
            assert await made.url(ADA) is None
        clock.now += avatars_module.FAILED_SECONDS
        assert await made.url(ADA) is None
        assert len(world.requests("POST", "/emojis")) == 2
        said = [each for each in caplog.records if each.name == avatars_module.__name__]
        assert len(said) == 1
        clock.now += avatars_module.FAILED_SECONDS
        assert await made.url(ADA) is not None


async def test_pictures_that_cannot_be_had(tmp_path: Path) -> None:
    async def broken() -> bytes:
        raise PersonaError("ada.png cannot be read.")

    async def nonsense() -> bytes:
        return b"\x89PNG\r\n\x1a\n nonsense"

    class Faulty(HeldPictures):
        async def find(self, persona: Persona) -> Picture | None:
            if persona.id == "bad":
                raise PersonaError("The store is away.")
            return await super().find(persona)

    async with showing(tmp_path) as (world, _, _library, _clock):
        library = Faulty({"a": Picture("ab" * 32, broken), "b": Picture("cd" * 32, nonsense)})
        made = ScopedAvatars(world.bot, library)
        made.world = world
        for reference in ("a", "b", "bad", "none"):
            assert await made.url(Persona(id=reference, name="X")) is None
        assert emojis(world) == []


async def test_a_full_store_frees_what_nobody_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(avatars_module, "EMOJIS", 4)
    monkeypatch.setattr(avatars_module, "FREED_AT_ONCE", 1)
    first, second = held(picture_file()), held(picture_file(color=1))
    async with showing(tmp_path, (ADA, first), (BRAM, second)) as (world, made, _, _clock):
        backend = world.env.backend
        for name in ("smile", "persona_old", "persona_older"):
            backend.create_application_emoji(name)
        assert await made.url(ADA) is not None
        assert await made.url(BRAM) is not None
        assert emojis(world) == [
            *("smile", "persona_older"),
            *(emoji_name(first.digest), emoji_name(second.digest)),
        ]


async def test_discord_says_that_it_is_full(tmp_path: Path) -> None:
    first = held(picture_file())
    async with showing(tmp_path, (ADA, first)) as (world, made, _, clock):
        world.env.inject_error("POST", "/applications/*/emojis", status=400, code=30008)
        assert await made.url(ADA) is None, "nothing is ours to free"
        clock.now += avatars_module.FAILED_SECONDS
        world.env.backend.create_application_emoji("persona_old")
        world.env.inject_error("POST", "/applications/*/emojis", status=400, code=30008)
        assert await made.url(ADA) is not None
        assert emojis(world) == [emoji_name(first.digest)]


async def test_a_picture_goes_with_its_persona_and_an_address_may_be_refused(
    tmp_path: Path,
) -> None:
    first = held(picture_file())
    async with showing(tmp_path, (ADA, first)) as (world, made, _, clock):
        url = await made.url(ADA)
        assert url is not None
        made.refused(url)
        assert await made.url(ADA) is None
        clock.now += avatars_module.FAILED_SECONDS
        assert await made.url(ADA) == url
        await made.removed(first.digest)
        await made.removed(first.digest)
        assert emojis(world) == []
        assert await made.url(ADA) not in (None, url)


async def test_a_refused_address_costs_the_picture_and_not_the_message(tmp_path: Path) -> None:
    async with showing(tmp_path, (ADA, held(picture_file()))) as (world, _, _library, _clock):
        await use(world)
        world.env.inject_error(
            "POST", "/webhooks/*", status=400, code=50035, message="In avatar_url: no"
        )
        await world.ask("hello?")
        assert last(world).author.display_name == "Ada"
        assert last(world).content.endswith("\nHi.")


def test_names_are_what_discord_takes() -> None:
    name = emoji_name("AB" * 32)
    assert 2 <= len(name) <= 32
    assert name.replace("_", "").isalnum()
