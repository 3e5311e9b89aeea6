"""Prompts of a given number of tokens, no two with the same beginning."""

import random
from collections.abc import Sequence
from typing import Protocol

from bot.engine.models.gptq.quantize import CALIBRATION_FILE

FILLER = " a"  # a token of its own nearly everywhere
FILLERS_MAXIMUM = 8


class Encoder(Protocol):
    """What cuts a prompt into tokens."""

    def encode_prompt(self, text: str) -> list[int]:
        """The tokens of a whole prompt, the model's beginning of sequence with them."""
        ...


class PromptMaker:
    """Makes texts out of a fixed stock of words; the same seed gives the same texts."""

    def __init__(self, tokens: Encoder, words: Sequence[str], seed: int = 0) -> None:
        """`words` are those of a text, in its order; a text that is made starts anywhere in it."""
        self._tokens = tokens
        self._words = words
        self._random = random.Random(seed)  # noqa: S311 - nothing secret
        self._made = 0

    def count(self, text: str) -> int:
        """Tokens of a prompt, the model's beginning of sequence with them."""
        return len(self._tokens.encode_prompt(text))

    def make_tokens(self, tokens: int) -> list[int]:
        """The same, as the model is given it."""
        return self._tokens.encode_prompt(self.make(tokens))

    def make(self, tokens: int) -> str:
        """A text of `tokens` tokens that begins as none before. Off by a few in odd tokenizers."""
        self._made += 1
        words = self._opening() + self._run_of_words(tokens)
        low, high = 1, len(words)
        while low < high:  # the most words that are not too long
            middle = (low + high + 1) // 2
            if self.count(" ".join(words[:middle])) <= tokens:
                low = middle
            else:
                high = middle - 1
        text = " ".join(words[:low])
        for _ in range(FILLERS_MAXIMUM):
            if self.count(text) >= tokens:
                break
            text += FILLER
        return text

    def _opening(self) -> list[str]:
        return [str(self._random.randrange(10**9)), str(self._made)]

    def _run_of_words(self, count: int) -> list[str]:
        """`count` words in their order, from anywhere, around the end to the beginning."""
        start = self._random.randrange(len(self._words))
        return [self._words[(start + index) % len(self._words)] for index in range(count)]


class RandomWordMaker(PromptMaker):
    """For the checkpoint with random weights, whose words `t1`, `t2` ... are one token each."""

    def __init__(self, tokens: Encoder, vocabulary: int, seed: int = 0) -> None:
        """`vocabulary` is how many tokens the model knows."""
        super().__init__(tokens, (), seed)
        self._vocabulary = vocabulary

    def make(self, tokens: int) -> str:
        """A text of exactly `tokens` words."""
        drawn = (self._random.randrange(1, self._vocabulary) for _ in range(tokens))
        return " ".join(f"t{number}" for number in drawn)


def fixed_text() -> list[str]:
    """The words of the pages that ship for quantizing."""
    return CALIBRATION_FILE.read_text(encoding="utf-8").split()
