"""Counting tokens for a remote model: by its server, by a local tokenizer, or by an estimate."""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import aiohttp
from tokenizers import Tokenizer

from bot.engine.remote.probe import (
    ServerFacts,
    TokenizeShape,
    ask_json,
    tokenize_body,
    tokenize_count,
)
from bot.errors import ModelError, RemoteEngineError

CACHED_COUNTS = 4096
AT_ONCE = 8
# Cautious: English is about 4.5 bytes a token, many scripts 2 to 3. Too many tokens only shortens
# what the model sees; too few would overrun its context.
BYTES_PER_TOKEN = 3


class TokenCounter(Protocol):
    """Counts tokens, and says how well."""

    description: str
    exact: bool
    special_tokens: tuple[str, ...]

    async def count(self, texts: Sequence[str]) -> tuple[int, ...]:
        """Tokens of each text."""
        ...


async def choose_counter(
    session: aiohttp.ClientSession, facts: ServerFacts, folder: Path | None
) -> TokenCounter:
    """The server's own `/tokenize`, else the folder's tokenizer, else the estimate."""
    if facts.tokenize_shape is not None:
        return ServerCounter(session, facts, facts.tokenize_shape)
    if folder is not None:
        return await asyncio.to_thread(FolderCounter, folder)
    return EstimateCounter()


class ServerCounter:
    """Asks `/tokenize`, and remembers the answers: most of a prompt is what it was last time."""

    def __init__(
        self, session: aiohttp.ClientSession, facts: ServerFacts, shape: TokenizeShape
    ) -> None:
        self._session = session
        self._facts = facts
        self._shape: TokenizeShape = shape
        self._known: OrderedDict[str, int] = OrderedDict()
        self._places = asyncio.Semaphore(AT_ONCE)
        self.description = f"the server's /tokenize ({self._shape})"
        self.exact = True
        self.special_tokens: tuple[str, ...] = ()

    async def count(self, texts: Sequence[str]) -> tuple[int, ...]:
        """Tokens of each text. Raises RemoteEngineError."""
        missing = {text for text in texts if text not in self._known}
        found = dict(
            zip(missing, await asyncio.gather(*(self._ask(text) for text in missing)), strict=True)
        )
        counts = tuple(found[text] if text in found else self._known[text] for text in texts)
        self._known.update(found)
        while len(self._known) > CACHED_COUNTS:
            self._known.popitem(last=False)
        return counts

    async def _ask(self, text: str) -> int:
        if not text:
            return 0
        body = tokenize_body(self._shape, self._facts.model, text)
        try:
            async with self._places:
                status, answer = await ask_json(
                    self._session, "POST", self._facts.tokenize_url, body
                )
        except (aiohttp.ClientError, TimeoutError) as error:
            raise RemoteEngineError(
                f"The model's server does not count tokens ({error or 'no answer in time'}).",
                "Try again in a moment.",
            ) from error
        count = tokenize_count(answer)
        if status != 200 or count is None:
            raise RemoteEngineError(
                f"The model's server does not count tokens (it answered {status}).",
                "Try again in a moment.",
            )
        return count


class FolderCounter:
    """A `tokenizer.json` on this machine (TOKENIZER). Blocking to make."""

    def __init__(self, folder: Path) -> None:
        """Raises ModelError when the folder holds no tokenizer."""
        file = folder / "tokenizer.json"
        try:
            self._tokenizer = Tokenizer.from_file(str(file))
            # Left in by whoever trained with them; a count is of a whole text.
            self._tokenizer.no_truncation()
            self._tokenizer.no_padding()
        # The tokenizers library raises bare Exception for whatever is wrong with the file.
        except Exception as error:
            raise ModelError(
                f"{file} is no tokenizer ({error}).",
                "TOKENIZER must name a folder with the model's tokenizer.json.",
            ) from error
        added = self._tokenizer.get_added_tokens_decoder().values()
        self.description = f"the tokenizer in {folder}"
        self.exact = True
        self.special_tokens = tuple(token.content for token in added if token.special)

    async def count(self, texts: Sequence[str]) -> tuple[int, ...]:
        """Tokens of each text."""
        encodings = await asyncio.to_thread(
            self._tokenizer.encode_batch, list(texts), add_special_tokens=False
        )
        return tuple(len(encoding.ids) for encoding in encodings)


class EstimateCounter:
    """One token for every three bytes of UTF-8, rounded up."""

    description = f"an estimate (1 token for {BYTES_PER_TOKEN} bytes): set TOKENIZER to a folder"
    exact = False
    special_tokens: tuple[str, ...] = ()

    async def count(self, texts: Sequence[str]) -> tuple[int, ...]:
        """Tokens of each text, cautiously."""
        return tuple(-(-len(text.encode()) // BYTES_PER_TOKEN) for text in texts)
