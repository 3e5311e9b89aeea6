"""Long answers, page by page."""

from collections.abc import Callable
from typing import Any

import discord

from cogs.client import Interaction
from cogs.commands.library.asking import AskerView
from cogs.interactions import shown, shown_embeds

Render = Callable[[int], discord.Embed]

_AnyButton = discord.ui.Button[Any]


class Pages(AskerView):
    """Turns the pages of an answer, for who asked for it, while its buttons are there."""

    def __init__(self, asked: Interaction, pages: int, render: Render) -> None:
        """`render` makes the embed of a page, the first is 0."""
        super().__init__(asked)
        self._pages = pages
        self._render = render
        self._page = 0
        self._set_buttons()

    @discord.ui.button(label="◀")
    async def back(self, interaction: Interaction, _button: _AnyButton) -> None:
        """The page before."""
        await self._turn(interaction, self._page - 1)

    @discord.ui.button(label="▶")
    async def forth(self, interaction: Interaction, _button: _AnyButton) -> None:
        """The next page."""
        await self._turn(interaction, self._page + 1)

    async def _turn(self, interaction: Interaction, page: int) -> None:
        await interaction.response.defer()
        self._page = min(max(page, 0), self._pages - 1)
        self._set_buttons()
        [embed] = await shown_embeds(interaction, [self._render(self._page)])
        await interaction.edit_original_response(embed=embed, view=self)

    def _set_buttons(self) -> None:
        self.back.disabled = self._page == 0
        self.forth.disabled = self._page == self._pages - 1


async def send_pages(
    interaction: Interaction, items: int, a_page: int, render: Render, *, content: str = ""
) -> None:
    """Answer a deferred interaction with the first of as many pages as `items` take."""
    pages = max(1, -(-items // a_page))
    content = await shown(interaction, content)
    [embed] = await shown_embeds(interaction, [render(0)])
    if pages == 1:
        await interaction.followup.send(content, embed=embed, ephemeral=True)
    else:
        view = Pages(interaction, pages, render)
        await interaction.followup.send(content, embed=embed, view=view, ephemeral=True)


def numbered(embed: discord.Embed, number: int, items: int, a_page: int) -> discord.Embed:
    """The same embed; it says which page it is where there are several."""
    pages = max(1, -(-items // a_page))
    return embed.set_footer(text=f"page {number + 1} of {pages}") if pages > 1 else embed
