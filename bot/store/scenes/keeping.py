"""Scenes: started, changed, ended. Functions of a connection, each one transaction."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, delete, insert, select, update

from bot.chat.messages import ChannelKey
from bot.chat.roleplay.scenes.keeping import SceneChange
from bot.chat.roleplay.scenes.scene import Character, Mode, Scene
from bot.errors import NotAllowed, NotFound
from bot.store.privacy.left_out import refuse_opted_out, stays_out
from bot.store.scenes.tables import (
    SceneCastRow,
    SceneCharacterRow,
    SceneRow,
    is_of_who_stays_out,
)
from bot.store.tables import ChannelRow
from bot.store.turns.access import LARGEST_ID, now, take_channel
from bot.store.turns.rows import CHANNEL_COLUMNS, AnyRow, channel_key

NO_TITLE = "Scene"

_SCENES: Select[Any] = select(
    *SceneRow.__table__.columns,
    *CHANNEL_COLUMNS,
    is_of_who_stays_out().label("is_of_who_stays_out"),
).join(ChannelRow, ChannelRow.id == SceneRow.channel_id)


def running(connection: Connection, channel: ChannelKey) -> Scene | None:
    """The scene that is played in a channel now."""
    chosen = _in(channel).where(SceneRow.ended_at.is_(None))
    return _read(connection, chosen)


def at(connection: Connection, channel: ChannelKey, moment: datetime) -> Scene | None:
    """The scene that was played in a channel at a moment."""
    has_not_ended = SceneRow.ended_at.is_(None) | (SceneRow.ended_at > moment)
    chosen = _in(channel).where(SceneRow.started_at <= moment, has_not_ended)
    return _read(connection, chosen.order_by(SceneRow.id.desc()).limit(1))


def start(connection: Connection, scene: Scene) -> Scene:
    """Keep a new scene. NotAllowed where one runs in its channel."""
    refuse_opted_out(connection, scene.started_by)
    channel_id: int = take_channel(connection, scene.channel).id
    if running(connection, scene.channel) is not None:
        raise NotAllowed("A scene is played here already.", "End that one first.")
    return add(connection, channel_id, scene)


def add(connection: Connection, channel_id: int, scene: Scene) -> Scene:
    """Keep a scene as it is, in a channel that is locked and has none running."""
    number = connection.scalar(
        insert(SceneRow)
        .values(
            channel_id=channel_id,
            started_by=scene.started_by,
            started_at=scene.started_at,
            ended_at=scene.ended_at,
            **_columns(scene),
        )
        .returning(SceneRow.id)
    )
    kept = replace(scene, scene_id=number or 0)
    _write_lists(connection, kept)
    return kept


def change(connection: Connection, scene_id: int, change: SceneChange) -> Scene:
    """Change a scene that has not ended. Raises NotFound, and what `change` raises."""
    before = _taken(connection, scene_id)
    after = change(before)
    for speaker_id in after.characters:  # whose is there already, but left out, is not read
        refuse_opted_out(connection, speaker_id)
    was, now_is = _columns(before), _columns(after)  # what is left out is not read, and stays
    values = {name: value for name, value in now_is.items() if value != was[name]}
    if values:
        connection.execute(update(SceneRow).where(SceneRow.id == scene_id).values(values))
    if (before.cast, before.characters) != (after.cast, after.characters):
        connection.execute(delete(SceneCastRow).where(SceneCastRow.scene_id == scene_id))
        of_scene = SceneCharacterRow.scene_id == scene_id
        seen = ~stays_out(SceneCharacterRow.speaker_id)
        connection.execute(delete(SceneCharacterRow).where(of_scene, seen))
        _write_lists(connection, after)
    return after


def end(connection: Connection, scene_id: int) -> Scene:
    """End a scene. NotFound where it has ended already."""
    scene = replace(_taken(connection, scene_id), ended_at=now())
    connection.execute(
        update(SceneRow).where(SceneRow.id == scene_id).values(ended_at=scene.ended_at)
    )
    return scene


def _in(channel: ChannelKey) -> Select[Any]:
    return _SCENES.where(
        ChannelRow.platform == channel.platform,
        ChannelRow.platform_channel_id == channel.channel_id,
    )


def _taken(connection: Connection, scene_id: int) -> Scene:
    """A scene that has not ended, locked."""
    chosen = _SCENES.where(SceneRow.id == scene_id, SceneRow.ended_at.is_(None))
    found = None
    if 0 < scene_id <= LARGEST_ID:
        found = _read(connection, chosen.with_for_update(of=SceneRow))
    if found is None:
        raise NotFound("That scene has ended.", "Start another one.")
    return found


def _read(connection: Connection, chosen: Select[Any]) -> Scene | None:
    row = connection.execute(chosen).first()
    return None if row is None else _scene(connection, row)


def all_scenes(connection: Connection, numbers: Sequence[int]) -> list[Scene]:
    """Some scenes by their numbers, the first started first."""
    rows = connection.execute(_SCENES.where(SceneRow.id.in_(numbers)).order_by(SceneRow.id))
    return [_scene(connection, row, everybody=True) for row in rows.all()]


def _scene(connection: Connection, row: AnyRow, *, everybody: bool = False) -> Scene:
    """A scene; `everybody`: also with what people wrote, and whom they play, who have opted out."""
    is_told = everybody or not row.is_of_who_stays_out
    cast = select(SceneCastRow.persona_id).where(SceneCastRow.scene_id == row.id)
    people = select(SceneCharacterRow.__table__).where(SceneCharacterRow.scene_id == row.id)
    if not everybody:
        people = people.where(~stays_out(SceneCharacterRow.speaker_id))
    return Scene(
        channel=channel_key(row),
        title=row.title if is_told else NO_TITLE,
        cast=tuple(connection.scalars(cast.order_by(SceneCastRow.position))),
        started_by=row.started_by,
        started_at=row.started_at,
        scenario=row.scenario if is_told else "",
        mode=Mode(row.mode),
        characters={
            one.speaker_id: Character(one.name, one.description)
            for one in connection.execute(people.order_by(SceneCharacterRow.position))
        },
        note=row.note if is_told else "",
        note_depth=row.note_depth,
        is_paused=row.is_paused,
        ended_at=row.ended_at,
        scene_id=row.id,
    )


def _columns(scene: Scene) -> dict[str, Any]:
    """What can change."""
    return {
        "title": scene.title,
        "scenario": scene.scenario,
        "mode": scene.mode.value,
        "note": scene.note,
        "note_depth": scene.note_depth,
        "is_paused": scene.is_paused,
    }


def _write_lists(connection: Connection, scene: Scene) -> None:
    cast = [
        {"scene_id": scene.scene_id, "position": at, "persona_id": persona_id}
        for at, persona_id in enumerate(scene.cast)
    ]
    people = [
        {
            "scene_id": scene.scene_id,
            "position": at,
            "speaker_id": speaker_id,
            "name": one.name,
            "description": one.description,
        }
        for at, (speaker_id, one) in enumerate(scene.characters.items())
    ]
    if cast:
        connection.execute(insert(SceneCastRow), cast)
    if people:
        connection.execute(insert(SceneCharacterRow), people)
