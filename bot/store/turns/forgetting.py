"""Takes out everything of one person, wherever on a platform they said it."""

from collections.abc import Sequence

from sqlalchemy import Connection, delete, select

from bot.chat.messages import ChannelKey, Erased
from bot.store.memory.staleness import forget_written_about
from bot.store.memory.upkeep import forget_persons_facts
from bot.store.moderation.purging import forget_moderator
from bot.store.personas.purging import forget_person
from bot.store.scenes.purging import forget_player
from bot.store.tables import AskerRow, ChannelRow, ConversationRow, MessageRow, TurnRow
from bot.store.turns.access import forget_quotes_where, lock_channels, mark_stale, remove_turns
from bot.store.turns.rows import CHANNEL_COLUMNS, batches, channel_key
from bot.store.words.keeping import forget_who_added


def erase(connection: Connection, platform: str, speaker_id: str) -> Erased:
    """Take out what a person said: their turns, what others quote of them, and that they asked.

    What they made for a guild stays the guild's, without their name. The bot's answers stay as its
    own messages.
    """
    places = _channels_of(connection, platform, speaker_id)
    lock_channels(connection, places)
    turn_ids: list[int] = []
    messages: list[tuple[ChannelKey, str]] = []
    for channel_id, key in places.items():
        here = _turns_of(connection, channel_id, speaker_id)
        for piece in batches(here):
            found = connection.scalars(
                select(MessageRow.message_id)
                .where(MessageRow.turn_id.in_(piece))
                .order_by(MessageRow.turn_id, MessageRow.position)
            )
            messages += [(key, message_id) for message_id in found]
        forget_written_about(connection, here)
        remove_turns(connection, channel_id, here)
        forget_quotes_where(connection, channel_id, TurnRow.quoted_speaker_id == speaker_id)
        turn_ids += here
    asked = _turns_asked(connection, platform, speaker_id)
    mark_stale(connection, asked)
    for piece in batches(asked):
        connection.execute(
            delete(AskerRow).where(AskerRow.turn_id.in_(piece), AskerRow.speaker_id == speaker_id)
        )
    forget_person(connection, speaker_id)
    forget_persons_facts(connection, platform, speaker_id)
    forget_player(connection, platform, speaker_id)
    forget_moderator(connection, platform, speaker_id)
    forget_who_added(connection, platform, speaker_id)
    return Erased(tuple(sorted(turn_ids)), tuple(messages))


def _channels_of(connection: Connection, platform: str, speaker_id: str) -> dict[int, ChannelKey]:
    """Where anything of a person stands, in the order in which channels are locked."""
    found: dict[int, ChannelKey] = {}
    asked = select(AskerRow.turn_id).where(AskerRow.speaker_id == speaker_id)
    for names_them in (
        TurnRow.speaker_id == speaker_id,
        TurnRow.quoted_speaker_id == speaker_id,
        TurnRow.id.in_(asked),
    ):
        rows = connection.execute(
            select(ChannelRow.id, *CHANNEL_COLUMNS)
            .where(ChannelRow.platform == platform)
            .where(
                ChannelRow.id.in_(
                    select(ConversationRow.channel_id)
                    .join(TurnRow, TurnRow.conversation_id == ConversationRow.id)
                    .where(names_them)
                )
            )
        )
        found.update({row.id: channel_key(row) for row in rows})
    return dict(sorted(found.items()))


def _turns_of(connection: Connection, channel_id: int, speaker_id: str) -> Sequence[int]:
    return connection.scalars(
        select(TurnRow.id)
        .join(ConversationRow, ConversationRow.id == TurnRow.conversation_id)
        .where(TurnRow.speaker_id == speaker_id, TurnRow.role == "user")
        .where(ConversationRow.channel_id == channel_id)
        .order_by(TurnRow.id)
    ).all()


def _turns_asked(connection: Connection, platform: str, speaker_id: str) -> Sequence[int]:
    return connection.scalars(
        select(AskerRow.turn_id)
        .join(TurnRow, TurnRow.id == AskerRow.turn_id)
        .join(ConversationRow, ConversationRow.id == TurnRow.conversation_id)
        .join(ChannelRow, ChannelRow.id == ConversationRow.channel_id)
        .where(AskerRow.speaker_id == speaker_id, ChannelRow.platform == platform)
    ).all()
