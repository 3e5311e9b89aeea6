"""Personas without files."""

from collections.abc import Mapping

from bot.chat.persona import Persona
from bot.chat.personas.homes import PersonaHome, in_order, persona_key


class GivenPersonas(PersonaHome):
    """Personas that are simply there, for everybody: :class:`EveryHome` sees to homes."""

    def __init__(self, *personas: Persona) -> None:
        self.personas = list(personas)
        self.broken: dict[str, str] = {}
        self.earlier: list[Persona] = []  # versions that are kept

    async def by_id(self, guild_id: str | None, persona_id: str) -> Persona | None:
        return next((each for each in self.personas if each.id == persona_id), None)

    async def by_name(self, guild_id: str | None, name: str) -> Persona | None:
        key = persona_key(name)
        return next((each for each in self.personas if persona_key(each.name) == key), None)

    async def listed(self, guild_id: str | None) -> list[Persona]:
        return in_order(self.personas)

    async def at_version(
        self, guild_id: str | None, persona_id: str, version: str
    ) -> Persona | None:
        versions = (each for each in self.earlier if each.id == persona_id)
        kept = next((each for each in versions if each.version == version), None)
        return kept or await super().at_version(guild_id, persona_id, version)

    async def default(self) -> Persona:
        return self.personas[0]

    def problems(self) -> Mapping[str, str]:
        return self.broken
