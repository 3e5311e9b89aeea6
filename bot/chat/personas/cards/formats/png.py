"""Cards in PNG and APNG pictures: the text chunks `ccv3` (V3) and `chara` (V1 and V2, often V3)."""

import base64
import re
from dataclasses import dataclass

from bot.chat.personas.cards.card import TextChunk
from bot.chat.personas.cards.formats.chunks import (
    TEXT_TYPES,
    Chunk,
    keyword_of,
    read_chunks,
    text_of,
    unpack_base64,
    write_png,
)
from bot.chat.personas.cards.kinds import BOOK_FIX
from bot.chat.personas.documents import FILE_BYTES
from bot.errors import PersonaError

CARD_KEYWORDS = ("ccv3", "chara")  # the first one counts
_ASSET = re.compile(r"chara-ext-asset_:?(.+)", re.DOTALL)
NOVELAI_KEYWORD = "naidata"
_ENCRYPTED = b"rcc||"


@dataclass(frozen=True, slots=True)
class PngParts:
    """A PNG taken apart: documents by keyword, the bare picture, and what else it held."""

    documents: dict[str, bytes]
    picture: bytes
    files: dict[str, bytes]
    chunks: tuple[TextChunk, ...]
    warnings: tuple[str, ...]


def read_png(file_name: str, content: bytes) -> PngParts:
    """Take a card's PNG apart; without documents there is no card in it.

    Raises PersonaError: broken, encrypted, or something else than a card.
    """
    found: dict[str, list[Chunk]] = {keyword: [] for keyword in CARD_KEYWORDS}
    files: dict[str, bytes] = {}
    others: list[TextChunk] = []
    pixels: list[Chunk] = []
    warnings: list[str] = []
    for chunk in read_chunks(file_name, content):
        kind, body = chunk
        if kind not in TEXT_TYPES:
            pixels.append(chunk)
            if kind == b"acTL":
                warnings.append("The picture moves; only its first one is used.")
            continue
        keyword = keyword_of(body).lower()
        asset = _ASSET.fullmatch(keyword_of(body))
        if keyword in found:
            found[keyword].append(chunk)
        elif keyword == NOVELAI_KEYWORD:
            raise PersonaError(
                f"{file_name} is a lorebook of NovelAI in a picture, not a persona.",
                BOOK_FIX,
            )
        elif asset and (unpacked := _asset(chunk)) is not None:
            files[asset[1]] = unpacked
        else:
            others.append(TextChunk(kind, body))
    documents: dict[str, bytes] = {}
    faults: list[PersonaError] = []
    for keyword in [keyword for keyword, chunks in found.items() if chunks]:
        try:
            text = text_of(file_name, found[keyword][0], FILE_BYTES)
            documents[keyword] = _document(file_name, text)
        except PersonaError as error:
            faults.append(error)
    if faults and not documents:
        raise faults[0]
    warnings += [f"One of its two cards cannot be read: {fault.message}" for fault in faults]
    if any(len({body for _, body in chunks}) > 1 for chunks in found.values()):
        warnings.append("The picture holds several cards of one kind; the first one is used.")
    return PngParts(documents, write_png(pixels), files, tuple(others), tuple(warnings))


def no_card_in_picture(file_name: str) -> PersonaError:
    """The error for a picture that holds no card."""
    return PersonaError(
        f"{file_name} is a picture without a card in it.",
        "Programs that shrink or convert pictures lose the card: use the original file.",
    )


def build_png(
    picture: bytes,
    documents: dict[str, bytes],
    files: dict[str, bytes],
    chunks: tuple[TextChunk, ...],
) -> bytes:
    """A PNG with these documents by keyword, before its end, and everything else it had."""
    texts: list[Chunk] = [(chunk.type, chunk.content) for chunk in chunks]
    for path, content in files.items():
        texts.append(_text_chunk(f"chara-ext-asset_:{path}", content))
    for keyword, document in documents.items():
        texts.append(_text_chunk(keyword, document))
    *before, end = read_chunks("The picture", picture)
    return write_png([*before, *texts, end])


def _text_chunk(keyword: str, content: bytes) -> Chunk:
    return b"tEXt", keyword.encode("latin-1", "replace") + b"\0" + base64.b64encode(content)


def _asset(chunk: Chunk) -> bytes | None:
    """What lies in an asset's chunk. A packed one is left packed: there may be very many."""
    kind, body = chunk
    return unpack_base64(body.partition(b"\0")[2]) if kind == b"tEXt" else None


def _document(file_name: str, text: bytes) -> bytes:
    """A chunk's document: base64 of JSON, or the JSON itself. Raises PersonaError."""
    bare = text.lstrip()
    unpacked = bare if bare.startswith((b"{", _ENCRYPTED)) else unpack_base64(bare)
    if unpacked is None:
        raise PersonaError(
            f"{file_name}: the card in this picture is broken: it is not base64.",
            "Export the card again.",
        )
    refuse_encrypted(file_name, unpacked)
    return unpacked


def refuse_encrypted(file_name: str, content: bytes) -> None:
    """Raise PersonaError for a card that Risu has encrypted."""
    if content.lstrip().startswith(_ENCRYPTED):
        raise PersonaError(
            f"{file_name} is a card that Risu has encrypted, which nobody else can read.",
            "Export it from Risu without a password.",
        )
