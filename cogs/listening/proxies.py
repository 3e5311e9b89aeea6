"""People who speak through a proxy: PluralKit and Tupperbox.

A proxy takes a member's message, posts it again through a webhook under another name, and deletes
the original a moment later. Its message is a person's, and takes the place of the original: also
where that is being answered already, and it is not answered twice.

Nothing in such a message tells whose account is behind it. So a proxied speaker is somebody of
their own, known by webhook and name, and the buttons for «the person who asked» are theirs only
where the original was taken up before its copy came. Who is heard and answered, and how much, is
asked of the account wherever the original was seen, and so is whether they have opted out; else of
the proxy, which has no roles. Other webhooks stay unheard, the bot's own too.
"""

import re
from collections import OrderedDict, deque
from dataclasses import dataclass
from datetime import datetime, timedelta

import discord

from bot.chat.messages import Speaker

PROXIES = frozenset({466378653216014359, 431544605209788416})  # PluralKit, Tupperbox
PROXIED_WITHIN = timedelta(seconds=30)  # a busy proxy is slow
REMEMBERED_MESSAGES = 8  # of one channel
REMEMBERED_CHANNELS = 500

_JUMP = re.compile(
    r"https://(?:\w+\.)?discord(?:app)?\.com/channels/(\d{1,20})/(\d{1,20})/(\d{1,20})"
)


def is_proxied(message: discord.Message) -> bool:
    """Whether a person said this through a proxy. Discord vouches for the application's id."""
    return message.webhook_id is not None and message.application_id in PROXIES


def proxy_speaker(message: discord.Message) -> Speaker:
    """Who speaks in a proxied message."""
    name = message.author.display_name
    return Speaker(f"proxy:{message.webhook_id}:{name}", name)


def reply_embed(message: discord.Message) -> tuple[discord.Embed, int] | None:
    """The embed that stands for a proxied message's reply, and the message replied to.

    A webhook cannot reply: the proxy puts an embed with a link to that message on top.
    """
    if not is_proxied(message) or message.guild is None:
        return None
    for embed in message.embeds[:1]:
        link = _JUMP.search(embed.description or "") or _JUMP.match(embed.author.url or "")
        here = (str(message.guild.id), str(message.channel.id))
        if link is not None and embed.author.name and link.groups()[:2] == here:
            return embed, int(link[3])
    return None


@dataclass(slots=True)
class _Original:
    message_id: int
    content: str
    files: list[str]
    sent_at: datetime
    author: Speaker
    answered_by: int | None = None  # the reply's turn, noted when the message was deleted


class Originals:
    """What members said in the last seconds, by which a proxy's copy is recognised."""

    def __init__(self) -> None:
        """Nothing at first."""
        self._channels: OrderedDict[int, deque[_Original]] = OrderedDict()

    def remember(self, message: discord.Message, author: Speaker) -> None:
        """A member said something that may be said again by a proxy."""
        if message.guild is None:
            return
        recent = self._channels.setdefault(message.channel.id, deque(maxlen=REMEMBERED_MESSAGES))
        self._channels.move_to_end(message.channel.id)
        files = [attachment.filename for attachment in message.attachments]
        sent_at = message.created_at
        recent.append(_Original(message.id, message.content, files, sent_at, author))
        while len(self._channels) > REMEMBERED_CHANNELS:
            self._channels.popitem(last=False)

    def answered(self, channel_id: int, message_id: int, reply: int) -> None:
        """A message was being answered, or was answered, when it was deleted."""
        for original in self._channels.get(channel_id, ()):
            if original.message_id == message_id:
                original.answered_by = reply

    def is_recent(self, channel_id: int, message_id: int) -> bool:
        """Whether a message is young enough to be a proxy's original."""
        return any(kept.message_id == message_id for kept in self._channels.get(channel_id, ()))

    def forget(self, author_id: int) -> None:
        """Nothing of what a member said is remembered."""
        for recent in self._channels.values():
            for original in [kept for kept in recent if kept.author.speaker_id == str(author_id)]:
                recent.remove(original)

    def take(self, copy: discord.Message) -> tuple[int, int | None, Speaker] | None:
        """The original of a proxied message, the reply to it where it was deleted already, and
        whose it was.

        Each original is taken once.
        """
        original = self._original_of(copy)
        if original is None:
            return None
        self._channels[copy.channel.id].remove(original)
        return original.message_id, original.answered_by, original.author

    def author_of(self, copy: discord.Message) -> Speaker | None:
        """The account that spoke through a proxy, where its original is known."""
        original = self._original_of(copy)
        return None if original is None else original.author

    def _original_of(self, copy: discord.Message) -> _Original | None:
        recent = self._channels.get(copy.channel.id, ())
        found = [kept for kept in recent if _may_be_original(kept, copy)]
        # Where several hold the text, the one of which the least is left out, then the oldest.
        return min(found, key=lambda kept: len(kept.content), default=None)


def _may_be_original(original: _Original, copy: discord.Message) -> bool:
    if not timedelta(0) <= copy.created_at - original.sent_at <= PROXIED_WITHIN:
        return False
    text = copy.content.strip()
    if text:
        return text in original.content
    return bool(copy.attachments) and original.files == [one.filename for one in copy.attachments]
