"""From a file, or a value inside a card, to a Lorebook: whichever program wrote it."""

from collections.abc import Callable, Mapping

from bot.chat.personas.cards.formats.archive import find_archive
from bot.chat.personas.cards.formats.chunks import (
    SIGNATURE,
    TEXT_TYPES,
    keyword_of,
    read_chunks,
    text_of,
    unpack_base64,
)
from bot.chat.personas.cards.formats.png import CARD_KEYWORDS, NOVELAI_KEYWORD
from bot.chat.personas.cards.kinds import kind_of
from bot.chat.personas.documents import (
    BOOK,
    FILE_BYTES,
    as_list,
    as_object,
    decode,
    parse_json,
)
from bot.chat.personas.lore.book import BookKind, JsonObject, Lorebook
from bot.chat.personas.lore.character_book import read_character_book, read_lorebook_v3
from bot.chat.personas.lore.foreign import read_agnai, read_novelai, read_risu
from bot.chat.personas.lore.kinds import book_kind, what_else
from bot.chat.personas.lore.world_info import read_world_info
from bot.chat.personas.signatures import what_it_is
from bot.errors import LorebookError, PersonaError

MOST_ENTRIES = 20_000  # of one book

_BOOKS = "Use a lorebook of SillyTavern (World Info), V3, NovelAI, Agnai or Risu."
_ZIP = b"PK\x03\x04"
_READERS: Mapping[BookKind, Callable[[JsonObject], Lorebook]] = {
    BookKind.CHARACTER_BOOK: read_character_book,
    BookKind.LOREBOOK_V3: read_lorebook_v3,
    BookKind.WORLD_INFO: read_world_info,
    BookKind.NOVELAI: read_novelai,
    BookKind.AGNAI: read_agnai,
    BookKind.RISU: read_risu,
}


def read_lorebook(file_name: str, content: bytes) -> Lorebook:
    """The book in a file of at most 8 MiB: JSON, or a picture of NovelAI. Raises LorebookError.

    Blocking: a large book takes a good part of a second.
    """
    if content.startswith(SIGNATURE):
        content = _novelai_text(file_name, content)
    elif content.startswith(_ZIP) or find_archive(content) is not None:
        said = f"{file_name} is a zip archive, as cards come in, not a lorebook."
        raise LorebookError(said, "A character card is imported with `/persona import`.")
    if len(content) > FILE_BYTES:
        raise LorebookError(f"{file_name} is larger than 8 MiB.", "Use a smaller lorebook.")
    if said := what_it_is(content):
        raise LorebookError(f"{file_name} is {said}, not a lorebook.", _BOOKS)
    text = decode(file_name, content, kind=BOOK)
    return lorebook_of(file_name, parse_json(file_name, text, kind=BOOK))


def lorebook_of(file_name: str, document: object) -> Lorebook:
    """The book that a parsed JSON document is: a list of entries may stand alone.

    Raises LorebookError, which names what it is.
    """
    if kind_of(document).is_book and as_object(document) is None:
        document = {"entries": document}
    kind = book_kind(document)
    values = as_object(document)
    if kind is None or values is None:
        if (looks := kind_of(document)).is_book:
            raise LorebookError(
                f"{file_name} looks like {looks.value}, but has no entries that can be read.",
                "Export it again.",
            )
        said = what_else(document)
        fix = _BOOKS
        if said.endswith("character card"):
            fix = "A character card is imported with `/persona import`, its own lorebook with it."
        raise LorebookError(f"{file_name} is {said}, not a lorebook.", fix)
    _refuse_many(file_name, values.get("data" if kind is BookKind.RISU else "entries"))
    if kind is BookKind.LOREBOOK_V3:
        _refuse_many(file_name, (as_object(values.get("data")) or {}).get("entries"))
    return _READERS[kind](values)


def book_in_card(file_name: str, document: JsonObject) -> Lorebook:
    """The book of a card from its `character_book`. Raises LorebookError where it is too large."""
    _refuse_many(file_name, document.get("entries"))
    return read_character_book(document)


def _refuse_many(file_name: str, entries: object) -> None:
    count = len(as_list(entries) or as_object(entries) or ())
    if count > MOST_ENTRIES:
        raise LorebookError(
            f"{file_name} holds {count:,} entries, more than {MOST_ENTRIES:,}.", "Part the book."
        )


def _novelai_text(file_name: str, content: bytes) -> bytes:
    """The JSON in a NovelAI picture: base64 in a text chunk with the keyword `naidata`."""
    is_card = False
    try:
        for kind, body in read_chunks(file_name, content):
            keyword = keyword_of(body).lower() if kind in TEXT_TYPES else ""
            if keyword == NOVELAI_KEYWORD:
                return _unpacked(file_name, text_of(file_name, (kind, body), 2 * FILE_BYTES))
            is_card = is_card or keyword in CARD_KEYWORDS
    except PersonaError as error:  # said of any picture
        if not is_card:
            raise LorebookError(error.message, error.fix) from error
    if is_card:
        raise LorebookError(
            f"{file_name} is a character card as a picture, not a lorebook.",
            "A character card is imported with `/persona import`, its own lorebook with it.",
        )
    raise LorebookError(f"{file_name} is a picture without a lorebook.", "Use the book's own file.")


def _unpacked(file_name: str, text: bytes) -> bytes:
    unpacked = unpack_base64(text)
    if unpacked is None:
        said = f"{file_name}: the lorebook in this picture is damaged."
        raise LorebookError(said, "Export it again.")
    return unpacked
