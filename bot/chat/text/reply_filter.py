"""What becomes of a reply's text on its way to people: pure stream filters.

Each has `decode()` for text that arrives and `flush()` for its end; however the text is cut into
chunks, the result is the same.
"""

from collections.abc import Sequence

from bot.engine.stops import StopStrings

_PARTIAL_STOP_CHARACTERS = 2  # a shorter beginning of a stop may well be meant


class ReplyFilter:
    """Makes a model's raw text the bot's own words.

    - Ends at a stop string, and where a line begins with another speaker's name and a colon.
    - Takes the speaker's own name off the beginning, also in bold, also repeated. A later line that
      begins with it is a turn more than was asked for: it ends the text, too.
    - Takes blanks off both ends; at the end also the beginning of a header never completed.
    """

    def __init__(
        self,
        speaker: str,
        others: Sequence[str],
        stops: Sequence[str],
        *,
        continuing: bool = False,
    ) -> None:
        """`continuing`: the text goes on where another ended, so its beginning is left alone."""
        lines = [f"\n{label}" for name in others for label in _labels(name)]
        self._headers = tuple(stop for stop in stops if stop not in lines)
        self._stops = StopStrings([*stops, *lines])
        self._own = _labels(speaker)
        self._own_lines = StopStrings([f"\n{label}" for label in self._own])
        self._is_beginning = not continuing
        self._beginning = ""  # held back while it may be the speaker's name
        self._blanks: list[str] = []  # held back while it may be the end
        if not continuing:
            self._stops.decode("\n")  # a header may be the very first line

    @property
    def ended(self) -> bool:
        """Whether a stop string or another speaker's line was met: nothing comes after that."""
        return self._stops.stopped or self._own_lines.stopped

    def decode(self, text: str) -> str:
        """Take new text; return what may be shown."""
        text = self._trim_beginning(self._stops.decode(text))
        return self._trim_end(self._own_lines.decode(text))

    def flush(self) -> str:
        """The text has ended: return the rest of it."""
        held = self._stops.flush()
        if self._is_header(held):
            held = ""
        shown = self._own_lines.decode(self._trim_beginning(held, at_end=True))
        return self._trim_end(shown + self._own_lines.flush())

    def _is_header(self, held: str) -> bool:
        mark = held.strip()
        if len(mark) < _PARTIAL_STOP_CHARACTERS or mark.isalpha():
            return False  # a reply may well end with "US", whatever begins with it
        return any(stop.startswith(held) for stop in self._headers)

    def _trim_beginning(self, text: str, *, at_end: bool = False) -> str:
        if not self._is_beginning:
            return text
        text = (self._beginning + text).lstrip()
        while own := self._own_name(text):
            text = text[len(own) :].lstrip()
        if not at_end and any(name.startswith(text) for name in self._own):
            self._beginning = text
            return ""
        self._beginning = ""
        self._is_beginning = False
        return text

    def _own_name(self, text: str) -> str:
        return next((name for name in self._own if text.startswith(name)), "")

    def _trim_end(self, text: str) -> str:
        shown = text.rstrip()
        if not shown:
            self._blanks.append(text)
            return ""
        blanks, self._blanks = self._blanks, [text[len(shown) :]]
        return "".join(blanks) + shown


def _labels(name: str) -> tuple[str, ...]:
    """How models write who speaks."""
    return f"{name}:", f"**{name}:**", f"**{name}**:"
