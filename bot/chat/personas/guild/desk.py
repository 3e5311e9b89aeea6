"""What a front end needs to show personas and to let people change them."""

from dataclasses import dataclass

from bot.chat.personas.guild.books import GuildLorebooks
from bot.chat.personas.guild.home import GuildPersonas
from bot.chat.personas.guild.kept import CastStore, LorebookStore, PersonaStore
from bot.chat.personas.guild.pictures import StoredPictures
from bot.chat.personas.guild.thumbnails import Thumbnails
from bot.chat.personas.guild.workshop import PersonaWorkshop
from bot.chat.personas.homes import EveryHome
from bot.chat.personas.library import PersonaLibrary


@dataclass(frozen=True, slots=True)
class PersonaDesk:
    """The personas of every home, and what changes them."""

    personas: EveryHome
    library: PersonaLibrary
    workshop: PersonaWorkshop
    pictures: StoredPictures
    thumbnails: Thumbnails
    casts: CastStore
    lorebooks: LorebookStore
    books: GuildLorebooks


def open_desk(
    library: PersonaLibrary,
    personas: PersonaStore,
    lorebooks: LorebookStore,
    casts: CastStore,
) -> PersonaDesk:
    """The owner's folder and what guilds keep, together. A guild's own go before the owner's."""
    everybody = EveryHome([GuildPersonas(personas), library], library.default)
    workshop = PersonaWorkshop(personas, everybody, library)
    pictures = StoredPictures(library, workshop)
    return PersonaDesk(
        everybody,
        library,
        workshop,
        pictures,
        Thumbnails(pictures),
        casts,
        lorebooks,
        GuildLorebooks(lorebooks),
    )
