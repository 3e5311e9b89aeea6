"""The Undo button of `/chat reset` and `/chat undo`. It carries what it needs and survives."""

import re
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Self

import discord

from bot.chat.messages import Turn
from bot.errors import NotAllowed, NotFound
from cogs.client import Interaction, bot_of, channel_of
from cogs.commands.greeting import take_back_greeting
from cogs.controls import KeptControl, view_of_kept
from cogs.platform import key_of
from cogs.rights.rules import LARGEST_ID

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_ID_CHARACTERS = 80  # of the 100 that a button's id may have

NO_LONGER = "What was taken back is no longer kept."
SOMEBODY_ELSES = "That was somebody else's exchange, and each has a talk of their own here."


def pack(numbers: Sequence[int]) -> str:
    """Rising numbers as text: the first and then the steps between them, in base 36."""
    steps = [number - before for before, number in zip([0, *numbers], numbers, strict=False)]
    return ".".join(_in_base_36(step) for step in steps)


def unpack(text: str) -> list[int]:
    """The numbers again. Raises NotFound for what :func:`pack` does not write."""
    numbers: list[int] = []
    for step in text.split("."):
        if not step:
            raise NotFound(NO_LONGER)
        numbers.append(int(step, 36) + (numbers[-1] if numbers else 0))
        if numbers[-1] > LARGEST_ID:
            raise NotFound(NO_LONGER)
    return numbers


def _in_base_36(number: int) -> str:
    digits = ""
    while True:
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
        if not number:
            return digits


class UndoButton(
    KeptControl,
    template=r"caduceus:(?P<what>restore|unhide):(?P<numbers>[0-9a-z.]{1,80})",
):
    """Takes back a reset or an undo. Like those, it is for whoever may talk to the bot."""

    deeds = ("restore", "unhide")

    def __init__(self, what: str, numbers: str) -> None:
        custom_id = f"caduceus:{what}:{numbers}"
        super().__init__(discord.ui.Button(label="Undo", custom_id=custom_id))
        self.deed = what
        self.numbers = numbers

    @classmethod
    async def from_custom_id(
        cls, _interaction: Interaction, _item: discord.ui.Item[Any], match: re.Match[str], /
    ) -> Self:
        """The button again, after a restart."""
        return cls(match["what"], match["numbers"])

    async def press(self, interaction: Interaction) -> None:
        """Put back what was taken, and say so in the button's place."""
        bot = bot_of(interaction)
        key = key_of(channel_of(interaction))
        history = bot.conversations.history
        numbers = unpack(self.numbers)
        if self.deed == "restore":
            greeting = await bot.conversations.greetings.taken_back(key)
            await history.restore(key, numbers[0])  # first: what it names may be gone
            if greeting is not None:
                await take_back_greeting(interaction, greeting)
            text = "The earlier conversation goes on."
        else:
            await history.unhide(await self._here(interaction, numbers))
            text = "The last exchange is back."
        await interaction.edit_original_response(content=text, view=None)

    async def _here(self, interaction: Interaction, numbers: Sequence[int]) -> list[int]:
        """Those of the turns that are this channel's and still kept.

        Raises NotFound, or NotAllowed where each has a talk of their own and this is another's.
        """
        conversations = bot_of(interaction).conversations
        key = key_of(channel_of(interaction))
        found: list[Turn] = []
        for number in numbers:
            with suppress(NotFound):
                turn = await conversations.history.turn(number)
                if turn.channel == key:
                    found.append(turn)
        if not found:
            raise NotFound(NO_LONGER)
        person = str(interaction.user.id)
        if await conversations.is_private(key) and not all(_is_of(person, turn) for turn in found):
            raise NotAllowed(SOMEBODY_ELSES, "Only they can bring it back.")
        return [turn.turn_id for turn in found]


def _is_of(person: str, turn: Turn) -> bool:
    return person in (turn.asked_by if turn.role == "bot" else {turn.speaker.speaker_id})


def undo_view(what: str, numbers: Sequence[int]) -> discord.ui.View:
    """An Undo button. Of very many turns, it brings back the newest that its id has room for."""
    kept = sorted(numbers)
    while len(pack(kept)) > _ID_CHARACTERS:
        kept = kept[1:]
    return view_of_kept(UndoButton(what, pack(kept)))
