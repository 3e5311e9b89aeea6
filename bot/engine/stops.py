"""Stop strings, found while the text still streams. Pure: knows no tokens and no model."""

from collections.abc import Sequence


class StopStrings:
    """Passes text through until one of the stop strings is complete.

    A beginning of a stop string at the end of the text is held back until it is decided. The stop
    that is complete first wins, of two that end together the longer one; it and whatever follows is
    dropped. The result is the same however the text is cut into pieces.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        """Empty stop strings are ignored."""
        self._stops = tuple(stop for stop in dict.fromkeys(stops) if stop)
        self._beginnings = {stop[:end] for stop in self._stops for end in range(1, len(stop))}
        self._longest = max((len(stop) for stop in self._stops), default=0) - 1
        self._held = ""
        self.matched: str | None = None

    @property
    def stopped(self) -> bool:
        """Whether a stop string was met: nothing comes after that."""
        return self.matched is not None

    def decode(self, text: str) -> str:
        """Take new text; return what is certain not to belong to a stop string."""
        if self.stopped:
            return ""
        text = self._held + text
        found = [(at + len(stop), at, stop) for stop in self._stops if (at := text.find(stop)) >= 0]
        if found:
            _, start, self.matched = min(found)
            self._held = ""
            return text[:start]
        certain = len(text) - self._undecided(text)
        self._held = text[certain:]
        return text[:certain]

    def flush(self) -> str:
        """The text has ended: what was held back was no stop string after all."""
        held, self._held = self._held, ""
        return held

    def _undecided(self, text: str) -> int:
        """Length of the longest end of `text` that some stop string begins with."""
        for length in range(min(self._longest, len(text)), 0, -1):
            if text[-length:] in self._beginnings:
                return length
        return 0
