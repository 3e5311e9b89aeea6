"""The tables of every room, for what works with all of them."""

from bot.store.limits import tables as of_limits
from bot.store.memory import tables as of_memory
from bot.store.moderation import tables as of_moderation
from bot.store.personas import tables as of_personas
from bot.store.privacy import left_out as of_opt_outs
from bot.store.privacy import tables as of_privacy
from bot.store.scenes import tables as of_scenes
from bot.store.tables import Base
from bot.store.words import tables as of_words

__all__ = [
    "Base",
    "of_limits",
    "of_memory",
    "of_moderation",
    "of_opt_outs",
    "of_personas",
    "of_privacy",
    "of_scenes",
    "of_words",
]
