"""`/moderation block` and `unblock`: who is not heard in a server."""

import re

import discord
from discord import app_commands

from bot.chat.limits.blocking import Block
from bot.chat.moderation.journal import Event, EventKind
from bot.chat.text.names import in_its_own_order
from bot.errors import NotAllowed, NotFound
from cogs.client import Interaction, bot_of
from cogs.commands.personas.finding import CHOICES
from cogs.commands.personas.looks import plain
from cogs.interactions import offered
from cogs.platform import PLATFORM
from cogs.rights.holding import own_server

NAME_CHARACTERS = 100
CHOICE_CHARACTERS = 100  # Discord's most
MOST_LISTED = 1000

_ID = re.compile(r"(?:<@!?)?(\d{15,20})>?", re.ASCII)


async def block(interaction: Interaction, member: discord.User | discord.Member) -> None:
    """Hear somebody no more. Raises NotAllowed for those who cannot be blocked."""
    guild_id = own_server(interaction)
    await interaction.response.defer(ephemeral=True, thinking=True)
    bot = bot_of(interaction)
    _require_blockable(interaction, member, is_owner=await bot.is_owner(member))
    made = Block(
        PLATFORM,
        guild_id,
        str(member.id),
        member.display_name[:NAME_CHARACTERS],
        str(interaction.user.id),
        discord.utils.utcnow(),
    )
    there = await bot.moderation.blocks.add(made)
    if there is not None:
        by = f" by <@{there.blocked_by}>" if there.blocked_by else ""
        when = discord.utils.format_dt(there.blocked_at, "R")
        said = f"<@{member.id}> is blocked already{by}, {when}."
        await interaction.followup.send(said, ephemeral=True)
        return
    await _note(interaction, "Blocked", str(member.id))
    said = (
        f"<@{member.id}> is blocked in this server: I don't hear them any more, anywhere in it. "
        "They are not told. `/moderation unblock` takes it back; `/moderation purge` takes out "
        "what they have said."
    )
    await interaction.followup.send(said, ephemeral=True)


def _require_blockable(
    interaction: Interaction, member: discord.User | discord.Member, *, is_owner: bool
) -> None:
    me = interaction.client.user
    if me is not None and member.id == me.id:
        raise NotAllowed("That is me.", "Set `trigger` to `off` where I am to be quiet.")
    if member.id == interaction.user.id:
        raise NotAllowed("You cannot block yourself.")
    if is_owner:
        raise NotAllowed("The bot's owner cannot be blocked.")
    is_chief = interaction.guild is not None and member.id == interaction.guild.owner_id
    if isinstance(member, discord.Member):
        held = member.resolved_permissions or member.guild_permissions
        is_chief = is_chief or held.administrator or held.manage_guild
    if is_chief:
        raise NotAllowed("Whoever has the permission Manage Server cannot be blocked.")


async def unblock(interaction: Interaction, member: str) -> None:
    """Hear somebody again. Raises NotFound for who is not blocked."""
    guild_id = own_server(interaction)
    await interaction.response.defer(ephemeral=True, thinking=True)
    blocks = bot_of(interaction).moderation.blocks
    listed = await blocks.listed(PLATFORM, guild_id, limit=MOST_LISTED)
    speaker_id = _meant(member, listed)
    there = await blocks.remove(PLATFORM, guild_id, speaker_id)
    if there is None:
        raise NotFound(
            f"<@{speaker_id}> is not blocked here.", "The list of this command's option has all."
        )
    await _note(interaction, "Unblocked", speaker_id)
    said = f"<@{speaker_id}> is not blocked any more: I hear them again."
    await interaction.followup.send(said, ephemeral=True)


def _meant(typed: str, listed: list[Block]) -> str:
    """Whom somebody means: by id or mention, or by the name that a blocked one had."""
    typed = typed.strip()
    if found := _ID.fullmatch(typed):
        return found[1]
    wanted = typed.removeprefix("@").casefold()
    named = [each.speaker_id for each in listed if each.name.casefold() == wanted]
    if len(named) == 1:
        return named[0]
    fix = "Choose from the list, or give their id."
    if named:
        raise NotFound(f"Several blocked people are called {plain(typed, 60)}.", fix)
    raise NotFound(f"Nobody blocked here is called {plain(typed, 60)}.", fix)


@offered
async def complete_blocked(interaction: Interaction, typed: str) -> list[app_commands.Choice[str]]:
    """Who is blocked in this server."""
    if interaction.guild_id is None:
        return []
    blocks = bot_of(interaction).moderation.blocks
    listed = await blocks.listed(PLATFORM, own_server(interaction), limit=MOST_LISTED)
    wanted = typed.casefold().strip()
    return [
        app_commands.Choice(name=_choice(each), value=each.speaker_id)
        for each in listed
        if wanted in each.name.casefold() or wanted in each.speaker_id
    ][:CHOICES]


def _choice(block: Block) -> str:
    since = f"{block.blocked_at:%Y-%m-%d}"
    rest = f" ({block.speaker_id}, since {since})"
    room = CHOICE_CHARACTERS - len(rest) - len("\u2068\u2069")
    return f"{in_its_own_order(block.name[:room]) or 'somebody'}{rest}"[:CHOICE_CHARACTERS]


async def _note(interaction: Interaction, text: str, about: str) -> None:
    event = Event(EventKind.BLOCK, text, by=str(interaction.user.id), about=about)
    guild_id = str(interaction.guild_id)
    await bot_of(interaction).moderation.journal.note(guild_id, event)
