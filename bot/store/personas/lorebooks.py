"""Guilds' lorebooks: functions of a connection, each one transaction.

The contract stands in :class:`bot.chat.personas.guild.kept.LorebookStore`.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NoReturn

from sqlalchemy import Connection, Select, delete, insert, or_, select, update

from bot.chat.personas.guild.kept import LORE_ID, BookScope, KeptLorebook, Limits, LorebookDraft
from bot.errors import LorebookError, NotFound
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
from bot.store.personas.tables import LorebookPlaceRow, LorebookRow
from bot.store.privacy.left_out import refuse_opted_out
from bot.store.turns.access import now
from bot.store.turns.rows import AnyRow, batches

_COLUMNS = [each for each in LorebookRow.__table__.columns if each.name != "document"]
Places = dict[int, list[tuple[BookScope, str]]]


def kept(connection: Connection, guild_id: str, lorebook_id: str) -> KeptLorebook | None:
    """The lorebook of this id, if it is that guild's."""
    number = number_of(lorebook_id, LORE_ID)
    found = _all(connection, select(*_COLUMNS).where(is_there(LorebookRow, guild_id, number)))
    return found[0] if found else None


def kept_by_key(connection: Connection, guild_id: str, name_key: str) -> KeptLorebook | None:
    """The lorebook of this name, as names are compared."""
    chosen = select(*_COLUMNS).where(has_name(LorebookRow, guild_id, name_key))
    found = _all(connection, chosen)
    return found[0] if found else None


def all_kept(connection: Connection, guild_id: str) -> list[KeptLorebook]:
    """All of a guild."""
    chosen = select(*_COLUMNS).where(of_guild(LorebookRow, guild_id))
    return _all(connection, chosen.order_by(LorebookRow.id))


def document(connection: Connection, guild_id: str, lorebook_id: str) -> bytes | None:
    """A lorebook's file."""
    number = number_of(lorebook_id, LORE_ID)
    chosen = select(LorebookRow.document).where(is_there(LorebookRow, guild_id, number))
    found = connection.scalar(chosen)
    return None if found is None else bytes(found)


def add(
    connection: Connection, guild_id: str, draft: LorebookDraft, limits: Limits, by: str
) -> KeptLorebook:
    """Keep a new one. Raises LorebookError: the name is taken, or the guild has too much."""
    refuse_opted_out(connection, by)
    lock_guilds(connection)
    if is_taken(connection, LorebookRow, guild_id, draft.name_key):
        _refuse_name(draft.name)
    if count_of(connection, LorebookRow, guild_id) >= limits.lorebooks:
        raise LorebookError(
            f"This server has {limits.lorebooks} lorebooks, which is the limit.",
            "Delete one that nobody needs, with `/lore delete`.",
        )
    row = connection.execute(
        insert(LorebookRow)
        .values(
            **first_columns(guild_id, by),
            **_fields(draft),
        )
        .returning(*_COLUMNS)
    ).one()
    refuse_too_much(connection, guild_id, limits, LorebookError)
    return _to_lorebook(row, {})


def change(
    connection: Connection,
    guild_id: str,
    lorebook_id: str,
    draft: LorebookDraft,
    limits: Limits,
    by: str,
) -> KeptLorebook:
    """Keep another content of one. Raises LorebookError or NotFound."""
    refuse_opted_out(connection, by)
    lock_guilds(connection)
    before = _take(connection, guild_id, lorebook_id)
    if is_taken(connection, LorebookRow, guild_id, draft.name_key, before.id):
        _refuse_name(draft.name)
    connection.execute(
        update(LorebookRow)
        .where(LorebookRow.id == before.id)
        .values(revision=before.revision + 1, edited_by=by, edited_at=now(), **_fields(draft))
    )
    refuse_too_much(connection, guild_id, limits, LorebookError)
    return _required(connection, guild_id, lorebook_id)


def remove(connection: Connection, guild_id: str, lorebook_id: str, by: str) -> KeptLorebook:
    """Delete one, so that it can be undone. Raises NotFound."""
    lock_guilds(connection)
    row = _take(connection, guild_id, lorebook_id)
    gone = connection.execute(
        update(LorebookRow)
        .where(LorebookRow.id == row.id)
        .values(deleted_at=now(), deleted_by=by)
        .returning(*_COLUMNS)
    ).one()
    return _to_lorebook(gone, _places(connection, [gone.id]))


def restore(
    connection: Connection, guild_id: str, lorebook_id: str, since: datetime
) -> KeptLorebook:
    """Undo a deletion. Raises NotFound, or LorebookError where its name is taken by now."""
    lock_guilds(connection)
    number = number_of(lorebook_id, LORE_ID)
    chosen = select(*_COLUMNS).where(LorebookRow.id == number, LorebookRow.guild_id == guild_id)
    row = connection.execute(chosen).first()
    if row is None or (row.deleted_at is not None and row.deleted_at < since):
        raise NotFound("That lorebook is gone for good.", "Import it again.")
    if row.deleted_at is not None:
        if is_taken(connection, LorebookRow, guild_id, row.name_key):
            _refuse_name(row.name)
        connection.execute(
            update(LorebookRow)
            .where(LorebookRow.id == number)
            .values(deleted_at=None, deleted_by=None)
        )
    return _required(connection, guild_id, lorebook_id)


def attach(
    connection: Connection, guild_id: str, lorebook_id: str, scope: BookScope, scope_id: str
) -> bool:
    """Let a book count somewhere. Returns whether it did not before. Raises NotFound."""
    lock_guilds(connection)
    row = _take(connection, guild_id, lorebook_id)
    if (scope, scope_id) in _places(connection, [row.id]).get(row.id, []):
        return False
    connection.execute(
        insert(LorebookPlaceRow).values(lorebook_id=row.id, scope=scope, scope_id=scope_id)
    )
    return True


def detach(
    connection: Connection, guild_id: str, lorebook_id: str, scope: BookScope, scope_id: str
) -> bool:
    """Let it count there no more. Returns whether it did before."""
    row = _take(connection, guild_id, lorebook_id)
    gone = connection.execute(
        delete(LorebookPlaceRow).where(
            LorebookPlaceRow.lorebook_id == row.id,
            LorebookPlaceRow.scope == scope,
            LorebookPlaceRow.scope_id == scope_id,
        )
    )
    return gone.rowcount > 0


def attached(
    connection: Connection, guild_id: str, places: Sequence[tuple[BookScope, str]]
) -> list[KeptLorebook]:
    """The books that count in any of these places, by their age; `places` tells in which."""
    conditions = [
        (LorebookPlaceRow.scope == scope) & (LorebookPlaceRow.scope_id == scope_id)
        for scope, scope_id in places
    ]
    if not conditions:
        return []
    numbers = select(LorebookPlaceRow.lorebook_id).where(or_(*conditions))
    chosen = select(*_COLUMNS).where(
        LorebookRow.id.in_(numbers),
        of_guild(LorebookRow, guild_id),
    )
    return _all(connection, chosen.order_by(LorebookRow.id))


def _all(connection: Connection, chosen: Select[Any]) -> list[KeptLorebook]:
    rows = connection.execute(chosen).all()
    places = _places(connection, [row.id for row in rows])
    return [_to_lorebook(row, places) for row in rows]


def _places(connection: Connection, numbers: Sequence[int]) -> Places:
    found: Places = {}
    for piece in batches(numbers):
        chosen = select(LorebookPlaceRow.__table__).where(LorebookPlaceRow.lorebook_id.in_(piece))
        ordered = chosen.order_by(LorebookPlaceRow.scope, LorebookPlaceRow.scope_id)
        for row in connection.execute(ordered):
            found.setdefault(row.lorebook_id, []).append((row.scope, row.scope_id))
    return found


def _to_lorebook(row: AnyRow, places: Places) -> KeptLorebook:
    return KeptLorebook(
        id=LORE_ID.format(row.id),
        guild_id=row.guild_id,
        name=row.name,
        revision=row.revision,
        size_bytes=row.size_bytes,
        created_by=row.created_by,
        created_at=row.created_at,
        edited_by=row.edited_by,
        edited_at=row.edited_at,
        deleted_at=row.deleted_at,
        entries=row.entries,
        places=tuple(places.get(row.id, ())),
    )


def _fields(draft: LorebookDraft) -> dict[str, object]:
    return {
        "name": draft.name,
        "name_key": draft.name_key,
        "entries": draft.entries,
        "document": draft.document,
        "size_bytes": len(draft.document),
    }


def _take(connection: Connection, guild_id: str, lorebook_id: str) -> AnyRow:
    number = number_of(lorebook_id, LORE_ID)
    chosen = select(*_COLUMNS).where(is_there(LorebookRow, guild_id, number))
    row = connection.execute(chosen).first()
    if row is None:
        raise NotFound("That lorebook is not there any more.", "See `/lore list`.")
    return row


def _required(connection: Connection, guild_id: str, lorebook_id: str) -> KeptLorebook:
    row = _take(connection, guild_id, lorebook_id)
    return _to_lorebook(row, _places(connection, [row.id]))


def _refuse_name(name: str) -> NoReturn:
    raise LorebookError(f"This server has a lorebook «{name}» already.", "Take another name.")
