"""`/persona`: who the bot is in a channel, and a server's own personas."""

import discord
from discord import app_commands
from discord.ext import commands

from bot.chat.limits.ages import require_may_speak
from bot.chat.messages import Scope
from bot.chat.personas.cards.writing import Format
from bot.chat.personas.guild.workshop import own_guild
from bot.errors import NotAllowed, NotFound
from cogs.client import CaduceusBot, Interaction, channel_of
from cogs.commands.greeting import greet
from cogs.commands.library.deleting import persona_deletion
from cogs.commands.library.importing import PendingImports
from cogs.commands.personas.costs import costs_of
from cogs.commands.personas.creating import CreateForm, offer_copy
from cogs.commands.personas.editor import show_editor
from cogs.commands.personas.exporting import send_export
from cogs.commands.personas.finding import (
    complete_cast,
    complete_own,
    complete_persona,
    find_persona,
    scope_of,
)
from cogs.commands.personas.importing import CARD_FILES, CardReader, show_import
from cogs.commands.personas.looks import describe, large_picture, picture_file, plain
from cogs.commands.personas.pages import page_of
from cogs.commands.personas.picture import KINDS, PICTURE_FILES, try_picture
from cogs.interactions import answering, shown, shown_embeds
from cogs.platform import escaped, key_of

FORMATS = [app_commands.Choice(name=format.value, value=format.value) for format in Format]


class PersonaCommands(
    commands.GroupCog, group_name="persona", group_description="Who the bot is here"
):
    """Commands about personas."""

    def __init__(self, bot: CaduceusBot) -> None:
        self._bot = bot
        self._reader = CardReader()
        self._pending = PendingImports()

    @app_commands.command()
    async def list(self, interaction: Interaction) -> None:
        """See the personas there are."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        page = await page_of(interaction, 0)
        await interaction.followup.send(
            page.content, embeds=page.embeds, files=page.files, view=page.view, ephemeral=True
        )

    @app_commands.command()
    @app_commands.describe(name="Which persona")
    @app_commands.autocomplete(name=complete_persona)
    async def show(self, interaction: Interaction, name: str) -> None:
        """Read what a persona is told to be, and what it costs."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        persona = await find_persona(interaction, name)
        desk = self._bot.desk
        costs = await costs_of(self._bot.conversations.engines, persona)
        found = await desk.pictures.find(persona)
        picture = await large_picture(await found.read()) if found is not None else None
        embed = describe(
            persona, costs, await desk.workshop.kept(persona), has_picture=picture is not None
        )
        files = [picture_file(picture)] if picture else []
        await shown_embeds(interaction, [embed])
        await interaction.followup.send(embed=embed, files=files, ephemeral=True)

    @app_commands.command()
    @app_commands.describe(name="Which persona")
    @app_commands.autocomplete(name=complete_persona)
    async def use(self, interaction: Interaction, name: str) -> None:
        """Choose who the bot is in this channel."""
        key = key_of(channel_of(interaction))
        cascade = self._bot.conversations.settings
        by = str(interaction.user.id)
        async with answering(interaction):
            persona = await find_persona(interaction, name)
            require_may_speak(persona, key)
            await cascade.set(key, Scope.CHANNEL, "persona", persona.id, by=by)
            name = await shown(interaction, escaped(persona.name))
        await interaction.followup.send(f"**{name}** speaks here from now on.")
        await greet(interaction)

    @app_commands.command()
    @app_commands.describe(name="Which persona")
    @app_commands.autocomplete(name=complete_persona)
    async def add(self, interaction: Interaction, name: str) -> None:
        """Let one more persona speak in this channel, when it is named or replied to."""
        key = key_of(channel_of(interaction))
        by = str(interaction.user.id)
        async with answering(interaction):
            persona = await find_persona(interaction, name)
            require_may_speak(persona, key)
            cascade = self._bot.conversations.settings
            main = await cascade.persona(key, await cascade.resolve(key))
            if main.id == persona.id:
                raise NotAllowed(f"«{persona.name}» is the main persona here already.")
            casts = self._bot.desk.casts
            if not await casts.add_to_cast(scope_of(interaction), key.guild_id, persona.id, by):
                raise NotAllowed(f"«{persona.name}» speaks here already.")
            name = await shown(interaction, escaped(persona.name))
        await interaction.followup.send(
            f"**{name}** speaks here, too: whoever names it or replies to it is answered by it."
        )

    @app_commands.command()
    @app_commands.describe(name="Which persona")
    @app_commands.autocomplete(name=complete_cast)
    async def remove(self, interaction: Interaction, name: str) -> None:
        """Let a persona that was added speak here no more."""
        async with answering(interaction):
            persona = await find_persona(interaction, name)
            casts = self._bot.desk.casts
            if not await casts.remove_from_cast(scope_of(interaction), persona.id):
                raise NotFound(
                    f"«{persona.name}» was not added here.",
                    "The main persona is changed with `/persona use`.",
                )
            name = await shown(interaction, escaped(persona.name))
        await interaction.followup.send(f"**{name}** no longer speaks here beside the main one.")

    @app_commands.command()
    @app_commands.describe(picture=f"Its picture: {KINDS}")
    async def create(
        self, interaction: Interaction, picture: discord.Attachment | None = None
    ) -> None:
        """Make a persona of this server's own."""
        if picture is not None:
            PICTURE_FILES.refuse_large(picture)
        await interaction.response.send_modal(CreateForm(picture))

    @app_commands.command()
    @app_commands.describe(name="Which persona", picture=f"Another picture: {KINDS}")
    @app_commands.autocomplete(name=complete_persona)
    async def edit(
        self, interaction: Interaction, name: str, picture: discord.Attachment | None = None
    ) -> None:
        """Change a persona of this server's own."""
        if picture is not None:
            PICTURE_FILES.refuse_large(picture)
        await interaction.response.defer(ephemeral=True, thinking=True)
        persona = await find_persona(interaction, name)
        if persona.guild_id is None:
            await offer_copy(interaction, persona, picture)
        else:
            said = await try_picture(interaction, persona, picture)
            await show_editor(interaction, persona, said)

    @app_commands.command()
    @app_commands.describe(name="Which of this server's own personas")
    @app_commands.autocomplete(name=complete_own)
    async def delete(self, interaction: Interaction, name: str) -> None:
        """Delete a persona of this server's own."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        persona = await find_persona(interaction, name)
        own_guild(persona)
        name = await shown(interaction, plain(persona.name, 200))
        await interaction.followup.send(
            f"Delete **{name}**? For ten minutes that can be undone; then it "
            "is gone with its picture. What it has said stays.",
            view=persona_deletion(interaction, persona),
            ephemeral=True,
        )

    @app_commands.command(name="import")
    @app_commands.describe(file="A character card (PNG, JSON, CHARX, BYAF, YAML) or a TOML file")
    async def import_(self, interaction: Interaction, file: discord.Attachment) -> None:
        """Bring in a character card from anywhere, after a look at it."""
        CARD_FILES.refuse_large(file)
        await interaction.response.defer(ephemeral=True, thinking=True)
        await show_import(interaction, file, self._reader, self._pending)

    @app_commands.command()
    @app_commands.describe(name="Which persona", format="What kind of file")
    @app_commands.autocomplete(name=complete_persona)
    @app_commands.choices(format=FORMATS)
    async def export(self, interaction: Interaction, name: str, format: str) -> None:
        """Get a persona as a file, with everything that came with it."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        persona = await find_persona(interaction, name)
        await send_export(interaction, persona, Format(format))
