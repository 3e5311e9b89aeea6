"""The core's `SettingsStore` port on SQL: what is set now, and every change."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    bindparam,
    delete,
    false,
    func,
    insert,
    or_,
    select,
    text,
)

from bot.chat.messages import JsonValue, Scope, SettingChange, StoredSettings
from bot.errors import SettingChanged
from bot.store.columns import storable
from bot.store.connecting.binding import OnTransactions, reads, writes
from bot.store.connecting.connection import is_postgres
from bot.store.tables import SettingChangeRow, SettingValueRow
from bot.store.turns.access import LARGEST_ID, now
from bot.store.turns.rows import batches, to_change

SCOPES_A_STATEMENT = 100

Scopes = Sequence[tuple[Scope, str]]


def values(
    connection: Connection, scopes: Scopes
) -> Mapping[tuple[Scope, str], Mapping[str, JsonValue]]:
    """What is set in each scope."""
    found: dict[tuple[Scope, str], dict[str, JsonValue]] = {}
    for piece in batches(scopes, SCOPES_A_STATEMENT):
        wanted: dict[str, str] = {}
        for number, (scope, scope_id) in enumerate(piece):
            wanted |= {f"scope{number}": scope.value, f"id{number}": scope_id}
        rows = connection.execute(_values_in(len(piece)), wanted)
        for row in rows:
            found.setdefault((Scope(row.scope), row.scope_id), {})[row.key] = row.value
    return found


@lru_cache(maxsize=8)
def _values_in(scopes: int) -> Select[Any]:
    """The values of so many scopes: put together once, as it costs more than running it."""
    places = (
        (SettingValueRow.scope == bindparam(f"scope{number}"))
        & (SettingValueRow.scope_id == bindparam(f"id{number}"))
        for number in range(scopes)
    )
    return select(SettingValueRow.__table__).where(or_(false(), *places))


_NEWEST = select(func.max(SettingChangeRow.id))


def stored(connection: Connection, scopes: Scopes) -> StoredSettings:
    """What is set in each scope, and the newest change's id."""
    return StoredSettings(values(connection, scopes), revision(connection))


def change(
    connection: Connection,
    scope: Scope,
    scope_id: str,
    key: str,
    value: JsonValue,
    *,
    by: str,
    formerly: Sequence[str] = (),
    seen: int | None = None,
) -> SettingChange:
    """Set a value (None resets it) and write down the change. See the port."""
    place = {"scope": scope.value, "scope_id": scope_id, "key": key}
    value = _storable_value(value)
    if is_postgres(connection):
        # One change at a time, so that each knows what it replaces; readers don't wait.
        connection.execute(text("LOCK TABLE setting_values IN EXCLUSIVE MODE"))
    keys = [key, *formerly]
    if seen is not None:
        latest = newest(connection, scope, scope_id, keys)
        if seen != (latest.change_id if latest else 0):
            raise SettingChanged(f"Somebody else has changed `{key}` meanwhile.", "Look again.")
    here = (
        (SettingValueRow.scope == place["scope"])
        & (SettingValueRow.scope_id == place["scope_id"])
        & SettingValueRow.key.in_(keys)
    )
    rows = connection.execute(select(SettingValueRow.key, SettingValueRow.value).where(here))
    stood = {row.key: row.value for row in rows}
    old = next((stood[name] for name in keys if name in stood), None)
    connection.execute(delete(SettingValueRow).where(here))
    if value is not None:
        connection.execute(insert(SettingValueRow).values(**place, value=value))
    written = connection.execute(
        insert(SettingChangeRow)
        .values(**place, old=old, new=value, changed_by=by, changed_at=now())
        .returning(*SettingChangeRow.__table__.columns)
    )
    return to_change(written.one())


def newest(
    connection: Connection, scope: Scope, scope_id: str, keys: Sequence[str]
) -> SettingChange | None:
    """The newest change of a setting in one scope; `keys` are its names."""
    chosen = (
        select(SettingChangeRow.__table__)
        .where(_within(SettingChangeRow, [(scope, scope_id)]), SettingChangeRow.key.in_(keys))
        .order_by(SettingChangeRow.id.desc())
        .limit(1)
    )
    row = connection.execute(chosen).first()
    return None if row is None else to_change(row)


def changes(connection: Connection, scopes: Scopes, *, limit: int = 20) -> list[SettingChange]:
    """The newest changes in these scopes, newest first."""
    chosen = (
        select(SettingChangeRow.__table__)
        .where(_within(SettingChangeRow, scopes))
        .order_by(SettingChangeRow.id.desc())
        .limit(max(0, limit))
    )
    return [to_change(row) for row in connection.execute(chosen)]


def change_by_id(connection: Connection, change_id: int) -> SettingChange | None:
    """One change."""
    if not 0 < change_id <= LARGEST_ID:
        return None
    chosen = select(SettingChangeRow.__table__).where(SettingChangeRow.id == change_id)
    row = connection.execute(chosen).first()
    return None if row is None else to_change(row)


def revision(connection: Connection) -> int:
    """The newest change's id, 0 when there is none."""
    return connection.scalar(_NEWEST) or 0


def _within(
    rows: type[SettingValueRow] | type[SettingChangeRow], scopes: Scopes
) -> ColumnElement[bool]:
    return or_(
        false(),
        *((rows.scope == scope.value) & (rows.scope_id == scope_id) for scope, scope_id in scopes),
    )


def _storable_value(value: JsonValue) -> JsonValue:
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, list):
        return [storable(word) for word in value]
    return value


class SqlSettings(OnTransactions):
    """Raw values of the settings cascade, with their history."""

    values = reads(values)
    stored = reads(stored)
    change = writes(change)
    newest = reads(newest)
    changes = reads(changes)
    change_by_id = reads(change_by_id)
    revision = reads(revision)
