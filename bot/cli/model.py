"""`python -m bot model fetch|inspect|quantize`."""

import argparse
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from bot.cli.leaving import run_interruptibly
from bot.engine.models.inspection import Inspection, inspect_model
from bot.errors import SettingsError

EXIT_PROBLEMS = 2


class ModelSettings(Protocol):
    """What these commands need of the process's settings."""

    @property
    def data_dir(self) -> Path:
        """Where conversions go."""
        ...

    @property
    def model(self) -> str:
        """The model that is meant when none is named."""
        ...


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare `fetch`, `inspect` and `quantize`."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="action")
    named = argparse.ArgumentParser(add_help=False)
    named.add_argument(
        "model",
        nargs="?",
        help="`demo`, a folder, a .gguf file or a Hugging Face id (default: MODEL's value)",
    )
    actions.add_parser(
        "fetch", parents=[named], help="download a model now, so that a start is quick"
    )
    actions.add_parser(
        "inspect", parents=[named], help="what a model holds and whether it would load"
    )
    quantizing = actions.add_parser(
        "quantize", help="make a GPTQ model of an unquantized one (a minute or more)"
    )
    quantizing.add_argument("model", help="`demo`, a folder, a .gguf file or a Hugging Face id")
    quantizing.add_argument("target", type=Path, help="the new folder")
    quantizing.add_argument("--bits", type=int, default=4, help="2, 3, 4 (default) or 8")
    quantizing.add_argument(
        "--group-size",
        type=int,
        default=0,
        metavar="N",
        help="weights that share a scale; it must divide every layer (default: the largest of "
        "128, 64, 32 and 16 that does)",
    )
    quantizing.add_argument(
        "--calibration",
        type=Path,
        metavar="FILE",
        help="text like what the model will meet (default: a few pages that ship)",
    )


def run(args: argparse.Namespace, settings: ModelSettings | None) -> int:
    """Run one action; returns the exit code. Raises ModelError for what people can fix."""
    if settings is None:
        raise SettingsError("There are no settings.", "See .env.example.")
    console = Console(highlight=False)
    if args.action == "quantize":
        return run_interruptibly(lambda: _quantize(args, settings, console))
    model = args.model or settings.model
    if args.action == "fetch":
        return run_interruptibly(lambda: _fetch(model, settings.data_dir, console))
    found = inspect_model(model, data_dir=settings.data_dir)
    console.print("\n".join(describe(found)), markup=False, soft_wrap=True)
    return 0 if found.loads else EXIT_PROBLEMS


def describe(found: Inspection) -> list[str]:
    """An inspection, in lines for people."""
    rows = [
        ("model", f"{found.name} ({found.kind})"),
        ("path", found.path),
        ("kind", found.architecture),
        ("weights", found.weights),
        ("size", _size(found)),
        ("context", f"{found.context_tokens} tokens" if found.context_tokens else ""),
        ("licence", found.license),
        ("memory", ", ".join(_memory(*row) for row in found.memory)),
        ("template", "has a chat template" if found.has_chat_template else ""),
    ]
    lines = [f"{label:<10}{value}" for label, value in rows if value]
    lines += [f"{'note':<10}{note}" for note in found.notes]
    lines += [f"{'problem':<10}{problem}" for problem in found.problems]
    if found.loads and found.parameters:
        lines.append("It looks as if it loads.")
    return lines


def _size(found: Inspection) -> str:
    if not found.parameters:
        return ""
    millions = found.parameters / 1e6
    count = f"{millions / 1e3:.1f} billion" if millions >= 1e3 else f"{millions:.0f} million"
    return f"{count} weights, {found.bytes / 1e9:.2f} GB"


def _memory(length: int, taken: int) -> str:
    return f"{taken / 1e9:.1f} GB with a context of {length:,}"


def _fetch(model: str, data_dir: Path, console: Console) -> int:
    # Imported late, as everything here that is not needed for `inspect`.
    from bot.engine.models.gguf_file import read_gguf_header
    from bot.engine.models.source import bring, fetch, identify

    started = time.monotonic()
    with _progress() as report:
        source = bring(identify(model), data_dir, report)
        if source.gguf is not None:
            path = read_gguf_header(source.gguf).path
        else:
            path = fetch(source, data_dir=data_dir, progress=report).path
    console.print(
        f"{source.name} is ready in {path} ({time.monotonic() - started:.0f} s).",
        markup=False,
        soft_wrap=True,
    )
    return 0


def _quantize(args: argparse.Namespace, settings: ModelSettings, console: Console) -> int:
    from bot.engine.models.quantize import QuantizeRequest, quantize_model

    request = QuantizeRequest(
        model=args.model,
        target=args.target,
        bits=args.bits,
        group_size=args.group_size,
        calibration=args.calibration,
    )
    started = time.monotonic()
    with _progress() as report:
        folder = quantize_model(request, data_dir=settings.data_dir, progress=report)
    words = folder.gptq.words if folder.gptq else ""
    console.print(
        f"{folder.path} is ready: {words}, {folder.bytes / 1e6:.0f} MB, "
        f"{time.monotonic() - started:.0f} s. Set MODEL={folder.path} to use it.",
        markup=False,
        soft_wrap=True,
    )
    return 0


@contextmanager
def _progress() -> Generator[Callable[[str, float | None], None]]:
    """On standard error: a bar on a terminal, a line for each new step elsewhere."""
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        said: set[str] = set()

        def say(text: str, _fraction: float | None) -> None:
            if text not in said:
                said.add(text)
                console.print(f"{text} ...", markup=False, soft_wrap=True)

        yield say
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("Preparing", total=None)

        def draw(text: str, fraction: float | None) -> None:
            total = None if fraction is None else 1.0
            bar.update(task, description=text, total=total, completed=fraction or 0.0)

        yield draw
