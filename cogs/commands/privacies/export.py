"""`/privacy export`: everything of a person's, sent to nobody but them."""

import asyncio
import io
import os
import shutil
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path

import discord
import psutil

from bot.chat.privacy.handing_out import write_everything
from bot.errors import NotAllowed
from cogs.client import Interaction, bot_of
from cogs.platform import OWN_DATA, PLATFORM

AGAIN_AFTER = timedelta(minutes=10)
AT_ONCE = 2  # exports: each takes room on the disk
PREFIX = "caduceus-export-"  # of a folder's name, then the number of the process that writes in it
CLOSED_CODES = (50007, 50278)  # Discord's: this person takes no direct messages from us

Send = Callable[[str, discord.File], Awaitable[object]]


class Exports:
    """Writes and sends exports: one a person in ten minutes."""

    def __init__(self) -> None:
        """Nobody has asked yet."""
        self._asked: dict[int, datetime] = {}
        self._room = asyncio.Semaphore(AT_ONCE)

    async def send(self, interaction: Interaction) -> None:
        """Send the person everything of theirs: by direct message, else where only they see it.

        NotAllowed where they asked less than ten minutes ago. Raises StoreError.
        """
        self._take_turn(interaction.user.id)
        await interaction.response.defer(ephemeral=True, thinking=True)
        try:
            async with self._room:
                await self._write_and_send(interaction)
        except BaseException:
            self._asked.pop(interaction.user.id, None)  # nothing came: they may try again
            raise

    def _take_turn(self, user_id: int) -> None:
        now = discord.utils.utcnow()
        self._asked = {each: at for each, at in self._asked.items() if at > now - AGAIN_AFTER}
        if user_id in self._asked:
            again = discord.utils.format_dt(self._asked[user_id] + AGAIN_AFTER, "R")
            raise NotAllowed("You asked for that a moment ago.", f"You can again {again}.")
        self._asked[user_id] = now

    async def _write_and_send(self, interaction: Interaction) -> None:
        user = interaction.user
        async with _folder() as folder:
            files = await write_everything(
                bot_of(interaction).privacy.belongings,
                PLATFORM,
                str(user.id),
                folder,
                at=discord.utils.utcnow(),
            )

            async def directly(text: str, file: discord.File) -> None:
                await user.send(text, file=file)

            async def here(text: str, file: discord.File) -> None:
                await interaction.followup.send(text, file=file, ephemeral=True)

            try:
                await _send_all(files, directly)
            except discord.Forbidden as error:
                if error.code not in CLOSED_CODES:
                    raise
                await _send_all(files, here)
                said = "Your direct messages are closed to me, so here it is; only you see it."
            else:
                said = "I have sent you everything that I keep of you, by direct message."
            await interaction.followup.send(said, ephemeral=True)


def remove_left_over(parent: Path | None = None) -> None:
    """Delete what a killed process was writing: a person's data outlives no export. Blocks.

    Where a process is gone, nobody else deletes its folder; this one begins with none of its own.
    """
    for folder in (parent or Path(tempfile.gettempdir())).glob(f"{PREFIX}*"):
        process = folder.name.removeprefix(PREFIX).split("-")[0]
        if not process.isdecimal():
            continue
        if int(process) == os.getpid() or not psutil.pid_exists(int(process)):
            shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def _folder() -> AsyncGenerator[Path, None]:
    prefix = f"{PREFIX}{os.getpid()}-"
    made = await asyncio.to_thread(lambda: tempfile.TemporaryDirectory(prefix=prefix))
    try:
        yield Path(made.name)
    finally:
        await asyncio.to_thread(made.cleanup)


async def _send_all(files: Sequence[Path], send: Send) -> None:
    for number, path in enumerate(files, 1):
        of = "" if len(files) == 1 else f" ({number} of {len(files)})"
        name = f"my-data-{number}.json" if len(files) > 1 else "my-data.json"
        content = io.BytesIO(await asyncio.to_thread(path.read_bytes))
        file = discord.File(content, filename=name)
        await send(f"{OWN_DATA}Everything that I keep of you{of}.", file)
