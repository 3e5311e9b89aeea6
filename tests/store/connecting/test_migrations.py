"""The migration chain: complete, atomic, once, and never backwards."""

import asyncio
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine
from store_samples import CHANNEL, Talk

from bot.chat.messages import ChannelKey, TurnState
from bot.errors import StoreError
from bot.store.connecting import migrate
from bot.store.connecting.connection import WRITER_PRAGMAS, parse_url, run_once
from bot.store.connecting.migrate import (
    check_migrations,
    compare,
    newest_revision,
    read_chain,
    upgrade,
)
from bot.store.database import Database

BROKEN = '''
"""Fails half way"""
import sqlalchemy as sa
from alembic import op
revision = "9999"
down_revision = "{head}"
branch_labels = None
depends_on = None
def upgrade():
    op.create_table("half", sa.Column("id", sa.Integer(), primary_key=True))
    op.execute("DELETE FROM channels")
    op.execute("THIS IS NO SQL")
def downgrade():
    pass
'''
REBUILDS = '''
"""Rebuilds turns"""
import sqlalchemy as sa
from alembic import op
revision = "9999"
down_revision = "{head}"
branch_labels = None
depends_on = None
def upgrade():
    with op.batch_alter_table("turns", recreate="auto") as turns:
        turns.alter_column("persona", existing_type=sa.Text(), nullable=True)
def downgrade():
    pass
'''


def head() -> str:
    return newest_revision(read_chain())


def all_revisions() -> list[str]:
    return [script.revision for script in read_chain().walk_revisions()][::-1]


def end_chain_with(monkeypatch: pytest.MonkeyPatch, folder: Path, last: str) -> None:
    """Let the program have no migration after one of its own, as an older release."""
    copy = folder / "older migrations"
    shutil.copytree(migrate.MIGRATIONS, copy, ignore=shutil.ignore_patterns("__pycache__"))
    revisions = all_revisions()
    for revision in revisions[revisions.index(last) + 1 :]:
        (later,) = (copy / "versions").glob(f"{revision}_*.py")
        later.unlink()
    monkeypatch.setattr(migrate, "MIGRATIONS", copy)


def add_migration(monkeypatch: pytest.MonkeyPatch, folder: Path, source: str) -> None:
    """Let the program have one migration more than it has."""
    copy = folder / "migrations"
    shutil.copytree(migrate.MIGRATIONS, copy, ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "versions" / "9999_more.py").write_text(source.format(head=head()))
    monkeypatch.setattr(migrate, "MIGRATIONS", copy)


async def test_the_chain_makes_exactly_the_tables(bare_url: str) -> None:
    assert await upgrade(bare_url) == await asyncio.to_thread(all_revisions)
    assert await compare(bare_url) == []
    assert await upgrade(bare_url) == []
    assert await check_migrations() == []


async def test_a_difference_is_found(sqlite_url: str, sqlite_file: Path) -> None:
    await upgrade(sqlite_url)
    with closing(sqlite3.connect(sqlite_file)) as connection:
        connection.execute("ALTER TABLE turns DROP COLUMN persona")
    (difference,) = await compare(sqlite_url)
    assert "persona" in difference


async def test_starts_at_once_migrate_once(bare_url: str) -> None:
    done = await asyncio.gather(*(upgrade(bare_url) for _ in range(5)))
    assert sorted(done) == [[], [], [], [], await asyncio.to_thread(all_revisions)]


async def test_a_migration_that_fails_leaves_all_as_it_was(
    bare_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = await Database.open(bare_url)
    await Talk(database.history).ask("keep me")
    await database.close()
    with monkeypatch.context() as patch:
        await asyncio.to_thread(add_migration, patch, tmp_path, BROKEN)
        with pytest.raises(StoreError):
            await upgrade(bare_url)
    assert await compare(bare_url) == []
    database = await Database.open(bare_url)
    assert await Talk(database.history).texts() == ["keep me"]
    await database.close()


async def test_rebuilding_a_table_keeps_what_refers_to_it(
    bare_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = await Database.open(bare_url)
    talk = Talk(database.history)
    reply = await talk.answer(await talk.ask("keep me"))
    await database.close()
    await asyncio.to_thread(add_migration, monkeypatch, tmp_path, REBUILDS)
    assert await upgrade(bare_url) == ["9999"]
    database = await Database.open(bare_url)
    assert await database.history.turn(reply.turn_id) == reply
    await database.close()


async def test_turns_of_an_older_database_get_their_positions(
    bare_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        await asyncio.to_thread(end_chain_with, patch, tmp_path, "0001")
        await upgrade(bare_url)
    await asyncio.to_thread(run_once, parse_url(bare_url), _old_rows, pragmas=WRITER_PRAGMAS)
    await upgrade(bare_url)
    database = await Database.open(bare_url)
    window = await database.history.window(CHANNEL, 2)
    assert [turn.turn_id for turn in window.turns] == [3, 5]
    assert (window.positions, window.skipped) == ((1, 2), 1)
    new = await Talk(database.history).ask("new")
    assert (await database.history.window(CHANNEL, 1)).positions == (3,)
    assert new.turn_id == 6
    await database.close()


def _old_rows(connection: Connection) -> None:
    """Turns of two conversations among each other, as a program at revision 0001 left them."""
    run = connection.exec_driver_sql
    run(
        "INSERT INTO channels (id, platform, platform_channel_id, is_direct) VALUES "
        "(1, 'discord', '100', false)"
    )
    run(
        "INSERT INTO conversations (id, channel_id, is_current, created_at) VALUES "
        "(1, 1, true, '2024-01-01 00:00:00'), (2, 1, false, '2024-01-01 00:00:00')"
    )
    for turn_id, conversation in ((1, 1), (2, 2), (3, 1), (4, 2), (5, 1)):
        run(
            "INSERT INTO turns (id, conversation_id, role, speaker_id, speaker_name, "
            "speaker_is_bot, text, created_at, persona, addressed, is_pending, active_swipe) "
            f"VALUES ({turn_id}, {conversation}, 'user', 'ann', 'Ann', false, 'Hi', "
            "'2024-01-01 00:00:00', '', false, false, 0)"
        )
    if connection.dialect.name == "postgresql":
        for table in ("channels", "conversations", "turns"):
            run(f"SELECT setval('{table}_id_seq', (SELECT max(id) FROM {table}))")


async def test_a_database_newer_than_the_program_is_refused_and_left_alone(
    bare_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        await asyncio.to_thread(add_migration, patch, tmp_path, REBUILDS)
        await upgrade(bare_url)
    with pytest.raises(StoreError, match=r"newer than this program.*Update"):
        await Database.open(bare_url)


async def test_somebody_elses_tables_are_left_alone(sqlite_url: str, sqlite_file: Path) -> None:
    sqlite_file.parent.mkdir()
    with closing(sqlite3.connect(sqlite_file)) as connection:
        connection.execute("CREATE TABLE messages (id)")
    with pytest.raises(StoreError, match="not Caduceus's own"):
        await Database.open(sqlite_url)


async def test_progress_is_logged_but_of_a_new_database_one_line(
    sqlite_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "bot.store")
    with monkeypatch.context() as patch:
        await asyncio.to_thread(end_chain_with, patch, tmp_path, "0001")
        await upgrade(sqlite_url)
    assert caplog.messages == ["making a new database"]
    caplog.clear()
    await upgrade(sqlite_url)
    steps = len(await asyncio.to_thread(all_revisions)) - 1
    assert len(caplog.messages) == steps
    assert caplog.messages[0].startswith(f"database migration 1 of {steps}: ")
    assert caplog.messages[-1].startswith(f"database migration {steps} of {steps}: ")


# As the release before wrote it: the columns of its tables, and nothing that came later.
BEFORE_IDS = """
INSERT INTO channels (id, platform, platform_channel_id, is_direct)
VALUES (1, 'discord', '100', false);
INSERT INTO conversations (id, channel_id, is_current, created_at)
VALUES (1, 1, true, '2024-05-17 08:00:00');
INSERT INTO turns (id, conversation_id, role, speaker_id, speaker_name, speaker_is_bot, text,
created_at, persona, addressed, is_pending, active_swipe)
VALUES (1, 1, 'bot', 'persona:Ada', 'Ada', true, '',
'2024-05-17 08:00:00', 'Ada', false, false, 0);
INSERT INTO swipes (id, turn_id, position, text, state) VALUES (1, 1, 0, 'Aye.', 'whole');
INSERT INTO generations (swipe_id, created_at, prompt_sha256, prompt_format, persona,
settings_revision, temperature, top_k, top_p, min_p, repetition_penalty, finish, model, seed,
prompt_tokens, cached_prompt_tokens, reply_tokens, queued_seconds, first_token_seconds,
total_seconds)
VALUES (1, '2024-05-17 08:00:00', 'ab', 'alpaca', 'Ada', 0, 1, 0, 1, 0, 1, 'stop', 'demo', '7',
1, 0, 1, 0, 0, 0)
"""


async def test_turns_of_before_there_were_persona_ids_keep_their_name(
    bare_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        await asyncio.to_thread(end_chain_with, patch, tmp_path, "0001")
        assert await upgrade(bare_url) == ["0001"]
    engine = create_async_engine(bare_url)
    async with engine.begin() as connection:
        for statement in BEFORE_IDS.split(";"):
            await connection.execute(text(statement))
    await engine.dispose()
    database = await Database.open(bare_url)
    turn = await database.history.turn(1)
    assert (turn.persona, turn.persona_id, turn.text) == ("Ada", "", "Aye.")
    record = await database.history.generation(1, 0)
    assert record is not None
    assert (record.persona, record.persona_id, record.persona_version) == ("Ada", "", "")
    await database.close()


BEFORE_RUNS = """
INSERT INTO channels (id, platform, platform_channel_id, is_direct, last_seen_message_id)
    VALUES (1, 'discord', '100', false, '5');
INSERT INTO conversations (id, channel_id, is_current, created_at)
    VALUES (1, 1, true, '2024-05-17 08:00:00');
INSERT INTO turns (id, conversation_id, role, speaker_id, speaker_name, speaker_is_bot, text,
    created_at, persona, addressed, is_pending, active_swipe)
    VALUES (1, 1, 'user', 'ann', 'Ann', false, 'hi', '2024-05-17 08:00:00', '', true, true, 0),
    (2, 1, 'bot', 'bot', 'Bot', true, '', '2024-05-17 08:00:00', '', false, false, 0);
INSERT INTO swipes (turn_id, position, text, state) VALUES (2, 0, 'Half', 'running')
"""


async def test_what_was_there_before_runs_goes_to_who_serves_next(
    bare_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(connection: Connection) -> None:
        for statement in BEFORE_RUNS.split(";"):
            connection.exec_driver_sql(statement)

    with monkeypatch.context() as patch:
        copy = tmp_path / "migrations"
        later = shutil.ignore_patterns("__pycache__", "000[2-9]*", "00[1-9]*")
        await asyncio.to_thread(shutil.copytree, migrate.MIGRATIONS, copy, ignore=later)
        patch.setattr(migrate, "MIGRATIONS", copy)
        assert await upgrade(bare_url) == ["0001"]
    await asyncio.to_thread(run_once, parse_url(bare_url), fill, pragmas=(), alone=True)

    database = await Database.open(bare_url)
    channel = ChannelKey("discord", "100")
    await database.history.serve("discord", "1", lambda _: None)
    assert await database.history.last_seen("discord") == {channel: "5"}
    assert [turn.turn_id for turn in await database.history.pending(channel)] == [1]
    assert (await database.history.turn(2)).state is TurnState.CUT
    await database.close()
    assert await compare(bare_url) == []


async def test_a_generation_from_before_engines_had_names_has_none(
    sqlite_url: str, sqlite_file: Path
) -> None:
    database = await Database.open(sqlite_url)
    talk = Talk(database.history)
    reply = await talk.answer(await talk.ask("Who wrote this?"))
    kept = await database.history.generation(reply.turn_id, 0)
    assert kept is not None
    assert kept.engine == "local"
    await database.close()
    with closing(sqlite3.connect(sqlite_file)) as connection, connection:
        rows = connection.execute("SELECT * FROM generations")
        names = [column[0] for column in rows.description if column[0] not in ("id", "engine")]
        listed = ", ".join(names)
        copied = f"INSERT INTO generations ({listed}) SELECT {listed} FROM generations"
        connection.execute(copied)
    database = await Database.open(sqlite_url)
    old = await database.history.generation(reply.turn_id, 0)
    assert old == replace(kept, engine="")
    await database.close()
