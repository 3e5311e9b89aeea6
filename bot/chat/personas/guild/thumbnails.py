"""Small pictures of personas, for lists."""

import asyncio
import logging
from collections import OrderedDict

from bot.chat.persona import Persona
from bot.chat.personas.cards.pictures import render
from bot.chat.personas.pictures import PersonaPictures
from bot.errors import CaduceusError

REMEMBERED = 200  # of about 20 KB
SMALL_SIDE = 128  # points

_log = logging.getLogger(__name__)


class Thumbnails:
    """Makes them small once, and keeps the latest."""

    def __init__(self, pictures: PersonaPictures) -> None:
        """Where the large ones are."""
        self._pictures = pictures
        self._held: OrderedDict[str, bytes] = OrderedDict()  # by the large one's digest

    async def of(self, persona: Persona) -> bytes | None:
        """A persona's picture, small; None where it has none that can be shown."""
        try:
            found = await self._pictures.find(persona)
            if found is None:
                return None
            if found.digest not in self._held:
                content = await found.read()
                small = await asyncio.to_thread(render, "The picture", content, SMALL_SIDE)
                self._held[found.digest] = small
                if len(self._held) > REMEMBERED:
                    self._held.popitem(last=False)
            self._held.move_to_end(found.digest)
            return self._held[found.digest]
        except (CaduceusError, OSError) as error:
            _log.info("A persona is listed without its picture: %s", error)
            return None
