"""Which sections of summaries a turn belongs to that was in none of them."""

from collections.abc import Sequence

from sqlalchemy import Connection, exists, select, update

from bot.store.tables import DerivedRow, SummarySectionRow, TurnRow
from bot.store.turns.rows import batches


def mark_stale_among(connection: Connection, turn_ids: Sequence[int]) -> None:
    """These turns are seen again: what was made of the turns around them lacks them."""
    for piece in batches(turn_ids):
        among = exists(
            select(TurnRow.id).where(
                TurnRow.id.in_(piece),
                TurnRow.conversation_id == DerivedRow.conversation_id,
                TurnRow.id.between(SummarySectionRow.first_turn_id, SummarySectionRow.last_turn_id),
            )
        )
        made_around = (
            select(SummarySectionRow.derived_id)
            .join(DerivedRow, DerivedRow.id == SummarySectionRow.derived_id)
            .where(SummarySectionRow.by_hand.is_(False), among)
        )
        connection.execute(
            update(DerivedRow).where(DerivedRow.id.in_(made_around)).values(is_stale=True, text="")
        )
