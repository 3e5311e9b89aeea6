"""What somebody brings in a file: looked at first, taken when that is confirmed."""

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

import discord

from bot.chat.moderation.journal import Event, EventKind
from bot.chat.personas.documents import FILE_BYTES
from bot.errors import UserError
from cogs.client import Interaction, bot_of
from cogs.commands.library.asking import AskerView
from cogs.commands.personas.looks import plain
from cogs.controls import ControlForm
from cogs.interactions import shown
from cogs.platform import WRITE_ERRORS

READ_SECONDS = 60.0
MOST_PENDING = 12  # files that wait for a person's decision: each is up to some megabytes
NAMED_CHARACTERS = 100  # of a file's name
BUTTON_CHARACTERS = 80  # Discord's limit for a label

_AnyButton = discord.ui.Button[Any]
_Found = TypeVar("_Found")


@dataclass(frozen=True, slots=True)
class FileKind:
    """Attachments of a kind: what is raised for one, and what to do about one too large."""

    error: type[UserError]
    smaller: str

    def refuse_large(self, attachment: discord.Attachment) -> None:
        """Raise the kind's error for a file that is not even fetched."""
        if attachment.size > FILE_BYTES:
            raise self._too_large(attachment)

    async def fetch(self, attachment: discord.Attachment) -> bytes:
        """An attachment's bytes. Raises the kind's error."""
        self.refuse_large(attachment)
        try:
            async with asyncio.timeout(READ_SECONDS):
                content = await attachment.read()
        except (*WRITE_ERRORS, TimeoutError) as error:
            said = f"{plain(attachment.filename, 100)} could not be fetched from Discord."
            raise self.error(said, "Try again.") from error
        if len(content) > FILE_BYTES:  # Discord said something else
            raise self._too_large(attachment)
        return content

    def _too_large(self, attachment: discord.Attachment) -> UserError:
        return self.error(f"{plain(attachment.filename, 100)} is larger than 8 MiB.", self.smaller)


@contextlib.asynccontextmanager
async def refusals_told(
    interaction: Interaction, attachment: discord.Attachment
) -> AsyncGenerator[None, None]:
    """Tell the server's moderators of a file that is refused within."""
    try:
        yield
    except UserError as error:
        name = attachment.filename[:NAMED_CHARACTERS]
        is_named = name in error.message
        event = Event(
            EventKind.IMPORT,
            f"Refused: {error.message if is_named else f'{name}: {error.message}'}",
            by=str(interaction.user.id),
        )
        guild_id = str(interaction.guild_id) if interaction.guild_id else None
        await bot_of(interaction).moderation.journal.note(guild_id, event)
        raise


class PendingImports:
    """What was shown and not taken yet: a person's newest one, and not too many."""

    def __init__(self) -> None:
        self._views: OrderedDict[int, ImportView[Any]] = OrderedDict()

    async def put(self, view: "ImportView[Any]") -> None:
        """Keep one; whose place it takes can be imported no more."""
        user_id = view.asked.user.id
        before = self._views.pop(user_id, None)
        self._views[user_id] = view
        gone = [before] if before is not None else []
        if len(self._views) > MOST_PENDING:
            gone.append(self._views.popitem(last=False)[1])
        for each in gone:
            await each.let_go()

    def drop(self, view: "ImportView[Any]") -> None:
        """Keep it no longer."""
        if self._views.get(view.asked.user.id) is view:
            del self._views[view.asked.user.id]


class ImportView(AskerView, ABC, Generic[_Found]):
    """What can be done with something that is shown."""

    WHAT: ClassVar[str]  # it is, in a word
    ERROR: ClassVar[type[UserError]]
    NAME_CHARACTERS: ClassVar[int]

    def __init__(
        self,
        asked: Interaction,
        found: _Found,
        free: str,
        pending: PendingImports,
        *,
        is_taken: bool,
        free_shown: str,
        may_replace: bool,
    ) -> None:
        """`is_taken` says whether its name has an owner already; `free` is a name without one.

        `free_shown` is how people may read that one.
        """
        super().__init__(asked)
        self._found: _Found | None = found
        self._free = free
        self._pending = pending
        label = f"Import as {free_shown}" if is_taken else "Import"
        self._add(label, self._take, discord.ButtonStyle.success)
        if may_replace:
            self._add("Replace", self._replace, discord.ButtonStyle.danger)
        self._add("Another name", self._ask_name)
        self._add("Cancel", self._cancel)

    @abstractmethod
    async def taken(self, interaction: Interaction, name: str) -> str:
        """Check who asks, take it under a name, and tell what has come of it."""

    @abstractmethod
    async def replaced(self, interaction: Interaction) -> str:
        """Check who asks, put it in the other one's place, and tell what has come of it."""

    def required(self) -> _Found:
        """What is to be taken. Raises the error of its kind where it is kept no longer."""
        if self._found is None:
            raise self.ERROR(f"That {self.WHAT} is kept no longer.", "Import the file again.")
        return self._found

    async def let_go(self) -> None:
        """Keep it no longer: another one has come."""
        self._found = None
        self.stop()
        with contextlib.suppress(*WRITE_ERRORS):
            await self.asked.edit_original_response(
                content=f"This {self.WHAT} was not imported. Import the file again.", view=None
            )

    async def on_timeout(self) -> None:
        """It is kept no longer."""
        self._found = None
        self._pending.drop(self)
        await super().on_timeout()

    async def take_as(self, interaction: Interaction, name: str) -> None:
        """Take it under a name. The interaction is acknowledged already."""
        await self._end(interaction, await self.taken(interaction, name))

    async def _take(self, interaction: Interaction) -> None:
        await interaction.response.defer()
        await self.take_as(interaction, self._free)

    async def _replace(self, interaction: Interaction) -> None:
        await interaction.response.defer()
        await self._end(interaction, await self.replaced(interaction))

    async def _ask_name(self, interaction: Interaction) -> None:
        await interaction.response.send_modal(NameForm(self, self._free))

    async def _cancel(self, interaction: Interaction) -> None:
        await interaction.response.defer()
        await self._end(interaction, "Nothing was imported.")

    async def _end(self, interaction: Interaction, text: str) -> None:
        self._found = None
        self._pending.drop(self)
        self.stop()
        said = await shown(interaction, text)
        await interaction.edit_original_response(content=said, view=None)

    def _add(
        self,
        label: str,
        callback: Any,
        style: discord.ButtonStyle = discord.ButtonStyle.secondary,
    ) -> None:
        button: _AnyButton = discord.ui.Button(label=label[:BUTTON_CHARACTERS], style=style)
        button.callback = callback
        self.add_item(button)


class NameForm(ControlForm, title="Import under another name"):
    """Asks for a name."""

    def __init__(self, view: ImportView[Any], free: str) -> None:
        super().__init__()
        self._view = view
        self.name: discord.ui.TextInput[Any] = discord.ui.TextInput(
            label="Name", custom_id="name", default=free, max_length=view.NAME_CHARACTERS
        )
        self.add_item(self.name)

    async def on_submit(self, interaction: Interaction, /) -> None:
        """Take it under that name."""
        await interaction.response.defer()
        await self._view.take_as(interaction, self.name.value.strip())
