"""What of a conversation is one person's alone, where others are not to see it."""

from sqlalchemy import ColumnElement, and_, bindparam, exists, or_
from sqlalchemy.orm import aliased

from bot.store.tables import AskerRow, SwipeRow, TurnRow


def _only_of() -> ColumnElement[bool]:
    asker, other = aliased(AskerRow), aliased(AskerRow)
    written, answered = aliased(SwipeRow), aliased(TurnRow)
    is_theirs = and_(TurnRow.role == "user", TurnRow.speaker_id == bindparam("person"))
    is_to_them_alone = and_(
        exists().where(asker.turn_id == TurnRow.id, asker.speaker_id == bindparam("person")),
        ~exists().where(other.turn_id == TurnRow.id, other.speaker_id != bindparam("person")),
    )
    is_greeting = and_(  # nobody asked anything before it, and no engine wrote it
        ~exists().where(
            written.turn_id == TurnRow.id,
            or_(written.finish.is_not(None), written.state != "whole"),
        ),
        ~exists().where(answered.answered_by == TurnRow.id),
    )
    return or_(
        is_theirs,
        and_(TurnRow.role == "bot", or_(is_to_them_alone, is_greeting)),
        TurnRow.answered_by == bindparam("before"),
    )


ONLY_OF = _only_of()
"""A turn of `person`'s, a reply to them alone, a greeting, or what the turn `before` answers."""
