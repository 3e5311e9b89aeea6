"""`python -m bot db check`: is the database whole? Changes nothing."""

import asyncio
from functools import partial

from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, func, select, text
from sqlalchemy.orm import aliased

from bot.errors import StoreError
from bot.store.connection import is_sqlite, parse_url, run_once, sqlite_file
from bot.store.migrate import newest_revision, read_chain, stored_revision
from bot.store.tables import SwipeRow, TurnRow

PROBLEMS_SHOWN = 20


async def check(url: str) -> list[str]:
    """What is wrong, one line each with its mend; [] when all is well.

    Raises SettingsError for a bad address.
    """
    return await asyncio.to_thread(_check, parse_url(url))


def _check(url: URL) -> list[str]:
    if is_sqlite(url) and not sqlite_file(url).is_file():
        what = f"There is no database at {url.database}."
        return [f"{what} It is made at the first start, or by `python -m bot db upgrade`."]
    try:
        return run_once(url, partial(_problems, url=url, chain=read_chain()))
    except StoreError as error:
        return [str(error)]


def _problems(connection: Connection, *, url: URL, chain: ScriptDirectory) -> list[str]:
    problems = _damage(connection) if is_sqlite(url) else []
    if problems:
        return problems
    revision = stored_revision(connection, url, chain)
    if revision is None:
        return ["The database is empty. Run `python -m bot db upgrade`."]
    if revision != (newest := newest_revision(chain)):
        what = f"The database is at revision {revision}, this program wants {newest}."
        return [f"{what} Run `python -m bot db upgrade`, or start the bot."]
    return _contradictions(connection)


def _damage(connection: Connection) -> list[str]:
    """What SQLite itself finds."""
    found = connection.execute(text(f"PRAGMA integrity_check({PROBLEMS_SHOWN})"))
    problems = [
        f"SQLite finds damage: {row[0]}. Put back a backup." for row in found if row[0] != "ok"
    ]
    if problems:
        return problems
    found = connection.execute(text("PRAGMA foreign_key_check"))
    return [
        f"Row {row[1]} of «{row[0]}» refers to a row of «{row[2]}» that is not there. "
        "Put back a backup."
        for row in found.fetchmany(PROBLEMS_SHOWN)
    ]


def _contradictions(connection: Connection) -> list[str]:
    """What no database notices, because only we know what the rows mean."""
    problems: list[str] = []
    shown = select(SwipeRow.id).where(
        SwipeRow.turn_id == TurnRow.id, SwipeRow.position == TurnRow.active_swipe
    )
    headless = connection.scalar(select(func.count()).where(TurnRow.role == "bot", ~shown.exists()))
    if headless:
        problems.append(f"{headless} replies have no text to show. Put back a backup.")
    answer = aliased(TurnRow)
    crossed = connection.scalar(
        select(func.count())
        .select_from(TurnRow)
        .join(answer, TurnRow.answered_by == answer.id)
        .where(answer.role != "bot")
    )
    if crossed:
        problems.append(f"{crossed} messages are answered by what is no reply. Put back a backup.")
    return problems
