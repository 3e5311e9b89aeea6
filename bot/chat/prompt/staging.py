"""What a scene adds to the prompts of its replies, and where that comes from.

The records are neutral, so that the prompt knows nothing of how scenes are kept: `roleplay` does
that behind :class:`SceneTeller`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from bot.chat.messages import HistoryWindow, QuotedMessage, Speaker, Turn
from bot.chat.persona import DepthPrompt
from bot.chat.prompt.parts import Part


@dataclass(frozen=True, slots=True)
class Player:
    """Whom a person plays in a scene: raw."""

    name: str
    description: str = ""


@dataclass(frozen=True, slots=True)
class Staging:
    """What stands in a prompt because of a scene."""

    parts: tuple[Part, ...] = ()
    note: DepthPrompt | None = None
    players: Mapping[str, Player] = field(default_factory=dict[str, Player])  # by speakers' ids
    is_scene: bool = False  # all that is said belongs to it, addressed or not
    has_scenario: bool = False  # among the parts

    def masked(self, mask: Callable[[str], str]) -> "Staging":
        """The same, without the words that `mask` masks in what people wrote for the scene.

        Its parts are as they were: they are masked where the prompt is written.
        """
        note = self.note
        players = {
            player: Player(mask(one.name), mask(one.description))
            for player, one in self.players.items()
        }
        return replace(
            self,
            note=None if note is None else note.model_copy(update={"text": mask(note.text)}),
            players=players,
        )

    def cast(self, window: HistoryWindow) -> HistoryWindow:
        """What was said, by the characters that people play."""
        if not self.players:
            return window
        return replace(window, turns=tuple(map(self._cast_turn, window.turns)))

    def silent(self, window: HistoryWindow) -> tuple[str, ...]:
        """The characters of players that have said nothing in the window."""
        spoke = {turn.speaker.speaker_id for turn in window.turns if turn.role == "user"}
        return tuple(one.name for player, one in self.players.items() if player not in spoke)

    def description_of_user(self, window: HistoryWindow) -> str:
        """Of the character that spoke last, which `{{user}}` is."""
        users = (turn for turn in reversed(window.turns) if turn.role == "user")
        newest = next(users, None)
        player = self.players.get(newest.speaker.speaker_id) if newest is not None else None
        return player.description if player is not None else ""

    def _cast_turn(self, turn: Turn) -> Turn:
        speaker = self._cast_speaker(turn.speaker) if turn.role == "user" else turn.speaker
        return replace(turn, speaker=speaker, reply_to=self._cast_quote(turn.reply_to))

    def _cast_quote(self, quote: QuotedMessage | None) -> QuotedMessage | None:
        return None if quote is None else replace(quote, author=self._cast_speaker(quote.author))

    def _cast_speaker(self, speaker: Speaker) -> Speaker:
        player = self.players.get(speaker.speaker_id)
        return speaker if player is None else replace(speaker, name=player.name)


NO_SCENE = Staging()


class SceneTeller(Protocol):
    """Knows in which scene a reply is spoken."""

    async def stage(self, turn: Turn, context_tokens: int) -> Staging:
        """What the scene of a bot's turn adds to its prompt. Raises StoreError.

        `context_tokens` is the room of prompt and reply together.
        """
        ...


class NoScenes:
    """Where nothing is played."""

    async def stage(self, turn: Turn, context_tokens: int) -> Staging:
        """Nothing."""
        del turn, context_tokens
        return NO_SCENE
