"""What Alembic runs the chain with.

The program (`bot/store/connecting/migrate.py`) hands in the connection of an open transaction. A
developer names the database: `alembic -x url=sqlite+aiosqlite:///some.db ...`.
"""

from alembic import context
from sqlalchemy import Connection, TypeDecorator

from bot.store.connecting.connection import MAINTENANCE_PRAGMAS, parse_url, prepare_file, run_once
from bot.store.scenes.tables import Base  # with every table


def as_plain_type(kind: str, item: object, _context: object) -> str | bool:
    """Write columns into a migration as what they are in SQL: our own types may change later."""
    if kind == "type" and isinstance(item, TypeDecorator):
        return f"sa.{item.impl!r}"
    return False


def migrate(connection: Connection) -> None:
    """Run what was asked for in the transaction that is open."""
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=True,  # SQLite alters a table by rebuilding it
        render_item=as_plain_type,
    )
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    migrate(given)
else:
    url = parse_url(context.get_x_argument(as_dictionary=True)["url"])
    prepare_file(url)
    run_once(url, migrate, pragmas=MAINTENANCE_PRAGMAS, alone=True)
