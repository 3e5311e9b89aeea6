"""Everything that is measured on a GPU, the most important first, within a budget of time.

    python scripts/bench_gpu.py --out results --budget 540 --peer-python vllm/bin/python

Runs in a checkout, with a Python that has torch, triton and what `bot` imports; on a bare machine
unpack the wheels into a folder and put that on PYTHONPATH first. Nothing is downloaded.

A cell that may not fit what is left of the budget is left for later, and the same command again
goes on where the last one ended: a cell whose results are whole is not run twice. Each writes its
JSON as it goes, so what is cut off keeps what it had; `cells.json` and `cells.md` tell of all.
"""

import argparse
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
END_SECONDS = 15.0  # for a command to end when it is told to: vLLM has a card to give back
PLAIN = ("--penalties", "1", "--baseline-tokens", "0")
PATIENCE = 2  # times what it should take at most
ALL_STREAMS = ("--streams", "1,8,32,64")
CHATS = ("--chat-channels", "16,32")
NO_CHAT = ("--chat-channels", "0")
OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "PYTHONUNBUFFERED": "1",
}


@dataclass(frozen=True, slots=True)
class Cell:
    """One command. `seconds` is what it takes at most on an H100, its start with it."""

    name: str
    seconds: int
    words: tuple[str, ...]
    what: str

    @property
    def is_bench(self) -> bool:
        """Whether it writes results of its own, which say if they are whole."""
        return self.words[:2] == ("-m", "bot")


@dataclass(slots=True)
class Outcome:
    """How a cell went."""

    state: str  # whole, cut off, failed, left for later
    seconds: float = 0.0
    command: str = ""
    last_lines: list[str] = field(default_factory=list[str])


def bench(name: str, seconds: int, what: str, *options: str) -> Cell:
    """A cell of the benchmark."""
    return Cell(name, seconds, ("-m", "bot", "bench", *options), what)


def cells(peer_python: str, folder: Path) -> list[Cell]:
    """All of them, the most important first. `folder` is for what they make."""
    two, one = ("--repeats", "2"), ("--repeats", "1")
    small = ("--streams", "1,8", *PLAIN, *one, *NO_CHAT)
    found = [
        bench("8bit", 130, "as it comes", "--kv-cache", "8bit", *ALL_STREAMS, *PLAIN, *two, *CHATS)
    ]
    if peer_python:
        # vLLM's own cache has 16 bits: like beside like.
        options = ("--kv-cache", "16bit", *ALL_STREAMS, *PLAIN, *two, *CHATS)
        peer = ("--peer", "vllm", "--peer-python", peer_python)
        found.append(bench("16bit-vllm", 330, "beside vLLM", *options, *peer))
    else:
        options = ("--kv-cache", "16bit", *ALL_STREAMS, *PLAIN, *two, *CHATS)
        found.append(bench("16bit", 130, "keys and values in 16 bits", *options))
    after = ("--streams", "1,64", "--penalties", "1", "--baseline-tokens", "16", *one, *CHATS)
    texts = ("--json", str(folder / "texts.json"), "--markdown", str(folder / "texts.md"))
    return [
        *found,
        bench("after-generate", 110, "after generate() in the same process", *after),
        bench("24gb-8bit", 60, "as a card of 24 GB", "--gpu-memory-gb", "24", *small),
        bench(
            "12gb-8bit", 60, "as a card of 12 GB", "--gpu-memory-gb", "12", *small, "--rows", "8"
        ),
        Cell(
            "texts",
            240,
            ("scripts/bench_texts.py", "--folder", str(folder / "made"), *texts),
            "kernels and caches by their text",
        ),
        Cell(
            "tests",
            480,
            ("-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider", "tests/engine"),
            "the engine's tests for a GPU",
        ),
        bench(
            "24gb-16bit",
            60,
            "as a card of 24 GB",
            *("--gpu-memory-gb", "24", "--kv-cache", "16bit"),
            *small,
        ),
        bench(
            "12gb-16bit",
            60,
            "as a card of 12 GB",
            *("--gpu-memory-gb", "12", "--kv-cache", "16bit", "--rows", "8"),
            *small,
        ),
        bench(
            "penalty",
            70,
            "repetition penalty 1.15",
            *(*ALL_STREAMS, "--penalties", "1.15", "--baseline-tokens", "0", *one, *NO_CHAT),
        ),
        Cell("products", 90, ("scripts/bench_products.py",), "products by rows"),
    ]


def is_whole(cell: Cell, folder: Path, outcomes: dict[str, Outcome]) -> bool:
    """Whether it need not be run again."""
    if outcomes.get(cell.name, Outcome("")).state != "whole":
        return False
    return not cell.is_bench or bool(_read(folder / f"{cell.name}.json").get("complete"))


def run_cells(
    wanted: Sequence[Cell], folder: Path, budget_seconds: float, *, python: str = sys.executable
) -> dict[str, Outcome]:
    """Run what fits, in order; tell of all after each."""
    ends = time.monotonic() + budget_seconds
    known = _read(folder / "cells.json")
    outcomes = {name: Outcome(**told) for name, told in known.items()}
    # What went wrong once is tried again after all that was never tried.
    for cell in sorted(wanted, key=lambda cell: _went_wrong(outcomes.get(cell.name))):
        if is_whole(cell, folder, outcomes):
            continue
        left = ends - time.monotonic()
        if left < cell.seconds:
            outcomes.setdefault(cell.name, Outcome("left for later"))
        else:
            say(f"== {cell.name}: {cell.what}; {left:.0f} s left")
            most = min(left, PATIENCE * cell.seconds)
            outcomes[cell.name] = run_cell(cell, folder, most, python)
            say(f"== {outcomes[cell.name].state} after {outcomes[cell.name].seconds:.0f} s")
        _tell(wanted, outcomes, folder)
    _tell(wanted, outcomes, folder)
    return outcomes


def _went_wrong(outcome: Outcome | None) -> bool:
    return outcome is not None and outcome.state in ("failed", "cut off")


def run_cell(cell: Cell, folder: Path, seconds: float, python: str) -> Outcome:
    """One command and all that it starts, for so many seconds at most."""
    words = [python, *cell.words]
    if cell.is_bench:
        files = (folder / f"{cell.name}.json", folder / f"{cell.name}.md")
        words += ["--json", str(files[0]), "--markdown", str(files[1])]
    log = folder / "logs" / f"{cell.name}.log"
    log.parent.mkdir(exist_ok=True)
    began = time.monotonic()
    state = "cut off"
    path = os.pathsep.join(part for part in (str(ROOT), os.environ.get("PYTHONPATH")) if part)
    data = {"DATA_DIR": os.environ.get("DATA_DIR") or str(folder / "data"), "PYTHONPATH": path}
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - our own commands
            words,
            cwd=ROOT,
            env=os.environ | OFFLINE | data,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            state = "failed" if process.wait(seconds) else "whole"
        except subprocess.TimeoutExpired:
            pass
        finally:  # a Ctrl-C ends it too
            _end(process)
    text = log.read_text(encoding="utf-8", errors="replace")
    spoken = shlex.join(["python", *cell.words])
    return Outcome(state, round(time.monotonic() - began, 1), spoken, text.splitlines()[-5:])


def _end(process: subprocess.Popen[bytes]) -> None:
    """Its group: gently first, as `bench` ends vLLM's own group when it is interrupted."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(END_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _tell(wanted: Sequence[Cell], outcomes: dict[str, Outcome], folder: Path) -> None:
    told = {name: asdict(outcome) for name, outcome in outcomes.items()}
    part = folder / "cells.json.part"
    part.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    part.replace(folder / "cells.json")
    lines = ["| cell | what | state | s |", "|:-----|:-----|:------|--:|"]
    for cell in wanted:
        outcome = outcomes.get(cell.name, Outcome("left for later"))
        lines.append(f"| {cell.name} | {cell.what} | {outcome.state} | {outcome.seconds:.0f} |")
    (folder / "cells.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _read(path: Path) -> dict[str, Any]:
    """What is there; nothing where it was cut off in the midst of being written."""
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def say(text: str) -> None:
    """At once."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201


def main() -> int:
    """The exit code is 0 when all that is wanted is whole."""
    parser = argparse.ArgumentParser(description="All that is measured on a GPU.")
    add = parser.add_argument
    add("--out", type=Path, required=True, help="for results; the same folder again goes on")
    add("--budget", type=float, default=1500.0, metavar="SECONDS", help="default: 1500")
    add("--peer-python", default="", metavar="PATH", help="a Python that has vLLM")
    add("--only", default="", metavar="NAME,NAME", help="these cells, in this order")
    args = parser.parse_args()
    folder = args.out.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    wanted = cells(args.peer_python, folder)
    if args.only:
        by_name = {cell.name: cell for cell in wanted}
        missing = [name for name in args.only.split(",") if name not in by_name]
        if missing:
            parser.error(f"no cell {', '.join(missing)}; there are {', '.join(by_name)}")
        wanted = [by_name[name] for name in args.only.split(",")]
    outcomes = run_cells(wanted, folder, args.budget)
    say((folder / "cells.md").read_text(encoding="utf-8"))
    return 0 if all(is_whole(cell, folder, outcomes) for cell in wanted) else 1


if __name__ == "__main__":
    sys.exit(main())
