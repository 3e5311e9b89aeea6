"""Who may do what. Checked when it is done, whatever Discord's own permissions let through."""

from collections.abc import Collection

import discord

from bot.chat.messages import Scope
from bot.errors import NotAllowed

Interaction = discord.Interaction[discord.Client]


def is_moderator(interaction: Interaction) -> bool:
    """Whether a member looks after this channel; in a direct message, everybody does."""
    if interaction.guild_id is None:
        return True
    held = interaction.permissions
    return held.administrator or held.manage_guild or held.manage_channels or held.manage_messages


def may_change(interaction: Interaction, scope: Scope) -> bool:
    """Whether a member may change the settings of a scope."""
    if interaction.guild_id is None:
        return scope is Scope.CHANNEL
    held = interaction.permissions
    may_guild = held.administrator or held.manage_guild
    if scope is Scope.CHANNEL:
        return may_guild or held.manage_channels
    return may_guild and scope is Scope.GUILD


def require_scope(interaction: Interaction, scope: Scope) -> None:
    """Raise NotAllowed unless the member may change the settings of a scope."""
    if may_change(interaction, scope):
        return
    if interaction.guild_id is None:
        raise NotAllowed("There is no server here.", "In a direct message, use scope `channel`.")
    needed = "Manage Server" if scope is Scope.GUILD else "Manage Channels or Manage Server"
    raise NotAllowed(f"Changing the {scope.value}'s settings needs the permission {needed}.")


def require_reader(interaction: Interaction) -> None:
    """Raise NotAllowed unless the member may read what was said in the channel before."""
    if interaction.guild_id is not None and not interaction.permissions.read_message_history:
        raise NotAllowed("This shows what was said before, which you may not read here.")


def require_asker(interaction: Interaction, asked_by: Collection[str]) -> None:
    """Raise NotAllowed unless the member asked for this reply or is a moderator."""
    if str(interaction.user.id) in asked_by or is_moderator(interaction):
        return
    raise NotAllowed("Only the person who asked, and moderators, can do that with this reply.")
