"""The pictures of personas of every home: of files in the owner's folder, and of guilds' own."""

import asyncio
import os
from collections import OrderedDict
from functools import partial
from pathlib import Path

from bot.chat.persona import Persona
from bot.chat.personas.cards.pictures import render
from bot.chat.personas.files import read_card_file
from bot.chat.personas.guild.packing import picture_digest
from bot.chat.personas.guild.workshop import PersonaWorkshop
from bot.chat.personas.library import PersonaLibrary
from bot.chat.personas.pictures import Picture
from bot.errors import NotFound, PersonaError

REMEMBERED = 1_000  # files
SHOWN_SIDE = 1_024  # of a file's picture as it is handed on: the longer side

_Stamp = tuple[int, int, int, int]


class StoredPictures:
    """Implements :class:`bot.chat.personas.pictures.PersonaPictures`."""

    def __init__(self, library: PersonaLibrary, workshop: PersonaWorkshop) -> None:
        """Nothing is read before somebody asks."""
        self._library = library
        self._workshop = workshop
        self._digests: OrderedDict[str, tuple[_Stamp, str]] = OrderedDict()  # "" without a picture

    async def find(self, persona: Persona) -> Picture | None:
        """The picture of a persona, None where it has none."""
        if persona.guild_id is not None:
            kept = await self._workshop.kept(persona)
            if kept is None or not kept.picture_digest:
                return None
            return Picture(kept.picture_digest, partial(self._of_guild, persona))
        path = self._library.file_of(persona.id)
        if path is None:
            return None
        digest = await asyncio.to_thread(self._digest, persona.id, path)
        return Picture(digest, partial(_of_file, path)) if digest else None

    async def _of_guild(self, persona: Persona) -> bytes:
        found = await self._workshop.picture(persona)
        if found is None:
            raise NotFound("That picture is not there any more.")
        return found

    def _digest(self, persona_id: str, path: Path) -> str:
        """The digest of a file's picture: read once, and again where the file has changed."""
        try:
            status = os.stat(path)
        except OSError:
            return ""
        stamp = (status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino)
        known = self._digests.get(persona_id)
        if known is None or known[0] != stamp:
            try:
                picture = read_card_file(path).picture
            except PersonaError:  # the persona's last good version speaks without
                picture = None
            known = (stamp, picture_digest(picture) if picture else "")
            self._digests[persona_id] = known
            if len(self._digests) > REMEMBERED:
                self._digests.popitem(last=False)
        return known[1]


async def _of_file(path: Path) -> bytes:
    return await asyncio.to_thread(_read_picture, path)


def _read_picture(path: Path) -> bytes:
    picture = read_card_file(path).picture
    if picture is None:
        raise NotFound("That picture is not there any more.")
    return render(path.name, picture, SHOWN_SIDE)
