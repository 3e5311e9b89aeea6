"""Scenes for `db export`: one at a time."""

import dataclasses
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, select

from bot.store.scenes.keeping import all_scenes
from bot.store.scenes.tables import SceneRow


def scenes(connection: Connection) -> Iterator[dict[str, Any]]:
    """Every scene, those that have ended too; what was said in it stands with its channel."""
    for number in connection.scalars(select(SceneRow.id).order_by(SceneRow.id)).all():
        for scene in all_scenes(connection, [number]):
            yield {**dataclasses.asdict(scene), "mode": scene.mode.value}
