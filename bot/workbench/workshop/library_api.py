"""The calls about the owner's personas: list, edit, import by dropping a file, export."""

import asyncio
import json
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from aiohttp import web

from bot.chat.personas.cards.card import Card
from bot.chat.personas.cards.pictures import render
from bot.chat.personas.cards.preview import picture_fault
from bot.chat.personas.cards.writing import Format
from bot.chat.personas.folder import NameTaken, PersonaChanged, PersonaFolder, Written
from bot.errors import PersonaError, UserError
from bot.workbench.answers import Refused
from bot.workbench.forms import (
    PersonaDeletion,
    PersonaEdit,
    Take,
    TextsToCount,
    read_form,
)
from bot.workbench.views import Json, problems
from bot.workbench.workshop import card_views
from bot.workbench.workshop.counting import TokenCounter
from bot.workbench.workshop.uploads import Uploads

DRAFT_BYTES = 8 * 1024 * 1024  # of an edited persona as JSON
PICTURE_SIDE = 512  # of a picture on the page: the longer side
SMALL_SIDE = 96
REMEMBERED_PICTURES = 200
T = TypeVar("T")
_PERSONA = "/api/library/{persona}"
_UPLOAD = "/api/uploads/{upload}"


class LibraryApi:
    """The handlers, and the routes to them."""

    def __init__(self, folder: PersonaFolder, uploads: Uploads, counter: TokenCounter) -> None:
        self._folder = folder
        self._uploads = uploads
        self._counter = counter
        self._decoding = asyncio.Semaphore(1)  # a picture may take 100 MB meanwhile
        self._deleted: dict[str, Path] = {}  # where the files of persona ids were put aside
        self._small: OrderedDict[tuple[str, str, int], bytes | None] = OrderedDict()

    def routes(self) -> list[web.RouteDef]:
        """Every call there is."""
        return [
            web.get("/api/library", self.listed),
            web.post("/api/library", self.create),
            web.get(_PERSONA, self.show),
            web.put(_PERSONA, self.edit),
            web.post(f"{_PERSONA}/delete", self.delete),
            web.post(f"{_PERSONA}/restore", self.restore),
            web.get(f"{_PERSONA}/picture", self.picture),
            web.post(f"{_PERSONA}/picture", self.set_picture),
            web.delete(f"{_PERSONA}/picture", self.remove_picture),
            web.get(f"{_PERSONA}/export", self.export),
            web.post("/api/tokens", self.count),
            web.post("/api/uploads", self.upload),
            web.get(f"{_UPLOAD}/picture", self.upload_picture),
            web.post(f"{_UPLOAD}/take", self.take),
            web.delete(_UPLOAD, self.drop),
        ]

    async def listed(self, _request: web.Request) -> web.Response:
        """The personas of the folder, and the files that cannot be used."""
        library = self._folder.library
        found = await library.listed(None)
        return web.json_response(
            {
                "personas": [card_views.line(one, self._folder) for one in found],
                "problems": problems(library.problems()),
                "folder": library.folder.name,
            }
        )

    async def show(self, request: web.Request) -> web.Response:
        """One of them, to edit."""
        return web.json_response(await self._editable(request.match_info["persona"]))

    async def create(self, request: web.Request) -> web.Response:
        """Make a new one, in TOML."""
        form = await read_form(request, PersonaEdit, DRAFT_BYTES)
        written = await self._changed(lambda: self._folder.create(form.fields))
        return web.json_response(await self._editable(written.persona.id), status=201)

    async def edit(self, request: web.Request) -> web.Response:
        """Change fields of one."""
        persona_id = request.match_info["persona"]
        form = await read_form(request, PersonaEdit, DRAFT_BYTES)
        return await self._edited(
            await self._changed(lambda: self._folder.edit(persona_id, form.fields, form.version))
        )

    async def set_picture(self, request: web.Request) -> web.Response:
        """Give one the picture that is sent."""
        content = await self._uploads.content(request)
        return await self._pictured(request, content)

    async def remove_picture(self, request: web.Request) -> web.Response:
        """Take the picture of one away."""
        return await self._pictured(request, None)

    async def _pictured(self, request: web.Request, content: bytes | None) -> web.Response:
        persona_id, version = request.match_info["persona"], request.query.get("version", "")
        async with self._decoding:
            written = await self._changed(
                lambda: self._folder.set_picture(persona_id, content, version)
            )
        return await self._edited(written)

    async def _edited(self, written: Written) -> web.Response:
        original = written.original.name if written.original else ""
        return web.json_response(await self._editable(written.persona.id) | {"original": original})

    async def delete(self, request: web.Request) -> web.Response:
        """Take one out of the folder: its file is put aside."""
        persona_id = request.match_info["persona"]
        form = await read_form(request, PersonaDeletion)
        aside = await self._changed(lambda: self._folder.delete(persona_id, form.version))
        self._deleted[persona_id] = aside
        return web.json_response({"file": aside.name})

    async def restore(self, request: web.Request) -> web.Response:
        """Bring one back that was taken out since the start of the program."""
        persona_id = request.match_info["persona"]
        aside = self._deleted.get(persona_id)
        if aside is None:
            raise Refused(404, "That persona was not deleted here.", "See the list.")
        written = await self._changed(lambda: self._folder.bring_back(aside))
        self._deleted.pop(persona_id, None)
        return web.json_response(card_views.line(written.persona, self._folder))

    async def picture(self, request: web.Request) -> web.Response:
        """The picture of one as a PNG made here; nothing (204) where there is none."""
        side = SMALL_SIDE if "small" in request.query else PICTURE_SIDE
        persona_id = request.match_info["persona"]
        persona = await self._folder.library.by_id(None, persona_id)
        path = self._folder.library.file_of(persona_id)
        if persona is None or path is None:
            return web.Response(status=204)
        try:
            stamp = (await asyncio.to_thread(path.stat)).st_mtime_ns
            key = (persona_id, f"{stamp}", side)
            if key not in self._small:
                card = await asyncio.to_thread(self._folder.card, persona_id)
                made = await self._rendered(card, side)
                self._small[key] = made
                while len(self._small) > REMEMBERED_PICTURES:
                    self._small.popitem(last=False)
            content = self._small[key]
        except (UserError, OSError):
            content = None
        return _picture(content)

    async def export(self, request: web.Request) -> web.Response:
        """One of them as a file in the format that is asked for."""
        try:
            format = Format(request.query.get("format", ""))
        except ValueError:
            known = ", ".join(each.value for each in Format)
            raise Refused(400, "There is no such format.", f"There are: {known}.") from None
        persona_id = request.match_info["persona"]
        async with self._decoding:
            exported = await asyncio.to_thread(self._folder.export, persona_id, format)
        named = quote(exported.file_name, safe="", errors="replace")
        disposition = f"attachment; filename=\"persona{format.ending}\"; filename*=UTF-8''{named}"
        return web.Response(
            body=exported.content,
            content_type="application/octet-stream",
            headers={
                "Content-Disposition": disposition,
                "X-Warnings": json.dumps(exported.warnings),
            },
        )

    async def count(self, request: web.Request) -> web.Response:
        """What texts cost in tokens."""
        form = await read_form(request, TextsToCount, DRAFT_BYTES)
        cost = await self._counter.cost(form.texts, char=form.name or "Persona")
        return web.json_response(card_views.told(cost))

    async def upload(self, request: web.Request) -> web.Response:
        """Look at a file: the preview of a card, or which lorebook it is."""
        upload = await self._uploads.receive(request)
        answer: Json = {"id": upload.id, "file": upload.file_name}
        if upload.book is not None:
            answer |= {"is": "lorebook", "book": card_views.book(upload.file_name, upload.book)}
        if upload.card is not None:
            answer |= await self._preview(upload.card)
        return web.json_response(answer, status=201)

    async def upload_picture(self, request: web.Request) -> web.Response:
        """The picture of a dropped card as a PNG made here."""
        card = self._uploads.get(request.match_info["upload"]).card
        content = None if card is None else await self._rendered(card, PICTURE_SIDE)
        return _picture(content)

    async def take(self, request: web.Request) -> web.Response:
        """Put a dropped card into the folder."""
        form = await read_form(request, Take)
        upload = self._uploads.get(request.match_info["upload"])
        card = upload.card
        if card is None:
            raise Refused(400, f"{upload.file_name} is a lorebook, not a persona.")
        written = await self._changed(
            lambda: self._folder.take(card, upload.content, name=form.name, replace=form.replace)
        )
        self._uploads.drop(upload.id)
        return web.json_response(card_views.line(written.persona, self._folder), status=201)

    async def drop(self, request: web.Request) -> web.Response:
        """Throw a dropped file away."""
        self._uploads.drop(request.match_info["upload"])
        return web.json_response({})

    async def _preview(self, card: Card) -> Json:
        async with self._decoding:
            fault = await asyncio.to_thread(picture_fault, card)
        persona = card.persona
        texts = await asyncio.to_thread(card_views.counted_texts, persona)
        cost = await self._counter.cost(texts, char=persona.nickname or persona.name)
        taken = self._folder.library.held_by_name(persona.name)
        path = self._folder.library.file_of(taken.id) if taken else None
        return {
            "is": "card",
            "card": card_views.preview(card, cost, fault),
            "taken": {"name": taken.name, "file": path.name if path else ""} if taken else None,
            "free_name": self._folder.free_name(persona.name),
        }

    async def _editable(self, persona_id: str) -> Json:
        card = await asyncio.to_thread(self._folder.card, persona_id)
        persona = await self._folder.library.by_id(None, persona_id)
        if persona is None:
            raise Refused(404, "There is no such persona any more.", "Choose one from the list.")
        texts = await asyncio.to_thread(card_views.counted_texts, card.persona)
        cost = await self._counter.cost(texts, char=persona.nickname or persona.name)
        return await asyncio.to_thread(card_views.editable, persona, card, self._folder, cost)

    async def _changed(self, change: Callable[[], T]) -> T:
        try:
            return await asyncio.to_thread(change)
        except NameTaken as error:
            raise Refused(409, error.message, error.fix) from error
        except PersonaChanged as error:
            raise Refused(409, error.message, error.fix) from error

    async def _rendered(self, card: Card, side: int) -> bytes | None:
        if card.picture is None:
            return None
        async with self._decoding:
            try:
                return await asyncio.to_thread(render, "The picture", card.picture, side)
            except PersonaError:
                return None


def _picture(content: bytes | None) -> web.Response:
    if content is None:
        return web.Response(status=204)
    return web.Response(body=content, content_type="image/png")
