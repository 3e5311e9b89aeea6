"""The core's `SettingsStore` port on SQL: what is set now, and every change."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    delete,
    false,
    func,
    insert,
    or_,
    select,
    text,
    update,
)

from bot.chat.messages import JsonValue, Scope, SettingChange
from bot.store.access import LARGEST_ID, is_postgres, now
from bot.store.columns import storable
from bot.store.rows import to_change
from bot.store.tables import SettingChangeRow, SettingValueRow
from bot.store.transactions import Transactions

Scopes = Sequence[tuple[Scope, str]]


class SqlSettings:
    """Raw values of the settings cascade, with their history."""

    def __init__(self, transactions: Transactions) -> None:
        """The database's."""
        self._transactions = transactions

    async def values(self, scopes: Scopes) -> Mapping[tuple[Scope, str], Mapping[str, JsonValue]]:
        """What is set in each scope."""
        return await self._transactions.read(lambda connection: _values(connection, scopes))

    async def change(
        self, scope: Scope, scope_id: str, key: str, value: JsonValue, *, by: str
    ) -> SettingChange:
        """Set a value (None resets it) and write down the change."""
        place = {"scope": scope.value, "scope_id": scope_id, "key": key}
        storable_value = _storable_value(value)
        return await self._transactions.write(
            lambda connection: _change(connection, place, storable_value, by)
        )

    async def changes(self, scopes: Scopes, *, limit: int = 20) -> list[SettingChange]:
        """The newest changes in these scopes, newest first."""
        chosen = (
            select(SettingChangeRow.__table__)
            .where(_within(SettingChangeRow, scopes))
            .order_by(SettingChangeRow.id.desc())
            .limit(max(0, limit))
        )
        return await self._transactions.read(
            lambda connection: [to_change(row) for row in connection.execute(chosen)]
        )

    async def change_by_id(self, change_id: int) -> SettingChange | None:
        """One change."""
        if not 0 < change_id <= LARGEST_ID:
            return None
        chosen = select(SettingChangeRow.__table__).where(SettingChangeRow.id == change_id)
        row = await self._transactions.read(lambda connection: connection.execute(chosen).first())
        return None if row is None else to_change(row)

    async def revision(self) -> int:
        """The newest change's id, 0 when there is none."""
        newest = select(func.max(SettingChangeRow.id))
        return await self._transactions.read(lambda connection: connection.scalar(newest)) or 0


def _values(
    connection: Connection, scopes: Scopes
) -> dict[tuple[Scope, str], dict[str, JsonValue]]:
    found: dict[tuple[Scope, str], dict[str, JsonValue]] = {}
    for row in connection.execute(
        select(SettingValueRow.__table__).where(_within(SettingValueRow, scopes))
    ):
        found.setdefault((Scope(row.scope), row.scope_id), {})[row.key] = row.value
    return found


def _change(
    connection: Connection, place: dict[str, Any], value: JsonValue, by: str
) -> SettingChange:
    if is_postgres(connection):
        # One change at a time, so that each knows what it replaces; readers don't wait.
        connection.execute(text("LOCK TABLE setting_values IN EXCLUSIVE MODE"))
    here = (
        (SettingValueRow.scope == place["scope"])
        & (SettingValueRow.scope_id == place["scope_id"])
        & (SettingValueRow.key == place["key"])
    )
    old = connection.scalar(select(SettingValueRow.value).where(here))
    if value is None:
        connection.execute(delete(SettingValueRow).where(here))
    elif old is None:
        connection.execute(insert(SettingValueRow).values(**place, value=value))
    else:
        connection.execute(update(SettingValueRow).where(here).values(value=value))
    written = connection.execute(
        insert(SettingChangeRow)
        .values(**place, old=old, new=value, changed_by=by, changed_at=now())
        .returning(*SettingChangeRow.__table__.columns)
    )
    return to_change(written.one())


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
