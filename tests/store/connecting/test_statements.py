"""A statement's text is made once, whichever engine of that kind of database runs it."""

from pathlib import Path

import pytest
from empty_database import put_empty_database
from sqlalchemy import Engine, bindparam, create_engine, select
from sqlalchemy.sql.compiler import SQLCompiler

from bot.chat.messages import ChannelKey
from bot.store.connecting.connection import READER_PRAGMAS, WRITER_PRAGMAS, parse_url, sqlite_engine
from bot.store.connecting.statements import SharedStatements
from bot.store.database import Database
from bot.store.every_table import Base

CHANNELS = Base.metadata.tables["channels"]


@pytest.fixture
def texts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What SQLAlchemy wrote meanwhile."""
    written: list[str] = []
    original = SQLCompiler.__init__

    def compile_(self: SQLCompiler, *args: object, **options: object) -> None:
        original(self, *args, **options)  # type: ignore[arg-type]
        written.append(self.string)

    monkeypatch.setattr(SQLCompiler, "__init__", compile_)
    return written


async def test_the_next_database_of_its_kind_writes_no_text_anew(
    database_url: str, texts: list[str]
) -> None:
    for _ in range(2):
        texts.clear()
        database = await Database.open(database_url)
        await database.history.last_seen("discord")
        await database.history.pending(ChannelKey("discord", "100"))
        await database.close()
        asked = [text for text in texts if text.startswith("SELECT") and "alembic" not in text]
    assert asked == []


def test_what_engines_share_answers_with_the_values_of_now(tmp_path: Path) -> None:
    for name in ("one", "two"):
        file = tmp_path / f"{name}.db"
        put_empty_database(file)
        url = parse_url(f"sqlite+aiosqlite:///{file}")
        for pragmas in (WRITER_PRAGMAS, READER_PRAGMAS):
            engine = sqlite_engine(url, pragmas, begin="BEGIN")
            with engine.begin() as connection:
                assert connection.scalar(select(bindparam("value", name))) == name
                assert connection.scalars(select(CHANNELS.c.id)).all() == []
            engine.dispose()


def test_another_kind_of_database_has_texts_of_its_own() -> None:
    kept = SharedStatements(10)

    def engine(driver: str) -> Engine:
        return create_engine(driver, execution_options={"compiled_cache": kept})

    sqlite, postgres = engine("sqlite://"), engine("postgresql+asyncpg://nobody@localhost/none")
    kept[sqlite.dialect, "statement", (), False, False] = "of SQLite"
    assert kept.get((engine("sqlite://").dialect, "statement", (), False, False)) == "of SQLite"
    assert kept.get((sqlite.dialect, "another", (), False, False)) is None
    assert kept.get((postgres.dialect, "statement", (), False, False)) is None
    sqlite.dialect.server_version_info = (3, 1)
    assert kept.get((sqlite.dialect, "statement", (), False, False)) is None
