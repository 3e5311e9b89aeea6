"""From a Lorebook to a file: its own format as it came, V3 and World Info from any other."""

from typing import Literal

from bot.chat.personas.documents import dump_json
from bot.chat.personas.lore.book import BookKind, Lorebook
from bot.chat.personas.lore.character_book import write_lorebook_v3
from bot.chat.personas.lore.world_info import write_world_info

BookFormat = Literal["v3", "world_info"]


def write_lorebook(book: Lorebook, book_format: BookFormat) -> bytes:
    """The book as a JSON file.

    In the format that it came in, everything is as it was, save what has been edited: unknown
    keys, their order and that of the entries. In the other one, what only the first has a key for
    stands in `extensions` under `caduceus`, and comes back from there.
    """
    return dump_json(document_of(book, book_format), indent=4)


def document_of(book: Lorebook, book_format: BookFormat) -> dict[str, object]:
    """The same, as JSON values."""
    return write_world_info(book) if book_format == "world_info" else write_lorebook_v3(book)


def own_format(book: Lorebook) -> BookFormat | None:
    """The format that this book goes out in as it came, where we write that one."""
    if book.kind is BookKind.WORLD_INFO:
        return "world_info"
    return "v3" if book.kind in (BookKind.LOREBOOK_V3, BookKind.CHARACTER_BOOK) else None
