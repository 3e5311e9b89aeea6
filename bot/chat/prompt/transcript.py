"""Turns as a prompt format writes them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bot.chat.messages import QuotedMessage, Turn
from bot.chat.prompt.formats import PromptFormat
from bot.chat.text.guard import Guard

QUOTE_CHARACTERS = 2_000  # one Discord message; a longer quote ends with "…"

Role = Literal["user", "bot"]


@dataclass(frozen=True, slots=True)
class Line:
    """One turn on its way into the prompt: raw text, display name, the quote that it needs."""

    role: Role
    name: str
    text: str
    position: int = -1  # absolute in the conversation; -1 for the greeting
    turn: Turn | None = None
    quote: QuotedMessage | None = None
    quote_name: str = ""


class Transcript:
    """Writes lines in a format. What a line becomes depends on its neighbours' roles alone."""

    def __init__(self, prompt_format: PromptFormat, guard: Guard, *, names: bool) -> None:
        self._format = prompt_format
        self._guard = guard
        self._names = names
        self._guarded: dict[str, str] = {}  # a text is written several times until it fits

    def write(
        self, lines: Sequence[Line], at: int, *, first: bool = False, quotes: bool = True
    ) -> str:
        """What ``lines[at]`` becomes; `first` as if the lines before it were not there.

        A system text precedes the first line, and may have opened its turn already.
        """
        line = lines[at]
        wrapping = self._format.user if line.role == "user" else self._format.bot
        before, after = wrapping.before, wrapping.after
        if first:
            before = self._first(line.role)
        elif self._joins(lines[at - 1].role, line.role):
            before = ""
        following = lines[at + 1].role if at + 1 < len(lines) else "bot"
        if self._joins(line.role, following):
            after = "\n"
        return before + self._body(line, quotes=quotes, after=after)

    def reply(self, lines: Sequence[Line], name: str, so_far: str) -> str:
        """What opens the reply after `lines`, with the beginning that it has already."""
        if not lines:
            opening = self._first("bot")
        elif self._joins(lines[-1].role, "bot"):
            opening = ""
        else:
            opening = self._format.bot.before
        opening = self._format.before_reply + opening
        if self._names:
            opening += f"{name}: "
        opening += self._guard.message(so_far).rstrip()
        return opening if so_far.strip() else opening.rstrip(" ")

    def _first(self, role: Role) -> str:
        """What precedes the first turn's text, after the system text."""
        wrapping = self._format.user if role == "user" else self._format.bot
        if not self._format.system_in_turn:
            return wrapping.before
        # The system text has opened a user's turn: a bot's text needs it closed first.
        return "" if role == "user" else self._format.user.after + wrapping.before

    def _body(self, line: Line, *, quotes: bool, after: str) -> str:
        label = f"{line.name}: " if self._names else ""
        text = self._message(line.text.strip())
        if line.quote is None or not quotes:
            return f"{label}{text}".rstrip(" ") + after
        quote = self._quote(line.quote, line.quote_name)
        if self._format.quote_after:
            return f"{label}{text}".rstrip(" ") + after + quote
        return f"{label}{quote}{text}{after}"

    def _quote(self, quoted: QuotedMessage, name: str) -> str:
        text = quoted.text.strip()
        if len(text) > QUOTE_CHARACTERS:
            text = text[: QUOTE_CHARACTERS - 1] + "…"
        # Guarded with the bracket that may follow: "[/INST" and that would be a token.
        text = self._message(f"{text}]").removesuffix("]")
        return self._format.quote.format(name=name, text=text)

    def _message(self, text: str) -> str:
        if text not in self._guarded:
            self._guarded[text] = self._guard.message(text)
        return self._guarded[text]

    def _joins(self, role: Role, following: Role) -> bool:
        return self._format.alternates and role == following
