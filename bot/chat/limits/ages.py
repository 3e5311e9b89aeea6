"""Age-restricted personas speak in age-restricted channels alone."""

from bot.chat.messages import ChannelKey
from bot.chat.persona import Persona
from bot.errors import NotAllowed

OWNERS_PLATFORMS = frozenset({"workbench", "talk"})  # where nobody is but the bot's owner


def may_speak(persona: Persona, channel: ChannelKey) -> bool:
    """Whether a persona may speak in a channel, whoever asks for it."""
    if not persona.is_age_restricted or channel.platform in OWNERS_PLATFORMS:
        return True
    return channel.is_age_restricted


def require_may_speak(persona: Persona, channel: ChannelKey) -> None:
    """Raise NotAllowed where a persona may not speak."""
    if may_speak(persona, channel):
        return
    if channel.is_direct:
        where = "Discord knows of no age in direct messages; use it in an age-restricted channel."
    else:
        where = "Use it in an age-restricted channel; this one is not, by Discord's settings of it."
    raise NotAllowed(f"«{persona.name}» is age-restricted.", where)
