"""Whether a growing text is inside a code block."""

import re

FENCE = "```"

_RUNS = re.compile("`+|[^`]+")


class FenceTracker:
    """Follows the code fences of a text that arrives in pieces: three backticks or more."""

    def __init__(self) -> None:
        self._was_open = False
        self._run = 0  # backticks at the end of the text so far

    @property
    def is_open(self) -> bool:
        """Whether what comes next stands in a code block."""
        return self._was_open != (self._run >= len(FENCE))

    def feed(self, text: str) -> None:
        """Take new text."""
        for run in _RUNS.finditer(text):
            if run[0][0] == "`":
                self._run += len(run[0])
            else:
                self._was_open = self.is_open
                self._run = 0
