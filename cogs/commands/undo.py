"""The Undo button of `/chat reset` and `/chat undo`. It carries what it needs and survives."""

import re
from collections.abc import Sequence
from typing import Any, Self

import discord

from bot.errors import NotFound
from cogs.commands.greeting import take_back_greeting
from cogs.interactions import (
    Interaction,
    bot_of,
    channel_of,
    told,
)
from cogs.platform import (
    key_of,
)
from cogs.rights.talking import require_talker

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_ID_CHARACTERS = 80  # of the 100 that a button's id may have

_Button = discord.ui.Button[discord.ui.View]


def pack(numbers: Sequence[int]) -> str:
    """Rising numbers as text: the first and then the steps between them, in base 36."""
    steps = [number - before for before, number in zip([0, *numbers], numbers, strict=False)]
    return ".".join(_in_base_36(step) for step in steps)


def unpack(text: str) -> list[int]:
    """The numbers again."""
    numbers: list[int] = []
    for step in text.split("."):
        numbers.append(int(step, 36) + (numbers[-1] if numbers else 0))
    return numbers


def _in_base_36(number: int) -> str:
    digits = ""
    while True:
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
        if not number:
            return digits


class UndoButton(
    discord.ui.DynamicItem[_Button],
    template=r"caduceus:(?P<what>restore|unhide):(?P<numbers>[0-9a-z.]{1,80})",
):
    """Takes back a reset or an undo. Like those, it is for whoever may talk to the bot."""

    def __init__(self, what: str, numbers: str) -> None:
        custom_id = f"caduceus:{what}:{numbers}"
        super().__init__(discord.ui.Button(label="Undo", custom_id=custom_id))
        self.what = what
        self.numbers = numbers

    @classmethod
    async def from_custom_id(
        cls, _interaction: Interaction, _item: discord.ui.Item[Any], match: re.Match[str], /
    ) -> Self:
        """The button again, after a restart."""
        return cls(match["what"], match["numbers"])

    async def interaction_check(self, interaction: Interaction, /) -> bool:
        """Only where it can be undone; everybody in the channel may."""
        await interaction.response.defer()
        return interaction.channel is not None

    async def callback(self, interaction: Interaction) -> None:
        """Put back what was taken, and say so in the button's place."""
        async with told(interaction):
            bot = bot_of(interaction)
            key = key_of(channel_of(interaction))
            await require_talker(interaction)
            history = bot.conversations.history
            numbers = unpack(self.numbers)
            if self.what == "restore":
                await take_back_greeting(interaction, key)
                await history.restore(key, numbers[0])
                text = "The earlier conversation goes on."
            else:
                await self._require_here(interaction, numbers)
                await history.unhide(numbers)
                text = "The last exchange is back."
            await interaction.edit_original_response(content=text, view=None)

    async def _require_here(self, interaction: Interaction, numbers: Sequence[int]) -> None:
        history = bot_of(interaction).conversations.history
        key = key_of(channel_of(interaction))
        for number in numbers:
            try:
                turn = await history.turn(number)
            except NotFound:
                continue
            if turn.channel == key:
                return
        raise NotFound("What was taken back is no longer kept.")


def undo_view(what: str, numbers: Sequence[int]) -> discord.ui.View:
    """An Undo button. Of very many turns, it brings back the newest that its id has room for."""
    kept = sorted(numbers)
    while len(pack(kept)) > _ID_CHARACTERS:
        kept = kept[1:]
    view = discord.ui.View(timeout=None)
    view.add_item(UndoButton(what, pack(kept)))
    return view
