"""A Discord message as the core hears it."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime

import discord

from bot.chat.messages import ChannelKey, IncomingMessage, QuotedMessage, Speaker
from bot.chat.ports import History
from bot.chat.talk.listening import NO_WORD
from bot.chat.text.asides import is_out_of_character
from cogs.platform import (
    NOTICE_MARKS,
    WRITE_ERRORS,
    key_of,
)

_MARKUP = re.compile(
    r"<(?P<sigil>@!|@&|@|\#)(?P<id>\d{1,20})>"
    r"|<a?:(?P<emoji>\w{1,32}):\d{1,20}>"
    r"|<(?P<command>/[^:<>]{1,110}):\d{1,20}>"
    r"|<t:(?P<time>-?\d{1,12})(?::[tTdDfFR])?>"
)


def speaker_of(user: discord.abc.User) -> Speaker:
    """Who wrote something, under the name that the channel shows."""
    roles = user.roles[1:] if isinstance(user, discord.Member) else []  # the first is everyone's
    ids = frozenset(str(role.id) for role in roles)
    return Speaker(str(user.id), user.display_name, is_bot=user.bot, roles=ids)


def is_conversation(message: discord.Message) -> bool:
    """Whether a person said this, and not Discord itself, a bot or a webhook."""
    said = message.type in (discord.MessageType.default, discord.MessageType.reply)
    return said and not message.author.bot and message.webhook_id is None


def readable(
    content: str, names: Mapping[int, str], own_ids: frozenset[int], *, markup: str = ""
) -> str:
    """Discord's markup in plain words, or as `markup`; mentions of `own_ids` are taken out."""

    def word(match: re.Match[str]) -> str:
        if markup:
            return markup
        if match["id"]:
            name = names.get(int(match["id"]))
            return name or ("a channel" if match["sigil"] == "#" else "someone")
        if match["emoji"]:
            return f":{match['emoji']}:"
        if match["command"]:
            return match["command"]
        return _time_in_words(int(match["time"]))

    if own_ids:
        own = "|".join(f"<@[!&]?{number}>" for number in sorted(own_ids))
        content = re.sub(rf"\A\s*(?:(?:{own})[\s,:;]*)+", "", content)
        content = re.sub(rf"(?<![ \t])[ \t]*(?:{own})", "", content)
    return _MARKUP.sub(word, content).strip()


def text_of(message: discord.Message, me: discord.ClientUser) -> str:
    """What a message says, in plain words, what is attached included."""
    return _with_what_is_attached(words_of(message, me), message)


def _with_what_is_attached(words: str, message: discord.Message) -> str:
    if is_out_of_character(words):  # an aside stays an aside
        return words
    attached = [f"[sticker: {sticker.name}]" for sticker in message.stickers]
    attached += [f"[attachment: {attachment.filename}]" for attachment in message.attachments]
    return "\n".join(line for line in (words, *attached) if line)


def words_of(message: discord.Message, me: discord.ClientUser) -> str:
    """What was written, in plain words."""
    names = {user.id: user.display_name for user in message.mentions}
    names |= {role.id: f"@{role.name}" for role in message.role_mentions}
    names |= {channel.id: f"#{channel.name}" for channel in message.channel_mentions}
    lines = [readable(message.content, names, own_ids(message, me))]
    for snapshot in message.message_snapshots:
        lines.append(f"[forwarded] {readable(snapshot.content, {}, frozenset())}")
    if message.poll is not None:
        answers = ", ".join(answer.text for answer in message.poll.answers)
        lines.append(f"[poll: {message.poll.question} {answers}]")
    return "\n".join(line for line in lines if line)


def written_by_hand(message: discord.Message, me: discord.ClientUser) -> str:
    """What was written, with signs of no meaning in place of names that Discord shows."""
    content = readable(message.content, {}, own_ids(message, me), markup=NO_WORD)
    lines = [content, *(NO_WORD for _ in message.message_snapshots)]
    if message.poll is not None:
        lines.append(message.poll.question)
    return "\n".join(line for line in lines if line)


def own_ids(message: discord.Message, me: discord.ClientUser) -> frozenset[int]:
    """The ids that stand for the bot in a message: itself, and its own role, easily mistaken."""
    roles = {role.id for role in message.role_mentions if _is_role_of(role, me)}
    return frozenset({me.id} | roles)


async def to_incoming(
    message: discord.Message, me: discord.ClientUser, history: History
) -> IncomingMessage:
    """The message with its markup in words and the message that it replies to."""
    key = key_of(message.channel, message.guild)
    replied = await _replied_message(message)
    reply_to, to_bot = await _quote(replied, key, me, history) if replied else (None, False)
    words = words_of(message, me)
    return IncomingMessage(
        message_id=str(message.id),
        channel=key,
        author=speaker_of(message.author),
        text=_with_what_is_attached(words, message),
        words=written_by_hand(message, me),
        sent_at=message.created_at,
        mentions_bot=mentions(message, me),
        replies_to_bot=to_bot,
        reply_to=reply_to,
    )


def mentions(message: discord.Message, me: discord.ClientUser) -> bool:
    """Whether the bot, or its own role, is named; `@everyone` does not count."""
    named = any(user.id == me.id for user in message.mentions)
    return named or any(_is_role_of(role, me) for role in message.role_mentions)


def _is_role_of(role: discord.Role, me: discord.ClientUser) -> bool:
    return role.tags is not None and role.tags.bot_id == me.id


async def _replied_message(message: discord.Message) -> discord.Message | None:
    reference = message.reference
    if reference is None or reference.message_id is None:
        return None
    if reference.type is not discord.MessageReferenceType.reply:
        return None
    if isinstance(reference.resolved, discord.Message):
        return reference.resolved
    if reference.resolved is not None or reference.channel_id != message.channel.id:
        return None  # deleted, or from elsewhere
    try:
        return await message.channel.fetch_message(reference.message_id)
    except WRITE_ERRORS:
        return None  # gone, or not ours to read: the message itself can still be answered


async def _quote(
    replied: discord.Message, key: ChannelKey, me: discord.ClientUser, history: History
) -> tuple[QuotedMessage | None, bool]:
    """The replied-to message as a quotation, and whether it was the bot's."""
    turn = await history.turn_of_message(key, str(replied.id))
    is_own = replied.author.id == me.id or (turn is not None and turn.role == "bot")
    text = text_of(replied, me)
    if is_own and turn is None and _is_notice(replied):
        return None, True
    author = turn.speaker if turn is not None else speaker_of(replied.author)
    return QuotedMessage(str(replied.id), author, text), is_own


def _is_notice(message: discord.Message) -> bool:
    return message.interaction_metadata is not None or message.content.startswith(NOTICE_MARKS)


def _time_in_words(seconds: int) -> str:
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"
    except (ValueError, OverflowError, OSError):
        return "some day"
