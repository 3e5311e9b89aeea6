"""Changing the owner's folder of personas: taking cards in, making and editing, handing out.

A file is written whole or not at all, and never in the place of another that nobody named. A card
is kept as it came; an edit goes into its document, in the kind of file that it came in. All of it
is blocking.
"""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from bot.chat.persona import NAME_CHARACTERS, Persona, PersonaText
from bot.chat.personas.cards.card import Card, Origin
from bot.chat.personas.cards.edits import new_card, renamed, with_persona, with_picture
from bot.chat.personas.cards.fields import checked_name
from bot.chat.personas.cards.reading import read_card
from bot.chat.personas.cards.writing import (
    Exported,
    Format,
    rewrite_card,
    safe_file_name,
    write_card,
)
from bot.chat.personas.file_writing import (
    followed,
    unused,
    unwritable,
    write_file,
    write_new,
)
from bot.chat.personas.files import read_bytes, read_card_file
from bot.chat.personas.guild.packing import fitted_picture
from bot.chat.personas.guild.workshop import checked_text
from bot.chat.personas.homes import persona_key
from bot.chat.personas.library import MOST_FILES, PersonaLibrary
from bot.errors import NotFound, PersonaError

_ENDINGS = {
    Origin.TOML: ".toml",
    Origin.JSON: ".json",
    Origin.PNG: ".png",
    Origin.CHARX: ".charx",
    Origin.BYAF: ".byaf",
    Origin.WEBUI: ".yaml",
}
_DELETED = ".deleted"  # behind the name of one that was taken out: no persona is read from it
_ORIGINAL = ".original"  # behind the name of a file that an edit turned into another kind


class NameTaken(PersonaError):  # noqa: N818 - reads as the sentence it is
    """Another persona of the folder has that name; `free_name` is one that nobody has."""

    def __init__(self, taken: Persona, free_name: str) -> None:
        """`taken` is who has it."""
        super().__init__(
            f"There is a persona «{taken.name}» already.", f"A free name is «{free_name}»."
        )
        self.taken = taken
        self.free_name = free_name


class PersonaChanged(PersonaError):  # noqa: N818
    """The file is another one than whoever edits it has seen."""


@dataclass(frozen=True, slots=True)
class Written:
    """What a change left: the persona as it speaks from now on, and its file.

    `original` is where the file as it came was put, when the edit made another kind of file of it.
    """

    persona: Persona
    path: Path
    original: Path | None = None


class PersonaFolder:
    """The files behind a :class:`PersonaLibrary`, as its owner changes them."""

    def __init__(self, library: PersonaLibrary, clock: Callable[[], float] = time.time) -> None:
        """`clock` gives Unix seconds, for a V3 card's `modification_date`."""
        self.library = library
        self._folder = library.folder
        self._clock = clock
        self._changing = threading.Lock()

    def free_name(self, name: str) -> str:
        """The name, or the first of «name (2)», «name (3)» that nobody has."""
        number, found = 1, name
        while self.library.held_by_name(found) is not None:
            number += 1
            ending = f" ({number})"
            found = name[: NAME_CHARACTERS - len(ending)].rstrip() + ending
        return found

    def card(self, persona_id: str) -> Card:
        """The card of a persona, read anew. Raises NotFound, or PersonaError where it is broken."""
        path = self.library.file_of(persona_id)
        if path is not None:
            return read_card_file(path)
        persona = self.library.held(persona_id)
        if persona is None:
            raise NotFound("There is no such persona any more.", "Choose one from the list.")
        return new_card(text_of(persona))  # one that is built in has no file

    def take(self, card: Card, content: bytes, *, name: str = "", replace: bool = False) -> Written:
        """Put a card into the folder. It goes in as it came (`content`), or under another `name`.

        With `replace`, in the place of the persona that has its name. Raises NameTaken without, or
        PersonaError.
        """
        ending = _ENDINGS[card.origin]
        if card.origin is Origin.WEBUI and content.lstrip()[:1] in (b"{", b"\xef"):
            ending = ".json"
        if name and name != card.persona.name:
            card = renamed(card, checked_name(name), int(self._clock()))
            content, ending = self._rewritten(card)
        with self._changing:
            self.library.load()
            taken = self.library.held_by_name(card.persona.name)
            if taken is None:
                return self._added(card.persona.name, ending, content)
            if not replace:
                raise NameTaken(taken, self.free_name(card.persona.name))
            old = self.library.file_of(taken.id)
            if old is None:  # built in
                return self._added(card.persona.name, ending, content)
            target = old.with_suffix(ending)
            if target == old or not target.exists():
                write_file(followed(old, self._folder) if target == old else target, content)
                if target != old:
                    old.unlink(missing_ok=True)
                return self._loaded(target)
            raise PersonaError(
                f"{target.name} is in the way: two files would have one name.",
                f"Take one of {old.name} and {target.name} out of the folder.",
            )

    def create(self, values: Mapping[str, object]) -> Written:
        """A new persona file in TOML, of the fields of a PersonaText. Raises PersonaError."""
        text = checked_text({}, {"name": None, **values})
        content = write_card(new_card(text), Format.TOML, int(self._clock())).content
        with self._changing:
            self.library.load()
            taken = self.library.held_by_name(text.name)
            if taken is not None:
                raise NameTaken(taken, self.free_name(text.name))
            return self._added(text.name, ".toml", content)

    def edit(self, persona_id: str, changes: Mapping[str, object], version: str) -> Written:
        """Change fields of a persona; everything else of its file stays as it came.

        `version` is that of the persona whose fields were shown. Raises PersonaChanged where the
        file holds another by now, NotFound, NameTaken or PersonaError.
        """
        with self._changing:
            self.library.load()
            path, before, card = self._opened(persona_id, version)
            text = checked_text(dict(card.persona), changes)
            edited = with_persona(card, text, int(self._clock()))
            if edited is card:
                return self._loaded(path)
            if persona_key(text.name) != persona_key(card.persona.name):
                taken = self.library.held_by_name(text.name)
                if taken is not None:
                    raise NameTaken(taken, self.free_name(text.name))
            content, ending = self._rewritten(edited)
            if edited.origin is Origin.TOML:
                content = _comments_above(before) + content
            return self._put_in_place(path, content, ending)

    def set_picture(self, persona_id: str, picture: bytes | None, version: str) -> Written:
        """Give a persona another picture, a file as somebody brought it, or none.

        A card in a kind of file that holds no picture goes into a PNG, and out of it again where
        it has none any more. `version` as in :meth:`edit`, which tells what is raised.
        """
        made = None if picture is None else fitted_picture("The picture", picture)
        with self._changing:
            self.library.load()
            path, _, card = self._opened(persona_id, version)
            if made is None and card.picture is None:
                return self._loaded(path)
            edited = with_picture(card, made, int(self._clock()))
            if card.origin not in (Origin.CHARX, Origin.BYAF):
                edited = replace(edited, origin=Origin.PNG if made else Origin.JSON)
            return self._put_in_place(path, *self._rewritten(edited))

    def delete(self, persona_id: str, version: str) -> Path:
        """Take a persona out; its file stays under the name that is returned, and is read no more.

        `version` is that of the persona as it was shown. Raises NotFound, PersonaChanged or
        PersonaError.
        """
        with self._changing:
            self.library.load()
            path, persona = self.library.file_of(persona_id), self.library.held(persona_id)
            if path is None or persona is None:
                raise NotFound("This persona has no file that could be deleted.")
            if persona.version != version:
                raise PersonaChanged(
                    f"{path.name} has been changed since you opened it.",
                    "Open it again, then delete it.",
                )
            aside = unused(path.with_name(path.name + _DELETED))
            try:
                os.replace(path, aside)
            except OSError as error:
                raise unwritable(path, error) from error
            self.library.load()
            return aside

    def bring_back(self, aside: Path) -> Written:
        """Undo :meth:`delete`, which returned `aside`. Raises NotFound, NameTaken, PersonaError."""
        target = aside.with_name(aside.name.rpartition(_DELETED)[0])
        with self._changing:
            self.library.load()
            if not aside.exists():
                raise NotFound(f"{aside.name} is no longer in the folder.")
            card = read_card(read_bytes(aside), target.name)
            taken = self.library.held_by_name(card.persona.name)
            if taken is not None and self.library.file_of(taken.id) is not None:
                raise NameTaken(taken, self.free_name(card.persona.name))
            if target.exists():
                raise PersonaError(f"{target.name} is in the way.", "Give it another name first.")
            try:
                os.replace(aside, target)
            except OSError as error:
                raise unwritable(target, error) from error
            return self._loaded(target)

    def export(self, persona_id: str, format: Format) -> Exported:
        """A persona as a file in a format. Raises NotFound or PersonaError."""
        return write_card(self.card(persona_id), format, int(self._clock()))

    def _opened(self, persona_id: str, version: str) -> tuple[Path, bytes, Card]:
        """The file of a persona to be changed, what is in it, and the card of that."""
        path = self.library.file_of(persona_id)
        if path is None:
            raise NotFound(
                "This persona has no file that could be edited.", "Make a new one of it."
            )
        content = read_bytes(path)
        card = read_card(content, path.name)
        if Persona(**dict(card.persona)).version != version:
            raise PersonaChanged(
                f"{path.name} has been changed since you opened it.",
                "Open it again, then make your change.",
            )
        return path, content, card

    def _rewritten(self, card: Card) -> tuple[bytes, str]:
        """The file of a changed card and its ending, once it was seen that it reads as the card."""
        written = rewrite_card(card, int(self._clock()))
        if read_card(written.content, written.file_name).persona != card.persona:
            raise PersonaError(
                f"«{card.persona.name}» cannot be written so that it is read again as it is.",
                "Export it as v3, and import that.",
            )
        return written.content, Path(written.file_name).suffix

    def _put_in_place(self, path: Path, content: bytes, ending: str) -> Written:
        if path.suffix.lower() == ending or (ending == ".png" and path.suffix.lower() == ".apng"):
            write_file(followed(path, self._folder), content)
            return self._loaded(path)
        target = path.with_suffix(ending)
        if target.exists():
            raise PersonaError(
                f"{target.name} is in the way: the edited card would be written there.",
                f"Take one of {path.name} and {target.name} out of the folder.",
            )
        original = unused(path.with_name(path.name + _ORIGINAL))
        write_new(target, content)
        os.replace(path, original)
        written = self._loaded(target)
        return Written(written.persona, written.path, original)

    def _added(self, name: str, ending: str, content: bytes) -> Written:
        with contextlib.suppress(OSError):  # the folder may not be there yet
            if sum(1 for _ in self._folder.iterdir()) >= MOST_FILES:
                raise PersonaError(
                    f"{self._folder} holds {MOST_FILES} files already.", "Take some out of it."
                )
        while True:
            target = self._folder / f"{self._free_stem(safe_file_name(name))}{ending}"
            try:
                write_new(target, content)
            except FileExistsError:
                continue  # somebody else has just made it
            return self._loaded(target)

    def _free_stem(self, stem: str) -> str:
        """The name of a file that no other in the folder has, whatever its ending."""
        names = self._folder.iterdir() if self._folder.is_dir() else ()
        stems = {path.stem.casefold() for path in names}
        number, free = 1, stem
        while free.casefold() in stems:
            number += 1
            free = f"{stem} ({number})"
        return free

    def _loaded(self, path: Path) -> Written:
        self.library.load()
        persona = self.library.held_in(path)
        if persona is None:
            raise PersonaError(
                f"{path.name} was written, but cannot be used: "
                f"{self.library.problems().get(path.name, 'it cannot be read')}"
            )
        return Written(persona, path)


def text_of(persona: PersonaText) -> PersonaText:
    """A persona without its identity."""
    return PersonaText(**{field: getattr(persona, field) for field in PersonaText.model_fields})


def _comments_above(content: bytes) -> bytes:
    """What a persona file says above its first key; other comments cannot be kept."""
    kept: list[bytes] = []
    for line in content.splitlines(keepends=True):
        if line.strip() and not line.lstrip().startswith(b"#"):
            break
        kept.append(line)
    return b"".join(kept)
