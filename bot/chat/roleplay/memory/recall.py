"""Recall: what was said long ago is found again by the newest message's words."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from bot.chat.messages import HistoryWindow, Turn
from bot.chat.ports import History
from bot.chat.prompt.parts import Part, Place, Priority, TokenBudget
from bot.chat.prompt.recollection import (
    NOTHING_REMEMBERED,
    MemoryNote,
    MemoryQuestion,
    Recollection,
    memory_budget,
)
from bot.chat.prompt.windows import is_between, said_to_the_bot
from bot.chat.roleplay.memory.facts import one_line
from bot.chat.roleplay.memory.ranking import Ranked, candidates, ranked, rarities
from bot.chat.text.names import clean_name
from bot.chat.text.search_words import is_beginning, mark, search_words, word_places
from bot.chat.text.thinking import without_thoughts
from bot.errors import NotFound, StoreError

logger = logging.getLogger(__name__)

HEADING = "Said earlier in this conversation:"
MOST_SEARCHED = 48  # words of a message that are looked for
MOST_LOADED = 60  # turns of which the whole text is looked at
MOST_LOADED_OF_ONE = 4 * MOST_LOADED  # where others' are passed over then
MOST_RECALLED = 24
LINE_CHARACTERS = 320  # of a turn
BEFORE_CHARACTERS = 60  # of a long one before the first word that it was found by
NEAR_CHARACTERS = 160  # of which others that it was found by are told too, before the rarest
TITLE_CHARACTERS = 80
WORDS_TOLD = 5

Choose = Callable[[Mapping[str, Sequence[int]]], Sequence[int]]


class TurnSearch(Protocol):
    """Finds turns by the marks of their words."""

    async def search(self, before_turn: int, marks: Sequence[str], choose: Choose) -> list[Turn]:
        """The visible turns of a conversation before one of its turns, in their order.

        Of all that have any of the marks, those that `choose` wants: it is given the newest turns
        of each mark. Bounded, however long the conversation is. Raises NotFound, StoreError.
        """
        ...


class Recall:
    """A :class:`~bot.chat.prompt.recollection.MemoryTeller`: tells turns that bear on a message."""

    def __init__(self, search: TurnSearch, history: History) -> None:
        """Where turns are found, and where they stand."""
        self._search = search
        self._history = history

    async def recollect(self, question: MemoryQuestion) -> Recollection:
        """The earlier turns for a reply, as dated lines."""
        window = question.window
        if question.settings.memory_recall == "off" or not window.turns:
            return NOTHING_REMEMBERED
        if not window.skipped and _is_surely_shown(window, question.context_tokens):
            return NOTHING_REMEMBERED
        newest = window.turns[-1]
        asked = await asyncio.to_thread(_asked, newest)
        if not asked:
            return NOTHING_REMEMBERED
        told = _Told(
            asked,
            turns=window.numbered()[-1][0] + 1,
            newest=newest.turn_id,
            most=MOST_LOADED if question.only_of is None else MOST_LOADED_OF_ONE,
        )
        try:
            found = await self._search.search(question.before_turn, list(asked), told.choose)
        except NotFound:  # taken out meanwhile
            return NOTHING_REMEMBERED
        except StoreError as error:  # an index that is damaged costs no reply
            logger.warning("what was said earlier could not be looked up: %s", error)
            note = MemoryNote("Said earlier:", "could not be looked up", str(error))
            return Recollection(notes=(note,))
        if (reader := question.only_of) is not None:
            found = [turn for turn in found if is_between(turn, reader)]
        if question.settings.context == "addressed":
            kept = HistoryWindow(window.conversation_id, tuple(found))
            found = list((await said_to_the_bot(self._history, kept)).turns)
        return await asyncio.to_thread(told.tell, found, question.context_tokens)


class _Told:
    """One search: what is looked for, and how rare it is."""

    def __init__(self, asked: Mapping[str, str], *, turns: int, newest: int, most: int) -> None:
        self._asked = asked  # the marks' words
        self._turns = turns
        self._newest = newest
        self._most = most
        self._rarity: dict[str, float] = {}

    def choose(self, hits: Mapping[str, Sequence[int]]) -> list[int]:
        """Which of the turns that the index finds are looked at. Quick: a transaction waits."""
        found = {self._asked[mark]: turn_ids for mark, turn_ids in hits.items()}
        self._rarity = rarities(found, self._turns)
        return [
            turn_id
            for turn_id in candidates(found, self._rarity, self._most + 1)
            if turn_id != self._newest
        ]

    def tell(self, found: Sequence[Turn], context_tokens: int) -> Recollection:
        """The best of them as parts of a prompt, the oldest first."""
        turns = {turn.turn_id: turn for turn in found if said(turn)}
        words = {turn_id: search_words(_with_name(turn)) for turn_id, turn in turns.items()}
        best = ranked(words, self._rarity)[:MOST_RECALLED]
        budget = memory_budget("recall", context_tokens)
        ranks = {one.turn_id: len(best) - place for place, one in enumerate(best)}
        parts: list[Part] = []
        notes: list[MemoryNote] = []
        for one in sorted(best, key=lambda one: one.turn_id):
            turn = turns[one.turn_id]
            part = _part(turn, one, ranks[one.turn_id], budget)
            parts.append(part)
            notes.append(
                MemoryNote("Said earlier", _cut(part.text, TITLE_CHARACTERS), _why(one), part)
            )
        return Recollection(tuple(parts), tuple(notes))


def said(turn: Turn) -> str:
    """What a turn says, on one line."""
    return one_line(turn.text if turn.role == "user" else without_thoughts(turn.text))


def _asked(newest: Turn) -> dict[str, str]:
    """The marks to look for, and their words: the newest message's, then those it replies to.

    Longer words are rarer: of very many, they are the ones.
    """
    quoted = newest.reply_to.text if newest.reply_to else ""
    words = search_words(f"{newest.text}\n{quoted}")
    if len(words) > MOST_SEARCHED:
        words = sorted(words, key=len, reverse=True)[:MOST_SEARCHED]
    return {mark(word): word for word in words}


def _is_surely_shown(window: HistoryWindow, context_tokens: int) -> bool:
    """Whether nothing is left out for want of room, be every sign a token.

    Three quarters of the context are left to the persona, the reply and quotes.
    """
    return 4 * sum(len(turn.text) for turn in window.turns) <= context_tokens


def _with_name(turn: Turn) -> str:
    return f"{_name(turn)}\n{said(turn)}"


def _name(turn: Turn) -> str:
    return turn.speaker.name if turn.role == "user" else turn.persona or turn.speaker.name


def _part(turn: Turn, one: Ranked, rank: int, budget: TokenBudget) -> Part:
    day = turn.created_at.astimezone().date().isoformat()
    return Part(
        "recall",
        f"[{day}] {clean_name(_name(turn))}: {_excerpt(said(turn), one.words)}",
        Place.BEFORE_HISTORY,
        Priority.IMPORTANT,
        rank=rank,
        heading=HEADING,
        joint="\n",
        budget=budget,
        turn_id=turn.turn_id,
    )


def _excerpt(text: str, words: Sequence[str]) -> str:
    """Of a long text, what stands about the words that it was found by, the rarest first."""
    if len(text) <= LINE_CHARACTERS:
        return text
    places = word_places(text, words)
    rarest = next((places[word] for word in words if word in places), 0)
    near = [at for at in places.values() if rarest - NEAR_CHARACTERS <= at <= rarest]
    start = max(min(near, default=0) - BEFORE_CHARACTERS, 0)
    start = min(start, max(len(text) - LINE_CHARACTERS, 0))
    before, after = "… " if start else "", " …" if start + LINE_CHARACTERS < len(text) else ""
    return f"{before}{text[start : start + LINE_CHARACTERS].strip()}{after}"


def _why(one: Ranked) -> str:
    shown = [word[1:] + "…" if is_beginning(word) else word for word in one.words[:WORDS_TOLD]]
    return "for " + ", ".join(f"«{word}»" for word in shown)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
