"""Lore in replies: the books in use, what of them fires, and how people are told of it."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from bot.chat.messages import ChannelKey, HistoryWindow, LoreFiring, LorePast, Turn, TurnState
from bot.chat.persona import Persona
from bot.chat.personas.lore.book import Lorebook, LoreEntry
from bot.chat.personas.lore.reading import book_in_card
from bot.chat.personas.macro_values import local
from bot.chat.personas.macros import MacroContext, Macros
from bot.chat.ports import History
from bot.chat.prompt.additions import Additions, LoreNote, LoreQuestion, alone
from bot.chat.prompt.cast import UNKNOWN_USER
from bot.chat.roleplay.activation.activate import activate
from bot.chat.roleplay.activation.outcome import TOO_MANY, Activation, Fired, Hit, LeftOut
from bot.chat.roleplay.activation.parts import lore_parts, outlets
from bot.chat.roleplay.activation.request import (
    ActivationSettings,
    AttachedBook,
    ChatTurn,
    EntryId,
    PastFiring,
    Request,
    Surroundings,
)
from bot.chat.text.names import clean_name
from bot.chat.text.thinking import without_thoughts
from bot.errors import LorebookError

PERSONA_PRECEDENCE, CHANNEL_PRECEDENCE, GUILD_PRECEDENCE = 0, 1, 2
MOST_RECORDED = 500  # entries of one reply, whose firing is remembered
MOST_TOLD = 100  # entries of each kind in «Why this reply?»
BOOKS_IN_MIND = 32  # that were read, so that the next reply need not read them
ID_CHARACTERS = 200  # an entry of a longer id is not remembered


@dataclass(frozen=True, slots=True)
class ShelvedBook:
    """A book in use somewhere. `read` may block, and raise LorebookError; it is called often.

    `book_id` stays the same while the book is edited. Of those that have no room, the ones of the
    highest `precedence` go first: a persona's book counts more than a channel's.
    """

    book_id: str
    precedence: int
    read: Callable[[], Lorebook]


class LoreShelf(Protocol):
    """Knows which books are in use in a channel, beside its personas' own."""

    async def books_for(self, channel: ChannelKey, persona: Persona) -> Sequence[ShelvedBook]:
        """The channel's, the guild's, and what is attached to the persona. Raises StoreError."""
        ...


class EmptyShelf:
    """Where nobody keeps any."""

    async def books_for(self, channel: ChannelKey, persona: Persona) -> Sequence[ShelvedBook]:
        """None."""
        del channel, persona
        return ()


class LoreReader:
    """A :class:`~bot.chat.prompt.additions.LoreTeller`: reads and scans in a worker thread."""

    def __init__(self, history: History, shelf: LoreShelf | None = None) -> None:
        """`shelf` holds what is beside the personas' own books."""
        self._history = history
        self._shelf = shelf or EmptyShelf()
        self._own = _OwnBooks()

    async def tell(self, question: LoreQuestion) -> Additions:
        """What fires for a reply. Raises StoreError."""
        shelved = list(await self._shelf.books_for(question.channel, question.persona))
        if question.persona.lorebook:
            shelved.insert(0, self._own.shelved(question.persona))
        if not shelved:
            return alone(question.note)
        books, problems, looks_back = await asyncio.to_thread(_read, shelved)
        past = LorePast()
        if looks_back:
            past = await self._history.lore_past(question.before_turn)
        return await asyncio.to_thread(_tell, question, books, past, problems)


class _OwnBooks:
    """Personas' own books. What was read is kept while the persona's document is the same one."""

    def __init__(self) -> None:
        self._read: OrderedDict[int, tuple[Mapping[str, object], Lorebook]] = OrderedDict()

    def shelved(self, persona: Persona) -> ShelvedBook:
        book_id = f"persona:{persona.id or persona.name}"
        return ShelvedBook(book_id, PERSONA_PRECEDENCE, lambda: self._book(persona))

    def _book(self, persona: Persona) -> Lorebook:
        document = persona.lorebook or {}
        known = self._read.get(id(document))
        if known is not None and known[0] is document:
            return known[1]
        book = book_in_card(f"{persona.name}'s lorebook", document)
        self._read[id(document)] = document, book  # which keeps the document, and so its id
        while len(self._read) > BOOKS_IN_MIND:
            self._read.popitem(last=False)
        return book


def read_all(shelved: Sequence[ShelvedBook]) -> tuple[tuple[AttachedBook, ...], tuple[str, ...]]:
    """The books, and what is wrong with those that cannot be read. Blocking."""
    books: list[AttachedBook] = []
    problems: list[str] = []
    for each in shelved:
        try:
            books.append(AttachedBook(each.book_id, each.read(), each.precedence))
        except LorebookError as error:
            problems.append(error.message)
    return tuple(books), tuple(problems)


def _read(
    shelved: Sequence[ShelvedBook],
) -> tuple[tuple[AttachedBook, ...], tuple[str, ...], bool]:
    """As :func:`read_all`, and whether what was told before matters."""
    books, problems = read_all(shelved)
    looks_back = any(_looks_back(entry) for book in books for entry in book.book.entries)
    return books, problems, looks_back


def _looks_back(entry: LoreEntry) -> bool:
    """Whether it matters when the entry fired before, or how often the bot has spoken."""
    is_timed = entry.sticky > 0 or entry.cooldown > 0
    return is_timed or "_after_match" in entry.content or "@activate_only" in entry.content


def _tell(
    question: LoreQuestion,
    books: tuple[AttachedBook, ...],
    past: LorePast,
    problems: tuple[str, ...],
) -> Additions:
    outcome = activate(_request(question, books, past))
    firings = (
        LoreFiring(fired.entry_id.book_id, fired.entry_id.uid, question.messages)
        for fired in outcome.fired
        if len(str(fired.entry_id)) <= ID_CHARACTERS
    )
    return Additions(
        parts=lore_parts(outcome, question.note),
        outlets=outlets(outcome),
        silenced=outcome.disabled_prompts,
        firings=tuple(firings)[:MOST_RECORDED],
        fired=tuple(_fired_note(fired, question) for fired in outcome.fired[:MOST_TOLD]),
        left_out=tuple(_left_out_note(one, question) for one in outcome.left_out[:MOST_TOLD]),
        problems=(*problems, *_given_up(outcome)),
    )


def _request(question: LoreQuestion, books: tuple[AttachedBook, ...], past: LorePast) -> Request:
    persona, occasion = question.persona, question.occasion
    char = clean_name(persona.nickname or persona.name)
    turns = tuple(_chat_turns(question.window.turns, char))
    users = [turn.name for turn in turns if turn.role == "user"]
    macros = Macros(
        MacroContext(
            char,
            users[-1] if users else UNKNOWN_USER,
            persona=persona,
            others=occasion.others,
            conversation=str(question.window.conversation_id),
            seed=occasion.seed,
            moment=local(occasion.moment) if occasion.moment else None,
        )
    )
    return Request(
        books=books,
        turns=turns,
        settings=ActivationSettings(context_tokens=question.context_tokens),
        seed=occasion.seed,
        surroundings=Surroundings(
            character_name=persona.name,
            character_tags=persona.tags,
            character_description=macros.expand(persona.description),
            character_personality=macros.expand(persona.personality),
            character_depth_prompt=persona.depth_prompt.text if persona.depth_prompt else "",
            scenario=macros.expand(persona.scenario),
            creator_notes=persona.creator_notes,
            trigger=occasion.trigger,
            greeting=_greeting(question.window, persona),
            messages=question.messages,
            bot_messages=past.replies,
        ),
        past=tuple(PastFiring(EntryId(each.book_id, each.entry), each.at) for each in past.fired),
        expand=macros.expand,
    )


def _chat_turns(turns: Sequence[Turn], char: str) -> Iterator[ChatTurn]:
    for turn in turns:
        if turn.state is TurnState.RUNNING or not turn.text.strip():
            continue
        if turn.role == "user":
            yield ChatTurn("user", clean_name(turn.speaker.name), turn.text)
        else:
            name = clean_name(turn.persona, char)
            yield ChatTurn("bot", name, without_thoughts(turn.text))


def _greeting(window: HistoryWindow, persona: Persona) -> int | None:
    """Which greeting the conversation began with; None where that is not known."""
    if window.skipped or not window.turns:
        return None
    first = window.turns[0]
    if first.is_greeting:
        return first.active_swipe
    return 0 if persona.greeting and first.role == "user" else None


def _fired_note(fired: Fired, question: LoreQuestion) -> LoreNote:
    why = fired.cause.value + _said_of(fired.hits)
    return LoreNote(fired.entry.title, _book_title(fired, question), why)


def _left_out_note(one: LeftOut, question: LoreQuestion) -> LoreNote:
    detail = f" ({one.detail})" if one.detail else ""
    return LoreNote(
        one.entry.title,
        _book_title(one, question),
        f"{one.reason.value}{detail}{_said_of(one.hits)}",
    )


def _said_of(hits: Sequence[Hit]) -> str:
    said = ", ".join(f"«{hit.key[:60]}» in {hit.where}" for hit in hits[:5])
    return f": {said}" if said else ""


def _book_title(one: Fired | LeftOut, question: LoreQuestion) -> str:
    name = " ".join(one.book_name.split())[:80]
    own = f"{question.persona.name}'s lorebook"
    return name or (own if one.entry_id.book_id.startswith("persona:") else "a lorebook")


def _given_up(outcome: Activation) -> Iterator[str]:
    for each in outcome.unread:
        book = " ".join(each.book_name.split())[:80] or "a lorebook"
        yield f"{book}: {each.said}, did not count: {TOO_MANY}"
    for one in outcome.given_up[:MOST_TOLD]:
        yield f"«{one.title}»: the key «{one.key[:60]}» was given up: {one.why}"
