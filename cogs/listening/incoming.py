"""A Discord message as the core hears it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import discord

from bot.chat.definitions import ChannelSettings
from bot.chat.messages import ChannelKey, IncomingMessage, QuotedMessage, Speaker, Turn
from bot.chat.talk.conversations import Conversations
from bot.chat.text.asides import is_out_of_character
from bot.chat.text.words import NO_WORD
from bot.errors import EngineUnavailable
from cogs.listening.contents import (
    component_lines,
    described,
    embed_lines,
    one_line,
    poll_line,
    sticker_lines,
)
from cogs.listening.files import read_files, room_for
from cogs.listening.markup import Spelling, readable
from cogs.listening.naming import MemberNames, names_in
from cogs.listening.pointing import linked_message, replied_message, thread_start
from cogs.listening.proxies import is_proxied, reply_embed
from cogs.listening.staying_out import WhoStaysOut, nobody, take_out, who_stays_out
from cogs.platform import NOTICE_MARKS, is_persona_message, key_of
from cogs.showing.webhooks.lines import without_line

SMALL_CONTEXT_TOKENS = 2048
THREAD_TURNS = 16  # after so many turns a thread's title and first message are shown again
SNAPSHOTS = 3  # of one message; Discord has one

_NO_FILES: Mapping[int, str] = {}
_TITLE = "[thread: "
_BARE = " \n.!?\u2026,;:"  # what a message without words may hold


def is_conversation(message: discord.Message) -> bool:
    """Whether a person said this, perhaps through a proxy: not Discord itself, a bot, a webhook."""
    said = message.type in (discord.MessageType.default, discord.MessageType.reply)
    is_person = not message.author.bot and message.webhook_id is None
    return said and (is_person or is_proxied(message))


def is_other_bot(message: discord.Message, me: discord.ClientUser) -> bool:
    """Whether another bot, by its own account, says something to the bot or in reply to anybody."""
    said = message.type in (discord.MessageType.default, discord.MessageType.reply)
    is_bot = message.author.bot and message.webhook_id is None and message.author.id != me.id
    return said and is_bot and (mentions(message, me) or message.reference is not None)


def mentions(message: discord.Message, me: discord.ClientUser) -> bool:
    """Whether the bot, or its own role, is named; `@everyone` does not count."""
    named = any(user.id == me.id for user in message.mentions)
    return named or any(_is_role_of(role, me) for role in message.role_mentions)


def own_ids(message: discord.Message, me: discord.ClientUser) -> frozenset[int]:
    """The ids that stand for the bot in a message: itself, and its own role, easily mistaken."""
    roles = {role.id for role in message.role_mentions if _is_role_of(role, me)}
    return frozenset({me.id} | roles)


def _is_role_of(role: discord.Role, me: discord.ClientUser) -> bool:
    return role.tags is not None and role.tags.bot_id == me.id


@dataclass(frozen=True, slots=True)
class _Replied:
    """What a message replies to, and what is kept of it."""

    message: discord.Message
    turn: Turn | None
    is_own: bool  # the bot's, or a persona's


class Reader:
    """Reads messages as a person would: markup as words, what is attached, what is pointed at.

    What costs a request is done only for what the bot answers or keeps.
    """

    def __init__(
        self,
        conversations: Conversations,
        application_id: Callable[[], int | None] = lambda: None,
        who_stays_out: WhoStaysOut = nobody,
    ) -> None:
        """The channels' settings say what is kept, and who the bot is there.

        `application_id` is the bot's, by which its personas' messages are known. Nothing is read of
        people for whom `who_stays_out` says so, but what they sent themselves: ask
        :meth:`stays_out` before.
        """
        self._application_id = application_id
        self._who_stays_out = who_stays_out
        self._conversations = conversations
        self._history = conversations.history
        self.names = MemberNames()

    async def stays_out(self, message: discord.Message, *also: int | None) -> bool:
        """Whether who wrote a message, or one of `also`, has opted out. Raises StoreError."""
        people = {message.author.id, *(each for each in also if each is not None)}
        return bool(await self._who_stays_out([str(each) for each in people]))

    async def _answers_who_stays_out(self, turn: Turn | None) -> bool:
        """Whether a turn is a reply to nobody but people who have opted out. Raises StoreError."""
        if turn is None or turn.role == "user" or not turn.asked_by:
            return False
        return await self._who_stays_out(turn.asked_by) == turn.asked_by

    async def author(self, message: discord.Message, settings: ChannelSettings) -> Speaker:
        """Who wrote a message, with their roles where these decide who is heard."""
        self.names.learn(message)
        if _roles_matter(message, settings):
            await self.names.ask_for_roles(message)
        return self.names.speaker(message)

    async def read(
        self, message: discord.Message, me: discord.ClientUser, settings: ChannelSettings
    ) -> IncomingMessage:
        """A message as it was sent, to a channel of these settings. Raises StoreError."""
        return await self._read(message, me, settings, None)

    async def read_edit(
        self,
        message: discord.Message,
        me: discord.ClientUser,
        settings: ChannelSettings,
        known: Turn | None,
    ) -> IncomingMessage:
        """A message as it reads since its edit, which is when it was said now.

        `known` is its turn.
        """
        incoming = await self._read(message, me, settings, known)
        return replace(incoming, sent_at=message.edited_at or message.created_at)

    async def text(self, message: discord.Message, me: discord.ClientUser) -> str:
        """What a message says that is only quoted. No request is made for it."""
        out = await self._take_out(message)
        spelling = names_in(message, self.names, own_ids(message, me), me.display_name, out)
        words = self._words(message, spelling, own_ids(message, me))
        return _with_what_is_attached(words, message, spelling, _NO_FILES)

    async def _read(
        self,
        message: discord.Message,
        me: discord.ClientUser,
        settings: ChannelSettings,
        known: Turn | None,
    ) -> IncomingMessage:
        """`known` is the turn of a message that was edited."""
        key = key_of(message.channel, message.guild)
        self.names.learn(message)
        replied = await self._replied(message, key, me)
        to_bot = replied is not None and replied.is_own
        is_ours = to_bot or key.is_direct or mentions(message, me)
        is_wanted = is_ours or known is not None or is_listening(settings)
        name = me.display_name
        if is_ours:
            name = await self._conversations.persona_name(key, settings)
        if is_wanted:
            await self.names.ask(message, with_roles=_roles_matter(message, settings))
        out = await self._take_out(message)
        spelling = names_in(message, self.names, own_ids(message, me), name, out)
        words = self._words(message, spelling, own_ids(message, me))
        files = await self._files(message) if is_wanted else _NO_FILES
        text = _with_what_is_attached(words, message, spelling, files)
        reply_to = await self._quote(replied, me, name, settings) if replied else None
        title, is_aside = _title_of(known), is_out_of_character(words)
        if is_wanted and known is None and not is_aside:
            title = await self._thread_title(message, key, out)
            if reply_to is None:
                found = await _pointed_at(message, in_new_thread=bool(title))
                reply_to = await self._quote_of(found, me, name, settings) if found else None
        if not text.strip(_BARE) and is_ours:
            text = await self._bare(text, key, name, has_quote=reply_to is not None)
        return IncomingMessage(
            message_id=str(message.id),
            channel=key,
            author=self.names.speaker(message),
            text=f"{title}\n{text}" if title and text and not is_aside else text,
            words=self._written_by_hand(message, spelling, own_ids(message, me)),
            sent_at=message.created_at,
            mentions_bot=mentions(message, me),
            replies_to_bot=to_bot,
            reply_to=reply_to,
        )

    # What is pointed at --------------------------------------------------------------------------

    async def _replied(
        self, message: discord.Message, key: ChannelKey, me: discord.ClientUser
    ) -> _Replied | None:
        found = await replied_message(message)
        if found is None or await self.stays_out(found):
            return None
        turn = await self._history.turn_of_message(key, str(found.id))
        is_own = (
            found.author.id == me.id
            or self._is_persona(found)
            or (turn is not None and turn.role == "bot")
        )
        return _Replied(found, turn, is_own)

    async def _quote(
        self,
        replied: _Replied,
        me: discord.ClientUser,
        own_name: str,
        settings: ChannelSettings,
    ) -> QuotedMessage | None:
        message, turn = replied.message, replied.turn
        if await self._answers_who_stays_out(turn):
            return None
        if turn is not None and turn.role == "bot":
            quoted = await self._quoted(message, me, own_name, settings, turn.persona)
            return replace(quoted, author=turn.speaker)
        if replied.is_own and _is_notice(message):
            return None
        return await self._quoted(message, me, own_name, settings)

    async def _quoted(
        self,
        message: discord.Message,
        me: discord.ClientUser,
        own_name: str,
        settings: ChannelSettings,
        persona: str | None = None,
    ) -> QuotedMessage:
        """A message as a quotation, with its files. Of a persona's, its name is no part of it.

        `settings` are those of the channel where it is quoted.
        """
        if message.author.id != me.id:
            await self.names.ask(message, with_roles=_roles_matter(message, settings))
        out = await self._take_out(message)
        spelling = names_in(message, self.names, own_ids(message, me), own_name, out)
        words = self._words(message, spelling, own_ids(message, me), persona)
        text = _with_what_is_attached(words, message, spelling, await self._files(message))
        return QuotedMessage(str(message.id), self.names.speaker(message), text)

    async def _quote_of(
        self,
        found: discord.Message,
        me: discord.ClientUser,
        own_name: str,
        settings: ChannelSettings,
    ) -> QuotedMessage | None:
        """A message that is pointed at, from wherever in the server."""
        if await self.stays_out(found):
            return None
        there = key_of(found.channel, found.guild)
        turn = await self._history.turn_of_message(there, str(found.id))
        if await self._answers_who_stays_out(turn):
            return None
        return await self._quoted(found, me, own_name, settings)

    async def _take_out(self, message: discord.Message) -> frozenset[int]:
        """Take out what a message repeats of people who have opted out; who they are."""
        out = await who_stays_out(self._who_stays_out, message)
        await take_out(message, out, self._who_stays_out)
        return out

    async def _thread_title(
        self, message: discord.Message, key: ChannelKey, out: frozenset[int]
    ) -> str:
        """A thread's title, where the last turns do not show it, and who gave it is not out."""
        if not isinstance(message.channel, discord.Thread) or message.channel.owner_id in out:
            return ""
        title = f"{_TITLE}{one_line(message.channel.name)}]"
        window = await self._history.window(key, THREAD_TURNS)
        is_shown = any(turn.text.startswith(f"{title}\n") for turn in window.turns)
        return "" if is_shown else title

    # What is said --------------------------------------------------------------------------------

    def _words(
        self,
        message: discord.Message,
        spelling: Spelling,
        addressed_as: frozenset[int],
        persona: str | None = None,
    ) -> str:
        """What was written, in plain words."""
        content = message.content
        if persona is not None or self._is_persona(message):
            content = without_line(content, persona)
        lines = [readable(content, spelling, addressed_as)]
        for snapshot in message.message_snapshots[:SNAPSHOTS]:
            if snapshot.content:
                lines.append(f"[forwarded] {readable(snapshot.content, spelling)}")
        if message.poll is not None:
            lines.append(poll_line(message.poll, lambda text: readable(text, spelling)))
        return "\n".join(line for line in lines if line)

    def _is_persona(self, message: discord.Message) -> bool:
        return is_persona_message(message, self._application_id())

    def _written_by_hand(
        self, message: discord.Message, spelling: Spelling, addressed_as: frozenset[int]
    ) -> str:
        """What was written, with signs of no meaning in place of names that Discord shows."""
        lines = [readable(message.content, spelling, addressed_as, markup=NO_WORD)]
        lines += [NO_WORD for kept in message.message_snapshots[:SNAPSHOTS] if kept.content]
        if message.poll is not None:
            lines.append(message.poll.question)
        return "\n".join(line for line in lines if line)

    async def _files(self, message: discord.Message) -> Mapping[int, str]:
        forwarded = (one for kept in message.message_snapshots for one in kept.attachments)
        attachments = [*message.attachments, *forwarded]
        if not attachments:
            return _NO_FILES
        try:
            context_tokens = self._conversations.engines.answering().info.context_tokens
        except EngineUnavailable:  # still loading: nobody knows its context yet
            context_tokens = SMALL_CONTEXT_TOKENS
        return await read_files(attachments, room_for(context_tokens))

    async def _bare(self, text: str, key: ChannelKey, name: str, *, has_quote: bool) -> str:
        """The words of a message that only calls the bot: to what stands before, or a greeting."""
        if text or has_quote or (await self._history.window(key, 1)).turns:
            return f"{name}{text or '?'}"
        return f"Hello, {name}!"


def is_listening(settings: ChannelSettings) -> bool:
    """Whether a message that is not to the bot may still be answered or kept in a channel."""
    return settings.context == "channel" or settings.trigger not in ("mention", "off")


def may_matter(message: discord.Message, me: discord.ClientUser, settings: ChannelSettings) -> bool:
    """Whether a message may be answered or kept, as far as it tells without a request."""
    points = message.reference is not None or reply_embed(message) is not None
    return points or message.guild is None or mentions(message, me) or is_listening(settings)


def _roles_matter(message: discord.Message, settings: ChannelSettings) -> bool:
    """Whether roles, which did not come along, decide who is heard in a channel."""
    if message.guild is None or isinstance(message.author, discord.Member):
        return False
    return bool(settings.allowed_roles or settings.blocked_roles)


async def _pointed_at(message: discord.Message, *, in_new_thread: bool) -> discord.Message | None:
    """The message that is linked to, else the one that a thread was made from."""
    found = await linked_message(message)
    return await thread_start(message) if found is None and in_new_thread else found


def _with_what_is_attached(
    words: str, message: discord.Message, spelling: Spelling, files: Mapping[int, str]
) -> str:
    if is_out_of_character(words):  # an aside stays an aside
        return words
    proxied = reply_embed(message)
    embeds = [one for one in message.embeds if proxied is None or one is not proxied[0]]
    lines = [words, *_attached(message, embeds, spelling, files)]
    for snapshot in message.message_snapshots[:SNAPSHOTS]:
        found = list(_attached(snapshot, snapshot.embeds, spelling, files))
        if found and not snapshot.content:
            lines.append("[forwarded]")
        lines += found
    return "\n".join(line for line in lines if line)


def _attached(
    source: discord.Message | discord.MessageSnapshot,
    embeds: Sequence[discord.Embed],
    spelling: Spelling,
    files: Mapping[int, str],
) -> Iterator[str]:
    def words(text: str) -> str:
        return readable(text, spelling)

    yield from sticker_lines(source.stickers)
    for attachment in source.attachments:
        yield described(attachment)
        if attachment.id in files:
            yield f"{files[attachment.id]}\n[end of attachment]"
    yield from component_lines(source.components, words)
    yield from embed_lines(embeds, words)


def _title_of(turn: Turn | None) -> str:
    """The line about its thread with which a turn begins."""
    line = turn.text.partition("\n")[0] if turn is not None else ""
    return line if line.startswith(_TITLE) else ""


def _is_notice(message: discord.Message) -> bool:
    return message.interaction_metadata is not None or message.content.startswith(NOTICE_MARKS)
