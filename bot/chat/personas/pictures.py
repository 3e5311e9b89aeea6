"""A persona's picture, as whoever shows it asks for it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from bot.chat.persona import Persona


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture by its content. `read` gives the bytes of an image file, PNG for choice.

    `digest` is the SHA-256 of those bytes in hexadecimal: another picture has another one. It is
    known without reading them. `read` raises CaduceusError or OSError where they can't be had.
    """

    digest: str
    read: Callable[[], Awaitable[bytes]]


class PersonaPictures(Protocol):
    """Where personas' pictures are. Nothing in it ever comes from an address in a card."""

    async def find(self, persona: Persona) -> Picture | None:
        """The picture of a persona, None where it has none. Raises CaduceusError."""
        ...


class HeldPictures:
    """Pictures in memory, by the persona's id: implements :class:`PersonaPictures`."""

    def __init__(self, pictures: Mapping[str, Picture] | None = None) -> None:
        """Nobody has a picture at first, or these have."""
        self.pictures = dict(pictures or {})

    async def find(self, persona: Persona) -> Picture | None:
        """What is held for the persona."""
        return self.pictures.get(persona.id)
