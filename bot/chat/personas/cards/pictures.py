"""Pictures of personas: looked at before they are decoded, and written anew without metadata.

Only PNG, JPEG, WebP and GIF are opened. The size that a file claims is checked before anything is
decoded, so that a picture takes at most about 100 MB while it is worked on. All of it is blocking.
"""

import colorsys
import hashlib
import struct
from dataclasses import dataclass
from io import BytesIO
from typing import Literal

from PIL import Image

from bot.chat.personas.cards.formats.chunks import SIGNATURE, Chunk, read_chunks, write_png
from bot.errors import PersonaError

MOST_PIXELS = 15_000_000
MOST_WEBP_PIXELS = 6_000_000  # its decoder keeps the picture three times
MOST_SIDE = 16_384
PERSONA_SIDE = 2_048  # of a picture as it is kept and exported: the longer side
EMOJI_BYTES = 256 * 1024  # of an application emoji (Discord, «Emoji Resource»)
_EMOJI_SIDES = (256, 192, 128)
_PLAIN_SIZE = (400, 600)  # as most cards have it
_MOST_SCANS = 100  # of a JPEG, each of which goes over the whole picture; real ones have ten
_COPIED_PIXELS = 7_000_000
_REDUCIBLE = ("L", "LA", "RGB", "RGBA", "CMYK", "YCbCr")
_BAND_ROWS = 512
_ORIENTATION = 0x0112  # the tag of EXIF, and how each of its values is put upright
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Of a PNG, what a decoder needs: neither texts nor profiles, which it would unpack.
_PIXEL_CHUNKS = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND", b"gAMA", b"eXIf"})
_FAULTS = (
    OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, ArithmeticError,
    MemoryError, struct.error, Image.DecompressionBombError, Image.DecompressionBombWarning,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class PictureFacts:
    """What a picture's first bytes say of it."""

    format: Literal["PNG", "JPEG", "WEBP", "GIF"]
    width: int
    height: int


def look_at(file_name: str, content: bytes) -> PictureFacts | None:
    """A picture's format and size without decoding it; None if it is none.

    Raises PersonaError for one that is too large to be decoded.
    """
    if content.startswith(SIGNATURE) and content[12:16] == b"IHDR" and len(content) >= 24:
        facts = PictureFacts("PNG", *struct.unpack_from(">2I", content, 16))
    elif content.startswith((b"GIF87a", b"GIF89a")) and len(content) >= 10:
        facts = PictureFacts("GIF", *struct.unpack_from("<2H", content, 6))
    elif content.startswith(b"RIFF") and content[8:12] == b"WEBP":
        size = _webp_size(content)
        facts = PictureFacts("WEBP", *size) if size else None
    elif content.startswith(b"\xff\xd8\xff") and content.count(b"\xff\xda") <= _MOST_SCANS:
        size = _jpeg_size(content)
        facts = PictureFacts("JPEG", *size) if size else None
    else:
        facts = None
    if facts is None or not facts.width or not facts.height:
        return None
    limit = MOST_WEBP_PIXELS if facts.format == "WEBP" else MOST_PIXELS
    if facts.width * facts.height > limit or max(facts.width, facts.height) > MOST_SIDE:
        raise PersonaError(
            f"{file_name} is a picture of {facts.width:,} x {facts.height:,} points; "
            f"{limit // 1_000_000} million are the limit.",
            "Make the picture smaller.",
        )
    return facts


def render(file_name: str, content: bytes, most_side: int = PERSONA_SIDE) -> bytes:
    """The picture as a PNG: upright, no side longer than `most_side`, without any metadata.

    Of a picture that moves, the first one. Raises PersonaError if it cannot be decoded.
    """
    return _png(_decode(file_name, content, most_side))


def emoji_picture(file_name: str, content: bytes) -> bytes:
    """The picture as a square PNG of at most 256 KB, for an application emoji.

    Of a tall picture the upper part: that is where the face is. Raises PersonaError.
    """
    facts = look_at(file_name, content)
    sides = sorted((facts.width, facts.height)) if facts else [1, 1]
    # Of a long one, the shorter side is to stay as long as the emoji's.
    most_side = min(2 * _EMOJI_SIDES[0] * (sides[1] // sides[0]), PERSONA_SIDE)
    picture = _decode(file_name, content, most_side)
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 5
    square = picture.crop((left, top, left + side, top + side))
    made = b""
    for wanted in _EMOJI_SIDES:
        made = _png(square.resize((wanted, wanted), Image.Resampling.LANCZOS))
        if len(made) <= EMOJI_BYTES:
            break
    return made


def plain_picture(name: str) -> bytes:
    """A PNG for a persona without a picture: two shades of a colour that its name decides."""
    hue = hashlib.sha256(name.encode(errors="replace")).digest()[0] / 256
    top, bottom = (
        tuple(round(255 * part) for part in colorsys.hls_to_rgb(hue, light, 0.35))
        for light in (0.55, 0.25)
    )
    strip = Image.new("RGB", (1, 2))
    strip.putdata([top, bottom])
    return _png(strip.resize(_PLAIN_SIZE, Image.Resampling.BILINEAR))


def _decode(file_name: str, content: bytes, most_side: int) -> Image.Image:
    facts = look_at(file_name, content)
    if facts is None:
        raise PersonaError(f"{file_name} is not a picture (PNG, JPEG, WebP or GIF).")
    if facts.format == "PNG":
        content = write_png(_pixels_alone(file_name, content))
    try:
        with Image.open(BytesIO(content), formats=[facts.format]) as opened:
            if opened.size != (facts.width, facts.height):  # the file says two things
                raise ValueError(opened.size)
            opened.draft("RGB", (most_side, most_side))  # JPEGs can be decoded smaller
            return _fitted(opened, most_side)
    except _FAULTS as error:
        raise PersonaError(
            f"{file_name}: the picture is broken and cannot be shown.", "Use another picture."
        ) from error


def _fitted(opened: Image.Image, most_side: int) -> Image.Image:
    turn = _UPRIGHT.get(opened.getexif().get(_ORIENTATION, 1))
    opened.load()
    picture: Image.Image = opened
    factor = max(picture.size) // most_side
    if picture.width * picture.height > _COPIED_PIXELS:
        factor = max(factor, 2)  # what follows copies the whole picture
    if factor > 1 and picture.mode in _REDUCIBLE:
        picture = _reduced(picture, factor)
    if picture.mode not in ("RGB", "RGBA"):
        has_alpha = "A" in picture.mode or "transparency" in picture.info
        picture = picture.convert("RGBA" if has_alpha else "RGB")
        if factor > 1 and opened.mode not in _REDUCIBLE:
            picture = _reduced(picture, factor)
    picture.thumbnail((most_side, most_side), Image.Resampling.LANCZOS)
    return picture if turn is None else picture.transpose(turn)


def _reduced(picture: Image.Image, factor: int) -> Image.Image:
    """Smaller by a whole factor, band by band: the whole at once would be copied twice."""
    width, height = picture.width // factor, picture.height // factor
    small = Image.new(picture.mode, (max(width, 1), max(height, 1)))
    rows = max(_BAND_ROWS // factor, 1)
    for top in range(0, height, rows):
        box = (0, top * factor, picture.width, min((top + rows) * factor, picture.height))
        small.paste(picture.crop(box).reduce(factor), (0, top))
    return small


def _pixels_alone(file_name: str, content: bytes) -> list[Chunk]:
    return [chunk for chunk in read_chunks(file_name, content) if chunk[0] in _PIXEL_CHUNKS]


def _png(picture: Image.Image) -> bytes:
    bare = Image.new(picture.mode, picture.size)  # carries nothing but the points
    bare.paste(picture)
    file = BytesIO()
    bare.save(file, "PNG")
    return file.getvalue()


def _webp_size(content: bytes) -> tuple[int, int] | None:
    """The size of a WebP (RFC 9649)."""
    kind, body = content[12:16], content[20:30]
    if len(body) < 10:
        return None
    match kind:
        case b"VP8X":
            return (
                int.from_bytes(body[4:7], "little") + 1,
                int.from_bytes(body[7:10], "little") + 1,
            )
        case b"VP8L":
            bits = int.from_bytes(body[1:5], "little")
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"VP8 ":
            width, height = struct.unpack_from("<2H", body, 6)
            return width & 0x3FFF, height & 0x3FFF
        case _:
            return None


def _jpeg_size(content: bytes) -> tuple[int, int] | None:
    """The size of a JPEG, from its first frame header (ITU T.81, B.2.2)."""
    at = 2
    while at + 9 <= len(content):
        if content[at] != 0xFF:
            return None
        marker = content[at + 1]
        if marker == 0xFF:  # filling
            at += 1
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">2H", content, at + 5)
            return width, height
        else:
            at += 2 + int.from_bytes(content[at + 2 : at + 4], "big")
    return None
