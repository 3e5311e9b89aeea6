"""The child process: started, spoken with, ended. See :mod:`bot.engine.llamacpp.child`."""

import asyncio
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import IO, Any, cast

from bot.engine.llamacpp.log import ChildLog
from bot.errors import EngineFailed

CHILD = Path(__file__).with_name("child.py")
MOST_LINE_BYTES = 1 << 16
LAST_WORDS_SECONDS = 5.0  # for a child that has said what is wrong to end
KILLED = 9  # SIGKILL, which Windows' module `signal` does not know
# Threads that wait for work look for it a moment, as there are hundreds of waits a token, and then
# let their core go: see bot.engine.machine.threads. With GNU's OpenMP, which the prebuilt wheels
# have, it is the spin count that counts.
WAIT_POLICY: Mapping[str, str] = {
    "OMP_WAIT_POLICY": "PASSIVE",
    "GOMP_SPINCOUNT": "1000",
    "KMP_BLOCKTIME": "0",
}
# What the child has no use for: our secrets, and llama.cpp's own settings.
_NOT_FOR_THE_CHILD = re.compile(r"TOKEN|KEY|SECRET|PASSWORD|DATABASE_URL|^LLAMA_", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Card:
    """A graphics card that this build of llama.cpp can use."""

    name: str
    free_bytes: int


@dataclass(frozen=True, slots=True)
class Abilities:
    """What the child said of its llama.cpp."""

    version: str
    cards: tuple[Card, ...] = ()


class LlamaProcess:
    """One child. Of a thread of its own, which starts it and stays until it has ended.

    (The kernel ends the child with the thread that started it, so that thread has to stay.)
    """

    def __init__(self) -> None:
        """Call it on the event loop. Nothing is started."""
        self._loop = asyncio.get_running_loop()
        self._said: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self._process: subprocess.Popen[bytes] | None = None
        self._is_unwanted = False
        self._lock = threading.Lock()
        self.log = ChildLog()
        self.ended = asyncio.Event()
        self.how_it_ended = ""
        self._killed_because = ""

    async def start(self) -> Abilities:
        """Start it, and hear what it can do. Raises EngineFailed."""
        threading.Thread(target=self._keep, name="llama.cpp", daemon=True).start()
        said = await self._hear()
        cards = cast("list[dict[str, Any]]", said.get("gpus", []))
        return Abilities(
            str(said.get("version", "")),
            tuple(Card(str(card["name"]), int(card["free_bytes"])) for card in cards),
        )

    async def load(self, parameters: Mapping[str, Any]) -> str:
        """Have it load a model. Returns the server's address. Raises EngineFailed."""
        await asyncio.to_thread(self._send, json.dumps(parameters).encode() + b"\n")
        said = await self._hear()
        self.log.is_loading = False
        return str(said["address"])

    def kill(self, because: str = "") -> None:
        """End it at once: it has nothing to put in order. Idempotent.

        `because` is what is told where it ends by this.
        """
        with self._lock:
            self._killed_because = self._killed_because or because
            self._is_unwanted = True
            if self._process is not None and self._process.returncode is None:
                self._process.kill()

    @property
    def pid(self) -> int | None:
        """Its number, once it is there."""
        return self._process.pid if self._process is not None else None

    async def _hear(self) -> dict[str, Any]:
        said = await self._said.get()
        if said is None:
            raise EngineFailed(self._why(self.how_it_ended))
        if "error" in said:  # it ends now, and by then all of its log has been read
            with suppress(TimeoutError):
                async with asyncio.timeout(LAST_WORDS_SECONDS):
                    await self.ended.wait()
            raise EngineFailed(self._why(str(said["error"])))
        return said

    def _why(self, otherwise: str) -> str:
        return self.log.reason() or otherwise

    def _send(self, line: bytes) -> None:
        process = self._process
        if process is None or process.stdin is None:
            return
        try:
            process.stdin.write(line)
            process.stdin.flush()
        except OSError:
            pass  # it has ended, which is told otherwise

    def _keep(self) -> None:
        """All of its life, in a thread."""
        how = "it could not be started"
        try:
            with self._lock:
                if self._is_unwanted:
                    return
                self._process = process = _spawn()
            with process:
                assert process.stdout is not None and process.stderr is not None  # noqa: S101
                logs = threading.Thread(
                    target=self.log.read,
                    args=(cast("BufferedReader", process.stderr),),
                    name="llama.cpp log",
                    daemon=True,
                )
                logs.start()
                self._listen(process.stdout)
                code = process.wait()
                logs.join()
            how = f"signal {-code}" if code < 0 else f"exit code {code}"
            if -code == KILLED and not self._is_unwanted:
                how += ", as where memory runs out"
        except OSError as error:
            how = f"it could not be started: {error.strerror or error}"
        finally:
            self._on_loop(lambda: self._end(how))

    def _listen(self, stream: IO[bytes]) -> None:
        while line := stream.readline(MOST_LINE_BYTES):
            try:
                found: object = json.loads(line)
            except ValueError:
                continue
            if isinstance(found, dict):
                said = cast("dict[str, Any]", found)
                self._on_loop(lambda said=said: self._said.put_nowait(said))

    def _end(self, how: str) -> None:
        self.how_it_ended = self._killed_because or how
        self._said.put_nowait(None)
        self.ended.set()

    def _on_loop(self, callback: Callable[[], None]) -> None:
        try:
            self._loop.call_soon_threadsafe(callback)
        except RuntimeError:
            if not self._loop.is_closed():
                raise
            # Nobody is left to be told.


def child_environment() -> dict[str, str]:
    """What llama.cpp's process may know of ours."""
    return {n: v for n, v in os.environ.items() if not _NOT_FOR_THE_CHILD.search(n)}


def _spawn() -> subprocess.Popen[bytes]:
    environment = child_environment()
    # The terminal's Ctrl-C is for us alone.
    flags = subprocess.CREATE_NEW_PROCESS_GROUP if sys.platform == "win32" else 0
    return subprocess.Popen(  # noqa: S603 - our own file
        [sys.executable, "-P", str(CHILD), str(os.getpid())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**WAIT_POLICY, **environment},
        start_new_session=True,
        creationflags=flags,
    )
