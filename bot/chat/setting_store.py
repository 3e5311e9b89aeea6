"""What the core asks of whoever keeps the settings of guilds and channels."""

from collections.abc import Sequence
from typing import Protocol

from bot.chat.messages import JsonValue, Scope, SettingChange, StoredSettings, StoredValues


class SettingsStore(Protocol):
    """Raw values of the settings cascade, with their history."""

    async def values(self, scopes: Sequence[tuple[Scope, str]]) -> StoredValues:
        """What is set in each scope. A scope without values may be missing."""
        ...

    async def stored(self, scopes: Sequence[tuple[Scope, str]]) -> StoredSettings:
        """:meth:`values` and :meth:`revision` of the same moment."""
        ...

    async def change(
        self,
        scope: Scope,
        scope_id: str,
        key: str,
        value: JsonValue,
        *,
        by: str,
        formerly: Sequence[str] = (),
        seen: int | None = None,
    ) -> SettingChange:
        """Set a value (None resets it) and write down the change.

        What stands under `formerly`, the key's older names, is replaced with it. With `seen`, only
        if the newest change of it is still the one of this number (0: none); raises
        SettingChanged else.
        """
        ...

    async def newest(
        self, scope: Scope, scope_id: str, keys: Sequence[str]
    ) -> SettingChange | None:
        """The newest change of a setting in one scope; `keys` are its names."""
        ...

    async def changes(
        self, scopes: Sequence[tuple[Scope, str]], *, limit: int = 20
    ) -> list[SettingChange]:
        """The newest changes in these scopes, newest first."""
        ...

    async def change_by_id(self, change_id: int) -> SettingChange | None:
        """One change."""
        ...

    async def revision(self) -> int:
        """The newest change's id, 0 when there is none."""
        ...
