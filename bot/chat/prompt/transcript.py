"""Turns as a prompt format writes them."""

from collections.abc import Sequence
from dataclasses import dataclass

from bot.chat.messages import QuotedMessage, Turn
from bot.chat.prompt.formats import PromptFormat, Wrapping
from bot.chat.prompt.parts import Role
from bot.chat.text.guard import BREAK, Guard

MESSAGE_QUOTE = "[In reply to {name}: {text}]\n"
QUOTE_CHARACTERS = 2_000  # one Discord message; a longer quote ends with "…"


@dataclass(frozen=True, slots=True)
class Line:
    """One turn on its way into the prompt: raw text, display name, the quote that it needs.

    Or a part that stands among the turns: it has no name.
    """

    role: Role
    name: str
    text: str
    position: int = -1  # absolute in the conversation; -1 for the greeting
    older: int = 0  # how many turns precede it
    turn: Turn | None = None
    quote: QuotedMessage | None = None
    quote_name: str = ""
    part: str = ""  # the part's name


class Transcript:
    """Writes lines in a format. What a line becomes depends on its neighbours' roles alone."""

    def __init__(self, prompt_format: PromptFormat, guard: Guard, *, names: bool) -> None:
        self._format = prompt_format
        self._guard = guard
        self._names = names
        self._guarded: dict[str, str] = {}  # a text is written several times until it fits

    def write(
        self,
        lines: Sequence[Line],
        at: int,
        *,
        first: bool = False,
        quotes: bool = True,
        preceding: str = "",
    ) -> str:
        """What ``lines[at]`` becomes; `first` as if the lines before it were not there.

        A system text precedes the first line, and may have opened its turn already. `preceding` is
        what was written before: where nothing parts the two, they form no boundary together.
        """
        line = lines[at]
        role = self._role(line)
        before, after = self._wrapping(role).before, self._wrapping(role).after
        if first:
            before = self._first(role)
        elif self._joins(self._role(lines[at - 1]), role):
            before = ""
        if self._joins(role, self._role(lines[at + 1]) if at + 1 < len(lines) else "bot"):
            after = "\n"
        body = self._body(line, quotes=quotes, after=after)
        is_line = bool(self._label(line))
        if not before and self._guard.forms_boundary(preceding, body, is_line=is_line):
            body = BREAK + body
        return before + body

    def reply(self, lines: Sequence[Line], name: str, so_far: str, *, thinks: bool = False) -> str:
        """What opens the reply after `lines`, with the beginning that it has already.

        Where the format's replies begin with a thought, it ends in that if the model `thinks`;
        else the thought is closed at once.
        """
        opening = self._format.opens_reply
        if not lines:  # the system text may have opened a user's turn
            opening = (self._format.user.after if self._format.system_in_turn else "") + opening
        elif self._joins(self._role(lines[-1]), "bot"):
            opening = ""
        opening = self._format.before_reply + opening
        if (thought := self._format.thought) is not None:
            opening += thought.opens
            if thinks:
                return opening.rstrip(" ")
            opening += thought.closes
        return self.opens_answer(opening, name, so_far)

    def opens_answer(self, opening: str, name: str, so_far: str) -> str:
        """With the name and the beginning that it has already."""
        if self._names:
            opening += f"{name}: "
        opening += self._guard.message(so_far).rstrip()
        return opening if so_far.strip() else opening.rstrip(" ")

    def message(self, line: Line, *, quotes: bool = True) -> tuple[Role, str]:
        """A line without the format's headers: whose turn it is, and its text.

        What the system says among the turns is in the users', in brackets: hardly any model's own
        template takes a system text anywhere but at the beginning.
        """
        text = line.text.strip()
        role: Role = "user" if line.role == "system" else line.role
        text = self._message(f"[{text}]" if line.role == "system" else text)
        quote = ""
        if line.quote is not None and quotes:
            quote = self._quote_in(MESSAGE_QUOTE, line.quote, line.quote_name)
        return role, f"{self._label(line)}{quote}{text}".strip()

    def _role(self, line: Line) -> Role:
        """As whose turn it is written. What no header can tell apart is one with the users'."""
        return "user" if self._is_bracketed(line) else line.role

    def _is_bracketed(self, line: Line) -> bool:
        """Whether nothing but brackets can tell a part from what people say."""
        if not line.part:
            return False
        has_headers = self._format.names != "always"
        return not has_headers or (line.role == "system" and self._format.note is None)

    def _wrapping(self, role: Role) -> Wrapping:
        if role == "system" and self._format.note is not None:
            return self._format.note
        return self._format.bot if role == "bot" else self._format.user

    def _first(self, role: Role) -> str:
        """What precedes the first turn's text, after the system text."""
        before = self._wrapping(role).before
        if not self._format.system_in_turn:
            return before
        # The system text has opened a user's turn: a bot's text needs it closed first.
        return self._format.user.after + before if role == "bot" else ""

    def _body(self, line: Line, *, quotes: bool, after: str) -> str:
        label = self._label(line)
        text = line.text.strip()
        text = self._message(f"[{text}]" if self._is_bracketed(line) else text)
        if line.quote is None or not quotes:
            return f"{label}{text}".rstrip(" ") + after
        quote = self._quote(line.quote, line.quote_name)
        if self._format.quote_after:
            return f"{label}{text}".rstrip(" ") + after + quote
        return f"{label}{quote}{text}{after}"

    def _label(self, line: Line) -> str:
        return f"{line.name}: " if self._names and not line.part else ""

    def _quote(self, quoted: QuotedMessage, name: str) -> str:
        return self._quote_in(self._format.quote, quoted, name)

    def _quote_in(self, pattern: str, quoted: QuotedMessage, name: str) -> str:
        text = quoted.text.strip()
        if len(text) > QUOTE_CHARACTERS:
            text = text[: QUOTE_CHARACTERS - 1] + "…"
        # Guarded with the bracket that may follow: "[/INST" and that would be a token.
        text = self._message(f"{text}]").removesuffix("]")
        return pattern.format(name=name, text=text)

    def _message(self, text: str) -> str:
        if text not in self._guarded:
            self._guarded[text] = self._guard.message(text)
        return self._guarded[text]

    def _joins(self, role: Role, following: Role) -> bool:
        return role == following and (self._format.alternates or role == "system")
