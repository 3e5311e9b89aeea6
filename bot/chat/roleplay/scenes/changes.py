"""Changes of a scene, as pure functions: a scene in, the changed one out, or a refusal."""

from collections.abc import Collection
from dataclasses import replace
from typing import Protocol

from bot.chat.roleplay.scenes.scene import (
    DESCRIPTION_CHARACTERS,
    MOST_CHARACTERS,
    MOST_DEPTH,
    MOST_PERSONAS,
    NAME_CHARACTERS,
    NOTE_CHARACTERS,
    SCENARIO_CHARACTERS,
    TITLE_CHARACTERS,
    Character,
    Scene,
)
from bot.chat.text.guard import fold
from bot.chat.text.names import clean_name
from bot.errors import NotAllowed, NotFound


class Recast(Protocol):
    """A change of the cast by one persona, of that name."""

    def __call__(self, scene: Scene, persona_id: str, name: str) -> Scene:
        """The changed scene."""
        ...


def clean_title(title: str) -> str:
    """A title on one line. Raises NotAllowed for one that nobody could read."""
    title = " ".join(title.split())[:TITLE_CHARACTERS].strip()
    if not any(character.isalnum() for character in title):
        raise NotAllowed("A scene needs a title.", "Give it a few words.")
    return title


def refuse_long(text: str, limit: int, what: str) -> str:
    """The text without blanks around it. Raises NotAllowed where it is too long."""
    text = text.strip()
    if len(text) > limit:
        raise NotAllowed(
            f"The {what} has {len(text)} characters, {limit} at most are possible.", "Shorten it."
        )
    return text


def clean_scenario(text: str) -> str:
    """A scenario. Raises NotAllowed where it is too long."""
    return refuse_long(text, SCENARIO_CHARACTERS, "scenario")


def with_persona(scene: Scene, persona_id: str, name: str) -> Scene:
    """With one more in its cast, at the end."""
    if persona_id in scene.cast:
        raise NotAllowed(f"{name} plays in this scene already.")
    if len(scene.cast) >= MOST_PERSONAS:
        raise NotAllowed(
            f"{MOST_PERSONAS} personas play in this scene, which is the limit.",
            "Take one out of the cast first.",
        )
    return replace(scene, cast=(*scene.cast, persona_id))


def without_persona(scene: Scene, persona_id: str, name: str) -> Scene:
    """Without one of its cast; the last one stays."""
    if persona_id not in scene.cast:
        raise NotFound(f"{name} does not play in this scene.")
    if len(scene.cast) == 1:
        raise NotAllowed(f"{name} is the last one of the cast.", "Add another one first.")
    return replace(scene, cast=tuple(each for each in scene.cast if each != persona_id))


def with_character(
    scene: Scene, player: str, name: str, description: str, taken: Collection[str]
) -> Scene:
    """With a player's character, in place of the one before. `taken` are the personas' names."""
    name = clean_name(name[:NAME_CHARACTERS], "").strip()
    if not name:
        raise NotAllowed("That is no name.", "Use letters.")
    others = (one.name for player_id, one in scene.characters.items() if player_id != player)
    if fold(name) in {fold(other) for other in (*others, *taken)}:
        raise NotAllowed(f"Somebody in this scene is called {name} already.", "Take another name.")
    if player not in scene.characters and len(scene.characters) >= MOST_CHARACTERS:
        raise NotAllowed(f"{MOST_CHARACTERS} players have characters here, which is the limit.")
    description = refuse_long(description, DESCRIPTION_CHARACTERS, "description")
    return replace(scene, characters={**scene.characters, player: Character(name, description)})


def without_character(scene: Scene, player: str) -> Scene:
    """Without a player's character: they are called by their own name again."""
    if player not in scene.characters:
        raise NotFound("You play nobody in this scene.", "Say who you are: a name.")
    left = {each: one for each, one in scene.characters.items() if each != player}
    return replace(scene, characters=left)


def with_note(scene: Scene, text: str, depth: int) -> Scene:
    """With another author's note; "" takes it away."""
    if not 0 <= depth <= MOST_DEPTH:
        raise NotAllowed(f"The depth of a note is from 0 to {MOST_DEPTH} turns.")
    return replace(scene, note=refuse_long(text, NOTE_CHARACTERS, "note"), note_depth=depth)


def paused(scene: Scene) -> Scene:
    """Nobody of the cast answers until it goes on."""
    if scene.is_paused:
        raise NotAllowed("The scene is paused already.")
    return replace(scene, is_paused=True)


def resumed(scene: Scene) -> Scene:
    """It goes on."""
    if not scene.is_paused:
        raise NotAllowed("The scene is not paused.")
    return replace(scene, is_paused=False)
