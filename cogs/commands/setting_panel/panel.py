"""The panel of settings, its opener's alone: what its controls do."""

import re
from typing import Any, Self

import discord

from bot.chat.messages import JsonValue
from bot.chat.setting_definition import InDirect
from bot.errors import ChannelSettingError, NotAllowed, NotFound, SettingChanged
from cogs.client import Interaction, bot_of, channel_of
from cogs.commands.setting_panel.drawing import (
    WANTED,
    Drawing,
    Overtaken,
    chosen_and_others,
    draw,
)
from cogs.commands.setting_panel.forms import SettingForm, typed_in
from cogs.commands.setting_panel.looks import (
    block,
    by_whom,
    cut,
    name_of,
    text_in,
    values_of_change,
)
from cogs.commands.setting_panel.place import (
    CONTROL,
    FORM,
    OLD,
    OPEN_ANEW,
    Place,
    require_fit,
    require_setter,
    with_role_ids,
)
from cogs.controls import KeptControl, require_control
from cogs.interactions import reported, shown, shown_line, tell
from cogs.platform import NOBODY, escaped, key_of

SAID_CHARACTERS = 600  # of a value, in a line


class PanelControl(KeptControl, template=CONTROL):
    """A button or select of somebody's panel. It carries what it needs and survives a restart."""

    def __init__(self, item: discord.ui.Item[Any]) -> None:
        super().__init__(item)
        match = re.fullmatch(CONTROL, self.custom_id)
        assert match is not None  # noqa: S101 - the base class has seen to that
        self.act = match["act"]
        self.place = Place.of(match)
        self.presser = self.place.user_id

    @classmethod
    async def from_custom_id(
        cls, _interaction: Interaction, item: discord.ui.Item[Any], _match: re.Match[str], /
    ) -> Self:
        """The control again, after a restart."""
        return cls(item)

    async def press(self, interaction: Interaction) -> None:
        """Do what the control is for. What may be done is looked up anew each time."""
        if self.act != "type":  # a form can only be opened at once
            await interaction.response.defer()
        await self._do(interaction, self.place)

    async def _do(self, interaction: Interaction, place: Place) -> None:
        values = [str(value) for value in getattr(self.item, "values", ())]
        match self.act:
            case "type":
                require_setter(interaction, place.definition, place.scope)
                current = text_in(interaction.message, place.definition.key)
                await interaction.response.send_modal(SettingForm(place, current))
            case "page" | "pick" if values:
                await show(interaction, place.at(values[0]))
            case "take" if values:
                await change(interaction, place, values[0])
            case "whom":
                await change(interaction, place, await self._whom(interaction, place))
            case "reset" | "clear":
                await change(interaction, place, None)
            case "again":
                await change(interaction, place, text_in(interaction.message, WANTED))
            case "scope" | "leave":
                await show(interaction, place)
            case _:
                raise NotFound(OLD, OPEN_ANEW)

    async def _whom(self, interaction: Interaction, place: Place) -> str | None:
        """Whom a select holds now, with those that it could not show; None for nobody."""
        chosen: list[str] = []
        for one in getattr(self.item, "values", ()):
            sign = "&" if isinstance(one, discord.Role) else ""
            chosen.append(f"<@{sign}{one.id}>")
        seen = text_in(interaction.message, place.definition.key)
        stood = place.definition.parse(seen) if seen else []
        _, others = chosen_and_others(interaction, stood)
        return ", ".join([*chosen, *others]) or None


async def open_panel(interaction: Interaction) -> Drawing:
    """The panel's first page, for whoever asked."""
    return await draw(interaction, Place(interaction.user.id), PanelControl)


async def show(
    interaction: Interaction, place: Place, said: str = "", overtaken: Overtaken | None = None
) -> None:
    """Draw the panel anew, in its own message. The interaction is acknowledged already."""
    drawing = await draw(interaction, place, PanelControl, overtaken)
    await interaction.edit_original_response(
        content=cut(said, 2000) or None,
        embeds=drawing.embeds,
        view=drawing.view,
        allowed_mentions=NOBODY,
    )


async def change(interaction: Interaction, place: Place, text: str | None) -> None:
    """Set what was chosen or typed, or take it back (None), unless somebody was faster."""
    definition, scope = place.definition, place.scope
    channel = key_of(channel_of(interaction))
    cascade = bot_of(interaction).conversations.settings
    by = str(interaction.user.id)
    try:
        require_setter(interaction, definition, scope)
        if text is None:
            made = await cascade.reset(channel, scope, definition.key, by=by, seen=place.seen)
        else:
            await require_fit(interaction, definition, scope, text)
            value = with_role_ids(interaction, definition, text)
            made = await cascade.set(channel, scope, definition.key, value, by=by, seen=place.seen)
    except SettingChanged:
        await _say_who_was_faster(interaction, place, text)
    except ChannelSettingError as error:
        typed = f"\nYou typed:\n{block(cut(text, 1500))}" if text and len(text) > 40 else ""
        # Theirs to edit, as they typed it.
        await _refuse(interaction, place, f"{await shown_line(interaction, error)}{typed}")
    except NotAllowed as error:
        await _refuse(interaction, place, await shown_line(interaction, error))
    else:
        _, new = await values_of_change(cascade, channel, made)
        new = escaped(cut(new, SAID_CHARACTERS))
        now = "no longer set" if made.new is None else f"now {new}"
        is_idle = channel.is_direct and definition.in_direct is InDirect.IDLE
        idle = "In a direct message that changes nothing. " if is_idle and text else ""
        said = await shown(
            interaction,
            f"`{definition.key}` is {now} for {name_of(scope)}. {idle}"
            f"(`/settings undo {made.change_id}` takes it back.)",
        )
        await show(interaction, place, said)


async def submitted(interaction: Interaction) -> None:
    """Hear of a form of the panel's that was submitted; of any other, do nothing."""
    data: Any = interaction.data or {}
    match = FORM.fullmatch(str(data.get("custom_id", "")))
    if interaction.type is not discord.InteractionType.modal_submit or match is None:
        return
    place = Place.of(match)
    async with reported(interaction, SettingForm.__name__):
        await require_control(interaction, SettingForm, presser=place.user_id)
        await interaction.response.defer()
        await change(interaction, place, typed_in(data))


async def _refuse(interaction: Interaction, place: Place, said: str) -> None:
    """Say why nothing was changed, and only then draw what there is: that may fail, or hide it."""
    await tell(interaction, said)
    await show(interaction, place)


async def _say_who_was_faster(interaction: Interaction, place: Place, wanted: str | None) -> None:
    definition = place.definition
    channel = key_of(channel_of(interaction))
    cascade = bot_of(interaction).conversations.settings
    newest = await cascade.newest(channel, place.scope, definition.key)
    if newest is None:
        said = f"`{definition.key}` has changed since you looked, so nothing was set."
        await _refuse(interaction, place, said)
        return
    old, new = [
        escaped(cut(value, SAID_CHARACTERS))
        for value in await values_of_change(cascade, channel, newest)
    ]
    line = f"`{definition.key}` for {name_of(place.scope)}: {old} → {new}, {by_whom(newest)}"
    line = await shown(interaction, line)
    if newest.new == await _value_of(interaction, place, wanted):
        await show(interaction, place, f"It is as you wanted already. {line}")
        return
    await tell(interaction, f"Somebody has changed `{definition.key}`, so nothing was set.")
    said = f"**It has changed since you looked, so nothing was set.**\n{line}"
    await show(interaction, place, said, Overtaken(wanted))


async def _value_of(interaction: Interaction, place: Place, text: str | None) -> JsonValue:
    """What was chosen or typed, as it would be kept. Raises ChannelSettingError."""
    if text is None:
        return None
    channel = key_of(channel_of(interaction))
    typed = with_role_ids(interaction, place.definition, text)
    return await bot_of(interaction).conversations.settings.read(channel, place.definition, typed)
