"""The database's own errors, translated once into words for people."""

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager

from sqlalchemy import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from bot.errors import StoreError
from bot.invocation import command


def _driver_errors() -> tuple[type[Exception], ...]:
    """What drivers raise past SQLAlchemy: asyncpg does while it connects."""
    try:
        from asyncpg import InterfaceError, PostgresError
    except ModuleNotFoundError:  # the extra `postgres` is not installed
        return (sqlite3.Error,)
    return (sqlite3.Error, PostgresError, InterfaceError)


DRIVER_ERRORS = _driver_errors()

PUT_BACK = "Put back a backup."
_CHECK = "check"  # stands for `check_first`, which says how the command is called here
SQLITE_FAULTS = {
    "SQLITE_BUSY": ("is locked by another program.", "Close what else has it open, and try again."),
    "SQLITE_LOCKED": ("is locked.", "Close what else has it open, and try again."),
    "SQLITE_CORRUPT": ("is damaged.", _CHECK),
    "SQLITE_NOTADB": ("is not a SQLite database, or is damaged.", _CHECK),
    "SQLITE_FULL": ("cannot grow: the disk is full.", "Make room, then start again."),
    "SQLITE_READONLY": ("cannot be written.", "Give this user the right to write it."),
    "SQLITE_CANTOPEN": ("cannot be opened.", "Check its folder and its rights."),
    "SQLITE_PERM": ("cannot be opened.", "Check its folder and its rights."),
    "SQLITE_IOERR": ("cannot be read or written: the disk reports a fault.", _CHECK),
}


def check_first() -> str:
    """What to do where the database may be damaged."""
    return f"Run {command('db check')}; if it is damaged, put back a backup."


@contextmanager
def translated(url: URL) -> Generator[None]:
    """Turn what a database or its driver raises into StoreError."""
    try:
        yield
    except (DBAPIError, PoolTimeout, OSError, *DRIVER_ERRORS) as error:
        raise explain(url, error) from error


def explain(url: URL, error: Exception) -> StoreError:
    """What happened, and what to do."""
    cause: BaseException = error
    while isinstance(cause, DBAPIError) and cause.orig is not None:
        cause = cause.orig
    if url.get_backend_name() == "sqlite":
        return _explain_sqlite(url, cause)
    return _explain_postgres(url, cause)


def _explain_sqlite(url: URL, cause: BaseException) -> StoreError:
    name = getattr(cause, "sqlite_errorname", "") or ""
    # Extended names, such as SQLITE_IOERR_READ, begin with the plain one.
    for fault, (what, fix) in SQLITE_FAULTS.items():
        if name.startswith(fault):
            return StoreError(
                f"The database {url.database} {what}", check_first() if fix == _CHECK else fix
            )
    if isinstance(cause, OSError):
        reason = cause.strerror or str(cause)
        return StoreError(
            f"The database {url.database} cannot be opened: {reason}.",
            "Check DATA_DIR or DATABASE_URL, and the folder's rights.",
        )
    return StoreError(f"The database {url.database} failed: {cause}.", check_first())


def _explain_postgres(url: URL, cause: BaseException) -> StoreError:
    where = url.set(password=None).render_as_string()
    # asyncpg wraps the server's error, SQLAlchemy wraps asyncpg's: the innermost knows the state.
    state = getattr(cause, "sqlstate", "") or getattr(cause.__cause__, "sqlstate", "") or ""
    if isinstance(cause, OSError | PoolTimeout) or state.startswith(("08", "57P")):
        return StoreError(
            f"The database server of {where} does not answer.",
            "Check that it runs, and DATABASE_URL.",
        )
    if state.startswith("28"):
        return StoreError(
            f"The database server refused to let us in at {where}.", "Check DATABASE_URL."
        )
    if state == "3D000":
        return StoreError(f"There is no database at {where}.", "Create it, or check DATABASE_URL.")
    if state.startswith("53"):
        return StoreError(
            f"The database server of {where} has no room or connections left.", "Look at its log."
        )
    reason = str(cause).splitlines()[0] if str(cause) else type(cause).__name__
    return StoreError(f"The database {where} failed: {reason}.", "Look at the server's log.")
