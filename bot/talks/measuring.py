"""What is counted in a reply that people saw. On purpose not by the filters' own code."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bot.chat.messages import Flaw
from bot.chat.text.likeness import SHORT_UNITS, are_nearly_equal, compared, units

RECENT = 3
_LABEL = re.compile(r"(?P<label>[^:\uff1a\n]{1,120})[:\uff1a]")
_ITEM = re.compile(r"\s*(?:[-*+\u2022]|\d+[.)])\s")
_REMARK = re.compile(r"[(\[][^()\[\]]{0,60}[)\]]\s*[*_\"]*\s*$")
# Of every prompt format: what stands above a turn, and special tokens.
_HEADERS = re.compile(
    r"^\s*#{2,6}\s*(?:instruction|input|response)\s*:?\s*$"
    r"|<\|[^<>|\n]{1,40}\|>|</?s>|\[/?INST\]|<</?SYS>>"
    r"|^\s*(?:user|assistant|system|human)\s*[:\uff1a]",
    re.IGNORECASE | re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class ReplyFigures:
    """One reply, measured."""

    persona: str
    text: str
    spoken_for: int = 0  # lines that are somebody else's
    headers: int = 0  # of the prompt's format, and its own name as a label
    is_empty: bool = False
    is_repeated: bool = False  # nearly one of the last three that were shown
    retry: Flaw | None = None  # why it was written twice
    is_cut: bool = False  # by the most tokens of a reply
    facts: int = 0  # of its persona that should stand in the prompt, and those that do
    facts_found: int = 0
    prompt_tokens: int = 0
    reply_tokens: int = 0
    wasted_tokens: int = 0  # of the other try
    first_seconds: float = 0.0
    seconds: float = 0.0
    error: str = ""


def spoken_for(text: str, others: Iterable[str]) -> int:
    """Lines that begin with another speaker's name, or its first word, and a colon.

    A list's items are about people, and not counted.
    """
    keys = {key for name in others for key in _keys(name)}
    return sum(_label(line) in keys for line in text.splitlines())


def headers_shown(text: str, own: str) -> int:
    """A format's headers and special tokens, and lines that begin with the speaker's own name."""
    labels = sum(_label(line) in _keys(own) for line in text.splitlines())
    return labels + len(_HEADERS.findall(text))


def is_repetition(text: str, earlier: Sequence[str]) -> bool:
    """Whether it is nearly one of the last three; a short reply may be."""
    if units(compared(text)) < SHORT_UNITS:
        return False
    return any(are_nearly_equal(text, each) for each in earlier[-RECENT:])


def facts_in(prompt: str, facts: Iterable[str]) -> int:
    """How many of the facts stand in a prompt."""
    said = " ".join(prompt.casefold().split())
    return sum(" ".join(fact.casefold().split()) in said for fact in facts)


def _label(line: str) -> str | None:
    found = None if _ITEM.match(line) else _LABEL.match(line)
    return _key(_REMARK.sub("", found["label"])) or None if found else None


def _keys(name: str) -> set[str]:
    first = name.split()[:1]
    return {_key(name), *(_key(word) for word in first)} - {""}


def _key(name: str) -> str:
    """A name's letters and digits; where it has none, its signs."""
    signs = compared(name)
    return "".join(filter(str.isalnum, signs)) or signs
