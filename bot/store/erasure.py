"""Deleted is gone from the file too, not only from its tables. SQLite alone; PostgreSQL vacuums.

`secure_delete` overwrites a deleted row where it stood, and the log is cut after each deletion. But
when SQLite moves rows between pages, it leaves older copies in the pages' gaps. So the database
remembers that something was erased, and the next start writes the whole file anew.
"""

import logging
import sqlite3
from contextlib import closing

from sqlalchemy import URL, Connection

from bot.store.connection import BUSY_TIMEOUT_SECONDS, is_sqlite, sqlite_file

logger = logging.getLogger(__name__)

CLEAN = 0
TRACES = 1  # PRAGMA user_version, which SQLite leaves to the program


def note_traces(connection: Connection) -> None:
    """Remember, in the transaction that erases, that there may be traces now."""
    connection.exec_driver_sql(f"PRAGMA user_version = {TRACES}")


def remove_traces(url: URL) -> None:
    """Write the file anew if anything was erased since. Blocks: for a thread, at start."""
    if not is_sqlite(url):
        return
    file = sqlite_file(url)
    try:
        with closing(
            sqlite3.connect(file, timeout=BUSY_TIMEOUT_SECONDS, isolation_level=None)
        ) as connection:
            (state,) = connection.execute("PRAGMA user_version").fetchone()
            if state != TRACES:
                return
            logger.info("writing the database anew, without traces of what was deleted")
            connection.execute("PRAGMA secure_delete = ON")
            connection.execute("VACUUM")
            connection.execute(f"PRAGMA user_version = {CLEAN}")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    except sqlite3.Error as error:  # a full disk, another program: the next start tries again
        logger.warning("traces of deleted messages stay in %s for now: %s", file, error)
