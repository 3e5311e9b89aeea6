"""What an activation gives: what fired, by which key, and what did not and why."""

from dataclasses import dataclass
from enum import StrEnum

from bot.chat.personas.lore.book import LoreEntry, LoreRole, Position
from bot.chat.roleplay.activation.request import EntryId


class Cause(StrEnum):
    """Why an entry fired, in words for people."""

    KEY = "by its keys"
    CONSTANT = "always there"
    STICKY = "still there from before"
    ACTIVATE = "by @@activate"
    KEPT = "by @@keep_activate_after_match"


class Reason(StrEnum):
    """Why an entry did not fire, in words for people."""

    DISABLED = "it is disabled"
    EMPTY = "it has no text"
    TRIGGER = "it is not for this kind of reply"
    CHARACTER = "it is not for this character"
    DELAY = "the conversation is still too short"
    COOLDOWN = "it is cooling down"
    DECORATOR = "a decorator holds it back"
    RECURSION = "only other entries may trigger it"
    NO_KEYS = "it has no keys"
    NO_MATCH = "none of its keys is there"
    SECONDARY = "its secondary keys keep it out"
    ADDITIONAL = "none of its additional keys is there"
    EXCLUDED = "a key that excludes it is there"
    GIVEN_UP = "a pattern was given up"
    PROBABILITY = "chance was against it"
    GROUP = "another entry of its group stands"
    BUDGET = "no room in the lore's budget"


TOO_MANY = "the books hold more entries and keys than are looked through for one reply"


@dataclass(frozen=True, slots=True)
class Hit:
    """A key that was found, as its author wrote it, and where."""

    key: str
    where: str  # "message 1" is the newest one; "the scenario"; "the entry «Dragons»"


@dataclass(frozen=True, slots=True)
class Placement:
    """Where an entry stands. `depth` and `role` count AT_DEPTH, `outlet` in OUTLET."""

    position: Position
    depth: int = 0
    role: LoreRole = "system"
    outlet: str = ""


@dataclass(frozen=True, slots=True)
class Fired:
    """An entry that is told to the model. `text` is without decorators, macros as written."""

    entry_id: EntryId
    entry: LoreEntry
    book_name: str
    text: str
    placement: Placement
    cause: Cause
    hits: tuple[Hit, ...]
    tokens: int
    rank: int  # the lowest goes first where the context is short
    is_spare: bool = False  # @@ignore_on_max_context: before anything else does
    ignores_budget: bool = False


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An entry that did not fire. With `hits` its keys were found all the same."""

    entry_id: EntryId
    entry: LoreEntry
    book_name: str
    reason: Reason
    detail: str = ""
    hits: tuple[Hit, ...] = ()


@dataclass(frozen=True, slots=True)
class GivenUp:
    """A key that was not looked for to the end, whether its entry fired by another or not."""

    entry_id: EntryId
    title: str
    book_name: str
    key: str
    why: str


@dataclass(frozen=True, slots=True)
class Unread:
    """A book's entries from this one on were not taken up: there is too much for one reply."""

    entry_id: EntryId
    title: str
    book_name: str
    entries: int  # how many

    @property
    def said(self) -> str:
        """Which, in words for people."""
        if self.entries == 1:
            return f"the last entry, «{self.title}»"
        return f"the last {self.entries:,} entries, from «{self.title}» on"


@dataclass(frozen=True, slots=True)
class Activation:
    """The outcome. `fired` stands in the order in which it is inserted."""

    fired: tuple[Fired, ...] = ()
    left_out: tuple[LeftOut, ...] = ()  # matched, or would have but for one thing
    silent: tuple[LeftOut, ...] = ()  # the others: no key found, disabled, empty
    given_up: tuple[GivenUp, ...] = ()
    unread: tuple[Unread, ...] = ()  # one a book
    tokens: int = 0  # of what counts against the budget
    budget: int | None = None
    disabled_prompts: frozenset[str] = frozenset()  # @@disable_ui_prompt
    steps: int = 0  # how often was scanned
    is_cut_short: bool = False  # a bound ended the recursion
