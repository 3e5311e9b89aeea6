"""One row a key, whoever else writes it at the same moment. Both dialects say it in the same words.

A plain insert after a look fails where another program has made the row in between.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection
from sqlalchemy.dialects import postgresql, sqlite

from bot.store.connecting.connection import is_postgres
from bot.store.tables import Base


def put_row(
    connection: Connection, rows: type[Base], key: Mapping[str, Any], values: Mapping[str, Any]
) -> None:
    """Write a row, in place of the one that has its key."""
    inserted = _insert(connection, rows, {**key, **values})
    connection.execute(inserted.on_conflict_do_update(index_elements=list(key), set_=dict(values)))


def add_row(connection: Connection, rows: type[Base], values: Mapping[str, Any]) -> bool:
    """Write a row unless there is one with its key. Whether it was written."""
    inserted = _insert(connection, rows, values).on_conflict_do_nothing()
    return connection.execute(inserted).rowcount > 0


def count_up(
    connection: Connection, rows: type[Base], key: Mapping[str, Any], column: str, count: int
) -> None:
    """Add to a number of the row that has its key, or begin with it."""
    inserted = _insert(connection, rows, {**key, column: count})
    there: ColumnElement[int] = rows.__table__.c[column]
    connection.execute(
        inserted.on_conflict_do_update(
            index_elements=list(key), set_={column: there + inserted.excluded[column]}
        )
    )


def _insert(
    connection: Connection, rows: type[Base], values: Mapping[str, Any]
) -> postgresql.Insert | sqlite.Insert:
    dialect = postgresql if is_postgres(connection) else sqlite
    return dialect.insert(rows).values(**values)
