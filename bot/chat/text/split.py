"""Splits a reply into Discord messages, its Markdown closed and reopened, nothing lost."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from bot.chat.text.fences import FENCE
from bot.chat.text.markup import CODE, SPOILER, Markup, longest_room

# Discord's own OpenAPI document: `maxLength` of a message's content. JSON Schema counts Unicode
# code points, as `len` does.
MESSAGE_CHARACTERS = 2_000
FIRST_CHARACTERS = 1_800  # of a persona's first message, above which a line of its own may stand
LEAST_LIMIT = 64

_CLOSING = f"\n{FENCE}"
_LANGUAGE = re.compile(r"[A-Za-z0-9_+\-.#]{1,24}(?=\n)")
# Where a message may end, best first. Sentences also end without a blank, in Chinese and Japanese.
_PARAGRAPH = re.compile(r"\n[^\S\n]*\n\s*")
_TOP_LINE = re.compile(r"\n(?!\s)")  # Discord takes a first line's indentation off
_LINE = re.compile(r"\n\s*")
_SENTENCE = re.compile(
    "(?:(?<=[.!?\u2026])|(?<=[.!?\u2026][\"'\u201d\u2019\xbb)*_]))\\s+|(?<=[\u3002\uff01\uff1f])(?!\\Z)"
)
_WORD = re.compile(r"\s+")
_LONG_QUOTE = re.compile(r"^>>> ", re.MULTILINE)
_CLUSTER_CHARACTERS = 32  # how far to go back for the beginning of what is seen as one character


@dataclass(frozen=True, slots=True)
class Piece:
    """One message: `body` is the text's own, what opens and closes it is added."""

    opening: str
    body: str
    closing: str

    @property
    def text(self) -> str:
        """The message's content."""
        return self.opening + self.body + self.closing


class MessageSplitter:
    """Cuts a growing text into messages. A message that was returned never changes.

    A message ends at a paragraph, else a line, else a sentence, else a word, else within a word;
    inside a code fence at a line. Blanks around a cut are dropped (inside a fence only the line's
    end). What is open where it ends (fence, spoiler, bold, a quotation's line ...) is closed, and
    opened again in the next message; links, mentions, emoji and list markers stay whole. A message
    with such signs stays a few characters shorter, so that they can be closed.

    A spoiler still open at the text's end is closed too: nobody sees what it hides, not even while
    the text is still growing.
    """

    def __init__(self, limit: int = MESSAGE_CHARACTERS, first_limit: int | None = None) -> None:
        """`limit`: the most characters of a message, `first_limit` of the first; at least 64."""
        first_limit = limit if first_limit is None else first_limit
        if min(limit, first_limit) < LEAST_LIMIT:
            raise ValueError("a message must have room for a fence and some text")
        self._limit = first_limit
        self._later_limit = limit
        self._open = _Open()
        self._rest = ""

    @property
    def current(self) -> str:
        """The message still growing, as it could be shown; "" when there is nothing in it."""
        piece = self._last_piece()
        return piece.text if piece else ""

    def decode(self, text: str) -> list[str]:
        """Take new text; return the messages that it finished."""
        return [piece.text for piece in self.pieces(text)]

    def flush(self) -> list[str]:
        """The text has ended: the last message, unless it is empty."""
        return [piece.text for piece in self.last_pieces()]

    def pieces(self, text: str) -> list[Piece]:
        """As :meth:`decode`, with what was added told apart."""
        self._rest += text
        if not self._open.fence:
            self._rest = self._rest.lstrip()
        found: list[Piece] = []
        while piece := self._cut():
            found.append(piece)
        return [piece for piece in found if piece.body.strip()]

    def last_pieces(self) -> list[Piece]:
        """As :meth:`flush`, with what was added told apart."""
        piece = self._last_piece()
        self._open, self._rest = _Open(), ""
        return [piece] if piece else []

    def _cut(self) -> Piece | None:
        """Take one message off the front, when there is more text than one can hold.

        Looks at no more of the text than had to be there to know that, so that it makes no
        difference how the text arrives.
        """
        self._settle_opening()
        opened = self._open
        opening = opened.text
        seen = longest_room(opening + self._rest[: self._limit + 1], self._limit) - len(opening)
        if len(self._rest) < seen:
            return None
        window = self._rest[:seen]
        fences = _fences(window, opened.fence)
        blocks = _blocks(fences, opened.fence, len(window))
        markup = Markup(window, opened.styles, blocks, goes_on=True)
        end, resume = _choose_cut(window, seen - 1, fences, markup, is_open=bool(opened.fence))
        body = window[:end]
        if body.strip():  # else there is no message yet
            self._limit = self._later_limit
        self._open = _Open(
            styles=markup.styles_at(end),
            fence=_open_at(fences, end, opened.fence),
            quote=_quote_at(window, end, resume, opened.quote),
        )
        self._rest = self._rest[resume:]
        if self._open.fence:
            return Piece(opening, body, self._open.closing(body))
        self._rest = self._rest.lstrip()
        body, styles = _without_empty_styles(body, self._open.styles, markup)
        return Piece(opening, body, _Open(styles).closing(body))

    def _settle_opening(self) -> None:
        """What was reopened and has nothing in it stays closed as it was: a fence, inline code."""
        if self._open.fence and self._rest.lstrip().startswith(FENCE):
            self._rest = self._rest.lstrip()[len(FENCE) :].lstrip()
            self._open = replace(self._open, fence="")
        elif self._rest.startswith(FENCE):  # before a block, where code within a line ends
            styles = tuple(style for style in self._open.styles if style not in CODE)
            self._open = replace(self._open, styles=styles)

    def _last_piece(self) -> Piece | None:
        if not self._rest.strip():
            return None
        opened, rest = self._open, self._rest
        fences = _fences(rest, opened.fence)
        markup = Markup(rest, opened.styles, _blocks(fences, opened.fence, len(rest)))
        left = _Open(
            styles=tuple(
                style
                for style in markup.styles_at(len(rest))
                if (style == SPOILER or style in opened.styles) and not markup.is_blank_since(style)
            ),
            fence=_open_at(fences, len(rest), opened.fence),
        )
        body = rest if left.fence else rest.rstrip()
        return Piece(opened.text, body, left.closing(body))


@dataclass(frozen=True, slots=True)
class _Open:
    """What is open between two messages."""

    styles: tuple[str, ...] = ()
    fence: str = ""  # "```python\n" when a block goes on
    quote: str = ""  # "> " when a quotation's line goes on

    @property
    def text(self) -> str:
        """What opens it all again."""
        quote = "" if self.fence else self.quote
        return quote + "".join(self.styles) + self.fence

    def closing(self, body: str) -> str:
        """What closes it all after `body`."""
        return (_closing(body) if self.fence else "") + "".join(reversed(self.styles))


def _without_empty_styles(
    body: str, styles: tuple[str, ...], markup: Markup
) -> tuple[str, tuple[str, ...]]:
    """A body without the signs at its end that open a style, and the styles still to close.

    Closed at once they would show as they stand: «****», or a fence made of two and two backticks.
    The next message opens those styles.
    """
    body = body.rstrip()
    while styles and body.endswith(styles[-1]):
        before = len(body) - len(styles[-1])
        if len(markup.styles_at(before)) >= len(styles):
            break  # opened earlier: these signs are the text's own
        body, styles = body[:before].rstrip(), styles[:-1]
    return body, styles


def split_message(
    text: str, limit: int = MESSAGE_CHARACTERS, first_limit: int | None = None
) -> list[str]:
    """The messages that a whole text takes. When the text grows, all but the last stay the same."""
    splitter = MessageSplitter(limit, first_limit)
    return [*splitter.decode(text), *splitter.flush()]


@dataclass(frozen=True, slots=True)
class _Fence:
    """Three backticks. `opening` is what reopens the block, "" when they close it."""

    at: int
    content: int  # where what follows it begins
    opening: str


def _fences(text: str, opening: str) -> list[_Fence]:
    found: list[_Fence] = []
    is_open = bool(opening)
    at = text.find(FENCE)
    while at >= 0:
        after = at + len(FENCE)
        if is_open:
            found.append(_Fence(at, after, ""))
        else:
            language = _LANGUAGE.match(text, after)
            end = language.end() if language else after
            content = end + 1 if text.startswith("\n", end) else end
            found.append(_Fence(at, content, f"{FENCE}{language[0] if language else ''}\n"))
        is_open = not is_open
        at = text.find(FENCE, after)
    return found


def _open_at(fences: Sequence[_Fence], end: int, opening: str) -> str:
    """What reopens the block that is open at `end`; "" when none is."""
    for fence in fences:
        if fence.at < end:
            opening = fence.opening
    return opening


def _blocks(fences: Sequence[_Fence], opening: str, length: int) -> list[tuple[int, int]]:
    """Where the text is code, fences included."""
    starts = [0] if opening else []
    ends: list[int] = []
    for fence in fences:
        if fence.opening:
            starts.append(fence.at)
        else:
            ends.append(fence.content)
    return list(zip(starts, [*ends, length], strict=False))


def _quote_at(window: str, end: int, resume: int, quote: str) -> str:
    """What marks the text after a cut as a quotation, as it was before."""
    whole = _LONG_QUOTE.search(window, 0, end)
    if whole or quote == ">>> ":
        return ">>> "
    start = window.rfind("\n", 0, end) + 1
    if "\n" in window[end:resume]:
        return ""
    if start == 0 and quote:
        return quote
    return "> " if window.startswith("> ", start) and end > start + len("> ") else ""


def _closing(body: str) -> str:
    return FENCE if body.endswith("\n") else _CLOSING


def _choose_cut(
    window: str, room: int, fences: Sequence[_Fence], markup: Markup, *, is_open: bool
) -> tuple[int, int]:
    """Where a message ends and where the next one goes on. Both are beyond 0."""

    def outside(end: int) -> bool:
        return _outside(fences, is_open, end) and markup.whole_around(end) is None

    def in_block(end: int) -> bool:
        return not _outside(fences, is_open, end) and _inside(fences, end)

    blocks = [fence.at for fence in fences if fence.opening and 0 < fence.at <= room]
    half = room // 2
    head = window[:room]
    for earliest in (half, 1):
        paragraphs = [match for match in _ends(_PARAGRAPH, head, earliest) if outside(match[0])]
        paragraphs += [(at, at) for at in blocks if at >= earliest]
        if paragraphs:
            return max(paragraphs)
        for pattern in (_TOP_LINE, _LINE, _SENTENCE, _WORD):
            for end, resume in reversed(list(_ends(pattern, head, earliest))):
                if outside(end):
                    return end, resume
                if pattern is _LINE and in_block(end):
                    return end, end + 1
    end = _hard_end(window, room, fences, markup)
    return end, end


def _ends(pattern: re.Pattern[str], head: str, earliest: int) -> Iterator[tuple[int, int]]:
    for match in pattern.finditer(head, earliest):
        yield match.start(), match.end()


def _outside(fences: Sequence[_Fence], is_open: bool, end: int) -> bool:
    for fence in fences:
        if fence.at < end:
            if end < fence.content:
                return False  # within the fence itself
            is_open = bool(fence.opening)
    return not is_open


def _inside(fences: Sequence[_Fence], end: int) -> bool:
    """Whether there is something in the block before `end`."""
    before = [fence for fence in fences if fence.at < end]
    return not before or end > before[-1].content


def _hard_end(window: str, room: int, fences: Sequence[_Fence], markup: Markup) -> int:
    """Within a word, but not within a fence, what stays whole, or what is seen as one character."""
    for fence in reversed(fences):
        if 0 < fence.at < room <= fence.content:
            return fence.at
    end = min(room, len(window))
    while start := markup.whole_around(end):
        end = start
    for _ in range(_CLUSTER_CHARACTERS):
        if end <= 1 or not _joins(window, end):
            break
        end -= 1
    return end if end > 1 else room


def _joins(window: str, end: int) -> bool:
    """Whether the characters on both sides of `end` belong together."""
    before, after = window[end - 1], window[end : end + 1]
    if not after:
        return False
    return (
        (before == after == "`")
        or unicodedata.combining(after) > 0
        or unicodedata.category(after) in ("Mn", "Mc", "Me")
        or after == "\u200d"
        or before == "\u200d"
        or "\U0001f3fb" <= after <= "\U0001f3ff"
        or ("\U0001f1e6" <= after <= "\U0001f1ff" and _odd_flags(window, end))
    )


def _odd_flags(window: str, end: int) -> bool:
    """Whether `end` parts the two letters of a flag."""
    at = end
    while at > 0 and "\U0001f1e6" <= window[at - 1] <= "\U0001f1ff":
        at -= 1
    return (end - at) % 2 == 1
