"""The buttons that a message carries."""

import discord

from cogs.commands.buttons import TurnButton
from cogs.controls import view_of_kept
from cogs.showing.voice import Controls


def view_of(controls: Controls | None) -> discord.ui.View | None:
    """The buttons of a message."""
    if controls is None:
        return None
    if controls.is_running:
        return view_of_kept(TurnButton("stop", controls.turn_id))
    buttons = [TurnButton("regenerate", controls.turn_id), TurnButton("continue", controls.turn_id)]
    if controls.swipes > 1:
        place = f"{controls.swipe}/{controls.swipes} ▶"
        buttons.append(TurnButton("back", controls.turn_id))
        buttons.append(TurnButton("forth", controls.turn_id, place))
    buttons.append(TurnButton("delete", controls.turn_id))
    return view_of_kept(*buttons)
