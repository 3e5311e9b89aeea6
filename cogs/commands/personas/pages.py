"""The list of personas, page by page. Its buttons carry what they need and survive a restart."""

import re
from typing import Any, Self

import discord

from bot.chat.personas.homes import PersonaEntry
from cogs.client import CaduceusBot, Interaction, bot_of, channel_of
from cogs.commands.personas.finding import scope_of
from cogs.commands.personas.looks import picture_file, plain
from cogs.controls import KeptControl, view_of_kept
from cogs.interactions import shown_embeds
from cogs.platform import key_of
from cogs.rights.holding import is_moderator

A_PAGE = 8  # personas; Discord takes ten embeds
PROBLEMS = 10
PROBLEM_CHARACTERS = 180


class PageButton(
    KeptControl,
    template=r"caduceus:personas:(?P<user>\d{1,20}):(?P<page>\d{1,6}):(?P<way>back|forth)",
):
    """Turns a page of `/persona list`, for who asked for it."""

    def __init__(self, user_id: int, page: int, way: str, *, disabled: bool = False) -> None:
        custom_id = f"caduceus:personas:{user_id}:{page}:{way}"
        label = "◀" if way == "back" else "▶"
        super().__init__(discord.ui.Button(label=label, custom_id=custom_id, disabled=disabled))
        self.presser = user_id
        self.page = page

    @classmethod
    async def from_custom_id(
        cls, _interaction: Interaction, _item: discord.ui.Item[Any], match: re.Match[str], /
    ) -> Self:
        """The button again, after a restart."""
        return cls(int(match["user"]), int(match["page"]), match["way"])

    async def press(self, interaction: Interaction) -> None:
        """Show the page in the place of the other."""
        await interaction.response.defer()
        page = await page_of(interaction, self.page)
        await interaction.edit_original_response(
            content=page.content, embeds=page.embeds, attachments=page.files, view=page.view
        )


class Page:
    """What a page shows."""

    def __init__(
        self,
        content: str,
        embeds: list[discord.Embed],
        files: list[discord.File],
        view: discord.ui.View,
    ) -> None:
        self.content = content
        self.embeds = embeds
        self.files = files
        self.view = view


async def page_of(interaction: Interaction, number: int) -> Page:
    """A page of the personas that can be used here; the last one where there are fewer."""
    bot = bot_of(interaction)
    key = key_of(channel_of(interaction))
    entries = await bot.desk.personas.entries(key.guild_id)
    pages = max(1, -(-len(entries) // A_PAGE))
    number = min(number, pages - 1)
    here = await bot.conversations.settings.persona(
        key, await bot.conversations.settings.resolve(key)
    )
    beside = set(await bot.desk.casts.cast(scope_of(interaction)))
    embeds: list[discord.Embed] = []
    files: list[discord.File] = []
    for place, entry in enumerate(entries[number * A_PAGE : (number + 1) * A_PAGE]):
        mark = " (here)" if entry.id == here.id else " (beside)" if entry.id in beside else ""
        picture = await _picture(bot, key.guild_id, entry)
        name = f"persona-{place}.png"
        embeds.append(_embed(entry, mark, name if picture else ""))
        files += [picture_file(picture, name)] if picture else []
    problems = bot.conversations.personas.problems()
    if problems and number == 0 and is_moderator(interaction):
        lines = [
            f"`{file[:60]}`: {plain(said, PROBLEM_CHARACTERS)}" for file, said in problems.items()
        ]
        embeds.append(
            discord.Embed(title="⚠️ Cannot be used", description="\n".join(lines[:PROBLEMS]))
        )
    content = f"**Personas**, page {number + 1} of {pages}" if pages > 1 else "**Personas**"
    await shown_embeds(interaction, embeds)
    return Page(content, embeds, files, _view(interaction.user.id, number, pages))


def _view(user_id: int, number: int, pages: int) -> discord.ui.View:
    if pages == 1:
        return view_of_kept()
    is_last = number == pages - 1
    return view_of_kept(
        PageButton(user_id, max(0, number - 1), "back", disabled=number == 0),
        PageButton(user_id, number + 1, "forth", disabled=is_last),
    )


def _embed(entry: PersonaEntry, mark: str, picture: str) -> discord.Embed:
    own = "\n-# this server's own" if entry.guild_id else ""
    text = f"**{plain(entry.name, 100)}**{mark}"
    summary = f": {plain(entry.summary, 250)}" if entry.summary else ""
    embed = discord.Embed(description=text + summary + own)
    if picture:
        embed.set_thumbnail(url=f"attachment://{picture}")
    return embed


async def _picture(bot: CaduceusBot, guild_id: str | None, entry: PersonaEntry) -> bytes | None:
    persona = await bot.desk.personas.by_id(guild_id, entry.id)
    return None if persona is None else await bot.desk.thumbnails.of(persona)
