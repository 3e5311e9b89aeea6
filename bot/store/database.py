"""The database as the program opens it."""

import asyncio

from bot.store.connecting.connection import parse_url
from bot.store.connecting.migrate import upgrade
from bot.store.connecting.reclaiming import Reclaiming
from bot.store.connecting.transactions import Transactions, open_transactions
from bot.store.history import SqlHistory
from bot.store.limits.ledger import SqlLedger
from bot.store.locks import locks_for
from bot.store.memory.indexing import Indexing, SqlSearch
from bot.store.memory.stores import SqlFacts
from bot.store.memory.summaries import SqlSummaries
from bot.store.moderation.stores import SqlBlocks, SqlLogChannels, SqlPurges
from bot.store.personas.stores import SqlCasts, SqlLorebooks, SqlPersonas
from bot.store.privacy.exporting import SqlBelongings
from bot.store.privacy.jobs import SqlJobs
from bot.store.privacy.optouts import SqlOptOuts
from bot.store.privacy.stores import SqlAged, SqlPeople, SqlPlaces, SqlRemovals
from bot.store.runs import Run
from bot.store.scenes.stores import SqlScenes
from bot.store.settings import SqlSettings
from bot.store.words.stores import SqlWords


class Database:
    """What is stored, each part a port of the core's. Close it at the end."""

    def __init__(self, transactions: Transactions) -> None:
        """Use :meth:`open`."""
        self._transactions = transactions
        self.run = Run(transactions)
        self._reclaiming = Reclaiming(transactions, self.run)
        self.history = SqlHistory(transactions, self.run)
        self.settings = SqlSettings(transactions)
        self.personas = SqlPersonas(transactions)
        self.lorebooks = SqlLorebooks(transactions)
        self.casts = SqlCasts(transactions)
        self.facts = SqlFacts(transactions)
        self.search = SqlSearch(transactions)
        self._indexing = Indexing(self.search)
        self.summaries = SqlSummaries(transactions)
        self.scenes = SqlScenes(transactions)
        self.words = SqlWords(transactions)
        self.blocks = SqlBlocks(transactions)
        self.log_channels = SqlLogChannels(transactions)
        self.purges = SqlPurges(transactions)
        self.ledger = SqlLedger(transactions)
        self.belongings = SqlBelongings(transactions)
        self.opt_outs = SqlOptOuts(transactions, self.run)
        self.jobs = SqlJobs(transactions, self.run)
        self.people = SqlPeople(transactions)
        self.aged = SqlAged(transactions)
        self.places = SqlPlaces(transactions)
        self.removals = SqlRemovals(transactions)

    @classmethod
    async def open(cls, url: str) -> "Database":
        """Migrate, connect, and put right what dead runs left half done.

        Other programs may work on the same database meanwhile.

        Raises SettingsError for a bad address, StoreError for a database that is unreachable,
        locked, damaged or newer than this program.
        """
        await upgrade(url)
        parsed = parse_url(url)
        database = cls(await asyncio.to_thread(open_transactions, parsed))
        try:
            locks = await asyncio.to_thread(locks_for, parsed, database.run.wake)
            await database.run.begin(locks)
            database._reclaiming.begin()
            database._indexing.begin()
        except BaseException:  # also cancelled: what was opened is closed, by nobody else
            await database.close()
            raise
        return database

    async def reclaim(self) -> None:
        """Free the files at once of what was erased, else done bit by bit when nobody writes.

        Writes the whole SQLite file anew: everybody who writes waits meanwhile. PostgreSQL vacuums
        by itself. Raises StoreError, for example while another program writes.
        """
        await self._transactions.reclaim_all()

    async def close(self) -> None:
        """End this run, and close every connection. Idempotent."""
        await self._indexing.close()
        await self._reclaiming.close()
        await self.run.close()
        await self._transactions.close()
