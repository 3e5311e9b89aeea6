"""What is kept of a guild's own personas and lorebooks, and the ports that keep it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

GUILD_ID = "guild:{}"  # the id of a guild's own persona; no name may begin so
LORE_ID = "lore:{}"

BookScope = Literal["guild", "channel", "persona"]
FileKind = Literal["picture", "file", "chunk"]


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a guild may keep of its own."""

    personas: int = 200
    lorebooks: int = 100
    total_bytes: int = 128 * 1024 * 1024  # of all of them, their pictures and earlier versions
    versions: int = 20  # of one persona: earlier ones go


@dataclass(frozen=True, slots=True)
class Kept:
    """What a guild keeps under a name. `revision` grows with every change of anything in it."""

    id: str
    guild_id: str
    name: str
    revision: int
    size_bytes: int
    created_by: str  # "" where that person's data was erased
    created_at: datetime
    edited_by: str
    edited_at: datetime
    deleted_at: datetime | None


@dataclass(frozen=True, slots=True)
class KeptPersona(Kept):
    """A guild's own persona, without what is long of it."""

    summary: str
    version: str
    picture_digest: str  # SHA-256 in hexadecimal; "" without a picture


@dataclass(frozen=True, slots=True)
class KeptDocument:
    """A version of a persona: its card's document as JSON, and what reads it."""

    persona: KeptPersona  # as it is now
    version: str
    origin: str  # a name of :class:`~bot.chat.personas.cards.card.Origin`
    spec: str  # v1, v2 or v3
    document: bytes


@dataclass(frozen=True, slots=True)
class KeptFile:
    """What came with a card: its picture, another file by its path, a PNG's text chunk."""

    kind: FileKind
    name: str
    content: bytes


@dataclass(frozen=True, slots=True)
class PersonaDraft:
    """A persona as it is to be kept. `files` None: those that it has stay."""

    name: str
    name_key: str
    summary: str
    version: str
    origin: str
    spec: str
    document: bytes
    picture_digest: str = ""
    files: Sequence[KeptFile] | None = None


@dataclass(frozen=True, slots=True)
class KeptLorebook(Kept):
    """A guild's lorebook, without its content."""

    entries: int
    places: tuple[tuple[BookScope, str], ...] = ()


@dataclass(frozen=True, slots=True)
class LorebookDraft:
    """A lorebook as it is to be kept: its file as it came."""

    name: str
    name_key: str
    entries: int
    document: bytes


@dataclass(frozen=True, slots=True)
class Purged:
    """What went for good: the ids, and the digests of pictures that nobody has any more."""

    ids: tuple[str, ...] = ()
    picture_digests: tuple[str, ...] = ()


class PersonaStore(Protocol):
    """Keeps guilds' personas. Each method is one transaction: durable when it returns.

    What was deleted is found by nobody but :meth:`restore`, and its versions by their names, until
    :meth:`purge` takes it away.
    """

    async def kept(self, guild_id: str, persona_id: str) -> KeptPersona | None:
        """The persona of this id, if it is that guild's."""
        ...

    async def kept_among(self, guild_id: str, persona_ids: Sequence[str]) -> list[KeptPersona]:
        """Those of these ids that are that guild's, in any order."""
        ...

    async def kept_by_key(self, guild_id: str, name_key: str) -> KeptPersona | None:
        """The persona of this name, as names are compared."""
        ...

    async def all_kept(self, guild_id: str) -> list[KeptPersona]:
        """All of a guild."""
        ...

    async def document(
        self, guild_id: str, persona_id: str, version: str = ""
    ) -> KeptDocument | None:
        """A persona's document; of a version, where that is kept, also of a deleted one."""
        ...

    async def files(self, guild_id: str, persona_id: str, *, picture_only: bool) -> list[KeptFile]:
        """What came with a persona's card, in the order in which it came."""
        ...

    async def has_picture(self, digest: str) -> bool:
        """Whether any guild's persona has a picture, one whose deletion can be undone too."""
        ...

    async def add(self, guild_id: str, draft: PersonaDraft, limits: Limits, by: str) -> KeptPersona:
        """Keep a new one. Raises PersonaError where the name is taken or the guild has too much."""
        ...

    async def change(
        self,
        guild_id: str,
        persona_id: str,
        draft: PersonaDraft,
        limits: Limits,
        by: str,
        *,
        revision: int,
    ) -> KeptPersona | None:
        """Keep another version of one; None where it is not `revision` any more.

        Raises PersonaError as :meth:`add` does, NotFound where it is gone.
        """
        ...

    async def remove(self, guild_id: str, persona_id: str, by: str) -> KeptPersona:
        """Delete one, so that it can be undone. Raises NotFound."""
        ...

    async def restore(self, guild_id: str, persona_id: str, since: datetime) -> KeptPersona:
        """Undo the deletion of one that was deleted at `since` or later.

        Raises NotFound, or PersonaError where its name is taken by now.
        """
        ...

    async def purge(self, before: datetime) -> Purged:
        """Take away for good what was deleted before, personas and lorebooks."""
        ...


class LorebookStore(Protocol):
    """Keeps guilds' lorebooks, as :class:`PersonaStore` does personas."""

    async def kept(self, guild_id: str, lorebook_id: str) -> KeptLorebook | None:
        """The lorebook of this id, if it is that guild's."""
        ...

    async def kept_by_key(self, guild_id: str, name_key: str) -> KeptLorebook | None:
        """The lorebook of this name, as names are compared."""
        ...

    async def all_kept(self, guild_id: str) -> list[KeptLorebook]:
        """All of a guild."""
        ...

    async def document(self, guild_id: str, lorebook_id: str) -> bytes | None:
        """A lorebook's file."""
        ...

    async def add(
        self, guild_id: str, draft: LorebookDraft, limits: Limits, by: str
    ) -> KeptLorebook:
        """Keep a new one. Raises LorebookError: the name is taken, or the guild has too much."""
        ...

    async def change(
        self, guild_id: str, lorebook_id: str, draft: LorebookDraft, limits: Limits, by: str
    ) -> KeptLorebook:
        """Keep another content of one. Raises LorebookError or NotFound."""
        ...

    async def remove(self, guild_id: str, lorebook_id: str, by: str) -> KeptLorebook:
        """Delete one, so that it can be undone. Raises NotFound."""
        ...

    async def restore(self, guild_id: str, lorebook_id: str, since: datetime) -> KeptLorebook:
        """Undo a deletion. Raises NotFound, or LorebookError where its name is taken by now."""
        ...

    async def attach(
        self, guild_id: str, lorebook_id: str, scope: BookScope, scope_id: str
    ) -> bool:
        """Let a book count somewhere. Returns whether it did not before. Raises NotFound."""
        ...

    async def detach(
        self, guild_id: str, lorebook_id: str, scope: BookScope, scope_id: str
    ) -> bool:
        """Let it count there no more. Returns whether it did before."""
        ...

    async def attached(
        self, guild_id: str, places: Sequence[tuple[BookScope, str]]
    ) -> list[KeptLorebook]:
        """The books that count in any of these places, by their age; `places` tells in which."""
        ...


class CastStore(Protocol):
    """Who speaks in a channel beside its main persona, by the scope of the channel's settings."""

    async def cast(self, scope_id: str) -> list[str]:
        """The ids of the personas, in the order in which they were added."""
        ...

    async def add_to_cast(
        self, scope_id: str, guild_id: str | None, persona_id: str, by: str
    ) -> bool:
        """Add one at the end; False if it is there. Raises NotAllowed where there are too many."""
        ...

    async def remove_from_cast(self, scope_id: str, persona_id: str) -> bool:
        """Take one out; False if it isn't there."""
        ...
