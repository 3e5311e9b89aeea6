"""A model of the hub, from its name to files on this machine."""

import asyncio
import os
import shutil
import time
from pathlib import Path

from bot.engine.models.extras import OR_GGUF, require_gpu_libraries
from bot.engine.models.hub.client import HubClient, Patience
from bot.engine.models.hub.download import (
    Source,
    bring,
    check,
    partial_name,
    path_key,
    put_in_place,
    size_of,
)
from bot.engine.models.hub.listing import GB, Choice, Listing, RepoFile, choose, in_words
from bot.engine.models.hub.names import HubName
from bot.engine.models.hub.store import (
    UNFINISHED,
    Found,
    Record,
    find,
    folder_of,
    is_here,
    locked,
    read_record,
    write_record,
)
from bot.engine.models.progress import Progress
from bot.errors import ModelError

# What else a machine needs of its disk while a model comes.
KEPT_FREE_BYTES = 500_000_000
WAIT_SECONDS = 0.5
SMALL_FILE_BYTES = 1 << 20  # a file without a checksum may be no larger


def fetch_model(
    name: HubName, data_dir: Path, progress: Progress, patience: Patience | None = None
) -> Found:
    """Bring a model here, unless it is. Blocks for as long as the network takes: not for a loop.

    Raises ModelError. What has come stays for the next time.
    """
    found = find(data_dir, name)
    if found is not None:
        return found
    client = HubClient(patience or Patience())
    progress(f"Asking the hub for {name}", None)
    listing = asyncio.run(_ask(client, name))
    choice = _usable(choose(name, listing))
    folder = folder_of(data_dir, choice.name)
    while True:
        try:
            with locked(folder) as is_ours:
                if is_ours:
                    work = _Work(client, listing, choice, folder, progress)
                    asyncio.run(work.run())
                    break
        except OSError as error:
            raise ModelError(
                f"{folder} cannot be written: {error.strerror or error}.",
                "Set DATA_DIR to a folder that can be written.",
            ) from error
        progress(f"Waiting: another process is downloading {name.id}", None)
        time.sleep(WAIT_SECONDS)
    found = find(data_dir, choice.name)
    if found is None:
        raise ModelError(
            f"{folder} was changed while {name.id} came.", "Run this again, by itself."
        )
    return found


def ask_for(name: HubName, patience: Patience | None = None) -> Choice:
    """What would be downloaded. Blocks. Raises ModelError where there is nothing to be had."""
    return _usable(choose(name, asyncio.run(_ask(HubClient(patience or Patience()), name))))


def _usable(choice: Choice) -> Choice:
    """What this machine can load: gigabytes of anything else come in vain. Raises ModelError."""
    if not any(file.path.lower().endswith(".gguf") for file in choice.files):
        require_gpu_libraries(f"{choice.name}, a model of safetensors files,", OR_GGUF)
    return choice


async def _ask(client: HubClient, name: HubName) -> Listing:
    async with client:
        return await client.listing(name.id)


class _Work:
    """One model's files, one after the other, with the folder locked."""

    def __init__(
        self,
        client: HubClient,
        listing: Listing,
        choice: Choice,
        folder: Path,
        progress: Progress,
    ) -> None:
        self._client = client
        self._revision = listing.revision
        self._choice = choice
        self._folder = folder
        self._progress = progress
        self._done = 0
        self._what = ""

    async def run(self) -> None:
        """Raises ModelError."""
        missing = await asyncio.to_thread(self._missing)
        await asyncio.to_thread(self._check_room, missing)
        await asyncio.to_thread(self._plan)
        size = self._choice.bytes
        whole = f" ({in_words(size)})" if size else ""
        self._what = f"Downloading {self._choice.name}{whole}"
        self._done = size - sum(file.size or 0 for file in missing)
        async with self._client:
            for file in missing:
                told = await self._file(file)
                await asyncio.to_thread(self._note, told)

    def _missing(self) -> list[RepoFile]:
        """What is not here yet, or not as the hub has it now."""
        record = read_record(self._folder)
        missing: list[RepoFile] = []
        for file in self._choice.files:
            recorded = record.files.get(file.path)
            if recorded is not None and is_here(self._folder, recorded):
                named = (file.sha256 or recorded.sha256, file.git_sha1 or recorded.git_sha1)
                if named == (recorded.sha256, recorded.git_sha1):
                    continue
            is_ours = recorded is not None or file.path in record.planned
            if not is_ours and os.path.lexists(self._folder / file.path):
                raise ModelError(
                    f"{self._folder / file.path} is there, and was not downloaded by this program.",
                    "Move it away to download it anew, or set MODEL to its path to use it.",
                )
            missing.append(file)
        return missing

    def _plan(self) -> None:
        """From now on these files are known to be ours."""
        record = read_record(self._folder)
        planned = record.planned | {file.path for file in self._choice.files}
        write_record(self._folder, Record(record.files, planned))

    def _note(self, file: RepoFile) -> None:
        """A file is here; what came of another content of it is of no use any more."""
        record = read_record(self._folder)
        write_record(self._folder, Record({**record.files, file.path: file}, record.planned))
        for left in (self._folder / UNFINISHED).glob(f"{path_key(file)}-*"):
            left.unlink(missing_ok=True)

    def _check_room(self, missing: list[RepoFile]) -> None:
        """Raises ModelError where the disk is too small for what is still to come."""
        needed = 0
        for file in missing:
            partial = self._folder / UNFINISHED / partial_name(file)
            needed += max(0, (file.size or 0) - size_of(partial))
        free = shutil.disk_usage(self._folder).free
        lacking = needed + KEPT_FREE_BYTES - free
        if needed and lacking > 0:
            raise ModelError(
                f"{self._choice.name} needs {needed / GB:.1f} GB more on the disk, and "
                f"{self._folder} has {free / GB:.1f} GB free.",
                f"Make room for {max(lacking / GB, 0.1):.1f} GB (half a GB is kept free), or set "
                "DATA_DIR to another disk.",
            )

    async def _file(self, file: RepoFile) -> RepoFile:
        partial = self._folder / UNFINISHED / partial_name(file)
        self._gain(await asyncio.to_thread(size_of, partial))
        source = Source(self._choice.name.id, self._revision, file)
        told = await bring(self._client, source, partial, self._gain, self._client.patience)
        if not (told.sha256 or told.git_sha1) and (told.size or 0) > SMALL_FILE_BYTES:
            raise ModelError(
                f"The server has no checksum for {told.path}, so nobody can tell whether it is "
                "whole.",
                "Take HF_ENDPOINT out to use the hub itself.",
            )
        if not await check(told, partial, self._checking(told)):
            await asyncio.to_thread(partial.unlink, missing_ok=True)
            raise ModelError(
                f"{told.path} came damaged: its checksum is wrong. It was removed.",
                "Run this again; if it happens twice, the server or a proxy changes what it sends.",
            )
        await put_in_place(partial, self._folder / told.path)
        return told

    def _gain(self, count: int) -> None:
        self._done += count
        size = self._choice.bytes
        self._progress(self._what, min(1.0, max(0.0, self._done / size)) if size else None)

    def _checking(self, file: RepoFile) -> "_Checking":
        return _Checking(f"Checking {file.path}", file.size or 1, self._progress)


class _Checking:
    """Tells how far a checksum is."""

    def __init__(self, what: str, size: int, progress: Progress) -> None:
        self._what, self._size, self._progress = what, size, progress
        self._read = 0

    def __call__(self, count: int) -> None:
        self._read += count
        if self._size > SMALL_FILE_BYTES:
            self._progress(self._what, min(1.0, self._read / self._size))
