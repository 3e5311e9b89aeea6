"""Personas of several homes: whose they are, and which of two goes first."""

from given_personas import GivenPersonas

from bot.chat.persona import Persona, PersonaText
from bot.chat.personas.homes import EveryHome

OWNERS = Persona(id="file:mira", name="Mira", description="the owner's")
DEFAULT = Persona(id="file:caduceus", name="Caduceus")
OURS = Persona(id="guild:1", guild_id="1", name="Ours")
OUR_MIRA = Persona(id="guild:2", guild_id="1", name="MIRA", description="the guild's")
THEIRS = Persona(id="guild:3", guild_id="2", name="Theirs")

# The double's homes are open to everybody: what keeps guilds apart here is `EveryHome`.
OWNER = GivenPersonas(DEFAULT, OWNERS)
EVERYBODY = EveryHome([GivenPersonas(THEIRS, OURS, OUR_MIRA), OWNER], OWNER.default)


async def test_another_guilds_persona_is_neither_found_nor_listed() -> None:
    assert await EVERYBODY.find("2", THEIRS.name) == THEIRS
    assert THEIRS in await EVERYBODY.listed("2")
    for elsewhere in ("1", None):
        assert await EVERYBODY.find(elsewhere, THEIRS.id) is None
        assert await EVERYBODY.find(elsewhere, THEIRS.name) is None
        assert THEIRS not in await EVERYBODY.listed(elsewhere)


async def test_several_at_once_are_those_found_one_by_one() -> None:
    wanted = [THEIRS.id, OWNERS.id, OUR_MIRA.id, OWNERS.id, "guild:99", "", "Mira"]
    for guild in ("1", "2", None):
        alone = {each: await EVERYBODY.by_id(guild, each) for each in wanted}
        there = {each: found for each, found in alone.items() if found is not None}
        assert await EVERYBODY.by_ids(guild, wanted) == there
    assert await EVERYBODY.by_ids("1", []) == {}


async def test_the_owners_are_everywhere() -> None:
    for guild in ("1", "2", None):
        assert await EVERYBODY.find(guild, OWNERS.id) == OWNERS
        assert DEFAULT in await EVERYBODY.listed(guild)
    assert await EVERYBODY.default() == DEFAULT


async def test_a_guilds_own_name_goes_before_the_owners() -> None:
    assert await EVERYBODY.find("1", "mira") == OUR_MIRA
    assert await EVERYBODY.find("2", "mira") == OWNERS
    assert await EVERYBODY.listed("1") == [DEFAULT, OUR_MIRA, OURS]
    assert await EVERYBODY.listed("2") == [DEFAULT, OWNERS, THEIRS]
    assert await EVERYBODY.listed(None) == [DEFAULT, OWNERS]


async def test_an_id_of_any_home_goes_before_a_name_of_the_first() -> None:
    sly = Persona(id="guild:4", guild_id="1", name="file:mira")
    everybody = EveryHome([GivenPersonas(sly), OWNER], OWNER.default)
    assert await everybody.find("1", "file:mira") == OWNERS


def test_the_problems_of_all_homes_are_told() -> None:
    first, second = GivenPersonas(), GivenPersonas()
    first.broken, second.broken = {"a.toml": "line 1"}, {"b.toml": "line 2"}
    everybody = EveryHome([first, second], OWNER.default)
    assert everybody.problems() == {"a.toml": "line 1", "b.toml": "line 2"}


def test_a_version_is_made_once_and_is_no_part_of_the_persona() -> None:
    known, other = Persona(id="a", name="Mira"), Persona(id="a", name="Mira")
    assert known.version is known.version, "the very same string"
    assert known == other
    assert known.model_dump() == other.model_dump()
    assert dict(known) == dict(other)
    renamed = known.model_copy(update={"name": "Bram"})
    assert renamed.version == Persona(id="a", name="Bram").version != known.version


def test_a_version_is_that_of_the_text_alone() -> None:
    text = {"name": "Mira", "description": "old"}
    version = Persona(id="a", **text).version
    assert len(version) == 16
    assert Persona(id="b", guild_id="1", **text).version == version
    other = {
        "depth_prompt": {"text": "another"},
        "talkativeness": 0.25,
        "sampling": {"top_k": 3},
        "lorebook": {"name": "another"},
        "translated_notes": {"de": "another"},
        "age_restricted": True,
        **{key: ["another"] for key in ("alternate_greetings", "group_greetings")},
        **{key: ["another"] for key in ("stop_words", "tags")},
    }
    others = [
        Persona(id="a", **{**text, key: other.get(key, "another")}).version
        for key in PersonaText.model_fields
    ]
    assert len({version, *others}) == len(others) + 1
