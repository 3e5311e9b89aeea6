"""Whole words in what people say, in every script."""

import re
import unicodedata
from collections.abc import Iterable, Sequence

# Scripts written without spaces between words: Thai to Khmer, kana, Han.
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")
# What holds words that nobody said: addresses, of people too, and an emoji spelled out.
_ADDRESSES = re.compile(
    r"[a-z][a-z0-9+.-]{0,20}://\S+|\bwww\.\S+|[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+"
    # Only where its first part begins: from any other, it would be looked through again and again.
    r"|(?<![a-z0-9-])(?<![a-z0-9-]\.)(?:[a-z0-9-]+\.)+"
    r"(?:[a-z]{2,24}/\S*|(?:com|org|net|io|dev|gg|app|edu|gov|info|ai|xyz|uk)\b)"
    r"|(?<![\w:]):\w{2,32}:(?![\w:])",
    re.IGNORECASE,
)
# Katakana, with its long vowels: written in a row, they are one word.
_KATAKANA = re.compile("[\u30a1-\u30fa\u30fc-\u30ff]")
_JOINER = "\u200d"  # between emoji that are seen as one
_SKIN = re.compile("[\U0001f3fb-\U0001f3ff]")
# What is seen otherwise or not at all: forms of emoji, vowels of Arabic and Hebrew. Of apostrophes
# and hyphens, each keyboard has its own.
_UNSEEN = re.compile("[\ufe0e\ufe0f\u064b-\u065f\u0670\u0640\u0591-\u05bd\u05bf-\u05c7]")
_PLAIN = str.maketrans("\u2018\u2019\u02bc\u2010\u2011", "'''--")
_BLANKS = re.compile(r"[^\S\n]+")
NO_WORD = "\ufffc"  # stands where something was shown that isn't a word
NAMED_WITHIN_CHARACTERS = 20_000


def has_wake_word(text: str, words: Iterable[str]) -> bool:
    """Whether one of `words` stands in `text` as a whole word, whatever the case.

    In scripts without spaces between words, it may stand anywhere, but not within a row of
    katakana. Addresses and the names of emoji hold no words.
    """
    text = _fold(_ADDRESSES.sub(NO_WORD, text))
    inside = [word for word in (_fold(word).strip() for word in words) if word and word in text]
    if not inside:
        return False
    edges = _edges(text)
    return any(
        start + len(word) in edges and text.startswith(word, start)
        for word in inside
        for start in edges
    )


def in_order_named(text: str, names: Sequence[str]) -> list[int]:
    """Which of `names` stand in `text` as whole words, by their indexes, the first named first.

    As :func:`has_wake_word`; a longer name goes before a shorter one inside of it («Ann Lee» does
    not name «Ann»), and Korean particles may cling to a name. Only the beginning of a very long
    text is looked through.
    """
    # Underscores are italics here.
    text = _fold(_ADDRESSES.sub(NO_WORD, text[:NAMED_WITHIN_CHARACTERS])).replace("_", " ")
    folded = [(_fold(name).replace("_", " ").strip(), at) for at, name in enumerate(names)]
    inside = sorted((-len(name), index, name) for name, index in folded if name and name in text)
    if not inside:
        return []
    edges = _edges(text)
    taken = bytearray(len(text))
    first: dict[int, int] = {}
    for length, index, name in inside:
        start = text.find(name)
        while start >= 0:
            end = start - length
            is_whole = start in edges and (end in edges or _takes_particles(text[end - 1]))
            if is_whole and not any(taken[start:end]):
                taken[start:end] = b"\1" * -length
                first.setdefault(index, start)
            start = text.find(name, start + 1 if not is_whole else end)
    return sorted(first, key=lambda index: first[index])


def _edges(text: str) -> set[int]:
    return {i for i in range(len(text)) if are_apart(text[i - 1 : i], text[i])} | {len(text)}


def _takes_particles(character: str) -> bool:
    return "\uac00" <= character <= "\ud7a3"  # Hangul syllables


def _fold(text: str) -> str:
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    # In Turkish, both forms of I have a dot, or neither: «İ» is folded to i and a dot.
    text = text.replace("i\u0307", "i").replace("\u0131", "i")
    if not text.isascii():
        text = _UNSEEN.sub("", text.translate(_PLAIN))
        text = "".join(each for each in text if each == _JOINER or not _is_invisible(each))
    return _BLANKS.sub(" ", text)


def are_apart(left: str, right: str) -> bool:
    """Whether a word may begin or end between two characters ("" is the text's beginning)."""
    if _JOINER in (left, right) or _SKIN.match(right):
        return not left
    if not left or not (_is_word(left) and _is_word(right)):
        return True
    if _KATAKANA.match(left) and _KATAKANA.match(right):
        return False
    return bool(_UNSPACED.match(left) or _UNSPACED.match(right))


def _is_invisible(character: str) -> bool:
    return unicodedata.category(character) == "Cf"


def _is_word(character: str) -> bool:
    return character == "_" or unicodedata.category(character)[0] in "LMN"
