"""A scene in the prompts of its replies: scenario, players' characters, the author's note."""

from collections.abc import Iterator

from bot.chat.messages import Turn
from bot.chat.persona import DepthPrompt
from bot.chat.prompt.parts import Part, Place, Priority, TokenBudget
from bot.chat.prompt.staging import NO_SCENE, Player, Staging
from bot.chat.roleplay.scenes.keeping import Scenes
from bot.chat.roleplay.scenes.scene import Scene
from bot.chat.text.names import clean_name

SHARE_OF_CONTEXT = 4  # the scenario, and the characters too, take a quarter of it at most
# Of what stands even where no earlier turn has room, these go after lore and before notes.
_SCENARIO_RANK = 1 << 29
_CHARACTER_RANK = _SCENARIO_RANK - 1


class Stager:
    """A :class:`~bot.chat.prompt.staging.SceneTeller` on what is kept of scenes."""

    def __init__(self, scenes: Scenes) -> None:
        """`scenes` keeps them."""
        self._scenes = scenes

    async def stage(self, turn: Turn, context_tokens: int) -> Staging:
        """What the scene that was played when a turn was said adds to its prompt."""
        scene = await self._scenes.at(turn.channel, turn.created_at)
        return NO_SCENE if scene is None else staging_of(scene, context_tokens)


def staging_of(scene: Scene, context_tokens: int) -> Staging:
    """What a scene adds to every prompt of its replies."""
    note = DepthPrompt(text=scene.note, depth=scene.note_depth) if scene.note.strip() else None
    players = {
        player: Player(clean_name(one.name), one.description)
        for player, one in scene.characters.items()
    }
    return Staging(
        parts=tuple(_parts(scene, context_tokens)),
        note=note,
        players=players,
        is_scene=True,
        has_scenario=bool(scene.scenario.strip()),
    )


def _parts(scene: Scene, context_tokens: int) -> Iterator[Part]:
    share = context_tokens // SHARE_OF_CONTEXT
    if scene.scenario.strip():
        yield Part(
            "scenario",
            scene.scenario,
            Place.AFTER_PERSONA,
            Priority.IMPORTANT,
            rank=_SCENARIO_RANK,
            heading="What happens in this scene:",
            joint="\n",
            budget=TokenBudget("scenario", share),
            is_trusted=True,
        )
    budget = TokenBudget("characters", share)
    for one in scene.characters.values():
        if one.description.strip():
            yield Part(
                "characters",
                f"{clean_name(one.name)} is played by a person. {one.description}",
                Place.AFTER_PERSONA,
                Priority.IMPORTANT,
                rank=_CHARACTER_RANK,
                joint="\n",
                heading="Who else is there:",
                budget=budget,
            )
