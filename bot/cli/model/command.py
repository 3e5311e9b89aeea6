"""The actions of `model`, and what each is told."""

import argparse
import os
import time
from pathlib import Path
from typing import Protocol

from rich.console import Console

from bot.cli.findings import Finding
from bot.cli.format_check import FormatSettings, check_files_format
from bot.cli.leaving import run_interruptibly
from bot.cli.memory_check import CardSettings, check_files_memory
from bot.cli.model.bars import showing_progress
from bot.cli.model.describing import describe
from bot.engine.models.inspection import inspect_model
from bot.errors import ModelError, SettingsError

EXIT_PROBLEMS = 2
KEPT = "what has come is kept: the same command goes on there."
# These help out of a wrong MODEL, so they have to work with one.
MENDING = frozenset({"suggest", "fetch", "use"})
HUB = "a short name that `suggest` lists, owner/name on the Hugging Face hub, owner/name:FILE"
PLACES = "`demo`, a folder, a .gguf file"


class ModelSettings(FormatSettings, CardSettings, Protocol):
    """What these commands need of the process's settings."""

    @property
    def data_dir(self) -> Path:
        """Where downloads go."""
        ...

    @property
    def engine(self) -> str:
        """Whether MODEL counts at all."""
        ...


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the five actions."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="action")
    suggesting = actions.add_parser(
        "suggest", help="well-known models, and which of them this machine can run"
    )
    suggesting.add_argument("--json", action="store_true", help="for programs")
    fetching = actions.add_parser("fetch", help="download a model")
    fetching.add_argument(
        "model", nargs="?", metavar="ID[:FILE]", help=f"{HUB} (default: MODEL's value)"
    )
    using = actions.add_parser("use", help="write a model into .env, for the next start")
    using.add_argument("model", metavar="ID[:FILE]", help=f"{HUB}; or {PLACES}")
    inspecting = actions.add_parser("inspect", help="what a model holds and whether it would load")
    inspecting.add_argument(
        "model", nargs="?", help=f"{PLACES}, or as for `fetch` (default: MODEL's value)"
    )
    quantizing = actions.add_parser(
        "quantize", help="make a GPTQ model of an unquantized one (a minute or more)"
    )
    quantizing.add_argument("model", help="a folder of safetensors, or a Hugging Face id")
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
    """Run one action; returns the exit code. Raises UserError for what people can fix."""
    if settings is None:
        settings = _load(is_mending=args.action in MENDING)
    console = Console(highlight=False)
    data_dir = settings.data_dir
    if args.action == "suggest":
        from bot.cli.model.suggesting import suggest

        return suggest(data_dir, settings.model, console, as_json=args.json)
    if args.action == "fetch":
        from bot.cli.model.fetching import fetch

        model = _meant(args, settings)
        return run_interruptibly(lambda: fetch(model, data_dir, console), KEPT)
    if args.action == "use":
        from bot.cli.model.using import use

        return use(_meant(args, settings), data_dir, console, is_local=settings.engine == "local")
    if args.action == "quantize":
        return run_interruptibly(lambda: _quantize(args, data_dir, console))
    return _inspect(_meant(args, settings), settings, console)


def _meant(args: argparse.Namespace, settings: ModelSettings) -> str:
    """The model that was named, MODEL where none was. Raises ModelError for an empty name."""
    if args.model is None:
        return settings.model
    if not args.model.strip():
        raise ModelError("No model is named: the name is empty.", "Name one, or leave it out.")
    return args.model


def _inspect(model: str, settings: ModelSettings, console: Console) -> int:
    found = inspect_model(model, data_dir=settings.data_dir)
    findings: list[Finding] = []
    if found.loads:
        findings += check_files_format(settings, found)
        findings += check_files_memory(settings, found)
    console.print("\n".join(describe(found, findings)), markup=False, soft_wrap=True)
    return 0 if found.loads else EXIT_PROBLEMS


def _load(*, is_mending: bool) -> ModelSettings:
    from bot.logs import configure_logging
    from bot.settings import DEMO_MODEL, load_settings

    try:
        settings = load_settings()
    except SettingsError:
        if not is_mending:
            raise
        settings = load_settings({**os.environ, "MODEL": DEMO_MODEL, "ENGINE": "local"})
    configure_logging(settings.log_level, settings.log_format, settings.secrets())
    return settings


def _quantize(args: argparse.Namespace, data_dir: Path, console: Console) -> int:
    from bot.engine.models.gptq.quantize import QuantizeRequest, quantize_model

    request = QuantizeRequest(
        model=args.model,
        target=args.target,
        bits=args.bits,
        group_size=args.group_size,
        calibration=args.calibration,
    )
    started = time.monotonic()
    with showing_progress() as report:
        folder = quantize_model(request, data_dir=data_dir, progress=report)
    words = folder.gptq.words if folder.gptq else ""
    console.print(
        f"{folder.path} is ready: {words}, {folder.bytes / 1e6:.0f} MB, "
        f"{time.monotonic() - started:.0f} s. Set MODEL={folder.path} to use it.",
        markup=False,
        soft_wrap=True,
    )
    return 0
