"""What the front end needs for people's own data."""

from dataclasses import dataclass

from bot.chat.privacy.handling import Handling
from bot.chat.privacy.ports import Belongings
from bot.chat.privacy.staying_out import StayingOut


@dataclass(frozen=True, slots=True)
class Privacy:
    """How people's data is handled, handed out, and kept out."""

    staying_out: StayingOut
    belongings: Belongings
    handling: Handling
