"""Personas' pictures where a webhook can show them: as emojis of the application.

A webhook's message takes a picture as an address (`avatar_url`). That of an application's emoji on
Discord's CDN neither expires nor needs a host of ours; an attachment's does expire. (Discord's
reference, «Emoji»: 2,000 an application, 256 KiB each, names of 2 to 32 letters, digits and
underscores.)

An emoji is named after the picture's digest: whoever has the picture finds it, also after a
restart. Whatever fails, the persona speaks without a picture.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from functools import partial

import aiohttp
import discord

from bot.chat.persona import Persona
from bot.chat.personas.cards.pictures import emoji_picture
from bot.chat.personas.pictures import PersonaPictures, Picture
from bot.errors import CaduceusError
from cogs.platform import WRITE_ERRORS

EMOJIS = 2_000  # Discord's most
FREED_AT_ONCE = 20
PREFIX = "persona_"
PATIENCE_SECONDS = 3.0  # that a message waits for its picture
FAILED_SECONDS = 600.0  # until a picture that could not be shown is tried again
LISTED_SECONDS = 86_400.0  # until the list is fetched anew: the owner may have deleted some

# Discord's error codes
EMOJIS_FULL = 30008
INVALID_BODY = 50035  # the name is taken, among other things

_FAULTS = (*WRITE_ERRORS, aiohttp.ClientError, CaduceusError)

_log = logging.getLogger(__name__)


def emoji_name(digest: str) -> str:
    """The name of the emoji of a picture with this digest."""
    return f"{PREFIX}{digest.lower()[: 32 - len(PREFIX)]}"


class Avatars:
    """The addresses of personas' pictures."""

    def __init__(
        self,
        client: discord.Client,
        pictures: PersonaPictures,
        *,
        patience_seconds: float = PATIENCE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """The requests are the client's, and so counted with all others."""
        self._client = client
        self._pictures = pictures
        self._patience = patience_seconds
        self._clock = clock
        self._emojis: dict[str, discord.Emoji] = {}  # the application's, by name
        self._listed_at: float | None = None
        self._used: set[str] = set()  # names of pictures shown since the start
        self._failed: dict[str, float] = {}  # names, and when they failed
        self._making: dict[str, asyncio.Task[None]] = {}
        self._one_at_a_time = asyncio.Lock()  # a large picture is much memory

    async def begin(self, persona: Persona) -> None:
        """See to a persona's picture: its message comes later."""
        await self._task_for(persona)

    async def url(self, persona: Persona) -> str | None:
        """The address of a persona's picture; None where it has none, or it takes too long."""
        found = await self._task_for(persona)
        if found is None:
            return None
        name, task = found
        if task is not None:
            await asyncio.wait({task}, timeout=self._patience)
        emoji = self._emojis.get(name)
        return None if emoji is None else emoji.url

    def refused(self, url: str) -> None:
        """Discord did not take an address: it is not tried again for some time."""
        for name, emoji in self._emojis.items():
            if emoji.url == url:
                self._note(name, "Discord does not take its address")

    async def removed(self, digest: str) -> None:
        """No persona has a picture any more: its emoji goes, too."""
        name = emoji_name(digest)
        try:
            async with self._one_at_a_time:
                await self._list()
                self._used.discard(name)
                await self._delete(name)
        except _FAULTS as error:
            _log.warning("The emoji of a persona that is gone stays for now: %s", error)

    async def close(self) -> None:
        """Leave what is being made."""
        tasks = set(self._making.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _task_for(self, persona: Persona) -> tuple[str, asyncio.Task[None] | None] | None:
        """The name of a persona's emoji, and who is making it, where it isn't there."""
        try:
            picture = await self._pictures.find(persona)
        except (CaduceusError, OSError) as error:
            self._note(f"persona {persona.id}", error)
            return None
        if picture is None:
            return None
        name = emoji_name(picture.digest)
        self._used.add(name)
        if self._failed.get(name, -FAILED_SECONDS) + FAILED_SECONDS > self._clock():
            return None
        if name in self._emojis and not self._is_list_old():
            return name, None
        task = self._making.get(name)
        if task is None:
            task = asyncio.create_task(self._make(name, picture), name=f"picture {name}")
            self._making[name] = task
            task.add_done_callback(partial(self._made, name))
        return name, task

    def _made(self, name: str, _task: asyncio.Task[None]) -> None:
        del self._making[name]

    async def _make(self, name: str, picture: Picture) -> None:
        try:
            async with self._one_at_a_time:
                await self._list()
                if name not in self._emojis:
                    content = await picture.read()
                    image = await asyncio.to_thread(emoji_picture, "The picture", content)
                    await self._create(name, image)
            self._failed.pop(name, None)
        except _FAULTS as error:
            self._note(name, error)

    def _note(self, name: str, error: object) -> None:
        level = logging.DEBUG if name in self._failed else logging.WARNING  # said once
        _log.log(level, "A persona speaks without its picture (%s): %s", name, error)
        self._failed[name] = self._clock()

    async def _list(self) -> None:
        if not self._is_list_old():
            return
        emojis = await self._client.fetch_application_emojis()
        self._emojis = {emoji.name: emoji for emoji in emojis}
        self._listed_at = self._clock()

    def _is_list_old(self) -> bool:
        return self._listed_at is None or self._listed_at + LISTED_SECONDS <= self._clock()

    async def _create(self, name: str, image: bytes) -> None:
        if len(self._emojis) >= EMOJIS:
            await self._free()
        try:
            self._emojis[name] = await self._client.create_application_emoji(name=name, image=image)
        except discord.HTTPException as error:
            if error.code not in (EMOJIS_FULL, INVALID_BODY):
                raise
            self._listed_at = None
            await self._list()  # another program of ours may have made some
            if name in self._emojis:
                return
            if error.code == INVALID_BODY or not await self._free():
                raise
            self._emojis[name] = await self._client.create_application_emoji(name=name, image=image)

    async def _free(self) -> int:
        """Delete the oldest of ours whose personas have not spoken since the start."""
        unused = [
            emoji
            for name, emoji in self._emojis.items()
            if name.startswith(PREFIX) and name not in self._used
        ]
        unused.sort(key=lambda emoji: emoji.id)
        for emoji in unused[:FREED_AT_ONCE]:
            await self._delete(emoji.name)
        return len(unused)

    async def _delete(self, name: str) -> None:
        emoji = self._emojis.get(name)
        if emoji is None:
            return
        with contextlib.suppress(discord.NotFound):
            await emoji.delete()
        self._emojis.pop(name, None)
