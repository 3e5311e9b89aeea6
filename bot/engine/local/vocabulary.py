"""What each token of a model adds to a text, and which tokens have a text in them."""

import codecs
import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate

_BETWEEN = "\0"
_KEPT = 64  # sets of words for which the tokens are kept
_BYTE = re.compile(r"<0x([0-9A-F]{2})>")
REPLACEMENT = "\ufffd"


def folded(text: str) -> str:
    """`text` as people compare it: neither case nor signs that nobody sees make a difference."""
    text = text.casefold()
    if text.isascii():
        return text
    return "".join(sign for sign in text if unicodedata.category(sign) != "Cf")


def split(raw: bytes) -> tuple[str, bytes]:
    """(the text that is certain, folded; the bytes of a character that is not whole yet)."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    text = decoder.decode(raw)
    return folded(text), decoder.getstate()[0]


def piece_of(name: str, text: str) -> bytes:
    """The bytes of a token: `name` is how its tokenizer spells it, `text` what it decodes to.

    A token that is only a part of a character decodes to U+FFFD; its name tells which part.
    """
    if REPLACEMENT not in text:
        return text.encode("utf-8", "replace")
    if found := _BYTE.fullmatch(name):
        return bytes([int(found[1], 16)])
    if all(character in _BYTE_ALPHABET for character in name):
        return bytes(_BYTE_ALPHABET[character] for character in name)
    return text.encode()


def _byte_alphabet() -> dict[str, int]:
    """How byte-level tokenizers spell bytes: printable ones as they are, others from U+0100 on.

    https://github.com/openai/gpt-2/blob/master/src/encoder.py
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(0x100) if byte not in printable]
    plain = {chr(byte): byte for byte in printable}
    return plain | {chr(0x100 + number): byte for number, byte in enumerate(others)}


_BYTE_ALPHABET = _byte_alphabet()


class Vocabulary:
    """The bytes of each token; b"" for those that are no text. Texts are compared folded."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        """`pieces[token]`; tokens beyond them have no text."""
        self._pieces = tuple(pieces)
        # The tokens that may go on with a character that another one began.
        self.going_on = tuple(
            token for token, piece in enumerate(pieces) if piece and piece[0] & 0xC0 == 0x80
        )
        texts = [split(piece)[0] for piece in pieces]
        self._order = sorted(range(len(texts)), key=texts.__getitem__)
        self._sorted = [texts[token] for token in self._order]
        # All texts in one, which is searched fast, and where each begins.
        self._joined = _BETWEEN.join(texts)
        self._begins = list(accumulate((len(text) + 1 for text in texts), initial=0))
        self._with: dict[tuple[str, ...], frozenset[int]] = {}

    def piece(self, token: int) -> bytes:
        """What a token adds to the text."""
        return self._pieces[token] if token < len(self._pieces) else b""

    def starting_with(self, text: str) -> Sequence[int]:
        """The tokens whose certain text begins with `text`, which is folded and not empty."""
        first = bisect_left(self._sorted, text)
        last = bisect_right(self._sorted, text, first, key=lambda each: each[: len(text)])
        return self._order[first:last]

    def containing(self, texts: Sequence[str]) -> frozenset[int]:
        """The tokens that have one of `texts` in them, which are folded and have no NUL."""
        found = self._with.get(key := tuple(texts))
        if found is None:
            if len(self._with) >= _KEPT:
                self._with.clear()
            found = self._with[key] = frozenset(
                token for text in key if text for token in self._having(text)
            )
        return found

    def _having(self, text: str) -> Iterator[int]:
        at = self._joined.find(text)
        while at >= 0:
            token = bisect_right(self._begins, at) - 1
            yield token
            at = self._joined.find(text, self._begins[token + 1])
