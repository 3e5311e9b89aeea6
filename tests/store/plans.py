"""How a database would find the rows that a function of the store asks for."""

import re
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, event

from bot.store.connecting.transactions import Transactions

_ASKS = ("SELECT", "UPDATE", "DELETE", "WITH")


async def tables_read_whole(
    transactions: Transactions, work: Callable[[Connection], object]
) -> set[str]:
    """The tables of which some statement of `work` goes through every row."""

    def plan(connection: Connection) -> set[str]:
        asked: list[tuple[str, Any]] = []

        def note(
            _connection: object, _cursor: object, statement: str, values: Any, *_: Any
        ) -> None:
            if statement.lstrip().startswith(_ASKS):
                asked.append((statement, values))

        event.listen(connection, "before_cursor_execute", note)
        try:
            work(connection)
        finally:
            event.remove(connection, "before_cursor_execute", note)
        explain = _whole_on_sqlite if connection.dialect.name == "sqlite" else _whole_on_postgres
        return {
            table for statement, values in asked for table in explain(connection, statement, values)
        }

    return await transactions.write(plan)


def _whole_on_sqlite(connection: Connection, statement: str, values: Any) -> set[str]:
    """A search for all numbers below one reads as much."""
    rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
    plan = "\n".join(row[3] for row in rows)
    through = (
        r"^(?:SCAN (\w+)(?! CONST| USING INDEX ix_swipes_running| USING INDEX ix_turns_pending)"
    )
    through += r"|SEARCH (\w+) USING INTEGER PRIMARY KEY \(rowid<\?\))"
    tables = {alias: table for table, alias in re.findall(r"\b(\w+) AS (\w+)", statement)}
    names = {scan or search for scan, search in re.findall(through, plan, re.MULTILINE)}
    return {tables.get(name, name) for name in names}


def _whole_on_postgres(connection: Connection, statement: str, values: Any) -> set[str]:
    """Few rows are read one by one whatever indexes there are, unless it is to shun that."""
    connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
    rows = connection.exec_driver_sql(f"EXPLAIN {statement}", values)
    return set(re.findall(r"Seq Scan on (\w+)", "\n".join(row[0] for row in rows)))
