"""The conversations that are put to a chat template, and what is read off what it makes of them.

Contents are marks that stand in no template; what stands between two marks is the format's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bot.chat.prompt.template import Conversation, Rendered

Who = Literal["system", "user", "assistant"]
MARKS = "MARK{}TEXT"
_ROLES: dict[str, Who] = {"S": "system", "N": "system", "U": "user", "A": "assistant"}

# By their turns: S the system text, U people, A the model, N a system text among the turns. Ending
# in ">": with the opening of a reply.
TALK = "S U A U A U >"
PLAIN_TALK = "U A U A U >"  # without a system text
ASKED, OPENED = "S U", "S U >"
PLAIN_ASKED, PLAIN_OPENED = "U", "U >"
ANSWERED, PLAIN_ANSWERED = "S U A", "U A"
TWO_ASKED, PLAIN_TWO_ASKED = "S U U A U", "U U A U"
TWO_ANSWERED, PLAIN_TWO_ANSWERED = "S U A A U", "U A A U"
NOTED, NOTED_AT_END = "S U A N U A U", "S U A U N A U"
PROBES = (
    TALK, PLAIN_TALK, ASKED, OPENED, PLAIN_ASKED, PLAIN_OPENED, ANSWERED, PLAIN_ANSWERED,
    TWO_ASKED, PLAIN_TWO_ASKED, TWO_ANSWERED, PLAIN_TWO_ANSWERED, NOTED, NOTED_AT_END,
)  # fmt: skip


class UncuttableError(Exception):
    """A template from which no wrappings can be cut, and why, in words."""


def conversation(turns: str, contents: Sequence[str] | None = None) -> Conversation:
    """The conversation of such a line of letters, with these contents or with marks."""
    letters = turns.split()
    opens_reply = letters[-1] == ">"
    roles = [_ROLES[letter] for letter in letters if letter != ">"]
    said = contents or [MARKS.format(at) for at in range(len(roles))]
    messages = [
        {"role": role, "content": content} for role, content in zip(roles, said, strict=True)
    ]
    return Conversation(tuple(messages), opens_reply)


@dataclass(frozen=True, slots=True)
class Cut:
    """What stood around the marks: one piece more than there were marks."""

    pieces: tuple[str, ...]

    @property
    def last(self) -> str:
        """What follows the last content."""
        return self.pieces[-1]


def cut(turns: str, rendered: Rendered) -> Cut:
    """Cut at the marks. Raises UncuttableError where one is missing, twice there or elsewhere."""
    if rendered.error:
        raise UncuttableError(f"it refuses a conversation: {rendered.error}")
    letters = [letter for letter in turns.split() if letter != ">"]
    pieces: list[str] = []
    rest = rendered.text
    for at, letter in enumerate(letters):
        mark = MARKS.format(at)
        before, found, rest = rest.partition(mark)
        if not found:
            what = "the system text" if letter in "SN" else "a turn"
            raise UncuttableError(f"it leaves out {what}, or puts it elsewhere")
        pieces.append(before)
    pieces.append(rest)
    if any("\ud800" <= character <= "\udfff" for piece in pieces for character in piece):
        raise UncuttableError("it writes halves of characters")
    if any("\0" in piece for piece in pieces):
        raise UncuttableError("it writes zeros")
    if any("MARK" in piece and "TEXT" in piece for piece in pieces):
        raise UncuttableError("it writes a turn twice")
    return Cut(tuple(pieces))
