"""Writes everything of one person into JSON files, each small enough to be sent, a page at a time.

docs/privacy.md tells what stands in them.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from bot.chat.privacy.ports import Belongings, Field

FORMAT = "caduceus-personal-data"
VERSION = 1
MOST_BYTES = 8 * 2**20  # of a file: Discord takes ten from everybody
SHORT_CHARACTERS = 200  # of what is told of a thing that fits no file


async def write_everything(
    belongings: Belongings,
    platform: str,
    speaker_id: str,
    folder: Path,
    *,
    at: datetime,
    most_bytes: int = MOST_BYTES,
) -> list[Path]:
    """Write what is kept of a person into files of a folder; returns them in order.

    Each is a JSON document by itself. Raises StoreError; what the folder raises passes through.
    """
    head: dict[str, Field] = {
        "format": FORMAT,
        "version": VERSION,
        "exported_at": at.isoformat(),
        "platform": platform,
        "person": speaker_id,
    }
    parts = _Parts(head, folder, most_bytes)
    for section in belongings.sections():
        parts.begin(section)
        after: int | None = 0
        while after is not None:
            page = await belongings.page(platform, speaker_id, section, after)
            await asyncio.to_thread(parts.add_all, page.items)
            after = page.next_after
    return await asyncio.to_thread(parts.close)


@dataclass(slots=True)
class _Parts:
    """The file that is being written, and those that are full."""

    head: Mapping[str, Field]
    folder: Path
    most_bytes: int
    written: list[Path] = field(default_factory=list[Path])
    section: str = ""
    _pieces: list[bytes] = field(default_factory=list[bytes])
    _size: int = 0  # of the file, with what stands in `_pieces`
    _has_items: bool = False  # in the section, in this file
    _items: int = 0  # in this file, of any section

    def begin(self, section: str) -> None:
        """What is added next belongs to a section."""
        self._end_list()
        self.section = section
        self._open_list()

    def add_all(self, items: Sequence[Mapping[str, Field]]) -> None:
        """Write things of the section."""
        for item in items:
            self._add(item)

    def _add(self, item: Mapping[str, Field]) -> None:
        """Write a thing; where the file would grow too large, into a new one."""
        text = _bytes(item)
        if len(text) > self.most_bytes // 2:
            text = _bytes(_in_short(item, len(text)))
        if self._size + len(text) + len(_END) + 2 > self.most_bytes and self._items:
            self._end_list()
            self._end_file(has_more=True)
            self._open_list()
        self._write((b",\n" if self._has_items else b"\n") + text)
        self._has_items = True
        self._items += 1
        if sum(map(len, self._pieces)) > 2**16:
            self._flush()

    def close(self) -> list[Path]:
        """End the last file."""
        self._end_list()
        self._end_file(has_more=False)
        return self.written

    def _open_list(self) -> None:
        if not self._size:
            self.written.append(self.folder / f"{len(self.written) + 1:03}.json")
            self._write(_bytes({**self.head, "part": len(self.written)})[:-1])
        self._write(f',\n"{self.section}": ['.encode())
        self._has_items = False

    def _end_list(self) -> None:
        if self._size:
            self._write(b"]")

    def _end_file(self, *, has_more: bool) -> None:
        if not self._size:
            return
        self._write(_END_MORE if has_more else _END)
        self._flush()
        self._size = self._items = 0

    def _write(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._size += len(piece)

    def _flush(self) -> None:
        with self.written[-1].open("ab") as file:
            file.write(b"".join(self._pieces))
        self._pieces.clear()


_END = b',\n"has_more_parts": false}\n'
_END_MORE = b',\n"has_more_parts": true}\n'


def _in_short(item: Mapping[str, Field], size: int) -> Mapping[str, Field]:
    """What tells a thing from others that is too large for any file."""
    short = {key: value for key, value in item.items() if _is_short(value)}
    return {**short, "left_out": f"{size} bytes are more than fit into a file that can be sent"}


def _is_short(value: Field) -> bool:
    if isinstance(value, str):
        return len(value) <= SHORT_CHARACTERS
    return value is None or isinstance(value, int | float)


def _bytes(fields: Mapping[str, Field]) -> bytes:
    return json.dumps(fields, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace")
