"""The texts of SQL statements, made once a process.

SQLAlchemy keeps what it compiled per engine, or rather per `Dialect` object, and we have three
engines for a SQLite file: one writes, one reads, one maintains. To write a statement's text takes
several times as long as to run it.
"""

from typing import Any, TypeAlias

from sqlalchemy import Dialect
from sqlalchemy.util import LRUCache

MOST_STATEMENTS = 1000  # we have some hundreds of shapes; past it the longest unused go

# As `ClauseElement._compile_w_cache` makes it: the dialect, what is said, which columns and so on.
Key: TypeAlias = tuple[Any, ...]


class SharedStatements(LRUCache[Key, Any]):
    """Finds a compiled statement by its kind of database instead of by its engine's dialect.

    For the execution option `compiled_cache`. Engines whose dialects were configured unlike each
    other (paramstyle, JSON functions and the like) must not share one.
    """

    __slots__ = ()

    def get(self, key: Key, default: Any = None) -> Any:
        """The compiled statement, or `default`."""
        return super().get(_of_kind(key), default)

    def __getitem__(self, key: Key) -> Any:
        """The compiled statement, or KeyError."""
        return super().__getitem__(_of_kind(key))

    def __setitem__(self, key: Key, value: Any) -> None:
        """Keep a compiled statement."""
        super().__setitem__(_of_kind(key), value)


def _of_kind(key: Key) -> Key:
    dialect, *rest = key
    if not isinstance(dialect, Dialect):
        return key
    return (type(dialect), dialect.server_version_info, *rest)


STATEMENTS = SharedStatements(MOST_STATEMENTS)
