"""Takes out channels and guilds with all that they hold. Functions of a connection."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, delete, select, union

from bot.chat.messages import ChannelKey, Scope
from bot.chat.personas.guild.kept import Purged
from bot.chat.privacy.people import Place
from bot.store.limits.tables import TokensSpentRow
from bot.store.memory.tables import FactRow
from bot.store.moderation.tables import BlockRow, LogChannelRow
from bot.store.personas.purging import remove_guild as remove_guilds_own
from bot.store.personas.tables import CastRow, LorebookPlaceRow, LorebookRow, PersonaRow
from bot.store.privacy.forgetting import TURNS_A_STEP, note_removals
from bot.store.tables import (
    Base,
    ChannelRow,
    ConversationRow,
    SettingChangeRow,
    SettingValueRow,
    TurnRow,
)
from bot.store.turns.access import (
    conversations_of,
    find_channel,
    lock_channels,
    message_ids_of,
    remove_turns,
    take_channel,
)
from bot.store.turns.rows import CHANNEL_COLUMNS, batches, channel_key
from bot.store.words.tables import GuildWordRow

# Whose rows are a guild's alone, by the column that says whose: a new table gets its line here.
OF_GUILDS: Sequence[tuple[type[Base], str]] = (
    (FactRow, "guild_id"),
    (CastRow, "guild_id"),
    (BlockRow, "guild_id"),
    (LogChannelRow, "guild_id"),
    (GuildWordRow, "guild_id"),
)


def remove_place(connection: Connection, place: Place) -> bool:
    """Take out some of all that a channel holds, then itself. Whether there is more.

    Of somebody's own direct channel, the bot's messages go off the platform, too.
    """
    if not place.number:
        _remove_settings(connection, Scope.CHANNEL, str(place.channel))
        return False
    lock_channels(connection, [place.number])
    chosen = select(TurnRow.id, TurnRow.role).where(
        TurnRow.conversation_id.in_(conversations_of(place.number))
    )
    turns = connection.execute(chosen.limit(TURNS_A_STEP)).all()
    if turns:
        if place.is_own:
            replies = [turn.id for turn in turns if turn.role == "bot"]
            note_removals(connection, place, message_ids_of(connection, replies))
        remove_turns(connection, place.number, [turn.id for turn in turns])
        return True
    scope_id = str(place.channel)
    _remove_settings(connection, Scope.CHANNEL, scope_id)
    connection.execute(delete(CastRow).where(CastRow.scope_id == scope_id))
    connection.execute(
        delete(LorebookPlaceRow).where(
            LorebookPlaceRow.scope == "channel", LorebookPlaceRow.scope_id == scope_id
        )
    )
    connection.execute(delete(ChannelRow).where(ChannelRow.id == place.number))
    return False


def places_in_guild(connection: Connection, platform: str, guild_id: str) -> list[Place]:
    """All channels that are kept of a guild."""
    return _places(connection, platform, ChannelRow.guild_id == guild_id)


def places_of_channel(connection: Connection, platform: str, channel_id: str) -> list[Place]:
    """A channel and its threads."""
    is_it = ChannelRow.platform_channel_id == channel_id
    return _places(connection, platform, is_it | (ChannelRow.parent_id == channel_id))


def _places(connection: Connection, platform: str, chosen: ColumnElement[bool]) -> list[Place]:
    rows = connection.execute(
        select(ChannelRow.id, *CHANNEL_COLUMNS)
        .where(ChannelRow.platform == platform, chosen)
        .order_by(ChannelRow.id)
    )
    return [Place(row.id, channel_key(row)) for row in rows]


def remove_guild(connection: Connection, platform: str, guild_id: str) -> Purged:
    """Take out what a guild has beside its channels; call it once these have gone."""
    gone = remove_guilds_own(connection, guild_id)
    for rows, column in OF_GUILDS:
        connection.execute(delete(rows).where(rows.__table__.c[column] == guild_id))
    home = f"{platform}:{guild_id}"
    connection.execute(delete(TokensSpentRow).where(TokensSpentRow.home == home))
    _remove_settings(connection, Scope.GUILD, home)
    return gone


def _remove_settings(connection: Connection, scope: Scope, scope_id: str) -> None:
    for rows in (SettingValueRow, SettingChangeRow):
        here = (rows.scope == scope.value) & (rows.scope_id == scope_id)
        connection.execute(delete(rows).where(here))


def known_guilds(connection: Connection, platform: str) -> list[str]:
    """The guilds of which anything is kept."""
    prefix = f"{platform}:"
    homes = union(
        select(SettingValueRow.scope_id).where(SettingValueRow.scope == Scope.GUILD.value),
        select(SettingChangeRow.scope_id).where(SettingChangeRow.scope == Scope.GUILD.value),
    )
    found = {
        home.removeprefix(prefix) for home in connection.scalars(homes) if home.startswith(prefix)
    }
    kept = union(
        select(ChannelRow.guild_id).where(ChannelRow.platform == platform),
        select(PersonaRow.guild_id),
        select(LorebookRow.guild_id),
        *(select(rows.__table__.c[column]) for rows, column in OF_GUILDS),
    )
    found.update(guild_id for guild_id in connection.scalars(kept) if guild_id)
    return sorted(found)


def known_channels(connection: Connection, platform: str) -> list[ChannelKey]:
    """The channels of guilds of which anything is kept."""
    rows = connection.execute(
        select(*CHANNEL_COLUMNS)
        .where(ChannelRow.platform == platform, ChannelRow.guild_id.is_not(None))
        .order_by(ChannelRow.id)
    )
    return [channel_key(row) for row in rows]


def unplaced_channels(connection: Connection, platform: str) -> list[str]:
    """The channels that have settings, and of which nothing says in which guild they are."""
    prefix = f"{platform}:"
    chosen = select(SettingChangeRow.scope_id).distinct()
    chosen = chosen.where(SettingChangeRow.scope == Scope.CHANNEL.value)
    ids = [
        scope_id.removeprefix(prefix)
        for scope_id in connection.scalars(chosen)
        if scope_id.startswith(prefix)
    ]
    known: set[str] = set()
    for piece in batches(ids):
        known.update(
            connection.scalars(
                select(ChannelRow.platform_channel_id).where(
                    ChannelRow.platform == platform, ChannelRow.platform_channel_id.in_(piece)
                )
            )
        )
    return sorted(set(ids) - known)


def place_channels(connection: Connection, channels: Sequence[ChannelKey]) -> None:
    """Remember in which guilds channels are."""
    for channel in channels:
        take_channel(connection, channel)


def remove_empty(connection: Connection, channel: ChannelKey) -> None:
    """Take out the conversations of a channel that were left and hold nothing any more."""
    channel_id = find_channel(connection, channel, lock=True)
    if channel_id is None:
        return
    holds = select(TurnRow.id).where(TurnRow.conversation_id == ConversationRow.id)
    connection.execute(
        delete(ConversationRow).where(
            ConversationRow.channel_id == channel_id,
            ConversationRow.is_current.is_(False),
            ~holds.exists(),
        )
    )
