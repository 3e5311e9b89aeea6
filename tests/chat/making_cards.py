"""Files of cards made in tests: PNGs chunk by chunk, zips, and cards of every version."""

import base64
import io
import json
import struct
import time
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

from PIL import Image

from bot.errors import PersonaError

Json = dict[str, object]


def shared_cards() -> Path | None:
    """The folder with real cards that may lie in `shared/cards` above the tree."""
    for above in Path(__file__).resolve().parents:
        if (above / "shared" / "cards" / "MANIFEST.tsv").is_file():
            return above / "shared" / "cards"
    return None


def v2(**fields: object) -> Json:
    return {"spec": "chara_card_v2", "spec_version": "2.0", "data": {"name": "Mira", **fields}}


def v3(**fields: object) -> Json:
    return {"spec": "chara_card_v3", "spec_version": "3.0", "data": {"name": "Nova", **fields}}


def as_json(document: object) -> bytes:
    return json.dumps(document, ensure_ascii=False).encode()


def chunk(kind: bytes, body: bytes, *, crc: int | None = None, length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    sum_ = zlib.crc32(kind + body) if crc is None else crc
    return struct.pack(">I", size) + kind + body + struct.pack(">I", sum_)


def text_chunk(keyword: str, text: bytes) -> bytes:
    return chunk(b"tEXt", keyword.encode("latin-1") + b"\0" + text)


def card_chunk(keyword: str, document: object) -> bytes:
    return text_chunk(keyword, base64.b64encode(as_json(document)))


def picture_bytes(
    size: tuple[int, int] = (4, 6), kind: str = "PNG", mode: str = "RGB", **options: object
) -> bytes:
    file = io.BytesIO()
    Image.new(mode, size).save(file, kind, **options)
    return file.getvalue()


def png(*chunks: bytes, picture: bytes | None = None) -> bytes:
    """A picture with these chunks before its end."""
    content = picture or picture_bytes()
    end = content.rindex(b"IEND") - 4
    return content[:end] + b"".join(chunks) + content[end:]


def archive(
    files: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED, before: bytes = b""
) -> bytes:
    file = io.BytesIO()
    file.write(before)
    with zipfile.ZipFile(file, "a", method) as writing:
        for name, content in files.items():
            writing.writestr(name, content)
    return file.getvalue()


def _told(content: bytes, read: Callable[[bytes], object]) -> str:
    try:
        read(content)
    except PersonaError as error:
        return str(error)
    raise AssertionError("it was taken")


def refused(content: bytes, read: Callable[[bytes], object]) -> str:
    """What a hostile file is told: in one line, soon, and within 100 MB."""
    began = time.thread_time()  # of this thread alone: the machine is shared
    said = _told(content, read)
    seconds = time.thread_time() - began
    tracemalloc.start()  # not in the time: it makes reading several times slower
    try:
        assert _told(content, read) == said
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert seconds < 3, "a second on a machine that is not busy"
    assert peak < 100_000_000
    assert "\n" not in said
    return said
