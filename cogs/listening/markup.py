"""Discord's markup in the words that a person reads. What stands in code is left as it is.

Every function takes time in proportion to the text, whatever it holds.
"""

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import TypeAlias

NameOf: TypeAlias = Callable[[str, int], str | None]
"""The name behind a sigil ("@", "@&", "#") and an id; None when nobody knows it."""

GROWTH_CHARACTERS = 1000  # by which names and times may lengthen all the words of one message

_MARKUP = re.compile(
    r"<(?P<sigil>@!|@&|@|\#)(?P<id>\d{1,20})>"
    r"|<a?:(?P<emoji>\w{1,32}):\d{1,20}>"
    r"|<(?P<command>/[^:<>]{1,110}):\d{1,20}>"
    r"|<t:(?P<time>-?\d{1,15})(?::(?P<style>[A-Za-z]{1,4}))?>"
    r"|<id:(?P<place>customize|browse|guide|home|linked-roles)(?::\d{1,20})?>"
)
_PLACES = {
    "customize": "Channels & Roles",
    "browse": "Browse Channels",
    "guide": "Server Guide",
    "home": "Server Guide",
    "linked-roles": "Linked Roles",
}
_WITH_SECONDS = frozenset("TS")
_TICKS = re.compile(r"`+")
_FENCE_TICKS = 3
# After a mention with which a message begins: it addresses, unless the sentence goes on from it.
_ADDRESS_END = re.compile(r"(?:[!.]+(?=\s))?[\s,:;]*")
_GOES_ON = re.compile(
    r"['\u2019\w]|-\w|/[<\w]|\s*[&+/]\s*<@|\s+(?:vs\.?|versus)\s"
    r"|\s+(?:and|or|und|oder|et|ou|y|o|e)\s+<@",
    re.IGNORECASE,
)
_ENDS_SENTENCE = frozenset(".!?\u2026)")


class Spelling:
    """Puts words in place of the markup of one message, which grows by GROWTH_CHARACTERS at most.

    Behind that, a name is cut to the length of its mention, and a time stays as it was written.
    """

    def __init__(self, name_of: NameOf) -> None:
        """The same for all parts of a message, which share the room."""
        self._name_of = name_of
        self._room = GROWTH_CHARACTERS

    def word(self, match: re.Match[str]) -> str:
        """What a person would read there."""
        word, written = _word(match, self._name_of), match[0]
        growth = len(word) - len(written)
        if growth <= 0:
            return word
        if growth <= self._room:
            self._room -= growth
            return word
        return f"{word[: len(written) - 1]}…" if match["id"] else written


def readable(
    content: str, spelling: Spelling, own_ids: frozenset[int] = frozenset(), *, markup: str = ""
) -> str:
    """`content` in plain words; what Discord shows as something else, as `markup` if it is given.

    A mention of `own_ids` that only addresses is taken out: at the beginning, and at the end behind
    a comma or a whole sentence. Inside a sentence it is a name as any other.
    """
    found = list(_markup(content))
    start, end, rest = 0, len(content), ""
    if own_ids:
        start = _address_end(content, found, own_ids)
        end, rest = _address_start(content, found, own_ids, start)
    pieces: list[str] = []
    at = start
    for match in found:
        if start <= match.start() and match.end() <= end:
            pieces += (content[at : match.start()], markup or spelling.word(match))
            at = match.end()
    return "".join((*pieces, content[at:end], rest)).strip()


def code_spans(text: str) -> list[tuple[int, int]]:
    """Where code stands: between fences, and between backticks of one number."""
    ends = {run.start(): run.end() for run in _TICKS.finditer(text)}
    fences = [start for start, end in ends.items() if end - start >= _FENCE_TICKS]
    by_length: dict[int, list[int]] = {}
    for start, end in ends.items():
        by_length.setdefault(end - start, []).append(start)
    spans: list[tuple[int, int]] = []
    at = 0
    for start, end in ends.items():
        opening = start + _is_escaped(text, start)  # a backtick behind a backslash opens nothing
        length = end - opening
        if start < at or not length:
            continue
        closing = _next(fences, end) if length >= _FENCE_TICKS else None
        if closing is None:
            closing = _next(by_length.get(length, ()), end)
        if closing is not None:
            at = ends[closing]
            spans.append((opening, at))
    return spans


def _next(places: Sequence[int], at: int) -> int | None:
    index = bisect_left(places, at)
    return places[index] if index < len(places) else None


def _markup(content: str) -> Iterator[re.Match[str]]:
    """What Discord would show as something else: not in code, not behind a backslash."""
    spans = iter(code_spans(content))
    span = next(spans, None)
    for match in _MARKUP.finditer(content):
        while span is not None and span[1] <= match.start():
            span = next(spans, None)
        if (span is None or match.start() < span[0]) and not _is_escaped(content, match.start()):
            yield match


def _is_escaped(text: str, at: int) -> bool:
    begin = at
    while begin > 0 and text[begin - 1] == "\\":
        begin -= 1
    return (at - begin) % 2 == 1


def _word(match: re.Match[str], name_of: NameOf) -> str:
    if match["id"]:
        sigil = match["sigil"].rstrip("!")
        name = name_of(sigil, int(match["id"]))
        return name or ("a channel" if sigil == "#" else "someone")
    if match["emoji"]:
        return f":{match['emoji']}:"
    if match["command"]:
        return match["command"]
    if match["place"]:
        return _PLACES[match["place"]]
    return _time_in_words(int(match["time"]), with_seconds=match["style"] in _WITH_SECONDS)


def _time_in_words(seconds: int, *, with_seconds: bool) -> str:
    try:
        when = datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return "some day"
    return f"{when:%Y-%m-%d %H:%M:%S} UTC" if with_seconds else f"{when:%Y-%m-%d %H:%M} UTC"


def _is_own(match: re.Match[str], own_ids: frozenset[int]) -> bool:
    return match["sigil"] not in (None, "#") and int(match["id"]) in own_ids


def _address_end(content: str, found: Sequence[re.Match[str]], own_ids: frozenset[int]) -> int:
    """Where the text goes on after the mentions that begin it only to address."""
    at = 0
    for match in found:
        is_first = not content[at : match.start()].strip()
        if not is_first or not _is_own(match, own_ids) or _GOES_ON.match(content, match.end()):
            break
        separator = _ADDRESS_END.match(content, match.end())
        at = separator.end() if separator else match.end()
    return at


def _address_start(
    content: str, found: Sequence[re.Match[str]], own_ids: frozenset[int], start: int
) -> tuple[int, str]:
    """Where the text ends before mentions that only address, and what closes it then."""
    end, rest = len(content), ""
    for index in range(len(found) - 1, -1, -1):
        match = found[index]
        closing = content[match.end() : end].strip()
        if match.start() < start or not _is_own(match, own_ids) or closing.strip(".!?\u2026"):
            break
        before = match.start()  # where what stands before it ends
        while before > start and content[before - 1].isspace():
            before -= 1
        if before == start:
            return start, closing
        previous = found[index - 1] if index and found[index - 1].end() == before else None
        ends_line = "\n" in content[before : match.start()]
        if not ends_line and not _ends_thought(content[before - 1], previous, own_ids):
            break
        end = before - (content[before - 1] in ",;")
        rest = closing or rest
    return end, "" if content[end - 1 : end] in _ENDS_SENTENCE else rest


def _ends_thought(character: str, previous: re.Match[str] | None, own_ids: frozenset[int]) -> bool:
    """Whether what stands before a mention is whole without it."""
    if previous is not None:  # an emoji, a time, a command; but with a name there is a list
        return not previous["id"] or _is_own(previous, own_ids)
    return character in ".!?\u2026),;" or unicodedata.category(character) == "So"
