"""The messages that a message points at: what it replies to, links to, or was opened on.

At most one request to Discord for each. What cannot be read is left out; nothing is raised.
"""

import re

import discord

from cogs.listening.markup import code_spans
from cogs.listening.proxies import reply_embed
from cogs.platform import WRITE_ERRORS, Channel, own_permissions

LINKS = 2  # tried of one message, until one can be read

_LINK = re.compile(
    r"https://(?:(?:ptb|canary)\.)?discord(?:app)?\.com/channels/(\d{1,20})/(\d{1,20})/(\d{1,20})"
)


async def replied_message(message: discord.Message) -> discord.Message | None:
    """What a message replies to, also through a proxy; None where it is gone or elsewhere."""
    proxied = reply_embed(message)
    if proxied is not None:
        return await _fetch(message.channel, proxied[1])
    reference = message.reference
    if reference is None or reference.message_id is None:
        return None
    if reference.type is not discord.MessageReferenceType.reply:
        return None
    found = reference.resolved
    if found is None and reference.channel_id == message.channel.id:
        found = await _fetch(message.channel, reference.message_id)
    if not isinstance(found, discord.Message):
        return None  # deleted, or from elsewhere
    if found.type is discord.MessageType.thread_starter_message:
        return await thread_start(message) or found
    return found


async def linked_message(message: discord.Message) -> discord.Message | None:
    """The first message of the same server linked to that the bot and the author may both read."""
    guild = message.guild
    if guild is None:
        return None
    for channel_id, message_id in message_links(message.content, guild.id)[:LINKS]:
        channel = guild.get_channel_or_thread(channel_id)
        author = message.author if isinstance(message.author, discord.Member) else None
        if not isinstance(channel, Channel) or isinstance(channel, discord.PartialMessageable):
            continue
        if channel.id == message.channel.id or (
            _bot_may_read(channel) and _may_read(channel, author or guild.default_role)
        ):
            found = await _fetch(channel, message_id)
            if found is not None:
                return found
    return None


def message_links(content: str, guild_id: int) -> list[tuple[int, int]]:
    """Channels and messages of one server that are linked to, but not in code."""
    spans = code_spans(content)
    return [
        (int(link[2]), int(link[3]))
        for link in _LINK.finditer(content)
        if int(link[1]) == guild_id and not any(a <= link.start() < b for a, b in spans)
    ]


async def thread_start(message: discord.Message) -> discord.Message | None:
    """The message that a message's thread was made from, or a forum post begins with."""
    thread = message.channel
    if not isinstance(thread, discord.Thread) or thread.id == message.id:
        return None
    parent = thread.parent
    if isinstance(parent, discord.ForumChannel):
        return await _fetch(thread, thread.id)
    return await _fetch(parent, thread.id) if parent is not None else None


async def forwarded_message(message: discord.Message) -> discord.Message | None:
    """The original of a forwarded message, where the bot may read it in the same server."""
    reference, guild = message.reference, message.guild
    if reference is None or reference.message_id is None or guild is None:
        return None
    channel = guild.get_channel_or_thread(reference.channel_id)
    if not isinstance(channel, Channel) or isinstance(channel, discord.PartialMessageable):
        return None
    if not _bot_may_read(channel):
        return None
    return await _fetch(channel, reference.message_id)


def _bot_may_read(channel: discord.abc.GuildChannel | discord.Thread) -> bool:
    """Of private threads, whoever knows one without asking is its member."""
    held = own_permissions(channel)
    return held is not None and held.view_channel and held.read_message_history


def _may_read(
    channel: discord.abc.GuildChannel | discord.Thread, who: discord.Member | discord.Role
) -> bool:
    try:
        held = channel.permissions_for(who)
    except discord.ClientException:  # a thread whose channel we do not know
        return False
    if isinstance(channel, discord.Thread) and channel.is_private() and not held.manage_threads:
        return False  # only its members may, whom nobody has told us
    return held.view_channel and held.read_message_history


async def _fetch(channel: discord.abc.Messageable, message_id: int) -> discord.Message | None:
    try:
        return await channel.fetch_message(message_id)
    except WRITE_ERRORS:
        return None  # gone, or not ours to read: the message itself can still be answered
