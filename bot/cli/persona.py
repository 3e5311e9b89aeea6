"""`python -m bot persona`: the personas without Discord."""

import argparse
import asyncio
import sys
from pathlib import Path
from typing import Protocol

from bot.chat.persona import Persona
from bot.chat.personas.files import read_persona
from bot.chat.personas.homes import persona_key
from bot.chat.personas.library import FILE_ID, PersonaLibrary
from bot.errors import NotFound, PersonaError

EXIT_USER = 2

_FIELDS = ("description", "personality", "scenario", "greeting", "example_dialogue")


class PersonaSettings(Protocol):
    """What these commands need of the process's settings."""

    @property
    def personas_dir(self) -> Path:
        """The folder with the persona files."""
        ...


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare `list`, `show` and `check`."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="action")
    actions.add_parser("list", help="every persona in the folder, and files that cannot be used")
    showing = actions.add_parser("show", help="everything a persona's file says")
    showing.add_argument(
        "name",
        metavar="NAME",
        help="the persona's name, how it begins, its id, or its file's name without the ending",
    )
    checking = actions.add_parser("check", help="whether a file can be used as a persona")
    checking.add_argument("files", metavar="FILE", nargs="+", type=Path, help="TOML or JSON")


def run(args: argparse.Namespace, settings: PersonaSettings) -> int:
    """Run one action; returns the exit code. Raises PersonaError or NotFound."""
    if args.action == "check":
        return _check(args.files)
    library = PersonaLibrary(settings.personas_dir)
    return asyncio.run(_list(library) if args.action == "list" else _show(library, args.name))


async def _list(library: PersonaLibrary) -> int:
    default = await library.default()
    for persona in await library.listed(None):
        mark = " (default)" if persona.id == default.id else ""
        print(f"{persona.name}{mark}: {persona.summary or _first_line(persona)}")
    for problem in library.problems().values():
        print(problem, file=sys.stderr)
    return EXIT_USER if library.problems() else 0


async def _show(library: PersonaLibrary, name: str) -> int:
    persona = await library.find(None, name) or await library.by_id(None, FILE_ID.format(name))
    persona = persona or await _only_one_like(library, name)
    if persona is None:
        names = ", ".join(each.name for each in await library.listed(None)) or "none"
        raise NotFound(f"There is no persona «{name[:80]}».", f"There are: {names}.")
    print(persona.name)
    if persona.summary:
        print(persona.summary)
    for field in _FIELDS:
        text = str(getattr(persona, field))
        if text:
            print(f"\n[{field.replace('_', ' ')}]\n{text}")
    return 0


async def _only_one_like(library: PersonaLibrary, beginning: str) -> Persona | None:
    """The persona whose name begins so, where there is but one."""
    key = persona_key(beginning)
    found = [one for one in await library.listed(None) if persona_key(one.name).startswith(key)]
    return found[0] if key and len(found) == 1 else None


def _check(files: list[Path]) -> int:
    """Say of every file whether it can be used. The last fault is raised: it ends the output."""
    faults: list[PersonaError] = []
    for path in files:
        try:
            persona = read_persona(path)
        except PersonaError as error:
            faults.append(error)
            continue
        filled = [field.replace("_", " ") for field in _FIELDS if getattr(persona, field)]
        print(
            f"{path}: «{persona.name}» can be used. It has: {', '.join(filled) or 'a name only'}."
        )
    for fault in faults[:-1]:
        print(fault, file=sys.stderr)
    if faults:
        raise faults[-1]
    return 0


def _first_line(persona: Persona) -> str:
    line = persona.description.partition("\n")[0]
    return line if len(line) <= 100 else f"{line[:99]}…"
