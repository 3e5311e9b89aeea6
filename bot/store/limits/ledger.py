"""What was written for whom, kept: :class:`bot.chat.limits.quota.TokenLedger` on SQL."""

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

from sqlalchemy import Connection, delete, select

from bot.store.connecting.binding import OnTransactions, reads, writes
from bot.store.limits.tables import TokensSpentRow
from bot.store.upserting import count_up

LARGEST_COUNT = 2**53  # of a day: more is no longer a number of tokens


def spent(connection: Connection, home: str, speaker_id: str, day: date) -> int:
    """What was written for somebody on a day."""
    found = connection.scalar(
        select(TokensSpentRow.tokens).where(
            TokensSpentRow.home == home,
            TokensSpentRow.speaker_id == speaker_id,
            TokensSpentRow.day == day,
        )
    )
    return found or 0


def spend(connection: Connection, home: str, tokens: Mapping[str, int], day: date) -> None:
    """Add what was written, by speaker; what is of days before goes."""
    forget_before(connection, day)
    # In one order for everybody, so that no two transactions wait for each other.
    for speaker_id, count in sorted(tokens.items()):
        key = {"home": home, "speaker_id": speaker_id, "day": day}
        count_up(connection, TokensSpentRow, key, "tokens", max(0, min(count, LARGEST_COUNT)))


def forget_before(connection: Connection, day: date) -> None:
    """Take out what was counted on days before."""
    connection.execute(delete(TokensSpentRow).where(TokensSpentRow.day < day))


def exported_spending(connection: Connection) -> Iterator[dict[str, Any]]:
    """All of it, as JSON has it."""
    table = TokensSpentRow.__table__
    for row in connection.execute(select(table).order_by(*table.primary_key)).mappings():
        yield {**row, "day": row["day"].isoformat()}


class SqlLedger(OnTransactions):
    """The core's port."""

    spent = reads(spent)
    spend = writes(spend)
    forget_before = writes(forget_before)
