"""Text files that people attach, read up to a budget. A file that cannot be read is only named."""

import asyncio
import codecs
import re
from collections.abc import Iterable, Mapping

import discord

from cogs.listening.contents import clip
from cogs.platform import WRITE_ERRORS

FILES = 3  # read of one message
FILE_BYTES = 1 << 20  # larger ones are not fetched: Discord gives no part of a file
READ_SECONDS = 8.0  # for all files of a message
MOST_CHARACTERS = 20_000

_TEXT_TYPES = frozenset(
    f"application/{name}"
    for name in ("json", "xml", "yaml", "x-yaml", "toml", "javascript", "x-sh", "sql", "x-python")
)
_TEXT_NAME = re.compile(
    r"\.(?:txt|md|markdown|rst|log|csv|tsv|jsonl?|ya?ml|toml|ini|cfg|conf|env|xml|html?|css|svg"
    r"|pyi?|m?js|[jt]sx|ts|c|h|cc|cpp|hpp|cs|java|kt|go|rs|rb|php|pl|lua|sh|bash|zsh|ps1|bat|sql"
    r"|swift|dart|scala|hs|ml|exs?|clj|r|jl|tex|diff|patch|srt|vtt)\Z",
    re.IGNORECASE,
)
_MARKS = {
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
    codecs.BOM_UTF8: "utf-8-sig",
}


def room_for(context_tokens: int) -> int:
    """How many characters of files a message may bring, where a model has that much context."""
    return min(MOST_CHARACTERS, context_tokens * 3 // 4)


async def read_files(
    attachments: Iterable[discord.Attachment], characters: int
) -> Mapping[int, str]:
    """What stands in the text files among `attachments`, by their ids."""
    texts: dict[int, str] = {}
    wanted = [one for one in attachments if is_text_file(one) and one.size <= FILE_BYTES]
    try:
        async with asyncio.timeout(READ_SECONDS):
            for attachment in wanted[:FILES]:
                text = await _read(attachment, characters)
                if text:
                    texts[attachment.id] = clip(text, characters)
                    characters -= len(texts[attachment.id])
                if characters <= 0:
                    break
    except TimeoutError:
        pass
    return texts


def is_text_file(attachment: discord.Attachment) -> bool:
    """Whether a file looks like text, by its type or the end of its name."""
    kind = (attachment.content_type or "").partition(";")[0].strip().lower()
    if kind.startswith("text/") or kind in _TEXT_TYPES:
        return True
    return _TEXT_NAME.search(attachment.filename) is not None


async def _read(attachment: discord.Attachment, characters: int) -> str | None:
    try:
        content = await attachment.read()
    except WRITE_ERRORS:
        return None
    return decoded(content[: 4 * characters])


def decoded(content: bytes) -> str | None:
    """A text file's beginning as text, whatever its encoding; None when it is no text."""
    for mark, encoding in _MARKS.items():
        if content.startswith(mark):
            return codecs.getincrementaldecoder(encoding)("replace").decode(content).strip()
    if b"\0" in content:
        return None
    try:
        # The last character may be cut in two.
        return codecs.getincrementaldecoder("utf-8")().decode(content).strip()
    except UnicodeDecodeError:
        return content.decode("cp1252", "replace").strip()
