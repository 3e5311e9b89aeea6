"""The kinds of right that a command or control asks for, and the rows of their table."""

from dataclasses import dataclass
from enum import Enum


class Right(Enum):
    """What somebody has to be; in a direct message, people are their own moderators.

    The bot's owner may all of it, but for what is other people's: what they said where the owner
    may not read it (READER), their data (FORGETTER), and what was made for them (PRESSER).
    """

    EVERYONE = "whoever sees it"
    READER = "whoever may read what was said in the channel before"
    TALKER = "whoever may talk to the bot there"
    MODERATOR = "Manage Messages in the channel, or Manage Server"
    SERVER = "Manage Server"
    PRESSER = "whoever it was made for"
    SCOPE = "Manage Server for the server, Manage Channels or Manage Server for a channel"
    CHANGE = "whoever may change the setting where it was changed"
    CHOOSER = (
        "whoever may talk to the bot there, or whoever may change the channel's settings alone, as "
        "`persona_choice` says"
    )
    ASKER = "who asked for the reply, and moderators"
    FACT = "whose fact it is, and moderators (Manage Server for a persona's facts)"
    SCENE = "who started the scene, if the bot answers them, and moderators"
    FORGETTER = "everybody for their own data, Manage Server for somebody else's"


class Answer(Enum):
    """How an interaction is acknowledged before a right is asked for that depends on the store."""

    PRIVATE = "for who asked"
    OPEN = "in the channel"
    UPDATE = "in the message that the control stands under"


# What these depend on lies in the store, which may take longer than Discord's three seconds.
ASKS_THE_STORE = frozenset(
    {Right.TALKER, Right.CHANGE, Right.CHOOSER, Right.ASKER, Right.FACT, Right.SCENE}
)


@dataclass(frozen=True, slots=True)
class Row:
    """What a command or control asks for: every one of its rights.

    `answer` is how it is acknowledged first, where one of them asks the store, or where the bot
    `writes` then: whoever makes it write has to be let in as with a message. `does` says in a
    refusal what needs the right; `shown` is what people see of a control.
    """

    rights: tuple[Right, ...]
    answer: Answer | None = None
    writes: bool = False
    does: str = "That"
    shown: str = ""

    @property
    def asks_the_store(self) -> bool:
        """Whether all of it cannot be told at once."""
        return self.writes or not ASKS_THE_STORE.isdisjoint(self.rights)
