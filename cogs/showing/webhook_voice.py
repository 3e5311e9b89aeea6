"""The voice of a persona: messages of a webhook, under the persona's name."""

import discord
from discord.abc import Snowflake

from cogs.platform import NOBODY
from cogs.showing.request_budget import RequestBudget
from cogs.showing.voice import Controls, ViewOf


class WebhookVoice:
    """Writes through a webhook of the bot's own, which alone may carry buttons.

    Discord gives webhooks no nonce and no replies: a message sent again after its answer was lost
    stands there twice, see `was_repeated`. A name can't be changed once a message is sent.
    """

    def __init__(
        self,
        webhook: discord.Webhook,
        budget: RequestBudget,
        view_of: ViewOf,
        *,
        name: str = "",
        avatar_url: str | None = None,
        thread: Snowflake | None = None,
    ) -> None:
        """`webhook` uses the client's session, whose trace counts what is tried again.

        A `thread` has its parent's webhook.
        """
        self._webhook = webhook
        self._budget = budget
        self._view_of = view_of
        self._name = name or discord.utils.MISSING
        self._avatar_url = avatar_url or discord.utils.MISSING
        self.was_repeated = False  # the client sent a message again that may have been heard
        self.sent_to = 0  # the channel in which the newest message stands
        self._thread = thread or discord.utils.MISSING

    async def send(self, content: str, controls: Controls | None, tag: str) -> int:
        """Send a message under the persona's name. The `tag` helps nothing here."""
        async with self._budget.one_request() as attempt:
            message = await self._webhook.send(
                content,
                username=self._name,
                avatar_url=self._avatar_url,
                view=self._view_of(controls) or discord.utils.MISSING,
                allowed_mentions=NOBODY,
                thread=self._thread,
                wait=True,
            )
        self.was_repeated = attempt.failed
        self.sent_to = message.channel.id
        return message.id

    async def edit(self, message_id: int, content: str, controls: Controls | None) -> None:
        """Replace the text and the buttons of one of the webhook's messages."""
        async with self._budget.one_request():
            await self._webhook.edit_message(
                message_id,
                content=content,
                view=self._view_of(controls),
                allowed_mentions=NOBODY,
                thread=self._thread,
            )

    async def set_controls(self, message_id: int, controls: Controls | None) -> None:
        """Replace the buttons of one of the webhook's messages."""
        view = self._view_of(controls)
        async with self._budget.one_request():
            await self._webhook.edit_message(message_id, view=view, thread=self._thread)

    async def delete(self, message_id: int) -> None:
        """Delete one of the webhook's messages."""
        async with self._budget.one_request():
            await self._webhook.delete_message(message_id, thread=self._thread)
