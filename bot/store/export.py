"""Everything stored, as one JSON document, written while it is read: memory stays flat."""

import asyncio
import dataclasses
import json
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from typing import Any, TextIO

from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, Select, func, select

from bot.errors import StoreError, WrongDatabase
from bot.invocation import command
from bot.store.connecting.connection import is_sqlite, parse_url, run_once, sqlite_file
from bot.store.connecting.migrate import newest_revision, read_chain, stored_revision
from bot.store.limits.ledger import exported_spending
from bot.store.memory.facts import exported_facts
from bot.store.moderation.exporting import blocks, log_channels, purges
from bot.store.personas import exporting
from bot.store.privacy.jobs import exported_jobs
from bot.store.privacy.left_out import exported_opt_outs
from bot.store.privacy.removals import exported_removals
from bot.store.scenes.exporting import scenes
from bot.store.tables import (
    ChannelRow,
    ConversationRow,
    DerivedRow,
    GenerationRow,
    SeenRow,
    SettingChangeRow,
    SettingValueRow,
    SummarySectionRow,
    SwipeRow,
    TurnRow,
)
from bot.store.turns.access import now
from bot.store.turns.derived import derived
from bot.store.turns.rows import (
    AnyRow,
    channel_key,
    load_turns_with_rows,
    select_turns,
    to_change,
    to_record,
)
from bot.store.words.keeping import exported_words

FORMAT = "caduceus-export"
FORMAT_VERSION = 1
PAGE_ROWS = 200

Progress = Callable[[int, int], None]
"""Called with the turns written so far, and how many there are."""


async def export_json(url: str, stream: TextIO, *, progress: Progress | None = None) -> int:
    """Write everything stored to `stream`, from a thread; returns how many turns that were.

    Hidden turns too, marked with `hidden_at`. One consistent view, also beside a running bot.
    Raises SettingsError or StoreError; what `stream` raises passes through.
    """
    return await asyncio.to_thread(_export, parse_url(url), stream, progress)


def _export(url: URL, stream: TextIO, progress: Progress | None) -> int:
    if is_sqlite(url) and not sqlite_file(url).is_file():
        raise WrongDatabase(f"There is no database at {url.database}.", "Check DATA_DIR.")
    writer = _Writer(stream, progress)
    try:
        run_once(url, partial(_write_all, url=url, chain=read_chain(), writer=writer))
    except StoreError:
        if writer.failure is not None:
            raise writer.failure from None
        raise
    return writer.turns


class _Writer:
    """The stream, and how far it has come."""

    def __init__(self, stream: TextIO, progress: Progress | None) -> None:
        self._stream = stream
        self._progress = progress
        self.turns = 0
        self.total = 0
        self.failure: OSError | None = None  # the stream's own, not the database's

    def write(self, text: str) -> None:
        try:
            self._stream.write(text)
        except OSError as error:
            self.failure = error
            raise

    def turn_written(self) -> None:
        self.turns += 1
        if self._progress is not None:
            self._progress(self.turns, self.total)


def _write_all(
    connection: Connection, *, url: URL, chain: ScriptDirectory, writer: _Writer
) -> None:
    revision = stored_revision(connection, url, chain)
    if revision is None or revision != newest_revision(chain):
        raise StoreError(
            "The database is empty, or was made by an older version.",
            f"Run {command('db upgrade')} first.",
        )
    writer.total = connection.scalar(select(func.count(TurnRow.id))) or 0
    head = {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "revision": revision,
        "exported_at": now(),
    }
    writer.write(_open(head, "channels"))
    comma = "\n"
    for channel in _pages(connection, select(ChannelRow.__table__), ChannelRow.id):
        fields = _channel(connection, channel) | {"derived": _derived(connection, channel)}
        writer.write(comma + _open(fields, "conversations"))
        _write_conversations(connection, channel.id, writer)
        writer.write("]}")
        comma = ",\n"
    settings = connection.execute(select(SettingValueRow.__table__))
    _write_list(writer, "settings", (_setting(row) for row in settings))
    changes = _pages(connection, select(SettingChangeRow.__table__), SettingChangeRow.id)
    _write_list(writer, "setting_changes", (dataclasses.asdict(to_change(row)) for row in changes))
    _write_list(writer, "personas", exporting.personas(connection))
    _write_list(writer, "lorebooks", exporting.lorebooks(connection))
    _write_list(writer, "casts", exporting.casts(connection))
    _write_list(writer, "facts", exported_facts(connection))
    _write_list(writer, "scenes", scenes(connection))
    _write_list(writer, "words", exported_words(connection))
    _write_list(writer, "blocks", blocks(connection))
    _write_list(writer, "log_channels", log_channels(connection))
    _write_list(writer, "purges", purges(connection))
    _write_list(writer, "tokens_spent", exported_spending(connection))
    _write_list(writer, "opt_outs", exported_opt_outs(connection))
    _write_list(writer, "jobs", exported_jobs(connection))
    _write_list(writer, "message_removals", exported_removals(connection))
    writer.write("]}\n")


def _write_list(writer: _Writer, name: str, items: Iterator[dict[str, Any]]) -> None:
    """End the list before, and write the next."""
    writer.write(f'],\n"{name}": [')
    comma = "\n"
    for item in items:
        writer.write(comma + _text(item))
        comma = ",\n"


def _write_conversations(connection: Connection, channel_id: int, writer: _Writer) -> None:
    chosen = select(ConversationRow.__table__).where(ConversationRow.channel_id == channel_id)
    comma = "\n "
    for conversation in _pages(connection, chosen, ConversationRow.id):
        fields = {
            "conversation_id": conversation.id,
            "is_current": conversation.is_current,
            "created_at": conversation.created_at,
        }
        writer.write(comma + _open(fields, "turns"))
        _write_turns(connection, conversation.id, writer)
        writer.write("]}")
        comma = ",\n "


def _write_turns(connection: Connection, conversation_id: int, writer: _Writer) -> None:
    chosen = select_turns().where(TurnRow.conversation_id == conversation_id).order_by(TurnRow.id)
    comma = "\n  "
    after = 0
    while page := load_turns_with_rows(
        connection, chosen.where(TurnRow.id > after).limit(PAGE_ROWS), every_quote=True
    ):
        swipes = _swipes(connection, [row.id for _turn, row in page])
        for turn, row in page:
            fields = dataclasses.asdict(turn)
            del fields["channel"], fields["conversation_id"]  # it stands within them
            fields |= {"is_pending": row.is_pending, "heard_by": row.heard_by}
            fields |= {"hidden_at": row.hidden_at}
            fields["swipes"] = swipes.get(row.id, [])
            writer.write(comma + _text(fields))
            writer.turn_written()
            comma = ",\n  "
        after = page[-1][1].id


def _swipes(connection: Connection, turn_ids: list[int]) -> dict[int, list[dict[str, Any]]]:
    """The swipes of some turns, each with how it came to be."""
    found: dict[int, list[dict[str, Any]]] = {}
    by_id: dict[int, list[dict[str, Any]]] = {}
    for row in connection.execute(
        select(SwipeRow.__table__)
        .where(SwipeRow.turn_id.in_(turn_ids))
        .order_by(SwipeRow.turn_id, SwipeRow.position)
    ):
        by_id[row.id] = []
        swipe = {
            "index": row.position,
            "text": row.text,
            "state": row.state,
            "finish": row.finish,
            "generations": by_id[row.id],
        }
        found.setdefault(row.turn_id, []).append(swipe)
    for row in connection.execute(
        select(GenerationRow.__table__)
        .join(SwipeRow, SwipeRow.id == GenerationRow.swipe_id)
        .where(SwipeRow.turn_id.in_(turn_ids))
        .order_by(GenerationRow.id)
    ):
        by_id[row.swipe_id].append(dataclasses.asdict(to_record(row)))
    return found


def _channel(connection: Connection, row: AnyRow) -> dict[str, Any]:
    marks = connection.execute(
        select(SeenRow.seen_by, SeenRow.message_id).where(SeenRow.channel_id == row.id)
    )
    seen = {mark.seen_by: mark.message_id for mark in marks}
    return {**dataclasses.asdict(channel_key(row)), "last_seen": seen}


def _derived(connection: Connection, row: AnyRow) -> list[dict[str, Any]]:
    found = [dataclasses.asdict(one) for one in derived(connection, channel_key(row))]
    chosen = (
        select(SummarySectionRow.__table__)
        .join(DerivedRow, DerivedRow.id == SummarySectionRow.derived_id)
        .where(DerivedRow.channel_id == row.id)
    )
    rows = connection.execute(chosen).mappings()
    sections: dict[int, dict[str, Any]] = {each["derived_id"]: {**each} for each in rows}
    for fields in found:
        del fields["channel"]  # it stands within it
        fields |= sections.get(fields["derived_id"], {})
    return found


def _setting(row: AnyRow) -> dict[str, Any]:
    return {"scope": row.scope, "scope_id": row.scope_id, "key": row.key, "value": row.value}


def _pages(connection: Connection, chosen: Select[Any], key: Any) -> Iterator[AnyRow]:
    """Rows in the order of their number, read a page at a time."""
    after = 0
    while page := connection.execute(
        chosen.where(key > after).order_by(key).limit(PAGE_ROWS)
    ).all():
        yield from page
        after = page[-1].id


def _open(fields: dict[str, Any], list_name: str) -> str:
    """An object's beginning, up to a list that is written item by item."""
    return f'{_text(fields)[:-1]}, "{list_name}": ['


def _text(fields: dict[str, Any]) -> str:
    return json.dumps(fields, ensure_ascii=False, default=_plain)


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, frozenset):
        return sorted(value)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    raise TypeError(f"{type(value).__name__} has no place in an export")
