"""The button «Replay» of «Why this reply?»: the same engine writes it again, with the same seed."""

import io
import re
from typing import Any, Self

import discord

from bot.chat.moderation.replay import Likeness, Replay
from cogs.client import Interaction, bot_of
from cogs.controls import KeptControl
from cogs.interactions import acknowledge
from cogs.platform import NOBODY, escaped
from cogs.rights.kinds import Answer
from cogs.rights.rules import turn_here

SHOWN_CHARACTERS = 3_500  # of an embed's 4,096; a longer text comes as a file, too
_VERDICTS = {
    Likeness.SAME: "The same text came again.",
    Likeness.BEGINS_SAME: "It begins with the same text. {why}",
    Likeness.ANOTHER: "Another text came.",
}
_NOT_EXACT = (
    "Nothing that it was written from has changed: this engine does not repeat itself exactly. "
    "How much of the conversation it had read before, and what it writes for others at the same "
    "time, can tip a close choice."
)


class ReplayButton(KeptControl, template=r"caduceus:replay:(?P<turn>\d{1,19})"):
    """Has a reply written once more, for a moderator alone: it changes nothing that was said."""

    def __init__(self, turn_id: int) -> None:
        custom_id = f"caduceus:replay:{turn_id}"
        super().__init__(discord.ui.Button(label="Replay", custom_id=custom_id))
        self.turn_id = self._number = turn_id

    @classmethod
    async def from_custom_id(
        cls, _interaction: Interaction, _item: discord.ui.Item[Any], match: re.Match[str], /
    ) -> Self:
        """The button again, after a restart."""
        return cls(int(match["turn"]))

    async def press(self, interaction: Interaction) -> None:
        """Replay it, and show what came beside what was said."""
        await acknowledge(interaction, Answer.PRIVATE)
        turn = await turn_here(interaction, self._number)
        by = str(interaction.user.id)
        replay = await bot_of(interaction).replays.replay(turn.turn_id, by=by)
        files = [_file(replay.text)] if len(_escaped(replay.text)) > SHOWN_CHARACTERS else []
        await interaction.followup.send(
            embed=embed_of(replay), files=files, ephemeral=True, allowed_mentions=NOBODY
        )


def embed_of(replay: Replay) -> discord.Embed:
    """What came, whether it is the same, and what is no longer as it was."""
    shown = _escaped(replay.text)
    if len(shown) > SHOWN_CHARACTERS:
        shown = f"{shown[: SHOWN_CHARACTERS - 1]}…"
    embed = discord.Embed(title="Replay", description=shown or "Nothing came.")
    said = _VERDICTS[replay.likeness].format(why=replay.why).strip()
    if replay.likeness is Likeness.ANOTHER and not replay.differences:
        said = f"{said} {_NOT_EXACT}"
    embed.add_field(name="Is it the same?", value=said[:1024], inline=False)
    if replay.differences:
        lines = "\n".join(escaped(line[:250]) for line in replay.differences)
        embed.add_field(name="No longer as it was", value=lines[:1024], inline=False)
    written = f"{replay.engine}, {replay.model}, seed {replay.seed}"
    return embed.set_footer(text=f"Written by {written[:500]}. Nothing of it is kept.")


def _escaped(text: str) -> str:
    return discord.utils.escape_mentions(escaped(text))


def _file(text: str) -> discord.File:
    return discord.File(io.BytesIO(text.encode()), filename="replay.txt")
