"""Somebody's id, name and words, planted in every column of every table, are nowhere afterwards.

A new table or column makes this fail until it is planted here, or declared to hold nobody, and
until forgetting takes it out: see `bot/store/privacy/names.py`.
"""

import asyncio
import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Table, insert, select
from store_samples import BEN, CHANNEL, MORNING, OTHER_CHANNEL, Talk, forget, record

from bot.chat.limits.blocking import Block
from bot.chat.limits.words.word import GuildWord
from bot.chat.messages import ChannelKey, QuotedMessage, RecordedOccasion, Scope, Speaker
from bot.chat.moderation.log_channels import LogChannel
from bot.chat.moderation.purges import PurgeWish
from bot.chat.personas.guild.kept import Limits, PersonaDraft
from bot.chat.privacy.jobs import JobKind, NewJob
from bot.chat.roleplay.memory.facts import FactSource
from bot.chat.roleplay.scenes.scene import Character, Mode, Scene
from bot.store.columns import UtcDateTime
from bot.store.database import Database
from bot.store.every_table import Base
from bot.store.turns.access import take_channel

ID, NAME, WORDS = "47114711", "Xanthippe", "the words that are to go from here"
TRACES = (ID, NAME, "words that are to go")
SHE = Speaker(ID, NAME)
MESSAGE = "88118811"  # the id of a message of hers

# What holds nobody, and why nothing of a person can come there.
HOLDS_NOBODY = frozenset(
    {
        *("channels.platform", "channels.platform_channel_id", "channels.guild_id"),
        "channels.parent_id",  # ids of channels
        "seen_marks.seen_by",  # the bot's own account
        *("runs.program", "reclaiming.stage", "turns.heard_by"),  # programs and accounts
        *("turns.role", "turns.persona", "turns.persona_id"),
        *("swipes.state", "swipes.finish", "derived.kind"),
        # How a reply came to be: no text. With a reply to her or of her words, the row goes.
        *("generations.prompt_sha256", "generations.prompt_format", "generations.persona"),
        *("generations.persona_id", "generations.persona_version", "generations.wanted_seed"),
        *("generations.finish", "generations.model", "generations.seed", "generations.engine"),
        *("generations.occasion", "generations.samplers"),
        *("setting_values.scope", "setting_values.scope_id", "setting_values.key"),
        *("setting_changes.scope", "setting_changes.scope_id", "setting_changes.key"),
        # What she made for a guild is the guild's.
        *("guild_personas.guild_id", "guild_personas.name", "guild_personas.name_key"),
        *("guild_personas.summary", "guild_personas.version", "guild_personas.picture_sha256"),
        *("guild_persona_versions.version", "guild_persona_versions.origin"),
        *("guild_persona_versions.spec", "guild_persona_versions.document"),
        *("guild_persona_files.kind", "guild_persona_files.name", "guild_persona_files.content"),
        *("lorebooks.guild_id", "lorebooks.name", "lorebooks.name_key", "lorebooks.document"),
        *("lorebook_places.scope", "lorebook_places.scope_id"),
        *("channel_casts.scope_id", "channel_casts.guild_id", "channel_casts.persona_id"),
        *("scenes.mode", "scene_casts.persona_id"),
        *("facts.platform", "facts.guild_id", "facts.persona_id"),
        # Jobs about her are done; messages to be taken away are the bot's own.
        *("jobs.kind", "jobs.platform", "jobs.guild_id"),
        *("message_removals.platform", "message_removals.channel_id"),
        *("message_removals.parent_id", "message_removals.message_id"),
        "purge_messages.message_id",  # until the platform has taken them away
        # What a guild forbids is the guild's.
        *("guild_words.platform", "guild_words.guild_id", "guild_words.pattern"),
        *("guild_words.pattern_key", "guild_words.then", "guild_words.side"),
        *("log_channels.platform", "log_channels.guild_id", "log_channels.channel_id"),
        "log_channels.problem",  # our own words
        *("blocks.platform", "blocks.guild_id", "tokens_spent.home", "opt_outs.platform"),
    }
)


def text_columns(table: Table) -> list[str]:
    """Whatever is no number and no moment."""
    return [
        column.name
        for column in table.columns
        if not isinstance(column.type, UtcDateTime)
        and not issubclass(column.type.python_type, (int, float, date))
    ]


async def rows_of(database: Database) -> Mapping[str, list[Mapping[str, Any]]]:
    def read(connection: Connection) -> Mapping[str, list[Mapping[str, Any]]]:
        return {
            table.name: [dict(row) for row in connection.execute(select(table)).mappings()]
            for table in Base.metadata.sorted_tables
        }

    return await database.history.transactions.read(read)


def holds_trace(value: object) -> bool:
    if isinstance(value, bytes):
        return any(trace.encode() in value for trace in TRACES)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return any(trace in text for trace in (*TRACES, MESSAGE))


async def plant(database: Database) -> None:
    """Everything that somebody can leave behind."""
    talk = Talk(database.history)
    hers = await talk.ask(WORDS, author=SHE, message_id=MESSAGE)
    reply = await talk.answer(hers, text=f"You said {WORDS}.")
    quoting = QuotedMessage(MESSAGE, SHE, WORDS)
    his = await talk.ask("He asks.", author=BEN, reply_to=quoting)
    told = replace(
        record(), occasion=RecordedOccasion(7, MORNING, others=(NAME,)), prompt_sha256="cd" * 32
    )
    repeats = await talk.answer(his, text=f"She said {WORDS}, didn't she?")
    other = await talk.answer(await talk.ask("And?", author=BEN), text="Nothing.")
    again = await database.history.begin_swipe(other.turn_id)
    await database.history.show_reply(again.turn_id, f"It was {NAME}.", ["s1"])
    await database.history.finish_reply(again.turn_id, again.state.WHOLE, told)
    await database.history.select_swipe(other.turn_id, 0)
    for turns in ([hers.turn_id], [reply.turn_id], [repeats.turn_id, his.turn_id]):
        await database.history.keep_derived(
            CHANNEL, "summary", f"{NAME}: {WORDS}", turns, conversation_id=hers.conversation_id
        )
    await database.summaries.write_by_hand(
        CHANNEL, hers.conversation_id, f"{NAME} was here.", up_to=hers.turn_id, at=MORNING
    )
    scope = (Scope.GUILD, "discord:1")
    await database.settings.change(*scope, "allowed_roles", [f"<@{ID}>"], by=ID)
    await database.settings.change(*scope, "instructions", f"Obey {ID}.", by=ID)
    await database.settings.change(*scope, "instructions", "Obey.", by="ben")
    limits = Limits()
    card = PersonaDraft("Mira", "mira", "", "v1", "TOML", "v2", b"{}")
    kept = await database.personas.add("1", card, limits, ID)
    await database.personas.remove("1", kept.id, ID)
    await database.facts.add_fact(CHANNEL, WORDS, by=ID)
    await database.facts.add_fact(CHANNEL, "his", by=ID, source=FactSource("q7", said_by="ben"))
    await database.facts.add_fact(
        CHANNEL, WORDS, by="ben", source=FactSource(f"{MESSAGE}1", said_by=ID), persona_id="mira"
    )
    scene = Scene(
        channel=CHANNEL,
        title=f"{NAME}'s scene",
        cast=("file:ada",),
        started_by=ID,
        started_at=MORNING,
        scenario=WORDS,
        mode=Mode.ROUND,
        characters={ID: Character(NAME, WORDS), "ben": Character("Bruna")},
        note=WORDS,
    )
    await database.scenes.start(scene)
    await database.casts.add_to_cast("discord:100", "1", "file:bram", ID)
    await database.history.note_seen(CHANNEL, MESSAGE)
    await database.search.index_all()

    await plant_purges(database)

    def plant_rest(connection: Connection) -> None:
        moment = datetime(2024, 5, 17, tzinfo=UTC)
        lorebooks = Base.metadata.tables["lorebooks"]
        who = {"created_by": ID, "edited_by": ID, "deleted_by": ID}
        connection.execute(
            insert(lorebooks).values(
                guild_id="1", name="Coast", name_key="coast", revision=1, entries=0, size_bytes=2,
                document=b"{}", created_at=moment, edited_at=moment, deleted_at=moment, **who,
            )
        )  # fmt: skip
        channel = take_channel(connection, ChannelKey("discord", "77", is_direct=True)).id
        opt_outs = Base.metadata.tables["opt_outs"]
        connection.execute(insert(opt_outs).values(platform="discord", speaker_id=ID, since=moment))
        seen = Base.metadata.tables["seen_marks"]
        connection.execute(insert(seen).values(channel_id=channel, seen_by="", message_id="1"))

    await database.history.transactions.write(plant_rest)
    block = Block("discord", "1", "ben", "Ben", blocked_by=ID, blocked_at=MORNING)
    await database.blocks.add(block)
    await database.blocks.add(replace(block, speaker_id=ID, name=NAME, blocked_by="ben"))
    await database.log_channels.put(LogChannel("discord", "1", "900", ID, MORNING))
    await database.words.put(("discord", "1"), GuildWord("plague", added_by=ID))
    await database.ledger.spend("discord:1", {ID: 70, "ben": 7}, MORNING.date())
    await database.ledger.spend(f"discord:dm:{MESSAGE}", {ID: 70}, MORNING.date())
    due = datetime.now(UTC) + timedelta(days=1)
    await database.jobs.add(NewJob(JobKind.FORGET, "discord", due, subject=ID, place=MESSAGE))
    await database.removals.to_remove("discord", 0, 1)


async def plant_purges(database: Database) -> None:
    """One of hers and one by her, whose messages still stand on the platform."""
    talk = Talk(database.history, OTHER_CHANNEL)
    hers = await talk.ask(WORDS, author=SHE)
    await talk.answer(hers, text=f"{NAME} said so.")
    his = await talk.ask("He asks.", author=BEN)
    for whose, by in ((hers, "ben"), (his, ID)):
        plan = await database.purges.plan(PurgeWish(OTHER_CHANNEL, whose.speaker.speaker_id))
        assert await database.purges.purge(plan, by=by)


async def take_back_what_stays(database: Database) -> None:
    """That she is blocked or has opted out stays on purpose; a job is done when it is done."""
    await database.jobs.call_off(JobKind.FORGET, "discord", [ID])
    await database.blocks.remove("discord", "1", ID)
    await database.opt_outs.opt_in("discord", ID)


async def test_every_column_is_planted_or_holds_nobody(database: Database) -> None:
    await plant(database)
    found = await rows_of(database)
    names = {
        f"{table.name}.{column}": any(holds_trace(row[column]) for row in found[table.name])
        for table in Base.metadata.sorted_tables
        for column in text_columns(table)
    }
    unplanted = {name for name, is_planted in names.items() if not is_planted}
    # Where whose it is can't be a text: the platform's own ids of messages quoted or pinned.
    assert sorted(unplanted - HOLDS_NOBODY) == []
    assert sorted(HOLDS_NOBODY - names.keys()) == [], "there is no such column any more"


async def test_nothing_of_them_is_in_any_row_afterwards(database: Database) -> None:
    await plant(database)
    await take_back_what_stays(database)
    await forget(database.history, ID)
    found = await rows_of(database)
    left = [
        f"{name}.{column}: {value}"
        for name, rows in found.items()
        for row in rows
        for column, value in row.items()
        if holds_trace(value)
    ]
    assert left == []
    # What is others' is there.
    assert "He asks." in [row["text"] for row in found["turns"]]
    assert [row["started_by"] for row in found["scenes"]] == [""]
    assert [row["name"] for row in found["lorebooks"]] == ["Coast"]
    assert [row["written_by"] for row in found["facts"]] == [""]


async def test_that_they_are_blocked_and_stay_out_is_all_that_is_left(database: Database) -> None:
    await plant(database)
    await database.jobs.call_off(JobKind.FORGET, "discord", [ID])
    await forget(database.history, ID)
    left = {
        f"{name}.{column}"
        for name, rows in (await rows_of(database)).items()
        for row in rows
        for column, value in row.items()
        if holds_trace(value)
    }
    assert left == {"blocks.speaker_id", "opt_outs.speaker_id"}


async def test_no_file_holds_anything_of_them(sqlite_url: str, sqlite_file: Path) -> None:
    database = await Database.open(sqlite_url)
    await plant(database)

    def files_with(trace: str) -> list[str]:
        forms = (trace.encode(), trace.encode("utf-16-le"), trace.encode("utf-16-be"))
        files = list(sqlite_file.parent.iterdir())
        return [file.name for file in files if any(form in file.read_bytes() for form in forms)]

    for trace in TRACES:
        assert await asyncio.to_thread(files_with, trace)
    await take_back_what_stays(database)
    await forget(database.history, ID)
    await database.jobs.settle()
    for trace in (*TRACES, MESSAGE):
        assert await asyncio.to_thread(files_with, trace) == [], trace
    await database.close()
    with closing(sqlite3.connect(sqlite_file)) as connection:
        dump = "\n".join(connection.iterdump())
    assert not [trace for trace in (*TRACES, MESSAGE) if trace in dump]
