"""Hostile files end in one plain line, soon and in little memory.

Any bytes are a card or an error.
"""

import base64
import json
import random
import re
import struct
import zipfile
import zlib
from collections.abc import Callable
from functools import lru_cache
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from making_cards import (
    archive,
    as_json,
    card_chunk,
    chunk,
    picture_bytes,
    png,
    refused,
    text_chunk,
    v2,
    v3,
)

from bot.chat.personas.cards.formats.archive import read_archive
from bot.chat.personas.cards.formats.chunks import SIGNATURE
from bot.chat.personas.cards.formats.yaml_file import YAML_BYTES
from bot.chat.personas.cards.pictures import render
from bot.chat.personas.cards.preview import preview_of
from bot.chat.personas.cards.reading import read_card
from bot.chat.personas.documents import FILE_BYTES
from bot.errors import PersonaError

MANY = 2_000_000


def header(width: int, height: int) -> bytes:
    return chunk(b"IHDR", struct.pack(">2I5B", width, height, 8, 6, 0, 0, 0))


def lying(content: bytes, at: int, form: str, value: int) -> bytes:
    """The archive with another number in the entry of its directory (or in its end record)."""
    changed = bytearray(content)
    struct.pack_into(form, changed, at, value)
    return bytes(changed)


CHARX = archive({"card.json": as_json(v3(description="x" * 500))})
ENTRY, END = CHARX.index(b"PK\1\2"), CHARX.index(b"PK\5\6")

NAMES = [f"c{number}" for number in range(99)]


@lru_cache
def bomb() -> bytes:
    return zlib.compress(bytes(64_000_000), 9)


# Made when they are needed: together they are large.
HOSTILE: dict[str, tuple[Callable[..., bytes], str]] = {
    "too large a file": (lambda: b"{" + b" " * FILE_BYTES, "larger than 8 MiB"),
    "nested lists": (lambda: b"[" * 4_000_000, "nested too deeply|too many values"),
    "nested objects": (lambda: b'{"a":' * 100_000, "nested too deeply"),
    "nested in an extension": (
        lambda: as_json(v2(x=7)).replace(b"7", b"[" * 101),
        "nested too deeply",
    ),
    "many lists": (lambda: b"[" + b"[]," * MANY + b"[]]", "too many values"),
    "many numbers": (lambda: b"[" + b"1," * MANY + b"1]", "too many values"),
    "many texts": (
        lambda: b'""' * MANY,
        "too many values|not JSON|no character card|not a persona",
    ),
    "many texts in a list": (lambda: b"[" + b'"",' * MANY + b"1]", "too many values"),
    "many objects": (lambda: b"[" + b'{"a":1},' * 900_000 + b"1]", "too many values|values"),
    "a text without an end": (lambda: b'{"name": "' + b'\\"' * 1_000_000, "not JSON"),
    "a huge number": (
        lambda: as_json({"name": "A"})[:-1] + b', "x": ' + b"9" * 1_000_000 + b"}",
        "number",
    ),
    "a number that is none": (lambda: b'{"name": "A", "x": 1e999}', "number"),
    "NaN": (lambda: b'{"name": "A", "x": NaN}', "number"),
    "twins": (lambda: b'{"name": "A", "x": 1, "x": 2}', "«x» stands there twice"),
    "bytes of no encoding": (lambda: b'{"name": "\xff\xfe\xfa"}', "not UTF-8"),
    "half a UTF-16 character": (lambda: b"\xff\xfe{\x00a", "UTF-16"),
    "a picture of 60,000 x 60,000": (
        lambda: (
            SIGNATURE + header(60_000, 60_000) + card_chunk("chara", v2()) + chunk(b"IEND", b"")
        ),
        "60,000 x 60,000",
    ),
    "a long thin picture": (lambda: SIGNATURE + header(2_000_000, 1), "2,000,000 x 1"),
    "a length that lies": (
        lambda: SIGNATURE + header(1, 1) + chunk(b"tEXt", b"chara\0", length=0x7FFFFFFF),
        "claims 2,147",
    ),
    "a wrong checksum": (lambda: png(chunk(b"tEXt", b"chara\0e30=", crc=1)), "checksum"),
    "a picture cut off": (lambda: png(card_chunk("chara", v2()))[:-14], "cut off"),
    "many chunks": (
        lambda: SIGNATURE + header(1, 1) + chunk(b"tEXt", b"a\0") * 50_000,
        "more than 20,000 parts",
    ),
    "a packed text that grows": (
        lambda: png(chunk(b"zTXt", b"chara\0\0" + bomb())),
        "unpacks to more than",
    ),
    "another that grows": (
        lambda: png(chunk(b"iTXt", b"ccv3\0\1\0\0\0" + bomb())),
        "unpacks to more than",
    ),
    "a packed text cut off": (lambda: png(chunk(b"zTXt", b"chara\0\0" + bomb()[:50])), "cut off"),
    "a packed text that is none": (
        lambda: png(chunk(b"zTXt", b"chara\0\0abc")),
        "cannot be unpacked",
    ),
    "no base64": (lambda: png(text_chunk("chara", b"\xff\xff")), "not base64"),
    "a packed card of many values": (
        lambda: png(
            chunk(b"zTXt", b"chara\0\0" + zlib.compress(base64.b64encode(b"[" + b"[]," * MANY)))
        ),
        "too many values|unpacks to more",
    ),
    "a zip that grows": (
        lambda: archive({"card.json": bytes(64_000_000)}),
        "unpacks to 64,000,000",
    ),
    "a zip that grows beyond what it says": (
        lambda: lying(CHARX, ENTRY + 24, "<I", 100),
        "unpacks to more than 100",
    ),
    "a size that is too large": (
        lambda: lying(CHARX, ENTRY + 24, "<I", 0xFFFFFFF0),
        "unpacks to 4,294",
    ),
    "a packed size that lies": (
        lambda: lying(CHARX, ENTRY + 20, "<I", 1_000_000),
        "broken archive",
    ),
    "an offset that lies": (lambda: lying(CHARX, ENTRY + 42, "<I", 1_000_000), "broken archive"),
    "a checksum of a zip": (lambda: lying(CHARX, ENTRY + 16, "<I", 1), "broken archive"),
    "a count that lies": (lambda: lying(CHARX, END + 10, "<H", 9), "broken archive"),
    "a huge count": (lambda: lying(CHARX, END + 10, "<H", 60_000), "more than 2,000 files"),
    "a directory that lies": (lambda: lying(CHARX, END + 16, "<I", 0x7FFFFFFF), "broken archive"),
    "an encrypted entry": (lambda: lying(CHARX, ENTRY + 8, "<H", 1), "encrypted"),
    "a foreign packing": (lambda: lying(CHARX, ENTRY + 10, "<H", 12), "method 12"),
    "a zip in parts": (lambda: lying(CHARX, END + 4, "<H", 1), "in several"),
    "a zip cut off": (lambda: CHARX[:-30], "no end"),
    "many files": (
        lambda: archive({f"{n}.txt": b"" for n in range(3_000)}),
        "more than 2,000 files",
    ),
    **{
        f"a path {path}": (
            lambda path=path: archive({"card.json": as_json(v3()), path: b"x"}),
            "leads out",
        )
        for path in ("../x", "/x", "a/../../x", "..\\x", "C:\\x", "C:x", "\\\\host\\x")
    },
    "a broken card": (lambda: archive({"card.json": b"{"}), "not JSON"),
    "a lorebook in a zip": (lambda: archive({"card.json": b'{"entries": {}}'}), "World Info"),
    "a huge icon": (
        lambda: archive(
            {
                "card.json": as_json(v3(assets=[{"type": "icon", "uri": "embeded://i.png"}])),
                "i.png": SIGNATURE + header(60_000, 60_000),
            }
        ),
        "60,000 x 60,000",
    ),
    "a manifest that names nothing there": (
        lambda: archive({"manifest.json": b'{"characters": ["../../x"]}'}),
        "lacks a file",
    ),
    "many packed assets": (
        lambda: png(*[chunk(b"zTXt", b"chara-ext-asset_:%d\0\0" % n + bomb()) for n in range(30)]),
        "without a card",
    ),
    "a document larger than a file may be": (
        lambda: archive({"card.json": as_json(v2(x="x" * FILE_BYTES))}),
        "larger than 8 MiB",
    ),
    "a scenario named many times": (
        lambda: archive(
            {
                "manifest.json": as_json({"characters": ["c"], "scenarios": ["c", "./c"] * 50}),
                "c": b'{"x": [' + b"[]," * 120_000 + b"1]}",
            }
        ),
        "expected the key «name»",
    ),
    "many large scenarios": (
        lambda: archive(
            {
                "manifest.json": as_json({"characters": ["c0"], "scenarios": NAMES}),
                **{f"c{n}": b'{"name": "A", "x": [' + b"[]," * 60_000 + b"1]}" for n in range(99)},
            }
        ),
        "more than 2 MiB of texts",
    ),
    "nested TOML": (
        lambda: b'name = "A"\nlorebook = {a = ' + b"[" * 120 + b"]" * 120 + b"}",
        "nested",
    ),
    "a TOML file of many values": (
        lambda: b"name = [" + b"1," * 400_000 + b"]",
        "more than 100,000",
    ),
    "a TOML file of many tables": (lambda: b"[[a]]\n" * 100_000, "more than 100,000"),
    "long YAML in quotes": (
        lambda: b'name: A\nx: "' + b"\\x41" * 100_000 + b'"\n? [',
        "YAML|a key is no",
    ),
    "YAML of many comments": (lambda: b"#\n" * 200_000 + b"name: [", "YAML"),
    "YAML of dashes": (lambda: b"name:\n " + b"- " * 50_000, "nested too deeply"),
    "YAML of questions": (lambda: b"name: A\n" + b"? " * 50_000, "a key is no text|nested"),
    "YAML of directives": (lambda: b"%TAG ! x\n" * 50_000, "YAML|not a persona"),
    "laughs": (
        lambda: b"a: &a [x,x]\nb: &b [*a,*a]\nname: *b\n",
        "anchors and aliases",
    ),
    "an alias": (lambda: b"name: A\ncontext: *x\n", "anchors and aliases"),
    "nested YAML": (lambda: b"name: " + b"[" * 100_000, "nested too deeply"),
    "long YAML": (lambda: b"name: A\n" + b"x" * YAML_BYTES, "512 KiB"),
    "YAML of many parts": (lambda: b"name: A\nl:\n" + b"- x\n" * 50_000, "too many parts"),
    "YAML twins": (lambda: b"name: A\nname: B\n", "stands there twice"),
    "YAML of no mapping": (lambda: b"--- 5\n", "expected keys"),
    "YAML that builds things": (lambda: b"name: !!python/object/apply:os.getcwd []\n", "name|text"),
    "a foreign list in YAML": (lambda: b"? [a]\n: b\n", "not a persona|a key is no text"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_file_is_refused_soon_and_in_one_line(kind: str) -> None:
    make, said = HOSTILE[kind]
    told = refused(make(), lambda given: read_card(given, "f.bin"))
    assert re.search(said, told), told


def test_a_picture_that_unpacks_to_more_than_it_says_is_cut_where_it_says() -> None:
    content = SIGNATURE + header(4, 4) + chunk(b"IDAT", bomb()) + chunk(b"IEND", b"")
    assert len(render("it", content)) < 1_000


def test_bytes_before_and_64_bit_fields_of_a_zip_are_read() -> None:
    files = {"card.json": as_json(v3()), "a/b.txt": b"b"}
    assert read_archive("it", archive(files, before=b"\xff\xd8" + bytes(100)))[0] == files
    card = zipfile.ZipInfo("card.json")
    file = BytesIO()
    with zipfile.ZipFile(file, "w") as writing, writing.open(card, "w", force_zip64=True) as entry:
        entry.write(files["card.json"])
    assert read_archive("it", file.getvalue())[0] == {"card.json": files["card.json"]}
    content = CHARX
    size, offset = struct.unpack_from("<2I", content, END + 12)
    record = struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, size, offset)
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, END, 1)
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    large = content[:END] + record + locator + end
    assert read_card(large, "a.charx").persona.name == "Nova"
    assert read_card(b"JPEG\0" + large, "a.charx").persona.name == "Nova"


SEEDS = [
    CHARX,
    archive({"card.json": as_json(v3()), "x/y.png": picture_bytes()}, zipfile.ZIP_STORED),
    png(card_chunk("chara", v2(description="x")), card_chunk("ccv3", v3())),
    png(chunk(b"zTXt", b"chara\0\0" + zlib.compress(base64.b64encode(as_json(v2()))))),
    as_json(v2(alternate_greetings=["a"], character_book={"entries": [{"keys": ["x"]}]})),
    b"name: A\ncontext: |\n  text\ngreeting: [a, {b: c}]\n",
    b'name = "A"\ndescription = """x"""\n[sampling]\ntop_k = 3\n',
    archive({"manifest.json": b'{"characters": ["c.json"]}', "c.json": b'{"name": "A"}'}),
]


def a_card_or_an_error(content: bytes) -> None:
    try:
        preview_of(read_card(content, "f.bin"))
    except PersonaError as error:
        assert "\n" not in str(error)


@given(st.sampled_from(SEEDS), st.integers(0), st.integers(1, 12))
def test_damaged_files_are_cards_or_errors(seed: bytes, where: int, changes: int) -> None:
    damage = random.Random(where)
    content = bytearray(seed)
    for _ in range(changes):
        at = damage.randrange(len(content))
        kind = damage.randrange(4)
        if kind == 0:
            content[at] = damage.randrange(256)
        elif kind == 1:
            del content[at : at + damage.randrange(1, 9)]
        elif kind == 2:
            content[at:at] = damage.randbytes(damage.randrange(1, 9))
        else:
            content[at : at + 4] = damage.choice(
                [b"\xff\xff\xff\xff", bytes(4), b"\x7f\xff\xff\xff"]
            )
        content = content or bytearray(b"x")
    a_card_or_an_error(bytes(content))


@given(st.binary(max_size=300), st.sampled_from([b"", SIGNATURE, b"PK\3\4", b"{", b"[", b"a: "]))
def test_any_bytes_are_a_card_or_an_error(content: bytes, before: bytes) -> None:
    a_card_or_an_error(before + content)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.floats(0, 1),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(
        st.sampled_from(["name", "data", "entries", "keys", "prompt", "uri", "type", "content"]),
        below, max_size=3,
    ),
    max_leaves=8,
)  # fmt: skip
FIELDS = [
    "name", "description", "first_mes", "alternate_greetings", "tags", "extensions", "assets",
    "character_book", "creator_notes_multilingual", "nickname", "group_only_greetings", "source",
]  # fmt: skip


@given(st.dictionaries(st.sampled_from(FIELDS), json_values), st.sampled_from([v2, v3, dict]))
def test_any_values_in_any_field_are_a_card_or_an_error(
    fields: dict[str, object], make: object
) -> None:
    document = make(**{"name": "A", **fields})  # type: ignore[operator]
    a_card_or_an_error(json.dumps(document).encode())


@given(
    st.fixed_dictionaries(
        {}, optional=dict.fromkeys(("characters", "scenarios", "author"), json_values)
    ),
    json_values,
)
def test_any_values_in_a_backyard_archive_are_a_card_or_an_error(
    manifest: dict[str, object], other: object
) -> None:
    files = {"characters": ["c.json"], "scenarios": ["s.json"], **manifest}
    a_card_or_an_error(
        archive({
            "manifest.json": json.dumps(files).encode(),
            "c.json": json.dumps({"name": "A", "loreItems": other, "images": other}).encode(),
            "s.json": json.dumps({"firstMessages": other, "narrative": other}).encode(),
        })
    )  # fmt: skip
