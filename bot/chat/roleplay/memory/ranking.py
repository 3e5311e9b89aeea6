"""Which of the turns that share words with a message say most about it: BM25.

How rare a word is, is counted in the conversation itself: nobody's talk elsewhere sways what is
found, and it is the same on every database.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import log

from bot.chat.text.search_words import is_beginning

BEGINNING_WEIGHT = 0.6  # of a word that only begins so
SATURATION = 1.2  # BM25's k1
LENGTH_SHARE = 0.5  # BM25's b: how much longer turns have to say more
USUAL_WORDS = 15  # of a turn
LEAST_RARITY = 0.6  # of all words that a turn shares, where 1 is a word that was said once
LEAST_SHARE = 0.3  # of the best turn's score


@dataclass(frozen=True, slots=True)
class Ranked:
    """A turn and what speaks for it."""

    turn_id: int
    score: float
    words: tuple[str, ...]  # those that it shares, the rarest first


def rarities(hits: Mapping[str, Sequence[int]], turns: int) -> dict[str, float]:
    """How rare each word is among `turns`: 1 where one of them has it, 0 where all do."""
    turns = max(turns, *(len(found) for found in hits.values()), 2) if hits else 2
    most = _rarity(1, turns)
    return {word: _rarity(max(len(found), 1), turns) / most for word, found in hits.items()}


def candidates(
    hits: Mapping[str, Sequence[int]], rarity: Mapping[str, float], limit: int
) -> list[int]:
    """The `limit` turns that share most with the message, as far as the index tells."""
    scores: dict[int, float] = {}
    for word, found in hits.items():
        for turn_id in found:
            scores[turn_id] = scores.get(turn_id, 0.0) + _weight(word) * rarity[word]
    return sorted(scores, key=lambda turn_id: (-scores[turn_id], -turn_id))[:limit]


def ranked(turns: Mapping[int, Collection[str]], rarity: Mapping[str, float]) -> list[Ranked]:
    """Turns with their words, the best first; those that share too little are left out."""
    found = [_rank(turn_id, words, rarity) for turn_id, words in turns.items()]
    found = [one for one in found if _is_enough(one, rarity)]
    found.sort(key=lambda one: (-one.score, -one.turn_id))
    return [one for one in found if one.score >= LEAST_SHARE * found[0].score]


def _rank(turn_id: int, words: Collection[str], rarity: Mapping[str, float]) -> Ranked:
    shared = sorted(_shared(words, rarity), key=lambda word: -rarity[word])
    length = sum(not is_beginning(word) for word in words)
    damp = SATURATION * (1 - LENGTH_SHARE + LENGTH_SHARE * length / USUAL_WORDS)
    total = sum(_weight(word) * rarity[word] for word in shared)
    return Ranked(turn_id, total * (SATURATION + 1) / (1 + damp), tuple(shared))


def _shared(words: Collection[str], rarity: Mapping[str, float]) -> Iterator[str]:
    """The words that both have; a beginning only where the word itself is another one."""
    whole = [word for word in words if word in rarity and not is_beginning(word)]
    yield from whole
    for word in words:
        if is_beginning(word) and word in rarity and not any(_begins(one, word) for one in whole):
            yield word


def _begins(word: str, beginning: str) -> bool:
    return word.startswith(beginning[1:])


def _is_enough(one: Ranked, rarity: Mapping[str, float]) -> bool:
    return sum(_weight(word) * rarity[word] for word in one.words) >= LEAST_RARITY


def _weight(word: str) -> float:
    return BEGINNING_WEIGHT if is_beginning(word) else 1.0


def _rarity(found: int, turns: int) -> float:
    return log(1 + (turns - found + 0.5) / (found + 0.5))
