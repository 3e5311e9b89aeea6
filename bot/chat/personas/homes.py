"""Where personas live: one home, and all homes together."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from bot.chat.persona import Persona
from bot.chat.text.guard import fold


def persona_key(reference: str) -> str:
    """A name or an id as it is compared: whatever its case, its width and its spaces."""
    return " ".join(fold(reference).split())


@dataclass(frozen=True, slots=True)
class PersonaEntry:
    """A persona in a list: what it is called, without its texts."""

    id: str
    name: str
    summary: str
    guild_id: str | None = None  # its home, as in :class:`~bot.chat.persona.Persona`


class PersonaHome(ABC):
    """Holds personas: the owner's folder, a database. `guild_id` is None outside of guilds."""

    @abstractmethod
    async def by_id(self, guild_id: str | None, persona_id: str) -> Persona | None:
        """The persona with this id, if the guild may use it."""

    async def by_ids(self, guild_id: str | None, ids: Sequence[str]) -> Mapping[str, Persona]:
        """Those of :meth:`by_id` that are there, by the ids that were asked for."""
        found = {each: await self.by_id(guild_id, each) for each in dict.fromkeys(ids)}
        return {each: persona for each, persona in found.items() if persona is not None}

    @abstractmethod
    async def by_name(self, guild_id: str | None, name: str) -> Persona | None:
        """The persona of this name, whatever the case, if the guild may use it."""

    @abstractmethod
    async def listed(self, guild_id: str | None) -> list[Persona]:
        """The personas that the guild may use, in alphabetical order; each name stands once."""

    async def entries(self, guild_id: str | None) -> list[PersonaEntry]:
        """The same as :meth:`listed`, without what is long: a home need not read it for that."""
        return [
            PersonaEntry(each.id, each.name, each.summary, each.guild_id)
            for each in await self.listed(guild_id)
        ]

    async def at_version(
        self, guild_id: str | None, persona_id: str, version: str
    ) -> Persona | None:
        """A persona as it was in an earlier version, where the home still has that."""
        found = await self.by_id(guild_id, persona_id)
        return found if found is not None and found.version == version else None

    @abstractmethod
    def problems(self) -> Mapping[str, str]:
        """File name to error, for files whose newest version cannot be used."""

    async def find(self, guild_id: str | None, reference: str) -> Persona | None:
        """A persona by its id or its name, whatever the case. An id goes before a name."""
        found = await self.by_id(guild_id, reference)
        return found or await self.by_name(guild_id, reference)


class EveryHome(PersonaHome):
    """Implements :class:`bot.chat.ports.Personas` on several homes.

    The first home that has a name keeps it: a guild's home goes before the owner's. No guild gets
    to see another one's persona here, whatever a home returns.
    """

    def __init__(
        self, homes: Sequence[PersonaHome], default: Callable[[], Awaitable[Persona]]
    ) -> None:
        """`default` gives the persona that speaks where none is chosen."""
        self._homes = tuple(homes)
        self._default = default

    async def by_id(self, guild_id: str | None, persona_id: str) -> Persona | None:
        """The persona with this id."""
        for home in self._homes:
            found = await home.by_id(guild_id, persona_id)
            if found is not None and _is_for(found, guild_id):
                return found
        return None

    async def by_ids(self, guild_id: str | None, ids: Sequence[str]) -> Mapping[str, Persona]:
        """The personas with these ids; each home is asked once for all."""
        found: dict[str, Persona] = {}
        for home in self._homes:
            left = [each for each in ids if each not in found]
            if left:
                there = (await home.by_ids(guild_id, left)).items()
                found |= {each: one for each, one in there if _is_for(one, guild_id)}
        return found

    async def by_name(self, guild_id: str | None, name: str) -> Persona | None:
        """The persona of this name in the first home that has one."""
        for home in self._homes:
            found = await home.by_name(guild_id, name)
            if found is not None and _is_for(found, guild_id):
                return found
        return None

    async def listed(self, guild_id: str | None) -> list[Persona]:
        """The personas of all homes, as :meth:`by_name` finds them."""
        found: dict[str, Persona] = {}
        for home in self._homes:
            for persona in await home.listed(guild_id):
                if _is_for(persona, guild_id):
                    found.setdefault(persona_key(persona.name), persona)
        return in_order(found.values())

    async def entries(self, guild_id: str | None) -> list[PersonaEntry]:
        """The personas of all homes, as :meth:`listed`."""
        found: dict[str, PersonaEntry] = {}
        for home in self._homes:
            for entry in await home.entries(guild_id):
                if entry.guild_id in (None, guild_id):
                    found.setdefault(persona_key(entry.name), entry)
        return sorted(found.values(), key=lambda entry: entry.name.casefold())

    async def at_version(
        self, guild_id: str | None, persona_id: str, version: str
    ) -> Persona | None:
        """A persona in an earlier version, from whichever home has it."""
        for home in self._homes:
            found = await home.at_version(guild_id, persona_id, version)
            if found is not None and _is_for(found, guild_id):
                return found
        return None

    async def default(self) -> Persona:
        """The persona that speaks where none is chosen."""
        return await self._default()

    def problems(self) -> Mapping[str, str]:
        """Those of all homes."""
        return {name: said for home in self._homes for name, said in home.problems().items()}


def in_order(personas: Iterable[Persona]) -> list[Persona]:
    """In alphabetical order of their names."""
    return sorted(personas, key=lambda persona: persona.name.casefold())


def with_version(persona: Persona) -> Persona:
    """A persona whose version is known already. Blocking: its whole text is hashed."""
    _ = persona.version
    return persona


def _is_for(persona: Persona, guild_id: str | None) -> bool:
    return persona.guild_id is None or persona.guild_id == guild_id
