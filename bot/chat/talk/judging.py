"""Whether a reply is fit to be shown, judged by its beginning while it still arrives.

What has a flaw is written once more before anybody sees it: nothing, a name alone, a loop, or what
the bot has just said. The beginning is held back until none of that can be told any more; text that
is like nothing before and repeats nothing passes after :data:`LEAST_UNITS`.
"""

from collections.abc import Iterable, Sequence

from bot.chat.messages import Flaw
from bot.chat.prompt.preparation import RECENT_REPLIES
from bot.chat.talk.generation import Anew
from bot.chat.text.guard import fold
from bot.chat.text.likeness import (
    APART,
    NEARLY,
    READ_UNITS,
    SHORT_UNITS,
    Earlier,
    Likeness,
    beginning,
    compared,
    numbers,
    units,
)
from bot.chat.text.speaker_lines import name_key

LEAST_UNITS = 48  # letters that are held back of every reply: about a dozen tokens
_HOLLOW = frozenset("*_~`\"'#>|[](){}<>-=+:,;\\/\u201c\u201d\u201e\u2018\u2019\u00ab\u00bb")


class Standards:
    """What one reply must not be: the same for both of its tries."""

    def __init__(
        self, *, names: Iterable[str] = (), recent: Sequence[str] = (), replaced: Sequence[str] = ()
    ) -> None:
        """`names` of those who speak; none where the text goes on with another.

        `recent` are the bot's last replies: a short one, such as «Yes.», may be all of them but
        not one more. `replaced` are texts in whose place it comes, which it must differ from.
        """
        self.names = frozenset(map(name_key, names)) - {""}
        self.recent = [Earlier(text) for text in recent if text.strip()]
        self.replaced = [Earlier(text) for text in replaced if text.strip()]


class Judge:
    """Holds a try's beginning back until it may be shown, or has a flaw."""

    def __init__(self, standards: Standards, *, is_last: bool = False) -> None:
        """`is_last`: after the other try, so that what would be broken off is shown as it comes."""
        self.flaw: Flaw | None = None
        self._standards = standards
        self._is_last = is_last
        self._is_released = False
        self._begin()

    def _begin(self) -> None:
        self._held: list[str] = []
        self._units = 0
        self._recent = [Likeness(earlier) for earlier in self._standards.recent]
        self._replaced = [Likeness(earlier) for earlier in self._standards.replaced]

    @property
    def held(self) -> str:
        """What nobody has seen yet."""
        return "".join(self._held)

    def feed(self, piece: str, *, may_loop: bool) -> str:
        """Take new text; return what may be shown. With a flaw, no more of it is needed.

        `may_loop`: it repeats something just now.
        """
        if self._is_released:
            return piece
        if isinstance(piece, Anew):
            self._begin()
        self._held.append(piece)
        part = beginning(compared(piece), READ_UNITS - self._units)
        self._units += units(part)
        for likeness in self._all:
            likeness.feed(part)
        if self._units >= READ_UNITS - 1:  # its last sign may be a wide one
            again = any(likeness.of_beginning >= NEARLY for likeness in self._all)
            if again and not self._is_last:
                self.flaw = Flaw.REPEATED
                return ""
        elif may_loop or self._units < LEAST_UNITS or self._is_alike() or self._may_be_name():
            return ""
        return self.release()

    def end(self, *, looped: bool) -> str:
        """The text has ended, perhaps because it `looped`. Returns the rest, if it has no flaw."""
        if self._is_released:
            return ""
        self.flaw = self._find_flaw(looped=looped)
        return "" if self.flaw else self.release()

    def release(self) -> str:
        """Let all of it pass, what is held back and what comes."""
        self._is_released = True
        held = self.held
        self._held.clear()
        return held

    @property
    def _all(self) -> list[Likeness]:
        return [*self._recent, *self._replaced]

    def _is_alike(self) -> bool:
        return any(likeness.of_beginning >= APART for likeness in self._all)

    def _may_be_name(self) -> bool:
        key = name_key(self.held)
        return any(name.startswith(key) for name in self._standards.names)

    def _find_flaw(self, *, looped: bool) -> Flaw | None:
        text = self.held
        if all(sign.isspace() or sign in _HOLLOW for sign in fold(text)):  # what is seen of it
            return Flaw.EMPTY
        lines = [key for line in text.splitlines() if (key := name_key(line))]
        if lines and self._standards.names.issuperset(lines):
            return Flaw.NAME
        if looped:
            return Flaw.LOOP
        return Flaw.REPEATED if self._is_repeated(text) else None

    def _is_repeated(self, text: str) -> bool:
        if any(likeness.is_equal for likeness in self._replaced):
            return True
        if self._units < SHORT_UNITS:
            count = len(self._recent)
            return count >= RECENT_REPLIES and all(likeness.is_equal for likeness in self._recent)
        figures = numbers(text)
        return any(
            likeness.of_whole >= NEARLY and likeness.earlier.numbers == figures
            for likeness in self._all
        )
