"""Words that a reply must not contain: which tokens would complete one of them now.

It works on texts, so it does not matter how a word is cut into tokens, how it is capitalised, or
whether it begins or ends inside of one.
"""

from collections.abc import Iterable, Iterator, Sequence

from bot.engine.local.vocabulary import Vocabulary, folded, split


class BannedWords:
    """Follows one reply. The words are bounded where they are set: some tens, of 100 characters."""

    def __init__(self, words: Sequence[str], vocabulary: Vocabulary, before: Sequence[int]) -> None:
        """`before` is what the reply goes on from, in tokens: a word may have begun in it."""
        compared = (folded(word).replace("\0", "") for word in words)
        self._words = tuple(sorted({word for word in compared if word}))
        self._vocabulary = vocabulary
        self._begun: frozenset[tuple[str, int]] = frozenset()  # a word, and how much of it is there
        self._unfinished = b""
        self.always = vocabulary.containing(self._words)  # tokens that have a whole one in them
        longest = max((len(word.encode()) for word in self._words), default=0)
        for token in before[-longest:] if longest else ():
            self.take(token)

    def take(self, token: int) -> None:
        """A token was chosen."""
        piece = self._vocabulary.piece(token)
        if not piece:
            return
        text, self._unfinished = split(self._unfinished + piece)
        self._begun = self._after(text)

    def now(self) -> Iterable[int]:
        """The tokens that would complete a word now, beside those that :attr:`always` would."""
        if self._unfinished:
            return [token for token in self._vocabulary.going_on if self._completes(token)]
        if not self._begun:
            return ()
        rests = {word[there:] for word, there in self._begun}
        return {token for rest in rests for token in self._vocabulary.starting_with(rest)}

    def _completes(self, token: int) -> bool:
        text, _ = split(self._unfinished + self._vocabulary.piece(token))
        return any(length == len(word) for word, length in self._lengths(text))

    def _after(self, text: str) -> frozenset[tuple[str, int]]:
        """What has begun at the end of `text`, after what had begun before it."""
        begun = self._begun
        for character in text:
            begun = frozenset(self._grown(begun, character))
        return begun

    def _lengths(self, text: str) -> Iterator[tuple[str, int]]:
        begun: Iterable[tuple[str, int]] = self._begun
        for character in text:
            begun = tuple(self._grown(begun, character, completed=True))
            yield from begun

    def _grown(
        self, begun: Iterable[tuple[str, int]], character: str, *, completed: bool = False
    ) -> Iterator[tuple[str, int]]:
        for word, there in (*begun, *((word, 0) for word in self._words)):
            goes_on = there < len(word) and word[there] == character
            if goes_on and (completed or there + 1 < len(word)):
                yield word, there + 1
