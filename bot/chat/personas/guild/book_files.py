"""A lorebook in a file that somebody brings: the book, its name, and what is kept of the file.

A character card is no lorebook, but may have one inside, which can be taken alone.
"""

import re
from dataclasses import dataclass
from pathlib import PurePath

from bot.chat.personas.cards.card import Card, Origin
from bot.chat.personas.cards.fields import CONTROLS
from bot.chat.personas.cards.preview import lore_entries
from bot.chat.personas.cards.reading import read_card
from bot.chat.personas.documents import FILE_BYTES, dump_json, shown
from bot.chat.personas.guild.kept import LorebookDraft
from bot.chat.personas.homes import persona_key
from bot.chat.personas.lore.character_book import write_lorebook_v3
from bot.chat.personas.lore.preview import BookPreview, preview_of_book
from bot.chat.personas.lore.reading import book_in_card, read_lorebook
from bot.chat.text.names import clean_name
from bot.errors import LorebookError, PersonaError

BOOK_NAME_CHARACTERS = 80
UNNAMED = "Lorebook"
_AS_SPACES = re.compile(r"[\s_]+")
_DIRECTIONS = re.compile("[\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff]")  # unseen


@dataclass(frozen=True, slots=True)
class BookFile:
    """A book as it can be taken. `content` reads as that book again.

    `card` names the character card whose book it is, "" where the file itself is one.
    """

    name: str
    content: bytes
    preview: BookPreview
    card: str = ""

    def draft(self, name: str = "") -> LorebookDraft:
        """What is kept of it, under its own name or another. Raises LorebookError for a bad one."""
        named = checked_book_name(name) if name else self.name
        return LorebookDraft(named, persona_key(named), self.preview.entries, self.content)


def read_book_file(file_name: str, content: bytes) -> BookFile:
    """The book in a file of at most 8 MiB, or the one inside of a card. Blocking.

    Raises LorebookError, which says what the file is if it holds no book.
    """
    file_name = shown(file_name, 100) or "The file"
    try:
        book = read_lorebook(file_name, content)
    except LorebookError as error:
        card = _card(file_name, content)
        if card is None:
            raise
        return _inside(file_name, card, error)
    return BookFile(book_name(book.name, file_name), content, preview_of_book(book))


def book_name(wanted: str, file_name: str) -> str:
    """A name that a book can have: its own, else its file's."""
    for text in (wanted, PurePath(file_name).stem):
        text = _DIRECTIONS.sub("", CONTROLS.sub(" ", text[: 4 * BOOK_NAME_CHARACTERS]))
        name = _AS_SPACES.sub(" ", text).strip()
        name = name[:BOOK_NAME_CHARACTERS].rstrip()
        if clean_name(name, default=""):
            return name
    return UNNAMED


def checked_book_name(typed: str) -> str:
    """A name as somebody typed it. Raises LorebookError where no book can have it."""
    name = " ".join(_DIRECTIONS.sub("", typed).split())
    if len(name) > BOOK_NAME_CHARACTERS:
        raise LorebookError(
            f"That name is longer than {BOOK_NAME_CHARACTERS} characters.", "Take a shorter one."
        )
    if CONTROLS.search(name) or not clean_name(name, default=""):
        raise LorebookError("That name shows nothing that can be read.", "Take another one.")
    return name


def _card(file_name: str, content: bytes) -> Card | None:
    try:
        return read_card(content, file_name)
    except PersonaError:
        return None


def _inside(file_name: str, card: Card, error: LorebookError) -> BookFile:
    is_plain = card.origin in (Origin.JSON, Origin.PNG, Origin.CHARX)
    version = card.version.value.upper()
    what = f"a {version} character card" if is_plain else f"a {card.origin.value}"
    document = card.persona.lorebook
    if document is None or not lore_entries(card.persona):
        raise LorebookError(
            f"{file_name} is {what}, not a lorebook, and has none inside.",
            "A character card is imported with `/persona import`.",
        ) from error
    book = book_in_card(file_name, document)
    whose = shown(card.persona.name, 60)
    # As a file of V3, which says by itself what it is: a bare book may look like another kind.
    written = dump_json(write_lorebook_v3(book))
    if len(written) > FILE_BYTES:
        raise LorebookError(
            f"The lorebook inside {file_name} is larger than 8 MiB.", "Use a smaller one."
        ) from error
    taken = read_lorebook(file_name, written)
    name = book_name(book.name or f"{whose}'s lorebook", file_name)
    return BookFile(name, written, preview_of_book(taken), card=f"{what} of «{whose}»")
