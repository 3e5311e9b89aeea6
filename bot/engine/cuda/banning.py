"""A request with banned words on the GPU, which learns of most of them only after it has chosen."""

from dataclasses import dataclass

from bot.engine.api import Sampling
from bot.engine.local.banned import BannedWords
from bot.engine.local.vocabulary import Vocabulary


@dataclass(slots=True)
class Banning:
    """The words, and all that begins the request anew where it stands."""

    words: BannedWords
    said: list[int]
    sampling: Sampling
    seed: int
    step: int
    vocabulary: Vocabulary

    def take(self, token: int) -> None:
        """A token was chosen."""
        self.words.take(token)
        self.said.append(token)
        self.step += 1
