"""One row a key, whoever else writes it at the same moment."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql, sqlite

from bot.store.tables import Base
from bot.store.turns.access import is_postgres


def put_row(
    connection: Connection, rows: type[Base], key: Mapping[str, Any], values: Mapping[str, Any]
) -> None:
    """Write a row, in place of the one that has its key."""
    dialect = postgresql if is_postgres(connection) else sqlite
    connection.execute(
        dialect.insert(rows)
        .values(**key, **values)
        .on_conflict_do_update(index_elements=list(key), set_=dict(values))
    )


def add_row(connection: Connection, rows: type[Base], values: Mapping[str, Any]) -> bool:
    """Write a row unless there is one with its key. Whether it was written."""
    dialect = postgresql if is_postgres(connection) else sqlite
    written = connection.execute(dialect.insert(rows).values(**values).on_conflict_do_nothing())
    return written.rowcount > 0
