"""The words that a text is found by again, in every script.

Where a script parts words by blanks, its words are taken, without case, accents and the commonest
endings (:mod:`bot.chat.text.word_stems`); beside a long word, its beginning stands for all that
begins so («allerg» for «allergic» and «allergy»), which serves other languages' endings too. Where
a script does not, every two neighbouring signs are a word.
"""

import base64
import hashlib
import unicodedata
from collections.abc import Collection
from functools import lru_cache
from itertools import pairwise

import regex

from bot.chat.text.word_stems import stem

MOST_WORDS = 400  # of one text: what follows is not found by
TEXT_CHARACTERS = 8_000  # of a text, which are looked at
BEGINNING = 5  # letters that stand for a longer word
_BEGINS = "<"  # marks a beginning: no word has it in it
_DIGEST_BYTES = 5  # eight signs: among a million words, two of the same mark are a rarity

# Without blanks between words; Korean's are there, but its endings grow on the words.
_PACKED = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]"
_RUNS = regex.compile(
    rf"(?P<packed>(?:{_PACKED}[\p{{M}}ー]*)+)|(?P<word>[\p{{L}}\p{{N}}][\p{{L}}\p{{N}}\p{{M}}]*"
    r"(?:['\u2019][\p{L}\p{M}]+)*)"
)
_ACCENTS = regex.compile(r"[\u0300-\u036f\u0591-\u05c7\u064b-\u065f\u0670]+")
_POSSESSIVE = regex.compile(r"['\u2019].*$")
# Without these, long messages would ask for nothing but them. How rare the others are, a
# conversation itself tells.
_EMPTY = frozenset((
    "a", "an", "and", "are", "as", "at", "be", "been", "but", "by", "can", "could", "did", "do",
    "does", "for", "from", "had", "has", "have", "he", "her", "hers", "him", "his", "how", "i",
    "if", "in", "into", "is", "it", "its", "me", "my", "of", "on", "or", "our", "ours", "she",
    "should", "so", "than", "that", "the", "their", "them", "then", "there", "these", "they",
    "this", "those", "to", "us", "was", "we", "were", "what", "when", "where", "which", "who",
    "whom", "whose", "why", "will", "with", "would", "you", "your", "yours", "am", "not", "no",
    "yes", "oh", "ok", "okay", "just", "about", "up", "out",
))  # fmt: skip


def search_words(text: str) -> list[str]:
    """The words of a text, each once, in their order; beginnings of longer ones are among them."""
    found: dict[str, None] = {}
    folded = unicodedata.normalize("NFKC", text[:TEXT_CHARACTERS]).casefold()
    for run in _RUNS.finditer(folded):
        found |= dict.fromkeys(_words_of(run))
        if len(found) >= MOST_WORDS:
            break
    return list(found)[:MOST_WORDS]


def word_places(text: str, words: Collection[str]) -> dict[str, int]:
    """Where each of some of its words, or what begins so, stands first in a text."""
    wanted, places = set(words), dict[str, int]()
    for run in _RUNS.finditer(text[:TEXT_CHARACTERS]):
        folded = unicodedata.normalize("NFKC", run.group()).casefold()
        for part in _RUNS.finditer(folded):
            for at, word in enumerate(_words_of(part)):
                if word in wanted:
                    places.setdefault(word, run.start() + (at if part.group("packed") else 0))
    return places


def _words_of(run: regex.Match[str]) -> list[str]:
    if packed := run.group("packed"):
        return ["".join(pair) for pair in pairwise(packed)] or [packed]
    word = _bare(run.group("word"))
    return [] if word in _EMPTY else _forms(stem(word))


def is_beginning(word: str) -> bool:
    """Whether one of :func:`search_words` stands for all that begins so."""
    return word.startswith(_BEGINS)


@lru_cache(maxsize=4096)
def mark(word: str) -> str:
    """What stands for a word in an index: eight small letters and digits, and not the word itself.

    So what was forgotten cannot be read in what a database has not overwritten yet.
    """
    digest = hashlib.blake2b(word.encode("utf-8", "replace"), digest_size=_DIGEST_BYTES).digest()
    return base64.b32encode(digest).decode().lower()


def _bare(word: str) -> str:
    """Without accents, and without what is written after an apostrophe."""
    plain = _ACCENTS.sub("", unicodedata.normalize("NFD", word))
    return unicodedata.normalize("NFC", _POSSESSIVE.sub("", plain)) or word


def _forms(bare: str) -> list[str]:
    if len(bare) > BEGINNING and not bare.isnumeric():
        return [bare, _BEGINS + bare[:BEGINNING]]
    # A short word is the beginning of longer ones: «sail» and «sailing», «paint» and «painter».
    return [bare, _BEGINS + bare] if len(bare) == BEGINNING else [bare]
