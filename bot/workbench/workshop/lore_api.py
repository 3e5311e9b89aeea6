"""The lorebook tester: what of which books a pasted chat would wake, by which key, and why not."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from aiohttp import web

from bot.chat.persona import PersonaText
from bot.chat.personas.folder import PersonaFolder
from bot.chat.personas.lore.reading import book_in_card
from bot.chat.roleplay.activation.activate import activate
from bot.chat.roleplay.activation.outcome import Activation, Fired, LeftOut
from bot.chat.roleplay.activation.request import (
    ActivationSettings,
    AttachedBook,
    ChatTurn,
    Request,
    Surroundings,
    estimate_tokens,
)
from bot.chat.roleplay.activation.trying import certain_books, read_chat, verdicts
from bot.workbench.answers import Refused
from bot.workbench.forms import CHAT_CHARACTERS, LoreTest, read_form
from bot.workbench.views import Json
from bot.workbench.workshop.counting import TokenCounter
from bot.workbench.workshop.uploads import Upload, Uploads

TEST_BYTES = 6 * CHAT_CHARACTERS + 10_000
MOST_COUNTED = 2_000  # texts that the engine counts; others are estimated
MOST_SHOWN = 400  # entries of each kind
TEXT_CHARACTERS = 2_000
_OWN = "persona"


class LoreApi:
    """The handler of the tester, and the route to it."""

    def __init__(self, folder: PersonaFolder, uploads: Uploads, counter: TokenCounter) -> None:
        self._folder = folder
        self._uploads = uploads
        self._counter = counter
        self._trying = asyncio.Semaphore(1)

    def routes(self) -> list[web.RouteDef]:
        """Every call there is."""
        return [web.post("/api/lore/test", self.test)]

    async def test(self, request: web.Request) -> web.Response:
        """Try a chat on a persona's own lorebook and on those that were dropped."""
        form = await read_form(request, LoreTest, TEST_BYTES)
        books = [self._uploads.get(each) for each in dict.fromkeys(form.books)]
        settings = ActivationSettings(
            scan_depth=form.scan_depth, context_tokens=await self._context_tokens()
        )
        async with self._trying:
            request_ = await asyncio.to_thread(self._prepared, form, books, settings)
            activation = await self._activated(request_)
            told = await asyncio.to_thread(_told, activation, request_.turns)
        return web.json_response(told)

    def _prepared(
        self, form: LoreTest, dropped: Sequence[Upload], settings: ActivationSettings
    ) -> Request:
        persona = self._folder.card(form.persona).persona if form.persona else None
        books: list[AttachedBook] = []
        if persona is not None and persona.lorebook:
            books.append(AttachedBook(_OWN, book_in_card(persona.name, persona.lorebook)))
        for upload in dropped:
            if upload.book is None:
                raise Refused(400, f"{upload.file_name} is no lorebook.", "Drop a lorebook.")
            books.append(AttachedBook(upload.id, upload.book, precedence=1))
        turns = read_chat(form.chat, persona.name if persona else "")
        return Request(certain_books(books), turns, settings, surroundings=_surroundings(persona))

    async def _context_tokens(self) -> int:
        return (await self._counter.cost({}, char="")).context_tokens

    async def _activated(self, request: Request) -> Activation:
        """The outcome with tokens counted by the engine: tried once to learn of which texts."""
        asked: dict[str, int] = {}

        def note(text: str) -> int:
            return asked.setdefault(text, estimate_tokens(text))

        first = await asyncio.to_thread(activate, _counting(request, note))
        texts = list(asked)[:MOST_COUNTED]
        counts, _ = await self._counter.count(texts)
        counted: Mapping[str, int] = asked | dict(zip(texts, counts, strict=True))
        if counted == asked:
            return first
        return await asyncio.to_thread(
            activate,
            _counting(request, lambda text: counted.get(text) or estimate_tokens(text)),
        )


def _counting(request: Request, count: Callable[[str], int]) -> Request:
    return replace(request, count=count)


def _surroundings(persona: PersonaText | None) -> Surroundings:
    if persona is None:
        return Surroundings()
    depth = persona.depth_prompt
    return Surroundings(
        character_name=persona.name,
        character_tags=persona.tags,
        character_description=persona.description,
        character_personality=persona.personality,
        character_depth_prompt=depth.text if depth else "",
        scenario=persona.scenario,
        creator_notes=persona.creator_notes,
    )


def _told(activation: Activation, turns: Sequence[ChatTurn]) -> Json:
    found: list[Fired | LeftOut | None] = [
        *activation.fired,
        *(None for _ in activation.unread),  # of many entries, which no one key or text tells
        *activation.left_out,
        *activation.silent,
    ]
    lines = [
        {
            "title": verdict.title,
            "book": verdict.book_name[:200],
            "fires": verdict.fires,
            "why": verdict.why,
            "where": verdict.where,
            "tokens": verdict.tokens,
            "keys": [
                {"key": hit.key[:80], "where": hit.where[:120]}
                for hit in (one.hits[:10] if one else ())
            ],
            "text": one.entry.content[:TEXT_CHARACTERS] if one else "",
        }
        for verdict, one in zip(verdicts(activation), found, strict=True)
    ]
    fired = [line for line in lines if line["fires"]]
    silent = [line for line in lines if not line["fires"]]
    return {
        "fired": fired[:MOST_SHOWN],
        "silent": silent[:MOST_SHOWN],
        "fired_count": len(fired),
        "silent_count": len(silent),
        "tokens": activation.tokens,
        "budget": activation.budget,
        "cut_short": activation.is_cut_short,
        "given_up": [
            {"title": one.title, "key": one.key[:80], "why": one.why}
            for one in activation.given_up[:20]
        ],
        "messages": [
            {"name": turn.name, "role": turn.role, "text": turn.text[:200]} for turn in turns[-50:]
        ],
    }
