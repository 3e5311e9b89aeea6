"""The database as the program opens it."""

import asyncio
import logging

from bot.store.connection import parse_url
from bot.store.erasure import remove_traces
from bot.store.history import SqlHistory
from bot.store.migrate import upgrade
from bot.store.settings import SqlSettings
from bot.store.transactions import Transactions, open_transactions

logger = logging.getLogger(__name__)


class Database:
    """What is stored: `history` and `settings` are the core's ports. Close it at the end."""

    def __init__(self, transactions: Transactions) -> None:
        """Use :meth:`open`."""
        self._transactions = transactions
        self.history = SqlHistory(transactions)
        self.settings = SqlSettings(transactions)

    @classmethod
    async def open(cls, url: str) -> "Database":
        """Migrate, connect, and mend what a crash left half done.

        Raises SettingsError for a bad address, StoreError for a database that is unreachable,
        locked, damaged or newer than this program.
        """
        await upgrade(url)
        parsed = parse_url(url)
        await asyncio.to_thread(remove_traces, parsed)
        database = cls(await asyncio.to_thread(open_transactions, parsed))
        try:
            mended = await database.history.recover()
        except BaseException:
            await database.close()
            raise
        if mended:
            logger.info("Mended %d replies that the last run left unfinished", mended)
        return database

    async def close(self) -> None:
        """Close every connection. Idempotent."""
        await self._transactions.close()
