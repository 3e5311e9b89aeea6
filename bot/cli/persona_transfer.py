"""`python -m bot persona import` and `export`: cards into the owner's folder, and out of it."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from shlex import quote

from bot.chat.persona import Persona
from bot.chat.personas.cards.fields import checked_name
from bot.chat.personas.cards.preview import (
    NOT_ALWAYS,
    Preview,
    picture_fault,
    preview_of,
    prompt_texts,
)
from bot.chat.personas.cards.reading import read_card
from bot.chat.personas.cards.writing import Format
from bot.chat.personas.file_writing import write_file
from bot.chat.personas.files import read_bytes
from bot.chat.personas.folder import NameTaken, PersonaFolder
from bot.chat.roleplay.activation.request import estimate_tokens
from bot.errors import PersonaError

NOTES_CHARACTERS = 2_000  # of the creator's notes, that a preview shows


def preview_lines(preview: Preview, tokens: Mapping[str, int]) -> Iterable[str]:
    """What there is to know of a card before it is taken. `tokens` are those of each text."""
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
        about = f"{count:,} characters, about {tokens[field]:,} tokens"
        yield f"  {field.replace('_', ' ')}: {about}"
    always = sum(count for field, count in tokens.items() if field not in NOT_ALWAYS)
    yield f"in every prompt: about {always:,} tokens of the model's context"
    if preview.notes:
        notes = preview.notes
        yield f"notes: {notes[:NOTES_CHARACTERS]}{'…' if len(notes) > NOTES_CHARACTERS else ''}"
    for warning in preview.warnings:
        yield f"! {warning}"


def import_file(folder: PersonaFolder, path: Path, name: str | None, *, replace: bool) -> Path:
    """Put a card into the folder of personas; returns the file that it is in now.

    The file goes in as it came, or, under another `name`, with that name in it. Raises
    PersonaError: no usable card, or its name is taken and nobody says what to do then.
    """
    content = read_bytes(path)
    card = read_card(content, path.name)
    texts = prompt_texts(card.persona)
    tokens = {field: estimate_tokens(text) for field, text in texts.items()}
    for line in preview_lines(preview_of(card), tokens):
        print(line)
    if fault := picture_fault(card):
        print(f"! {fault}")
    if name is not None:
        checked_name(name)
    try:
        return folder.take(card, content, name=name or "", replace=replace).path
    except NameTaken as error:
        raise PersonaError(
            error.message,
            f"Take another name (`--name {quote(error.free_name)}`), or "
            "put this one in its place with `--replace`.",
        ) from error


def export_persona(
    folder: PersonaFolder, persona: Persona, format: Format, target: Path | None, *, replace: bool
) -> Path:
    """Write a persona into a file of its own; returns which. Raises PersonaError if it exists."""
    exported = folder.export(persona.id, format)
    target = target or Path(exported.file_name)
    if target.is_dir():
        target = target / exported.file_name
    if target.exists() and not replace:
        raise PersonaError(
            f"{target} exists already.", "Name another file, or write over it with `--replace`."
        )
    write_file(target, exported.content)
    for warning in exported.warnings:
        print(f"! {warning}")
    return target
