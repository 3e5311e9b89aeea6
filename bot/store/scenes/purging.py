"""What goes of scenes: a guild's, a persona's that was deleted for good."""

from collections.abc import Sequence

from sqlalchemy import Connection, delete, select

from bot.store.scenes.tables import SceneCastRow, SceneRow
from bot.store.tables import ChannelRow


def remove_guild_scenes(connection: Connection, guild_id: str) -> None:
    """Take out all scenes of a guild's channels."""
    channels = select(ChannelRow.id).where(ChannelRow.guild_id == guild_id)
    connection.execute(delete(SceneRow).where(SceneRow.channel_id.in_(channels)))


def remove_personas(connection: Connection, persona_ids: Sequence[str]) -> None:
    """Take personas out of every cast."""
    connection.execute(delete(SceneCastRow).where(SceneCastRow.persona_id.in_(persona_ids)))
