"""Opens threads for scenes and forks, where that can be."""

import logging
from contextlib import suppress

import discord

from bot.errors import NotAllowed
from cogs.client import Interaction, bot_of, channel_of
from cogs.platform import WRITE_ERRORS
from cogs.rights.holding import is_moderator

NAME_CHARACTERS = 100  # of a thread: Discord's limit
NEEDED = "For a thread I need the permissions Create Public Threads and Send Messages in Threads."

_log = logging.getLogger(__name__)


async def open_thread(interaction: Interaction, name: str) -> discord.Thread | None:
    """A public thread of the channel that is written in; None where there can be none."""
    channel = channel_of(interaction)
    if not isinstance(channel, discord.TextChannel):
        return None
    held = interaction.app_permissions
    if not (held.create_public_threads and held.send_messages_in_threads):
        return None
    return await _opened(interaction, channel, name)


async def open_beside(interaction: Interaction, name: str, opening: str) -> discord.Thread | None:
    """A thread beside the one, or of the channel, that is written in; as private as that one.

    `opening` is its first message. None where there can be none.
    """
    channel = channel_of(interaction)
    if isinstance(channel, discord.Thread):
        thread = await _beside(interaction, channel, name, opening)
        if isinstance(channel.parent, discord.ForumChannel):  # has its first message already
            return thread
    else:
        thread = await open_thread(interaction, name)
    if thread is not None:
        await thread.send(opening)
    return thread


def require_place(interaction: Interaction) -> None:
    """Raise NotAllowed unless the member may have a scene played in the channel itself.

    There, every message is answered, of those too who play in none.
    """
    channel = channel_of(interaction)
    if is_moderator(interaction):
        return
    if isinstance(channel, discord.Thread):
        own = bot_of(interaction).user
        if channel.owner_id in (interaction.user.id, own.id if own else 0):
            return
        raise NotAllowed(
            "This thread is somebody else's.", "Start the scene in its channel: it gets a thread."
        )
    raise NotAllowed(
        f"I cannot open a thread here. {NEEDED}",
        "A moderator can start the scene in the channel itself.",
    )


async def archive(channel: object, own_id: int) -> None:
    """Close a thread of the bot's own: whoever writes in it opens it again."""
    if isinstance(channel, discord.Thread) and channel.owner_id == own_id:
        with suppress(*WRITE_ERRORS):
            await channel.edit(archived=True)


async def _beside(
    interaction: Interaction, thread: discord.Thread, name: str, opening: str
) -> discord.Thread | None:
    parent = thread.parent
    if isinstance(parent, discord.ForumChannel):
        try:
            post = await parent.create_thread(name=name[:NAME_CHARACTERS], content=opening)
        except WRITE_ERRORS as error:
            _log.warning("No post could be made in %s: %s", parent.id, error)
            return None
        return post.thread
    if not isinstance(parent, discord.TextChannel):
        return None
    return await _opened(interaction, parent, name, is_private=thread.is_private())


async def _opened(
    interaction: Interaction, channel: discord.TextChannel, name: str, *, is_private: bool = False
) -> discord.Thread | None:
    kind = discord.ChannelType.public_thread
    if channel.is_news():
        kind = discord.ChannelType.news_thread
    elif is_private:
        kind = discord.ChannelType.private_thread
    try:
        thread = await channel.create_thread(name=name[:NAME_CHARACTERS], type=kind)
    except WRITE_ERRORS as error:
        _log.warning("No thread could be opened in %s: %s", channel.id, error)
        return None
    with suppress(*WRITE_ERRORS):
        await thread.add_user(interaction.user)
    return thread
