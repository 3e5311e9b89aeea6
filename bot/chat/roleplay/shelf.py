"""Which of a guild's lorebooks are in use in a channel: the guild's, the channel's, a persona's."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NoReturn

from bot.chat.messages import ChannelKey
from bot.chat.persona import Persona
from bot.chat.personas.guild.kept import BookScope, KeptLorebook
from bot.chat.personas.guild.lore_workshop import LoreWorkshop, Place, place_of
from bot.chat.personas.lore.book import Lorebook
from bot.chat.roleplay.lore import (
    CHANNEL_PRECEDENCE,
    GUILD_PRECEDENCE,
    PERSONA_PRECEDENCE,
    ShelvedBook,
)
from bot.errors import LorebookError, NotFound

_PRECEDENCE: dict[BookScope, int] = {
    "persona": PERSONA_PRECEDENCE,
    "channel": CHANNEL_PRECEDENCE,
    "guild": GUILD_PRECEDENCE,
}


class GuildShelf:
    """A :class:`~bot.chat.roleplay.lore.LoreShelf` of what guilds keep.

    For each reply it is asked which books are attached and in which revision; only one that is not
    in memory yet is read whole.
    """

    def __init__(self, lorebooks: LoreWorkshop) -> None:
        """Where the books are kept."""
        self.lorebooks = lorebooks

    async def books_for(self, channel: ChannelKey, persona: Persona) -> Sequence[ShelvedBook]:
        """The books attached here, the oldest first. Of its places, the one that counts most does.

        Raises StoreError.
        """
        if channel.guild_id is None:
            return ()
        places = places_for(channel, persona.id)
        found: list[ShelvedBook] = []
        for kept in await self.lorebooks.in_use(channel.guild_id, places):
            read = await self.reading(kept)
            if read is not None:
                counts = min(_PRECEDENCE[place[0]] for place in kept.places if place in places)
                found.append(ShelvedBook(kept.id, counts, read))
        return found

    async def reading(self, kept: KeptLorebook) -> Callable[[], Lorebook] | None:
        """What gives a book or raises LorebookError; None where it has just been deleted."""
        try:
            book = await self.lorebooks.read(kept)
        except NotFound:
            return None
        except LorebookError as error:
            return _Broken(error)
        # It is told of under the name that the guild gave it.
        named = book if book.name == kept.name else replace(book, name=kept.name)
        return lambda: named


def places_for(channel: ChannelKey, persona_id: str) -> list[Place]:
    """Where books count for what a persona says in a guild's channel."""
    places = [place_of("guild", channel), place_of("channel", channel)]
    return [*places, place_of("persona", channel, persona_id)] if persona_id else places


class _Broken:
    """Stands for a book that cannot be read."""

    def __init__(self, error: LorebookError) -> None:
        self._error = error

    def __call__(self) -> NoReturn:
        raise LorebookError(self._error.message, self._error.fix)
