"""Work that a kill may interrupt: what is kept of it, and the port that keeps it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol


class JobKind(StrEnum):
    """What a job does."""

    FORGET = "forget"  # erases what is kept of a person
    RETENTION = "retention"  # erases what has grown old, every night
    LEFT_GUILD = "left guild"  # erases what is kept of a guild that was left
    LOST_CHANNEL = "lost channel"  # erases what is kept of a channel that was deleted


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job as somebody wants it. Of those with one kind, platform, subject and guild, one is kept.

    `subject` is the id of whom or what it is about, `guild_id` says within which guild ("":
    everywhere), `place` is a person's own direct channel, where that is known.
    """

    kind: JobKind
    platform: str
    due_at: datetime
    subject: str = ""
    guild_id: str = ""
    place: str = ""


@dataclass(frozen=True, slots=True)
class Job(NewJob):
    """A job that is kept. `reached` is how far it has come, in its kind's own numbers."""

    job_id: int = 0
    reached: int = 0


class JobStore(Protocol):
    """Keeps jobs. Each method is one transaction: durable when it returns."""

    async def add(self, job: NewJob, *, take: bool = False) -> Job:
        """Keep a job, or return the same one that is kept already, due when the earlier one is.

        `take` makes it this program's, unless another one is at it.
        """
        ...

    async def take_due(self, now: datetime) -> Job | None:
        """The job that has been due longest and that nobody does; this program does it now.

        What a program was at that is no longer there, nobody does.
        """
        ...

    async def reach(self, job_id: int, reached: int) -> bool:
        """Note how far a job has come. False where it is not this program's (any more)."""
        ...

    async def put_off(self, job_id: int, due_at: datetime, *, afresh: bool = False) -> bool:
        """Let it wait until then; `afresh`: it begins anew then.

        False, and nothing is changed, where it is not this program's (any more).
        """
        ...

    async def done(self, job_id: int) -> bool:
        """It is done: nothing is kept of it. False where it is not this program's (any more)."""
        ...

    async def call_off(self, kind: JobKind, platform: str, subjects: Sequence[str]) -> list[str]:
        """Keep these jobs no longer; returns the subjects of those that there were."""
        ...

    async def subjects(self, kind: JobKind, platform: str) -> list[str]:
        """What there are jobs of a kind about."""
        ...

    async def is_kept(self, job_id: int) -> bool:
        """Whether it is not done yet."""
        ...

    async def settle(self) -> None:
        """Wait until what was erased is out of the database's files, as far as that is ours."""
        ...
