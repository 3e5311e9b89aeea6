"""Token counts with a memory: of what stands in prompt after prompt only the new is counted.

The memory holds digests, no texts: what was edited or deleted is not kept here either.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from hashlib import blake2b

from bot.engine.api import ModelInfo

MOST_BYTES = 8 * 1024 * 1024
ENTRY_BYTES = 256  # at most what an entry takes: digest, count, and their place in the dictionary
BYTES_A_TOKEN = 5  # of text, in a guess: more than most tokenizers put into one

Count = Callable[[Sequence[str]], Awaitable[Sequence[int]]]


class CountCache:
    """The counts of many texts by many models, within `most_bytes`: the least recently used go."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most = most_bytes // ENTRY_BYTES
        self._counts: OrderedDict[bytes, int] = OrderedDict()
        self._model: tuple[ModelInfo, bytes] | None = None

    def __len__(self) -> int:
        return len(self._counts)

    def counter(self, info: ModelInfo, count: Count) -> "PromptCounter":
        """A counter for the model of `info`, whose tokens `count` counts."""
        return PromptCounter(self, self._salt(info), count)

    def get(self, key: bytes) -> int | None:
        """The count of a key, which is used with that."""
        found = self._counts.get(key)
        if found is not None:
            self._counts.move_to_end(key)
        return found

    def put(self, key: bytes, tokens: int) -> None:
        """Remember a count, perhaps instead of others."""
        self._counts[key] = tokens
        self._counts.move_to_end(key)
        while len(self._counts) > self._most:
            self._counts.popitem(last=False)

    def _salt(self, info: ModelInfo) -> bytes:
        """Told apart by everything that is known of a model: another one's counts are not found."""
        if self._model is None or self._model[0] != info:
            self._model = info, blake2b(_bytes(repr(info)), digest_size=16).digest()
        return self._model[1]


class PromptCounter:
    """Counts for one model. What the cache doesn't know is counted in one call."""

    def __init__(self, cache: CountCache, salt: bytes, count: Count) -> None:
        self._cache = cache
        self._salt = salt
        self._count = count

    async def parts(self, texts: Sequence[str]) -> list[int]:
        """Tokens of texts that will be counted again."""
        keys = [self._key(text) for text in texts]
        counts = {key: self._cache.get(key) for key in keys}
        new = {key: text for key, text in zip(keys, texts, strict=True) if counts[key] is None}
        if new:
            for key, tokens in zip(new, await self._count(list(new.values())), strict=True):
                counts[key] = tokens
                self._cache.put(key, tokens)
        return [counts[key] or 0 for key in keys]

    async def whole(self, text: str) -> int:
        """Tokens of a text that nobody will ask for again: it is not remembered."""
        (tokens,) = await self._count([text])
        return tokens

    def guess(self, text: str) -> int:
        """Its tokens without counting: exact where they are known, else rather too few."""
        known = self._cache.get(self._key(text))
        return len(_bytes(text)) // BYTES_A_TOKEN if known is None else known

    def _key(self, text: str) -> bytes:
        return blake2b(_bytes(text), digest_size=16, key=self._salt).digest()


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogatepass")
