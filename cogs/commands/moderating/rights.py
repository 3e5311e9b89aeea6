"""Who may do what with `/moderation`, checked once more when a button is pressed."""

from bot.chat.messages import Scope
from bot.errors import NotAllowed
from cogs.interactions import Interaction, is_moderator, may_change


def require_moderator(interaction: Interaction) -> None:
    """Raise NotAllowed unless the member looks after this channel."""
    if not is_moderator(interaction):
        raise NotAllowed(
            "That is for moderators of this channel.",
            "They have the permission Manage Messages here, or Manage Server.",
        )


def require_server(interaction: Interaction) -> int:
    """The id of the server that the member looks after. Raises NotAllowed."""
    guild_id = require_guild(interaction)
    if not may_change(interaction, Scope.GUILD):
        raise NotAllowed("That needs the permission Manage Server.")
    return guild_id


def require_guild(interaction: Interaction) -> int:
    """The id of the server. Raises NotAllowed in a direct message."""
    if interaction.guild_id is None:
        raise NotAllowed("There is no server here.", "Use that in a server's channel.")
    return interaction.guild_id
