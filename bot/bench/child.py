"""A process beside ours that is spoken with in lines of JSON, for engines that we compare with."""

import asyncio
import json
import os
import re
import signal
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import IO, Any, cast

from bot.errors import EngineFailed

MOST_LINE_BYTES = 1 << 20
LAST_LINES = 6
LAST_BYTES = 4000
MOST_LINE_CHARACTERS = 300
END_SECONDS = 10.0  # for it to end when asked, before it is killed
_SECRETS = re.compile(r"TOKEN$|_KEY|SECRET|PASSWORD|DATABASE_URL", re.IGNORECASE)


class ChildProcess:
    """One process in a group of its own, from :meth:`start` to :meth:`close`.

    What it prints to standard output and is no JSON object is passed over; what it prints to
    standard error is kept, and its last lines stand in the errors.
    """

    def __init__(self, name: str, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        """Starts nothing. `name` is for people; secrets are taken out of the environment."""
        self._name = name
        self._arguments = arguments
        self._environment = without_secrets(environment)
        self._process: asyncio.subprocess.Process | None = None
        self._log: IO[bytes] | None = None

    @property
    def pid(self) -> int:
        """0 before it is started."""
        return self._process.pid if self._process else 0

    async def start(self) -> None:
        """Start it. Raises EngineFailed where there is no such program."""
        self._log = await asyncio.to_thread(tempfile.TemporaryFile)
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self._arguments,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=self._log,
                env=self._environment,
                limit=MOST_LINE_BYTES,
                start_new_session=True,
            )
        except OSError as error:
            why = error.strerror or error
            raise EngineFailed(f"{self._arguments[0]} cannot be started: {why}.") from error

    def say(self, words: Mapping[str, Any]) -> None:
        """Give it a line. One that has ended hears nothing: :meth:`hear` tells."""
        process = self._running()
        if process.stdin is not None and not process.stdin.is_closing():
            process.stdin.write(json.dumps(words).encode() + b"\n")

    async def hear(self, seconds: float | None = None) -> dict[str, Any]:
        """The next thing that it says. Raises EngineFailed when it ends, or is silent so long."""
        try:
            async with asyncio.timeout(seconds):
                found = await self._next_object()
        except TimeoutError:
            raise await self._failure(f"said nothing for {seconds:g} s") from None
        if found is None:
            raise await self._failure(await self._how_it_ended())
        return found

    async def close(self) -> None:
        """End it and all that it has started. Idempotent."""
        process, self._process = self._process, None
        if process is not None:
            if process.stdin is not None:
                process.stdin.close()  # which it takes as its end
            try:
                async with asyncio.timeout(END_SECONDS):
                    _signal_group(process.pid, signal.SIGTERM)
                    await process.wait()
            except TimeoutError:
                pass
            finally:
                _signal_group(process.pid, signal.SIGKILL)  # whoever of its group is left
            await process.wait()
        if self._log is not None:
            self._log.close()
            self._log = None

    async def last_lines(self) -> str:
        """Of what it printed to standard error, in one line."""
        return "" if self._log is None else await asyncio.to_thread(_last_lines, self._log)

    async def _next_object(self) -> dict[str, Any] | None:
        process = self._running()
        if process.stdout is None:
            return None
        while True:
            try:
                line = await process.stdout.readline()
            except ValueError:  # far too long; the reader has thrown it away
                continue
            if not line:
                return None
            with suppress(ValueError):
                found = json.loads(line)
                if isinstance(found, dict):
                    return cast("dict[str, Any]", found)

    async def _how_it_ended(self) -> str:
        process = self._running()
        try:
            async with asyncio.timeout(END_SECONDS):
                code = await process.wait()
        except TimeoutError:
            return "closed its output"
        return f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"

    async def _failure(self, what: str) -> EngineFailed:
        last = await self.last_lines()
        return EngineFailed(f"{self._name} {what}.", f"Its log ends: {last}" if last else "")

    def _running(self) -> asyncio.subprocess.Process:
        if self._process is None:
            raise EngineFailed(f"{self._name} has not been started.")
        return self._process


def without_secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """What a program that is not ours may know."""
    return {name: value for name, value in environment.items() if not _SECRETS.search(name)}


def _signal_group(group: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _last_lines(log: IO[bytes]) -> str:
    """By its place, not by reading on: the process writes where it stands."""
    size = os.fstat(log.fileno()).st_size
    text = os.pread(log.fileno(), LAST_BYTES, max(size - LAST_BYTES, 0)).decode(errors="replace")
    lines = ["".join(c if c.isprintable() else " " for c in line) for line in text.splitlines()]
    kept = [line.strip()[:MOST_LINE_CHARACTERS] for line in lines if line.strip()]
    return " | ".join(kept[-LAST_LINES:])
