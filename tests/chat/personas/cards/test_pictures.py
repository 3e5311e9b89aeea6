"""Pictures of cards: looked at first, decoded with a bound, written anew without metadata."""

from io import BytesIO
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from making_cards import chunk, picture_bytes, png, text_chunk
from PIL import Image, ImageDraw

from bot.chat.personas.cards.pictures import (
    EMOJI_BYTES,
    MOST_PIXELS,
    emoji_picture,
    look_at,
    plain_picture,
    render,
)
from bot.errors import PersonaError


def opened(content: bytes) -> Image.Image:
    image = Image.open(BytesIO(content))
    image.load()
    return image


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF"])
def test_pictures_of_four_kinds_become_pngs(kind: str) -> None:
    content = picture_bytes((30, 50), kind)
    facts = look_at("it", content)
    assert facts is not None
    assert (facts.format, facts.width, facts.height) == (kind, 30, 50)
    made = opened(render("it", content, 20))
    assert (made.format, made.size) == ("PNG", (12, 20))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_pictures_of_every_mode_are_taken(mode: str) -> None:
    made = opened(render("it", picture_bytes((40, 40), mode=mode), 16))
    assert made.mode == ("RGBA" if "A" in mode else "RGB")


@pytest.mark.parametrize("options", [{"lossless": True}, {"lossless": False}, {"exif": b"x"}])
def test_the_size_of_every_webp_is_known_beforehand(options: dict[str, object]) -> None:
    facts = look_at("it", picture_bytes((123, 45), "WEBP", "RGBA", **options))
    assert facts is not None
    assert (facts.width, facts.height) == (123, 45)


def test_what_says_who_and_where_is_gone() -> None:
    exif = Image.Exif()
    exif[0x010E] = "secret place"
    jpeg = picture_bytes((8, 4), "JPEG", exif=exif.tobytes(), comment=b"secret")
    named = png(text_chunk("Author", b"secret"), chunk(b"eXIf", exif.tobytes()[6:]))
    for content in (jpeg, named):
        assert b"secret" in content
        assert b"secret" not in render("it", content)
        assert not opened(render("it", content)).info


@pytest.mark.parametrize(
    ("orientation", "red"), [(1, (0, 0)), (6, (1, 0)), (3, (1, 1)), (8, (0, 1))]
)
def test_pictures_are_put_upright(orientation: int, red: tuple[int, int]) -> None:
    image = Image.new("RGB", (60, 40))
    ImageDraw.Draw(image).rectangle((0, 0, 29, 19), fill=(255, 0, 0))
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = BytesIO()
    image.save(file, "PNG", exif=exif)
    made = opened(render("it", file.getvalue()))
    assert made.size == ((60, 40) if orientation in (1, 3) else (40, 60))
    at = tuple(side // 4 + side // 2 * far for side, far in zip(made.size, red, strict=True))
    assert made.getpixel(at) == (255, 0, 0)  # type: ignore[arg-type]


def test_a_large_picture_is_made_smaller_and_a_huge_one_refused() -> None:
    content = picture_bytes((3_800, 3_800), mode="RGBA", compress_level=1)
    made = opened(render("it", content, 300))
    assert made.size == (300, 300)
    with pytest.raises(PersonaError, match="million are the limit"):
        render("it", picture_bytes((MOST_PIXELS // 1_000 + 1, 1_001), mode="1"))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP"])
@pytest.mark.parametrize("size", [(300, 500), (2_000, 10), (3, 900), (1, 1)])
def test_an_emoji_is_square_and_small(kind: str, size: tuple[int, int]) -> None:
    made = emoji_picture("it", picture_bytes(size, kind))
    assert len(made) <= EMOJI_BYTES
    image = opened(made)
    assert (image.format, image.size) == ("PNG", (256, 256))
    assert not image.info


def test_noise_is_made_smaller_until_it_fits_an_emoji() -> None:
    noise = Image.frombytes("RGBA", (256, 256), Random(1).randbytes(256 * 256 * 4))
    file = BytesIO()
    noise.save(file, "PNG")
    made = emoji_picture("it", file.getvalue())
    assert len(made) <= EMOJI_BYTES
    width, height = opened(made).size
    assert width == height < 256


def test_an_emoji_is_the_upper_middle_as_sharp_as_it_came() -> None:
    noise = Image.effect_noise((256, 1_024), 60).convert("RGB")
    file = BytesIO()
    noise.save(file, "PNG")
    made = opened(emoji_picture("it", file.getvalue()))
    assert made.tobytes() == noise.crop((0, 153, 256, 409)).tobytes()


def test_what_is_transparent_stays_so_in_an_emoji() -> None:
    file = BytesIO()
    Image.new("RGBA", (64, 64), (1, 2, 3, 0)).save(file, "PNG")
    made = opened(emoji_picture("it", file.getvalue()))
    assert made.mode == "RGBA"
    assert made.getpixel((9, 9))[3] == 0  # type: ignore[index]


def test_a_jpeg_that_would_be_gone_over_again_and_again_is_not_decoded() -> None:
    content = picture_bytes((8, 8), "JPEG", progressive=True)
    scan = content[content.rindex(b"\xff\xda") : -2]
    endless = content[:-2] + scan * 1_000 + content[-2:]
    assert render("it", content)
    with pytest.raises(PersonaError, match="not a picture"):
        render("it", endless)


def test_plain_pictures_differ_by_name() -> None:
    assert opened(plain_picture("A")).size == (400, 600)
    assert len({plain_picture(name) for name in "ABCDEF"}) > 1
    assert plain_picture("A") == plain_picture("A")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF"])
@given(st.data())
def test_damaged_pictures_are_pictures_or_errors(kind: str, data: st.DataObject) -> None:
    content = bytearray(picture_bytes((9, 9), kind))
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(content)))
    for each in (bytes(content), bytes(content[:cut])):
        try:
            assert render("it", each)
        except PersonaError as error:
            assert "it" in str(error)
