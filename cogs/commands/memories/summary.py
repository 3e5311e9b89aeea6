"""`/memory summary`: what was folded, with buttons to write it by hand and to have it made anew."""

import io
from dataclasses import replace
from typing import Any

import discord

from bot.chat.messages import ChannelKey
from bot.chat.roleplay.memory.summary import Summary, SummaryDesk
from bot.errors import CaduceusError, NotAllowed
from cogs.client import Interaction, bot_of, channel_of
from cogs.commands.library.asking import AskerView
from cogs.controls import ControlForm
from cogs.interactions import shown_line, tell
from cogs.platform import escaped, key_of
from cogs.rights.holding import is_moderator

SHOWN_CHARACTERS = 3_800  # of an embed's 4,096
FORM_CHARACTERS = 4_000  # which a field of a form may have
KEPT = "What you typed stands in the form when you open it again."
REWRITTEN = "It stays as you wrote it, until somebody has it made anew."
REBUILT = "It is made anew, bit by bit, while nobody asks me for anything."

_AnyButton = discord.ui.Button[Any]


async def show_summary(interaction: Interaction) -> None:
    """Answer `/memory summary`."""
    key = key_of(channel_of(interaction))
    await interaction.response.defer(ephemeral=True, thinking=True)
    summary = await bot_of(interaction).summaries.show(key)
    shown = await _as_shown(interaction, key, summary)
    more: dict[str, Any] = {}
    if len(shown.text) > SHOWN_CHARACTERS:
        whole = io.BytesIO(shown.text.encode())
        more["file"] = discord.File(whole, filename="summary.txt")
    if is_moderator(interaction):
        more["view"] = SummaryView(interaction, key, summary, shown.text)
    await interaction.followup.send(embed=embed_of(shown), ephemeral=True, **more)


async def _as_shown(interaction: Interaction, key: ChannelKey, summary: Summary) -> Summary:
    """Without the words that the guild does not want to read."""
    text = await bot_of(interaction).conversations.censor.shown(key, summary.text)
    return replace(summary, text=text)


def embed_of(summary: Summary) -> discord.Embed:
    """The summary as it stands, and what is to be known of it."""
    text = escaped(summary.text)
    if len(text) > SHOWN_CHARACTERS:
        text = f"{text[: SHOWN_CHARACTERS - 1]}…"
    nothing = "There is none yet: nothing of this conversation has fallen out of what I see."
    if summary.unfinished:
        nothing = "There is none yet. It is made while nobody asks me for anything."
    embed = discord.Embed(title="Summary of what was said earlier", description=text or nothing)
    remarks: list[str] = []
    if not summary.is_on:
        remarks.append("memory_summary is off here: I am not told of it, and nothing is folded.")
    if summary.by_hand:
        remarks.append("A moderator wrote it, or its beginning.")
    if summary.unfinished and summary.text and summary.is_on:
        remarks.append("Something is yet to be folded in.")
    if remarks:
        embed.set_footer(text=" ".join(remarks))
    return embed


class SummaryView(AskerView):
    """Buttons for the moderator who looked at a summary."""

    def __init__(self, asked: Interaction, key: ChannelKey, summary: Summary, shown: str) -> None:
        super().__init__(asked)
        self.key = key
        self.summary = summary
        self.shown = shown  # what may be read of it
        self.unsaved = ""
        self._name_buttons()

    @discord.ui.button(label="Rewrite")
    async def rewrite(self, interaction: Interaction, _button: _AnyButton) -> None:
        """Open the form with the summary in it."""
        await interaction.response.send_modal(SummaryForm(self))

    @discord.ui.button(label="Rebuild", style=discord.ButtonStyle.danger)
    async def rebuild(self, interaction: Interaction, _button: _AnyButton) -> None:
        """Throw the summary away, to be made anew."""
        await interaction.response.defer()
        await self._desk(interaction).rebuild(self.key)
        self.unsaved = ""
        await self._show_anew(interaction, REBUILT)

    async def save(self, interaction: Interaction, text: str) -> None:
        """Keep what a moderator wrote; what cannot be taken stays in the form."""
        try:
            await self._desk(interaction).rewrite(self.key, self.summary, text)
        except CaduceusError as error:
            self.unsaved = text
            await tell(interaction, f"{await shown_line(interaction, error)} {KEPT}")
            return
        self.unsaved = ""
        await self._show_anew(interaction, REWRITTEN)

    async def _show_anew(self, interaction: Interaction, said: str) -> None:
        self.summary = await self._desk(interaction).show(self.key)
        self._name_buttons()
        shown = await _as_shown(interaction, self.key, self.summary)
        self.shown = shown.text
        await interaction.edit_original_response(
            content=said, embed=embed_of(shown), attachments=[], view=self
        )

    def _name_buttons(self) -> None:
        by_hand = self.summary.by_hand
        self.rebuild.label = "Throw away and rebuild" if by_hand else "Rebuild"

    def _desk(self, interaction: Interaction) -> SummaryDesk:
        return bot_of(interaction).summaries


class SummaryForm(ControlForm):
    """The summary to be written by hand."""

    def __init__(self, view: SummaryView) -> None:
        super().__init__(title="Summary of what was said earlier")
        self._view = view
        self.text: discord.ui.TextInput[SummaryForm] = discord.ui.TextInput(
            label="What is to be known of it",
            custom_id="text",
            style=discord.TextStyle.long,
            default=(view.unsaved or view.shown)[:FORM_CHARACTERS] or None,
            max_length=FORM_CHARACTERS,
        )
        self.add_item(self.text)

    def refused(self, error: NotAllowed) -> NotAllowed:
        """What was typed stays in the form."""
        self._view.unsaved = self.text.value
        return NotAllowed(error.message, KEPT)

    async def on_submit(self, interaction: Interaction, /) -> None:
        """Keep it."""
        await interaction.response.defer()
        await self._view.save(interaction, self.text.value)
