"""What is left of a text that stood in several messages, when some of them are deleted."""

from collections.abc import Collection
from dataclasses import dataclass
from itertools import groupby

from bot.chat.text.split import FENCE, MESSAGE_CHARACTERS, MessageSplitter


@dataclass(frozen=True, slots=True)
class _Part:
    """What one message holds: a part of the text, and what was added around it."""

    start: int
    end: int
    opening: str
    closing: str


def text_left(
    text: str, messages: int, gone: Collection[int], first_limit: int = MESSAGE_CHARACTERS
) -> str:
    """The text without what stood in the messages `gone`, counted from 0, of so many.

    `first_limit`: the most characters that the first of them held.

    Code that went on over a deleted message is closed before it, and opened again after it.
    """
    parts = _parts(text, messages, first_limit)
    kept = [(place, part) for place, part in enumerate(parts) if place not in gone]
    runs: list[str] = []
    # Messages that follow each other are one piece of the text, as it was.
    for _, run in groupby(enumerate(kept), key=lambda item: item[1][0] - item[0]):
        together = [part for _, (_, part) in run]
        first, last = together[0], together[-1]
        runs.append(first.opening + text[first.start : last.end].rstrip() + last.closing)
    return "\n\n".join(run for run in runs if run.strip())


def _parts(text: str, messages: int, first_limit: int) -> list[_Part]:
    """The parts of so many messages: what would take more stands in the last of them."""
    splitter = MessageSplitter(first_limit=first_limit)
    parts: list[_Part] = []
    at = 0
    for piece in splitter.pieces(text):
        start = text.index(piece.body, at)
        at = start + len(piece.body)
        parts.append(_Part(start, at, piece.opening, piece.closing))
    if last := splitter.current:
        parts.append(_last(text, at, last))
    if len(parts) > messages > 0:
        surplus = parts[messages - 1 :]
        del parts[messages - 1 :]
        parts.append(
            _Part(surplus[0].start, surplus[-1].end, surplus[0].opening, surplus[-1].closing)
        )
    return parts


def _last(text: str, at: int, shown: str) -> _Part:
    """The last message's part, which begins somewhere from `at` on and reads `shown`."""
    body = text[at:].strip()
    if body not in shown:  # it begins with the end of a block that was closed before
        body = body.removeprefix(FENCE).strip()
    start = text.rindex(body)
    opening, found, closing = shown.partition(body)
    if not found:
        opening = closing = ""
    return _Part(start, start + len(body), opening, closing)
