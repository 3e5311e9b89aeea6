"""Deleted is gone from the file too, not only from its tables. SQLite alone; PostgreSQL vacuums.

`secure_delete` overwrites a deleted row where it stood, and the log is cut after each deletion. But
when SQLite moves rows between pages, it leaves older copies in the pages' gaps. They go with their
page: one that becomes empty is overwritten whole. So, where something was erased, all rows are
taken out and put back, a few hundred at a time, which empties the pages that they stood in. A page
at the edge of such a piece keeps a row of the next; a second pass, with other edges, has it in the
middle of one. Indexes of anything but numbers are written anew one by one.

What turns are found by (`turn_search`, FTS5) marks what is deleted, and drops it when it merges its
pieces: a pass ends in merging them all. It never held any text.

How far it has come is kept, so that a restart goes on. `VACUUM` does the same at once, and holds
up every writer meanwhile.
"""

from collections.abc import Iterator

from sqlalchemy import Connection

ROWS_A_STEP = 200
LARGE_ROWS_A_STEP = 2  # of tables whose rows have up to 8 MiB
LARGE = ("guild_persona_versions", "guild_persona_files", "lorebooks")
SEARCH = "turn_search"
PAGES_A_STEP = 100  # that FTS5 merges, of 4 KiB
CLEAN = 0  # PRAGMA user_version, which SQLite leaves to the program: two bits
TRACES = 1  # something was erased since the last pass began
PASSING = 2  # a pass is under way


def note_traces(connection: Connection) -> None:
    """Remember, in the transaction that erases, that there may be traces now."""
    _set_state(connection, _state(connection) | TRACES)


def has_traces(connection: Connection) -> bool:
    """Whether something is left to reclaim."""
    return _state(connection) != CLEAN


def is_passing(connection: Connection) -> bool:
    """Whether a pass has begun and not ended."""
    return bool(_state(connection) & PASSING)


def begin_pass(connection: Connection) -> None:
    """From here on, what is erased is the next pass's."""
    connection.exec_driver_sql("DELETE FROM reclaiming")
    _set_state(connection, PASSING)


def end_pass(connection: Connection) -> None:
    """All that was erased before the pass began is gone."""
    connection.exec_driver_sql("DELETE FROM reclaiming")
    _set_state(connection, _state(connection) & TRACES)


def reclaim_step(connection: Connection) -> bool:
    """A small part of a pass, in one transaction without foreign keys. Whether there is more."""
    state = _state(connection)
    if state == CLEAN:
        return False
    if not state & PASSING:
        begin_pass(connection)
    stages = list(_stages(connection))
    row = connection.exec_driver_sql("SELECT stage, after_row FROM reclaiming").first()
    stage, after = (row.stage, row.after_row) if row else (stages[0], 0)
    if stage not in stages:  # of an older version's tables
        stage, after = stages[0], 0
    kind, name = stage.split(" ", 1)
    if kind == "merge":
        reached = _merge(connection, after)
    elif kind == "index":
        connection.exec_driver_sql(f"REINDEX {_quoted(name)}")
        reached = None
    else:
        # The second pass is half a piece ahead of the first.
        rows = LARGE_ROWS_A_STEP if name in LARGE else ROWS_A_STEP
        rows = rows // 2 if kind == "again" and not after else rows
        reached = _put_back(connection, name, after, rows)
    if reached is None:
        following = stages.index(stage) + 1
        if following == len(stages):
            end_pass(connection)
            return _state(connection) != CLEAN
        stage, reached = stages[following], 0
    connection.exec_driver_sql("DELETE FROM reclaiming")
    connection.exec_driver_sql(
        "INSERT INTO reclaiming (stage, after_row) VALUES (?, ?)", (stage, reached)
    )
    return True


def _stages(connection: Connection) -> Iterator[str]:
    """What a pass goes through, in order."""
    found = connection.exec_driver_sql(
        "SELECT type, name FROM sqlite_schema WHERE rootpage > 0"
        " AND (type = 'index' OR name NOT LIKE 'sqlite\\_%' ESCAPE '\\') ORDER BY name"
    ).all()
    tables = [row.name for row in found if row.type == "table" and row.name != "reclaiming"]
    # Of the search's own tables, one holds rows as others do.
    own = [name for name in tables if name.startswith(f"{SEARCH}_")]
    tables = [name for name in tables if name not in own or name == f"{SEARCH}_content"]
    for kind in ("rows", "again"):
        yield from (f"{kind} {name}" for name in tables)
    for row in found:
        if row.type == "index" and _holds_text(connection, row.name):
            yield f"index {row.name}"
    if own:
        yield f"merge {SEARCH}"


def _merge(connection: Connection, before: int) -> int | None:
    """Merge a little of what turns are found by; None once all of it is one piece."""
    driver = connection.connection.dbapi_connection
    changed = 0 if driver is None else driver.total_changes
    pages = PAGES_A_STEP if before else -PAGES_A_STEP  # below 0, all pieces are to become one
    merge = f"INSERT INTO {SEARCH} ({SEARCH}, rank) VALUES ('merge', ?)"  # noqa: S608 - ours
    connection.exec_driver_sql(merge, (pages,))
    # FTS5 says by a change alone that it has done nothing more.
    is_done = driver is None or driver.total_changes - changed < 2
    return None if is_done else before + 1


def _holds_text(connection: Connection, index: str) -> bool:
    """Whether an index has anything but our own numbers in it."""
    return bool(
        connection.exec_driver_sql(
            "SELECT 1 FROM sqlite_schema AS i, pragma_index_info(i.name) AS part"
            " JOIN pragma_table_info(i.tbl_name) AS c ON c.name = part.name"
            " WHERE i.name = ? AND c.type NOT IN ('INTEGER', 'BIGINT', 'BOOLEAN') LIMIT 1",
            (index,),
        ).first()
    )


def _put_back(connection: Connection, table: str, after: int, count: int) -> int | None:
    """Take some rows out and put them back as they were; the last one, None at the table's end."""
    columns = [
        row.name for row in connection.exec_driver_sql(f"PRAGMA table_info({_quoted(table)})")
    ]
    names = ", ".join(map(_quoted, ["rowid", *columns]))
    where = _quoted(table)
    # The names are those of our own tables.
    chosen = f"SELECT {names} FROM {where} WHERE rowid > ? ORDER BY rowid LIMIT ?"  # noqa: S608
    rows = connection.exec_driver_sql(chosen, (after, count)).all()
    if not rows:
        return None
    last: int = rows[-1][0]
    piece = f"DELETE FROM {where} WHERE rowid > ? AND rowid <= ?"  # noqa: S608
    connection.exec_driver_sql(piece, (after, last))
    places = ", ".join("?" * (len(columns) + 1))
    back = f"INSERT INTO {where} ({names}) VALUES ({places})"  # noqa: S608
    connection.exec_driver_sql(back, [tuple(row) for row in rows])
    return last if len(rows) == count else None


def _state(connection: Connection) -> int:
    return connection.exec_driver_sql("PRAGMA user_version").scalar_one()


def _set_state(connection: Connection, state: int) -> None:
    connection.exec_driver_sql(f"PRAGMA user_version = {state}")


def _quoted(name: str) -> str:
    doubled = name.replace('"', '""')
    return f'"{doubled}"'
