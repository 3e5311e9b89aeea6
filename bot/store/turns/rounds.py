"""Several personas that answer one after another: a reply waits until another one follows it.

Such a reply is pending for the account that writes it, as a message is, and `answered_by` the one
that follows. Functions of a connection.
"""

from datetime import datetime

from sqlalchemy import Connection, select, update

from bot.chat.messages import ChannelKey, Turn
from bot.errors import NotFound
from bot.store.privacy.left_out import is_seen
from bot.store.tables import TurnRow
from bot.store.turns.access import current_conversation
from bot.store.turns.rows import load_turns, select_turns

MOST_REPLIES = 100  # of one round that are looked at


def require_unfollowed(connection: Connection, turn_id: int) -> None:
    """NotFound where another reply follows this one, or none is to; a reply that is gone passes."""
    row = connection.execute(select(TurnRow.is_pending).where(TurnRow.id == turn_id)).first()
    if row is not None and not row.is_pending:
        raise NotFound("Another persona has spoken already.", "Another program took that up.")


def follow(connection: Connection, turn_id: int, reply: int) -> None:
    """Let a reply follow another one."""
    here = update(TurnRow).where(TurnRow.id == turn_id, TurnRow.role == "bot")
    connection.execute(here.values(answered_by=reply, is_pending=False))


def wait_for_next(connection: Connection, reply: int, heard_by: str) -> None:
    """Let a reply wait for one that follows it."""
    here = update(TurnRow).where(TurnRow.id == reply)
    connection.execute(here.values(is_pending=True, heard_by=heard_by))


def unended_round(
    connection: Connection, channel: ChannelKey, *, since: datetime, heard_by: str = ""
) -> list[Turn]:
    """The replies of a round in which others are still to speak, with what they answer.

    In order; the last reply is the one that waits. Nothing where none begun `since` then does.
    """
    conversation = current_conversation(connection, channel)
    if conversation is None:
        return []
    waits = connection.scalar(
        select(TurnRow.id)
        .where(
            TurnRow.conversation_id == conversation,
            TurnRow.is_pending,
            TurnRow.role == "bot",
            TurnRow.heard_by == heard_by,
            TurnRow.created_at >= since,
            is_seen(),
        )
        .order_by(TurnRow.id.desc())
        .limit(1)
    )
    replies: list[int] = []
    while waits is not None and len(replies) < MOST_REPLIES:
        replies.append(waits)
        waits = connection.scalar(
            select(TurnRow.id).where(TurnRow.answered_by == waits, TurnRow.role == "bot")
        )
    if not replies:
        return []
    asked = TurnRow.answered_by.in_(replies) & (TurnRow.role == "user") & is_seen()
    chosen = select_turns().where(TurnRow.id.in_(replies) | asked).order_by(TurnRow.id)
    return load_turns(connection, chosen)
