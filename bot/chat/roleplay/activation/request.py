"""What activation is given: books, turns, settings, and what fired before."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from bot.chat.personas.lore.book import Lorebook

CHARACTERS_A_TOKEN = 4  # of text, where nobody counts them


@dataclass(frozen=True, slots=True, order=True)
class EntryId:
    """Which entry of which book: the same while the book is."""

    book_id: str
    uid: str

    def __str__(self) -> str:
        return f"{self.book_id}/{self.uid}"


@dataclass(frozen=True, slots=True)
class AttachedBook:
    """A book in use here. A lower `precedence` counts more: a persona's before a channel's.

    The order in which books are given doesn't matter; of one `book_id` the first counts.
    """

    book_id: str
    book: Lorebook
    precedence: int = 0


@dataclass(frozen=True, slots=True)
class ChatTurn:
    """What was said: by a person or by the bot, under the name that the prompt shows."""

    role: Literal["user", "bot"]
    name: str
    text: str


@dataclass(frozen=True, slots=True)
class PastFiring:
    """An entry fired for a reply, when the chat had `at` messages. Recorded with the reply."""

    entry: EntryId
    at: int


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is known beside the turns. Entries scan these texts only where they ask for it."""

    character_name: str = ""
    character_tags: tuple[str, ...] = ()
    character_description: str = ""
    character_personality: str = ""
    character_depth_prompt: str = ""
    scenario: str = ""
    creator_notes: str = ""
    persona_description: str = ""  # of the person who writes
    trigger: str = "normal"  # or "continue", "swipe", "regenerate", ...
    greeting: int | None = None  # which one the conversation began with; None: not known
    # All messages of the conversation, and the bot's among them, where the turns given are but the
    # newest. None: the turns are all.
    messages: int | None = None
    bot_messages: int | None = None


@dataclass(frozen=True, slots=True)
class ActivationSettings:
    """What holds where neither entry nor book says anything. The defaults are SillyTavern's.

    The budget is `budget_percent` of `context_tokens`, at most `budget_tokens`; a 0 is no limit of
    that kind.
    """

    scan_depth: int = 2  # messages
    context_tokens: int = 0
    budget_percent: int = 25
    budget_tokens: int = 0
    recursion: bool = True
    max_recursion_steps: int = 0  # 0: until nothing new, at most MOST_STEPS
    case_sensitive: bool = False
    whole_words: bool = True
    include_names: bool = True  # "Name: text" is what is scanned
    group_scoring: bool = False
    min_activations: int = 0  # look further back until so many have fired
    min_activations_depth: int = 0  # at most so far; 0: as far as the turns go
    # Bounds of one activation. Those in seconds are the only ones that a slow machine may feel.
    scan_characters: int = 200_000  # of the messages, the newest first
    regex_match_seconds: float = 0.05
    regex_scan_seconds: float = 0.5

    @property
    def budget(self) -> int | None:
        """In tokens; None for no limit."""
        limits = [self.budget_tokens] if self.budget_tokens > 0 else []
        if self.context_tokens > 0 and self.budget_percent > 0:
            limits.append(max(1, self.context_tokens * min(self.budget_percent, 100) // 100))
        return min(limits, default=None)


def estimate_tokens(text: str) -> int:
    """A guess, where no tokenizer is at hand."""
    return len(text.encode(errors="replace")) // CHARACTERS_A_TOKEN + 1


def unchanged(text: str) -> str:
    """Expands no macros."""
    return text


@dataclass(frozen=True, slots=True)
class Request:
    """Everything that decides an activation: equal ones have equal outcomes."""

    books: tuple[AttachedBook, ...]
    turns: tuple[ChatTurn, ...]  # oldest first
    settings: ActivationSettings = field(default_factory=ActivationSettings)
    seed: int = 0
    surroundings: Surroundings = field(default_factory=Surroundings)
    past: tuple[PastFiring, ...] = ()
    count: Callable[[str], int] = estimate_tokens  # tokens of a content
    expand: Callable[[str], str] = unchanged  # macros, in keys and in content that is scanned

    @property
    def messages(self) -> int:
        """How many messages the conversation has."""
        given = self.surroundings.messages
        return len(self.turns) if given is None else given

    @property
    def bot_messages(self) -> int:
        """How many of them the bot wrote."""
        given = self.surroundings.bot_messages
        return sum(turn.role == "bot" for turn in self.turns) if given is None else given
