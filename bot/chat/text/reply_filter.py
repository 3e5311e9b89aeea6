"""What becomes of a reply's text on its way to people: pure stream filters.

Each has `decode()` for text that arrives and `flush()` for its end; however the text is cut into
chunks, the result is the same.
"""

import re
from collections.abc import Sequence

from bot.chat.text.guard import BREAK
from bot.chat.text.loops import LoopFilter
from bot.chat.text.speaker_lines import Label, Labels, LineBeginning, SpeakerLines, is_header
from bot.chat.text.thinking import ThinkFilter
from bot.engine.stops import StopStrings

_PARTIAL_STOP_CHARACTERS = 2  # a shorter beginning of a stop may well be meant
# Lao to Khmer: there a zero width space is where a line may end, and people write it.
_UNSPACED = re.compile("[\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff]")
_PAIRS = "*_~`\"'"  # what decorates a name on both sides
_DECORATION = re.compile(r"[\W_]*")


class ReplyFilter:
    """Makes a model's raw text the bot's own words.

    - Ends at a stop string.
    - Leaves thoughts out (:mod:`bot.chat.text.thinking`).
    - Where the prompt writes names, or the reply itself begins with its speaker's, ends where a
      line begins with another speaker's, however it is spelled; headers end it always
      (:mod:`bot.chat.text.speaker_lines`).
    - Takes the speaker's own name off the beginning, also repeated. A later line that begins with
      it is a turn more than was asked for: where the prompt writes names, it ends the text, too.
    - Ends a text that loops (:mod:`bot.chat.text.loops`).
    - Takes out the guard's zero-width spaces, which the model copies from what people wrote.
    - Takes blanks off both ends; at the end also the beginning of a header never completed.
    """

    def __init__(
        self,
        speaker: str,
        others: Sequence[str],
        stops: Sequence[str],
        *,
        names: bool = True,
        continuing: bool = False,
        thinks: bool = False,
    ) -> None:
        """`names`: the prompt's lines begin with their speakers' names.

        `continuing`: the text goes on where another ended, so its beginning is left alone.
        `thinks`: the text begins within a thought, which it only closes.
        """
        names_as_stops = {f"\n{name}:" for name in others}
        headers = tuple(stop for stop in stops if stop not in names_as_stops)
        self._exact = tuple(
            spelled
            for stop in headers
            if not (stop.startswith("\n") and is_header(stop))
            for spelled in _spellings(stop)
        )
        self._stops = StopStrings(self._exact)
        if not continuing:
            self._stops.decode("\n")  # a stop may be the very first line
        self._thoughts = ThinkFilter(opened=thinks, continuing=continuing)
        self._speaker = speaker
        self._labels = Labels(others, speaker, headers)
        self._line_labels = self._labels if names else self._labels.without_names()
        self._begin(continuing=continuing)

    @property
    def ended(self) -> bool:
        """Whether a stop, another speaker's line or a loop was met: nothing comes after that."""
        return self._stops.stopped or self._lines.ended or self._loops.ended

    @property
    def looped(self) -> bool:
        """Whether the text was ended because it looped."""
        return self._loops.ended

    @property
    def may_loop(self) -> bool:
        """Whether it repeats something just now, of which more would be a loop."""
        return self._loops.may_loop

    @property
    def is_thought(self) -> bool:
        """Whether what comes now is a thought."""
        return self._thoughts.is_thought

    @property
    def has_thought(self) -> bool:
        """Whether there was a thought."""
        return self._thoughts.has_thought

    @property
    def restarts(self) -> int:
        """How often what was returned before turned out to be a thought: it is to be taken back."""
        return self._thoughts.restarts

    def decode(self, text: str) -> str:
        """Take new text; return what may be shown."""
        restarts = self.restarts
        text = self._thoughts.decode(self._stops.decode(text))
        if self.restarts != restarts:
            self._begin()
        return self._pass_on(text)

    def flush(self, *, cut: bool = False) -> str:
        """The text has ended, before its own end if `cut`: return the rest of it."""
        held = "" if self._stops.stopped else self._stops.flush()
        if self._is_header(held):
            held = ""
        restarts = self.restarts
        text = self._thoughts.decode(held)
        text += self._thoughts.flush(cut=cut)
        if self.restarts != restarts:
            self._begin()
        return self._pass_on(text, at_end=True)

    def _begin(self, *, continuing: bool = False) -> None:
        self._own_name = None if continuing else _OwnName(self._speaker)
        self._lines = SpeakerLines(self._line_labels, in_line=continuing)
        self._loops = LoopFilter()
        self._breaks = _BreakFilter()
        self._is_beginning = not continuing
        self._blanks: list[str] = []  # held back while it may be the end

    def _pass_on(self, text: str, *, at_end: bool = False) -> str:
        if self._own_name is not None:
            text = self._own_name.decode(text) + (self._own_name.flush() if at_end else "")
            if self._own_name.was_there and text:  # the model writes names by itself
                self._own_name.was_there = False
                self._lines = SpeakerLines(self._labels)
        text = self._lines.decode(text) + (self._lines.flush() if at_end else "")
        text = self._loops.decode(text) + (self._loops.flush() if at_end else "")
        text = self._breaks.decode(text) + (self._breaks.flush() if at_end else "")
        return self._trim_end(text)

    def _is_header(self, held: str) -> bool:
        mark = held.strip()
        if len(mark) < _PARTIAL_STOP_CHARACTERS or mark.isalpha():
            return False  # a reply may well end with "US", whatever begins with it
        return any(stop.startswith(held) for stop in self._exact)

    def _trim_end(self, text: str) -> str:
        if self._is_beginning:
            text = text.lstrip()
        shown = text.rstrip()
        self._is_beginning = self._is_beginning and not shown
        if not shown:
            self._blanks.append(text)
            return ""
        blanks, self._blanks = self._blanks, [text[len(shown) :]]
        return "".join(blanks) + shown


class _OwnName:
    """Takes blanks and the speaker's own name off the beginning.

    Of «"Mira: hello"» the quotation mark stays, of «**Mira:** hello» no asterisk.
    """

    def __init__(self, speaker: str) -> None:
        self._labels = Labels(own=speaker)
        self._line: LineBeginning | None = LineBeginning(self._labels)
        self._held = ""
        self.was_there = False
        self._closers = ""  # of the name's decoration, still to come

    def decode(self, text: str) -> str:
        """Take new text; return what follows the name."""
        for at, character in enumerate(text):
            if self._line is None:
                return text[at:]
            if not self._held and character.isspace():
                continue
            if self._closers and not self._close(character):
                continue
            self._held += character
            is_break = character in "\n\r"
            label = self._line.end() if is_break else self._line.feed(character)
            if label is Label.OWN:
                self.was_there = True
                self._closers = _open_pairs(self._held)
                self._held, self._line = "", LineBeginning(self._labels)
            elif is_break or label is not Label.UNDECIDED:
                self._line = None
                held, self._held = self._held, ""
                return held + text[at + 1 :]
        return ""

    def flush(self) -> str:
        """The text has ended: it was no name."""
        held, self._held, self._line = self._held, "", None
        return held

    def _close(self, character: str) -> bool:
        """Take a sign that closes the decoration. True when there is none, and it stays open."""
        if self._closers.endswith(character):
            self._closers = self._closers[:-1]
            return False
        self._held, self._closers = self._closers, ""
        return True


def _open_pairs(label: str) -> str:
    """The decoration before a name that isn't closed after it."""
    before = _DECORATION.match(label)
    after = _DECORATION.match(label[::-1])
    opened = "".join(sign for sign in before[0] if sign in _PAIRS) if before else ""
    for sign in reversed(after[0]) if after else ():
        opened = opened[:-1] if opened.endswith(sign) else opened
    return opened


def _spellings(stop: str) -> tuple[str, ...]:
    """A special token may also come in capitals, or in small letters."""
    return (stop, stop.lower(), stop.upper()) if stop[:1] in "<[" else (stop,)


class _BreakFilter:
    """Takes the guard's character out, but not between letters of scripts that write it."""

    def __init__(self) -> None:
        self._last = ""
        self._held = ""

    def decode(self, text: str) -> str:
        """Take new text; return it without the guard's character."""
        if not self._held and BREAK not in text:
            self._last = text[-1:] or self._last
            return text
        passed: list[str] = []
        for character in text:
            if character == BREAK:
                self._held += character
                continue
            if self._held and _UNSPACED.match(self._last) and _UNSPACED.match(character):
                passed.append(BREAK)
            self._held, self._last = "", character
            passed.append(character)
        return "".join(passed)

    def flush(self) -> str:
        """The text has ended."""
        self._held = ""
        return ""
