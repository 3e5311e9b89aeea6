"""Everything of moderation that a front end needs, in one hand."""

from dataclasses import dataclass, field

from bot.chat.moderation.journal import Journal


@dataclass(frozen=True, slots=True)
class Moderation:
    """What moderators do things with."""

    journal: Journal = field(default_factory=Journal)
