"""What `doctor` finds: a line each, and the fix."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from bot.errors import CaduceusError, UserError
from bot.invocation import command

SUBJECT_CHARACTERS = 11


class Grade(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"  # works, but not as it could
    FAIL = "fail"  # the person has something to fix
    FAULT = "fault"  # a fault of ours, or of a machine that answers


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    grade: Grade
    subject: str
    text: str
    fix: str = ""

    def __str__(self) -> str:
        said = " ".join(part for part in (self.text, self.fix) if part)
        return f"{self.grade:<5} {self.subject:<{SUBJECT_CHARACTERS}} {plain(said)}"


def from_error(subject: str, error: CaduceusError) -> Finding:
    """An error as a finding."""
    grade = Grade.FAIL if isinstance(error, UserError) else Grade.FAULT
    return Finding(grade, subject, error.message, error.fix)


def exit_code(findings: Sequence[Finding]) -> int:
    """0 when all works, 2 when the person has something to fix, else 1."""
    grades = {finding.grade for finding in findings}
    if Grade.FAIL in grades:
        return 2
    return 1 if Grade.FAULT in grades else 0


def better_model() -> str:
    """What is to be known of the embedded model, and what to do."""
    return f"It is a toy for trying out: {command('model suggest')} lists models that fit here."


def plain(text: str) -> str:
    """One line without control characters: guilds and servers choose their own names."""
    return "".join(c if c.isprintable() else " " for c in text)
