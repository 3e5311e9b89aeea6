"""New personas of a server's own: by a form, or as a copy of the owner's."""

from collections.abc import Mapping, Sequence
from typing import Any

import discord

from bot.chat.persona import Persona
from bot.errors import CaduceusError
from cogs.client import Interaction, bot_of
from cogs.commands.library.asking import AskerView
from cogs.commands.personas.editor import KEPT, show_editor
from cogs.commands.personas.fields import LONG, SHORT
from cogs.commands.personas.looks import plain
from cogs.commands.personas.picture import try_picture
from cogs.controls import ControlForm
from cogs.interactions import shown, shown_line
from cogs.rights.holding import own_server


class CreateForm(ControlForm, title="A new persona"):
    """The fields that a persona begins with; the editor has the others."""

    FIELDS: Sequence[tuple[str, str, int]] = (
        ("name", "Name", 80),
        ("description", "Description: who it is", LONG),
        ("personality", "Personality", LONG),
        ("scenario", "Scenario", LONG),
        ("greeting", "Greeting: what it says first", LONG),
    )

    def __init__(
        self, picture: discord.Attachment | None, typed: Mapping[str, str] | None = None
    ) -> None:
        """`picture` came with the command; `typed` is what was typed before."""
        super().__init__()
        self._picture = picture
        self._inputs: dict[str, discord.ui.TextInput[Any]] = {}
        for field, label, most in self.FIELDS:
            self._inputs[field] = discord.ui.TextInput(
                label=label,
                custom_id=field,
                default=(typed or {}).get(field) or None,
                max_length=most,
                required=field == "name",
                style=discord.TextStyle.long if most > SHORT else discord.TextStyle.short,
            )
            self.add_item(self._inputs[field])

    async def on_submit(self, interaction: Interaction, /) -> None:
        """Make it, and offer the editor. What cannot be taken is kept for another try."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        typed = {field: entry.value for field, entry in self._inputs.items()}
        try:
            guild_id = own_server(interaction)
            by = str(interaction.user.id)
            made = await bot_of(interaction).desk.workshop.create(guild_id, typed, by)
        except CaduceusError as error:
            await interaction.followup.send(
                f"{await shown_line(interaction, error)} {KEPT}",
                view=RetryView(interaction, self._picture, typed),
                ephemeral=True,
            )
            return
        said = await try_picture(interaction, made, self._picture)
        await show_editor(interaction, made, f"It is one of this server's personas now. {said}")


class RetryView(AskerView):
    """Opens the form again with what was typed."""

    def __init__(
        self, asked: Interaction, picture: discord.Attachment | None, typed: Mapping[str, str]
    ) -> None:
        super().__init__(asked)
        self._picture = picture
        self._typed = typed

    @discord.ui.button(label="Open the form again")
    async def again(self, interaction: Interaction, _button: discord.ui.Button[Any]) -> None:
        """Open it."""
        await interaction.response.send_modal(CreateForm(self._picture, self._typed))


class CopyView(AskerView):
    """Makes a copy of the owner's persona, which can be edited."""

    def __init__(
        self, asked: Interaction, persona: Persona, picture: discord.Attachment | None
    ) -> None:
        super().__init__(asked)
        self._persona = persona
        self._picture = picture

    @discord.ui.button(label="Make a copy for this server")
    async def copy(self, interaction: Interaction, _button: discord.ui.Button[Any]) -> None:
        """Make it, and open the editor."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        guild_id = own_server(interaction)
        workshop = bot_of(interaction).desk.workshop
        card = await workshop.card(self._persona)
        name = await workshop.free_name(guild_id, self._persona.name)
        made = await workshop.take(guild_id, card, str(interaction.user.id), name)
        self.stop()
        said = await try_picture(interaction, made, self._picture)
        name = await shown(interaction, plain(made.name, 200))
        await show_editor(interaction, made, f"**{name}** is a copy. {said}")


async def offer_copy(
    interaction: Interaction, persona: Persona, picture: discord.Attachment | None
) -> None:
    """Say that a persona is the owner's, and offer a copy, which gets a picture if one came."""
    name = await shown(interaction, plain(persona.name, 200))
    await interaction.followup.send(
        f"**{name}** belongs to the bot's owner and is not changed here.",
        view=CopyView(interaction, persona, picture),
        ephemeral=True,
    )
