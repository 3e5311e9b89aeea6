"""The chunks of a PNG file (PNG specification, third edition, sections 5 and 11.3.3).

Reads no further than the file goes, whatever a length says, and inflates no more than it is told.
"""

import base64
import binascii
import re
import struct
import zlib
from collections.abc import Iterable, Iterator

from bot.errors import PersonaError

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MOST_CHUNKS = 20_000  # 8 MB of real ones are about a thousand
KEYWORD_BYTES = 79
TEXT_TYPES = (b"tEXt", b"zTXt", b"iTXt")
_HEAD = struct.Struct(">I4s")
_CRC = struct.Struct(">I")
_BLANKS = re.compile(rb"\s+")

Chunk = tuple[bytes, bytes]  # type and content


def read_chunks(file_name: str, content: bytes) -> Iterator[Chunk]:
    """The chunks up to IEND. Raises PersonaError where the file is cut off or lies.

    Checksums are checked where we use the content ourselves: IHDR and texts.
    """
    at = len(SIGNATURE)
    for _ in range(MOST_CHUNKS):
        if at + _HEAD.size > len(content):
            raise PersonaError(f"{file_name} is cut off: the picture has no end.", _AGAIN)
        length, kind = _HEAD.unpack_from(content, at)
        start = at + _HEAD.size
        if start + length + _CRC.size > len(content):
            raise PersonaError(
                f"{file_name} is cut off or broken: a part of it claims {length:,} bytes.", _AGAIN
            )
        body = content[start : start + length]
        if kind == b"IHDR" or kind in TEXT_TYPES:
            (expected,) = _CRC.unpack_from(content, start + length)
            if zlib.crc32(kind + body) != expected:
                raise PersonaError(
                    f"{file_name} is broken: the checksum of a part of it is wrong.", _AGAIN
                )
        yield kind, body
        if kind == b"IEND":
            return
        at = start + length + _CRC.size
    raise PersonaError(f"{file_name} has more than {MOST_CHUNKS:,} parts.", _AGAIN)


_AGAIN = "Download it again, as the original file."


def write_png(chunks: Iterable[Chunk]) -> bytes:
    """A PNG file of these chunks."""
    parts = [SIGNATURE]
    for kind, body in chunks:
        parts += (_HEAD.pack(len(body), kind), body, _CRC.pack(zlib.crc32(kind + body)))
    return b"".join(parts)


def keyword_of(body: bytes) -> str:
    """A text chunk's keyword, "" where it has none."""
    keyword, end, _ = body[: KEYWORD_BYTES + 1].partition(b"\0")
    return keyword.decode("latin-1") if end else ""


def text_of(file_name: str, chunk: Chunk, at_most: int) -> bytes:
    """A text chunk's text, inflated where it is compressed. Raises PersonaError over `at_most`."""
    kind, body = chunk
    text = body.partition(b"\0")[2]
    if kind == b"zTXt":
        return inflate(file_name, text[1:], at_most)
    if kind == b"iTXt":
        is_compressed, text = text[:1] == b"\1", text[2:]
        for _ in ("language", "translated keyword"):
            text = text.partition(b"\0")[2]
        if is_compressed:
            return inflate(file_name, text, at_most)
    return text


def unpack_base64(text: bytes) -> bytes | None:
    """Base64 of either alphabet, with or without its padding, on one line or several."""
    bare = _BLANKS.sub(b"", text).rstrip(b"=\0").replace(b"-", b"+").replace(b"_", b"/")
    try:
        return base64.b64decode(bare + b"=" * (-len(bare) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None


def inflate(
    file_name: str, packed: bytes, at_most: int, window_bits: int = zlib.MAX_WBITS
) -> bytes:
    """Unpack at most so many bytes; `window_bits` as zlib has it. Raises PersonaError."""
    unpacking = zlib.decompressobj(window_bits)
    try:
        text = unpacking.decompress(packed, at_most + 1)
    except zlib.error as error:
        raise PersonaError(f"{file_name} is broken: a part cannot be unpacked.", _AGAIN) from error
    if len(text) > at_most:
        raise PersonaError(f"{file_name} unpacks to more than {at_most:,} bytes.")
    if not unpacking.eof:
        raise PersonaError(f"{file_name} is broken: a packed part of it is cut off.", _AGAIN)
    return text
