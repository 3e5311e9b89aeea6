"""`python -m bot talk`: plays written conversations against any engine, and measures them."""

import argparse
import asyncio
import json
import shlex
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from bot.errors import SettingsError, UserError
from bot.invocation import program

if TYPE_CHECKING:
    from bot.settings import ProcessSettings
    from bot.talks.script import Script

EXIT_FAILED = 1  # a reply failed


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add(
        "--script",
        type=Path,
        metavar="FILE",
        nargs="+",
        required=True,
        help="scripts (TOML, see docs/talks.md), or folders of them",
    )
    add("--seed", type=int, default=1, metavar="N", help="the same replies again (default: 1)")
    add("--json", type=Path, metavar="FILE", help="write all figures and replies there")
    add("--markdown", type=Path, metavar="FILE", help="write the table there")
    add("--check", action="store_true", help="only read the scripts")


def run(args: argparse.Namespace, settings: "ProcessSettings | None") -> int:
    """Play, print, write. Raises CaduceusError."""
    if settings is None:
        raise SettingsError("There are no settings.", "See .env.example.")
    for file in (args.json, args.markdown):
        if file is not None:
            _check_target(file)
    scripts = _read(args.script)
    if args.check:
        print(f"{len(scripts)} scripts can be played.")
        return 0
    from bot.bench.machine import load_average, processor_name
    from bot.engine_start import build_engines
    from bot.talks.playing import start_and_play
    from bot.talks.report import as_json, as_markdown, figures

    engines = build_engines(settings)
    limit = settings.max_reply_tokens
    with TemporaryDirectory(prefix="caduceus-talk-") as folder:
        model, played = asyncio.run(
            start_and_play(
                scripts, engines, Path(folder), seed=args.seed, max_reply_tokens=limit, say=_say
            )
        )
    facts: dict[str, object] = {
        "command": f"{program()} {shlex.join(['talk', *_own_arguments(sys.argv)])}",
        "model": model,
        "processor": processor_name(),
        "load average": load_average(),
        "seed": args.seed,
    }
    page = as_markdown(played, facts)
    print(page)
    if args.markdown is not None:
        _write(args.markdown, page)
    if args.json is not None:
        _write(args.json, json.dumps(as_json(played, facts), indent=1, ensure_ascii=False))
    found = figures([reply for each in played for reply in each.replies])
    return EXIT_FAILED if found["failed"] else 0


def _read(paths: list[Path]) -> "dict[str, Script]":
    from bot.talks.script import find_scripts, read_script

    scripts: dict[str, Script] = {}
    for file in find_scripts(paths):
        name = file.stem
        while name in scripts:  # of another folder
            name += "'"
        scripts[name] = read_script(file)
    return scripts


def _check_target(file: Path) -> None:
    """Before anything is played, which may take long. Raises UserError."""
    if not file.parent.is_dir():
        raise UserError(f"There is no folder {file.parent}.", "Make it first.")
    if file.is_dir():
        raise UserError(f"{file} is a folder.", "Name a file in it.")


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise UserError(
            f"{file} cannot be written: {error.strerror}.", "Name another file."
        ) from error


def _own_arguments(given: list[str]) -> list[str]:
    return given[given.index("talk") + 1 :] if "talk" in given else given[1:]


def _say(text: str) -> None:
    print(f"{text} ...", file=sys.stderr, flush=True)
