"""What becomes of sections of summaries that no list of their turns tells of."""

from collections.abc import Sequence

from sqlalchemy import Connection, delete, exists, select, update

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
        conversations = select(TurnRow.conversation_id).where(TurnRow.id.in_(piece))
        made_around = (
            select(SummarySectionRow.derived_id)
            .join(DerivedRow, DerivedRow.id == SummarySectionRow.derived_id)
            .where(DerivedRow.conversation_id.in_(conversations))  # else all sections are read
            .where(SummarySectionRow.by_hand.is_(False), among)
        )
        connection.execute(
            update(DerivedRow).where(DerivedRow.id.in_(made_around)).values(is_stale=True, text="")
        )


def forget_written_about(connection: Connection, turn_ids: Sequence[int]) -> None:
    """Take out whole summaries that somebody wrote by hand about a time in which these turns are.

    Nobody can tell what of such a text is whose: the whole conversation is folded anew.
    """
    conversations: set[int | None] = set()
    for piece in batches(turn_ids):
        conversations.update(
            connection.scalars(
                select(DerivedRow.conversation_id)
                .join(SummarySectionRow, SummarySectionRow.derived_id == DerivedRow.id)
                .join(TurnRow, TurnRow.conversation_id == DerivedRow.conversation_id)
                .where(SummarySectionRow.by_hand, TurnRow.id.in_(piece))
                .where(TurnRow.id <= SummarySectionRow.last_turn_id)
                .distinct()
            )
        )
    sections = select(SummarySectionRow.derived_id)
    for piece in batches(list(conversations)):
        connection.execute(
            delete(DerivedRow).where(
                DerivedRow.conversation_id.in_(piece), DerivedRow.id.in_(sections)
            )
        )
