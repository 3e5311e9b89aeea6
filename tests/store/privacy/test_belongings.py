"""Everything of a person is handed out, and nothing of anybody else."""

import json
from pathlib import Path

import pytest
from sqlalchemy import JSON, LargeBinary, Text
from store_samples import ANN, BEN, CHANNEL, MORNING, Talk

from bot.chat.definitions import ChannelSettings
from bot.chat.limits.blocking import Block
from bot.chat.limits.words.word import GuildWord
from bot.chat.messages import ChannelKey, QuotedMessage, Scope, Speaker
from bot.chat.moderation.log_channels import LogChannel
from bot.chat.moderation.purges import PurgeWish
from bot.chat.personas.guild.kept import Limits, LorebookDraft, PersonaDraft
from bot.chat.privacy.handing_out import FORMAT, VERSION, write_everything
from bot.chat.privacy.handling import Handling, Place, TextReceiver, paragraphs
from bot.chat.privacy.leaving import KEPT_FOR
from bot.chat.roleplay.memory.facts import FactSource
from bot.chat.roleplay.scenes.scene import Character, Scene
from bot.store.database import Database
from bot.store.every_table import Base
from bot.store.privacy import measures
from bot.store.privacy.exporting import SECTIONS

DIRECT = ChannelKey("discord", "300", is_direct=True)

# Every column that can hold words, and where a person gets it; or why it is not theirs to get.
PLACE = "- names a place or a thing, no person"
OURS = "- our own words, of nobody"
OTHERS = "- others' words, or of several people that cannot be told apart"
GUILDS = "- the server's, made by no person that is known; `/persona export` gives it"
COLUMNS = {
    "channels.platform": PLACE,
    "channels.platform_channel_id": "messages replies",
    "channels.guild_id": "messages replies",
    "channels.parent_id": PLACE,
    "seen_marks.seen_by": OURS,
    "seen_marks.message_id": PLACE,
    "runs.program": OURS,
    "turns.role": OURS,
    "turns.speaker_id": "messages",
    "turns.speaker_name": "messages",
    "turns.text": "messages",
    "turns.persona": "replies",
    "turns.persona_id": PLACE,
    "turns.heard_by": OURS,
    "turns.quoted_message_id": "messages quotes",
    "turns.quoted_speaker_id": "quotes",
    "turns.quoted_speaker_name": "quotes",
    "turns.quoted_text": "quotes",
    "messages.message_id": "messages replies",
    "swipes.text": "replies",
    "swipes.state": "replies",
    "swipes.finish": OURS,
    "turn_askers.speaker_id": "replies",
    "derived.kind": OURS,
    "derived.text": OTHERS,
    "generations.prompt_sha256": "replies",
    "generations.prompt_format": "replies",
    "generations.persona": "replies",
    "generations.persona_id": "replies",
    "generations.persona_version": "replies",
    "generations.wanted_seed": "replies",
    "generations.finish": "replies",
    "generations.model": "replies",
    "generations.seed": "replies",
    "generations.engine": "replies",
    "generations.occasion": "replies",
    "generations.samplers": "replies",
    "reclaiming.stage": OURS,
    "setting_values.scope": PLACE,
    "setting_values.scope_id": PLACE,
    "setting_values.key": OURS,
    "setting_values.value": "- as in setting_changes, by whoever changed it last",
    "setting_changes.scope": "setting_changes",
    "setting_changes.scope_id": "setting_changes",
    "setting_changes.key": "setting_changes",
    "setting_changes.old": "- what somebody else had set",
    "setting_changes.new": "setting_changes",
    "setting_changes.changed_by": "setting_changes",
    "facts.platform": PLACE,
    "facts.guild_id": "facts",
    "facts.persona_id": "facts",
    "facts.text": "facts",
    "facts.message_id": "facts",
    "facts.written_by": "facts",
    "facts.said_by": "facts",
    "scenes.title": "scenes",
    "scenes.scenario": "scenes",
    "scenes.mode": OURS,
    "scenes.note": OTHERS,
    "scenes.started_by": "scenes",
    "scene_casts.persona_id": PLACE,
    "scene_characters.speaker_id": "scenes",
    "scene_characters.name": "scenes",
    "scene_characters.description": "scenes",
    "guild_personas.guild_id": "personas",
    "guild_personas.name": "personas",
    "guild_personas.name_key": "- the name once more",
    "guild_personas.summary": "- stands in its versions",
    "guild_personas.version": "personas",
    "guild_personas.picture_sha256": PLACE,
    "guild_personas.created_by": "personas",
    "guild_personas.edited_by": "personas",
    "guild_personas.deleted_by": "personas",
    "guild_persona_versions.version": "personas",
    "guild_persona_versions.origin": OURS,
    "guild_persona_versions.spec": OURS,
    "guild_persona_versions.document": "personas",
    "guild_persona_versions.written_by": "personas",
    "guild_persona_files.kind": OURS,
    "guild_persona_files.name": GUILDS,
    "guild_persona_files.content": GUILDS,
    "lorebooks.guild_id": "lorebooks",
    "lorebooks.name": "lorebooks",
    "lorebooks.name_key": "- the name once more",
    "lorebooks.document": "lorebooks",
    "lorebooks.created_by": "lorebooks",
    "lorebooks.edited_by": "lorebooks",
    "lorebooks.deleted_by": "lorebooks",
    "lorebook_places.scope": PLACE,
    "lorebook_places.scope_id": PLACE,
    "channel_casts.scope_id": "casts",
    "channel_casts.guild_id": "casts",
    "channel_casts.persona_id": "casts",
    "channel_casts.added_by": "casts",
    "guild_words.platform": PLACE,
    "guild_words.guild_id": "words",
    "guild_words.pattern": "words",
    "guild_words.pattern_key": "- the pattern once more",
    "guild_words.then": "words",
    "guild_words.side": "words",
    "guild_words.added_by": "words",
    "log_channels.platform": PLACE,
    "log_channels.guild_id": "log_channels",
    "log_channels.channel_id": "log_channels",
    "log_channels.set_by": "log_channels",
    "log_channels.problem": OURS,
    "blocks.platform": PLACE,
    "blocks.guild_id": "blocks",
    "blocks.speaker_id": "blocks",
    "blocks.name": "blocks",
    "blocks.blocked_by": "blocks",
    "purges.asked_by": "purges",
    "purges.speaker_id": "purges",
    "purge_messages.message_id": PLACE,
    "tokens_spent.home": "tokens_spent",
    "tokens_spent.speaker_id": "tokens_spent",
    "jobs.kind": OURS,
    "jobs.platform": PLACE,
    "jobs.subject": "- that their data is being erased, until it is",
    "jobs.guild_id": PLACE,
    "jobs.place": PLACE,
    "message_removals.platform": PLACE,
    "message_removals.channel_id": PLACE,
    "message_removals.parent_id": PLACE,
    "message_removals.message_id": PLACE,
    "opt_outs.platform": "opt_outs",
    "opt_outs.speaker_id": "opt_outs",
}


def test_every_column_that_can_name_a_person_is_handed_out_or_has_a_reason() -> None:
    columns = {
        f"{table.name}.{column.name}"
        for table in Base.metadata.sorted_tables
        for column in table.columns
        if isinstance(getattr(column.type, "impl", column.type), Text | JSON | LargeBinary)
    }
    assert columns == set(COLUMNS), "say in COLUMNS where a person gets what stands there"
    named = {part for how in COLUMNS.values() if not how.startswith("-") for part in how.split()}
    assert named == set(SECTIONS)


def test_the_page_that_describes_the_file_knows_every_section() -> None:
    described = Path("docs/privacy.md").read_text("utf-8")
    assert [name for name in SECTIONS if f"`{name}`" not in described] == []


TOLD = {
    "opt_outs": "opted out",
    "messages": "what is said to me",
    "quotes": "what that replies to",
    "replies": "my replies",
    "facts": "facts",
    "scenes": "scenes",
    "setting_changes": "changed settings",
    "personas": "personas",
    "lorebooks": "lorebooks",
    "casts": "added them to channels",
    "words": "word lists",
    "log_channels": "log channels",
    "blocks": "blocked",
    "purges": "purge",
    "tokens_spent": "written for you today",
}


def test_what_is_handed_out_is_told_of_beforehand() -> None:
    handling = Handling("SQLite", (TextReceiver("", is_here=True),))
    place = Place(ChannelSettings(), is_direct=False)

    told = " ".join(text for _, text in paragraphs(handling, place, "Ann")).lower()

    assert {section: phrase for section, phrase in TOLD.items() if phrase not in told} == {}
    assert TOLD.keys() == SECTIONS.keys()
    assert "still to be erased" in told
    assert f"{KEPT_FOR.days} days" in told


@pytest.mark.parametrize("section", ["log_channels", "tokens_spent", "blocks"])
async def test_what_has_no_number_comes_in_pages_of_bounded_size(
    database: Database, monkeypatch: pytest.MonkeyPatch, section: str
) -> None:
    monkeypatch.setattr(measures, "PAGE_ROWS", 2)
    for guild in ("1", "2", "3", "4", "5"):
        await measure(database, guild, ANN, BEN)
        await database.ledger.spend(f"discord:{guild}", {ANN.speaker_id: 5}, MORNING.date())
    after: int | None = 0
    sizes: list[int] = []
    places: set[object] = set()

    while after is not None:
        page = await database.belongings.page("discord", ANN.speaker_id, section, after)
        after = page.next_after
        sizes.append(len(page.items))
        places |= {item.get("guild_id", item.get("home")) for item in page.items}

    assert max(sizes) <= 2
    assert len(places) == 5


async def everything(
    database: Database, folder: Path, person: str, most_bytes: int = 2**20
) -> dict[str, list[dict[str, object]]]:
    """All parts of an export, put together."""
    files = await write_everything(
        database.belongings, "discord", person, folder, at=MORNING, most_bytes=most_bytes
    )
    found: dict[str, list[dict[str, object]]] = {}
    for number, path in enumerate(files, 1):
        assert path.stat().st_size <= most_bytes
        document = json.loads(path.read_text("utf-8"))
        assert (document.pop("format"), document.pop("version")) == (FORMAT, VERSION)
        assert (document.pop("platform"), document.pop("person")) == ("discord", person)
        assert document.pop("exported_at") == MORNING.isoformat()
        assert document.pop("part") == number
        assert document.pop("has_more_parts") == (number < len(files))
        for section, items in document.items():
            found.setdefault(section, []).extend(items)
    return found


async def fill(database: Database, talk: Talk) -> None:
    """Ann and Ben each do all that leaves something of theirs; the words tell whose it is."""
    for who, number in ((ANN, "1"), (BEN, "2")):
        me, other = who.speaker_id, (BEN if who is ANN else ANN)
        first = await talk.ask(f"{me} asked", author=who, message_id=f"80{number}")
        await talk.answer(first, text=f"for {me} alone")
        quoted = QuotedMessage(f"80{number}", who, f"{me} was quoted")
        await talk.mention("a reply", author=other, reply_to=quoted)
        direct = Talk(database.history, replace_channel(number))
        await direct.answer(await direct.ask(f"{me} in private", author=who))
        source = FactSource(f"80{number}", me)
        await database.facts.add_fact(CHANNEL, f"{me} asked", by=other.speaker_id, source=source)
        await database.facts.add_fact(CHANNEL, f"{me} pinned", by=me)
        channel = ChannelKey("discord", f"40{number}", guild_id="1")
        scene = Scene(
            channel=channel,
            title=f"{me} plays",
            cast=(),
            started_by=me,
            started_at=MORNING,
            scenario=f"{me} wrote",
            characters={me: Character(f"hero of {me}", f"tall as {me}")},
        )
        await database.scenes.start(scene)
        await database.settings.change(Scope.GUILD, "1", "instructions", f"{me} set", by=me)
        document = json.dumps({"name": f"{me} made", "number": float("nan")}).encode()
        draft = PersonaDraft(f"{me} P", f"{me} p", "", "v", "JSON", "v1", document, "", ())
        await database.personas.add("1", draft, Limits(), me)
        book = LorebookDraft(f"{me} L", f"{me} l", 0, json.dumps({"x": f"{me} lore"}).encode())
        await database.lorebooks.add("1", book, Limits(), me)
        await database.casts.add_to_cast(f"discord:40{number}", "1", "file:ada", me)
        await measure(database, f"7{number}", who, other)
    both = [await talk.ask(f"{who.speaker_id} too", author=who) for who in (ANN, BEN)]
    await talk.answer(*both, text="for both of you")
    await database.opt_outs.opt_out("discord", "ann")


async def measure(database: Database, guild: str, who: Speaker, other: Speaker) -> None:
    """What they do as a moderator, each of them in a server of their own."""
    me = who.speaker_id
    await database.words.put(("discord", guild), GuildWord(f"{me} forbids", added_by=me))
    await database.log_channels.put(LogChannel("discord", guild, "900", me, MORNING))
    block = Block("discord", guild, other.speaker_id, other.name, me, blocked_at=MORNING)
    await database.blocks.add(block)
    await database.ledger.spend("discord:1", {me: len(me)}, MORNING.date())
    elsewhere = Talk(database.history, ChannelKey("discord", f"50{guild}", guild_id=guild))
    await elsewhere.ask(f"{me} once said", author=who)
    plan = await database.purges.plan(PurgeWish(elsewhere.channel, me))
    assert await database.purges.purge(plan, by=other.speaker_id)


def replace_channel(number: str) -> ChannelKey:
    return ChannelKey("discord", f"30{number}", is_direct=True)


async def test_it_holds_all_of_theirs_and_nothing_of_others(
    database: Database, talk: Talk, tmp_path: Path
) -> None:
    await fill(database, talk)
    found = await everything(database, tmp_path, "ann")
    assert [section for section in SECTIONS if not found[section]] == []
    text = json.dumps(found)
    for words in (
        "ann asked",
        "ann in private",
        "ann was quoted",
        "ann too",
        "for ann alone",
        "ann pinned",
        "ann plays",
        "ann wrote",
        "hero of ann",
        "tall as ann",
        "ann set",
        "ann made",
        "ann lore",
        "ann forbids",
    ):
        assert words in text, words
    assert "ben" not in text.casefold()
    assert "for both of you" not in text


async def test_it_tells_how_replies_came_to_be_and_where_all_of_it_was(
    database: Database, talk: Talk, tmp_path: Path
) -> None:
    await fill(database, talk)
    found = await everything(database, tmp_path, "ann")
    message = found["messages"][0]
    assert (message["guild_id"], message["channel_id"]) == ("1", "100")
    assert message["message_ids"] == ["801"]
    assert str(message["said_at"]).startswith("2024-05-17T08:00:00")
    assert [one["is_direct_message"] for one in found["messages"]].count(True) == 1
    alone, both = found["replies"][0], found["replies"][-1]
    assert (alone["asked_by_others_too"], both["asked_by_others_too"]) == (False, True)
    [shown] = both["alternatives"]  # type: ignore[misc]
    assert shown["text"] is None
    [how] = shown["came_to_be"]
    assert (how["statistics"]["model"], how["statistics"]["seed"]) == ("demo", 7)
    assert how["statistics"]["reply_tokens"] == 20
    facts = {fact["text"]: fact for fact in found["facts"]}
    assert facts["ann pinned"]["pinned_by_you"]
    assert facts[None]["pinned_by_you"], "what they pinned of others' words is without these"


async def test_nobody_and_another_platform_get_nothing(
    database: Database, talk: Talk, tmp_path: Path
) -> None:
    await fill(database, talk)
    found = await everything(database, tmp_path, "nobody")
    assert found == {section: [] for section in SECTIONS}


@pytest.mark.parametrize("most_bytes", [3_000, 20_000])
async def test_large_ones_come_in_files_that_can_be_sent(
    database: Database, talk: Talk, tmp_path: Path, most_bytes: int
) -> None:
    for number in range(450):  # more than two pages
        await talk.mention(f"number {number} äöü", author=ANN)
    await talk.mention("x" * 2 * most_bytes, author=ANN)
    found = await everything(database, tmp_path, "ann", most_bytes)
    texts = [message.get("text") for message in found["messages"]]
    assert texts[:450] == [f"number {number} äöü" for number in range(450)]
    assert "more than fit into a file" in str(found["messages"][450]["left_out"])
