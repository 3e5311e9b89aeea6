"""The form in which a value is typed. What is submitted is read also after a restart."""

from collections.abc import Mapping
from typing import Any, cast

import discord

from cogs.commands.setting_panel.looks import cut
from cogs.commands.setting_panel.place import Place
from cogs.controls import ControlForm

MOST_CHARACTERS = 4_000  # that Discord lets an input have
OPEN_SECONDS = 3_600.0  # for discord.py to keep a form in mind: it is not needed for anything
_LONG = ("text", "words", "roles")


class SettingForm(ControlForm):
    """Asks for a setting's value. It does nothing itself: the panel hears of what is submitted."""

    def __init__(self, place: Place, current: str) -> None:
        """`current` is what the person sees."""
        definition = place.definition
        super().__init__(
            title=cut(f"Set {definition.key}", 45),
            custom_id=place.form(),
            timeout=OPEN_SECONDS,
        )
        self.presser = place.user_id
        fits = len(current.encode("utf-16-le")) // 2 <= MOST_CHARACTERS
        is_long = definition.kind in _LONG
        entry: discord.ui.TextInput[Any] = discord.ui.TextInput(
            custom_id="value",
            default=(current if fits else "") or None,
            max_length=MOST_CHARACTERS,
            style=discord.TextStyle.long if is_long else discord.TextStyle.short,
        )
        self.add_item(
            discord.ui.Label(
                text=definition.key,
                description=cut(definition.range_text.replace("`", ""), 100),
                component=entry,
            )
        )


def typed_in(data: Mapping[str, Any]) -> str:
    """What was typed into a form that was submitted."""
    for component in cast("list[dict[str, Any]]", data.get("components") or []):
        inner: dict[str, Any] = component.get("component") or {}
        if inner.get("custom_id") == "value":
            return str(inner.get("value") or "")
    return ""
