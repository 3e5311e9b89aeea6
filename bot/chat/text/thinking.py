"""Keeps a model's reasoning out of its reply: what stands in `<think>...</think>` and the like.

A tag counts where a thought would begin: at the start of the reply or of a line, after a sentence,
after another thought; special tokens (`<|channel|>`, `◁think▷`) anywhere. It does not count in
code, nor within a sentence, where somebody talks about the tag. A thought ends at the first closing
tag that isn't in backticks; one that never ends is hidden to the reply's end. A closing tag without
an opening one says that all before it was a thought: `restarts` tells, as it has been passed on.
"""

import re
from dataclasses import dataclass

from bot.chat.text.fences import FenceTracker

TAG_CHARACTERS = 72  # a longer one is none
_LONGEST_OPENING = len("<| / ")  # before a tag's letters
_LEAST_BEGINNING = 3  # letters of a tag that the reply's end cuts off
_PLACE_CHARACTERS = 64

_WORDS = (
    "chain_of_thought", "internal_monologue", "inner_monologue", "inner_thoughts", "antthinking",
    "seed:think", "scratchpad", "reflection", "reasoning", "analysis", "thinking", "thoughts",
    "thought", "reason", "think",
)  # fmt: skip
_ANY = "|".join(_WORDS)
# Of DeepSeek and Qwen, Sky-T1, Cohere, Magistral, Kimi, MedGemma, Gemma, gpt-oss (Harmony).
_TAG = re.compile(
    rf"(?P<closer><[ \t]?/[ \t]?(?:{_ANY})[ \t]?>|\[/(?:think|thinking|reasoning)\]"
    rf"|<\|[ \t]?(?:/|end_(?:of_)?)[ \t]?(?:{_ANY})[ \t]?\|>|\u25c1/think\u25b7"
    r"|<unused95>|<channel\|>|<\|channel\|>\s{0,4}final\s{0,4}<\|message\|>)"
    rf"|(?P<plain><[ \t]?(?:{_ANY})(?:[ \t][^<>\n]{{0,40}})?>|\[(?:think|thinking|reasoning)\])"
    rf"|(?P<special><\|[ \t]?(?:(?:begin|start)_(?:of_)?)?(?:{_ANY})[ \t]?\|>|\u25c1think\u25b7"
    r"|<unused94>|<\|channel\|?>)"
    # What the same models write around the reply itself.
    r"|(?P<frame><\|(?:begin|end)_of_solution\|>|<\|(?:start|end)_response\|>)",
    re.IGNORECASE,
)
_START = re.compile("[<\\[\u25c1]")
_ENDS = {"<": ">", "[": "]", "\u25c1": "\u25b7"}
_LETTERS = re.compile("[a-z_:]+", re.IGNORECASE)
_SOUGHT = (*_WORDS, "begin_", "start_", "end_", "channel", "unused")
_FINAL = "final<|message|>"
# Where somebody talks about the tag, although it begins a line; and the beginning of such talk.
_TALK = re.compile(r"[ \t]+(?:tags?|is|are|and|or|means?|marks?|elements?|tokens?|blocks?)\b")
_MAYBE_TALK = re.compile(r"(?:[ \t]{1,4}[a-z]{0,8})?")
# What a thought follows: a line's beginning, or a sentence's end and a blank.
_PLACE = re.compile(
    "(?:(?:^|[\n\r])[ \\t>*_~]*|[.!?\u2026:;)\"'*\u201d]\\s+|[\u3002\uff01\uff1f])\\Z"
)
_ENDS_SENTENCE = re.compile("[.!?\u2026:;)\"'*\u201d\u3002\uff01\uff1f]\\s*\\Z")


class ThinkFilter:
    """Passes a reply through without its thoughts.

    `opened` is for models whose prompt ends within a thought, which the reply only closes: the text
    is held back until it does. If it never does, it was a reply after all, unless it was cut off.
    """

    def __init__(self, *, opened: bool = False, continuing: bool = False) -> None:
        """`continuing`: the text joins on to what was there; a blank parts the two."""
        self._is_opened = opened
        self._continues = continuing
        self.has_thought = False  # a thought was begun, or ended
        self._is_parted = False  # blanks stood between the thought and the text
        self._is_thought = False
        self._held = ""  # what may become a tag
        self._waiting: list[str] = []  # what may have been a thought from the beginning
        self._before = ""  # the end of what was passed on
        self._last = ""  # the last character read
        self._ticks = 0  # backticks in the line
        self._fences = FenceTracker()
        self._follows_thought = False  # and nothing but blanks came since
        self.restarts = 0  # how often all that was passed on has turned out to be a thought
        self._is_talk = False  # a tag was named within a sentence

    @property
    def is_thought(self) -> bool:
        """Whether a thought has begun and not ended."""
        return self._is_thought

    def decode(self, text: str) -> str:
        """Take new text; return what is certain to be no thought."""
        return self._read(self._held + text)

    def flush(self, *, cut: bool = False) -> str:
        """The text has ended, before its own end if `cut`. Returns the rest of it."""
        passed = self._read(self._held, at_end=True)
        if self._is_opened and not cut:
            self._is_opened = False
            passed += "".join(self._waiting)
        self._waiting.clear()
        return passed

    def _read(self, text: str, *, at_end: bool = False) -> str:
        passed: list[str] = []
        at = 0
        self._held = ""
        while start := _START.search(text, at):
            passed.append(self._pass_on(text[at : start.start()]))
            at = start.start()
            rest = text[at : at + TAG_CHARACTERS]
            if not at_end and _is_undecided(rest):
                self._held = text[at:]
                return "".join(passed)
            tag = _TAG.match(rest)
            if tag is not None:
                restarts = self.restarts
                text_of_tag = self._meet(tag, rest[tag.end() :])
                if self.restarts != restarts:
                    passed.clear()
                passed.append(text_of_tag)
                at += tag.end()
            elif at_end and self._is_cut_tag(rest):
                return "".join(passed)
            else:
                passed.append(self._pass_on(text[at]))
                at += 1
        passed.append(self._pass_on(text[at:]))
        return "".join(passed)

    def _meet(self, tag: re.Match[str], rest: str) -> str:
        """Deal with a tag; returns it when it is only text."""
        if self._is_thought:
            if tag["closer"] and self._last != "`":
                self._is_thought = False
                self._follows_thought = True
            self._last = ">"
            return ""
        if self._in_code():
            return self._pass_on(tag[0])
        if tag["frame"]:
            return ""
        if tag["closer"] and (self._is_opened or self._ends_here()):
            if not self._is_opened and self._before.strip():
                self.restarts += 1
            self._waiting.clear()
            self._before = ""
            self._is_opened = False
            self._follows_thought = self.has_thought = True
            return ""
        if tag["special"] or (tag["plain"] and self._begins_here() and not _TALK.match(rest)):
            self._is_thought = self.has_thought = True
            waiting = "".join(self._waiting)
            self._waiting.clear()
            self._is_opened = False
            return waiting
        self._is_talk = True
        return self._pass_on(tag[0])

    def _begins_here(self) -> bool:
        """Whether a thought could begin here."""
        before = self._before
        return self._follows_thought or not before.strip() or _PLACE.search(before) is not None

    def _ends_here(self) -> bool:
        """Whether a thought could end here of which no beginning was seen."""
        if self._is_talk:
            return False
        # Who talks of the tag within a sentence leaves a blank before it.
        return (
            self._begins_here()
            or self._before[-1].isalnum()
            or _ENDS_SENTENCE.search(self._before) is not None
        )

    def _in_code(self) -> bool:
        return self._fences.is_open or self._ticks % 2 == 1

    def _is_cut_tag(self, rest: str) -> bool:
        if self._is_thought or self._in_code() or not self._begins_here():
            return False
        letters = _LETTERS.search(rest)
        return letters is not None and len(letters[0]) >= _LEAST_BEGINNING and _may_be_tag(rest)

    def _pass_on(self, text: str) -> str:
        if not text:
            return ""
        self._last = text[-1]
        if self._is_thought:
            return ""
        if self._follows_thought and (not self._before or self._before[-1] in " \t"):
            shown = text.lstrip()  # without what parted the thought from the text
            self._is_parted = self._is_parted or len(shown) < len(text)
            is_joint = self._continues and self._is_parted and not self._before
            text = f" {shown}" if shown and is_joint else shown
        if not text:
            return ""
        self._follows_thought = self._follows_thought and text.isspace()
        self._fences.feed(text)
        _, line_end, line = text.rpartition("\n")
        self._ticks = line.count("`") + (0 if line_end else self._ticks)
        self._before = (self._before + text)[-_PLACE_CHARACTERS:]
        if self._is_opened:
            self._waiting.append(text)
            return ""
        return text


def without_thoughts(text: str) -> str:
    """A whole text without its thoughts."""
    if _START.search(text) is None:
        return text
    thoughts = ThinkFilter()
    return thoughts.decode(text) + thoughts.flush()


@dataclass(frozen=True, slots=True)
class ThoughtTag:
    """The tag that opens a thought, and the one that closes it."""

    opens: str
    closes: str


def opened_by(text: str) -> ThoughtTag | None:
    """The tag of a thought that begins in `text` and goes on at its end."""
    found: ThoughtTag | None = None
    for tag in _TAG.finditer(text):
        if tag["closer"]:
            found = None
        elif tag["plain"] or tag["special"]:
            found = ThoughtTag(tag[0], _closing(tag[0]))
    return found


def _closing(opening: str) -> str:
    """The tag that closes what this one opens."""
    special = {"\u25c1think\u25b7": "\u25c1/think\u25b7", "<unused94>": "<unused95>"}
    if opening in special:
        return special[opening]
    if opening == "<|channel>":
        return "<channel|>"
    if opening == "<|channel|>":
        return "<|channel|>final<|message|>"
    if opening.startswith("<|"):
        closing, count = re.subn("(?i)(begin|start)", _like_end, opening, count=1)
        return closing if count else f"<|/{opening[2:]}"
    word = re.split(r"[ \t>\]]", opening[1:].lstrip(), maxsplit=1)[0]
    return f"[/{word}]" if opening.startswith("[") else f"</{word}>"


def _like_end(word: re.Match[str]) -> str:
    return "END" if word[0].isupper() else "end"


def opens_thought(chat_template: str | None) -> bool:
    """Whether a model's chat template has the reply begin within a thought."""
    opening = (chat_template or "").rpartition("add_generation_prompt")[2]
    _, tag, rest = opening.rpartition("<think>")
    return bool(tag) and "</think>" not in rest


def _is_undecided(rest: str) -> bool:
    """Whether more text could make this a tag, or tell what it is."""
    tag = _TAG.match(rest)
    if tag is None:
        return len(rest) < TAG_CHARACTERS and _may_be_tag(rest)
    after = rest[tag.end() :]
    if tag["plain"]:
        return _MAYBE_TALK.fullmatch(after) is not None
    if tag["special"] and "channel" in tag[0].lower():
        return _FINAL.startswith("".join(after.lower().split()))
    return False


def _may_be_tag(rest: str) -> bool:
    """Whether this is the beginning of a tag."""
    if _ENDS[rest[0]] in rest or "\n" in rest:
        return False
    letters = _LETTERS.search(rest)
    before = len(rest) if letters is None else letters.start()
    if letters is None or before > _LONGEST_OPENING:
        return before <= _LONGEST_OPENING
    word = letters[0].lower()
    return any(sought.startswith(word) or word.startswith(sought) for sought in _SOUGHT)
