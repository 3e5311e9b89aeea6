"""Discord's side of the core's words: keys, channels, and which failures pass."""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import TypeAlias, TypeVar, cast

import aiohttp
import discord
from discord.abc import Snowflake

from bot.chat.messages import ChannelKey, Speaker
from bot.chat.text.names import in_its_own_order

PLATFORM = "discord"
FAULT, WAIT = "⚠️ ", "⏳ "
OWN_DATA = "🔒 "  # before somebody's own data, which is for them alone
NOTICE_MARKS = (FAULT, WAIT, OWN_DATA)  # lines of the bot's own, never part of a conversation
UNKNOWN_MESSAGE = 10008  # Discord's code
AUTOMOD_CODES = (200000, 200001)  # Discord's, of a message or a title that a server refuses
AUTOMOD_LINE = "This server's AutoMod did not let my reply through."

_log = logging.getLogger(__name__)

# discord.py escapes the blanks before a hyphen, and knows of fewer beginnings of blocks.
_BLANKS_ESCAPED = re.compile(r"^\\([^\S\n]+)(?=-)", re.MULTILINE)
_BLOCK = re.compile(
    r"^([^\S\n]*\d+)([.)])(?=\s|\Z)|^([^\S\n]*)([-#>+*])(?=[#>]*(?:\s|\Z))", re.MULTILINE
)

Result = TypeVar("Result")

NOBODY = discord.AllowedMentions.none()

Channel: TypeAlias = (
    discord.TextChannel
    | discord.VoiceChannel
    | discord.StageChannel
    | discord.Thread
    | discord.DMChannel
    | discord.PartialMessageable
)


WRITE_ERRORS = (discord.HTTPException, discord.RateLimited, OSError, aiohttp.ClientError)


def key_of(channel: Snowflake, guild: Snowflake | None = None) -> ChannelKey:
    """The core's key of a channel, thread or direct message."""
    found = guild or getattr(channel, "guild", None)
    is_guilds = isinstance(channel, discord.abc.GuildChannel | discord.Thread)
    parent = channel.parent_id if isinstance(channel, discord.Thread) else None
    return ChannelKey(
        PLATFORM,
        str(channel.id),
        guild_id=str(found.id) if found else None,
        parent_id=str(parent) if parent else None,
        is_direct=found is None,
        # Threads and forum posts are what their channel is. A direct message is for all ages.
        is_age_restricted=is_guilds and getattr(channel, "is_nsfw", lambda: False)(),
    )


def bare_key(channel_id: int, guild_id: int | None) -> ChannelKey:
    """A key from ids alone, enough to find a history; a thread's settings need :func:`key_of`."""
    guild = str(guild_id) if guild_id else None
    return ChannelKey(PLATFORM, str(channel_id), guild_id=guild, is_direct=guild is None)


def speaker_of(user: discord.abc.User, name: str) -> Speaker:
    """Somebody who is called `name` where they speak, with their roles as far as these came."""
    roles = user.roles if isinstance(user, discord.Member) else ()
    return Speaker(
        str(user.id),
        name,
        is_bot=user.bot,
        roles=frozenset(str(role.id) for role in roles),
        role_names=frozenset(role.name for role in roles),
        username=str(user),  # with the number that makes a bot's name its own
    )


def clock_time(moment: datetime) -> str:
    """A moment as Discord shows it to each member by their own clock."""
    return discord.utils.format_dt(moment, "t")


def is_persona_message(message: discord.Message, application_id: int | None) -> bool:
    """Whether a persona said this through the bot's own webhook. Discord vouches for the id."""
    is_own = application_id is not None and message.application_id == application_id
    return is_own and message.webhook_id is not None


def escaped(text: str) -> str:
    """What somebody wrote, in a line of ours: no markup, and nothing around it is turned about."""
    return without_blocks(discord.utils.escape_markdown(in_its_own_order(text)))


def without_blocks(text: str) -> str:
    """`text` of which no line begins a heading, a list, a quotation or a small line."""
    return _BLOCK.sub(_escape, _BLANKS_ESCAPED.sub(r"\1\\", text))


def _escape(begins: re.Match[str]) -> str:
    number, dot, blanks, sign = begins.groups()
    return f"{number}\\{dot}" if dot else f"{blanks}\\{sign}"


def own_permissions(channel: Channel | discord.abc.GuildChannel) -> discord.Permissions | None:
    """What the bot may do in a channel or thread, as far as Discord has told us.

    Roles, overwrites and timeouts count. None where nothing is known: in a direct message, in a
    server that is not there now, in a thread whose channel we do not know.
    """
    guild = getattr(channel, "guild", None)
    if not isinstance(guild, discord.Guild) or isinstance(channel, discord.PartialMessageable):
        return None
    me = cast("discord.Member | None", guild.me)  # there is none in a server that is absent
    if me is None:
        return None
    try:
        return channel.permissions_for(me)
    except discord.ClientException:
        return None


def may_send_in(channel: Channel) -> bool:
    """Whether the bot may write new messages in a channel; where nothing is known, it tries.

    A locked thread takes none, but of who manages threads.
    """
    held = own_permissions(channel)
    if held is None:
        return True
    if not held.view_channel:
        return False
    if isinstance(channel, discord.Thread):
        return held.send_messages_in_threads and (held.manage_threads or not channel.locked)
    return held.send_messages


def is_gone(error: BaseException) -> bool:
    """Whether the message that was to be written to has been deleted."""
    return isinstance(error, discord.NotFound) and error.code == UNKNOWN_MESSAGE


def is_refused_by_automod(error: BaseException) -> bool:
    """Whether a server's own AutoMod does not let a text through: no other try can help."""
    return isinstance(error, discord.HTTPException) and error.code in AUTOMOD_CODES


def is_passing(error: BaseException) -> bool:
    """Whether a write that failed so can succeed later."""
    if isinstance(error, discord.HTTPException):
        return error.status >= 500 or error.status == 429
    return isinstance(error, OSError | aiohttp.ClientError | discord.RateLimited)


async def persistently(write: Callable[[], Awaitable[Result]], pauses: Sequence[float]) -> Result:
    """Write, and again after each of `pauses` (seconds) while it fails for a passing reason."""
    for pause in pauses:
        try:
            return await write()
        except WRITE_ERRORS as error:
            if not is_passing(error):
                raise
            _log.warning("A message could not be written, trying again: %s", error)
        await asyncio.sleep(pause)
    return await write()
