"""Opting out and in again: :class:`bot.chat.privacy.ports.OptOuts` on SQL."""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    delete,
    exists,
    or_,
    select,
    union,
    update,
)

from bot.chat.messages import ChannelKey
from bot.store.connecting.binding import OnTransactions, reads, writes
from bot.store.connecting.transactions import Transactions
from bot.store.memory.staleness import forget_written_about
from bot.store.privacy.left_out import OptOutRow, is_left_out, opted_out
from bot.store.runs import Run
from bot.store.tables import (
    AskerRow,
    ChannelRow,
    ConversationRow,
    DerivedFromRow,
    DerivedRow,
    SummarySectionRow,
    TurnRow,
)
from bot.store.turns.access import lock_channels, now, take_turn
from bot.store.turns.rows import CHANNEL_COLUMNS, batches, channel_key
from bot.store.turns.swipes import take_out_swipe, turns_written
from bot.store.upserting import add_row


def among(connection: Connection, platform: str, speaker_ids: Collection[str]) -> frozenset[str]:
    """Those of some people who have opted out. Their ids are of no other platform."""
    return opted_out(connection, speaker_ids) if platform else frozenset()


def since(connection: Connection, platform: str, speaker_id: str) -> datetime | None:
    """Since when somebody has opted out."""
    return connection.scalar(select(OptOutRow.since).where(_is(platform, speaker_id)))


def opt_out(connection: Connection, platform: str, speaker_id: str) -> Sequence[ChannelKey] | None:
    """Leave somebody out. The channels where something of theirs stands; None if it was so."""
    values = {"platform": platform, "speaker_id": speaker_id, "since": now()}
    if not add_row(connection, OptOutRow, values):
        return None
    places = _take_places(connection, platform, speaker_id)
    by_hand = (
        select(DerivedRow.conversation_id)
        .join(SummarySectionRow, SummarySectionRow.derived_id == DerivedRow.id)
        .where(SummarySectionRow.by_hand)
    )
    told = select(TurnRow.id).where(
        TurnRow.speaker_id == speaker_id, TurnRow.conversation_id.in_(by_hand)
    )
    forget_written_about(connection, connection.scalars(told).all())
    _make_anew(connection, speaker_id)
    _answer_no_more(connection, speaker_id)
    return list(places)


def opt_in(connection: Connection, platform: str, speaker_id: str) -> Sequence[ChannelKey] | None:
    """Hear somebody again. The channels where something of theirs stands; None if it was so."""
    gone = connection.execute(delete(OptOutRow).where(_is(platform, speaker_id)))
    if not gone.rowcount:
        return None
    places = _take_places(connection, platform, speaker_id)
    _make_anew(connection, speaker_id)
    # What another program was keeping while they opted out, in a channel new to them.
    _answer_no_more(connection, speaker_id)
    return list(places)


def withdraw(connection: Connection, _platform: str, _speaker_id: str, *, but_by: int) -> int:
    """Take out what other runs write for people who have opted out, and for nobody else."""
    gone = 0
    for piece in batches(turns_written(connection, but_by=but_by)):
        chosen = select(TurnRow.id).where(TurnRow.id.in_(piece), is_left_out())
        for turn_id in connection.scalars(chosen).all():
            take_out_swipe(connection, take_turn(connection, turn_id), requeue=False)
            gone += 1
    return gone


class SqlOptOuts(OnTransactions):
    """Who stays out."""

    among = reads(among)
    since = reads(since)
    opt_out = writes(opt_out)
    opt_in = writes(opt_in)
    _withdraw = writes(withdraw)

    def __init__(self, transactions: Transactions, run: Run) -> None:
        """The database's, and this program's own run."""
        super().__init__(transactions)
        self._run = run

    async def withdraw(self, platform: str, speaker_id: str) -> int:
        """Take out what other runs write for somebody alone: they notice, and stop."""
        return await self._withdraw(platform, speaker_id, but_by=self._run.id)


def _is(platform: str, speaker_id: str) -> ColumnElement[bool]:
    return (OptOutRow.platform == platform) & (OptOutRow.speaker_id == speaker_id)


def _theirs(speaker_id: str) -> Sequence[Select[int]]:
    """The turns that say something of a person: their own, replies to them, quotes of them."""
    return (
        select(TurnRow.id).where(TurnRow.speaker_id == speaker_id),
        select(TurnRow.id).where(TurnRow.quoted_speaker_id == speaker_id),
        select(AskerRow.turn_id).where(AskerRow.speaker_id == speaker_id),
    )


def _take_places(connection: Connection, platform: str, speaker_id: str) -> Sequence[ChannelKey]:
    """The channels where something of a person stands, locked: nothing is made of it meanwhile."""
    channels = (
        select(ConversationRow.channel_id)
        .join(TurnRow, TurnRow.conversation_id == ConversationRow.id)
        .where(TurnRow.id.in_(union(*_theirs(speaker_id))))
    )
    rows = connection.execute(
        select(ChannelRow.id, *CHANNEL_COLUMNS)
        .where(ChannelRow.platform == platform, ChannelRow.id.in_(channels))
        .order_by(ChannelRow.id)
    ).all()
    lock_channels(connection, [row.id for row in rows])
    return [channel_key(row) for row in rows]


def _make_anew(connection: Connection, speaker_id: str) -> None:
    """What was made of turns among which some of a person's are is stale, and says nothing."""
    theirs = union(*_theirs(speaker_id))
    of_them = select(DerivedFromRow.derived_id).where(DerivedFromRow.turn_id.in_(theirs))
    around = exists(
        select(TurnRow.id).where(
            TurnRow.conversation_id == DerivedRow.conversation_id,
            TurnRow.id.between(SummarySectionRow.first_turn_id, SummarySectionRow.last_turn_id),
            TurnRow.id.in_(theirs),
        )
    )
    made_around = (
        select(SummarySectionRow.derived_id)
        .join(DerivedRow, DerivedRow.id == SummarySectionRow.derived_id)
        .where(SummarySectionRow.by_hand.is_(False), around)
    )
    connection.execute(
        update(DerivedRow)
        .where(or_(DerivedRow.id.in_(of_them), DerivedRow.id.in_(made_around)))
        .values(is_stale=True, text="")
    )


def _answer_no_more(connection: Connection, speaker_id: str) -> None:
    """Nothing of a person's waits any more."""
    connection.execute(
        update(TurnRow)
        .where(TurnRow.speaker_id == speaker_id, TurnRow.is_pending)
        .values(is_pending=False)
    )
