"""A prompt format out of a model's own chat template.

The template is rendered with marks for texts, and what stands between the marks becomes the
wrappings of our turns: so what is in a prompt, its budget, its stops and its guards stay ours. What
was derived is then compared with what the template makes of other conversations; a template from
which no such format can be cut is :class:`~bot.chat.prompt.probes.UncuttableError`.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from bot.chat.prompt.formats import FORMATS, PromptFormat, Thought, Wrapping
from bot.chat.prompt.probes import (
    ANSWERED,
    ASKED,
    NOTED,
    NOTED_AT_END,
    OPENED,
    PLAIN_ANSWERED,
    PLAIN_ASKED,
    PLAIN_OPENED,
    PLAIN_TALK,
    PLAIN_TWO_ANSWERED,
    PLAIN_TWO_ASKED,
    PROBES,
    TALK,
    TWO_ANSWERED,
    TWO_ASKED,
    Cut,
    UncuttableError,
    conversation,
    cut,
)
from bot.chat.prompt.signs import read_signs, split_header, tokens_in
from bot.chat.prompt.template import Conversation, Rendered, Template, TemplateError
from bot.chat.text.thinking import ThoughtTag, opened_by

NAME = "template"
WRAPPING_CHARACTERS = 20_000  # of all wrappings together; the longest known ones have 4,000
JOINT = "\n\n"  # between a system text and a user's in one turn, where the template has no opinion
QUIET = (("enable_thinking", False), ("thinking", False))  # of Qwen and GLM, of DeepSeek, Granite
# What is said in the conversations that the result is tried on.
_TRIED = (
    "Be brief.\n\nYou are Mira; it's «late».", "Hi! How are you?", "Fine.\n- one\n- two",
    "```py\nx = {'a': 1}\n```", "Été, 你好, 🦊!", "1", "What's {{ this }}?",
    "No: [that] <b>it</b>.", "And\tthen", "Done",
)  # fmt: skip
_TRIALS = ("S U >", "S U A U >", "S U A U A U A U A U >")
_PLAIN_TRIALS = ("U >", "U A U >", "U A U A U A U A U >")

# Texts that some templates change, as Falcon's takes out empty lines: what is said stays as it is.
ODD_TURNS, _ODD = "S U A U >", ("Be brief.", "a\n\n\nb  c", "d\n\ne\r\nf", "g")

# Templates for models that look at pictures take a content apart; some take no plain text at all.
_TAKES_PARTS = re.compile(r"""\[\s*['"]text['"]\s*\]|\.text\b""")

Renderer = Callable[[Template, Sequence[Conversation]], list[Rendered]]


@dataclass(frozen=True, slots=True)
class Derived:
    """A format, and in words what of the template it leaves aside."""

    format: PromptFormat
    remark: str = ""


def derive_format(
    template: Template,
    *,
    special_tokens: Sequence[str] = (),
    first_tokens: Sequence[str] = (),
    thinks: bool = True,
    render: Renderer = Template.render,
) -> Derived:
    """Derive a format. Blocks. Raises UncuttableError, saying why.

    `first_tokens` is what the tokenizer may put before a prompt by itself, spelled out. `thinks`
    False: of a model that may think before it answers, the way in which it does not.
    """
    try:
        return _derive(template, special_tokens, first_tokens, thinks, render)
    except UncuttableError:
        if not _TAKES_PARTS.search(template.source):
            raise
    return _derive(replace(template, in_parts=True), special_tokens, first_tokens, thinks, render)


def _derive(
    template: Template,
    special_tokens: Sequence[str],
    first_tokens: Sequence[str],
    thinks: bool,
    render: Renderer,
) -> Derived:
    if not thinks:
        template = replace(template, flags=QUIET)
    quiet = replace(template, flags=QUIET)
    trials = [_trial(turns) for turns in (*_TRIALS, *_PLAIN_TRIALS)]
    trials.append(conversation(ODD_TURNS, _ODD))
    try:
        made = render(template, [*map(conversation, PROBES), *trials])
        hushed = render(quiet, [conversation(OPENED), conversation(PLAIN_OPENED)])
    except TemplateError as error:
        raise UncuttableError(str(error)) from error
    probes: dict[str, Rendered] = dict(zip(PROBES, made, strict=False))
    cutter = _Cutter(probes, first_tokens)
    derived = cutter.derive()
    if len("".join(_wrappings(derived.format))) > WRAPPING_CHARACTERS:
        raise UncuttableError("it writes far too much of its own")
    tried, odd = made[len(PROBES) : -1], made[-1]
    _check(derived.format, tried, cutter)
    expected = compose(derived.format, ODD_TURNS, _ODD, opens=not cutter.opens_nothing)
    if not cutter.is_plain and cutter.strip_first(odd.text).rstrip() != expected.rstrip():
        derived = replace(derived, remark=_CHANGES)
    quiet_opening = _opening(hushed, cutter) if thinks else None
    found = _with_thought(derived.format, quiet_opening)
    return replace(derived, format=_finished(found, special_tokens))


class _Cutter:
    """Puts together what the probes tell."""

    def __init__(self, probes: dict[str, Rendered], first_tokens: Sequence[str]) -> None:
        self._probes = probes
        self._first_tokens = sorted(filter(None, first_tokens), key=len, reverse=True)
        self.system_is_in_turn = False
        self.system_moves = False  # it stands in the newest turn, wherever that is
        self.is_plain = False  # turns are as they are without a system text
        self.opens_nothing = False  # replies are not opened by anything
        self.takes_system = self._cut(OPENED) is not None

    def derive(self) -> Derived:
        """The wrappings, without stops, headers and thoughts."""
        self.system_moves = self.takes_system and self._cut(TALK) is None
        self.is_plain = self.system_moves or not self.takes_system
        talk = self._need(PLAIN_TALK if self.is_plain else TALK)
        at = 1 if self.is_plain else 2
        to_bot, to_user = talk.pieces[at], talk.pieces[at + 1]
        if talk.pieces[at + 2 : at + 4] != (to_bot, to_user):
            raise UncuttableError("it writes earlier turns in another way than later ones")
        user_after, bot_after = self._ends(to_bot, to_user)
        bot_before = to_bot.removeprefix(user_after)
        user_before = to_user.removeprefix(bot_after)
        # What begins every turn is a sign of turns, though it may be called BOS, as SmolLM2's is.
        is_sign = bot_before.startswith
        self._first_tokens = [one for one in self._first_tokens if not is_sign(one)]
        for token in self._first_tokens:  # a BOS before each question: it closes the one before
            if user_before.startswith(token):
                user_before = user_before.removeprefix(token)
                bot_after += token
        if not talk.last.startswith(user_after):
            raise UncuttableError("it ends the newest turn in another way than earlier ones")
        opening = talk.last.removeprefix(user_after)
        self.opens_nothing = not opening
        found = PromptFormat(
            name=NAME,
            system=self._system(user_before),
            user=Wrapping(user_before, user_after),
            bot=Wrapping(bot_before, bot_after),
            stops=(),
            headers=(),
            system_in_turn=self.system_is_in_turn,
        )
        if opening and opening.rstrip(" ") != bot_before.rstrip(" "):
            found = replace(found, opening=opening)
        alternates = not self._takes_neighbours(found)
        found = replace(found, alternates=alternates, note=self._note(found))
        remark = _MOVES if self.system_moves else "" if self.takes_system else _NO_SYSTEM
        return Derived(found, remark)

    def strip_first(self, text: str) -> str:
        """Without the token that the tokenizer puts before a prompt."""
        for token in self._first_tokens:
            if text.startswith(token):
                return text.removeprefix(token)
        return text

    def _system(self, user_before: str) -> Wrapping:
        if not self.takes_system:
            plain = self._need(PLAIN_ASKED)
            self.system_is_in_turn = True
            return Wrapping(self.strip_first(plain.pieces[0]), JOINT)
        asked = self._need(ASKED)
        before, after = self.strip_first(asked.pieces[0]), asked.pieces[1]
        if after.endswith(user_before):
            return Wrapping(before, after.removesuffix(user_before))
        self.system_is_in_turn = True
        return Wrapping(before, after)

    def _ends(self, to_bot: str, to_user: str) -> tuple[str, str]:
        """What closes a user's turn and a bot's, of what parts each from the other."""
        user = self._end(PLAIN_ASKED if self.is_plain else ASKED, to_bot)
        bot = self._end(PLAIN_ANSWERED if self.is_plain else ANSWERED, to_user)
        if user == to_bot:  # the opening of a reply always stands there
            user = split_header(user, "assistant|model|bot")[0]
        if bot == to_user:  # the last one ends otherwise
            shares = user and to_user.startswith(user)
            bot = user if shares else split_header(bot, "user|human")[0]
        return user, bot

    def _end(self, turns: str, whole: str) -> str:
        """How the last turn ends, where a conversation ends with it; else all up to the next."""
        end = self._need(turns).last
        if whole.startswith(end):
            return end
        # Some write a line's end after the last turn that they don't write between turns.
        stripped = end.rstrip()
        return stripped if stripped and whole.startswith(stripped) else whole

    def _takes_neighbours(self, found: PromptFormat) -> bool:
        plain = self.is_plain
        asked = self._cut(PLAIN_TWO_ASKED if plain else TWO_ASKED)
        answered = self._cut(PLAIN_TWO_ANSWERED if plain else TWO_ANSWERED)
        if asked is None or answered is None:
            return False
        at = 1 if plain else 2
        return (
            asked.pieces[at] == found.user.after + found.user.before
            and answered.pieces[at + 1] == found.bot.after + found.bot.before
        )

    def _note(self, found: PromptFormat) -> Wrapping | None:
        noted, at_end = self._cut(NOTED), self._cut(NOTED_AT_END)
        if noted is None or at_end is None or found.system_in_turn:
            return None
        before, after = noted.pieces[3], noted.pieces[4]
        if not before.startswith(found.bot.after) or not after.endswith(found.user.before):
            return None
        note = Wrapping(before.removeprefix(found.bot.after), after.removesuffix(found.user.before))
        fits = at_end.pieces[4:6] == (
            found.user.after + note.before,
            note.after + found.bot.before,
        )
        return note if fits and note.before.strip() else None

    def _need(self, turns: str) -> Cut:
        return cut(turns, self._probes[turns])

    def _cut(self, turns: str) -> Cut | None:
        try:
            return cut(turns, self._probes[turns])
        except UncuttableError:
            return None


_FINAL, _END = "<|channel|>final", "<|end|>"  # of OpenAI's Harmony
_MOVES = "it writes the system text in the newest turn; here it stands before the first one"
_CHANGES = "it changes what is said, such as empty lines; here that stays as it is"
_NO_SYSTEM = "it knows no system text; here it stands in the first turn"


def _opening(hushed: Sequence[Rendered], cutter: _Cutter) -> str | None:
    """What follows the newest turn where the model is not to think."""
    turns = OPENED if cutter.takes_system else PLAIN_OPENED
    try:
        return cut(turns, hushed[0 if cutter.takes_system else 1]).last
    except UncuttableError:
        return None


def _with_thought(found: PromptFormat, quiet: str | None) -> PromptFormat:
    """With the thought that opens a reply, be it the template that opens it or the model.

    `quiet` is what opens a reply of a model that could think and is told not to.
    """
    opening = found.opens_reply
    tag = opened_by(opening)
    if tag is not None:
        start = opening.rindex(tag.opens)
        rest = opening[start + len(tag.opens) :]
        before = None if opening[:start] == found.bot.before else opening[:start]
        return replace(found, opening=before, thought=_thought(tag, rest))
    written = found.bot.before.removeprefix(opening)
    if opening and written != found.bot.before and _FINAL in written:  # gpt-oss
        closes = f"{_END}{found.bot.before}"
        return replace(found, thought=Thought("<|channel|>analysis<|message|>", _END, closes))
    # A model that is told not to think by an empty thought thinks by itself where it isn't.
    own = found.user.after + opening
    empty = "" if quiet is None else quiet.removeprefix(own)
    tag = opened_by(empty[: empty.find("/") - 1]) if "/" in empty else None
    if quiet is None or empty == quiet or tag is None:
        return found
    return replace(found, thought=_thought(tag, "\n" if f"{tag.opens}\n" in empty else ""))


def _thought(tag: ThoughtTag, rest: str) -> Thought:
    """Its closing stands on a line of its own where the thought does."""
    parted = ("\n", "\n\n") if "\n" in rest or tag.opens.startswith("<think") else ("", "")
    return Thought(tag.opens + rest, tag.closes, f"{parted[0]}{tag.closes}{parted[1]}")


def _check(found: PromptFormat, made: Sequence[Rendered], cutter: _Cutter) -> None:
    """Raise UncuttableError where the template makes anything else of the tried conversations.

    Without a system text no prompt of ours is; so only where the template takes none.
    """
    for turns, rendered in zip((*_TRIALS, *_PLAIN_TRIALS), made, strict=True):
        has_system = turns.startswith("S")
        is_tried = cutter.takes_system if has_system else cutter.is_plain
        if has_system and cutter.system_moves and turns.count("U") > 1:
            is_tried = False
        if not is_tried:
            continue
        if rendered.error:
            raise UncuttableError(f"it refuses a conversation: {rendered.error}")
        expected = compose(found, turns, _contents(turns), opens=not cutter.opens_nothing)
        if cutter.strip_first(rendered.text).rstrip(" ") != expected.rstrip(" "):
            raise UncuttableError("what was cut from it makes another text than it does")


def compose(found: PromptFormat, turns: str, contents: Sequence[str], *, opens: bool = True) -> str:
    """A conversation of alternating turns in a format; see :mod:`probes` for `turns`.

    `opens` False: the reply that follows is not opened.
    """
    wrappings = {"S": found.system, "N": found.note, "U": found.user, "A": found.bot}
    letters = [letter for letter in turns.split() if letter != ">"]
    written = ""
    for at, (letter, content) in enumerate(zip(letters, contents, strict=True)):
        wrapping = wrappings[letter] or found.user
        is_in_turn = found.system_in_turn and at > 0 and letters[at - 1] == "S"
        written += ("" if is_in_turn else wrapping.before) + content + wrapping.after
    return written + found.opens_reply if turns.endswith(">") and opens else written


def _wrappings(found: PromptFormat) -> Iterator[str]:
    for wrapping in (found.system, found.user, found.bot, found.note or Wrapping()):
        yield from (wrapping.before, wrapping.after)
    yield found.opens_reply


def _trial(turns: str) -> Conversation:
    return conversation(turns, _contents(turns))


def _contents(turns: str) -> list[str]:
    letters = [letter for letter in turns.split() if letter != ">"]
    texts = iter(_TRIED[1:] * 2)
    return [_TRIED[0] if letter == "S" else next(texts) for letter in letters]


def _finished(found: PromptFormat, special_tokens: Sequence[str]) -> PromptFormat:
    """With stops, headers and reserved names; one of our own formats where it is the same."""
    for known in FORMATS.values():
        same = replace(
            known, system=found.system, user=found.user, bot=found.bot,
            system_in_turn=found.system_in_turn,
        )  # fmt: skip
        if same == known and not known.before_reply:
            return replace(known, opening=found.opening, thought=found.thought)
    befores = [found.user.before, *([found.note.before] if found.note else []), found.bot.before]
    if not found.system_in_turn and tokens_in(found.system.before, special_tokens):
        befores.append(found.system.before)
    others = [found.system.before, found.system.after, found.opens_reply]
    signs = read_signs(
        befores=befores,
        afters=[found.bot.after, found.user.after],
        others=others,
        special_tokens=special_tokens,
    )
    if not signs.stops and not signs.headers:
        raise UncuttableError("nothing of it marks where a turn begins or ends")
    return replace(
        found, stops=signs.stops, headers=signs.headers, reserved_names=signs.reserved_names
    )
