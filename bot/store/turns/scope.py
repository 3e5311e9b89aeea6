"""What of a conversation is one person's alone, where others are not to see it."""

from sqlalchemy import ColumnElement, and_, bindparam, exists, or_
from sqlalchemy.orm import aliased

from bot.store.tables import AskerRow, SwipeRow, TurnRow


def _is_theirs() -> ColumnElement[bool]:
    return and_(TurnRow.role == "user", TurnRow.speaker_id == bindparam("person"))


def _is_to_them_alone() -> ColumnElement[bool]:
    asker, other = aliased(AskerRow), aliased(AskerRow)
    return and_(
        exists().where(asker.turn_id == TurnRow.id, asker.speaker_id == bindparam("person")),
        ~exists().where(other.turn_id == TurnRow.id, other.speaker_id != bindparam("person")),
    )


def _is_greeting() -> ColumnElement[bool]:
    written, answered = aliased(SwipeRow), aliased(TurnRow)
    return and_(  # nobody asked anything before it, and no engine wrote it
        ~exists().where(
            written.turn_id == TurnRow.id,
            or_(written.finish.is_not(None), written.state != "whole"),
        ),
        ~exists().where(answered.answered_by == TurnRow.id),
    )


ONLY_OF = or_(
    _is_theirs(),
    and_(TurnRow.role == "bot", or_(_is_to_them_alone(), _is_greeting())),
    and_(TurnRow.role == "user", TurnRow.answered_by == bindparam("before")),
)
"""A turn of `person`'s, a reply to them alone, a greeting, or what the turn `before` answers."""

REPLY_TO = and_(_is_to_them_alone(), ~_is_greeting())
"""Of the bot's turns, a reply to `person` alone: a greeting is everybody's."""
