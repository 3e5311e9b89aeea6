"""Guilds' own personas: functions of a connection, each one transaction.

The contract stands in :class:`bot.chat.personas.guild.kept.PersonaStore`.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NoReturn

from sqlalchemy import Connection, delete, func, insert, select, update

from bot.chat.personas.guild.kept import (
    GUILD_ID,
    KeptDocument,
    KeptFile,
    KeptPersona,
    Limits,
    PersonaDraft,
)
from bot.errors import NotFound, PersonaError
from bot.store.personas.access import (
    count_of,
    first_columns,
    has_name,
    is_taken,
    is_there,
    lock_guilds,
    number_of,
    of_guild,
    refuse_too_much,
)
from bot.store.personas.tables import PersonaFileRow, PersonaRow, PersonaVersionRow
from bot.store.privacy.left_out import refuse_opted_out
from bot.store.turns.access import now
from bot.store.turns.rows import AnyRow, batches

_PICTURE = "picture"


def kept(connection: Connection, guild_id: str, persona_id: str) -> KeptPersona | None:
    """The persona of this id, if it is that guild's."""
    number = number_of(persona_id, GUILD_ID)
    row = _row(connection, guild_id, number) if number else None
    return None if row is None else to_persona(row)


def kept_among(
    connection: Connection, guild_id: str, persona_ids: Sequence[str]
) -> list[KeptPersona]:
    """Those of these ids that are that guild's, in any order."""
    numbers = {number_of(each, GUILD_ID) for each in persona_ids}
    found: list[KeptPersona] = []
    for piece in batches(sorted(numbers)):
        chosen = select(PersonaRow.__table__).where(
            PersonaRow.id.in_(piece),
            PersonaRow.guild_id == guild_id,
            PersonaRow.deleted_at.is_(None),
        )
        found += [to_persona(row) for row in connection.execute(chosen)]
    return found


def kept_by_key(connection: Connection, guild_id: str, name_key: str) -> KeptPersona | None:
    """The persona of this name, as names are compared."""
    chosen = select(PersonaRow.__table__).where(has_name(PersonaRow, guild_id, name_key))
    row = connection.execute(chosen).first()
    return None if row is None else to_persona(row)


def all_kept(connection: Connection, guild_id: str) -> list[KeptPersona]:
    """All of a guild."""
    chosen = (
        select(PersonaRow.__table__).where(of_guild(PersonaRow, guild_id)).order_by(PersonaRow.id)
    )
    return [to_persona(row) for row in connection.execute(chosen)]


def document(
    connection: Connection, guild_id: str, persona_id: str, version: str = ""
) -> KeptDocument | None:
    """A persona's document; of a version, where that is still kept, also of a deleted one."""
    number = number_of(persona_id, GUILD_ID)
    look = _row_until_purged if version else _row
    found = look(connection, guild_id, number) if number else None
    if found is None:
        return None
    persona = to_persona(found)
    chosen = select(PersonaVersionRow.__table__).where(
        PersonaVersionRow.persona_id == number,
        PersonaVersionRow.version == (version or persona.version),
    )
    row = connection.execute(chosen).first()
    if row is None:
        return None
    return KeptDocument(persona, row.version, row.origin, row.spec, bytes(row.document))


def files(
    connection: Connection, guild_id: str, persona_id: str, *, picture_only: bool
) -> list[KeptFile]:
    """What came with a persona's card, in the order in which it came."""
    if kept(connection, guild_id, persona_id) is None:
        return []
    chosen = (
        select(PersonaFileRow.__table__)
        .where(PersonaFileRow.persona_id == number_of(persona_id, GUILD_ID))
        .order_by(PersonaFileRow.id)
    )
    if picture_only:
        chosen = chosen.where(PersonaFileRow.kind == _PICTURE)
    rows = connection.execute(chosen)
    return [KeptFile(row.kind, row.name, bytes(row.content)) for row in rows]


def has_picture(connection: Connection, digest: str) -> bool:
    """Whether any persona has a picture with this digest, a deleted one until it is purged."""
    chosen = select(PersonaRow.id).where(PersonaRow.picture_sha256 == digest)
    return connection.scalar(chosen.limit(1)) is not None


def add(
    connection: Connection, guild_id: str, draft: PersonaDraft, limits: Limits, by: str
) -> KeptPersona:
    """Keep a new one. Raises PersonaError where the name is taken or the guild has too much."""
    refuse_opted_out(connection, by)
    lock_guilds(connection)
    if is_taken(connection, PersonaRow, guild_id, draft.name_key):
        _refuse_name(draft.name)
    if count_of(connection, PersonaRow, guild_id) >= limits.personas:
        raise PersonaError(
            f"This server has {limits.personas} personas of its own, which is the limit.",
            "Delete one that nobody needs, with `/persona delete`.",
        )
    number = connection.execute(
        insert(PersonaRow)
        .values(
            **first_columns(guild_id, by),
            size_bytes=0,
            **_fields(draft),
            picture_sha256=draft.picture_digest,
        )
        .returning(PersonaRow.id)
    ).scalar_one()
    _write_version(connection, number, draft, limits, by)
    _write_files(connection, number, draft)
    return _measured(connection, guild_id, number, limits)


def change(
    connection: Connection,
    guild_id: str,
    persona_id: str,
    draft: PersonaDraft,
    limits: Limits,
    by: str,
    *,
    revision: int,
) -> KeptPersona | None:
    """Keep another version of one; None where it is not `revision` any more."""
    refuse_opted_out(connection, by)
    lock_guilds(connection)
    number = number_of(persona_id, GUILD_ID)
    row = _row(connection, guild_id, number)
    if row is None:
        raise persona_gone()
    if row.revision != revision:
        return None
    if is_taken(connection, PersonaRow, guild_id, draft.name_key, number):
        _refuse_name(draft.name)
    values = _fields(draft)
    if draft.files is not None:
        values["picture_sha256"] = draft.picture_digest
    connection.execute(
        update(PersonaRow)
        .where(PersonaRow.id == number)
        .values(**values, revision=revision + 1, edited_by=by, edited_at=now())
    )
    _write_version(connection, number, draft, limits, by)
    if draft.files is not None:
        connection.execute(delete(PersonaFileRow).where(PersonaFileRow.persona_id == number))
        _write_files(connection, number, draft)
    return _measured(connection, guild_id, number, limits)


def remove(connection: Connection, guild_id: str, persona_id: str, by: str) -> KeptPersona:
    """Delete one, so that it can be undone. Raises NotFound."""
    lock_guilds(connection)
    number = number_of(persona_id, GUILD_ID)
    if _row(connection, guild_id, number) is None:
        raise persona_gone()
    row = connection.execute(
        update(PersonaRow)
        .where(PersonaRow.id == number)
        .values(deleted_at=now(), deleted_by=by)
        .returning(*PersonaRow.__table__.columns)
    ).one()
    return to_persona(row)


def restore(connection: Connection, guild_id: str, persona_id: str, since: datetime) -> KeptPersona:
    """Undo the deletion of one that was deleted at `since` or later."""
    lock_guilds(connection)
    number = number_of(persona_id, GUILD_ID)
    row = _row_until_purged(connection, guild_id, number)
    if row is None or (row.deleted_at is not None and row.deleted_at < since):
        raise NotFound("That persona is gone for good.", "Import or create it again.")
    if row.deleted_at is None:  # pressed twice
        return to_persona(row)
    if is_taken(connection, PersonaRow, guild_id, row.name_key):
        _refuse_name(row.name, "Give that one another name first, then undo the deletion.")
    row = connection.execute(
        update(PersonaRow)
        .where(PersonaRow.id == number)
        .values(deleted_at=None, deleted_by=None)
        .returning(*PersonaRow.__table__.columns)
    ).one()
    return to_persona(row)


def persona_gone() -> NotFound:
    """What is raised for a persona that is not there."""
    return NotFound("That persona is not there any more.", "See `/persona list`.")


def to_persona(row: AnyRow) -> KeptPersona:
    """A row as a record."""
    return KeptPersona(
        id=GUILD_ID.format(row.id),
        guild_id=row.guild_id,
        name=row.name,
        revision=row.revision,
        size_bytes=row.size_bytes,
        created_by=row.created_by,
        created_at=row.created_at,
        edited_by=row.edited_by,
        edited_at=row.edited_at,
        deleted_at=row.deleted_at,
        summary=row.summary,
        version=row.version,
        picture_digest=row.picture_sha256,
    )


def _row(connection: Connection, guild_id: str, number: int) -> AnyRow | None:
    chosen = select(PersonaRow.__table__).where(is_there(PersonaRow, guild_id, number))
    return connection.execute(chosen).first()


def _row_until_purged(connection: Connection, guild_id: str, number: int) -> AnyRow | None:
    """A persona that may have been deleted."""
    chosen = select(PersonaRow.__table__).where(
        PersonaRow.id == number, PersonaRow.guild_id == guild_id
    )
    return connection.execute(chosen).first()


def _fields(draft: PersonaDraft) -> dict[str, object]:
    return {
        "name": draft.name,
        "name_key": draft.name_key,
        "summary": draft.summary,
        "version": draft.version,
    }


def _write_version(
    connection: Connection, number: int, draft: PersonaDraft, limits: Limits, by: str
) -> None:
    """Keep a version as the newest, and let go of the oldest beyond the limit."""
    # The same text may come with other keys beside it, and an old text may come again.
    of_persona = PersonaVersionRow.persona_id == number
    connection.execute(
        delete(PersonaVersionRow).where(of_persona, PersonaVersionRow.version == draft.version)
    )
    connection.execute(
        insert(PersonaVersionRow).values(
            persona_id=number,
            version=draft.version,
            origin=draft.origin,
            spec=draft.spec,
            document=draft.document,
            written_by=by,
            written_at=now(),
        )
    )
    newest = select(PersonaVersionRow.id).where(of_persona)
    kept_ids = list(
        connection.scalars(newest.order_by(PersonaVersionRow.id.desc()).limit(limits.versions))
    )
    connection.execute(
        delete(PersonaVersionRow).where(of_persona, PersonaVersionRow.id < min(kept_ids))
    )


def _write_files(connection: Connection, number: int, draft: PersonaDraft) -> None:
    for each in draft.files or ():
        connection.execute(
            insert(PersonaFileRow).values(
                persona_id=number, kind=each.kind, name=each.name, content=each.content
            )
        )


def _measured(connection: Connection, guild_id: str, number: int, limits: Limits) -> KeptPersona:
    """The persona with what it takes now. Raises PersonaError where that is too much."""
    documents = select(func.coalesce(func.sum(func.length(PersonaVersionRow.document)), 0))
    contents = select(func.coalesce(func.sum(func.length(PersonaFileRow.content)), 0))
    size = int(
        connection.scalar(documents.where(PersonaVersionRow.persona_id == number)) or 0
    ) + int(connection.scalar(contents.where(PersonaFileRow.persona_id == number)) or 0)
    row = connection.execute(
        update(PersonaRow)
        .where(PersonaRow.id == number)
        .values(size_bytes=size)
        .returning(*PersonaRow.__table__.columns)
    ).one()
    refuse_too_much(connection, guild_id, limits, PersonaError)
    return to_persona(row)


def _refuse_name(name: str, fix: str = "Take another name, or edit that one.") -> NoReturn:
    raise PersonaError(f"This server has a persona «{name}» already.", fix)
