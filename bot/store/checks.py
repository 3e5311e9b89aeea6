"""`python -m bot db check`: is the database whole? Changes nothing."""

import asyncio
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial

from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, func, select, text
from sqlalchemy.orm import aliased

from bot.errors import StoreError
from bot.invocation import command
from bot.store.connecting.connection import is_sqlite, parse_url, run_once, sqlite_file
from bot.store.connecting.faults import PUT_BACK, check_first
from bot.store.connecting.migrate import newest_revision, read_chain, stored_revision
from bot.store.personas.tables import PersonaRow, PersonaVersionRow
from bot.store.tables import SwipeRow, TurnRow

PROBLEMS_SHOWN = 20


class ProblemKind(Enum):
    """What a problem asks for."""

    NOT_MADE = auto()  # nothing: the first start makes it
    OUTDATED = auto()  # nothing: the next start brings it to this version
    BROKEN = auto()  # a person


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a database, and what to do."""

    text: str
    kind: ProblemKind = ProblemKind.BROKEN

    def __str__(self) -> str:
        return self.text


async def check(url: str) -> list[Problem]:
    """What is wrong; [] when all is well.

    Raises SettingsError for a bad address.
    """
    return await asyncio.to_thread(_check, parse_url(url))


def _check(url: URL) -> list[Problem]:
    if is_sqlite(url) and not sqlite_file(url).is_file():
        what = f"There is no database at {url.database}. It is made at the first start, or by"
        return [Problem(f"{what} {command('db upgrade')}.", ProblemKind.NOT_MADE)]
    try:
        return run_once(url, partial(_problems, url=url, chain=read_chain()))
    except StoreError as error:
        advice = PUT_BACK if error.fix == check_first() else error.fix  # this is that check
        return [Problem(f"{error.message} {advice}".strip())]


def _problems(connection: Connection, *, url: URL, chain: ScriptDirectory) -> list[Problem]:
    problems = _damage(connection) if is_sqlite(url) else []
    if problems:
        return problems
    revision = stored_revision(connection, url, chain)
    if revision is None:
        what = f"The database is empty. Run {command('db upgrade')}, or start the bot."
        return [Problem(what, ProblemKind.OUTDATED)]
    if revision != (newest := newest_revision(chain)):
        what = f"The database is at revision {revision}, this program wants {newest}."
        what = f"{what} Run {command('db upgrade')}, or start the bot."
        return [Problem(what, ProblemKind.OUTDATED)]
    return _contradictions(connection)


def _damage(connection: Connection) -> list[Problem]:
    """What SQLite itself finds."""
    found = connection.execute(text(f"PRAGMA integrity_check({PROBLEMS_SHOWN})"))
    problems = [
        Problem(f"SQLite finds damage: {row[0]}. {PUT_BACK}") for row in found if row[0] != "ok"
    ]
    if problems:
        return problems
    found = connection.execute(text("PRAGMA foreign_key_check"))
    return [
        Problem(
            f"Row {row[1]} of «{row[0]}» refers to a row of «{row[2]}» that is not there. "
            f"{PUT_BACK}"
        )
        for row in found.fetchmany(PROBLEMS_SHOWN)
    ]


def _contradictions(connection: Connection) -> list[Problem]:
    """What no database notices, because only we know what the rows mean."""
    problems: list[Problem] = []
    shown = select(SwipeRow.id).where(
        SwipeRow.turn_id == TurnRow.id, SwipeRow.position == TurnRow.active_swipe
    )
    headless = connection.scalar(select(func.count()).where(TurnRow.role == "bot", ~shown.exists()))
    if headless:
        problems.append(Problem(f"{headless} replies have no text to show. {PUT_BACK}"))
    text_now = select(PersonaVersionRow.id).where(
        PersonaVersionRow.persona_id == PersonaRow.id,
        PersonaVersionRow.version == PersonaRow.version,
    )
    mute = connection.scalar(select(func.count(PersonaRow.id)).where(~text_now.exists()))
    if mute:
        problems.append(Problem(f"{mute} personas of servers have no text. {PUT_BACK}"))
    answer = aliased(TurnRow)
    crossed = connection.scalar(
        select(func.count())
        .select_from(TurnRow)
        .join(answer, TurnRow.answered_by == answer.id)
        .where(answer.role != "bot")
    )
    if crossed:
        problems.append(Problem(f"{crossed} messages are answered by what is no reply. {PUT_BACK}"))
    return problems
