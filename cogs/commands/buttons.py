"""The buttons under the bot's messages. They carry their turn's number and survive a restart."""

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, ClassVar, Self

import discord

from bot.chat.messages import Turn
from cogs.client import Interaction, bot_of, channel_of
from cogs.controls import KeptControl
from cogs.interactions import ALREADY
from cogs.platform import Channel, key_of
from cogs.rights.rules import BEING_WRITTEN, turn_here

WRITING = ("regenerate", "continue")


class TurnButton(
    KeptControl,
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

    deeds = tuple(STYLES)

    def __init__(self, action: str, turn_id: int, label: str = "") -> None:
        text, style = self.STYLES[action]
        custom_id = f"caduceus:{action}:{turn_id}"
        super().__init__(discord.ui.Button(label=label or text, style=style, custom_id=custom_id))
        self.deed = action
        self.turn_id = self._number = turn_id
        self.already = BEING_WRITTEN if action in WRITING else ALREADY

    @classmethod
    async def from_custom_id(
        cls, _interaction: Interaction, _item: discord.ui.Item[Any], match: re.Match[str], /
    ) -> Self:
        """The button again, after a restart."""
        return cls(match["action"], int(match["turn"]))

    async def press(self, interaction: Interaction) -> None:
        """Do it. The interaction is acknowledged already."""
        turn = await turn_here(interaction, self._number)
        await ACTIONS[self.deed](interaction, turn, channel_of(interaction))


async def _stop(interaction: Interaction, turn: Turn, channel: Channel) -> None:
    bot = bot_of(interaction)
    running = bot.conversations.running(turn.channel)
    if running is not None and running.turn.turn_id == turn.turn_id:
        running.stop()
    else:  # a button left behind, by a crash perhaps
        await bot.serving.refresh_controls(turn, channel)


async def regenerate(interaction: Interaction, turn: Turn, channel: Channel) -> None:
    """Write another swipe of a turn, for somebody of whom it is known that they may."""
    bot = bot_of(interaction)
    reply = await bot.conversations.regenerate(
        turn.turn_id, channel=key_of(channel), by=str(interaction.user.id)
    )
    await bot.serving.deliver(reply, channel, str(interaction.id))


async def continue_reply(interaction: Interaction, turn: Turn, channel: Channel) -> None:
    """Go on with a turn, as :func:`regenerate`."""
    bot = bot_of(interaction)
    reply = await bot.conversations.continue_reply(
        turn.turn_id, channel=key_of(channel), by=str(interaction.user.id)
    )
    await bot.serving.deliver(reply, channel, str(interaction.id))


async def _swipe(interaction: Interaction, turn: Turn, channel: Channel, step: int) -> None:
    bot = bot_of(interaction)
    swiped = await bot.conversations.swipe(turn.turn_id, step, seen_in=key_of(channel))
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
