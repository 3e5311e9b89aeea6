"""`python -m bot persona`: the personas without Discord."""

import argparse
import asyncio
import sys
from pathlib import Path
from typing import Protocol

from bot.chat.persona import Persona
from bot.chat.personas.cards.preview import picture_fault, preview_of, prompt_texts
from bot.chat.personas.cards.writing import Format
from bot.chat.personas.files import is_persona_file, read_card_file
from bot.chat.personas.folder import PersonaFolder
from bot.chat.personas.homes import persona_key
from bot.chat.personas.library import FILE_ID, PersonaLibrary
from bot.cli.persona_transfer import export_persona, import_file
from bot.errors import NotFound, PersonaError

EXIT_USER = 2

# What `show` tells beside the texts of the prompt.
_BESIDE = ("nickname", "creator_notes", "creator", "character_version")


class PersonaSettings(Protocol):
    """What these commands need of the process's settings."""

    @property
    def personas_dir(self) -> Path:
        """The folder with the persona files."""
        ...


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the actions."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="action")
    actions.add_parser("list", help="every persona in the folder, and files that cannot be used")
    showing = actions.add_parser("show", help="everything a persona's file says")
    showing.add_argument(
        "name",
        metavar="NAME",
        help="the persona's name, how it begins, its id, or its file's name without the ending",
    )
    kinds = "a persona file or a card: TOML, JSON, PNG, CHARX, BYAF or YAML"
    checking = actions.add_parser("check", help="whether files can be used as personas")
    checking.add_argument(
        "files", metavar="FILE", nargs="+", type=Path, help=f"{kinds}; or a folder of them"
    )
    importing = actions.add_parser("import", help="show a card and put it into the folder")
    importing.add_argument("file", metavar="FILE", type=Path, help=kinds)
    choice = importing.add_mutually_exclusive_group()
    choice.add_argument("--name", help="take it under this name")
    choice.add_argument(
        "--replace", action="store_true", help="put it in the place of the persona of its name"
    )
    exporting = actions.add_parser("export", help="write a persona into a file")
    exporting.add_argument("name", metavar="NAME", help="as for `show`")
    exporting.add_argument(
        "format",
        metavar="FORMAT",
        choices=[each.value for each in Format],
        help=", ".join(each.value for each in Format),
    )
    exporting.add_argument(
        "file", metavar="FILE", nargs="?", type=Path, help="by default the name, in this folder"
    )
    exporting.add_argument("--replace", action="store_true", help="write over a file")


def run(args: argparse.Namespace, settings: PersonaSettings) -> int:
    """Run one action; returns the exit code. Raises PersonaError or NotFound."""
    if args.action == "check":
        return _check(args.files)
    library = PersonaLibrary(settings.personas_dir)
    match args.action:
        case "list":
            return asyncio.run(_list(library))
        case "import":
            return _import(library, args)
        case "export":
            return _export(library, args)
        case _:
            return asyncio.run(_show(library, args.name))


async def _list(library: PersonaLibrary) -> int:
    default = await library.default()
    for persona in await library.listed(None):
        mark = " (default)" if persona.id == default.id else ""
        print(f"{persona.name}{mark}: {persona.summary or _first_line(persona)}")
    for problem in library.problems().values():
        print(problem, file=sys.stderr)
    return EXIT_USER if library.problems() else 0


def _import(library: PersonaLibrary, args: argparse.Namespace) -> int:
    path = import_file(PersonaFolder(library), args.file, args.name, replace=args.replace)
    print(f"It is in {path} now.")
    return 0


def _export(library: PersonaLibrary, args: argparse.Namespace) -> int:
    persona, format = asyncio.run(_named(library, args.name)), Format(args.format)
    path = export_persona(PersonaFolder(library), persona, format, args.file, replace=args.replace)
    print(f"«{persona.name}» is in {path} now.")
    return 0


async def _named(library: PersonaLibrary, name: str) -> Persona:
    """The persona that somebody means. Raises NotFound, naming those there are."""
    persona = await library.find(None, name) or await library.by_id(None, FILE_ID.format(name))
    persona = persona or await _only_one_like(library, name)
    if persona is None:
        names = ", ".join(each.name for each in await library.listed(None)) or "none"
        raise NotFound(f"There is no persona «{name[:80]}».", f"There are: {names}.")
    return persona


async def _show(library: PersonaLibrary, name: str) -> int:
    persona = await _named(library, name)
    print(persona.name)
    if persona.summary:
        print(persona.summary)
    texts = prompt_texts(persona) | {field: str(getattr(persona, field)) for field in _BESIDE}
    for number, greeting in enumerate(persona.alternate_greetings, 2):
        texts[f"greeting {number}"] = greeting
    texts["tags"] = ", ".join(persona.tags)
    for field, text in texts.items():
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
            below = sorted(filter(is_persona_file, path.iterdir())) if path.is_dir() else [path]
        except OSError as error:
            faults.append(PersonaError(f"{path} cannot be read: {error.strerror}."))
            continue
        if not below:
            faults.append(PersonaError(f"{path} is a folder without persona files."))
        for each in below:
            try:
                _check_file(each)
            except PersonaError as error:
                faults.append(error)
    for fault in faults[:-1]:
        print(fault, file=sys.stderr)
    if faults:
        raise faults[-1]
    return 0


def _check_file(path: Path) -> None:
    card = read_card_file(path)
    preview = preview_of(card)
    filled = [field.replace("_", " ") for field in preview.characters]
    filled += ["a picture"] if preview.has_picture else []
    print(f"{path}: «{preview.name}» can be used. It has: {', '.join(filled) or 'a name only'}.")
    for warning in filter(None, (*preview.warnings, picture_fault(card))):
        print(f"  ! {warning}")


def _first_line(persona: Persona) -> str:
    line = persona.description.partition("\n")[0]
    return line if len(line) <= 100 else f"{line[:99]}…"
