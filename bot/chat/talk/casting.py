"""Who speaks in a channel: its main persona and those beside it."""

from collections.abc import Sequence
from typing import Protocol

from bot.chat.definitions import ChannelSettings
from bot.chat.messages import ChannelKey, Scope
from bot.chat.persona import Persona
from bot.chat.ports import Personas
from bot.chat.roleplay.scenes.keeping import Scenes
from bot.chat.roleplay.scenes.scene import Scene
from bot.chat.roleplay.speakers import TALKATIVENESS, Member
from bot.chat.settings import SettingsCascade

MOST_BESIDE = 25  # personas beside the main one


class Casts(Protocol):
    """Keeps who speaks in channels beside their main personas."""

    async def cast(self, scope_id: str) -> list[str]:
        """The personas' ids by the scope of the channel's settings, the first added first."""
        ...


class Casting:
    """Looks up the personas of channels."""

    def __init__(
        self,
        personas: Personas,
        settings: SettingsCascade,
        casts: Casts | None,
        scenes: Scenes | None = None,
    ) -> None:
        """Without `casts`, every channel has its main persona alone; without `scenes`, no scene."""
        self._personas = personas
        self._settings = settings
        self._casts = casts
        self._scenes = scenes

    async def scene(self, channel: ChannelKey) -> Scene | None:
        """What is played in a channel now. Raises StoreError."""
        return None if self._scenes is None else await self._scenes.running(channel)

    async def beside(self, channel: ChannelKey, persona_id: str) -> tuple[str, ...]:
        """The names of those who speak in a channel beside a persona; none where it is alone."""
        if self._casts is None and self._scenes is None:
            return ()
        cast = await self.here(channel, scene=await self.scene(channel))
        return tuple(persona.name for persona in cast if persona.id != persona_id)

    async def here(
        self,
        channel: ChannelKey,
        settings: ChannelSettings | None = None,
        *,
        scene: Scene | None = None,
    ) -> Sequence[Persona]:
        """Everybody who speaks in a channel, the main persona first. Raises StoreError.

        Those that are gone are passed over. Where a `scene` is played, its cast speaks instead; if
        nobody of it is left, the channel's does.
        """
        if scene is not None:
            found = await self._personas.by_ids(channel.guild_id, scene.cast)
            playing = {found[each].id: found[each] for each in scene.cast if each in found}
            if playing:
                return tuple(playing.values())
        if settings is None:
            settings = await self._settings.resolve(channel)
        beside: Sequence[str] = ()
        if self._casts is not None:
            scope_id = self._settings.scope_id(channel, Scope.CHANNEL)
            beside = (await self._casts.cast(scope_id))[:MOST_BESIDE]
        if not beside:
            return (await self._settings.persona(channel, settings),)
        # All at once: in a guild, each look is a transaction.
        chosen = (settings.persona, *beside) if settings.persona else beside
        found = await self._personas.by_ids(channel.guild_id, chosen)
        main = found.get(settings.persona) or await self._settings.persona(channel, settings)
        speaking = {main.id: main}
        for persona_id in beside:
            if persona_id in found:
                speaking.setdefault(found[persona_id].id, found[persona_id])
        return tuple(speaking.values())


def member_of(persona: Persona) -> Member:
    """What a persona is called, and how readily it speaks."""
    names = tuple(name for name in (persona.name, persona.nickname) if name.strip())
    own = persona.talkativeness
    return Member(persona.id, names, TALKATIVENESS if own is None else own)
