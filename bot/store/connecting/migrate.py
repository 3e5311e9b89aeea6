"""The migration chain, run from the program: at start, and by `python -m bot db`."""

import asyncio
import io
import logging
import tempfile
from functools import cache, partial
from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, inspect, text

from bot.errors import StoreError, WrongDatabase
from bot.invocation import command as our_command
from bot.store.connecting.connection import (
    MAINTENANCE_PRAGMAS,
    is_sqlite,
    parse_url,
    prepare_file,
    run_once,
)
from bot.store.every_table import Base

MIGRATIONS = Path(__file__).resolve().parents[3] / "migrations"

logger = logging.getLogger(__name__)


async def upgrade(url: str) -> list[str]:
    """Bring a database to this program's revision; returns the revisions it was taken through.

    All or nothing, and only one program at a time. Raises SettingsError or StoreError.
    """
    return await asyncio.to_thread(_upgrade, parse_url(url))


async def compare(url: str) -> list[str]:
    """What Alembic would still have to change in an upgraded database."""
    return await asyncio.to_thread(_compare, parse_url(url))


async def check_migrations() -> list[str]:
    """Whether the chain makes exactly the tables of `tables.py`: [] if so, else the differences."""
    return await asyncio.to_thread(_check_migrations)


def read_chain() -> ScriptDirectory:
    """The migrations, all loaded. Reads files, the first time: not for the event loop."""
    return _chain_in(MIGRATIONS)


@cache
def _chain_in(folder: Path) -> ScriptDirectory:
    chain = ScriptDirectory.from_config(_config())
    if not list(chain.walk_revisions()):
        raise StoreError(f"There are no migrations in {folder}.", "Get the whole program again.")
    return chain


def _config() -> Config:
    config = Config(stdout=io.StringIO())
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config


def newest_revision(chain: ScriptDirectory) -> str:
    """The revision that the chain ends in."""
    return chain.get_heads()[0]


def stored_revision(connection: Connection, url: URL, chain: ScriptDirectory) -> str | None:
    """The revision of a database, None for an empty one.

    WrongDatabase when it is newer than this program, or not ours.
    """
    current = MigrationContext.configure(connection).get_current_revision()
    if current is None:
        strangers = set(inspect(connection).get_table_names()) & set(Base.metadata.tables)
        if strangers:
            raise WrongDatabase(
                f"The database {url.database} holds tables that are not Caduceus's own: "
                f"{', '.join(sorted(strangers))}.",
                "Give Caduceus a database of its own (DATABASE_URL).",
            )
        return None
    if current not in {script.revision for script in chain.walk_revisions()}:
        raise WrongDatabase(
            f"The database {url.database} is newer than this program (revision {current}).",
            "Update Caduceus, or put back a backup made before the update.",
        )
    return current


# Alembic reads files and works long, so all of it runs in a thread; on PostgreSQL the connection
# lives on a loop of that thread's own.


def _upgrade(url: URL) -> list[str]:
    chain = read_chain()
    prepare_file(url)
    work = partial(_run_chain, url=url, chain=chain)
    return run_once(url, work, pragmas=MAINTENANCE_PRAGMAS, alone=True)


def _compare(url: URL) -> list[str]:
    return run_once(url, _differences)


def _check_migrations() -> list[str]:
    with tempfile.TemporaryDirectory(prefix="caduceus-") as folder:
        url = parse_url(f"sqlite+aiosqlite:///{folder}/check.db")
        _upgrade(url)
        return _compare(url)


def _run_chain(connection: Connection, *, url: URL, chain: ScriptDirectory) -> list[str]:
    current = stored_revision(connection, url, chain)
    newest = newest_revision(chain)
    if current == newest:
        return []
    waiting = [
        script
        for script in chain.iterate_revisions(newest, current or "base")
        if script.revision != current
    ]
    steps = list(reversed(waiting))
    config = _config()
    config.attributes["connection"] = connection  # `migrations/env.py` works in our transaction
    if current is None:  # each step would be news to nobody
        logger.info("making a new database")
    for number, script in enumerate(steps, 1):
        level = logging.DEBUG if current is None else logging.INFO
        logger.log(level, "database migration %d of %d: %s", number, len(steps), script.doc)
        command.upgrade(config, script.revision)
    if is_sqlite(url):
        broken = connection.execute(text("PRAGMA foreign_key_check")).first()
        if broken is not None:
            raise StoreError(
                f"The migration of {url.database} was taken back: rows of «{broken[0]}» refer to "
                "nothing.",
                f"Run {our_command('db check')}; the database is as it was.",
            )
    return [script.revision for script in steps]


def is_ours(name: str | None, kind: str, _parents: object) -> bool:
    """Whether a table is one of SQLAlchemy's: what searches is made by hand, in `turn_search`."""
    return kind != "table" or not (name or "").startswith("turn_search")


def _differences(connection: Connection) -> list[str]:
    options = {"render_as_batch": True, "include_name": is_ours}
    context = MigrationContext.configure(connection, opts=options)
    return [str(difference) for difference in compare_metadata(context, Base.metadata)]
