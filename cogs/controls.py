"""What every button, select and form is made of: its rights are checked by their table.

Whoever makes a control derives it from one of these, or it is used by nobody: its class has a row
in `cogs/rights/table.py`.
"""

import logging
from collections.abc import Collection
from typing import Any, ClassVar

import discord

from bot.errors import NotAllowed
from cogs.client import Interaction
from cogs.interactions import (
    ALREADY,
    once,
    report,
    reported,
    require_row,
    tell,
)
from cogs.platform import is_refused_by_automod
from cogs.rights.table import row_of_control

_log = logging.getLogger(__name__)

TAKEN_UP = "taken up"  # in an interaction's extras: some control of ours has seen it


async def require_control(
    interaction: Interaction,
    kind: type,
    deed: str = "",
    *,
    presser: int | None = None,
    turn_id: int | None = None,
) -> None:
    """Raise NotAllowed or NotFound unless the table lets the person use a control."""
    interaction.extras[TAKEN_UP] = True
    row = row_of_control(kind, deed)
    if row is None:
        name = f"{kind.__name__} {deed}".strip()
        _log.error("%s stands in no row of the table of rights: nobody may use it", name)
    await require_row(interaction, row, presser=presser, turn_id=turn_id)


class KeptControl(discord.ui.DynamicItem[discord.ui.Item[Any]], template=r"(?!)"):
    """A button or select that carries what it is about, and survives a restart."""

    deeds: ClassVar[Collection[str]] = ("",)  # what such a control can do: each has its row
    deed: str = ""  # which of them this one does
    presser: int | None = None  # whom it was made for
    turn_id: int | None = None  # the reply that it belongs to
    already: str = ALREADY  # what is told who presses it again before its end

    async def interaction_check(self, interaction: Interaction, /) -> bool:
        """Whether the table lets the person press it."""
        async with reported(interaction, self._named):
            await require_control(
                interaction, type(self), self.deed, presser=self.presser, turn_id=self.turn_id
            )
            return True
        return False

    async def callback(self, interaction: Interaction) -> None:
        """Do it, once where it is pressed a second time before its end."""
        message_id = interaction.message.id if interaction.message is not None else 0
        with once(interaction, (message_id, self.custom_id)) as is_first:
            if not is_first:
                await tell(interaction, self.already)
                return
            async with reported(interaction, self._named):
                try:
                    await self.press(interaction)
                except discord.HTTPException as error:
                    if not is_refused_by_automod(error):  # of that people have been told
                        raise

    @property
    def _named(self) -> str:
        """What the log calls it."""
        return f"{type(self).__name__} {self.deed}".strip()

    async def press(self, interaction: Interaction) -> None:
        """What it does. Errors of ours are told."""
        raise NotImplementedError


def view_of_kept(*controls: KeptControl) -> discord.ui.View:
    """A view of such controls, which each check for themselves."""
    view = discord.ui.View(timeout=None)
    for control in controls:
        view.add_item(control)
    return view


class ControlView(discord.ui.View):
    """A view whose controls have the rights of its class."""

    presser: int | None = None  # whom it was made for

    async def interaction_check(self, interaction: Interaction, /) -> bool:
        """True where the table lets the person use it, else it raises NotAllowed or NotFound."""
        await require_control(interaction, type(self), presser=self.presser)
        return True

    async def _scheduled_task(self, item: discord.ui.Item[Any], interaction: Interaction) -> None:
        """A control that is pressed a second time before its end does it once."""
        with once(interaction, (self.id, id(item))) as is_first:
            if is_first:
                await super()._scheduled_task(item, interaction)
            else:
                interaction.extras[TAKEN_UP] = True
                await tell(interaction, ALREADY)

    async def on_error(
        self, interaction: Interaction, error: Exception, item: discord.ui.Item[Any], /
    ) -> None:
        """Say what happened; the log has what is not the person's own mistake."""
        label = getattr(item, "label", None) or type(item).__name__
        await report(interaction, error, f"{type(self).__name__}, «{label}»,")


class ControlForm(discord.ui.Modal):
    """A form with the rights of its class, which are asked for when it comes back."""

    presser: int | None = None  # whom it was made for

    async def interaction_check(self, interaction: Interaction, /) -> bool:
        """Whether the table lets the person send it, who may have lost a right meanwhile."""
        try:
            await require_control(interaction, type(self), presser=self.presser)
        except NotAllowed as error:
            raise self.refused(error) from error
        return True

    def refused(self, error: NotAllowed) -> NotAllowed:
        """What the person is told; a place to keep what they typed for another try."""
        return error

    async def on_error(self, interaction: Interaction, error: Exception, /) -> None:
        """Say what happened; the log has what is not the person's own mistake."""
        await report(interaction, error, type(self).__name__)

    async def _scheduled_task(
        self, interaction: Interaction, components: Any, resolved: Any
    ) -> None:
        """A form that is sent a second time before its end is taken once."""
        with once(interaction, self.custom_id) as is_first:
            if is_first:
                await super()._scheduled_task(interaction, components, resolved)
            else:
                interaction.extras[TAKEN_UP] = True
                await tell(interaction, ALREADY)
