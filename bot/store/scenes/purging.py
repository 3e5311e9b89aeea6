"""What goes of scenes: a person's, a guild's, a persona's that was deleted for good."""

from collections.abc import Sequence

from sqlalchemy import Connection, delete, select, update

from bot.store.scenes.tables import SceneCastRow, SceneCharacterRow, SceneRow
from bot.store.tables import ChannelRow


def forget_player(connection: Connection, platform: str, speaker_id: str) -> None:
    """Take out whom a person played, and that they started scenes: those stay the players'."""
    here = select(ChannelRow.id).where(ChannelRow.platform == platform)
    scenes = select(SceneRow.id).where(SceneRow.channel_id.in_(here))
    connection.execute(
        delete(SceneCharacterRow).where(
            SceneCharacterRow.speaker_id == speaker_id, SceneCharacterRow.scene_id.in_(scenes)
        )
    )
    connection.execute(
        update(SceneRow)
        .where(SceneRow.started_by == speaker_id, SceneRow.channel_id.in_(here))
        .values(started_by="")
    )


def remove_guild_scenes(connection: Connection, guild_id: str) -> None:
    """Take out all scenes of a guild's channels."""
    channels = select(ChannelRow.id).where(ChannelRow.guild_id == guild_id)
    connection.execute(delete(SceneRow).where(SceneRow.channel_id.in_(channels)))


def remove_personas(connection: Connection, persona_ids: Sequence[str]) -> None:
    """Take personas out of every cast."""
    connection.execute(delete(SceneCastRow).where(SceneCastRow.persona_id.in_(persona_ids)))
