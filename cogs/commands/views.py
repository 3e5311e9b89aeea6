"""The buttons that a message carries."""

import discord

from cogs.commands.buttons import TurnButton
from cogs.showing.voice import Controls


def view_of(controls: Controls | None) -> discord.ui.View | None:
    """The buttons of a message."""
    if controls is None:
        return None
    view = discord.ui.View(timeout=None)
    if controls.is_running:
        view.add_item(TurnButton("stop", controls.turn_id))
        return view
    view.add_item(TurnButton("regenerate", controls.turn_id))
    view.add_item(TurnButton("continue", controls.turn_id))
    if controls.swipes > 1:
        place = f"{controls.swipe}/{controls.swipes} ▶"
        view.add_item(TurnButton("back", controls.turn_id))
        view.add_item(TurnButton("forth", controls.turn_id, place))
    view.add_item(TurnButton("delete", controls.turn_id))
    return view
