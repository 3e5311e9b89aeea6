"""What a person made, set and plays, as they get it: `/privacy export`."""

from typing import Any, TypeAlias

from sqlalchemy import Connection, exists, or_, select

from bot.chat.personas.guild.kept import GUILD_ID, LORE_ID
from bot.chat.privacy.ports import Field, Page
from bot.store.memory.facts import selected_facts
from bot.store.memory.tables import FactRow
from bot.store.personas.exporting import in_json
from bot.store.personas.tables import CastRow, LorebookRow, PersonaRow, PersonaVersionRow
from bot.store.privacy.left_out import OptOutRow
from bot.store.privacy.pages import LARGE_ROWS, PAGE_ROWS, page_of, plain
from bot.store.scenes.tables import SceneCharacterRow, SceneRow, is_copy_of_others
from bot.store.tables import ChannelRow, SettingChangeRow
from bot.store.turns.rows import CHANNEL_COLUMNS, AnyRow

Kept: TypeAlias = type[PersonaRow] | type[LorebookRow]


def facts(connection: Connection, platform: str, speaker_id: str, after: int) -> Page:
    """Facts that they pinned, and those made of what they said. Others' words are not told."""
    theirs = or_(FactRow.said_by == speaker_id, FactRow.written_by == speaker_id)
    chosen = selected_facts((FactRow.platform == platform) & theirs & (FactRow.id > after))
    rows = connection.execute(chosen.order_by(FactRow.id).limit(PAGE_ROWS)).all()
    return page_of(
        rows,
        lambda row: {
            "fact": row.id,
            "guild_id": row.guild_id,
            "channel_id": row.platform_channel_id,
            "persona_id": row.persona_id,
            "message_id": row.message_id,
            "turn": row.turn_id,
            "pinned_at": plain(row.created_at),
            "pinned_by_you": row.written_by == speaker_id,
            "said_by_you": row.said_by == speaker_id,
            "text": row.reads if row.said_by == speaker_id else None,
        },
    )


def scenes(connection: Connection, platform: str, speaker_id: str, after: int) -> Page:
    """Scenes that they started or play in, with whom they play."""
    plays = exists(
        select(SceneCharacterRow.scene_id).where(
            SceneCharacterRow.scene_id == SceneRow.id, SceneCharacterRow.speaker_id == speaker_id
        )
    )
    rows = connection.execute(
        select(*SceneRow.__table__.columns, *CHANNEL_COLUMNS, is_copy_of_others().label("is_copy"))
        .join(ChannelRow, ChannelRow.id == SceneRow.channel_id)
        .where(ChannelRow.platform == platform, SceneRow.id > after)
        .where(or_(plays, SceneRow.started_by == speaker_id))
        .order_by(SceneRow.id)
        .limit(PAGE_ROWS)
    ).all()
    characters = {
        row.scene_id: {"name": row.name, "description": row.description}
        for row in connection.execute(
            select(SceneCharacterRow.__table__).where(
                SceneCharacterRow.scene_id.in_([row.id for row in rows]),
                SceneCharacterRow.speaker_id == speaker_id,
            )
        )
    }

    def scene(row: AnyRow) -> dict[str, Field]:
        is_theirs = row.started_by == speaker_id
        return {
            "scene": row.id,
            "guild_id": row.guild_id,
            "channel_id": row.platform_channel_id,
            "title": row.title,
            "scenario": row.scenario if is_theirs and not row.is_copy else None,
            "started_by_you": is_theirs,
            "started_at": plain(row.started_at),
            "ended_at": plain(row.ended_at),
            "your_character": characters.get(row.id),
        }

    return page_of(rows, scene)


def setting_changes(connection: Connection, _platform: str, speaker_id: str, after: int) -> Page:
    """Settings that they changed, and to what."""
    rows = connection.execute(
        select(SettingChangeRow.__table__)
        .where(SettingChangeRow.changed_by == speaker_id, SettingChangeRow.id > after)
        .order_by(SettingChangeRow.id)
        .limit(PAGE_ROWS)
    ).all()
    return page_of(
        rows,
        lambda row: {
            "change": row.id,
            "scope": row.scope,
            "scope_id": row.scope_id,
            "key": row.key,
            "value": plain(row.new),
            "changed_at": plain(row.changed_at),
        },
    )


def personas(connection: Connection, _platform: str, speaker_id: str, after: int) -> Page:
    """Servers' personas that they made, edited or deleted; the texts that they wrote."""
    wrote = exists(
        select(PersonaVersionRow.id).where(
            PersonaVersionRow.persona_id == PersonaRow.id,
            PersonaVersionRow.written_by == speaker_id,
        )
    )
    rows = connection.execute(
        select(PersonaRow.__table__)
        .where(or_(_touched(PersonaRow, speaker_id), wrote), PersonaRow.id > after)
        .order_by(PersonaRow.id)
        .limit(LARGE_ROWS)
    ).all()

    def persona(row: AnyRow) -> dict[str, Field]:
        versions = connection.execute(
            select(PersonaVersionRow.__table__)
            .where(PersonaVersionRow.persona_id == row.id)
            .where(PersonaVersionRow.written_by == speaker_id)
            .order_by(PersonaVersionRow.id)
        )
        return {
            "persona_id": GUILD_ID.format(row.id),
            **_kept(row, speaker_id),
            "versions": [
                {
                    "version": each.version,
                    "written_at": plain(each.written_at),
                    "document": plain(in_json(each.document)),
                }
                for each in versions
            ],
        }

    return page_of(rows, persona, LARGE_ROWS)


def lorebooks(connection: Connection, _platform: str, speaker_id: str, after: int) -> Page:
    """Lorebooks that they brought, edited or deleted; as they are, where they edited last."""
    rows = connection.execute(
        select(LorebookRow.__table__)
        .where(_touched(LorebookRow, speaker_id), LorebookRow.id > after)
        .order_by(LorebookRow.id)
        .limit(LARGE_ROWS)
    ).all()
    return page_of(
        rows,
        lambda row: {
            "lorebook_id": LORE_ID.format(row.id),
            **_kept(row, speaker_id),
            "document": plain(in_json(row.document)) if row.edited_by == speaker_id else None,
        },
        LARGE_ROWS,
    )


def casts(connection: Connection, _platform: str, speaker_id: str, after: int) -> Page:
    """Personas that they added to channels."""
    rows = connection.execute(
        select(CastRow.__table__)
        .where(CastRow.added_by == speaker_id, CastRow.id > after)
        .order_by(CastRow.id)
        .limit(PAGE_ROWS)
    ).all()
    return page_of(
        rows,
        lambda row: {
            "guild_id": row.guild_id,
            "scope_id": row.scope_id,
            "persona_id": row.persona_id,
            "added_at": plain(row.added_at),
        },
    )


def opt_outs(connection: Connection, platform: str, speaker_id: str, _after: int) -> Page:
    """Since when they stay out."""
    since = connection.scalars(
        select(OptOutRow.since).where(
            OptOutRow.platform == platform, OptOutRow.speaker_id == speaker_id
        )
    ).all()
    return Page([{"since": plain(each)} for each in since], None)


def _touched(rows: Kept, speaker_id: str) -> Any:
    return or_(
        rows.created_by == speaker_id, rows.edited_by == speaker_id, rows.deleted_by == speaker_id
    )


def _kept(row: AnyRow, speaker_id: str) -> dict[str, Field]:
    """What is told of a persona or a lorebook: only what of it they did."""
    return {
        "guild_id": row.guild_id,
        "name": row.name,
        "created_at": plain(row.created_at) if row.created_by == speaker_id else None,
        "edited_at": plain(row.edited_at) if row.edited_by == speaker_id else None,
        "deleted_at": plain(row.deleted_at) if row.deleted_by == speaker_id else None,
    }
