"""The programs at work on one database, each a run: what it writes is its own while it lives.

A run has a row with a heartbeat, and a lock that ends with its process. Each run looks after the
others: what a dead one left half written is put right, and what then waits for an answer is offered
to whoever serves that channel, without regard to which run found it.
"""

import asyncio
import logging
import os
import secrets
import socket
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, func, insert, select, update
from sqlalchemy.orm import aliased

from bot.background import Background
from bot.chat.messages import ChannelKey
from bot.errors import StoreError
from bot.store.connecting.connection import is_postgres
from bot.store.connecting.transactions import Transactions
from bot.store.locks import RunLocks
from bot.store.privacy.left_out import is_seen
from bot.store.tables import ChannelRow, ConversationRow, RunRow, SeenRow, TurnRow
from bot.store.turns.access import now
from bot.store.turns.replies import channels_written_in, left_running, recover
from bot.store.turns.rows import CHANNEL_COLUMNS, AnyRow, batches, channel_key

logger = logging.getLogger(__name__)

LOOK_SECONDS = 5.0  # how often a run looks after the others
BEAT_SECONDS = 15.0  # how often it says that it lives
SILENT_SECONDS = 60.0  # after which a run counts as dead, where no lock says more
WITNESS_SECONDS = 20.0  # how long we must have been awake ourselves to say so of another
OFFERED_FOR = timedelta(minutes=10)  # what has waited longer is no longer answered

OnWaiting = Callable[[ChannelKey], None]


class Run:
    """This program among those on the database."""

    def __init__(self, transactions: Transactions) -> None:
        """Call :meth:`begin` before anything else."""
        self.id = secrets.randbits(62) + 1
        self.writing: dict[int, int] = {}  # turn to the swipe that was begun here
        self.has_answered = False  # a reply was written to its end
        self._accounts: dict[str, str] = {}  # platform to who answers there
        self._on_waiting: dict[str, OnWaiting] = {}  # by account
        self._waiting: frozenset[int] = frozenset()  # turns that waited at the last look
        self._offered: frozenset[int] = frozenset()
        self._silent: dict[int, tuple[datetime, float]] = {}  # heartbeat, and when we first saw it
        self._transactions = transactions
        self._locks: RunLocks | None = None
        self._is_locked = False
        self._beat_at = 0.0
        self._wake = asyncio.Event()
        self._looking = Background("runs", lost="The other programs are no longer looked after")
        self._is_failing = False
        self._one_look = asyncio.Lock()

    def account(self, platform: str) -> str:
        """Who answers on a platform here; "" where nobody does."""
        return self._accounts.get(platform, "")

    def wake(self) -> None:
        """Look and beat now: something may have changed."""
        self._beat_at = 0.0
        self._wake.set()

    @contextmanager
    def ending(self, turn_id: int) -> Generator[None]:
        """What we write in a turn ends within. It stays ours where that could not be stored."""
        try:
            yield
        except StoreError:
            raise
        except BaseException:  # also cancelled: only what could not be stored stays ours
            self.writing.pop(turn_id, None)
            raise
        self.writing.pop(turn_id, None)

    async def begin(self, locks: RunLocks) -> None:
        """Be known to the others, and put right what dead ones left. Raises StoreError."""
        self._locks = locks
        # First the lock: a row without it would be taken for a dead run's.
        self._is_locked = await locks.keep(self.id)
        await self._transactions.write(self._register)
        self._beat_at = time.monotonic()
        await self.recover()
        self._looking.begin(self._look_again_and_again())

    async def serve(self, platform: str, account: str, on_waiting: OnWaiting) -> None:
        """Answer as an account of a platform from now on.

        What was heard and seen by nobody in particular becomes this account's.
        """
        name = f"{platform}:{account}" if account else platform
        await self._transactions.write(lambda connection: _claim(connection, platform, name))
        self._accounts[platform] = name
        self._on_waiting[name] = on_waiting

    async def look(self) -> None:
        """Say that we live, put right what dead runs left, and offer what waits."""
        async with self._one_look:
            if time.monotonic() - self._beat_at >= BEAT_SECONDS:
                await self._beat()
            await self._recover_others()
            await self._offer()

    async def recover(self) -> int:
        """Put right what dead runs left half written; returns how many replies that were."""
        async with self._one_look:
            return await self._recover_others()

    async def _recover_others(self) -> int:
        dead = await self._dead(await self._transactions.read(self._others))
        if dead:
            await self._transactions.write(lambda connection: _bury(connection, dead))
        turn_ids = await self._transactions.read(left_running)
        return await self._recover(turn_ids)

    async def close(self) -> None:
        """End: nothing of ours is being written any more. Never raises for the database."""
        await self._looking.end()
        if self._locks is None:
            return
        locks, self._locks = self._locks, None
        try:
            await self._transactions.write(
                lambda connection: connection.execute(delete(RunRow).where(RunRow.id == self.id))
            )
            await self._recover(await self._transactions.read(left_running))
        except StoreError as error:  # the next run finds that this one is dead
            logger.warning("This run could not be signed off: %s", error)
        await locks.release()

    async def _look_again_and_again(self) -> None:
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), LOOK_SECONDS)
            self._wake.clear()
            try:
                await self.look()
            except StoreError as error:  # locked or unreachable for now: it goes on
                level = logging.DEBUG if self._is_failing else logging.WARNING
                logger.log(level, "The other programs cannot be looked after: %s", error)
                self._is_failing = True
            else:
                self._is_failing = False

    async def _beat(self) -> None:
        if self._locks is not None:
            self._is_locked = await self._locks.keep(self.id)
        if not await self._transactions.write(self._note_beat):
            logger.warning(
                "Another program took this one for dead, and cut the replies that it was writing: "
                "it had been silent for too long"
            )
            await self._transactions.write(self._register)
        self._beat_at = time.monotonic()

    def _register(self, connection: Connection) -> None:
        moment = database_now(connection)
        connection.execute(
            insert(RunRow).values(
                id=self.id,
                program=f"process {os.getpid()} on {socket.gethostname()}",
                is_locked=self._is_locked,
                started_at=moment,
                seen_at=moment,
            )
        )

    def _note_beat(self, connection: Connection) -> bool:
        values = {"seen_at": database_now(connection), "is_locked": self._is_locked}
        beat = update(RunRow).where(RunRow.id == self.id).values(values)
        return connection.execute(beat).rowcount > 0

    def _others(self, connection: Connection) -> tuple[datetime, Sequence[AnyRow]]:
        runs = select(RunRow.__table__).where(RunRow.id != self.id)
        return database_now(connection), connection.execute(runs).all()

    async def _dead(self, found: tuple[datetime, Sequence[AnyRow]]) -> list[AnyRow]:
        """Those whose lock is free, and those who have been silent while we were awake."""
        moment, others = found
        locked = {run.id: run.seen_at for run in others if run.is_locked}
        freed: set[int] = set()
        if locked and self._locks is not None:
            freed = await self._locks.freed(locked)
        proves_life = self._locks is not None and self._locks.proves_life
        silent: dict[int, tuple[datetime, float]] = {}
        dead: list[AnyRow] = []
        for run in others:
            if run.id in freed:
                dead.append(run)
            elif run.is_locked and proves_life:
                continue
            elif moment - run.seen_at > timedelta(seconds=SILENT_SECONDS):
                # After a suspended machine wakes, all were silent: it counts what we have heard
                # nothing of while we were awake.
                beat, since = self._silent.get(run.id, (None, 0.0))
                since = since if beat == run.seen_at else time.monotonic()
                silent[run.id] = (run.seen_at, since)
                if time.monotonic() - since >= WITNESS_SECONDS:
                    dead.append(run)
        self._silent = silent
        return dead

    async def _recover(self, turn_ids: Sequence[int]) -> int:
        count = 0
        for turn_id in turn_ids:  # each by itself: nobody waits for channels in a circle
            count += await self._transactions.write(
                lambda connection, turn_id=turn_id: recover(connection, turn_id)
            )
        if count:
            logger.info("Replies that another run left unfinished, put right: %d", count)
        return count

    async def _offer(self) -> None:
        """Offer what has waited since the last look, each once for as long as it waits.

        Whoever heard it takes it up at once, as a rule: then nobody is told.
        """
        if not self._on_waiting:
            return
        accounts = list(self._on_waiting)
        rows = await self._transactions.read(lambda connection: _waiting(connection, accounts))
        ready = {row.turn_id: row for row in rows}
        new = [turn_id for turn_id in ready if turn_id in self._waiting - self._offered]
        self._offered = (self._offered & ready.keys()) | frozenset(new)
        self._waiting = frozenset(ready)
        told: set[tuple[str, ChannelKey]] = set()
        for turn_id in new:
            place = (ready[turn_id].heard_by, channel_key(ready[turn_id]))
            if place not in told:
                told.add(place)
                self._on_waiting[place[0]](place[1])


def database_now(connection: Connection) -> datetime:
    """This moment by the clock that all runs share: a SQLite file is one machine's."""
    if not is_postgres(connection):
        return now()
    moment = connection.scalar(select(func.clock_timestamp()))
    return moment if isinstance(moment, datetime) else now()


def _bury(connection: Connection, dead: Sequence[AnyRow]) -> None:
    """Take dead runs out of the list, unless one has said meanwhile that it lives."""
    for run in dead:
        connection.execute(delete(RunRow).where(RunRow.id == run.id, RunRow.seen_at == run.seen_at))
        logger.info("%s has ended without signing off", run.program)


def _waiting(connection: Connection, accounts: Sequence[str]) -> list[AnyRow]:
    """What these accounts are to answer where nobody is writing, oldest first."""
    rows = connection.execute(
        select(
            TurnRow.id.label("turn_id"),
            TurnRow.heard_by,
            ConversationRow.channel_id,
            *CHANNEL_COLUMNS,
        )
        .join(ConversationRow, ConversationRow.id == TurnRow.conversation_id)
        .join(ChannelRow, ChannelRow.id == ConversationRow.channel_id)
        .where(
            TurnRow.is_pending,
            TurnRow.heard_by.in_(accounts),
            is_seen(),
            TurnRow.created_at >= now() - OFFERED_FOR,
            ConversationRow.is_current,
        )
    ).all()
    busy = channels_written_in(connection) if rows else set[int]()
    free = [row for row in rows if row.channel_id not in busy]
    return sorted(free, key=lambda row: row.turn_id)


def _claim(connection: Connection, platform: str, account: str) -> None:
    """Make an account's what nobody in particular had heard and seen."""
    channels = select(ChannelRow.id).where(ChannelRow.platform == platform)
    turn_ids = connection.scalars(
        select(TurnRow.id)
        .join(ConversationRow, ConversationRow.id == TurnRow.conversation_id)
        .where(TurnRow.is_pending, TurnRow.heard_by == "", ConversationRow.channel_id.in_(channels))
    ).all()
    for piece in batches(turn_ids):
        connection.execute(update(TurnRow).where(TurnRow.id.in_(piece)).values(heard_by=account))
    own = aliased(SeenRow)
    has_own = select(own.channel_id).where(
        own.channel_id == SeenRow.channel_id, own.seen_by == account
    )
    connection.execute(
        update(SeenRow)
        .where(SeenRow.seen_by == "", SeenRow.channel_id.in_(channels), ~has_own.exists())
        .values(seen_by=account)
    )
