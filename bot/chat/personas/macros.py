"""The macros of persona texts: `{{char}}`, `{{user}}`, `{{random::a::b}}` and their like.

Those of character-card-spec-v3, and of SillyTavern's the names, the card, chance and time. They are
replaced in what personas' authors and moderators write, never in what people say. What is put in is
not read again, so a name or a text that looks like a macro stays as it is; unknown ones stay, too.
Macros may stand inside of others. Work is bounded: NESTING, VALUE_CHARACTERS.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256

import regex

from bot.chat.persona import Persona
from bot.chat.personas.macro_values import (
    choose,
    humanized,
    now_in,
    rolled,
    said_as_date,
    said_as_time,
    weekday,
)

NESTING = 20  # macros inside of macros; what is deeper stays as it is
VALUE_CHARACTERS = 200_000  # put into the texts of one prompt; what comes after is empty
REPEATS = 100  # of {{newline::n}} and {{space::n}}

_TOKEN = re.compile(r"\{\{(?!\{)|\}\}|<(?:user|bot|char|group|charifnotgroup)>", re.IGNORECASE)
_HEAD = re.compile(r"\s*(//|[A-Za-z_]+)(::|:|\s+|(?=[+-])|\Z|(?<=//))")
_COMMA = re.compile(r"(?<!\\),")
_EXAMPLE_START = re.compile("<START>", re.IGNORECASE)
_NEVER_TOLD = frozenset({"charcreatornotes", "creatornotes", "charversion", "char_version"})
_REMARKS = frozenset({"//", "comment", "hidden_key"})


@dataclass(frozen=True, slots=True)
class MacroContext:
    """What macros stand for in one prompt. Equal ones with equal texts give equal results."""

    char: str
    user: str
    persona: Persona | None = None  # for those that stand for its texts
    others: Sequence[str] = ()  # the personas beside this one
    user_description: str = ""  # of who `{{user}}` is
    conversation: str = ""  # `{{pick}}` stays the same as long as this does
    seed: int = 0  # of this reply: `{{random}}` and `{{roll}}` depend on it
    moment: datetime | None = None  # aware; None: macros of time stay as they are
    idle: timedelta | None = None  # since somebody spoke before the newest message
    outlets: Mapping[str, str] = field(default_factory=dict[str, str])


def expand_macros(text: str, *, char: str, user: str) -> str:
    """`text` with the macros that need nothing but the names."""
    return Macros(MacroContext(char, user)).expand(text)


@dataclass(frozen=True, slots=True)
class _Piece:
    """Some text on its way: as written, what a macro stands for, or a `{{trim}}`."""

    text: str
    is_value: bool = False
    trims: bool = False


@dataclass(frozen=True, slots=True)
class _Call:
    """A macro on its way: its name in lower case, what follows, and where it stands."""

    name: str
    rest: tuple[_Piece, ...]
    place: str

    @property
    def text(self) -> str:
        """All that follows the name."""
        return "".join(piece.text for piece in self.rest)

    def options(self) -> list[str]:
        """What there is to choose from: parted by `::`, else by commas (`\\,` is a comma)."""
        written = "".join(piece.text for piece in self.rest if not piece.is_value)
        parted = "::" in written
        found = [""]
        for piece in self.rest:
            if piece.is_value:
                found[-1] += piece.text
                continue
            pieces = piece.text.split("::") if parted else _COMMA.split(piece.text)
            found[-1] += pieces[0]
            found += pieces[1:]
        plain = found if parted else [each.replace("\\,", ",") for each in found]
        return [each.strip() for each in plain]


class Macros:
    """Replaces the macros in the texts of one prompt."""

    def __init__(self, context: MacroContext) -> None:
        """Nothing is read before :meth:`expand`."""
        self._context = context
        self._room = VALUE_CHARACTERS
        self._texts: dict[str, str] = {}  # what `_once` knows; "" while that goes on
        self._originals = [""]

    def expand(self, text: str, *, original: str = "") -> str:
        """`text` with its macros replaced; the first `{{original}}` in it is `original`."""
        if "{{" not in text and "<" not in text:
            return text
        self._originals.append(original)
        try:
            return self._expand(text)
        finally:
            self._originals.pop()

    def _expand(self, text: str) -> str:
        digest = sha256(text.encode(errors="surrogatepass")).hexdigest()
        open_macros: list[tuple[int, list[_Piece]]] = []
        here: list[_Piece] = []
        too_deep = at = 0
        for match in _TOKEN.finditer(text):
            if match.start() > at:
                here.append(_Piece(text[at : match.start()]))
            at = match.end()
            token = match[0]
            if token == "{{":  # noqa: S105 - a token of text
                if len(open_macros) < NESTING:
                    open_macros.append((match.start(), here))
                    here = []
                    continue
                too_deep += 1
            elif token == "}}":  # noqa: S105
                if open_macros and not too_deep:
                    start, outer = open_macros.pop()
                    outer += self._pieces(here, f"{digest}:{start}")
                    here = outer
                    continue
                too_deep = max(too_deep - 1, 0)
            else:
                here.append(self._value(self._names(token[1:-1].lower()) or token))
                continue
            here.append(_Piece(token))
        here.append(_Piece(text[at:]))
        while open_macros:
            _, outer = open_macros.pop()
            here = [*outer, _Piece("{{"), *here]
        return _joined(here)

    def _pieces(self, inside: list[_Piece], place: str) -> list[_Piece]:
        """What a macro becomes."""
        call = _call(inside, place)
        if call is not None:
            if call.name == "trim":
                return [_Piece("", is_value=True, trims=not call.text.strip())]
            value = self._meaning(call)
            if value is not None:
                return [self._value(value)]
        return [_Piece("{{"), *inside, _Piece("}}")]

    def _value(self, text: str) -> _Piece:
        if len(text) > self._room:
            return _Piece("", is_value=True)
        self._room -= len(text)
        return _Piece(text, is_value=True)

    def _meaning(self, call: _Call) -> str | None:
        """What a macro stands for; None where nobody knows it."""
        if call.name in _REMARKS or call.name in _NEVER_TOLD or call.name == "noop":
            return ""
        readers: tuple[Callable[[_Call], str | None], ...] = (
            self._plain,
            self._chance,
            self._time,
            self._card,
        )
        return next((value for read in readers if (value := read(call)) is not None), None)

    def _plain(self, call: _Call) -> str | None:
        if not call.rest and (name := self._names(call.name)) is not None:
            return name
        match call.name:
            case "newline":
                return "\n" * _count(call.text)
            case "space":
                return " " * _count(call.text)
            case "reverse":
                return "".join(reversed(regex.findall(r"\X", call.text)))
            case "outlet":
                name = call.text.strip()
                return self._once(f"outlet {name}", self._context.outlets.get(name, ""))
            case "original":
                original, self._originals[-1] = self._originals[-1], ""
                return original
            case _:
                return None

    def _names(self, name: str) -> str | None:
        context = self._context
        match name:
            case "char" | "bot":
                return context.char
            case "user":
                return context.user
            case "group" | "groupnotmuted" | "charifnotgroup":
                return ", ".join((context.char, *context.others))
            case "notchar":
                return ", ".join((*context.others, context.user))
            case "persona":
                return context.user_description
            case _:
                return None

    def _chance(self, call: _Call) -> str | None:
        match call.name:
            case "random":
                return choose(call.options(), str(self._context.seed), call.place)
            case "pick":
                return choose(call.options(), self._context.conversation, call.place)
            case "roll":
                return rolled(call.text, str(self._context.seed), call.place)
            case _:
                return None

    def _time(self, call: _Call) -> str | None:
        moment = self._context.moment
        if moment is None:
            return None
        match call.name:
            case "time" | "time_utc":
                return said_as_time(now_in(moment, call.text))
            case "date":
                return said_as_date(moment)
            case "weekday":
                return weekday(moment)
            case "isotime":
                return f"{moment:%H:%M}"
            case "isodate":
                return f"{moment:%Y-%m-%d}"
            case "idle_duration" | "idleduration":
                return humanized(self._context.idle)
            case _:
                return None

    def _card(self, call: _Call) -> str | None:
        if self._context.persona is None:
            return None
        name = call.name
        if name == "charfirstmessage" and call.text.strip():
            name = f"{name} {call.text.strip()[:4]}"
        written = _written(self._context.persona, name)
        return None if written is None else self._once(name, written)

    def _once(self, name: str, written: str) -> str:
        """A text of the card's or of lore's that a macro stands for, with its own macros replaced.

        A text that stands for itself is empty there, as is what is too deep.
        """
        if name not in self._texts:
            self._texts[name] = ""
            if len(self._originals) <= NESTING:
                self._texts[name] = self.expand(written.strip())
        return self._texts[name]


def _written(persona: Persona, name: str) -> str | None:
    """The text of a card that a macro stands for, as its author wrote it."""
    match name:
        case "description":
            return persona.description
        case "personality":
            return persona.personality
        case "scenario":
            return persona.scenario
        case "mesexamplesraw":
            return persona.example_dialogue
        case "mesexamples":
            blocks = _EXAMPLE_START.split(persona.example_dialogue)
            return "\n".join(block.strip() for block in blocks if block.strip())
        case "charprompt":
            return persona.system_text
        case "charinstruction" | "charjailbreak":
            return persona.closing_reminder
        case "chardepthprompt":
            return persona.depth_prompt.text if persona.depth_prompt else ""
        case _:
            return _greeting(persona, name)


def _greeting(persona: Persona, name: str) -> str | None:
    head, _, number = name.partition(" ")
    if head != "charfirstmessage" or not (number or "0").isdecimal():
        return None
    greetings = (persona.greeting, *persona.alternate_greetings)
    return greetings[int(number or 0)] if int(number or 0) < len(greetings) else ""


def _call(inside: list[_Piece], place: str) -> _Call | None:
    """The macro that stands between braces, if it has a name."""
    if not inside or inside[0].is_value:
        return None
    first = inside[0].text
    head = _HEAD.match(first)
    if head is None:
        return None
    rest = (_Piece(first[head.end() :]), *inside[1:])
    return _Call(head[1].lower(), tuple(piece for piece in rest if piece.text), place)


def _joined(pieces: list[_Piece]) -> str:
    """All of it; the line ends around a `{{trim}}` go with it."""
    made: list[str] = []
    trims = False
    for piece in pieces:
        if piece.trims:
            while made and not made[-1].rstrip("\r\n"):
                made.pop()
            if made:
                made[-1] = made[-1].rstrip("\r\n")
            trims = True
            continue
        text = piece.text
        if trims:
            text = text.lstrip("\r\n")
            trims = not text
        made.append(text)
    return "".join(made)


def _count(text: str) -> int:
    number = text.strip().lstrip(":")
    return min(int(number), REPEATS) if number.isdecimal() and len(number) < REPEATS else 1
