"""The home of guilds' own personas: what is kept of them, as personas that speak."""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence

from bot.chat.persona import Persona
from bot.chat.personas.guild.kept import GUILD_ID, KeptDocument, KeptPersona, PersonaStore
from bot.chat.personas.guild.packing import persona_of_kept
from bot.chat.personas.homes import PersonaEntry, PersonaHome, in_order, persona_key

CACHE_BYTES = 16 * 1024 * 1024  # of documents, whose personas are kept in memory
ENTRY_BYTES = 2_000  # that a small one takes at least
_BEGINNING = GUILD_ID.removesuffix("{}")


class GuildPersonas(PersonaHome):
    """Each guild's own personas, which nobody else finds.

    Several programs may change them: each time it is asked which revision is there, and only one
    that is not in memory yet is read whole.
    """

    def __init__(self, store: PersonaStore, *, cache_bytes: int = CACHE_BYTES) -> None:
        """Nothing is read before somebody asks."""
        self._store = store
        self._most = cache_bytes
        self._held: OrderedDict[str, tuple[int, int, Persona]] = OrderedDict()
        self._bytes = 0

    async def by_id(self, guild_id: str | None, persona_id: str) -> Persona | None:
        """The persona with this id, if it is that guild's."""
        key = persona_key(persona_id)
        if guild_id is None or not key.startswith(_BEGINNING):
            return None
        return await self._persona(await self._store.kept(guild_id, key))

    async def by_ids(self, guild_id: str | None, ids: Sequence[str]) -> Mapping[str, Persona]:
        """Those with these ids; which revisions are there is asked once for all."""
        keys = {each: persona_key(each) for each in ids}
        wanted = [key for key in dict.fromkeys(keys.values()) if key.startswith(_BEGINNING)]
        if guild_id is None or not wanted:
            return {}
        kept = {each.id: each for each in await self._store.kept_among(guild_id, wanted)}
        found = {key: await self._persona(one) for key, one in kept.items()}
        there = {each: found.get(key) for each, key in keys.items()}
        return {each: persona for each, persona in there.items() if persona is not None}

    async def by_name(self, guild_id: str | None, name: str) -> Persona | None:
        """The guild's persona of this name, whatever the case."""
        if guild_id is None:
            return None
        return await self._persona(await self._store.kept_by_key(guild_id, persona_key(name)))

    async def listed(self, guild_id: str | None) -> list[Persona]:
        """The guild's personas in alphabetical order."""
        if guild_id is None:
            return []
        found = [await self._persona(each) for each in await self._store.all_kept(guild_id)]
        return in_order(each for each in found if each is not None)

    async def entries(self, guild_id: str | None) -> list[PersonaEntry]:
        """The guild's personas in alphabetical order, read without their texts."""
        if guild_id is None:
            return []
        kept = await self._store.all_kept(guild_id)
        kept.sort(key=lambda each: each.name.casefold())
        return [PersonaEntry(each.id, each.name, each.summary, each.guild_id) for each in kept]

    async def at_version(
        self, guild_id: str | None, persona_id: str, version: str
    ) -> Persona | None:
        """A persona as it was: some earlier versions are kept, and a deleted one's for a while."""
        key = persona_key(persona_id)
        if guild_id is None or not key.startswith(_BEGINNING):
            return None
        found = await self._store.document(guild_id, key, version)
        return None if found is None else await asyncio.to_thread(persona_of_kept, found)

    def problems(self) -> Mapping[str, str]:
        """None: what cannot be used was never taken."""
        return {}

    async def _persona(self, kept: KeptPersona | None) -> Persona | None:
        if kept is None:
            return None
        held = self._held.get(kept.id)
        if held is not None and held[0] == kept.revision:
            self._held.move_to_end(kept.id)
            return held[2]
        document = await self._store.document(kept.guild_id, kept.id)
        if document is None:  # deleted in between
            return None
        persona = await asyncio.to_thread(persona_of_kept, document)
        self._hold(document, persona)
        return persona

    def _hold(self, document: KeptDocument, persona: Persona) -> None:
        self._drop(persona.id)
        size = len(document.document) + ENTRY_BYTES
        self._held[persona.id] = (document.persona.revision, size, persona)
        self._bytes += size
        # The newest stays, however large: a reply asks for it several times.
        while self._bytes > self._most and len(self._held) > 1:
            self._drop(next(iter(self._held)))

    def _drop(self, persona_id: str) -> None:
        if persona_id in self._held:
            self._bytes -= self._held.pop(persona_id)[1]
