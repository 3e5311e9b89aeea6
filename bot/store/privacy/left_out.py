"""Who stays out, and what is left out of everything that is read because of it.

Every statement that reads turns for people or for the model asks :func:`is_seen`. So an opt-out
holds in every process as soon as it is written, whatever a front end forgets.
"""

from collections.abc import Collection, Iterator
from datetime import datetime
from typing import Any, TypeAlias

from sqlalchemy import (
    ColumnElement,
    Connection,
    bindparam,
    exists,
    literal_column,
    select,
)
from sqlalchemy.orm import Mapped, aliased, mapped_column
from sqlalchemy.orm.attributes import InstrumentedAttribute

from bot.errors import NotAllowed
from bot.store.tables import AskerRow, Base, ConversationRow, MessageRow, TurnRow

__all__ = ["Base", "OptOutRow"]

OPTED_OUT = "You have opted out, so I keep nothing of yours."
ANSWERS_THEM = "That was said to somebody who has opted out, so it is left out of everything."
WAY_BACK = "`/privacy optin` takes that back."
THEY_OPTED_OUT = "Who wrote that has opted out: I keep nothing of theirs."

Column: TypeAlias = "InstrumentedAttribute[str] | InstrumentedAttribute[str | None]"
_BOT: ColumnElement[str] = literal_column("'bot'")


class OptOutRow(Base):
    """Somebody who stays out: nothing of theirs is kept from then on, nor seen."""

    __tablename__ = "opt_outs"

    # In this order: people are looked up by their id. Those of two platforms are never alike.
    speaker_id: Mapped[str] = mapped_column(primary_key=True)
    platform: Mapped[str] = mapped_column(primary_key=True)
    since: Mapped[datetime]


def stays_out(column: Column) -> ColumnElement[bool]:
    """Whether whom a column names has opted out; false where it names nobody."""
    return exists(select(OptOutRow.speaker_id).where(OptOutRow.speaker_id == column))


def is_left_out(turn: type[TurnRow] = TurnRow) -> ColumnElement[bool]:
    """Whether a turn is of somebody who has opted out, or answers nobody else."""
    asked = AskerRow.turn_id == turn.id
    of_theirs = exists(select(AskerRow.turn_id).where(asked, stays_out(AskerRow.speaker_id)))
    of_others = exists(select(AskerRow.turn_id).where(asked, ~stays_out(AskerRow.speaker_id)))
    return stays_out(turn.speaker_id) | ((turn.role == _BOT) & of_theirs & ~of_others)


def quotes_who_stays_out(turn: type[TurnRow] = TurnRow) -> ColumnElement[bool]:
    """Whether a turn quotes somebody who has opted out, or a reply to nobody else."""
    answer, here = aliased(TurnRow), aliased(ConversationRow)
    quotes_answer = exists(
        select(MessageRow.id)
        .join(answer, answer.id == MessageRow.turn_id)
        .join(here, here.channel_id == MessageRow.channel_id)
        .where(here.id == turn.conversation_id, MessageRow.message_id == turn.quoted_message_id)
        .where(is_left_out(answer))
    )
    return stays_out(turn.quoted_speaker_id) | (
        turn.quoted_speaker_is_bot.is_(True) & quotes_answer
    )


def refuse_left_out(connection: Connection, turn_id: int) -> None:
    """Raise NotAllowed where a turn is left out: nothing is made of it any more."""
    chosen = select(TurnRow.role).where(TurnRow.id == turn_id, is_left_out())
    role = connection.scalar(chosen)
    if role is not None:
        raise NotAllowed(ANSWERS_THEM if role == "bot" else THEY_OPTED_OUT)


def is_seen(turn: type[TurnRow] = TurnRow) -> ColumnElement[bool]:
    """Whether a turn is read: neither hidden nor left out. True of no turn at all, too."""
    return turn.hidden_at.is_(None) & ~is_left_out(turn)


_AMONG = select(OptOutRow.speaker_id).where(
    OptOutRow.speaker_id.in_(bindparam("people", expanding=True))
)


def opted_out(connection: Connection, speaker_ids: Collection[str]) -> frozenset[str]:
    """Those of some people who have opted out."""
    if not speaker_ids:
        return frozenset()
    return frozenset(connection.scalars(_AMONG, {"people": sorted(speaker_ids)}))


def refuse_opted_out(connection: Connection, by: str, said_by: str = "") -> None:
    """Raise NotAllowed where something of somebody who has opted out was to be kept.

    `by` is who wants it kept, `said_by` whose words it is, where that is somebody else.
    """
    found = opted_out(connection, {by, said_by})
    if by in found:
        raise NotAllowed(OPTED_OUT, WAY_BACK)
    if found:
        raise NotAllowed(THEY_OPTED_OUT)


def exported_opt_outs(connection: Connection) -> Iterator[dict[str, Any]]:
    """Everybody who has opted out, for `db export`."""
    chosen = select(OptOutRow.__table__).order_by(OptOutRow.platform, OptOutRow.speaker_id)
    for row in connection.execute(chosen).mappings().all():
        yield dict(row)
