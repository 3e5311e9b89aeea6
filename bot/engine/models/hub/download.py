"""One file from the hub to the disk: goes on where it stopped, and is checked at the end."""

import asyncio
import errno
import hashlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bot.engine.models.hub.client import Body, HubClient, Patience
from bot.engine.models.hub.listing import RepoFile, in_words
from bot.engine.models.hub.refusals import TransferBrokenError, try_again
from bot.errors import ModelError

BLOCK_BYTES = 1 << 20
MOST_PAUSE_SECONDS = 30

# Gets how many bytes more are on the disk (fewer where it starts anew).
Gained = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Source:
    """Where a file comes from."""

    hub_id: str
    revision: str
    file: RepoFile


def path_key(file: RepoFile) -> str:
    """What the names of all that comes of one path begin with."""
    return hashlib.sha256(file.path.encode()).hexdigest()[:12]


def partial_name(file: RepoFile) -> str:
    """What a file is called while it comes: another content has another name."""
    content = f"{file.size} {file.sha256} {file.git_sha1}"
    return f"{path_key(file)}-{hashlib.sha256(content.encode()).hexdigest()[:12]}.part"


async def bring(
    client: HubClient, source: Source, partial: Path, gained: Gained, patience: Patience
) -> RepoFile:
    """Bring the file to `partial`, whole and of the size that it should have.

    Returns the file with what the server told of it besides. Raises ModelError: what has come
    stays, and the next call goes on there.
    """
    file = source.file
    failures = 0
    while True:
        before = await _now(partial)
        if before and before == file.size and (file.sha256 or file.git_sha1):
            return file
        try:
            return await _attempt(client, source, partial, gained, patience)
        except TransferBrokenError as error:
            after = await _now(partial)
            failures = 1 if after > before else failures + 1
            # A server that asks for more than our pauses is not asked again before.
            if failures >= patience.attempts or error.wait_seconds > MOST_PAUSE_SECONDS:
                when = f"{try_again(error)}: it" if error.wait_seconds else "Run this again: it"
                of = f" of {in_words(file.size)}" if file.size else ""
                raise ModelError(
                    f"{file.path} broke off after {in_words(after)}{of}: {error}.",
                    f"{when} goes on where it stopped.",
                ) from error
            pause = patience.pause_seconds * 2 ** (failures - 1)
            await asyncio.sleep(min(max(pause, error.wait_seconds), MOST_PAUSE_SECONDS))


async def _attempt(
    client: HubClient, source: Source, partial: Path, gained: Gained, patience: Patience
) -> RepoFile:
    file, offset = source.file, await _now(partial)
    if file.size is not None and offset > file.size:
        offset = await _start_anew(partial, gained)
    async with client.content(source.hub_id, source.revision, file, offset) as body:
        if body.is_past_end:
            if body.size == offset:
                return _told(file, body)
            await _start_anew(partial, gained)  # what is here is from another file
            raise TransferBrokenError("the server does not have the part that is missing")
        told = _told(file, body)
        if body.offset == 0 and offset > 0:
            await _start_anew(partial, gained)
        await _receive(body, told, partial, gained, patience)
    if await _now(partial) < (told.size or 0):
        raise TransferBrokenError("the connection ended early")
    return told


def _told(file: RepoFile, body: Body) -> RepoFile:
    """The file with what the answer says of it. Raises ModelError where list and answer differ."""
    if file.size is not None and body.size is not None and file.size != body.size:
        raise ModelError(
            f"{file.path} should have {file.size:,} bytes, and the server sends {body.size:,}.",
            "Try again later: the model may just be changing.",
        )
    if file.sha256 and body.sha256 and file.sha256 != body.sha256:
        raise ModelError(
            f"The hub names two checksums for {file.path}.",
            "Try again later: the model may just be changing.",
        )
    size = body.size if file.size is None else file.size
    if size is None:
        raise ModelError(
            f"The server does not say how large {file.path} is.", "Take it from another server."
        )
    return RepoFile(file.path, size, file.sha256 or body.sha256, file.git_sha1)


async def _receive(
    body: Body, file: RepoFile, partial: Path, gained: Gained, patience: Patience
) -> None:
    """Append what comes. Raises TransferBrokenError for a server that ends early or dawdles."""
    left = (file.size or 0) - body.offset
    pace = _Pace(patience)
    block = bytearray()
    try:
        async for chunk in body.response.content.iter_chunked(BLOCK_BYTES):
            left -= len(chunk)
            if left < 0:
                raise ModelError(
                    f"The server sends more of {file.path} than the file has.",
                    "Set HF_ENDPOINT to another server, or try again later.",
                )
            pace.note(len(chunk))
            block += chunk
            if len(block) >= BLOCK_BYTES:
                await _append(partial, block, gained)
                block = bytearray()
    finally:  # also of an attempt that failed, and an empty file is a file
        await _append(partial, block, gained)


class _Pace:
    """Whether bytes come at all: one now and then is as good as none."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._began = time.monotonic()
        self._bytes = 0

    def note(self, count: int) -> None:
        self._bytes += count
        passed = time.monotonic() - self._began
        if passed >= self._patience.window_seconds:
            if self._bytes < self._patience.window_bytes:
                raise TransferBrokenError("next to nothing comes")
            self._began, self._bytes = time.monotonic(), 0


async def _append(partial: Path, block: bytearray, gained: Gained) -> None:
    def write() -> None:
        with partial.open("ab") as file:
            file.write(block)

    await _on_disk(write, partial)
    gained(len(block))


async def _start_anew(partial: Path, gained: Gained) -> int:
    gained(-await _now(partial))
    await _on_disk(lambda: partial.unlink(missing_ok=True), partial)
    return 0


async def check(file: RepoFile, partial: Path, seen: Gained) -> bool:
    """Whether the bytes are those that the hub has a checksum of; True where it has none.

    `seen` gets how many bytes more were read.
    """

    def compare() -> bool:
        if file.sha256:
            return _digest("sha256", b"", partial, seen) == file.sha256
        if file.git_sha1:
            # https://git-scm.com/book/en/v2/Git-Internals-Git-Objects: how git names a file
            begun = f"blob {size_of(partial)}\0".encode()
            return _digest("sha1", begun, partial, seen) == file.git_sha1
        return True

    return await asyncio.to_thread(compare)


def _digest(kind: str, begun: bytes, path: Path, seen: Gained) -> str:
    digest = hashlib.new(kind, begun, usedforsecurity=kind == "sha256")
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
            seen(len(block))
    return digest.hexdigest()


async def put_in_place(partial: Path, target: Path) -> None:
    """Give a checked file its name. Raises ModelError."""

    def move() -> None:
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        target.parent.mkdir(parents=True, exist_ok=True)
        partial.replace(target)

    await _on_disk(move, target)


async def _on_disk(work: Callable[[], None], path: Path) -> None:
    """Do it in a thread. Raises ModelError for what a disk does not let us."""
    try:
        await asyncio.to_thread(work)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ModelError(
                f"The disk is full: {path.parent.parent}.",
                "Make room and run this again: it goes on where it stopped.",
            ) from error
        if error.errno == errno.EFBIG:
            raise ModelError(
                f"The disk at {path.parent} takes no files of this size.",
                "Set DATA_DIR to a disk that does.",
            ) from error
        raise ModelError(
            f"{path} cannot be written: {error.strerror or error}.",
            "Set DATA_DIR to a folder that can be written.",
        ) from error


async def _now(path: Path) -> int:
    return await asyncio.to_thread(size_of, path)


def size_of(path: Path) -> int:
    """Bytes; 0 for what is not there."""
    try:
        return path.stat().st_size
    except OSError:
        return 0
