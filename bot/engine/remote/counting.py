"""Counting tokens for a remote model: by its server, by a local tokenizer, or by an estimate."""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Protocol

import aiohttp

from bot.engine.models.extras import require_tokenizers
from bot.engine.remote.apis import CountingApi
from bot.engine.remote.link import Link
from bot.engine.remote.probe import ServerFacts
from bot.errors import ModelError, RemoteEngineError

CACHED_COUNTS = 4096
AT_ONCE = 8
COUNT_SECONDS = 30.0  # for all that is counted at once
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


async def choose_counter(link: Link, facts: ServerFacts, folder: Path | None) -> TokenCounter:
    """The server's own counting, else the folder's tokenizer, else the estimate."""
    if facts.counting_api is not None:
        return ServerCounter(link, facts, facts.counting_api)
    if folder is not None:
        return await asyncio.to_thread(FolderCounter, folder)
    return EstimateCounter()


class ServerCounter:
    """Asks the server, and remembers the answers: most of a prompt is what it was last time."""

    def __init__(self, link: Link, facts: ServerFacts, api: CountingApi) -> None:
        self._link = link
        self._facts = facts
        self._api = api
        self._known: OrderedDict[str, int] = OrderedDict()
        self._places = asyncio.Semaphore(AT_ONCE)
        self.description = f"the server's {api.path} ({api.name})"
        self.exact = True
        self.special_tokens: tuple[str, ...] = ()

    async def count(self, texts: Sequence[str]) -> tuple[int, ...]:
        """Tokens of each text. Raises RemoteEngineError."""
        missing = list({text for text in texts if text not in self._known})
        try:
            async with asyncio.timeout(COUNT_SECONDS):
                asked = await asyncio.gather(*(self._ask(text) for text in missing))
        except TimeoutError as error:
            raise RemoteEngineError(
                f"The model's server takes longer than {COUNT_SECONDS:g} s to count tokens.",
                "Try again in a moment.",
            ) from error
        found = dict(zip(missing, asked, strict=True))
        counts = tuple(found[text] if text in found else self._known[text] for text in texts)
        self._known.update(found)
        while len(self._known) > CACHED_COUNTS:
            self._known.popitem(last=False)
        return counts

    async def _ask(self, text: str) -> int:
        if not text:
            return 0
        question = self._api.question(self._facts.model, text, False)
        try:
            async with self._places:
                answer = await self._link.ask("POST", self._facts.counting_url, question)
        except (aiohttp.ClientError, TimeoutError) as error:
            what = " ".join(str(error).split())[:200] or "no answer in time"
            raise RemoteEngineError(
                f"The model's server does not count tokens ({what}).", "Try again in a moment."
            ) from error
        count = self._api.count(text, answer.fields)
        if answer.status != HTTPStatus.OK or count is None:
            raise RemoteEngineError(
                f"The model's server does not count tokens (it answered {answer.status}).",
                "Try again in a moment.",
            )
        return max(count - self._facts.counted_extra, 0)


class FolderCounter:
    """A `tokenizer.json` on this machine (TOKENIZER). Blocking to make."""

    def __init__(self, folder: Path) -> None:
        """Raises ModelError when the folder holds no tokenizer, or none can be read here."""
        require_tokenizers()
        from tokenizers import Tokenizer

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
