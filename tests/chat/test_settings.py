"""Settings: what is accepted, whose value holds, and what was changed when."""

import math
import re
from dataclasses import fields

import pytest
from at_once import DatabaseAtOnce
from conversing import ADA, BYRON
from given_personas import GivenPersonas
from hypothesis import assume, given
from hypothesis import strategies as st

from bot.chat import definitions
from bot.chat.definitions import DEFINITIONS, THEMES, ChannelSettings, definition_of
from bot.chat.messages import ChannelKey, JsonValue, Scope
from bot.chat.persona import Persona, PersonaSampling
from bot.chat.personas.homes import EveryHome
from bot.chat.setting_definition import (
    TEXT_CHARACTERS,
    WORD_CHARACTERS,
    WORDS,
    InDirect,
    Setter,
    SettingDefinition,
)
from bot.chat.settings import MODEL, SettingsCascade
from bot.errors import ChannelSettingError, NotAllowed, NotFound, SettingChanged
from bot.store.settings import SqlSettings

GUILD = "1"
HERE = ChannelKey("discord", "100", guild_id=GUILD)
THREAD = ChannelKey("discord", "101", guild_id=GUILD, parent_id="100")
NEXT_DOOR = ChannelKey("discord", "200", guild_id=GUILD)
ELSEWHERE = ChannelKey("discord", "300", guild_id="2")
DIRECT = ChannelKey("discord", "400", is_direct=True)


def of_kind(*kinds: str) -> st.SearchStrategy[SettingDefinition]:
    return st.sampled_from([d for d in DEFINITIONS.values() if not kinds or d.kind in kinds])


def values_of(definition: SettingDefinition) -> st.SearchStrategy[JsonValue]:
    low, high = definition.minimum or 0.0, definition.maximum or 0.0
    text = st.text(
        st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=60
    )
    match definition.kind:
        case "integer":
            return st.integers(int(low), int(high))
        case "number":
            return st.floats(low, high, exclude_min=definition.above_minimum)
        case "choice":
            return st.sampled_from(definition.choices)
        case "words":
            word = text.map(lambda word: word.replace(",", "").strip()).filter(bool)
            return st.lists(word, min_size=1, max_size=WORDS, unique=True)
        case "roles":
            name = text.map(lambda word: re.sub("[,@<>]", "", word).strip()).filter(bool)
            mention = st.builds("<@{}{}>".format, st.sampled_from(["", "&"]), st.integers(1, 2**63))
            return st.lists(name | mention, min_size=1, max_size=WORDS, unique=True)
        case "hours":
            clock = st.times().map("{:%H:%M}".format)
            hours = st.tuples(clock, clock).filter(lambda pair: pair[0] != pair[1]).map("-".join)
            return st.builds("{} {}".format, hours, st.sampled_from(["UTC", "Asia/Tokyo"]))
        case _:
            return text.map(str.strip).filter(bool)


known_and_valid = of_kind().flatmap(lambda d: st.tuples(st.just(d), values_of(d)))


@given(known_and_valid)
def test_what_is_shown_can_be_typed_again(pair: tuple[SettingDefinition, JsonValue]) -> None:
    definition, value = pair
    parsed = definition.parse(definition.show(value))
    assert parsed == value
    assert definition.check(parsed) == value


@given(of_kind(), st.text())
def test_any_text_is_a_checked_value_or_refused(definition: SettingDefinition, text: str) -> None:
    try:
        value = definition.parse(text)
    except ChannelSettingError as error:
        assert definition.key in error.message
        assert error.fix
    else:
        assert definition.check(value) == value


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(of_kind(), json_values)
def test_any_stored_value_is_fit_or_refused(definition: SettingDefinition, value: object) -> None:
    try:
        checked = definition.check(value)
    except ChannelSettingError:
        return
    assert definition.check(checked) == checked
    if definition.kind in ("integer", "number"):
        assert isinstance(checked, int | float)
        assert (definition.minimum or 0) <= checked <= (definition.maximum or 0)


@given(of_kind("integer", "number"), st.floats() | st.integers())
def test_numbers_out_of_range_are_refused(definition: SettingDefinition, number: float) -> None:
    low, high = definition.minimum or 0, definition.maximum or 0
    inside = low < number if definition.above_minimum else low <= number
    assume(math.isnan(number) or not (inside and number <= high))
    with pytest.raises(ChannelSettingError, match=definition.key):
        definition.parse(str(number))


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("temperature", " 0.7 ", 0.7),
        ("temperature", "0", 0),
        ("temperature", "2", 2),
        ("top_k", "1000", 1000),
        ("trigger", "Always", "always"),
        ("wake_words", "Ada, , hey ada ,Ada", ["Ada", "hey ada"]),
        ("instructions", "  Be brief.\nBe kind. ", "Be brief.\nBe kind."),
        ("instructions", "zero\0 and half\ud800", "zero and half?"),
        ("quiet_hours", "22-7 europe/berlin", "22:00-07:00 Europe/Berlin"),
        ("allowed_roles", "<@&1> <@!2>,<@3>", ["<@&1>", "<@2>", "<@3>"]),
        (
            "allowed_roles",
            " @Trusted , 123456789012345678, The Crew",
            [*("Trusted", "123456789012345678", "The Crew")],
        ),
    ],
)
def test_what_people_type(key: str, text: str, value: JsonValue) -> None:
    assert definition_of(key).parse(text) == value


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("temperature", "2.0001"),
        ("temperature", "-0.1"),
        ("temperature", "nan"),
        ("temperature", "inf"),
        ("temperature", "warm"),
        ("temperature", ""),
        ("top_p", "0"),
        ("top_k", "1.5"),
        ("top_k", "9" * 5000),
        ("max_reply_tokens", "15"),
        ("max_reply_tokens", "2049"),
        ("repetition_penalty", "0.4"),
        ("history_turns", "501"),
        ("trigger", "sometimes"),
        ("wake_words", " , "),
        ("presence_penalty", "2.1"),
        ("frequency_penalty", "-2.1"),
        ("dry_base", "0.9"),
        ("dry_allowed_length", "0"),
        ("xtc_threshold", "0.6"),
        ("banned_words", ","),
        ("wake_words", ",".join(f"w{number}" for number in range(WORDS + 1))),
        ("wake_words", "w" * (WORD_CHARACTERS + 1)),
        ("instructions", " "),
        ("instructions", "x" * (TEXT_CHARACTERS + 1)),
        ("quiet_hours", "at night"),
        ("quiet_hours", "22:00-07:00 Europe/Atlantis"),
        ("allowed_roles", "@, ,"),
        ("allowed_roles", "".join(f"<@{number}>" for number in range(WORDS + 1))),
    ],
)
def test_what_is_refused(key: str, text: str) -> None:
    with pytest.raises(ChannelSettingError) as caught:
        definition_of(key).parse(text)
    assert len(str(caught.value)) < 300


def test_every_key_is_defined_once_with_the_same_default() -> None:
    settings = ChannelSettings().model_dump()
    assert list(settings) == list(DEFINITIONS)
    for definition in DEFINITIONS.values():
        default = definition.default
        assert settings[definition.key] == (
            tuple(default) if isinstance(default, list) else default
        )
        assert definition.help.endswith(".")
        assert definition.range_text
        if default not in ("", []):
            assert definition.check(default) == default


def test_every_setting_stands_on_one_page_and_a_page_fits_a_list() -> None:
    listed = [key for keys in THEMES.values() for key in keys]
    assert sorted(listed) == sorted(DEFINITIONS)
    assert max(map(len, THEMES.values())) <= 25
    assert len(THEMES) <= 25


NOBODY = Setter()
CHANNELS = Setter(manages_channel=True)
SERVER = Setter(manages_server=True)
OWNER = Setter(is_owner=True)


@pytest.mark.parametrize(
    ("key", "setter", "scope", "is_direct", "allowed"),
    [
        ("top_k", NOBODY, Scope.CHANNEL, False, False),
        ("top_k", CHANNELS, Scope.CHANNEL, False, True),
        ("top_k", CHANNELS, Scope.GUILD, False, False),
        ("top_k", SERVER, Scope.CHANNEL, False, True),
        ("top_k", SERVER, Scope.GUILD, False, True),
        ("top_k", OWNER, Scope.GUILD, False, True),
        ("top_k", OWNER, Scope.OWNER, False, False),
        ("top_k", NOBODY, Scope.CHANNEL, True, True),
        ("top_k", OWNER, Scope.GUILD, True, False),
        ("rate_limit", CHANNELS, Scope.CHANNEL, False, True),
        ("rate_limit", NOBODY, Scope.CHANNEL, True, False),
        ("channel_rate_limit", NOBODY, Scope.CHANNEL, True, False),
        ("daily_tokens", NOBODY, Scope.CHANNEL, True, False),
        ("daily_tokens", OWNER, Scope.CHANNEL, True, True),
        ("allowed_roles", NOBODY, Scope.CHANNEL, True, False),
        ("answer_bots", NOBODY, Scope.CHANNEL, True, True),
    ],
)
def test_a_definition_says_who_may_set_it(
    key: str, setter: Setter, scope: Scope, is_direct: bool, allowed: bool
) -> None:
    definition = definition_of(key)
    if allowed:
        definition.require_setter(setter, scope, is_direct=is_direct)
        return
    with pytest.raises(NotAllowed):
        definition.require_setter(setter, scope, is_direct=is_direct)


def test_what_protects_the_machine_is_the_owners_in_a_direct_message() -> None:
    owners = {key for key, one in DEFINITIONS.items() if one.in_direct is InDirect.OWNER}
    assert owners == {
        *("rate_limit", "channel_rate_limit", "daily_tokens"),
        *("allowed_roles", "blocked_roles"),  # else the owner's own lists would keep nobody out
    }


def test_a_large_range_is_told_in_figures_that_can_be_typed() -> None:
    for definition in DEFINITIONS.values():
        if definition.kind in ("integer", "number"):
            most = definition.range_text.split(" to ")[1]
            assert "e" not in most
            assert definition.parse(most) == definition.maximum
    assert definition_of("daily_tokens").range_text == "0 to 100000000"


def test_sampling_takes_its_part() -> None:
    settings = ChannelSettings(temperature=1.1, top_k=3, top_p=0.5, min_p=0.1)
    sampling = settings.sampling(seed=7)
    assert sampling.seed == 7
    for field in fields(sampling):
        if field.name != "seed":
            assert getattr(sampling, field.name) == getattr(settings, field.name)


def test_an_unknown_key_names_the_known_ones() -> None:
    assert definition_of(" Temperature ").key == "temperature"
    with pytest.raises(NotFound, match="temperature"):
        definition_of("temprature")


@pytest.fixture
def store() -> SqlSettings:
    return DatabaseAtOnce().settings


@pytest.fixture
def cascade(store: SqlSettings) -> SettingsCascade:
    return SettingsCascade(store, GivenPersonas(ADA, BYRON), {"temperature": 0.5, "top_k": 9})


async def test_the_narrower_scope_wins(cascade: SettingsCascade) -> None:
    assert (await cascade.resolve(HERE)).temperature == 0.5
    await cascade.set(HERE, Scope.GUILD, "temperature", "0.8", by="mod")
    assert (await cascade.resolve(NEXT_DOOR)).temperature == 0.8
    await cascade.set(HERE, Scope.CHANNEL, "temperature", "1.2", by="mod")
    assert (await cascade.resolve(HERE)).temperature == 1.2
    assert (await cascade.resolve(THREAD)).temperature == 1.2
    assert (await cascade.resolve(NEXT_DOOR)).temperature == 0.8
    assert (await cascade.resolve(ELSEWHERE)).temperature == 0.5
    assert (await cascade.resolve(DIRECT)).temperature == 0.5
    await cascade.reset(HERE, Scope.CHANNEL, "temperature", by="mod")
    assert (await cascade.resolve(HERE)).temperature == 0.8


async def test_the_models_own_sampling_stands_between_caduceus_and_the_owner(
    cascade: SettingsCascade,
) -> None:
    said = {"temperature": 0.2, "top_p": 0.9, "repetition_penalty": 1, "top_k": 40}
    cascade = cascade.with_model(lambda: said)
    await cascade.set(HERE, Scope.CHANNEL, "repetition_penalty", "1.3", by="mod")
    origins = {o.definition.key: (o.value, o.origin) for o in await cascade.explain(HERE)}
    assert origins["temperature"] == (0.5, Scope.OWNER)
    assert origins["top_p"] == (0.9, MODEL)
    assert origins["top_k"] == (9, Scope.OWNER)
    assert origins["repetition_penalty"] == (1.3, Scope.CHANNEL)
    assert origins["min_p"] == (0.0, None)
    assert (await cascade.resolve(ELSEWHERE)).repetition_penalty == 1.0
    stored = (await cascade.stored(ELSEWHERE)).values
    assert cascade.settle(ELSEWHERE, stored, {"top_p": 0.5}).top_p == 0.5
    assert cascade.settle(ELSEWHERE, stored, {}).top_p == DEFINITIONS["top_p"].default


async def test_a_personas_sampling_stands_between_the_owner_and_moderators(
    cascade: SettingsCascade,
) -> None:
    own = PersonaSampling(temperature=1.5, top_k=3, max_reply_tokens=200)
    persona = Persona(name="Mira", sampling=own)
    await cascade.set(HERE, Scope.CHANNEL, "top_k", "7", by="mod")

    async def settled() -> ChannelSettings:
        stored = await cascade.stored(HERE)
        return cascade.settle(HERE, stored.values, persona=persona)

    here = await settled()
    assert (here.temperature, here.top_k, here.max_reply_tokens) == (1.5, 7, 200)
    for limit, expected in (("100", 100), ("400", 200)):
        await cascade.set(HERE, Scope.CHANNEL, "max_reply_tokens", limit, by="mod")
        assert (await settled()).max_reply_tokens == expected
    assert (await cascade.resolve(HERE)).temperature == 0.5


async def test_what_a_persona_bans_is_banned_beside_what_a_moderator_bans(
    cascade: SettingsCascade,
) -> None:
    persona = Persona(name="Mira", sampling=PersonaSampling(banned_words=("oh, no", "ozone")))

    async def banned() -> tuple[str, ...]:
        stored = await cascade.stored(HERE)
        return cascade.settle(HERE, stored.values, persona=persona).banned_words

    assert await banned() == ("oh, no", "ozone")
    await cascade.set(HERE, Scope.GUILD, "banned_words", "shiver, ozone", by="mod")
    assert await banned() == ("shiver", "ozone", "oh, no")
    await cascade.set(HERE, Scope.CHANNEL, "banned_words", "gasp", by="mod")
    assert await banned() == ("gasp", "oh, no", "ozone")
    assert (await cascade.resolve(HERE)).banned_words == ("gasp",)


def test_a_list_of_words_may_have_commas_in_them() -> None:
    definition = definition_of("banned_words")
    assert definition.check(["oh, no", " oh, no ", "ah"]) == ["oh, no", "ah"]
    assert definition.check([]) == []
    with pytest.raises(ChannelSettingError):
        definition.check(["w" * (WORD_CHARACTERS + 1)])


@pytest.mark.parametrize("odd", [-1, 7, 2.5, 1e300])
async def test_what_no_setting_could_be_is_not_taken_from_a_model(
    odd: float, cascade: SettingsCascade
) -> None:
    stored = (await cascade.stored(HERE)).values
    settings = cascade.settle(HERE, stored, dict.fromkeys(("top_p", "min_p"), odd))
    assert (settings.top_p, settings.min_p) == (0.95, 0.0)


async def test_explain_tells_where_each_value_comes_from(cascade: SettingsCascade) -> None:
    await cascade.set(HERE, Scope.GUILD, "top_p", "0.8", by="mod")
    await cascade.set(HERE, Scope.CHANNEL, "wake_words", "ada", by="mod")
    origins = {o.definition.key: (o.value, o.origin) for o in await cascade.explain(HERE)}
    assert list(origins) == list(DEFINITIONS)
    assert origins["temperature"] == (0.5, Scope.OWNER)
    assert origins["top_p"] == (0.8, Scope.GUILD)
    assert origins["wake_words"] == (["ada"], Scope.CHANNEL)
    assert origins["min_p"] == (0.0, None)


async def test_a_thread_sets_its_channels_settings(cascade: SettingsCascade) -> None:
    await cascade.set(THREAD, Scope.CHANNEL, "top_k", "5", by="mod")
    assert (await cascade.resolve(HERE)).top_k == 5


async def test_a_direct_message_has_no_guild(cascade: SettingsCascade) -> None:
    for scope in (Scope.GUILD, Scope.OWNER):
        with pytest.raises(ChannelSettingError, match=f"no {scope.value} here"):
            await cascade.set(DIRECT, scope, "top_k", "5", by="bob")
    await cascade.set(DIRECT, Scope.CHANNEL, "top_k", "5", by="bob")
    assert (await cascade.resolve(DIRECT)).top_k == 5


async def test_a_value_that_no_longer_fits_gives_way_to_the_wider_one(
    cascade: SettingsCascade, store: SqlSettings
) -> None:
    await store.change(Scope.CHANNEL, "discord:100", "top_k", 10_000, by="an older version")
    await store.change(Scope.CHANNEL, "discord:100", "trigger", "whenever", by="an older version")
    settings = await cascade.resolve(HERE)
    assert settings.top_k == 9
    assert settings.trigger == "mention"


async def shown_persona(cascade: SettingsCascade) -> str:
    return next(o.shown for o in await cascade.explain(HERE) if o.definition.key == "persona")


async def test_a_persona_is_typed_and_shown_by_its_name_and_kept_by_its_id(
    cascade: SettingsCascade,
) -> None:
    assert await shown_persona(cascade) == "Ada"  # the default one speaks
    for typed in ("bYRON", BYRON.id):
        change = await cascade.set(HERE, Scope.CHANNEL, "persona", typed, by="mod")
        assert change.new == (await cascade.resolve(HERE)).persona == BYRON.id
    assert await shown_persona(cascade) == "Byron"
    assert await cascade.show(HERE, DEFINITIONS["persona"], change.new) == "Byron"
    with pytest.raises(ChannelSettingError, match="no persona «Shelley»"):
        await cascade.set(HERE, Scope.CHANNEL, "persona", "Shelley", by="mod")


async def test_a_renamed_persona_stays_the_chosen_one_and_a_deleted_one_is_said_to_be_gone(
    store: SqlSettings,
) -> None:
    personas = GivenPersonas(ADA, BYRON)
    cascade = SettingsCascade(store, personas)
    await cascade.set(HERE, Scope.CHANNEL, "persona", "Byron", by="mod")
    settings = await cascade.resolve(HERE)
    personas.personas[1] = renamed = BYRON.model_copy(update={"name": "Lord Byron"})
    assert await cascade.persona(HERE, settings) == renamed
    assert await shown_persona(cascade) == "Lord Byron"
    del personas.personas[1]
    assert await cascade.persona(HERE, settings) == ADA
    assert await shown_persona(cascade) == "test:byron (gone: Ada speaks instead)"
    assert await cascade.show(HERE, DEFINITIONS["persona"], BYRON.id) == "test:byron (gone)"
    personas.personas.append(BYRON)
    assert await cascade.persona(HERE, settings) == BYRON


async def test_a_name_that_was_kept_before_there_were_ids_still_counts(
    cascade: SettingsCascade, store: SqlSettings
) -> None:
    await store.change(Scope.CHANNEL, "discord:100", "persona", "byron", by="an older version")
    assert await cascade.persona(HERE, await cascade.resolve(HERE)) == BYRON
    assert await shown_persona(cascade) == "Byron"


async def test_another_guilds_persona_cannot_be_set(store: SqlSettings) -> None:
    owner = GivenPersonas(ADA)
    theirs = BYRON.model_copy(update={"guild_id": "2"})
    cascade = SettingsCascade(store, EveryHome([GivenPersonas(theirs), owner], owner.default))
    for reference in (theirs.name, theirs.id):
        with pytest.raises(ChannelSettingError, match="no persona"):
            await cascade.set(HERE, Scope.CHANNEL, "persona", reference, by="mod")
    await cascade.set(ELSEWHERE, Scope.GUILD, "persona", theirs.name, by="mod")
    assert await cascade.persona(ELSEWHERE, await cascade.resolve(ELSEWHERE)) == theirs
    assert await cascade.show(HERE, DEFINITIONS["persona"], theirs.id) == "test:byron (gone)"


async def test_history_and_undo(cascade: SettingsCascade) -> None:
    first = await cascade.set(HERE, Scope.CHANNEL, "top_k", "5", by="mod")
    second = await cascade.set(HERE, Scope.CHANNEL, "top_k", "7", by="eve")
    assert [c.change_id for c in await cascade.history(HERE)] == [second.change_id, first.change_id]
    assert (second.old, second.new, second.changed_by) == (5, 7, "eve")
    undone = await cascade.undo(HERE, second.change_id, by="mod")
    assert undone.new == 5
    assert (await cascade.resolve(HERE)).top_k == 5
    await cascade.undo(HERE, first.change_id, by="mod")
    assert (await cascade.resolve(HERE)).top_k == 9
    assert await cascade.revision() == 4
    assert len(await cascade.history(HERE, limit=3)) == 3


async def test_what_would_have_no_effect_is_not_put_back(
    cascade: SettingsCascade, store: SqlSettings
) -> None:
    for value in ("loud", None):  # a setting of an earlier version
        renamed = await store.change(Scope.CHANNEL, "discord:100", "volume", value, by="mod")
    for wrong in (99, None):  # a range of an earlier version
        narrowed = await store.change(Scope.CHANNEL, "discord:100", "top_p", wrong, by="mod")
    with pytest.raises(NotFound, match="volume"):
        await cascade.undo(HERE, renamed.change_id, by="mod")
    with pytest.raises(ChannelSettingError):
        await cascade.undo(HERE, narrowed.change_id, by="mod")
    assert await cascade.revision() == narrowed.change_id


async def test_another_guilds_changes_are_nobodys_business(cascade: SettingsCascade) -> None:
    change = await cascade.set(HERE, Scope.GUILD, "top_k", "5", by="mod")
    assert await cascade.history(ELSEWHERE) == []
    for attempt in (
        cascade.undo(ELSEWHERE, change.change_id, by="eve"),
        cascade.change(HERE, 999),
        cascade.change(HERE, -1),
    ):
        with pytest.raises(NotFound):
            await attempt
    await cascade.undo(NEXT_DOOR, change.change_id, by="mod")


async def test_unknown_keys_and_bad_values_change_nothing(
    cascade: SettingsCascade, store: SqlSettings
) -> None:
    with pytest.raises(NotFound):
        await cascade.set(HERE, Scope.CHANNEL, "volume", "11", by="mod")
    with pytest.raises(NotFound):
        await cascade.reset(HERE, Scope.CHANNEL, "volume", by="mod")
    with pytest.raises(ChannelSettingError):
        await cascade.set(HERE, Scope.CHANNEL, "top_k", "lots", by="mod")
    assert await store.revision() == 0


@pytest.fixture
def renamed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if top_k had been called `best_words`, and before that `top`."""
    monkeypatch.setattr(definitions, "RENAMED", {"top": "best_words", "best_words": "top_k"})


@pytest.mark.usefixtures("renamed")
async def test_what_is_stored_under_an_old_name_holds_under_the_new_one(
    cascade: SettingsCascade, store: SqlSettings
) -> None:
    await store.change(Scope.GUILD, "discord:1", "top", 5, by="an older version")
    assert (await cascade.resolve(HERE)).top_k == 5
    origins = {o.definition.key: (o.value, o.origin) for o in await cascade.explain(HERE)}
    assert origins["top_k"] == (5, Scope.GUILD)
    await store.change(Scope.GUILD, "discord:1", "top_k", 6, by="a newer version")
    assert (await cascade.resolve(HERE)).top_k == 6
    await store.change(Scope.CHANNEL, "discord:100", "best_words", 7, by="an older version")
    assert (await cascade.resolve(HERE)).top_k == 7


@pytest.mark.usefixtures("renamed")
async def test_a_change_replaces_what_stands_under_the_old_name(
    cascade: SettingsCascade, store: SqlSettings
) -> None:
    old = await store.change(Scope.CHANNEL, "discord:100", "top", 5, by="an older version")
    assert definition_of("Best_Words").key == "top_k"
    newest = await cascade.newest(HERE, Scope.CHANNEL, "top_k")
    assert newest == old
    change = await cascade.set(HERE, Scope.CHANNEL, "top", "8", by="mod", seen=old.change_id)
    assert (change.key, change.old, change.new) == ("top_k", 5, 8)
    await cascade.reset(HERE, Scope.CHANNEL, "top_k", by="mod")
    assert (await cascade.resolve(HERE)).top_k == 9
    undone = await cascade.undo(HERE, change.change_id, by="mod")
    assert (undone.key, undone.new) == ("top_k", 5)
    with pytest.raises(NotFound):
        await cascade.undo(
            HERE, (await store.change(Scope.CHANNEL, "discord:100", "x", 1, by="")).change_id, by=""
        )


async def test_who_has_not_seen_the_newest_change_changes_nothing(
    cascade: SettingsCascade,
) -> None:
    first = await cascade.set(HERE, Scope.CHANNEL, "top_k", "5", by="mod", seen=0)
    for attempt in (
        cascade.set(HERE, Scope.CHANNEL, "top_k", "6", by="eve", seen=0),
        cascade.reset(HERE, Scope.CHANNEL, "top_k", by="eve", seen=first.change_id + 1),
    ):
        with pytest.raises(SettingChanged):
            await attempt
    assert await cascade.revision() == first.change_id
    # What others change elsewhere, or of other settings, is no reason.
    await cascade.set(HERE, Scope.GUILD, "top_k", "7", by="eve")
    await cascade.set(HERE, Scope.CHANNEL, "top_p", "1", by="eve")
    await cascade.set(HERE, Scope.CHANNEL, "top_k", "6", by="mod", seen=first.change_id)


async def test_what_holds_in_the_server_is_told_without_the_channels_own(
    cascade: SettingsCascade,
) -> None:
    await cascade.set(HERE, Scope.GUILD, "top_k", "7", by="mod")
    await cascade.set(HERE, Scope.CHANNEL, "top_k", "5", by="mod")
    for scope, value in ((Scope.CHANNEL, 5), (Scope.GUILD, 7)):
        found = {o.definition.key: o.value for o in await cascade.explain(HERE, scope)}
        assert found["top_k"] == value


async def test_in_a_direct_message_nobodys_turns_are_kept_apart(cascade: SettingsCascade) -> None:
    await cascade.set(DIRECT, Scope.CHANNEL, "history_scope", "user", by="bob")
    assert (await cascade.resolve(DIRECT)).history_scope == "channel"
    await cascade.set(HERE, Scope.CHANNEL, "history_scope", "user", by="mod")
    assert (await cascade.resolve(HERE)).history_scope == "user"
