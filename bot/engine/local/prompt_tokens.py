"""A channel's prompt in tokens: what it shares with the channel's last one is not cut anew.

In BPE, where a token ends depends on what follows, but not on what follows far away: no merge
crosses the beginning of a word. So the end of the last prompt that both share is cut again together
with what is new, and where this gives LEAST_SAME tokens as they were, what stands before them is
taken as it was. Where it does not, everything is cut anew.
"""

import threading
from array import array
from collections import OrderedDict
from dataclasses import dataclass

from bot.engine.local.tokens import TextTokens

KEPT_CHANNELS = 128
OVERLAP_TOKENS = 96  # of the shared text, that are cut again
LEAST_SAME = 24  # of these, in a row up to where the texts part
MARKED_TOKENS = 512  # at the end of a prompt, whose places in the text are noted
MARGIN_TOKENS = 16  # before the parting, which what follows may change


@dataclass(frozen=True, slots=True)
class _Cut:
    """A prompt as it was cut. `marks` are where its last tokens begin, in characters."""

    text: str
    tokens: "array[int]"
    marks: list[int]


class PromptTokens:
    """Cuts prompts, and keeps each channel's last one. From any thread."""

    def __init__(self, tokens: TextTokens) -> None:
        """`tokens` cuts, and says whether it can tell places."""
        self.tokens = tokens
        self._cuts: OrderedDict[str, _Cut] = OrderedDict()
        self._forgotten = 0  # how often something was
        self._lock = threading.Lock()

    def encode(self, channel: str, text: str) -> list[int]:
        """The same as `TextTokens.encode_prompt`."""
        if not self.tokens.tells_places:
            return self.tokens.encode_prompt(text)
        with self._lock:
            last, forgotten = self._cuts.get(channel), self._forgotten
        cut = (_continued(self.tokens, last, text) if last is not None else None) or _anew(
            self.tokens, text
        )
        with self._lock:
            if forgotten == self._forgotten:  # else it may have been this channel's
                self._cuts[channel] = cut
                self._cuts.move_to_end(channel)
            while len(self._cuts) > KEPT_CHANNELS:
                self._cuts.popitem(last=False)
        return self.tokens.as_prompt(cut.tokens.tolist())

    def forget(self, channel: str) -> None:
        """Keep nothing of a channel's prompt."""
        with self._lock:
            self._forgotten += 1
            self._cuts.pop(channel, None)


def _anew(tokens: TextTokens, text: str) -> _Cut:
    found, marks = tokens.encode_with_places(text, MARKED_TOKENS)
    return _Cut(text, array("i", found), marks)


def _continued(tokens: TextTokens, last: _Cut, text: str) -> _Cut | None:
    """`text` cut from what `last` shares with it; None where that cannot be told."""
    shared = _shared_characters(last.text, text)
    first_marked = len(last.tokens) - len(last.marks)
    inside = sum(mark < shared for mark in last.marks) - MARGIN_TOKENS
    begin = inside - OVERLAP_TOKENS
    if begin < 0:
        return None
    offset = last.marks[begin]
    again, places = tokens.encode_with_places(text[offset:], MARKED_TOKENS)
    if len(places) < len(again):
        return None  # so much is new that nothing is saved
    # From the right: the longest run of equal tokens that ends where the margin begins.
    at = {place + offset: index for index, place in enumerate(places)}
    here, there = inside - 1, at.get(last.marks[inside - 1])
    if there is None:
        return None
    same = 0
    while (
        here >= begin
        and there >= 0
        and last.marks[here] == places[there] + offset
        and last.tokens[first_marked + here] == again[there]
    ):
        here, there, same = here - 1, there - 1, same + 1
    if same < LEAST_SAME:
        return None
    here, there = here + 1, there + 1
    # In the midst of the run, at the beginning of a word.
    for step in range(same // 2, same):
        mark = last.marks[here + step]
        if _begins_word(text, mark) and last.marks[here + step - 1] < mark:
            kept = first_marked + here + step
            found = last.tokens[:kept] + array("i", again[there + step :])
            marks = last.marks[: here + step] + [p + offset for p in places[there + step :]]
            return _Cut(text, found, marks[-MARKED_TOKENS:])
    return None


def _begins_word(text: str, mark: int) -> bool:
    return 0 < mark < len(text) and text[mark] == " " and text[mark - 1].isalnum()


def _shared_characters(one: str, other: str) -> int:
    """How many first characters are the same: by halves, not one by one."""
    same, different = 0, min(len(one), len(other)) + 1
    while different - same > 1:
        middle = (same + different) // 2
        if one[same:middle] == other[same:middle]:
            same = middle
        else:
            different = middle
    return same
