"""Chance that can be repeated: a roll depends on the seed and on what is rolled for alone."""

from hashlib import blake2b

_BYTES = 8


def roll(seed: int, *what: str) -> float:
    """From 0 up to, but not, 1: the same for the same seed and words, whatever else is rolled."""
    words = "\0".join((str(seed), *what)).encode(errors="backslashreplace")
    digest = blake2b(words, digest_size=_BYTES).digest()
    return (int.from_bytes(digest) >> 11) / (1 << 53)
