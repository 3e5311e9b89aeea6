"""What every interaction needs: its bot and channel, its rights, and what people are told.

Rights are checked when something is done, whatever Discord's own permissions let through.
"""

import asyncio
import functools
import json
import logging
import secrets
from collections.abc import (
    AsyncGenerator,
    Callable,
    Coroutine,
    Generator,
    Hashable,
    Iterator,
    Sequence,
)
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, TypeAlias

import aiohttp
import discord
from discord import app_commands

from bot.chat.talk.faults import line_for
from bot.errors import CaduceusError, NotAllowed, UserError
from cogs.client import Interaction, bot_of, channel_of
from cogs.platform import (
    AUTOMOD_LINE,
    WRITE_ERRORS,
    is_passing,
    is_refused_by_automod,
    key_of,
    without_blocks,
)
from cogs.rights.kinds import Answer, Row
from cogs.rights.rules import require_at_once, require_stored
from cogs.rights.table import hangs_on_action, row_of_command

_log = logging.getLogger(__name__)

CONTENT_CHARACTERS = 2000
NOT_DONE = "That was not done."
ALREADY = "That is being done already."
UNREACHABLE = "Discord did not take my answer just now. Try again in a minute."
COMPLETION_SECONDS = 2.0  # Discord gives up after three
COMPLETION_ENDS = "completion ends"  # in an interaction's extras: when, on the loop's clock
# Else an error of the system may be a full disk of ours.
WIRE_ERRORS = (discord.HTTPException, discord.RateLimited, aiohttp.ClientError, ConnectionError)
GONE_CODES = (10062, 10015, 40060)  # the interaction is too old, or answered already
NO_ROW = NotAllowed("Nobody may use that.", "The bot's owner finds the reason in the log.")

Completion: TypeAlias = Callable[
    [Interaction, str], Coroutine[Any, Any, list[app_commands.Choice[str]]]
]


def line_of(error: CaduceusError) -> str:
    """An error of ours in words for the person whose command it was."""
    text = str(error) if isinstance(error, UserError) else line_for(error)
    first, newline, rest = text.partition("\n")
    return without_blocks(first) + newline + rest  # it may begin with somebody's name


async def shown_line(interaction: Interaction, error: CaduceusError) -> str:
    """The same without the words that the server does not want to read.

    What is refused before it is acknowledged has nothing in it but what the person typed, and no
    time for the list. Where that cannot be read, they are told all the same.
    """
    text = line_of(error)
    if interaction.response.is_done():
        with suppress(CaduceusError):
            text = await shown(interaction, text)
    return text


async def tell(interaction: Interaction, text: str) -> None:
    """Answer so that only this person sees it, whether or not there was an answer already."""
    text = text[:CONTENT_CHARACTERS]
    try:
        if interaction.response.is_done():
            await interaction.followup.send(text, ephemeral=True)
            if interaction.extras.pop(NOT_DONE, False):
                await interaction.delete_original_response()
        else:
            await interaction.response.send_message(text, ephemeral=True)
    except WRITE_ERRORS as error:
        if getattr(error, "code", 0) not in GONE_CODES:
            _log.warning("A person could not be told «%s»: %s", text[:80], error)


async def report(interaction: Interaction, error: BaseException, what: str) -> None:
    """Say what happened to a command or control; log what is nobody's mistake, with a reference."""
    if isinstance(error, UserError):
        await tell(interaction, await shown_line(interaction, error))
        return
    if is_refused_by_automod(error):
        await tell(interaction, AUTOMOD_LINE)
        return
    if isinstance(error, discord.Forbidden):
        await tell(interaction, "I lack a permission for that in this channel.")
        return
    if isinstance(error, discord.HTTPException) and error.code in GONE_CODES:
        _log.warning("An interaction was too old to be answered")
        return
    where = f"{what} in channel {interaction.channel_id} of server {interaction.guild_id}"
    if isinstance(error, WIRE_ERRORS) and is_passing(error):
        _log.warning("Discord did not take the answer of %s: %s", where, error)
        await tell(interaction, UNREACHABLE)
        return
    reference = secrets.token_hex(4)
    _log.error("%s failed, reference %s", where, reference, exc_info=error)
    if isinstance(error, CaduceusError):
        await tell(interaction, f"{line_of(error)} (reference {reference})")
    else:
        await tell(
            interaction,
            f"Something went wrong (reference {reference}). "
            "The bot's owner finds the cause in the log under it.",
        )


@asynccontextmanager
async def reported(interaction: Interaction, what: str) -> AsyncGenerator[None, None]:
    """Report whatever goes wrong within, where discord.py would leave the person unanswered."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - nobody else answers; the log gets all of it
        await report(interaction, error, what)


@asynccontextmanager
async def answering(interaction: Interaction) -> AsyncGenerator[None, None]:
    """Acknowledge a command whose answer everybody sees, before anything is waited for.

    Discord gives three seconds for that, and a database may take longer. An error of ours that
    happens within is for the person alone: :func:`tell` takes the open answer away.
    """
    await acknowledge(interaction, Answer.OPEN)
    try:
        yield
    except CaduceusError:
        with suppress(discord.HTTPException):
            # What is sent next would else take the place of «is thinking», in the open as that is.
            await interaction.edit_original_response(content=NOT_DONE)
        interaction.extras[NOT_DONE] = True
        raise


async def shown(interaction: Interaction, text: str) -> str:
    """A line without the words that the server does not want to read. Raises StoreError."""
    key = key_of(channel_of(interaction))
    return await bot_of(interaction).conversations.censor.shown(key, text)


async def shown_embeds(
    interaction: Interaction, embeds: Sequence[discord.Embed]
) -> Sequence[discord.Embed]:
    """Embeds without the words that the server does not want to read. Raises StoreError."""
    key = key_of(channel_of(interaction))
    reading = await bot_of(interaction).conversations.censor.reading(key)
    texts = {text: "" for embed in embeds for text in _texts(embed)}
    masked = dict(zip(texts, await reading.all_shown([*texts]), strict=True))
    for embed in embeds:
        embed.title = masked[embed.title or ""] or None
        embed.description = masked[embed.description or ""] or None
        for at, field in enumerate(embed.fields):
            name, value = masked[field.name or ""], masked[field.value or ""]
            embed.set_field_at(at, name=name, value=value, inline=field.inline)
        if embed.footer.text:
            embed.set_footer(text=masked[embed.footer.text], icon_url=embed.footer.icon_url)
    return embeds


def _texts(embed: discord.Embed) -> Iterator[str]:
    yield from (embed.title or "", embed.description or "", embed.footer.text or "")
    for field in embed.fields:
        yield from (field.name or "", field.value or "")


async def acknowledge(interaction: Interaction, answer: Answer = Answer.PRIVATE) -> None:
    """Acknowledge an interaction, if that has not been done to check its rights."""
    if interaction.response.is_done():
        return
    if answer is Answer.UPDATE:
        await interaction.response.defer()
    else:
        await interaction.response.defer(ephemeral=answer is Answer.PRIVATE, thinking=True)


async def require_row(
    interaction: Interaction,
    row: Row | None,
    *,
    presser: int | None = None,
    turn_id: int | None = None,
) -> None:
    """Raise NotAllowed or NotFound unless the person may do what stands in this row.

    Where the store has to be asked, the interaction is acknowledged before that. No row is for
    nobody.
    """
    if row is None:
        raise NO_ROW
    require_at_once(interaction, row, presser=presser)
    if not row.asks_the_store:
        return
    if interaction.type is discord.InteractionType.autocomplete:  # which cannot be deferred
        await require_stored(interaction, row, turn_id=turn_id)
    elif row.answer is Answer.OPEN:
        async with answering(interaction):
            await require_stored(interaction, row, turn_id=turn_id)
    else:
        await acknowledge(interaction, row.answer or Answer.PRIVATE)
        await require_stored(interaction, row, turn_id=turn_id)


@contextmanager
def once(interaction: Interaction, what: Hashable) -> Generator[bool]:
    """Whether `what` is being done for nobody else, who is kept from doing it meanwhile."""
    doing = bot_of(interaction).doing
    if what in doing:
        yield False
        return
    doing.add(what)
    try:
        yield True
    finally:
        doing.discard(what)


def in_time(complete: Completion) -> Completion:
    """A completion that offers nothing where the database takes too long: it can't be deferred."""

    @functools.wraps(complete)
    async def bounded(interaction: Interaction, typed: str) -> list[app_commands.Choice[str]]:
        try:
            async with asyncio.timeout_at(_ends_at(interaction)):
                return await complete(interaction, typed)
        except TimeoutError:
            return []

    return bounded


def offered(complete: Completion) -> Completion:
    """The same, whose names are without the words that the server does not want to read."""

    @functools.wraps(complete)
    async def masked(interaction: Interaction, typed: str) -> list[app_commands.Choice[str]]:
        choices = await complete(interaction, typed)
        key = key_of(channel_of(interaction))
        reading = await bot_of(interaction).conversations.censor.reading(key)
        names = await reading.all_shown([choice.name for choice in choices])
        return [
            app_commands.Choice(name=name, value=choice.value)
            for name, choice in zip(names, choices, strict=True)
        ]

    return in_time(masked)


def _ends_at(interaction: Interaction) -> float:
    """When a completion has to be there; what its rights took counts."""
    now = asyncio.get_running_loop().time()
    return interaction.extras.setdefault(COMPLETION_ENDS, now + COMPLETION_SECONDS)


class Refused(app_commands.CheckFailure):
    """A command is not for this person: `original` is what they are told."""

    def __init__(self, original: CaduceusError) -> None:
        super().__init__(str(original))
        self.original = original


class CaduceusTree(app_commands.CommandTree[discord.Client]):
    """The command tree: it checks rights by their table, and has our answer to errors."""

    async def interaction_check(self, interaction: Interaction, /) -> bool:
        """Whether the table lets the person use the command, or complete what they type for it."""
        command = interaction.command
        if command is None:
            return True  # it ends as an unknown one
        name = command.qualified_name
        row = row_of_command(name, getattr(interaction.namespace, "action", None))
        completes = interaction.type is discord.InteractionType.autocomplete
        if row is None and not (completes and hangs_on_action(name)):
            _log.error("/%s stands in no row of the table of rights: nobody may use it", name)
        if completes:
            return await self._may_complete(interaction, row)
        try:
            await require_row(interaction, row)
        except CaduceusError as error:
            raise Refused(error) from error
        return True

    async def _may_complete(self, interaction: Interaction, row: Row | None) -> bool:
        """Whoever may not use a command is offered nothing."""
        try:
            async with asyncio.timeout_at(_ends_at(interaction)):
                await require_row(interaction, row)
                return True
        except (CaduceusError, TimeoutError):
            with suppress(discord.HTTPException):
                await interaction.response.autocomplete([])
            return False

    async def _call(self, interaction: Interaction) -> None:
        """Run a command; once where somebody sends the same a second time before its end."""
        if interaction.type is discord.InteractionType.autocomplete:
            await super()._call(interaction)
            return
        with once(interaction, _command_key(interaction)) as is_first:
            if is_first:
                await super()._call(interaction)
            else:
                await tell(interaction, ALREADY)

    async def on_error(
        self, interaction: Interaction, error: app_commands.AppCommandError, /
    ) -> None:
        """Say what happened; log what is not the person's own mistake, with a reference."""
        if isinstance(error, app_commands.CommandSignatureMismatch | app_commands.CommandNotFound):
            await tell(interaction, "This command has changed. Try again in a minute.")
            return
        name = interaction.command.qualified_name if interaction.command else "?"
        await report(interaction, getattr(error, "original", error), f"/{name}")


def _command_key(interaction: Interaction) -> Hashable:
    """What tells two commands apart: who, where, which, and with what."""
    data: Any = interaction.data or {}
    asked = [data.get(key) for key in ("type", "name", "target_id", "options")]
    return interaction.user.id, interaction.channel_id, json.dumps(asked, sort_keys=True)
