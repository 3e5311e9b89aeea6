"""What the person behind an interaction may do there, as far as Discord itself says so.

Discord computes the permissions in the channel where the interaction happened and sends them with
it, so that they are as fresh as it is. Nothing here waits for anything.
"""

from collections.abc import Collection

import discord

from bot.chat.messages import Scope
from bot.errors import NotAllowed
from cogs.client import CaduceusBot, Interaction
from cogs.platform import Channel, may_send_in

NO_SERVER = ("There is no server here.", "Use this in a server.")


def is_owner(interaction: Interaction) -> bool:
    """Whether the bot belongs to them."""
    client = interaction.client
    return isinstance(client, CaduceusBot) and interaction.user.id in (client.owner_ids or ())


def holds_server(interaction: Interaction) -> bool:
    """Whether Discord lets them manage the server. The bot's owner may be anybody there."""
    held = _held(interaction)
    return held.administrator or held.manage_guild


def is_moderator(interaction: Interaction) -> bool:
    """Whether they look after this channel; in a direct message, everybody does."""
    if interaction.guild_id is None or is_owner(interaction):
        return True
    return holds_server(interaction) or _held(interaction).manage_messages


def may_change(interaction: Interaction, scope: Scope) -> bool:
    """Whether they may change the settings of a scope."""
    if interaction.guild_id is None:
        return scope is Scope.CHANNEL
    may_guild = holds_server(interaction) or is_owner(interaction)
    if scope is Scope.CHANNEL:
        return may_guild or _held(interaction).manage_channels
    return may_guild and scope is Scope.GUILD


def require_scope(interaction: Interaction, scope: Scope, does: str = "") -> None:
    """Raise NotAllowed unless they may change the settings of a scope, or what else it `does`."""
    if may_change(interaction, scope):
        return
    if interaction.guild_id is None:
        raise NotAllowed(NO_SERVER[0], "In a direct message, use scope `channel`.")
    needed = "Manage Server" if scope is Scope.GUILD else "Manage Channels or Manage Server"
    does = f"{does} for the {scope.value}" if does else f"Changing the {scope.value}'s settings"
    raise NotAllowed(f"{does} needs the permission {needed}.")


def require_server(interaction: Interaction, does: str = "That") -> None:
    """Raise NotAllowed unless they may change what the whole server has."""
    if interaction.guild_id is None:
        raise NotAllowed(*NO_SERVER)
    if not may_change(interaction, Scope.GUILD):
        raise NotAllowed(f"{does} needs the permission Manage Server.")


def require_forgetter(interaction: Interaction) -> None:
    """Raise NotAllowed unless they may have other people's data erased here.

    Not even the bot's owner may without Discord's permission.
    """
    if interaction.guild_id is None:
        raise NotAllowed(
            "Somebody else's data can only be erased in a server.",
            "For your own, use `/privacy forget` without a member.",
        )
    if not holds_server(interaction):
        raise NotAllowed("Erasing somebody else's data needs the permission Manage Server.")


def own_server(interaction: Interaction) -> str:
    """The server whose own things are meant. Raises NotAllowed in a direct message."""
    if interaction.guild_id is None:
        raise NotAllowed(*NO_SERVER)
    return str(interaction.guild_id)


def require_moderator(interaction: Interaction, does: str = "That") -> None:
    """Raise NotAllowed unless they look after this channel."""
    if not is_moderator(interaction):
        raise NotAllowed(f"{does} needs the permission Manage Messages here, or Manage Server.")


def require_reader(interaction: Interaction) -> None:
    """Raise NotAllowed unless they may read what was said in the channel before."""
    held = _held(interaction)
    may_read = held.administrator or (held.view_channel and held.read_message_history)
    if interaction.guild_id is not None and not may_read:
        raise NotAllowed("This shows what was said before, which you may not read here.")


def require_may_send(channel: Channel) -> None:
    """Raise NotAllowed where the bot could not show what it writes."""
    if not may_send_in(channel):
        raise NotAllowed(
            "I may not write in this channel.", "I need the permission to send messages here."
        )


def is_asker(interaction: Interaction, asked_by: Collection[str]) -> bool:
    """Whether they asked for this reply, or are a moderator."""
    return str(interaction.user.id) in asked_by or is_moderator(interaction)


def require_asker(interaction: Interaction, asked_by: Collection[str]) -> None:
    """Raise NotAllowed unless they asked for this reply or are a moderator."""
    if is_asker(interaction, asked_by):
        return
    raise NotAllowed("Only the person who asked, and moderators, can do that with this reply.")


def _held(interaction: Interaction) -> discord.Permissions:
    return interaction.permissions
