"""A picture as Discord takes it for an emoji: square, small, without anything else in the file."""

import io
import struct
import zlib

from PIL import Image, ImageOps

from bot.errors import UserError

EMOJI_BYTES = 256 * 1024  # Discord's most
PICTURE_BYTES = 16 * 1024 * 1024  # read at most
PICTURE_PIXELS = 12_000_000  # decoded at most: that takes about 100 MB for a moment
SIZES = (256, 128, 64)  # pixels a side, the largest that fits into the bytes
FORMATS = ("PNG", "JPEG", "WEBP", "GIF")

_REDUCIBLE = ("L", "LA", "RGB", "RGBA", "CMYK")
# What Pillow raises for files that are cut off, that lie, or that would unpack to very much.
_FAULTS = (
    *(OSError, ValueError, SyntaxError, EOFError, struct.error, zlib.error),
    *(Image.DecompressionBombError, Image.DecompressionBombWarning),
)


def emoji_image(picture: bytes) -> bytes:
    """A PNG of a picture's upper middle, where faces are. Blocking. Raises UserError.

    An animation's first frame is taken. The whole is decoded from bounded bytes to bounded pixels.
    """
    if len(picture) > PICTURE_BYTES:
        raise UserError("The picture is larger than 16 MiB.")
    try:
        with Image.open(io.BytesIO(picture), formats=FORMATS) as image:
            if image.width * image.height > PICTURE_PIXELS:
                raise UserError(f"The picture has {image.width} by {image.height} pixels.")
            image.draft("RGB", (2 * SIZES[0], 2 * SIZES[0]))  # JPEG: decoded smaller
            ImageOps.exif_transpose(image, in_place=True)
            return _small(image)
    except _FAULTS as error:
        raise UserError("The picture cannot be read.") from error


def _small(image: Image.Image) -> bytes:
    has_alpha = image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info
    mode = "RGBA" if has_alpha else "RGB"
    times_smaller = min(image.size) // (2 * SIZES[0])
    if times_smaller > 1 and image.mode in _REDUCIBLE:  # before anything makes a copy of it
        image = image.reduce(times_smaller)
    plain = image if image.mode == mode else image.convert(mode)
    content = b""
    for side in SIZES:
        square = ImageOps.fit(plain, (side, side), Image.Resampling.LANCZOS, centering=(0.5, 0.2))
        square.info.clear()
        output = io.BytesIO()
        square.save(output, "PNG", optimize=True)
        content = output.getvalue()
        if len(content) <= EMOJI_BYTES:
            return content
    return content
