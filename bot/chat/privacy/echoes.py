"""Finds replies that repeat what a person said.

What is theirs in a channel: every run of five words that they wrote before anybody else did, the
names under which they spoke, and words that look like a name or a number and that nobody but them
ever wrote there. A later reply that holds one of these repeats them.

A script without blanks between its words counts by signs, two of them as one word.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator

import regex

from bot.chat.text.search_words import search_words

RUN_WORDS = 5
LEAST_LETTERS = 3  # of a name
LEAST_PICTURES = 2  # of a name
LEAST_SIGNS = 4  # of a word that stands for itself
MOST_CHARACTERS = 32_000  # of a text: nobody says more in one go
_HALVES = 2 * RUN_WORDS  # what a run holds: a word is two, a sign of a packed script one

_PACKED = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]"
_TOKENS = regex.compile(rf"(?P<sign>{_PACKED}\p{{M}}*)|[\p{{L}}\p{{N}}][\p{{L}}\p{{N}}\p{{M}}]*")
_WORDS = regex.compile(r"[\p{L}\p{N}][\p{L}\p{N}\p{M}'\u2019_-]*")
_PICTURES = regex.compile(r"\p{Extended_Pictographic}")
_AROUND = regex.compile(r"^[^\p{L}\p{N}]+|[^\p{L}\p{N}\p{M}]+$")  # a name, as ornament
_UNSEEN = regex.compile(r"\p{Cf}")
_SENTENCE_ENDS = frozenset('.!?:;…\n"“„«*_(')


class Echoes:
    """What is a person's own in a channel, and whether a text holds any of it."""

    def __init__(self, names: Iterable[str] = (), person_id: str = "") -> None:
        """`names` are those that they spoke under; a text with their id holds something, too."""
        wanted = {form for name in names for form in _forms(name)}
        if person_id:
            wanted.add(person_id)
        alternatives = "|".join(re.escape(name) for name in sorted(wanted, key=len, reverse=True))
        self._names = re.compile(rf"(?<!\w)(?:{alternatives})(?!\w)") if wanted else None
        self._runs: dict[int, int] = {}  # to the turn in which it first stood
        self._words: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._runs) + len(self._words)

    def learn(self, turn_id: int, text: str) -> None:
        """They wrote this in a turn. In any order."""
        for run in _runs(text):
            self._runs[run] = min(turn_id, self._runs.get(run, turn_id))
        for word in _telling(text):
            self._words[word] = min(turn_id, self._words.get(word, turn_id))

    def unlearn(self, turn_id: int, text: str, *, is_bots: bool) -> None:
        """Somebody else wrote this, or the bot. To be called once everything is learnt.

        What the bot writes after them may repeat them; what people write is their own.
        """
        for run in _runs(text):
            if turn_id < self._runs.get(run, 0):
                del self._runs[run]
        for word in _all_words(text):
            if word in self._words and not (is_bots and turn_id > self._words[word]):
                del self._words[word]

    def are_in(self, turn_id: int, text: str) -> bool:
        """Whether a reply's text repeats them."""
        text = text[:MOST_CHARACTERS]
        if self._names is not None and self._names.search(_seen(text)):
            return True
        if any(turn_id > self._words.get(word, turn_id) for word in _all_words(text)):
            return True
        return any(turn_id > self._runs.get(run, turn_id) for run in _runs(text))


def _forms(name: str) -> Iterator[str]:
    """A name as a reply may write it; nothing of a name that is but a common word or picture."""
    whole = _seen(name).strip()
    if len(_PICTURES.findall(whole)) >= LEAST_PICTURES:
        yield whole
    for plain in {whole, _AROUND.sub("", whole)}:
        letters = sum(map(str.isalnum, plain))
        is_packed = bool(_TOKENS.fullmatch(plain[:1]) and regex.match(_PACKED, plain))
        if letters >= (2 if is_packed else LEAST_LETTERS) and search_words(plain):
            yield plain
            yield plain[:1].upper() + plain[1:]


def _seen(text: str) -> str:
    """A text without look-alikes of letters and signs that nobody sees."""
    return _UNSEEN.sub("", unicodedata.normalize("NFKC", text))


def _runs(text: str) -> Iterator[int]:
    """Every five words in a row, each run as a number."""
    folded = _seen(text[:MOST_CHARACTERS]).casefold()
    tokens = [(found.group(), 1 if found["sign"] else 2) for found in _TOKENS.finditer(folded)]
    end = weight = 0
    for start in range(len(tokens)):
        while weight < _HALVES and end < len(tokens):
            weight += tokens[end][1]
            end += 1
        if weight < _HALVES:
            return
        yield hash(tuple(word for word, _ in tokens[start:end]))
        weight -= tokens[start][1]


def _all_words(text: str) -> Iterator[str]:
    for found in _WORDS.finditer(_seen(text[:MOST_CHARACTERS])):
        yield from _parts(found.group())


def _telling(text: str) -> Iterator[str]:
    """Words with a capital inside a sentence, or with a digit: names, numbers, passwords."""
    plain = _seen(text[:MOST_CHARACTERS])
    end = 0
    for found in _WORDS.finditer(plain):
        word = found.group()
        gap, begins = plain[end : found.start()].strip(" \t"), end == 0
        end = found.end()
        if _tells(word, begins or gap[-1:] in _SENTENCE_ENDS):
            yield from (part for part in _parts(word) if len(part) >= LEAST_SIGNS)


def _tells(word: str, begins_sentence: bool) -> bool:
    if any(map(str.isdigit, word)):
        return True
    inside = word if not begins_sentence else word[1:]
    return inside != inside.lower() and not (begins_sentence and word.isupper())


def _parts(word: str) -> Iterator[str]:
    """What hyphens join, folded, without what is written after an apostrophe."""
    return (part for part in re.split("[_-]+", re.split("['\u2019]", word)[0].casefold()) if part)
