"""Everything stored, as one JSON document."""

import asyncio
import io
import json
import os
import tracemalloc
from argparse import ArgumentParser
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from store_samples import BEN, CHANNEL, OTHER_CHANNEL, Talk, record

from bot.chat.messages import QuotedMessage, Scope, TurnState
from bot.cli import db
from bot.errors import SettingsError, StoreError, UserError
from bot.store import export
from bot.store.connecting.connection import parse_url, prepare_file
from bot.store.connecting.migrate import newest_revision, read_chain
from bot.store.database import Database
from bot.store.export import export_json


async def exported(url: str) -> dict[str, Any]:
    stream = io.StringIO()
    await export_json(url, stream)
    return json.loads(stream.getvalue())


async def test_an_empty_database(database: Database, database_url: str) -> None:
    document = await exported(database_url)
    assert document["format"] == "caduceus-export"
    assert (document["channels"], document["settings"], document["setting_changes"]) == ([], [], [])


async def test_everything_is_in_it(database: Database, database_url: str) -> None:
    history = database.history
    talk = Talk(history)
    question = await talk.ask("“why?” 👋\n", reply_to=QuotedMessage("9", BEN, "earlier"))
    reply = await talk.answer(question, text="because")
    await history.begin_swipe(reply.turn_id)
    await history.show_reply(reply.turn_id, "or else", ["10"])
    await history.finish_reply(reply.turn_id, TurnState.CUT, record(seed=2**63))
    hidden = await history.hide_last_exchange(CHANNEL)
    await history.reset(CHANNEL)
    await talk.mention("anew")
    await history.note_seen(OTHER_CHANNEL, "77")
    await database.settings.change(Scope.GUILD, "discord:1", "top_k", 5, by="ann")
    await database.settings.change(Scope.GUILD, "discord:1", "top_k", 6, by="ann")

    document = await exported(database_url)
    here, there = document["channels"]
    assert (here["channel_id"], there["last_seen"]) == ("100", {"": "77"})
    old, new = here["conversations"]
    assert (old["is_current"], new["is_current"]) == (False, True)
    assert [turn["text"] for turn in old["turns"]] == ["“why?” 👋\n", "or else"]
    assert [turn["turn_id"] for turn in old["turns"]] == hidden
    assert all(turn["hidden_at"] for turn in old["turns"])
    assert old["turns"][0]["reply_to"]["text"] == "earlier"
    swipes = old["turns"][1]["swipes"]
    assert [(swipe["text"], swipe["state"]) for swipe in swipes] == [
        ("because", "whole"),
        ("or else", "cut"),
    ]
    assert swipes[1]["generations"][0]["statistics"]["seed"] == 2**63
    assert [turn["persona_id"] for turn in old["turns"]] == ["", "file:ada"]
    generation = swipes[1]["generations"][0]
    assert generation["persona_id"] == "file:ada"
    assert generation["persona_version"] == "0123456789abcdef"
    assert [turn["text"] for turn in new["turns"]] == ["anew"]
    assert document["settings"] == [
        {"scope": "guild", "scope_id": "discord:1", "key": "top_k", "value": 6}
    ]
    assert [change["new"] for change in document["setting_changes"]] == [5, 6]


class Counting(io.StringIO):
    """Keeps nothing."""

    written = 0

    def write(self, text: str) -> int:
        self.written += len(text)
        return len(text)


async def test_many_pages_in_order_and_memory_stays_flat(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "PAGE_ROWS", 7)
    talk = Talk(database.history)
    for _ in range(4):
        await asyncio.gather(*(talk.mention(f"{number} " * 5_000) for number in range(50)))
    await database.search.index_all()  # which would else go on meanwhile
    # Before it is measured: what is imported and kept once is not of the size of an export.
    texts = [
        turn["text"]
        for turn in (await exported(database_url))["channels"][0]["conversations"][0]["turns"]
    ]
    assert texts == await talk.texts()
    seen: list[tuple[int, int]] = []
    stream = Counting()
    tracemalloc.start()
    try:
        await export_json(
            database_url, stream, progress=lambda done, total: seen.append((done, total))
        )
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert seen == [(number, 200) for number in range(1, 201)]
    assert stream.written > 2_000_000
    assert peak < stream.written / 2


async def test_a_stream_that_breaks_is_no_fault_of_the_database(
    database: Database, database_url: str
) -> None:
    class Broken(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError("nobody reads on")

    with pytest.raises(BrokenPipeError):
        await export_json(database_url, Broken())


async def test_what_is_not_there_is_not_exported(sqlite_url: str) -> None:
    with pytest.raises(StoreError, match="no database"):
        await export_json(sqlite_url, io.StringIO())
    await asyncio.to_thread(prepare_file, parse_url(sqlite_url))
    with pytest.raises(StoreError, match="db upgrade"):
        await export_json(sqlite_url, io.StringIO())


@dataclass(frozen=True)
class Settings:
    """What the command needs of the process's settings."""

    database_url: str


def command(url: str | None, *words: str) -> int:
    """`python -m bot db ...`."""
    parser = ArgumentParser()
    db.add_arguments(parser)
    return db.run(parser.parse_args(words), None if url is None else Settings(url))


def test_the_command_upgrades_checks_and_exports(
    sqlite_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(sqlite_url, "check") == 1
    assert "There is no database" in capsys.readouterr().err
    assert command(sqlite_url, "upgrade") == 0
    assert newest_revision(read_chain()) in capsys.readouterr().out
    assert command(sqlite_url, "upgrade") == 0
    assert "already" in capsys.readouterr().out
    assert command(sqlite_url, "check") == 0
    assert "whole" in capsys.readouterr().out
    assert command(sqlite_url, "export") == 0
    assert json.loads(capsys.readouterr().out)["channels"] == []
    target = tmp_path / "all.json"
    assert command(sqlite_url, "export", "--output", str(target)) == 0
    assert json.loads(target.read_text())["channels"] == []
    assert target.stat().st_mode & 0o077 == 0
    assert "0 turns written" in capsys.readouterr().out


def test_a_failed_export_keeps_the_former_one(sqlite_url: str, tmp_path: Path) -> None:
    target = tmp_path / "all.json"
    target.write_text("former")
    with pytest.raises(StoreError):
        command(sqlite_url, "export", "-o", str(target))
    assert target.read_text() == "former"
    assert os.listdir(tmp_path) == ["all.json"]
    with pytest.raises(UserError, match="cannot be written"):
        command(sqlite_url, "export", "-o", str(tmp_path / "nowhere" / "all.json"))


def test_checking_the_migrations_needs_no_settings(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command(None, "check", "--migrations") == 0
    with pytest.raises(SettingsError):
        command(None, "check")

    async def differing() -> list[str]:
        return ["a table is missing"]

    monkeypatch.setattr(db, "check_migrations", differing)
    assert command(None, "check", "--migrations") == 1
    assert "a table is missing" in capsys.readouterr().err
