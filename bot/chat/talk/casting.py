"""Who speaks in a channel: its main persona and those beside it."""

from collections.abc import Sequence
from typing import Protocol

from bot.chat.definitions import ChannelSettings
from bot.chat.messages import ChannelKey, Scope
from bot.chat.persona import Persona
from bot.chat.ports import Personas
from bot.chat.settings import SettingsCascade

MOST_BESIDE = 25  # personas beside the main one


class Casts(Protocol):
    """Keeps who speaks in channels beside their main personas."""

    async def cast(self, scope_id: str) -> list[str]:
        """The personas' ids by the scope of the channel's settings, the first added first."""
        ...


class Casting:
    """Looks up the personas of channels."""

    def __init__(self, personas: Personas, settings: SettingsCascade, casts: Casts | None) -> None:
        """Without `casts`, every channel has its main persona alone."""
        self._personas = personas
        self._settings = settings
        self._casts = casts

    async def names(self, channel: ChannelKey, settings: ChannelSettings) -> Sequence[str]:
        """What wakes the personas of a channel: their names and nicknames."""
        cast = await self.here(channel, settings)
        names = (name for persona in cast for name in (persona.name, persona.nickname))
        return tuple(name for name in names if name.strip())

    async def beside(self, channel: ChannelKey, persona_id: str) -> tuple[str, ...]:
        """The names of those who speak in a channel beside a persona; none where it is alone."""
        if self._casts is None:
            return ()
        cast = await self.here(channel)
        return tuple(persona.name for persona in cast if persona.id != persona_id)

    async def here(
        self, channel: ChannelKey, settings: ChannelSettings | None = None
    ) -> Sequence[Persona]:
        """Everybody who speaks in a channel, the main persona first. Raises StoreError.

        Those that are gone are passed over.
        """
        if settings is None:
            settings = await self._settings.resolve(channel)
        main = await self._settings.persona(channel, settings)
        if self._casts is None:
            return (main,)
        found = {main.id: main}
        scope_id = self._settings.scope_id(channel, Scope.CHANNEL)
        for persona_id in (await self._casts.cast(scope_id))[:MOST_BESIDE]:
            persona = await self._personas.find(channel.guild_id, persona_id)
            if persona is not None:
                found.setdefault(persona.id, persona)
        return tuple(found.values())
