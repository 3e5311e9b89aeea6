"""The buttons under the bot's messages. They carry their turn's number and survive a restart."""

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, ClassVar, Self

import discord

from bot.chat.messages import Turn
from bot.errors import NotAllowed, NotFound
from cogs.interactions import (
    Interaction,
    bot_of,
    channel_of,
    require_asker,
    require_may_send,
    tell,
    told,
)
from cogs.platform import (
    AUTOMOD_LINE,
    WRITE_ERRORS,
    Channel,
    is_refused_by_automod,
    key_of,
)

_Button = discord.ui.Button[discord.ui.View]

NO_LONGER = "That reply is no longer kept, so its buttons do nothing."


class TurnButton(
    discord.ui.DynamicItem[_Button],
    template=r"caduceus:(?P<action>stop|regenerate|continue|back|forth|delete):(?P<turn>\d{1,19})",
):
    """A button that does something with one of the bot's turns."""

    STYLES: ClassVar[Mapping[str, tuple[str, discord.ButtonStyle]]] = {
        "stop": ("Stop", discord.ButtonStyle.danger),
        "regenerate": ("Regenerate", discord.ButtonStyle.secondary),
        "continue": ("Continue", discord.ButtonStyle.secondary),
        "back": ("◀", discord.ButtonStyle.secondary),
        "forth": ("▶", discord.ButtonStyle.secondary),
        "delete": ("Delete", discord.ButtonStyle.secondary),
    }

    def __init__(self, action: str, turn_id: int, label: str = "") -> None:
        text, style = self.STYLES[action]
        custom_id = f"caduceus:{action}:{turn_id}"
        super().__init__(discord.ui.Button(label=label or text, style=style, custom_id=custom_id))
        self.action = action
        self.turn_id = turn_id

    @classmethod
    async def from_custom_id(
        cls, _interaction: Interaction, _item: discord.ui.Item[Any], match: re.Match[str], /
    ) -> Self:
        """The button again, after a restart."""
        return cls(match["action"], int(match["turn"]))

    async def interaction_check(self, interaction: Interaction, /) -> bool:
        """Only who asked, and moderators, use the buttons of a reply."""
        await interaction.response.defer()
        async with told(interaction):
            require_asker(interaction, (await self._turn(interaction)).asked_by)
            return True
        return False

    async def callback(self, interaction: Interaction) -> None:
        """Do it. The interaction is acknowledged already."""
        async with told(interaction):
            turn = await self._turn(interaction)
            try:
                await ACTIONS[self.action](interaction, turn, channel_of(interaction))
            except WRITE_ERRORS as error:
                is_automod = is_refused_by_automod(error)
                said = AUTOMOD_LINE if is_automod else f"Discord did not let me: {error}"
                await tell(interaction, said)

    async def _turn(self, interaction: Interaction) -> Turn:
        bot = bot_of(interaction)
        try:
            turn = await bot.conversations.history.turn(self.turn_id)
        except NotFound:
            raise NotFound(NO_LONGER) from None
        if interaction.channel is None or turn.channel != key_of(interaction.channel):
            raise NotFound(NO_LONGER)
        return turn


async def _stop(interaction: Interaction, turn: Turn, channel: Channel) -> None:
    bot = bot_of(interaction)
    running = bot.conversations.running(turn.channel)
    if running is not None and running.turn.turn_id == turn.turn_id:
        running.stop()
    else:  # a button left behind, by a crash perhaps
        await bot.serving.refresh_controls(turn, channel)


def _require_written(interaction: Interaction, turn: Turn) -> None:
    """Refuse a button pressed twice."""
    running = bot_of(interaction).conversations.running(turn.channel)
    if running is not None and running.turn.turn_id == turn.turn_id:
        raise NotAllowed("That reply is being written.", "Wait for its end, or stop it.")


async def regenerate(interaction: Interaction, turn: Turn, channel: Channel) -> None:
    """Write another swipe of a turn."""
    bot = bot_of(interaction)
    require_may_send(channel)
    _require_written(interaction, turn)
    reply = await bot.conversations.regenerate(turn.turn_id)
    await bot.serving.deliver(reply, channel, str(interaction.id))


async def continue_reply(interaction: Interaction, turn: Turn, channel: Channel) -> None:
    """Go on with a turn."""
    bot = bot_of(interaction)
    require_may_send(channel)
    _require_written(interaction, turn)
    reply = await bot.conversations.continue_reply(turn.turn_id)
    await bot.serving.deliver(reply, channel, str(interaction.id))


async def _swipe(interaction: Interaction, turn: Turn, channel: Channel, step: int) -> None:
    bot = bot_of(interaction)
    swiped = await bot.conversations.swipe(turn.turn_id, step)
    await bot.serving.show(swiped, channel, str(interaction.id))


async def _back(interaction: Interaction, turn: Turn, channel: Channel) -> None:
    await _swipe(interaction, turn, channel, -1)


async def _forth(interaction: Interaction, turn: Turn, channel: Channel) -> None:
    await _swipe(interaction, turn, channel, 1)


async def _delete(interaction: Interaction, turn: Turn, channel: Channel) -> None:
    bot = bot_of(interaction)
    gone = await bot.conversations.delete_turn(turn.turn_id)
    await bot.serving.delete_messages(gone, channel)


ACTIONS: Mapping[str, Callable[[Interaction, Turn, Channel], Awaitable[None]]] = {
    "stop": _stop,
    "regenerate": regenerate,
    "continue": continue_reply,
    "back": _back,
    "forth": _forth,
    "delete": _delete,
}
