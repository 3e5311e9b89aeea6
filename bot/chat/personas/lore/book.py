"""The records of a lorebook: neutral, whichever program wrote it.

The fields are those of the books of character-card-spec-v2 and -v3, of SillyTavern's World Info,
and what NovelAI, Agnai and Risu have that means the same. Whatever else a file held stays in `raw`,
so that it goes out as it came.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from typing import Literal

JsonObject = Mapping[str, object]
LoreRole = Literal["system", "user", "bot"]
Number = int | float

DEFAULT_ORDER = 100  # SillyTavern's
DEFAULT_DEPTH = 4
DEFAULT_WEIGHT = 100


class BookKind(Enum):
    """The format that a book came in; the value says it in words."""

    CHARACTER_BOOK = "a character's lorebook"
    LOREBOOK_V3 = "a V3 lorebook"
    WORLD_INFO = "a lorebook of SillyTavern (World Info)"
    NOVELAI = "a lorebook of NovelAI"
    AGNAI = "a memory book of Agnai"
    RISU = "a lorebook of Risu"


class Logic(IntEnum):
    """What the secondary keys must do; SillyTavern's numbers."""

    AND_ANY = 0
    NOT_ALL = 1
    NOT_ANY = 2
    AND_ALL = 3


class Position(IntEnum):
    """Where an entry stands; SillyTavern's numbers, then those that only decorators name."""

    BEFORE_PERSONA = 0
    AFTER_PERSONA = 1
    NOTE_TOP = 2
    NOTE_BOTTOM = 3
    AT_DEPTH = 4
    EXAMPLES_TOP = 5
    EXAMPLES_BOTTOM = 6
    OUTLET = 7  # where `{{outlet::name}}` stands
    PERSONALITY = 8
    SCENARIO = 9


def _nothing() -> JsonObject:
    return {}


@dataclass(frozen=True, slots=True)
class LoreEntry:
    """One entry. `uid` is unique in its book. None means that the book or the settings decide.

    `content` still has its decorators (`@@depth 4`). `raw` is the entry as it stood in its file,
    {} for one that was made here; `extensions` are those of it that no field stands for.
    """

    uid: str
    keys: tuple[str, ...] = ()
    content: str = ""
    name: str = ""
    comment: str = ""
    enabled: bool = True
    constant: bool = False
    order: Number = DEFAULT_ORDER  # lower stands earlier
    priority: Number | None = None  # the lowest goes first where the budget is short
    # Which keys, and how they are compared.
    secondary_keys: tuple[str, ...] = ()
    selective: bool = False  # whether the secondary keys count
    logic: Logic = Logic.AND_ANY
    case_sensitive: bool | None = None
    whole_words: bool | None = None
    use_regex: bool = False  # keys are patterns also where they don't stand between slashes
    scan_depth: int | None = None  # in messages
    # Where it stands.
    position: Position = Position.BEFORE_PERSONA
    depth: int = DEFAULT_DEPTH  # AT_DEPTH: before so many of the newest messages
    role: LoreRole = "system"
    outlet: str = ""
    # Chance and groups.
    use_probability: bool = True
    probability: Number = 100  # in percent
    group: str = ""  # names with commas between
    group_override: bool = False
    group_weight: Number = DEFAULT_WEIGHT
    group_scoring: bool | None = None
    # Time, in messages; 0 is off.
    sticky: int = 0
    cooldown: int = 0
    delay: int = 0
    # Recursion.
    exclude_recursion: bool = False  # other entries' content does not trigger it
    prevent_recursion: bool = False  # its content triggers nothing
    delay_until_recursion: int = 0  # 0 off, else the level from which on content triggers it
    ignore_budget: bool = False
    # What is scanned beside the messages.
    match_persona_description: bool = False  # of the person, not of the character
    match_character_description: bool = False
    match_character_personality: bool = False
    match_character_depth_prompt: bool = False
    match_scenario: bool = False
    match_creator_notes: bool = False
    # For whom and when.
    character_names: tuple[str, ...] = ()
    character_tags: tuple[str, ...] = ()
    character_exclude: bool = False  # for all but those
    triggers: tuple[str, ...] = ()  # "normal", "continue", "swipe", ...; none means all
    vectorized: bool = False  # SillyTavern finds it by meaning: kept, its keys alone count here
    automation_id: str = ""
    display_index: int | None = None
    extensions: JsonObject = field(default_factory=_nothing, compare=False)
    raw: JsonObject = field(default_factory=_nothing, compare=False, repr=False)

    @property
    def title(self) -> str:
        """What people call it: its name, its comment, its first key or its number."""
        named = self.name.strip() or self.comment.strip() or ", ".join(self.keys[:3])
        return " ".join(named.split())[:80] or f"entry {self.uid[:40]}"


@dataclass(frozen=True, slots=True)
class Lorebook:
    """A book. `raw` is what it was read from, {} for one that was made here.

    `envelope` is the whole file of a V3 lorebook, whose `data` is the book.
    """

    kind: BookKind
    name: str = ""
    description: str = ""
    scan_depth: int | None = None  # in messages; None: the settings decide
    token_budget: int | None = None
    recursive: bool | None = None
    entries: tuple[LoreEntry, ...] = ()
    extensions: JsonObject = field(default_factory=_nothing, compare=False)
    raw: JsonObject = field(default_factory=_nothing, compare=False, repr=False)
    envelope: JsonObject = field(default_factory=_nothing, compare=False, repr=False)
