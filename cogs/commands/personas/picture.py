"""A picture that somebody brings for a server's own persona."""

from collections.abc import Awaitable, Callable

import discord

from bot.chat.persona import Persona
from bot.errors import CaduceusError, PersonaError
from cogs.client import Interaction, bot_of
from cogs.commands.library.importing import FileKind
from cogs.controls import ControlForm
from cogs.interactions import shown_line

PICTURE_FILES = FileKind(PersonaError, "Take a smaller picture.")
KINDS = "PNG, JPEG, WebP or GIF"

OnPicture = Callable[[Interaction, discord.Attachment], Awaitable[None]]


async def set_picture(
    interaction: Interaction, persona: Persona, file: discord.Attachment | None
) -> None:
    """Give a persona an attached picture, or none. Raises PersonaError or NotFound."""
    content = None if file is None else await PICTURE_FILES.fetch(file)
    name = "The picture" if file is None else file.filename[:100]
    workshop = bot_of(interaction).desk.workshop
    await workshop.set_picture(persona, content, str(interaction.user.id), file_name=name)


async def try_picture(
    interaction: Interaction, persona: Persona, file: discord.Attachment | None
) -> str:
    """Give a persona the picture that came with a command, if one did; what to say of it."""
    if file is None:
        return ""
    try:
        await set_picture(interaction, persona, file)
    except CaduceusError as error:
        return f"The picture was not taken: {await shown_line(interaction, error)} "
    return "Its picture is set. "


class PictureForm(ControlForm, title="Picture"):
    """Asks for a picture."""

    def __init__(self, done: OnPicture) -> None:
        """`done` is called with the picture. The interaction is acknowledged by then."""
        super().__init__()
        self._done = done
        self.file = discord.ui.FileUpload[PictureForm](custom_id="picture", max_values=1)
        self.add_item(
            discord.ui.Label(
                text="Its picture",
                description=f"{KINDS}, at most 8 MiB. Webhooks show the upper middle, as a square.",
                component=self.file,
            )
        )

    async def on_submit(self, interaction: Interaction, /) -> None:
        """Hand the picture on."""
        await interaction.response.defer()
        if not self.file.values:
            raise PersonaError("No picture came with the form.", "Choose a file in it.")
        await self._done(interaction, self.file.values[0])
