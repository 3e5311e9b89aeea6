"""`python -m bot persona import` and `export`: cards into the owner's folder, and out of it."""

import asyncio
import contextlib
import os
import time
from collections.abc import Iterable
from pathlib import Path
from shlex import quote

from bot.chat.persona import Persona
from bot.chat.personas.cards.card import Card, Origin
from bot.chat.personas.cards.edits import new_card, renamed
from bot.chat.personas.cards.fields import checked_name
from bot.chat.personas.cards.preview import Preview, picture_fault, preview_of
from bot.chat.personas.cards.reading import read_card
from bot.chat.personas.cards.writing import Format, safe_file_name, write_card
from bot.chat.personas.files import read_bytes, read_card_file
from bot.chat.personas.library import PersonaLibrary
from bot.errors import PersonaError

NOTES_CHARACTERS = 2_000  # of the creator's notes, that a preview shows
_ENDINGS = {
    Origin.TOML: ".toml",
    Origin.JSON: ".json",
    Origin.PNG: ".png",
    Origin.CHARX: ".charx",
    Origin.BYAF: ".byaf",
    Origin.WEBUI: ".yaml",
}


def preview_lines(preview: Preview) -> Iterable[str]:
    """What there is to know of a card before it is taken."""
    nickname = f", called «{preview.nickname}»" if preview.nickname else ""
    yield f"«{preview.name}»{nickname} ({preview.kind})"
    if preview.creator:
        yield f"by {preview.creator}"
    if preview.tags:
        yield f"tags: {', '.join(preview.tags)}"
    yield f"picture: {'yes' if preview.has_picture else 'none'}"
    group = f", {preview.group_greetings} for groups" if preview.group_greetings else ""
    yield f"greetings: {preview.greetings}{group}"
    yield f"lore entries: {preview.lore_entries}"
    for field, count in preview.characters.items():
        yield f"  {field.replace('_', ' ')}: {count:,} characters"
    if preview.notes:
        notes = preview.notes
        yield f"notes: {notes[:NOTES_CHARACTERS]}{'…' if len(notes) > NOTES_CHARACTERS else ''}"
    for warning in preview.warnings:
        yield f"! {warning}"


def import_file(
    library: PersonaLibrary, folder: Path, path: Path, name: str | None, *, replace: bool
) -> Path:
    """Put a card into the folder of personas; returns the file that it is in now.

    The file goes in as it came, or, under another `name`, with that name in it. Raises
    PersonaError: no usable card, or its name is taken and nobody says what to do then.
    """
    content = read_bytes(path)
    card = read_card(content, path.name)
    for line in preview_lines(preview_of(card)):
        print(line)
    if fault := picture_fault(card):
        print(f"! {fault}")
    ending = _ENDINGS[card.origin]
    if card.origin is Origin.WEBUI and content.lstrip()[:1] in (b"{", b"\xef"):
        ending = ".json"
    if name is not None:
        card = renamed(card, checked_name(name), int(time.time()))
        written = write_card(card, _format_of(card), int(time.time()))
        content, ending = written.content, Path(written.file_name).suffix
    taken = asyncio.run(library.by_name(None, card.persona.name))
    if taken is None:
        target = folder / f"{_free_stem(folder, safe_file_name(card.persona.name))}{ending}"
        old = None
    elif replace:
        old = library.file_of(taken.id)
        target = (old or folder / "persona").with_suffix(ending)
    else:
        raise PersonaError(
            f"There is a persona «{taken.name}» already.",
            f"Take another name (`--name {quote(_free_name(library, card.persona.name))}`), or "
            "put this one in its place with `--replace`.",
        )
    _write(target, content)
    if old is not None and old != target:
        old.unlink(missing_ok=True)
    return target


def export_persona(
    library: PersonaLibrary, persona: Persona, format: Format, target: Path | None, *, replace: bool
) -> Path:
    """Write a persona into a file of its own; returns which. Raises PersonaError if it exists."""
    path = library.file_of(persona.id)
    card = new_card(persona) if path is None else read_card_file(path)
    exported = write_card(card, format, int(time.time()))
    target = target or Path(exported.file_name)
    if target.is_dir():
        target = target / exported.file_name
    if target.exists() and not replace:
        raise PersonaError(
            f"{target} exists already.", "Name another file, or write over it with `--replace`."
        )
    _write(target, exported.content)
    for warning in exported.warnings:
        print(f"! {warning}")
    return target


def _format_of(card: Card) -> Format:
    """The format that keeps everything of a card whose name was changed."""
    match card.origin:
        case Origin.TOML:
            return Format.TOML
        case Origin.PNG:
            return Format.PNG
        case Origin.CHARX | Origin.BYAF:
            return Format.CHARX
        case Origin.JSON | Origin.WEBUI:
            return Format(card.version.value)


def _free_stem(folder: Path, stem: str) -> str:
    """The name of a file that no other in the folder has, whatever its ending."""
    stems = {path.stem.casefold() for path in folder.iterdir()} if folder.is_dir() else set[str]()
    number, free = 1, stem
    while free.casefold() in stems:
        number += 1
        free = f"{stem} ({number})"
    return free


def _free_name(library: PersonaLibrary, name: str) -> str:
    number, free = 2, f"{name} (2)"
    while asyncio.run(library.by_name(None, free)) is not None:
        number += 1
        free = f"{name} ({number})"
    return free


def _write(target: Path, content: bytes) -> None:
    """Write a file so that nobody ever reads half of it."""
    draft = target.with_name(f".{target.name}.draft")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        draft.write_bytes(content)
        os.replace(draft, target)
    except OSError as error:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise PersonaError(
            f"{target} cannot be written: {error.strerror}.", "Check the folder and its rights."
        ) from error
