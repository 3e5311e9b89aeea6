"""Guilds' personas, lorebooks and casts for `db export`: one item at a time."""

import base64
import json
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, RowMapping, select

from bot.chat.personas.guild.kept import GUILD_ID, LORE_ID
from bot.store.personas.tables import (
    CastRow,
    LorebookPlaceRow,
    LorebookRow,
    PersonaFileRow,
    PersonaRow,
    PersonaVersionRow,
)
from bot.store.turns.rows import AnyRow

_LEFT_OUT = ("id", "name_key", "size_bytes")


def personas(connection: Connection) -> Iterator[dict[str, Any]]:
    """Every persona with its kept versions and files, those that wait for an Undo too."""
    for number in connection.scalars(select(PersonaRow.id).order_by(PersonaRow.id)).all():
        chosen = select(PersonaRow.__table__).where(PersonaRow.id == number)
        row = connection.execute(chosen).mappings().one()
        yield {
            "persona_id": GUILD_ID.format(number),
            **_fields(row),
            "versions": [_version(each) for each in _versions(connection, number)],
            "files": [_file(each) for each in _files(connection, number)],
        }


def lorebooks(connection: Connection) -> Iterator[dict[str, Any]]:
    """Every lorebook with where it counts, those that wait for an Undo too."""
    for number in connection.scalars(select(LorebookRow.id).order_by(LorebookRow.id)).all():
        chosen = select(LorebookRow.__table__).where(LorebookRow.id == number)
        row = connection.execute(chosen).mappings().one()
        places = connection.execute(
            select(LorebookPlaceRow.__table__).where(LorebookPlaceRow.lorebook_id == number)
        )
        yield {
            "lorebook_id": LORE_ID.format(number),
            **_fields(row),
            "document": in_json(row["document"]),
            "places": [{"scope": place.scope, "scope_id": place.scope_id} for place in places],
        }


def casts(connection: Connection) -> Iterator[dict[str, Any]]:
    """Who speaks where beside the main persona."""
    for row in connection.execute(select(CastRow.__table__).order_by(CastRow.id)).mappings().all():
        yield _fields(row)


def _fields(row: RowMapping) -> dict[str, Any]:
    return {
        key: value
        for key, value in row.items()
        if key not in _LEFT_OUT and not isinstance(value, bytes)
    }


def _versions(connection: Connection, number: int) -> Iterator[AnyRow]:
    of_persona = PersonaVersionRow.persona_id == number
    chosen = select(PersonaVersionRow.id).where(of_persona).order_by(PersonaVersionRow.id)
    for each in connection.scalars(chosen).all():
        yield connection.execute(
            select(PersonaVersionRow.__table__).where(PersonaVersionRow.id == each)
        ).one()


def _files(connection: Connection, number: int) -> Iterator[AnyRow]:
    of_persona = PersonaFileRow.persona_id == number
    chosen = select(PersonaFileRow.id).where(of_persona).order_by(PersonaFileRow.id)
    for each in connection.scalars(chosen).all():
        yield connection.execute(
            select(PersonaFileRow.__table__).where(PersonaFileRow.id == each)
        ).one()


def _version(row: AnyRow) -> dict[str, Any]:
    return {
        "version": row.version,
        "origin": row.origin,
        "spec": row.spec,
        "written_by": row.written_by,
        "written_at": row.written_at,
        "document": in_json(row.document),
    }


def _file(row: AnyRow) -> dict[str, Any]:
    return {"kind": row.kind, "name": row.name, "base64": base64.b64encode(row.content).decode()}


def in_json(document: bytes) -> object:
    """A document as it stands in JSON; as base64 where it is none."""
    try:
        return json.loads(document)
    except ValueError:
        return {"base64": base64.b64encode(document).decode()}
