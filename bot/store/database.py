"""The database as the program opens it."""

import asyncio

from bot.store.connection import parse_url
from bot.store.erasure import remove_traces
from bot.store.history import SqlHistory
from bot.store.locks import locks_for
from bot.store.migrate import upgrade
from bot.store.runs import Run
from bot.store.settings import SqlSettings
from bot.store.transactions import Transactions, open_transactions


class Database:
    """What is stored: `history` and `settings` are the core's ports. Close it at the end."""

    def __init__(self, transactions: Transactions) -> None:
        """Use :meth:`open`."""
        self._transactions = transactions
        self.run = Run(transactions)
        self.history = SqlHistory(transactions, self.run)
        self.settings = SqlSettings(transactions)

    @classmethod
    async def open(cls, url: str) -> "Database":
        """Migrate, connect, and put right what dead runs left half done.

        Other programs may work on the same database meanwhile.

        Raises SettingsError for a bad address, StoreError for a database that is unreachable,
        locked, damaged or newer than this program.
        """
        await upgrade(url)
        parsed = parse_url(url)
        await asyncio.to_thread(remove_traces, parsed)
        database = cls(await asyncio.to_thread(open_transactions, parsed))
        try:
            locks = await asyncio.to_thread(locks_for, parsed, database.run.wake)
            await database.run.begin(locks)
        except BaseException:
            await database.close()
            raise
        return database

    async def close(self) -> None:
        """End this run, and close every connection. Idempotent."""
        await self.run.close()
        await self._transactions.close()
