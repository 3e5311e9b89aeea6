"""A scene: what is played in a channel, by whom, and who speaks when."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from bot.chat.messages import ChannelKey

TITLE_CHARACTERS = 90  # a thread's name has room for 100
SCENARIO_CHARACTERS = 4_000
NOTE_CHARACTERS = 2_000
NAME_CHARACTERS = 80
DESCRIPTION_CHARACTERS = 1_500
NOTE_DEPTH = 4  # turns from the end, where nobody says otherwise
MOST_DEPTH = 100
MOST_PERSONAS = 25
MOST_CHARACTERS = 25


class Mode(StrEnum):
    """Who of the cast answers a message."""

    FREE = "free"  # who is named, else one by talkativeness, never the last speaker twice
    ROUND = "round"  # one after another, in the order of the cast
    NAMED = "named"  # only who is named or replied to


@dataclass(frozen=True, slots=True)
class Character:
    """Whom a player plays. Both texts are the player's own: raw."""

    name: str
    description: str = ""


@dataclass(frozen=True, slots=True)
class Scene:
    """A roleplay in a channel; a channel has one at a time. `scene_id` 0: not kept yet."""

    channel: ChannelKey
    title: str
    cast: tuple[str, ...]  # personas' ids, whoever greets first
    started_by: str  # a speaker's id; "" where that person was forgotten
    started_at: datetime
    scenario: str = ""
    mode: Mode = Mode.FREE
    characters: Mapping[str, Character] = field(default_factory=dict[str, Character])
    note: str = ""  # the author's
    note_depth: int = NOTE_DEPTH
    is_paused: bool = False
    ended_at: datetime | None = None
    scene_id: int = 0

    @property
    def has_ended(self) -> bool:
        """Whether it is over."""
        return self.ended_at is not None
