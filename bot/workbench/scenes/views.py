"""Scenes as the page's JSON."""

from collections.abc import Sequence

from bot.chat.persona import Persona
from bot.chat.roleplay.scenes.scene import Scene
from bot.workbench.views import Json


def scene(scene: Scene, cast: Sequence[Persona], player: str) -> Json:
    """What is played, for the one who plays here."""
    names = {persona.id: persona.name for persona in cast}
    own = scene.characters.get(player)
    return {
        "title": scene.title,
        "scenario": scene.scenario,
        "mode": scene.mode.value,
        "cast": [{"id": each, "name": names.get(each, "")} for each in scene.cast],
        "me": {"name": own.name, "description": own.description} if own else None,
        "note": scene.note,
        "note_depth": scene.note_depth,
        "is_paused": scene.is_paused,
    }
