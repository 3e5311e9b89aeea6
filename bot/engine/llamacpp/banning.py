"""Which tokens llama.cpp is told not to choose, so that no banned word comes about.

Its server knows no banned words, but takes a bias for tokens. Those that have a whole word in them
are impossible throughout; those that would complete one are so for the single token that is chosen
where a word came about (:mod:`bot.engine.remote.banning`).
"""

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path

from bot.engine.local.banned import BannedWords
from bot.engine.local.vocabulary import Vocabulary, piece_of
from bot.engine.models.gguf.container import CutOff, Damaged, OtherEndian, OtherVersion
from bot.engine.models.gguf.texts import FileVocabulary, Kind, TokenName, read_vocabulary

log = logging.getLogger(__name__)

_SILENT = {Kind.UNKNOWN, Kind.CONTROL, Kind.UNUSED}


class TokenBans:
    """Knows the vocabulary of the file that runs; reads it when it is first needed."""

    def __init__(self) -> None:
        self._of: tuple[Path, Vocabulary] | None = None
        self._reading = asyncio.Lock()

    async def never(
        self, path: Path, words: Sequence[str], said: Sequence[int], *, single: bool
    ) -> list[int]:
        """The tokens to make impossible after `said`; `single` where one token is to be chosen."""
        if not words:
            return []
        async with self._reading:
            if self._of is None or self._of[0] != path:
                self._of = path, await asyncio.to_thread(_read, path)
        return await asyncio.to_thread(_never, self._of[1], words, said, single)


def _never(
    vocabulary: Vocabulary, words: Sequence[str], said: Sequence[int], single: bool
) -> list[int]:
    banned = BannedWords(words, vocabulary, said)
    return sorted({*banned.always, *(banned.now() if single else ())})


def _read(path: Path) -> Vocabulary:
    """Without it the text is watched all the same; words just take more tries."""
    try:
        return vocabulary_of(read_vocabulary(path))
    except (OSError, Damaged, CutOff, OtherEndian, OtherVersion) as error:
        log.warning("the vocabulary of %s cannot be read: %s", path.name, error)
        return Vocabulary([])


def vocabulary_of(found: FileVocabulary) -> Vocabulary:
    """What each of a file's tokens adds to a text, as llama.cpp writes it."""
    return Vocabulary([_piece(token, found) for token in found.tokens])


def _piece(token: TokenName, found: FileVocabulary) -> bytes:
    if token.kind in _SILENT:
        return b""
    if token.kind == Kind.USER_DEFINED:
        return token.name.encode()
    if token.kind == Kind.BYTE or found.is_byte_level:
        return piece_of(token.name, "\ufffd")
    return token.name.replace("\u2581", " ").encode()
