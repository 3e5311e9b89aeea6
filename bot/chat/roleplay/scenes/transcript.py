"""A scene as a file: to read, and to use elsewhere."""

import json
import re
from collections.abc import Mapping, Sequence

from bot.chat.messages import Turn
from bot.chat.roleplay.scenes.scene import Scene
from bot.chat.text.guard import plain_lines
from bot.chat.text.names import clean_name
from bot.chat.text.thinking import without_thoughts

FORMAT = "caduceus-scene"
FORMAT_VERSION = 1

_LABEL = re.compile(r"(\n[^\S\n]*)\*\*(?=[^\n*]{1,200}:\*\*)")


def speaker_of(scene: Scene, turn: Turn) -> str:
    """What whoever speaks is called in the scene."""
    if turn.role == "bot":
        return turn.persona or turn.speaker.name
    character = scene.characters.get(turn.speaker.speaker_id)
    return character.name if character is not None else turn.speaker.name


def text_of(turn: Turn) -> str:
    """What was said, without what was only thought."""
    return without_thoughts(turn.text) if turn.role == "bot" else turn.text


def as_markdown(scene: Scene, turns: Sequence[Turn], personas: Mapping[str, str]) -> str:
    """To read. `personas` are the names of the cast by their ids."""
    head = [f"# {scene.title}", "", f"*{_day(scene)}*", ""]
    cast = [personas.get(each, each) for each in scene.cast]
    people = [_described(one.name, one.description) for one in scene.characters.values()]
    head += ["Played by: " + ", ".join(cast), ""]
    if people:
        head += ["Players' characters:", "", *(f"- {line}" for line in people), ""]
    if scene.scenario:
        head += [*(f"> {line}" for line in scene.scenario.splitlines()), ""]
    said = (
        f"**{clean_name(speaker_of(scene, turn))}:** {_without_labels(text_of(turn))}\n"
        for turn in turns
    )
    return "\n".join([*head, "---", "", *said])


def as_json(scene: Scene, turns: Sequence[Turn], personas: Mapping[str, str]) -> str:
    """With everything that was set and said, the alternatives included."""
    document = {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "title": scene.title,
        "scenario": scene.scenario,
        "turns_mode": scene.mode.value,
        "note": {"text": scene.note, "depth": scene.note_depth} if scene.note else None,
        "started_at": scene.started_at.isoformat(),
        "ended_at": scene.ended_at.isoformat() if scene.ended_at else None,
        "cast": [{"id": each, "name": personas.get(each, "")} for each in scene.cast],
        "characters": [
            {"player": player, "name": one.name, "description": one.description}
            for player, one in scene.characters.items()
        ],
        "turns": [
            {
                "time": turn.created_at.isoformat(),
                "role": turn.role,
                "name": speaker_of(scene, turn),
                "speaker_id": turn.persona_id if turn.role == "bot" else turn.speaker.speaker_id,
                "text": text_of(turn),
                "alternatives": [without_thoughts(swipe.text) for swipe in turn.swipes],
                "shown": turn.active_swipe,
            }
            for turn in turns
        ],
    }
    return json.dumps(document, ensure_ascii=False, indent=1)


def _without_labels(text: str) -> str:
    """A text of which no line looks as if somebody else began to speak there."""
    return _LABEL.sub(r"\1\\**", plain_lines(text)).strip()


def _day(scene: Scene) -> str:
    began = f"{scene.started_at:%Y-%m-%d %H:%M} UTC"
    return began if scene.ended_at is None else f"{began} to {scene.ended_at:%Y-%m-%d %H:%M} UTC"


def _described(name: str, description: str) -> str:
    text = " ".join(description.split())
    return f"**{name}**: {text}" if text else f"**{name}**"
