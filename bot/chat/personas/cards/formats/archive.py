"""Zip files (APPNOTE.TXT 6.3), read with a bound.

A size, an offset or a name in a zip is a claim: nothing is taken beyond the file, nothing inflated
beyond what was claimed and allowed, no name leads out of the archive. Bytes before the archive are
passed over: Risu puts a JPEG there.
"""

import re
import struct
import zlib
from dataclasses import dataclass

from bot.chat.personas.cards.formats.chunks import inflate
from bot.errors import PersonaError

MOST_ENTRIES = 2_000
UNPACKED_BYTES = 32 * 1024 * 1024  # all entries together
_END = struct.Struct("<4s4H2IH")  # end of central directory
_END_64_LOCATOR = struct.Struct("<4sIQI")
_END_64 = struct.Struct("<4sQ2H2I4Q")
_ENTRY = struct.Struct("<4s6H3I5H2I")
_LOCAL = struct.Struct("<4s5H3I2H")
_COMMENT_BYTES = 65_535
_FULL_32, _FULL_16 = 0xFFFFFFFF, 0xFFFF
_ENCRYPTED, _UTF8 = 0x1 | 0x40 | 0x2000, 0x800
_STORED, _DEFLATED = 0, 8
_DRIVE = re.compile(r"[A-Za-z]:")
_AGAIN = "Download it again, as the original file."


@dataclass(frozen=True, slots=True)
class _Entry:
    name: str
    method: int
    crc: int
    packed: int
    unpacked: int
    offset: int


def find_archive(content: bytes) -> int | None:
    """Where the end record of a zip stands in the file's last bytes, if there is one."""
    at = content.rfind(b"PK\5\6", max(0, len(content) - _COMMENT_BYTES - _END.size))
    return at if at >= 0 and at + _END.size <= len(content) else None


def read_archive(file_name: str, content: bytes) -> tuple[dict[str, bytes], bytes]:
    """Every file in the archive (path with slashes to bytes), and the bytes before it.

    Raises PersonaError: encrypted, packed in a foreign way, too large, broken, or a path that leads
    out of the archive.
    """
    end = find_archive(content)
    if end is None:
        raise PersonaError(f"{file_name} is cut off: the archive has no end.", _AGAIN)
    count, size, offset, end = _directory(file_name, content, end)
    shift = end - size - offset  # bytes before the archive, which its offsets don't count
    if shift < 0:
        raise _broken(file_name)
    if count > MOST_ENTRIES:
        raise PersonaError(f"{file_name} holds more than {MOST_ENTRIES:,} files.")
    entries = _entries(file_name, content, offset + shift, count, end)
    total = sum(entry.unpacked for entry in entries)
    if total > UNPACKED_BYTES:
        raise PersonaError(
            f"{file_name} unpacks to {total:,} bytes; {UNPACKED_BYTES:,} are the limit."
        )
    files: dict[str, bytes] = {}
    for entry in entries:
        name = _safe_name(file_name, entry.name)
        if name.endswith("/"):
            continue
        if name in files:
            raise PersonaError(f"{file_name} holds two files of one name.")
        files[name] = _unpack(file_name, content, entry, shift, end)
    first = min((entry.offset for entry in entries), default=0) + shift
    return files, content[:first]


def _directory(file_name: str, content: bytes, end: int) -> tuple[int, int, int, int]:
    """Entries, size, offset and end of the central directory."""
    _, disk, start_disk, _, count, size, offset, _ = _END.unpack_from(content, end)
    locator = end - _END_64_LOCATOR.size
    if (
        (_FULL_16 in (count, disk) or _FULL_32 in (size, offset))
        and locator >= 0
        and content.startswith(b"PK\6\7", locator)
    ):
        # Its offset does not count bytes before the archive: the record is looked for instead.
        record = content.rfind(b"PK\6\6", 0, locator)
        if record < 0 or record + _END_64.size > locator:
            raise _broken(file_name)
        _, _, _, _, disk, start_disk, _, count, size, offset = _END_64.unpack_from(content, record)
        end = record
    if disk or start_disk:
        raise PersonaError(f"{file_name} is one part of an archive in several.")
    return count, size, offset, end


def _entries(file_name: str, content: bytes, at: int, count: int, end: int) -> list[_Entry]:
    found: list[_Entry] = []
    for _ in range(count):
        if at + _ENTRY.size > end:
            raise _broken(file_name)
        (mark, _, _, flags, method, _, _, crc, packed, unpacked, name_bytes, extra_bytes,
         comment_bytes, _, _, _, offset) = _ENTRY.unpack_from(content, at)  # fmt: skip
        at += _ENTRY.size
        extra_at = at + name_bytes
        at = extra_at + extra_bytes + comment_bytes
        if mark != b"PK\1\2" or at > end:
            raise _broken(file_name)
        if flags & _ENCRYPTED:
            raise PersonaError(f"{file_name} is encrypted.", "Export the card without a password.")
        raw = content[extra_at - name_bytes : extra_at]
        name = raw.decode("utf-8" if flags & _UTF8 else "cp437", "replace")
        large = _large(content[extra_at : extra_at + extra_bytes])
        sizes = [
            (large.pop(0) if large else value) if value == _FULL_32 else value
            for value in (unpacked, packed, offset)
        ]
        found.append(_Entry(name, method, crc, sizes[1], sizes[0], sizes[2]))
    return found


def _large(extra: bytes) -> list[int]:
    """The 64-bit sizes and offset in an entry's extra field."""
    at = 0
    while at + 4 <= len(extra):
        kind, size = struct.unpack_from("<2H", extra, at)
        if kind == 1:
            body = extra[at + 4 : at + 4 + size]
            return [value for (value,) in struct.iter_unpack("<Q", body[: len(body) // 8 * 8])]
        at += 4 + size
    return []


def _safe_name(file_name: str, name: str) -> str:
    path = name.replace("\\", "/")
    if path.startswith("/") or _DRIVE.match(path) or ".." in path.split("/") or "\0" in path:
        raise PersonaError(f"{file_name} holds a file whose path leads out of the archive.")
    return path


def _unpack(file_name: str, content: bytes, entry: _Entry, shift: int, end: int) -> bytes:
    at = entry.offset + shift
    if at + _LOCAL.size > end or not content.startswith(b"PK\3\4", at):
        raise _broken(file_name)
    *_, name_bytes, extra_bytes = _LOCAL.unpack_from(content, at)
    start = at + _LOCAL.size + name_bytes + extra_bytes
    if start + entry.packed > end:
        raise _broken(file_name)
    packed = content[start : start + entry.packed]
    if entry.method == _DEFLATED:
        body = inflate(file_name, packed, entry.unpacked, -zlib.MAX_WBITS)
    elif entry.method == _STORED:
        body = packed
    else:
        raise PersonaError(
            f"{file_name} is packed in a way that is not known here (method {entry.method}).",
            "Pack it as a plain zip.",
        )
    if len(body) != entry.unpacked or zlib.crc32(body) != entry.crc:
        raise _broken(file_name)
    return body


def _broken(file_name: str) -> PersonaError:
    return PersonaError(f"{file_name} is a broken archive.", _AGAIN)
