"""The store that ships, on SQLite in memory and without threads.

Each transaction is done in one turn of the loop, after one turn given to others. So a test says
itself, by counting turns, what happens between which transactions, and sees it again next time.
"""

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Callable
from functools import cache
from typing import TypeVar

from blockbuster import BlockBuster
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import NullPool

from bot.store.database import Database
from bot.store.tables import Base

T = TypeVar("T")


@cache
def _engine() -> Engine:
    """One for all databases: each connection is an empty one of its own, the statements' texts
    are made once.
    """
    engine = create_engine(
        "sqlite+pysqlite://",
        poolclass=NullPool,
        pool_reset_on_return=None,  # a test that ends just drops it
    )
    with engine.connect() as connection:
        Base.metadata.create_all(connection)
        empty: bytes = _driver(connection).serialize()

    @event.listens_for(engine, "connect")
    def fill(driver: sqlite3.Connection, _record: object) -> None:
        driver.deserialize(empty)
        driver.execute("PRAGMA foreign_keys = ON")

    return engine


def _driver(connection: Connection) -> sqlite3.Connection:
    return connection.connection.driver_connection  # type: ignore[return-value]


class TransactionsAtOnce:
    """As `bot.store.connecting.transactions` has them, one after another, on the loop itself."""

    def __init__(self) -> None:
        self._connection = _engine().connect()

    def look(self, work: Callable[[Connection], T]) -> T:
        """Do `work` now."""
        with self._connection.begin():
            return work(self._connection)

    async def read(self, work: Callable[[Connection], T]) -> T:
        await asyncio.sleep(0)
        return self.look(work)

    async def write(self, work: Callable[[Connection], T], *, erases: bool = False) -> T:
        await asyncio.sleep(0)
        return self.look(work)

    async def close(self) -> None:
        self._connection.close()


class CountedTransactions(TransactionsAtOnce):
    """Counts the transactions."""

    def __init__(self) -> None:
        super().__init__()
        self.count: Counter[str] = Counter()

    async def read(self, work: Callable[[Connection], T]) -> T:
        self.count["reads"] += 1
        return await super().read(work)

    async def write(self, work: Callable[[Connection], T], *, erases: bool = False) -> T:
        self.count["writes"] += 1
        return await super().write(work, erases=erases)


class DatabaseAtOnce(Database):
    """An empty database of its own."""

    def __init__(self) -> None:
        self.transactions = TransactionsAtOnce()
        super().__init__(self.transactions)


def allow(loop_guard: BlockBuster) -> None:
    """Let this module's databases work on the loop."""
    for function in loop_guard.functions.values():
        function.can_block_in(__file__, {"look", "__init__"})
