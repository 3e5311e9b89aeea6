"""`python -m bot db`: migrations, integrity, and everything stored as JSON."""

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from bot.errors import SettingsError, UserError
from bot.store.checks import check
from bot.store.connecting.migrate import check_migrations, newest_revision, read_chain, upgrade
from bot.store.export import export_json

EXIT_PROBLEMS = 1


class DatabaseSettings(Protocol):
    """What these commands need of the process's settings."""

    @property
    def database_url(self) -> str:
        """The database's address."""
        ...


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare `upgrade`, `check` and `export`."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="action")
    actions.add_parser("upgrade", help="bring the database to this version (each start does it)")
    checking = actions.add_parser("check", help="is the database whole, and of this version?")
    checking.add_argument(
        "--migrations",
        action="store_true",
        help="instead, whether the migrations make the tables that the code wants (developers)",
    )
    exporting = actions.add_parser("export", help="everything stored, as JSON")
    exporting.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="a file (default: standard output)"
    )


def run(args: argparse.Namespace, settings: DatabaseSettings | None) -> int:
    """Run one action; returns the exit code. `check --migrations` needs no settings."""
    if args.action == "check" and args.migrations:
        return _report(asyncio.run(check_migrations()), "The migrations make exactly the tables.")
    if settings is None:
        raise SettingsError("There are no settings, so no database.", "See .env.example.")
    url = settings.database_url
    if args.action == "upgrade":
        return _upgrade(url)
    if args.action == "check":
        return _report(asyncio.run(check(url)), "The database is whole and of this version.")
    return _export(url, args.output)


def _report(problems: Sequence[object], all_well: str) -> int:
    for problem in problems:
        print(problem, file=sys.stderr)
    if problems:
        return EXIT_PROBLEMS
    print(all_well)
    return 0


def _upgrade(url: str) -> int:
    steps = asyncio.run(upgrade(url))
    if steps:
        print(f"The database was brought to revision {steps[-1]} ({len(steps)} migrations).")
    else:
        print(f"The database is at revision {newest_revision(read_chain())} already.")
    return 0


def _export(url: str, output: Path | None) -> int:
    show = _show_progress if sys.stderr.isatty() else None
    if output is None:
        asyncio.run(export_json(url, sys.stdout, progress=show))
        return 0
    # Beside the target and then moved: whoever breaks off keeps the former export.
    unfinished = output.with_name(f".{output.name}.unfinished")
    try:
        with open(unfinished, "w", encoding="utf-8", opener=_owner_only) as stream:
            turns = asyncio.run(export_json(url, stream, progress=show))
        unfinished.replace(output)
    except OSError as error:
        raise UserError(
            f"{output} cannot be written: {error.strerror}.", "Choose another file with --output."
        ) from error
    finally:
        unfinished.unlink(missing_ok=True)
    print(f"{turns} turns written to {output}.")
    return 0


def _owner_only(path: str, flags: int) -> int:
    """Open so that only this user may read: these are people's words."""
    return os.open(path, flags, 0o600)


def _show_progress(written: int, total: int) -> None:
    if written % 500 == 0 or written == total:
        print(f"\r{written} of {total} turns", end="" if written < total else "\n", file=sys.stderr)
