"""Who speaks in a channel: its main persona and those beside it."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from bot.chat.definitions import ChannelSettings
from bot.chat.limits.ages import may_speak
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

        Those that are gone, or may not speak there, are passed over. Where a `scene` is played, its
        cast speaks instead; if nobody of it is left, the channel's does.
        """
        if scene is not None:
            found = await self._personas.by_ids(channel.guild_id, scene.cast)
            playing = {found[each].id: found[each] for each in scene.cast if each in found}
            if allowed := _allowed(playing.values(), channel):
                return allowed
        if settings is None:
            settings = await self._settings.resolve(channel)
        beside: Sequence[str] = ()
        if self._casts is not None:
            scope_id = self._settings.scope_id(channel, Scope.CHANNEL)
            beside = (await self._casts.cast(scope_id))[:MOST_BESIDE]
        if not beside:
            return (await self.main(channel, settings),)
        # All at once: in a guild, each look is a transaction.
        chosen = (settings.persona, *beside) if settings.persona else beside
        found = await self._personas.by_ids(channel.guild_id, chosen)
        main = found.get(settings.persona) or await self._settings.persona(channel, settings)
        if not may_speak(main, channel):
            main = await self._personas.default()
        speaking = {main.id: main}
        for persona_id in beside:
            if persona_id in found:
                speaking.setdefault(found[persona_id].id, found[persona_id])
        return (main, *_allowed([each for each in speaking.values() if each is not main], channel))

    async def main(self, channel: ChannelKey, settings: ChannelSettings) -> Persona:
        """The channel's main persona; the default one where that may not speak there."""
        main = await self._settings.persona(channel, settings)
        return main if may_speak(main, channel) else await self._personas.default()

    async def left_out(
        self, channel: ChannelKey, settings: ChannelSettings, main: Persona, scene: Scene | None
    ) -> Persona | None:
        """The channel's chosen persona, where `main` speaks instead because of the age it asks."""
        if scene is not None or settings.persona in ("", main.id):
            return None
        chosen = await self._settings.persona(channel, settings)
        return None if may_speak(chosen, channel) else chosen


def _allowed(personas: Iterable[Persona], channel: ChannelKey) -> tuple[Persona, ...]:
    return tuple(persona for persona in personas if may_speak(persona, channel))


def member_of(persona: Persona) -> Member:
    """What a persona is called, and how readily it speaks."""
    names = tuple(name for name in (persona.name, persona.nickname) if name.strip())
    own = persona.talkativeness
    return Member(persona.id, names, TALKATIVENESS if own is None else own)
