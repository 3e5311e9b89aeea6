"""From a fresh clone to the first reply, as a newcomer meets it: how many seconds, how many MB.

Clones this repository (what is committed) into a temporary folder, types `make run` there, opens
the page's address, says something, and waits for the whole reply of the embedded model. Any Python
from 3.11 runs it; what it made is taken away at the end, and `--keep` leaves it. The time that the
network takes for the clone itself is not in it, that of the packages is: pip's cache counts, so the
first line says whether it is used (`--no-cache` does without).
"""

import argparse
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

ROOT = Path(__file__).resolve().parent.parent
TARGET_SECONDS, TARGET_MB = 60.0, 600.0
LONGEST_SECONDS = 900.0
POLL_SECONDS = 0.05
MESSAGE = "Hello! Who are you?"
SETTINGS = (  # of the program, which would make it another start than a newcomer's
    *("DISCORD_TOKEN", "DATA_DIR", "DATABASE_URL", "PERSONAS_DIR", "ENGINE", "MODEL", "EXTRAS"),
    *("PROMPT_FORMAT", "CONTEXT_TOKENS", "FALLBACK_ENGINE", "LOG_LEVEL", "METRICS_PORT"),
    *("VIRTUAL_ENV", "PYTHONPATH", "MAKEFLAGS", "MAKELEVEL"),
)


@dataclass
class Measured:
    """Seconds since the start at which each thing was there, and what lies on the disk."""

    clone: float = 0.0
    set_up: float = 0.0
    page: float = 0.0
    asked: float = 0.0
    first_text: float = 0.0
    reply: float = 0.0
    text: str = ""


class Page:
    """The page's own calls."""

    def __init__(self, port: int) -> None:
        self._address = f"http://127.0.0.1:{port}/api/"

    def call(self, path: str, body: object = None) -> Any:
        request = urllib.request.Request(self._address + path)
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def megabytes(folder: Path) -> float:
    """What a folder takes on the disk; each file once, links not followed."""
    seen: set[tuple[int, int]] = set()
    blocks = 0
    for path in (folder, *folder.rglob("*")):
        found = path.lstat()
        if (found.st_dev, found.st_ino) not in seen:
            seen.add((found.st_dev, found.st_ino))
            blocks += found.st_blocks
    return blocks * 512 / 1e6


def watch(stream: TextIO, lines: "queue.Queue[str | None]") -> None:
    """Hand on what the program says, and show it."""
    for line in stream:
        print(f"    {line.rstrip()}", flush=True)
        lines.put(line)
    lines.put(None)


def wait_for(words: str, lines: "queue.Queue[str | None]", deadline: float) -> None:
    """Return at the line that holds `words`."""
    while True:
        try:
            line = lines.get(timeout=max(deadline - time.monotonic(), 0.1))
        except queue.Empty:
            sys.exit(f"«{words}» did not come within {LONGEST_SECONDS:.0f} s.")
        if line is None:
            sys.exit(f"It ended before «{words}».")
        if words in line:
            return


def hear(page: Page, chat: str, measured: Measured, started: float, deadline: float) -> None:
    """Wait for the reply, whole."""
    while time.monotonic() < deadline:
        snapshot = page.call(f"chats/{chat}")
        replies = [turn for turn in snapshot["turns"] if turn["role"] == "bot"]
        text = replies[-1]["text"] if replies else ""
        if text and not measured.first_text:
            measured.first_text = time.monotonic() - started
        if text and not snapshot["busy"]:
            measured.reply, measured.text = time.monotonic() - started, text
            return
        if snapshot["note"] and not snapshot["busy"]:
            sys.exit(f"No reply: {snapshot['note']}")
        time.sleep(POLL_SECONDS)
    sys.exit(f"No reply within {LONGEST_SECONDS:.0f} s.")


def newcomer(*, use_cache: bool) -> dict[str, str]:
    """The environment of somebody who has just come."""
    known = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    if not use_cache:
        known["PIP_NO_CACHE_DIR"] = "1"
    return known


def measure(folder: Path, *, use_cache: bool) -> Measured:
    """Do it all in a folder of its own."""
    clone, measured, port = folder / "caduceus", Measured(), free_port()
    started = time.monotonic()
    deadline = started + LONGEST_SECONDS
    subprocess.run(["git", "clone", "--quiet", f"file://{ROOT}", str(clone)], check=True)
    measured.clone = time.monotonic() - started
    program = subprocess.Popen(
        ["make", "run", f"ARGS=workbench --port {port}"],
        cwd=clone,
        env=newcomer(use_cache=use_cache),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    lines: queue.Queue[str | None] = queue.Queue()
    threading.Thread(target=watch, args=(program.stdout, lines), daemon=True).start()
    try:
        wait_for("All is installed", lines, deadline)
        measured.set_up = time.monotonic() - started
        wait_for("Caduceus is at", lines, deadline)
        measured.page = time.monotonic() - started
        page = Page(port)
        chat = page.call("chats", {})["id"]
        measured.asked = time.monotonic() - started
        page.call(f"chats/{chat}/messages", {"text": MESSAGE, "name": "You"})
        hear(page, chat, measured, started, deadline)
    finally:
        os.killpg(program.pid, signal.SIGTERM)
        program.wait(30)
    return measured


def report(measured: Measured, folder: Path) -> bool:
    """Print it; whether the targets were met."""
    clone = folder / "caduceus"
    sizes = {name: megabytes(clone / name) for name in (".venv", "data") if (clone / name).exists()}
    whole = megabytes(clone)
    print(f"\n{'clone':<22}{measured.clone:6.1f} s")
    print(f"{'set up':<22}{measured.set_up - measured.clone:6.1f} s")
    print(f"{'page is there':<22}{measured.page - measured.set_up:6.1f} s")
    print(f"{'first words':<22}{measured.first_text - measured.asked:6.1f} s after the question")
    print(f"{'whole reply':<22}{measured.reply - measured.asked:6.1f} s after the question")
    print(f"{'from clone to reply':<22}{measured.reply:6.1f} s (target: {TARGET_SECONDS:.0f})")
    parts = ", ".join(f"{name} {size:.0f}" for name, size in sizes.items())
    print(f"{'on disk':<22}{whole:6.0f} MB ({parts}; target: {TARGET_MB:.0f})")
    print(f"It said: {measured.text}")
    return measured.reply <= TARGET_SECONDS and whole <= TARGET_MB


def main() -> int:
    """Measure once. 0 when the targets were met, else 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--no-cache", action="store_true", help="do without pip's cache")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="work there, and leave it")
    given = parser.parse_args()
    cache = "not used" if given.no_cache else "used, if there is one"
    print(f"Python {sys.version.split()[0]}, {os.cpu_count()} processors, pip's cache: {cache}.")
    if given.keep is not None:
        given.keep.mkdir(parents=True)
        return 0 if report(measure(given.keep, use_cache=not given.no_cache), given.keep) else 1
    with tempfile.TemporaryDirectory(prefix="caduceus-") as folder:
        measured = measure(Path(folder), use_cache=not given.no_cache)
        return 0 if report(measured, Path(folder)) else 1


if __name__ == "__main__":
    sys.exit(main())
