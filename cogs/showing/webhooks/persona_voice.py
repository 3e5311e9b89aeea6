"""A persona's voice in one channel: through the webhook, or the bot's own where there is none."""

import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TypeVar

import discord

from cogs.platform import WRITE_ERRORS, Channel, is_passing, is_refused_by_automod
from cogs.showing.request_budget import RequestBudget
from cogs.showing.voice import BotVoice, Controls, MessageLostError, ViewOf, delete_quietly
from cogs.showing.webhook_voice import WebhookVoice
from cogs.showing.webhooks.lines import line_above, under
from cogs.showing.webhooks.registry import Lack, NoWebhookError, Webhooks, is_webhook_gone

LOOKED_THROUGH = 50  # messages, for one whose answer was lost
REMEMBERED_MESSAGES = 5_000
CLOCKS_APART = timedelta(minutes=1)

# Discord's error codes
UNKNOWN_CHANNEL = 10003
THREAD_ARCHIVED = 50083

Result = TypeVar("Result")

_log = logging.getLogger(__name__)


class _AstrayError(Exception):
    """Somebody has moved the webhook to another channel, where the message went."""


@dataclass(frozen=True, slots=True)
class Origin:
    """How a message of a persona's came to be: by which webhook (None: by the bot itself)."""

    webhook_id: int | None
    line: str  # that stands above its text


class Origins:
    """The origins of the newest messages. Those of others can be asked for."""

    def __init__(self) -> None:
        """No message at first."""
        self._origins: OrderedDict[int, Origin] = OrderedDict()

    def __contains__(self, message_id: int) -> bool:
        return message_id in self._origins

    def get(self, message_id: int) -> Origin | None:
        """What is known of a message."""
        return self._origins.get(message_id)

    def keep(self, message_id: int, origin: Origin) -> None:
        """Remember a message."""
        self._origins[message_id] = origin
        self._origins.move_to_end(message_id)
        while len(self._origins) > REMEMBERED_MESSAGES:
            self._origins.popitem(last=False)


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is said."""

    channel: Channel
    webhook_channel_id: int | None  # of the channel itself, of a thread's: None has no webhooks
    may_manage_webhooks: bool = True

    @property
    def thread(self) -> discord.Thread | None:
        """The thread, where it is one."""
        return self.channel if isinstance(self.channel, discord.Thread) else None


@dataclass(frozen=True, slots=True)
class Part:
    """Who speaks: the name and picture to use now, and the lines above the first message."""

    name: Callable[[], str]
    picture: Callable[[], Awaitable[str | None]]
    picture_refused: Callable[[str], None]
    answering: str  # "" where nobody in particular is answered
    in_bold: str  # the name, for messages of the bot's own
    spoke_as: str  # the name when the turn was written, by which such a line is recognised


class PersonaVoice:
    """Writes one reply of a persona.

    New messages go through the channel's webhook. Where there can be none, they are the bot's own
    with the name in bold. Each message stays with whoever sent it: nobody else can edit it.
    """

    def __init__(
        self,
        place: Place,
        part: Part,
        webhooks: Webhooks,
        origins: Origins,
        own_voice: BotVoice,
        budget: RequestBudget,
        view_of: ViewOf,
        *,
        is_new: bool,
        uses_webhook: bool,
        after: int = 0,
        on_lack: Callable[[Lack | None], Awaitable[None]],
    ) -> None:
        """`is_new`: nothing of the reply is posted. `after`: a message before the reply, if known.

        `on_lack` hears of it where a webhook that there should be can not be had; None: it can.
        """
        self._place = place
        self._part = part
        self._webhooks = webhooks
        self._origins = origins
        self._own_voice = own_voice
        self._budget = budget
        self._view_of = view_of
        self._uses_webhook = uses_webhook and place.webhook_channel_id is not None
        self._on_lack = on_lack
        self._line: str | None = part.answering if is_new else None  # of the first message to come
        self._names_itself = True  # the next message of the bot's own has the name above
        self._newest = after or discord.utils.time_snowflake(discord.utils.utcnow() - CLOCKS_APART)
        self._tried: dict[str, set[tuple[int, str]]] = {}  # sent, and no answer came

    # New messages --------------------------------------------------------------------------------

    async def send(self, content: str, controls: Controls | None, tag: str) -> int:
        """Send a message, as the persona where that can be."""
        for _ in range(2):
            webhook = await self._webhook()
            if webhook is None:
                break
            try:
                return await self._send_by(webhook, content, controls, tag)
            except _AstrayError:
                self._forget(webhook.id)
            except discord.HTTPException as error:
                if is_refused_by_automod(error):
                    raise
                # Deleted by somebody, or no longer in this channel: look again, once.
                if is_webhook_gone(error) or error.code == UNKNOWN_CHANNEL:
                    self._forget(webhook.id)
                elif is_passing(error) or error.status == 404:
                    raise
                else:
                    _log.warning("A persona's message was refused, the bot says it: %s", error)
                    break
        self._uses_webhook = False
        return await self._send_own(content, controls, tag)

    async def _webhook(self) -> discord.Webhook | None:
        channel_id = self._place.webhook_channel_id
        if not self._uses_webhook or channel_id is None:
            return None
        try:
            may_manage = self._place.may_manage_webhooks
            found = await self._webhooks.of(channel_id, may_manage=may_manage)
        except NoWebhookError as error:
            await self._on_lack(error.lack)
        except discord.HTTPException as error:
            if is_passing(error) or error.status == 404:
                raise
            _log.warning("No webhook in channel %s: %s", channel_id, error)
        else:
            await self._on_lack(None)
            return found
        return None

    async def _send_by(
        self, webhook: discord.Webhook, content: str, controls: Controls | None, tag: str
    ) -> int:
        line = self._line or ""
        text = under(line, content)
        origin = Origin(webhook.id, line)
        if tag in self._tried and (found := await self._find_sent(self._tried[tag])):
            return self._sent(found[0], origin)
        picture = await self._part.picture()
        voice = self._voice_of(webhook, self._part.name(), picture)
        send = partial(voice.send, text, controls, tag)
        try:
            number = await self._awake(send)
        except discord.HTTPException as error:
            if picture is None or is_passing(error) or "avatar_url" not in str(error):
                if is_passing(error):
                    self._tried.setdefault(tag, set()).add((webhook.id, text))
                raise
            self._part.picture_refused(picture)
            voice = self._voice_of(webhook, self._part.name())
            number = await self._awake(partial(voice.send, text, controls, tag))
        except WRITE_ERRORS:
            self._tried.setdefault(tag, set()).add((webhook.id, text))
            raise
        if voice.sent_to != self._place.channel.id:
            await delete_quietly(voice, number)
            raise _AstrayError
        if voice.was_repeated:
            await self._take_doubles_away(voice, number, (webhook.id, text))
        return self._sent(number, origin)

    async def _send_own(self, content: str, controls: Controls | None, tag: str) -> int:
        line = self._part.in_bold if self._names_itself else ""
        number = await self._own_voice.send(under(line, content), controls, tag)
        self._names_itself = False
        return self._sent(number, Origin(None, line))

    def _sent(self, number: int, origin: Origin) -> int:
        self._origins.keep(number, origin)
        self._newest = max(self._newest, number)
        self._line = None
        if origin.webhook_id is not None:
            self._names_itself = True
        return number

    async def _find_sent(self, tried: set[tuple[int, str]]) -> list[int]:
        """The messages that were sent although no answer came, oldest first.

        Raises what passes; where the history may not be read, nothing is found.
        """
        texts = {(webhook_id, text.strip()) for webhook_id, text in tried}
        try:
            history = self._place.channel.history(
                limit=LOOKED_THROUGH, after=discord.Object(self._newest), oldest_first=False
            )
            found = [
                message.id
                async for message in history
                if (message.webhook_id, message.content.strip()) in texts
                and message.id not in self._origins
            ]
        except discord.HTTPException as error:
            if is_passing(error):
                raise
            _log.info("Whether a message was sent before cannot be seen: %s", error)
            return []
        return sorted(found)

    async def _take_doubles_away(
        self, voice: WebhookVoice, number: int, sent: tuple[int, str]
    ) -> None:
        """The client sent it again by itself, after a server's error: perhaps it is there twice."""
        try:
            for other in await self._find_sent({sent}):
                if other != number:
                    await voice.delete(other)
        except WRITE_ERRORS as error:
            _log.info("A message may stand twice in %s: %s", self._place.channel.id, error)

    # Messages that are there ---------------------------------------------------------------------

    async def edit(self, message_id: int, content: str, controls: Controls | None) -> None:
        """Replace a message's text and buttons, by whoever sent it."""
        origin = await self.origin(message_id)
        text = under(origin.line, content)
        if origin.webhook_id is None:
            await self._awake(partial(self._own_voice.edit, message_id, text, controls))
            return
        try:
            await self._by_webhook(
                origin.webhook_id, lambda voice: voice.edit(message_id, text, controls)
            )
        except MessageLostError:
            if origin.line:
                self._line = origin.line  # what is written in its place begins so, too
            raise

    async def set_controls(self, message_id: int, controls: Controls | None) -> None:
        """Replace a message's buttons. Those of a webhook that is gone stay: they still work."""
        origin = await self.origin(message_id)
        if origin.webhook_id is None:
            await self._awake(partial(self._own_voice.set_controls, message_id, controls))
            return
        try:
            await self._by_webhook(
                origin.webhook_id, lambda voice: voice.set_controls(message_id, controls)
            )
        except MessageLostError:
            _log.info("The buttons of message %s stay: its webhook is gone", message_id)

    async def delete(self, message_id: int) -> None:
        """Delete a message, by whoever sent it; else by the bot, where it may."""
        origin = await self.origin(message_id)
        if origin.webhook_id is not None:
            try:
                await self._by_webhook(origin.webhook_id, lambda voice: voice.delete(message_id))
            except MessageLostError:
                pass
            else:
                return
        await self._awake(partial(self._own_voice.delete, message_id))

    async def origin(self, message_id: int) -> Origin:
        """How a message came to be, asked of Discord where it isn't remembered."""
        known = self._origins.get(message_id)
        if known is not None:
            return known
        try:
            message = await self._place.channel.fetch_message(message_id)
        except discord.Forbidden:  # what was said before may not be read: most likely by a webhook
            webhook = await self._webhook()
            origin = Origin(webhook.id if webhook else None, "")
        else:
            name = self._part.spoke_as if message.webhook_id is None else None
            origin = Origin(message.webhook_id, line_above(message.content, name))
        self._origins.keep(message_id, origin)
        return origin

    async def _by_webhook(
        self, webhook_id: int, write: Callable[[WebhookVoice], Awaitable[None]]
    ) -> None:
        """Write by one webhook. Raises MessageLostError where it is gone, or out of reach."""
        channel_id = self._place.webhook_channel_id
        if channel_id is None:
            raise MessageLostError
        may_manage = self._place.may_manage_webhooks
        for _ in range(2):
            try:
                webhook = await self._webhooks.by_id(channel_id, webhook_id, may_manage=may_manage)
            except NoWebhookError:
                break
            if webhook is None:
                break
            try:
                await self._awake(partial(write, self._voice_of(webhook)))
            except discord.HTTPException as error:
                if not is_webhook_gone(error):
                    raise
                self._forget(webhook_id)
            else:
                return
        raise MessageLostError

    def _forget(self, webhook_id: int) -> None:
        if self._place.webhook_channel_id is not None:
            self._webhooks.forget(self._place.webhook_channel_id, webhook_id)

    def _voice_of(
        self, webhook: discord.Webhook, name: str = "", picture: str | None = None
    ) -> WebhookVoice:
        return WebhookVoice(
            webhook,
            self._budget,
            self._view_of,
            name=name,
            avatar_url=picture,
            thread=self._place.thread,
        )

    async def _awake(self, write: Callable[[], Awaitable[Result]]) -> Result:
        """Write; in a thread that has gone to sleep, once more after waking it."""
        thread = self._place.thread
        try:
            return await write()
        except discord.HTTPException as error:
            if error.code != THREAD_ARCHIVED or thread is None:
                raise
            await thread.edit(archived=False)
            return await write()
