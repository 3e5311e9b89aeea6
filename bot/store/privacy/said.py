"""What a person said, and what was written for them, as they get it: `/privacy export`.

Nobody else's words are among it: of a reply for several people, only how it came to be.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, exists, select

from bot.chat.privacy.ports import Field, Page
from bot.store.privacy.pages import PAGE_ROWS, REPLY_ROWS, page_of, plain, plain_fields
from bot.store.tables import (
    AskerRow,
    ChannelRow,
    ConversationRow,
    GenerationRow,
    MessageRow,
    SwipeRow,
    TurnRow,
)
from bot.store.turns.rows import CHANNEL_COLUMNS, AnyRow, to_record

_TURNS: Select[Any] = (
    select(*TurnRow.__table__.columns, *CHANNEL_COLUMNS)
    .join(ConversationRow, ConversationRow.id == TurnRow.conversation_id)
    .join(ChannelRow, ChannelRow.id == ConversationRow.channel_id)
    .order_by(TurnRow.id)
)


def messages(connection: Connection, platform: str, speaker_id: str, after: int) -> Page:
    """What they said, in every server and direct message, taken back or not."""
    theirs = (TurnRow.speaker_id == speaker_id) & (TurnRow.role == "user")
    rows = _turns(connection, platform, theirs, after)
    numbers = _message_ids(connection, [row.id for row in rows])
    return page_of(rows, lambda row: _message(row, numbers.get(row.id, []), speaker_id))


def quotes(connection: Connection, platform: str, speaker_id: str, after: int) -> Page:
    """What others quote of theirs, in replies to it: that text is theirs."""
    rows = _turns(connection, platform, TurnRow.quoted_speaker_id == speaker_id, after)
    return page_of(
        rows,
        lambda row: {
            **_where(row),
            "quoted_at": plain(row.created_at),
            "message_id": row.quoted_message_id,
            "name": row.quoted_speaker_name,
            "is_bot": row.quoted_speaker_is_bot,
            "text": row.quoted_text,
        },
    )


def replies(connection: Connection, platform: str, speaker_id: str, after: int) -> Page:
    """The replies that they asked for: how each came to be; its text where nobody else asked."""
    asked = exists(
        select(AskerRow.turn_id).where(
            AskerRow.turn_id == TurnRow.id, AskerRow.speaker_id == speaker_id
        )
    )
    rows = _turns(connection, platform, asked, after, REPLY_ROWS)
    turn_ids = [row.id for row in rows]
    shared = set(
        connection.scalars(
            select(AskerRow.turn_id).where(
                AskerRow.turn_id.in_(turn_ids), AskerRow.speaker_id != speaker_id
            )
        )
    )
    numbers = _message_ids(connection, turn_ids)
    alternatives = _alternatives(connection, turn_ids, shared)
    return page_of(
        rows,
        lambda row: {
            **_where(row),
            "message_ids": numbers.get(row.id, []),
            "persona": row.persona,
            "written_at": plain(row.created_at),
            "asked_by_others_too": row.id in shared,
            "shown": row.active_swipe,
            "alternatives": alternatives.get(row.id, []),
        },
        REPLY_ROWS,
    )


def _turns(
    connection: Connection,
    platform: str,
    chosen: ColumnElement[bool],
    after: int,
    limit: int = PAGE_ROWS,
) -> Sequence[AnyRow]:
    here = _TURNS.where(chosen, TurnRow.id > after, ChannelRow.platform == platform)
    return connection.execute(here.limit(limit)).all()


def _where(row: AnyRow) -> dict[str, Field]:
    return {
        "turn": row.id,
        "conversation": row.conversation_id,
        "guild_id": row.guild_id,
        "channel_id": row.platform_channel_id,
        "is_direct_message": row.is_direct,
    }


def _message(row: AnyRow, message_ids: Sequence[str], speaker_id: str) -> dict[str, Field]:
    quotes_themselves = row.quoted_speaker_id == speaker_id
    return {
        **_where(row),
        "message_ids": message_ids,
        "name": row.speaker_name,
        "is_bot": row.speaker_is_bot,
        "said_at": plain(row.created_at),
        "text": row.text,
        "was_to_the_bot": row.addressed,
        "waits_for_an_answer": row.is_pending,
        "answered_in_turn": row.answered_by,
        "replies_to_message_id": row.quoted_message_id,
        "quoted_text": row.quoted_text if quotes_themselves else None,
        "taken_back_at": plain(row.hidden_at),
    }


def _message_ids(connection: Connection, turn_ids: Sequence[int]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    rows = connection.execute(
        select(MessageRow.turn_id, MessageRow.message_id)
        .where(MessageRow.turn_id.in_(turn_ids))
        .order_by(MessageRow.turn_id, MessageRow.position)
    )
    for row in rows:
        found.setdefault(row.turn_id, []).append(row.message_id)
    return found


def _alternatives(
    connection: Connection, turn_ids: Sequence[int], without_text: set[int]
) -> dict[int, list[Field]]:
    records: dict[int, list[Field]] = {}
    rows = connection.execute(
        select(GenerationRow.__table__)
        .join(SwipeRow, SwipeRow.id == GenerationRow.swipe_id)
        .where(SwipeRow.turn_id.in_(turn_ids))
        .order_by(GenerationRow.id)
    )
    for row in rows:
        records.setdefault(row.swipe_id, []).append(_record(row))
    found: dict[int, list[Field]] = {}
    swipes = connection.execute(
        select(SwipeRow.__table__)
        .where(SwipeRow.turn_id.in_(turn_ids))
        .order_by(SwipeRow.turn_id, SwipeRow.position)
    )
    for swipe in swipes:
        text = None if swipe.turn_id in without_text else swipe.text
        found.setdefault(swipe.turn_id, []).append(
            {
                "number": swipe.position,
                "state": swipe.state,
                "text": text,
                "came_to_be": records.get(swipe.id, []),
            }
        )
    return found


def _record(row: AnyRow) -> dict[str, Field]:
    return plain_fields(asdict(to_record(row)))
