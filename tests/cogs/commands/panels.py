"""Somebody's panel of settings, with the hands that use it."""

from typing import Any

import simcord
from worlds import World

from bot.chat.definitions import THEMES
from cogs.commands.setting_panel.place import slug_of


class Panel:
    """A panel that somebody has opened."""

    def __init__(self, actor: Any, opened: simcord.InteractionResult) -> None:
        self.actor = actor
        self.opened = opened
        self.result = opened  # of the newest press

    @classmethod
    async def open(cls, world: World, actor: Any, key: str = "") -> "Panel":
        """Open one, and perhaps a setting in it."""
        is_member = isinstance(actor, simcord.MemberActor)
        place = (world.channel,) if is_member else ()
        panel = cls(actor, await actor.slash(*place, "settings panel"))
        if key:
            await panel.open_setting(key)
        return panel

    @property
    def message(self) -> Any:
        """The panel as it stands."""
        assert self.opened.response is not None
        return self.opened.response

    @property
    def told(self) -> str:
        """What the newest press told besides."""
        return "\n".join(one.content for one in self.result.followups) or (
            self.result.response.content if self.result.response is not None else ""
        )

    def components(self) -> list[dict[str, Any]]:
        return [one for row in self.message.components for one in row["components"]]

    def control(self, act: str) -> dict[str, Any]:
        """The control that does this; a test fails where there is none."""
        found = [one for one in self.components() if one["custom_id"].split(":")[3] == act]
        assert found, f"no {act} among {[one['custom_id'] for one in self.components()]}"
        return found[0]

    def has(self, act: str) -> bool:
        ids = [one["custom_id"].split(":")[3] for one in self.components()]
        return act in ids

    def words(self) -> str:
        """All that it says."""
        return "\n".join(
            [
                self.message.content,
                *(
                    f"{embed.title}\n{embed.description}\n"
                    + "\n".join(f"{field.name}: {field.value}" for field in embed.fields)
                    for embed in self.message.embeds
                ),
            ]
        )

    async def choose(self, act: str, *values: Any) -> None:
        chosen = self.control(act)["custom_id"]
        self.result = await self.actor.select(self.message, list(values), custom_id=chosen)

    async def press(self, label: str) -> None:
        self.result = await self.actor.click(self.message, label=label)

    async def open_setting(self, key: str) -> None:
        theme = next(theme for theme, keys in THEMES.items() if key in keys)
        await self.choose("page", slug_of(theme))
        await self.choose("pick", key)

    async def open_form(self) -> simcord.InteractionResult:
        await self.press("Type a value…")
        return self.result

    async def type(self, text: str) -> None:
        form = await self.open_form()
        self.result = await self.actor.submit_modal(form, {"value": text})


def filled_in(form: simcord.InteractionResult) -> str:
    """What a form opens with."""
    assert form.modal is not None
    return form.modal["components"][0]["component"].get("value", "")
