"""Takes out of a text what a finder finds: a stream filter that shows nothing of it, ever."""

from collections.abc import Callable, Sequence, Set
from enum import IntEnum
from typing import Protocol

from bot.chat.text.forbidden.finding import Finder, Found
from bot.chat.text.forbidden.letters import MARKUP, letters

BLOCK = "\u2588"  # stands for a letter that is masked


class Then(IntEnum):
    """What happens where something is found; the higher one goes before."""

    MASK = 0
    STOP = 1
    IGNORE = 2


class StreamFilter(Protocol):
    """A text in pieces goes in, what may be shown of it comes out."""

    def decode(self, text: str) -> str:
        """Take new text; return what may be shown."""
        ...

    def flush(self) -> str:
        """The text has ended: return the rest of it."""
        ...


def masked(text: str) -> str:
    """`text` with a block for every letter: its blanks and its markup stay."""
    return "".join(
        character
        if character.isspace() or character in MARKUP
        else BLOCK
        if letters[character]
        else ""
        for character in text
    )


class Redaction:
    """Masks or replaces what is found, or ends the text before it. Holds back what may be some."""

    def __init__(
        self,
        finder: Finder,
        then: Callable[[int], Then] = lambda _: Then.MASK,
        instead: Callable[[str], str] | None = None,
        *,
        before: str = "",
    ) -> None:
        """`then` tells for an entry what happens. `instead` makes what is shown in its place.

        `before` is text that people see already, which this one joins on to: what begins in it may
        end in here.
        """
        self.ended: Then | None = None  # nothing comes after that
        self.entries: Set[int] = frozenset()  # those that were found
        self._finder = finder
        self._then = then
        self._instead = instead
        self._found: list[Found] = []
        self._held = ""
        self._at = len(before)  # where what is held begins
        self._replaced_to = 0
        if before:
            self._found += finder.feed(before)

    def decode(self, text: str) -> str:
        """See :class:`StreamFilter`."""
        if self.ended is not None:
            return ""
        self._held += text
        return self._pass_on(self._finder.feed(text), is_end=False)

    def flush(self) -> str:
        """See :class:`StreamFilter`."""
        return "" if self.ended is not None else self._pass_on(self._finder.end(), is_end=True)

    def _pass_on(self, found: Sequence[Found], *, is_end: bool) -> str:
        whole = self._at + len(self._held)
        if found:
            self._found = sorted((*self._found, *found), key=lambda one: one.start)
        if not self._found:
            settled = whole if is_end else max(self._finder.settled, self._at)
            return self._take(settled)
        settled = whole if is_end else max(self._finder.settled, self._at)
        reached = [one for one in self._found if one.start < settled and one.end > self._at]
        ends = [one for one in reached if self._then(one.entry) is not Then.MASK]
        if ends:
            first = min(one.start for one in ends)
            self.ended = max(self._then(one.entry) for one in ends if one.start == first)
            settled = max(first, self._at)
            reached = [one for one in reached if one.start < settled or one in ends]
        self.entries = self.entries | {one.entry for one in reached}
        shown = self._without([one for one in reached if one.start < settled], settled)
        self._found = [one for one in self._found if one.end > settled]
        return shown

    def _without(self, found: Sequence[Found], settled: int) -> str:
        pieces: list[str] = []
        for one in found:
            pieces.append(self._take(min(one.start, settled)))
            start, text = self._at, self._take(min(one.end, settled))
            if self._instead is None:
                pieces.append(masked(text))
            elif text and start >= self._replaced_to:
                pieces.append(self._instead(text))
                self._replaced_to = one.end
        pieces.append(self._take(settled))
        return "".join(pieces)

    def _take(self, end: int) -> str:
        """What is held before this place; nothing where it has been passed."""
        length = end - self._at
        if length <= 0:
            return ""
        taken, self._held = self._held[:length], self._held[length:]
        self._at = end
        return taken


class Pipeline:
    """Filters one after the other. Where one ends the text, nothing comes after."""

    def __init__(self, stages: Sequence[Redaction], *, whole: bool = False) -> None:
        """`whole`: nothing is shown before the text has ended."""
        self._stages = stages
        self._whole: list[str] | None = [] if whole else None

    @property
    def ended(self) -> Then | None:
        """What ended the text, the worst of it."""
        return max((one.ended for one in self._stages if one.ended is not None), default=None)

    @property
    def entries(self) -> Set[int]:
        """Whose entries were found."""
        return frozenset[int]().union(*(one.entries for one in self._stages))

    def decode(self, text: str) -> str:
        """See :class:`StreamFilter`."""
        return self._pass_on(text, is_end=False)

    def flush(self) -> str:
        """See :class:`StreamFilter`."""
        return self._pass_on("", is_end=True)

    def _pass_on(self, text: str, *, is_end: bool) -> str:
        for stage in self._stages:
            text = stage.decode(text)
            is_end = is_end or stage.ended is not None
            if is_end:
                text += stage.flush()
        if self._whole is None:
            return text
        self._whole.append(text)
        if not is_end or self.ended is Then.IGNORE:
            return ""
        whole, self._whole = "".join(self._whole), []
        return whole
