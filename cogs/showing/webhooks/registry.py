"""The bot's own webhook in each channel: found or made once, shared by all who speak there."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Mapping
from enum import Enum
from functools import partial
from typing import Any

import discord

from cogs.showing.webhooks.names import webhook_name

CHANNEL_WEBHOOKS = 15  # Discord's most, everybody's together
REMEMBERED_CHANNELS = 2_000

# Discord's error codes
UNKNOWN_WEBHOOK = 10015
INVALID_TOKEN = 50027
CHANNEL_FULL = 30007
GUILD_FULL = 30058

_log = logging.getLogger(__name__)


class Lack(Enum):
    """Why there is no webhook in a channel, and what to do, in words."""

    PERMISSION = "I need the permission Manage Webhooks here"
    ROOM = "delete one of the webhooks here: Discord allows 15 in a channel"


class NoWebhookError(Exception):
    """The bot can't have a webhook in a channel."""

    def __init__(self, lack: Lack) -> None:
        super().__init__(lack.value)
        self.lack = lack


def is_webhook_gone(error: BaseException) -> bool:
    """Whether a request failed because its webhook has been deleted, or has another token."""
    return isinstance(error, discord.HTTPException) and error.code in (
        UNKNOWN_WEBHOOK,
        INVALID_TOKEN,
    )


class Webhooks:
    """Finds or makes the webhook of a channel. A thread's is that of the channel it is in.

    It is known by its application, so that no table of ours is needed; of several, made at the
    same moment by two programs, the oldest is used. One lookup a channel at a time: whoever else
    asks meanwhile waits for its result. What failed is tried again by the next one who asks.
    """

    def __init__(self, client: discord.Client) -> None:
        """Its requests are the client's, and so counted with them."""
        self._client = client
        self._known: OrderedDict[int, Mapping[int, discord.Webhook]] = OrderedDict()
        self._lookups: dict[int, asyncio.Task[Mapping[int, discord.Webhook]]] = {}

    async def of(self, channel_id: int, *, may_manage: bool = True) -> discord.Webhook:
        """The webhook to speak through. Raises NoWebhookError, or what discord.py raises.

        Without the permission (`may_manage`), one that is known already still serves.
        """
        found = await self._own(channel_id, may_manage)
        return found[min(found)]

    async def by_id(
        self, channel_id: int, webhook_id: int, *, may_manage: bool = True
    ) -> discord.Webhook | None:
        """One of ours that has spoken in the channel; None where it is gone. Raises as :meth:`of`.

        Another program of ours may have made it since we looked.
        """
        is_new = channel_id not in self._known
        found = await self._own(channel_id, may_manage)
        if webhook_id not in found and not is_new and may_manage:
            self._known.pop(channel_id, None)
            found = await self._own(channel_id, may_manage)
        return found.get(webhook_id)

    def forget(self, channel_id: int, webhook_id: int) -> None:
        """A webhook turned out to be gone: it is looked up again. No other one is forgotten."""
        if webhook_id in self._known.get(channel_id, {}):
            del self._known[channel_id]

    async def close(self) -> None:
        """End lookups for which nobody waits any more."""
        tasks = set(self._lookups.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _own(self, channel_id: int, may_manage: bool) -> Mapping[int, discord.Webhook]:
        known = self._known.get(channel_id)
        if known is not None:
            self._known.move_to_end(channel_id)
            return known
        lookup = self._lookups.get(channel_id)
        if lookup is None:
            if not may_manage:
                raise NoWebhookError(Lack.PERMISSION)
            lookup = asyncio.create_task(self._look(channel_id), name=f"webhook of {channel_id}")
            self._lookups[channel_id] = lookup
            lookup.add_done_callback(partial(self._looked, channel_id))
        # Whoever stops waiting takes nobody else's lookup away.
        return await asyncio.shield(lookup)

    def _looked(self, channel_id: int, lookup: asyncio.Task[Mapping[int, discord.Webhook]]) -> None:
        del self._lookups[channel_id]
        if lookup.cancelled() or lookup.exception() is not None:
            return
        self._known[channel_id] = lookup.result()
        if len(self._known) > REMEMBERED_CHANNELS:
            self._known.popitem(last=False)

    async def _look(self, channel_id: int) -> Mapping[int, discord.Webhook]:
        # The payloads are read as they come: discord.py's object leaves the application out.
        try:
            listed = await self._client.http.channel_webhooks(channel_id) or []  # may be null
            own = [found for payload in listed if (found := self._own_one(payload))]
            if own:
                return {webhook.id: webhook for webhook in own}
            if len(listed) >= CHANNEL_WEBHOOKS:
                raise NoWebhookError(Lack.ROOM)
            made = await self._make(channel_id)
        except discord.Forbidden as error:
            raise NoWebhookError(Lack.PERMISSION) from error
        _log.info("Made a webhook in channel %s, for personas to speak through", channel_id)
        return {made.id: made}

    def _own_one(self, payload: Mapping[str, Any]) -> discord.Webhook | None:
        me = self._client.user
        application_id: str | None = payload.get("application_id")
        maker: Mapping[str, Any] | None = payload.get("user")
        is_own = application_id == str(self._client.application_id) or (
            application_id is None
            and me is not None
            and maker is not None
            and maker.get("id") == str(me.id)
        )
        token = payload.get("token")
        if not is_own or not token or payload.get("type") != discord.WebhookType.incoming.value:
            return None
        return discord.Webhook.partial(int(payload["id"]), token, client=self._client)

    async def _make(self, channel_id: int) -> discord.Webhook:
        me = self._client.user
        name = webhook_name(me.name if me is not None else "")
        try:
            made = await self._client.http.create_webhook(
                channel_id, name=name, reason="Personas speak through it."
            )
        except discord.HTTPException as error:
            if error.code in (CHANNEL_FULL, GUILD_FULL):
                raise NoWebhookError(Lack.ROOM) from error
            raise
        return discord.Webhook.partial(int(made["id"]), made.get("token", ""), client=self._client)
