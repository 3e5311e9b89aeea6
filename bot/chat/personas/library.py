"""The persona folder: read at start, read again when a file changes."""

import asyncio
import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bot.chat.persona import Persona
from bot.chat.personas.cards.card import Card
from bot.chat.personas.files import is_persona_file, read_card_file, read_persona
from bot.chat.personas.homes import PersonaHome, in_order, persona_key, with_version
from bot.chat.personas.patience import Patience
from bot.errors import PersonaError

MOST_FILES = 500
WATCH_SECONDS = 2.0
READ_SECONDS = 10.0  # for the folder's list, and for any one file
MOST_HANGING = 4  # of the files: then the disk hangs, not a file
FILE_ID = "file:{}"  # with the file's name, but for its ending: it outlasts every edit
DEFAULT_ID = FILE_ID.format("caduceus")
DEFAULT_NAME = "Caduceus"

# Speaks when the owner took the default persona's file away.
FALLBACK = Persona(
    id="built-in",
    name=DEFAULT_NAME,
    description="You are {{char}}, a friendly and helpful assistant. Answer plainly and briefly.",
    summary="The bot itself.",
)

log = logging.getLogger(__name__)

_Stamp = tuple[int, int, int, int]

NO_STAMP: _Stamp = (0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class _File:
    """What is known of one file: its newest stamp, its last good version, its fault."""

    stamp: _Stamp
    persona: Persona | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class _Snapshot:
    by_id: Mapping[str, Persona] = field(default_factory=dict[str, Persona])
    by_name: Mapping[str, Persona] = field(default_factory=dict[str, Persona])
    problems: Mapping[str, str] = field(default_factory=dict[str, str])
    files: Mapping[str, str] = field(default_factory=dict[str, str])  # by id


class PersonaLibrary(PersonaHome):
    """The owner's home of personas: a folder of persona files and character cards, for every guild.

    With :meth:`default` it implements :class:`bot.chat.ports.Personas`, too. Making one and
    :meth:`load` read the disk: not on the event loop. Everything else answers from memory. A file
    whose new version is broken keeps its last good one. Of two personas with one name, that of the
    alphabetically first file can be chosen; where the other one was chosen before, it speaks on.
    """

    def __init__(
        self,
        folder: Path,
        *,
        default: str = DEFAULT_ID,
        read_seconds: float = READ_SECONDS,
    ) -> None:
        """`default` is the id or name of the persona that speaks where none is chosen."""
        self._folder = folder
        self._default = default
        self._lists = Patience(_persona_files, read_seconds, 1)
        self._reads = Patience(self._read_file, read_seconds, MOST_HANGING)
        self._files: dict[str, _File] = {}
        self._snapshot = _Snapshot()
        self._loading = threading.Lock()
        self.load()

    @property
    def folder(self) -> Path:
        """Where the files are."""
        return self._folder

    async def by_id(self, guild_id: str | None, persona_id: str) -> Persona | None:
        """The last good version of the persona in the file that the id names."""
        return self.held(persona_id)

    async def by_name(self, guild_id: str | None, name: str) -> Persona | None:
        """The last good version of a persona, whatever the case of `name`."""
        return self.held_by_name(name)

    def held(self, persona_id: str) -> Persona | None:
        """As :meth:`by_id`, for whoever has no event loop."""
        key = persona_key(persona_id)
        return FALLBACK if key == FALLBACK.id else self._snapshot.by_id.get(key)

    def held_by_name(self, name: str) -> Persona | None:
        """As :meth:`by_name`, for whoever has no event loop."""
        return self._snapshot.by_name.get(persona_key(name))

    def held_in(self, path: Path) -> Persona | None:
        """The persona in a file of the folder."""
        return self.held(_file_id(path.name))

    async def listed(self, guild_id: str | None) -> list[Persona]:
        """The personas in alphabetical order: the same ones in every guild."""
        return in_order(self._snapshot.by_name.values())

    async def card(self, persona_id: str) -> Card | None:
        """The card in the file of a persona, with its picture, read anew; None if there is none.

        Raises PersonaError where the file's newest version cannot be used.
        """
        path = self.file_of(persona_id)
        return None if path is None else await asyncio.to_thread(read_card_file, path)

    def file_of(self, persona_id: str) -> Path | None:
        """The file that a persona is in."""
        name = self._snapshot.files.get(persona_key(persona_id))
        return None if name is None else self._folder / name

    def stamp_of(self, persona_id: str) -> str:
        """What is another one whenever the file of a persona is; "" without a file."""
        name = self._snapshot.files.get(persona_key(persona_id))
        file = None if name is None else self._files.get(name)
        return "" if file is None else "-".join(f"{part:x}" for part in file.stamp)

    async def default(self) -> Persona:
        """The persona that speaks where none is chosen; a built-in one if its file is gone."""
        chosen = await self.find(None, self._default)
        return chosen or await self.by_name(None, DEFAULT_NAME) or FALLBACK

    def problems(self) -> Mapping[str, str]:
        """File name to error, for files whose newest version cannot be used."""
        return self._snapshot.problems

    def load(self) -> bool:
        """Read what has changed in the folder. Blocking. Returns whether anything had."""
        with self._loading:
            before = self._snapshot
            try:
                self._snapshot = self._read_folder()
            except OSError as error:
                problem = f"{self._folder} cannot be read: {error.strerror or error}."
                self._snapshot = _Snapshot(
                    before.by_id, before.by_name, {str(self._folder): problem}, before.files
                )
            return self._snapshot != before

    async def refresh(self) -> bool:
        """As :meth:`load`, off the event loop."""
        return await asyncio.to_thread(self.load)

    async def watch(self, interval_seconds: float = WATCH_SECONDS) -> None:
        """Refresh for ever, and log what changes and what cannot be used. Cancel to end."""
        logged: Mapping[str, str] = {}
        while True:
            changed, problems = await self.refresh(), self.problems()
            for name, problem in problems.items():
                if logged.get(name) != problem:
                    log.warning("A persona cannot be used: %s", problem)
            logged = problems
            if changed:
                names = [persona.name for persona in await self.listed(None)]
                log.info("The personas have changed: %s", ", ".join(names))
            await asyncio.sleep(interval_seconds)

    def _read_folder(self) -> _Snapshot:
        paths = self._list_folder()
        problems: dict[str, str] = {}
        for path in paths[MOST_FILES:]:
            problems[path.name] = (
                f"{path.name} is left out: there are more than {MOST_FILES} files."
            )
        files = {
            path.name: file or self._unread(path)
            for path, file in self._reads.each(paths[:MOST_FILES])
        }
        self._files = files
        by_id: dict[str, Persona] = {}
        by_name: dict[str, Persona] = {}
        by_file: dict[str, str] = {}
        for name, file in files.items():
            if file.problem:
                problems[name] = file.problem
            persona = file.persona
            if persona is None:
                continue
            if by_id.setdefault(persona_key(persona.id), persona) is not persona:
                problems.setdefault(
                    name, f"{name} is left out: another file has that name but for its ending."
                )
                continue
            by_file[persona_key(persona.id)] = name
            first = by_name.setdefault(persona_key(persona.name), persona)
            if first is not persona:
                problems.setdefault(
                    name, f"{name} cannot be chosen: another file has a «{first.name}» already."
                )
        return _Snapshot(
            by_id,
            by_name,
            {_plain(name): _plain(each) for name, each in problems.items()},
            by_file,
        )

    def _list_folder(self) -> list[Path]:
        [(_, paths)] = self._lists.each([self._folder])
        if paths is None:
            raise TimeoutError("the disk does not answer")
        return paths

    def _unread(self, path: Path) -> _File:
        """A file whose reading took too long: it is read again when the disk answers."""
        known = self._files.get(path.name)
        problem = f"{path.name} cannot be read: the disk does not answer."
        return _File(NO_STAMP, known.persona if known else None, problem)

    def _read_file(self, path: Path) -> _File:
        known = self._files.get(path.name)
        stamp = NO_STAMP
        try:
            status = path.stat()
            # ctime: a right to read that was given changes nothing else.
            stamp = (status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino)
            if known and known.stamp == stamp:
                return known
            if not path.resolve().is_relative_to(self._folder.resolve()):
                raise PersonaError(f"{path.name} is a link that leads out of the folder.")
            # Made once and not whenever the folder is looked at: a lorebook may be large.
            text = dict(read_persona(path))
            return _File(stamp, with_version(Persona(id=_file_id(path.name), **text)))
        except OSError as error:
            problem = f"{path.name} cannot be read: {error.strerror}."
        except PersonaError as error:
            problem = str(error)
        return _File(stamp, known.persona if known else None, problem)


def _persona_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if is_persona_file(path))


def _plain(text: str) -> str:
    """As text that can be sent and printed: a file's name may be any bytes."""
    return text.encode(errors="backslashreplace").decode()


def _file_id(file_name: str) -> str:
    return FILE_ID.format(_plain(Path(file_name).stem))
