"""Files that were dropped on the page: read with a bound, held until somebody decides."""

import asyncio
import secrets
import zlib
from collections import OrderedDict
from dataclasses import dataclass

import aiohttp
from aiohttp import web

from bot.chat.personas.cards.card import Card
from bot.chat.personas.cards.kinds import BOOK_FIX
from bot.chat.personas.cards.reading import read_card
from bot.chat.personas.documents import FILE_BYTES, shown
from bot.chat.personas.lore.book import Lorebook
from bot.chat.personas.lore.reading import read_lorebook
from bot.errors import LorebookError, PersonaError
from bot.workbench.answers import Refused

FILE_TYPE = "application/octet-stream"  # which no form of another site can send unasked
UPLOAD_SECONDS = 60.0
MOST_HELD = 6  # of cards and books together; the oldest one goes
MOST_AT_ONCE = 2  # that are being read; others wait
NAME_CHARACTERS = 255


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that is held: a card with the bytes that it came in, or a lorebook."""

    id: str
    file_name: str
    content: bytes
    card: Card | None = None
    book: Lorebook | None = None


class Uploads:
    """What was uploaded and neither taken nor thrown away yet; a few at most."""

    def __init__(self) -> None:
        self._held: OrderedDict[str, Upload] = OrderedDict()
        self._reading = asyncio.Semaphore(MOST_AT_ONCE)

    async def receive(self, request: web.Request) -> Upload:
        """Read the body of a call and hold it. Raises Refused, PersonaError or LorebookError."""
        file_name = _checked_name(request)
        async with self._reading:
            content = await _read(request, file_name)
            card, book = await asyncio.to_thread(_card_or_book, content, file_name)
        upload = Upload(secrets.token_urlsafe(16), file_name, content if card else b"", card, book)
        self._held[upload.id] = upload
        while len(self._held) > MOST_HELD:
            self._held.popitem(last=False)
        return upload

    async def content(self, request: web.Request) -> bytes:
        """Read the body of a call without holding it. Raises Refused."""
        file_name = _checked_name(request)
        async with self._reading:
            return await _read(request, file_name)

    def get(self, upload_id: str) -> Upload:
        """One that is held. Raises Refused."""
        try:
            self._held.move_to_end(upload_id)
        except KeyError:
            raise Refused(404, "This file is not held any more.", "Drop it here again.") from None
        return self._held[upload_id]

    def drop(self, upload_id: str) -> None:
        """Hold it no longer."""
        self._held.pop(upload_id, None)


def _checked_name(request: web.Request) -> str:
    """What the file of a call is called. Raises Refused for one that is not even read."""
    file_name = shown(request.query.get("name", ""), NAME_CHARACTERS) or "The file"
    if request.content_type != FILE_TYPE or "Content-Encoding" in request.headers:
        raise Refused(415, "A file must come as it is.", f"Send Content-Type: {FILE_TYPE}.")
    if (request.content_length or 0) > FILE_BYTES:
        raise _too_large(file_name)
    return file_name


async def _read(request: web.Request, file_name: str) -> bytes:
    content = bytearray()
    try:
        async with asyncio.timeout(UPLOAD_SECONDS):
            async for chunk in request.content.iter_any():
                content += chunk
                if len(content) > FILE_BYTES:
                    raise _too_large(file_name)
    except TimeoutError as error:
        raise Refused(408, f"{file_name} came too slowly.", "Drop it here again.") from error
    except (aiohttp.ClientError, web.RequestPayloadError, zlib.error) as error:
        raise Refused(400, f"{file_name} broke off.", "Drop it here again.") from error
    if not content:
        raise Refused(400, f"{file_name} is empty.", "Drop another file.")
    return bytes(content)


def _too_large(file_name: str) -> Refused:
    return Refused(413, f"{file_name} is larger than 8 MiB.", "Take a smaller picture.")


def _card_or_book(content: bytes, file_name: str) -> tuple[Card | None, Lorebook | None]:
    """What a file is. One that is neither is refused as a card would be. Blocking.

    Of a lorebook that cannot be read, it is said why. Raises PersonaError or LorebookError.
    """
    try:
        return read_card(content, file_name), None
    except PersonaError as refusal:
        try:
            return None, read_lorebook(file_name, content)
        except LorebookError as fault:
            raise (fault if refusal.fix == BOOK_FIX else refusal) from None
