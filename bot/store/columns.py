"""Column types that mean the same on SQLite and PostgreSQL."""

from datetime import UTC, datetime

from sqlalchemy import BigInteger, DateTime, Dialect, Integer, Text, TypeDecorator

RowId = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers only an INTEGER key by itself


def storable(value: str) -> str:
    """`value` as both databases can hold it: no NUL, no half of a surrogate pair."""
    return (
        value.replace("\0", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    )


class CleanText(TypeDecorator[str]):
    """Text that PostgreSQL and SQLite both take, whatever a client sent."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Replace what cannot be stored."""
        return None if value is None else storable(value)


def utc(value: datetime) -> datetime:
    """`value` in UTC. ValueError for a naive one: it would be somebody's local time."""
    if value.tzinfo is None:
        raise ValueError("A stored time needs a time zone.")
    return value.astimezone(UTC)


class UtcDateTime(TypeDecorator[datetime]):
    """A moment. SQLite knows no time zones: it stands there in UTC, in an order that sorts."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Aware moments only."""
        return None if value is None else utc(value)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """In UTC, aware."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class WideInteger(TypeDecorator[int]):
    """An integer of any size, as digits: seeds use all 64 bits, a signed column has 63."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: int | None, dialect: Dialect) -> str | None:
        """Digits."""
        return None if value is None else str(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> int | None:
        """A number again."""
        return None if value is None else int(value)
