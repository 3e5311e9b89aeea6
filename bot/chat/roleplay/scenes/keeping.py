"""What scenes need of the world: somebody who keeps them."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from bot.chat.messages import ChannelKey, Turn
from bot.chat.roleplay.scenes.scene import Scene

SceneChange = Callable[[Scene], Scene]
"""A scene after a change. Raises a UserError where it may not be changed so."""


@dataclass(frozen=True, slots=True)
class Fork:
    """A copy of a conversation: how many turns it has, its last one, the copy of the scene."""

    turns: int
    last: Turn
    scene: Scene | None = None


class Scenes(Protocol):
    """Keeps scenes. Each method is one transaction: it is durable when it returns."""

    async def running(self, channel: ChannelKey) -> Scene | None:
        """The scene that is played in a channel now, be it paused."""
        ...

    async def at(self, channel: ChannelKey, moment: datetime) -> Scene | None:
        """The scene that was played in a channel at a moment, as it is now."""
        ...

    async def start(self, scene: Scene) -> Scene:
        """Keep a new scene. NotAllowed where one runs in its channel."""
        ...

    async def change(self, scene_id: int, change: SceneChange) -> Scene:
        """Change a scene that has not ended, one change after another.

        Raises NotFound for any other, and what `change` raises; then nothing has changed.
        """
        ...

    async def end(self, scene_id: int) -> Scene:
        """End a scene. NotFound where it has ended already."""
        ...

    async def fork(self, turn_id: int, target: ChannelKey, by: str) -> Fork:
        """Copy a conversation up to a turn, with all swipes, into a new one of `target`.

        The new conversation becomes the current one there; a scene that was played when the turn
        was said is copied, too, and belongs to `by`, unless one runs in `target`. Nothing of the
        copy refers to the original. Raises NotFound.
        """
        ...
