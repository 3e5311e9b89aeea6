"""Discord's Markdown, as far as a message that ends within it would break it.

Knows which styles are open where, and which stretches stay whole: links, addresses, mentions,
custom emoji, inline code, list markers, and a style's signs together with the text they touch.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence

SPOILER = "||"
CODE = ("`", "``")
# What closing each sign costs. Counted by the signs alone, whatever they turn out to mean, so that
# a longer text never needs less.
_COSTS = (
    ("`", 1),
    ("``", 1),
    ("```", 2),
    ("*", 1),
    ("**", 2),
    ("_", 1),
    ("__", 2),
    ("~~", 2),
    ("||", 2),
)
_LONGEST = 2_000
_WITHIN_PARAGRAPH = frozenset("*_")  # a lone sign is more often a sign than open for paragraphs

_MENTION = (
    r"<(?:a?:\w{1,32}:\d{1,20}|[@#][!&]?\d{1,20}|t:-?\d{1,12}(?::\w)?"
    r"|/[^<>\n]{1,130}:\d{1,20}|id:\w+)>"
)
_ADDRESS = r"https?://(?:(?!\|\||\*\*|~~)[^\s<>])+"
_LINK = (
    r"\[(?:[^\[\]\n]|\[[^\[\]\n]{0,100}\]){1,500}\]"
    r"\(<?[^\s()<>]+(?:\([^\s()]*\)[^\s()<>]*)*>?(?:[ ]\"[^\"\n]*\")?\)"
)
_TOKEN = re.compile(
    r"(?P<escape>\\[^\w\s])"
    r"|(?P<code>(?<!`)(?P<ticks>`{1,2})(?!`)(?:[^`\n]|`{3,}|\n(?!\s*\n)|(?!(?P=ticks)(?!`))`{1,2}(?!`))"
    r"{1,1900}?(?<!`)(?P=ticks)(?!`))"
    rf"|(?P<whole>{_MENTION}|<{_ADDRESS}>|{_LINK}|{_ADDRESS})"
    r"|(?P<marker>^[^\S\n]*(?:[-*+]|\d{1,9}[.)]|\#{1,3}|-\#|>{1,3})[^\S\n]+)"
    r"|(?P<spoiler>\|{2,})"
    r"|(?P<signs>\*+|_+|~{2,})"
    r"|(?P<paragraph>\n[^\S\n]*\n)",
    re.MULTILINE,
)
# What may yet become one of these, at the end of what is known.
_BEGUN = re.compile(
    r"(?:<(?:a?:?\w{0,32}:?\d{0,20}|[@\#][!&]?\d{0,20}|t:-?[\d:tTdDfFR]{0,16}|/[^<>\n]{0,130})"
    r"|\[(?:[^\[\]\n]|\[[^\[\]\n]{0,100}\]){1,300}"
    r"(?:\[[^\[\]\n]{0,100}|\](?:\(<?[^\s()<>]*(?:\([^\s()]*\)?[^\s()<>]*)*>?"
    r"(?:[ ](?:\"[^\"\n]*\"?)?)?)?)?"
    r"|(?<!`)`{1,2}(?![`\s])[^`\n]{0,1900}"
    r"|[*_~|`]+"
    r"|https?:?/?/?)\Z"
)
_TICKS = re.compile("`+")
_CODE_BEGUN = re.compile(r"(?P<ticks>`{1,2})(?:[^`\n]|\n(?!\s*\n))+\Z")


class Markup:
    """Reads a text once; answers for any place in it."""

    def __init__(
        self,
        text: str,
        styles: Sequence[str],
        code_blocks: Sequence[tuple[int, int]],
        *,
        goes_on: bool = False,
    ) -> None:
        """`styles` are open at the beginning; `code_blocks` are left alone.

        When it `goes_on`, inline code that begins the text without an end is code all the same.
        """
        self._text = text
        self._stack = list(styles)
        self._places: list[int] = [0]
        self._stacks: list[tuple[str, ...]] = [tuple(styles)]
        self._opened: dict[str, int] = {}  # where each open style's text begins
        self._whole: list[tuple[int, int]] = []
        self._code_end = 0  # of the last inline code
        for start, end in _between(code_blocks, len(text)):
            self._read(start, end)
        self._read_end(code_blocks)
        in_block = bool(code_blocks) and code_blocks[0][0] == 0
        if goes_on and not in_block and (code := _CODE_BEGUN.match(text)):
            self._keep_ticks(len(code["ticks"]), len(text))
            self._places.insert(1, len(code["ticks"]))
            self._stacks[1:] = [(*styles, code["ticks"])] * len(self._stacks)
        self._whole.sort()

    def styles_at(self, end: int) -> tuple[str, ...]:
        """The styles open there, the outermost first."""
        return self._stacks[bisect_right(self._places, end) - 1]

    def is_blank_since(self, style: str) -> bool:
        """Whether a style that is open at the text's end was opened by its last signs."""
        start = self._opened.get(style)
        return start is not None and not self._text[start:].strip()

    def whole_around(self, end: int) -> int | None:
        """Where the stretch begins that a message ending here would part; None for none."""
        index = bisect_right(self._whole, (end, -1))
        for start, stop in self._whole[max(0, index - 8) : index][::-1]:
            if start < end < stop:
                return start
        return None

    def _read(self, at: int, end: int) -> None:
        if self._stack and self._stack[-1] in CODE:
            at = self._read_code(at, end)
        for token in _TOKEN.finditer(self._text, at, end):
            start, stop = token.span()
            if token["code"]:
                ticks = token["ticks"]
                self._keep_whole(start, stop)
                self._keep_ticks(start + len(ticks), stop - len(ticks))
                self._note(start + len(ticks), [*self._stack, ticks])
                self._note(stop, self._stack)
                self._code_end = stop
            elif token["whole"]:
                self._keep_whole(start, stop)
            elif token["marker"]:
                self._keep_whole(start, stop + 1)
            elif token["spoiler"]:
                for _ in range((stop - start) // 2 % 2):
                    self._toggle(SPOILER, start, stop)
            elif token["signs"]:
                self._signs(token["signs"], start, stop)
            elif token["paragraph"]:
                self._stack = [style for style in self._stack if style not in _WITHIN_PARAGRAPH]
                self._note(stop, self._stack)

    def _read_code(self, at: int, end: int) -> int:
        """Inline code goes on from the message before; returns where it ends."""
        ticks = self._stack[-1]
        closing = re.compile(f"(?<!`){ticks}(?!`)").search(self._text, at, end)
        self._keep_ticks(at, closing.start() if closing else end)
        if closing is None:
            if end < len(self._text):  # a block begins: code within a line ends before it
                self._stack.pop()
                self._note(end, self._stack)
            return end
        self._stack.pop()
        self._keep_whole(closing.start() - 1, closing.end())
        self._note(closing.end(), self._stack)
        self._code_end = closing.end()
        return closing.end()

    def _read_end(self, code_blocks: Sequence[tuple[int, int]]) -> None:
        text = self._text
        begun = _BEGUN.search(text, max(self._code_end, len(text) - _LONGEST))
        if begun is None or any(start < begun.end() <= end for start, end in code_blocks):
            return
        self._keep_whole(begun.start() - (begun[0][0] in "*_~|`"), len(text) + 1)

    def _signs(self, signs: str, start: int, stop: int) -> None:
        if len(signs) > 3 or (signs[0] == "~" and len(signs) != 2):
            return
        before = self._text[start - 1 : start] or " "
        after = self._text[stop : stop + 1] or " "
        styles = [signs[:2], signs[0]] if len(signs) == 3 else [signs]
        closes = not before.isspace() and not (signs[0] == "_" and after.isalnum())
        opens = not after.isspace() and not (
            before.isalnum() and (before.isascii() or signs == "_")
        )
        is_open = [style for style in styles if style in self._stack]
        if closes and is_open:
            for style in is_open:
                self._toggle(style, start, stop)
        elif opens and not is_open:
            for style in styles:
                self._toggle(style, start, stop)

    def _toggle(self, style: str, start: int, stop: int) -> None:
        text = self._text
        if style in self._stack:
            self._stack = [other for other in self._stack if other != style]
            while start > 0 and text[start - 1].isspace():
                start -= 1
            self._keep_whole(start - 1, stop)
        else:
            self._stack = [*self._stack, style]
            self._opened[style] = stop
            following = stop
            while following < len(text) and text[following].isspace():
                following += 1
            self._keep_whole(start, following + 1)
        self._note(stop, self._stack)

    def _keep_ticks(self, start: int, stop: int) -> None:
        """Backticks within code: no message ends beside them, where they would join its end."""
        for run in _TICKS.finditer(self._text, start, stop):
            self._keep_whole(run.start() - 1, run.end() + 1)

    def _keep_whole(self, start: int, stop: int) -> None:
        self._whole.append((max(start, 0), stop))

    def _note(self, at: int, stack: Sequence[str]) -> None:
        self._places.append(at)
        self._stacks.append(tuple(stack))


def longest_room(text: str, limit: int) -> int:
    """The length from which a beginning of `text` can no longer be shown whole.

    That is with whatever could be open in it closed. Depends on that beginning alone.
    """
    met = sorted(
        (at + len(sign), cost) for sign, cost in _COSTS if (at := text.find(sign, 0, limit)) >= 0
    )
    room = limit
    for end, cost in met:
        if end > room + 1:
            break
        room = max(room - cost, end - 1)
    return room + 1


def _between(blocks: Sequence[tuple[int, int]], length: int) -> Iterator[tuple[int, int]]:
    at = 0
    for start, end in blocks:
        if at < start:
            yield at, start
        at = end
    if at < length:
        yield at, length
