"""What goes in comes out: the same document in its own version, the same persona in any."""

import base64
import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from making_cards import archive, as_json, card_chunk, picture_bytes, png, text_chunk, v2, v3
from PIL import Image

from bot.chat.persona import DepthPrompt, PersonaSampling, PersonaText
from bot.chat.personas.cards.card import Card
from bot.chat.personas.cards.edits import new_card, renamed, with_persona, with_picture
from bot.chat.personas.cards.formats.chunks import read_chunks
from bot.chat.personas.cards.pictures import render
from bot.chat.personas.cards.reading import read_card
from bot.chat.personas.cards.versions import Version
from bot.chat.personas.cards.writing import Format, document_in, safe_file_name, write_card
from bot.chat.personas.documents import FILE_BYTES

NOW = 1_700_000_000

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
plain_words = st.text("abcé中 .\"\\'\n#[]{}@", max_size=30).map(str.strip)
names = st.text("abcdefé中", min_size=1, max_size=20).filter(
    lambda name: name not in ("clyde", "discord")
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | words
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(words, below, max_size=3),
    max_leaves=6,
)  # fmt: skip
unknown = st.dictionaries(words.map("x/{}".format), anything, max_size=3)
entries = st.lists(
    st.fixed_dictionaries(
        {"keys": st.lists(words, max_size=2), "content": words},
        optional={"extensions": unknown, "id": st.integers() | words, "use_regex": st.booleans()},
    ),
    max_size=3,
)
books = st.fixed_dictionaries({"entries": entries}, optional={"name": words, "extensions": unknown})
v2_data = st.fixed_dictionaries(
    {"name": names},
    optional={
        "description": words, "personality": words, "scenario": words, "first_mes": words,
        "mes_example": words, "creator_notes": words, "system_prompt": words, "creator": words,
        "post_history_instructions": words, "alternate_greetings": st.lists(words, max_size=3),
        "tags": st.lists(words, max_size=3), "character_version": words,
        "extensions": unknown, "character_book": st.none() | books,
    },
)  # fmt: skip
v3_only = st.fixed_dictionaries(
    {},
    optional={
        "nickname": names, "group_only_greetings": st.lists(words, max_size=2),
        "source": st.lists(words, max_size=2), "creation_date": st.integers(0, 2**33) | words,
        "modification_date": st.just(5), "creator_notes_multilingual": st.just({"de": "x"}),
    },
)  # fmt: skip
flat = st.fixed_dictionaries(
    {"name": names, "description": words},
    optional={"personality": words, "scenario": words, "first_mes": words,
              "mes_example": words},
)  # fmt: skip


@st.composite
def documents(draw: st.DrawFn) -> dict[str, object]:
    """A card of any version, with keys that nobody knows everywhere, in any order."""
    version = draw(st.sampled_from(list(Version)))
    beside = draw(unknown)
    if version is Version.V1:
        return shuffled(draw, {**draw(flat), **beside})
    data = {**draw(v2_data), **draw(unknown)}
    if version is Version.V3:
        data |= draw(v3_only)
    make = v2 if version is Version.V2 else v3
    return shuffled(draw, {**make(**shuffled(draw, data)), **beside})


def shuffled(draw: st.DrawFn, values: dict[str, object]) -> dict[str, object]:
    return {key: values[key] for key in draw(st.permutations(list(values)))}


def without_date(document: dict[str, object]) -> str:
    """The document as text: the order of its keys counts."""
    data = document.get("data")
    if isinstance(data, dict):
        data = {key: value for key, value in data.items() if key != "modification_date"}
        document = {**document, "data": data}
    return json.dumps(document)


def read(document: object) -> Card:
    return read_card(json.dumps(document).encode(), "card.json")


def exported(card: Card, version: Version) -> dict[str, object]:
    written = write_card(card, Format(version.value), NOW)
    assert written.file_name.endswith(".json")
    return json.loads(written.content)


@given(documents())
def test_a_card_goes_out_in_its_own_version_as_it_came(document: dict[str, object]) -> None:
    card = read(document)
    back = exported(card, card.version)
    assert without_date(back) == without_date(document)
    if card.version is Version.V3 and "modification_date" in card.data:
        assert back["data"]["modification_date"] == NOW  # type: ignore[index]


@given(documents(), st.permutations(list(Version)))
def test_a_persona_is_the_same_in_every_version(
    document: dict[str, object], order: list[Version]
) -> None:
    card = read(document)
    there = card
    for version in [*order, card.version]:
        there = read(exported(there, version))
        assert there.version is version
        assert there.persona == card.persona
    data, back = dict(card.data), dict(there.data)
    for key, value in data.items():
        if key != "modification_date" and value not in ("", [], {}, None):
            assert back[key] == value
    beside = {key: value for key, value in document.items() if key.startswith("x/")}
    assert beside.items() <= there.document.items()


@given(documents())
def test_a_toml_file_brings_back_the_whole_card(document: dict[str, object]) -> None:
    card = read(document)
    back = read_card(write_card(card, Format.TOML, NOW).content, "a.toml")
    assert back.persona == card.persona
    if card.version is not Version.V3 or card.document != new_card(card.persona).document:
        assert without_date(back.document) == without_date(document)


@given(documents())
def test_a_charx_holds_the_same_card(document: dict[str, object]) -> None:
    card = read(document)
    content = write_card(card, Format.CHARX, NOW).content
    back = read_card(content, "a.charx")
    assert back.persona == card.persona
    if card.version is Version.V3:
        assert without_date(back.document) == without_date(document)


personas = st.builds(
    PersonaText,
    name=names, nickname=names | st.just(""), description=plain_words, personality=plain_words,
    scenario=plain_words, greeting=plain_words, example_dialogue=plain_words,
    summary=plain_words, system_text=plain_words, closing_reminder=plain_words,
    alternate_greetings=st.lists(plain_words.filter(bool), max_size=3),
    group_greetings=st.lists(plain_words.filter(bool), max_size=2),
    tags=st.lists(plain_words.filter(bool), max_size=2),
    stop_words=st.lists(plain_words.filter(bool), max_size=2),
    age_restricted=st.booleans(),
    depth_prompt=st.none() | st.builds(
        DepthPrompt, text=plain_words.filter(bool), depth=st.integers(0, 9),
        role=st.sampled_from(["system", "user", "assistant"]),
    ),
    talkativeness=st.none() | st.floats(0, 1),
    sampling=st.none() | st.builds(
        PersonaSampling, temperature=st.none() | st.floats(0, 2), top_k=st.integers(0, 1000)
    ),
    lorebook=st.none() | books,
    creator_notes=plain_words, translated_notes=st.just({}) | st.just({"de": "x"}),
    creator=plain_words, character_version=plain_words,
)  # fmt: skip


@given(personas, st.sampled_from([Format.TOML, Format.V1, Format.V2, Format.V3, Format.CHARX]))
def test_a_persona_of_our_own_goes_through_every_format(
    persona: PersonaText, format: Format
) -> None:
    written = write_card(new_card(persona), format, NOW)
    assert read_card(written.content, written.file_name).persona == persona


@given(documents(), personas)
def test_an_edit_changes_what_was_edited_and_nothing_else(
    document: dict[str, object], persona: PersonaText
) -> None:
    card = read(document)
    edited = with_persona(card, persona, NOW)
    assert read(edited.document).persona == persona
    assert edited.version is card.version
    known = {"spec", "spec_version", "data", "extensions"}
    for key, value in document.items():
        if key not in known and key.startswith("x/"):
            assert edited.document[key] == value
    for key, value in card.data.items():
        if key.startswith("x/"):
            assert edited.data[key] == value
    # And the way back leads to where it began.
    assert read(with_persona(edited, card.persona).document).persona == card.persona


def test_an_edit_stands_at_its_place_and_takes_a_mirror_along() -> None:
    document = {"name": "Mira", "description": "old", **v2(description="old", z=1, scenario="s")}
    card = read(document)
    new = card.persona.model_copy(update={"description": "new"})
    edited = renamed(with_persona(card, new), "B")
    expected = {"name": "B", "description": "new", **v2(description="new", z=1, scenario="s")}
    expected["data"]["name"] = "B"  # type: ignore[index]
    assert json.dumps(edited.document) == json.dumps(expected)
    assert card.document == document


def test_an_edit_uses_the_cards_own_name_for_a_field() -> None:
    card = read({"char_name": "A", "char_persona": "old", "x": 1})
    edited = with_persona(card, card.persona.model_copy(update={"description": "new"}))
    assert edited.document == {"char_name": "A", "char_persona": "new", "x": 1}


def test_an_edited_v3_card_is_dated_and_an_unedited_one_is_not_touched() -> None:
    card = read(v3(description="x"))
    assert with_persona(card, card.persona, NOW) is card
    edited = renamed(card, "Other", NOW)
    assert edited.data["modification_date"] == NOW
    assert document_in(card, Version.V3, NOW) is card.document


@pytest.mark.parametrize("format", [Format.V2, Format.TOML, Format.CHARX])
def test_halves_of_characters_and_nulls_in_unknown_keys_stay(format: Format) -> None:
    document = v2(extensions={"x": "\ud800", "\udfff": ["\0", "\u2028", 1e300, -0.0, 10**30]})
    card = read(document)
    back = read_card(write_card(card, format, NOW).content, "a")
    assert back.data["extensions"] == card.data["extensions"]


def test_what_toml_keeps_may_be_edited_there() -> None:
    card = read(v2(description="old", character_book={"entries": [{"a": None}]}, unknown=1))
    text = write_card(card, Format.TOML, NOW).content.decode()
    assert 'description = "old"' in text
    back = read_card(text.replace('description = "old"', 'description = "new"').encode(), "a.toml")
    assert back.persona.description == "new"
    assert back.data["unknown"] == 1
    assert back.persona.lorebook == {"entries": [{"a": None}]}


def test_a_persona_file_of_our_own_is_written_as_a_person_would() -> None:
    persona = PersonaText(
        name="Mira", description='Two\nlines, "quoted"', sampling=PersonaSampling(top_k=4),
        alternate_greetings=("a", "b"),
        lorebook={"name": "B", "entries": [{"keys": ["k"], "content": "c"}]},
    )  # fmt: skip
    assert write_card(new_card(persona), Format.TOML, NOW).content.decode() == (
        'name = "Mira"\ndescription = """\nTwo\nlines, "quoted\\""""\n'
        'alternate_greetings = ["a", "b"]\n\n[sampling]\ntop_k = 4\n\n[lorebook]\nname = "B"\n\n'
        '[[lorebook.entries]]\nkeys = ["k"]\ncontent = "c"\n'
    )


# Pictures


def documents_in(content: bytes) -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = {}
    for kind, body in read_chunks("it", content):
        keyword, _, text = body.partition(b"\0")
        if kind == b"tEXt" and keyword in (b"chara", b"ccv3"):
            found[keyword.decode()] = json.loads(base64.b64decode(text))
    return found


@pytest.mark.parametrize("make", [v2, v3])
def test_a_png_holds_both_versions_and_the_pictures_other_texts(
    make: Callable[..., dict[str, object]],
) -> None:
    document = make(**{"x/y": [1, None], "description": "d"}, nickname="N")
    picture = picture_bytes((40, 60))
    other = text_chunk("Title", b"kept")
    asset = text_chunk("chara-ext-asset_:0", base64.b64encode(b"asset"))
    keyword = "chara" if make is v2 else "ccv3"
    card = read_card(png(other, asset, card_chunk(keyword, document), picture=picture), "a.png")
    written = write_card(card, Format.PNG, NOW)
    found = documents_in(written.content)
    assert found.keys() == {"chara", "ccv3"}
    assert found["chara"]["spec"] == "chara_card_v2"
    assert found["ccv3"]["spec"] == "chara_card_v3"
    assert without_date(found[keyword]) == without_date(document)
    assert (b"tEXt", b"Title\0kept") in list(read_chunks("it", written.content))
    again = read_card(written.content, "a.png")
    assert again.files == {"0": b"asset"}
    assert again.persona == card.persona
    with Image.open(BytesIO(written.content)) as image:
        assert image.size == (40, 60)


def test_a_v3_cards_v2_side_says_so_and_has_no_decorators() -> None:
    book = {"entries": [{"keys": ["k"], "content": "@@depth 3\n@@@x\ntext"}]}
    card = read(v3(creator_notes="mine", character_book=book))
    v2_side = documents_in(write_card(card, Format.PNG, NOW).content)["chara"]["data"]
    assert "Character Card V3" in v2_side["creator_notes"]  # type: ignore[index]
    assert v2_side["creator_notes"].endswith("\nmine")  # type: ignore[index]
    assert v2_side["character_book"]["entries"][0]["content"] == "text"  # type: ignore[index]


def test_a_persona_without_a_picture_gets_a_plain_one() -> None:
    written = write_card(new_card(PersonaText(name="Mira")), Format.PNG, NOW)
    assert read_card(written.content, written.file_name).persona.name == "Mira"
    assert written.warnings == ()
    broken = replace(new_card(PersonaText(name="Mira")), picture=picture_bytes()[:40])
    assert "cannot be decoded" in write_card(broken, Format.PNG, NOW).warnings[0]


def test_a_picture_that_packs_badly_leaves_room_for_the_card() -> None:
    file = BytesIO()
    Image.merge("RGB", [Image.effect_noise((1_500, 1_500), 90) for _ in "RGB"]).save(file, "JPEG")
    card = replace(new_card(PersonaText(name="Mira")), picture=file.getvalue())
    for format in (Format.PNG, Format.CHARX):
        content = write_card(card, format, NOW).content
        assert read_card(content, "a").picture is not None
        assert len(content) < FILE_BYTES // 2 + 10_000


def test_a_charx_goes_out_with_everything_that_it_came_with() -> None:
    assets = [{"type": "icon", "uri": "embeded://i.png", "name": "main", "ext": "png"}]
    files = {"card.json": as_json(v3(assets=assets)), "i.png": picture_bytes(), "app.json": b"{}"}
    content = write_card(read_card(archive(files), "a"), Format.CHARX, NOW).content
    with zipfile.ZipFile(BytesIO(content)) as opened:
        there = {name: opened.read(name) for name in opened.namelist()}
    assert there.keys() == files.keys()
    assert there["i.png"] == files["i.png"]
    assert json.loads(there["card.json"]) == json.loads(files["card.json"])


@pytest.mark.parametrize(
    "assets",
    [
        None,
        [{"type": "icon", "uri": "ccdefault:", "name": "main"}],
        [{"type": "icon", "uri": "embeded://gone.png", "name": "a"}],
    ],
)
def test_a_pictures_card_takes_its_picture_into_a_charx(assets: list[object] | None) -> None:
    document = v3() if assets is None else v3(assets=assets)
    card = read_card(png(card_chunk("ccv3", document)), "a.png")
    back = read_card(write_card(card, Format.CHARX, NOW).content, "a.charx")
    assert back.picture is not None
    assert len(back.assets) == 1
    assert back.warnings == ()


ICON = {"type": "icon", "uri": "embeded://i.jpg", "name": "main", "ext": "jpg"}
HAPPY = {"type": "emotion", "uri": "embeded://h.png", "name": "happy", "ext": "png"}


@pytest.mark.parametrize("other", [None, picture_bytes((9, 9))], ids=["none", "other"])
@pytest.mark.parametrize(
    "content",
    [
        as_json(v3(extensions={"a": 1})),
        png(card_chunk("ccv3", v3(assets=[{"type": "icon", "uri": "ccdefault:", "name": "main"}]))),
        archive(
            {
                "card.json": as_json(v3(assets=[HAPPY, ICON])),
                "i.jpg": picture_bytes(kind="JPEG"),
                "h.png": picture_bytes((7, 7)),
            }
        ),
    ],
    ids=["json", "png", "charx"],
)
def test_another_picture_goes_out_in_the_place_of_the_first(
    content: bytes, other: bytes | None
) -> None:
    card = with_picture(read_card(content, "a"), other, NOW)
    assert card.data["modification_date"] == NOW
    written = write_card(card, Format.CHARX, NOW)
    back = read_card(written.content, written.file_name)
    assert back.persona == card.persona

    assert (back.picture is None) == (other is None)
    if other is not None:
        assert back.picture is not None
        assert render("it", back.picture) == render("it", other)
    assert back.files.get("h.png") == card.files.get("h.png")
    assert "i.jpg" not in back.files


def test_a_file_that_is_more_than_the_picture_stays() -> None:
    assets = [ICON, {**ICON, "type": "background", "name": "wall"}]
    files = {"card.json": as_json(v3(assets=assets)), "i.jpg": picture_bytes(kind="JPEG")}
    card = with_picture(read_card(archive(files), "a"), None)
    assert card.files == {"i.jpg": files["i.jpg"]}
    assert [asset.type for asset in card.assets] == ["background"]


@pytest.mark.parametrize(
    ("name", "file"),
    [("Mira", "Mira"), ("../../x", "_.._x"), ("a/b\\c:d", "a_b_c_d"), ("...", "persona"),
     ("中文", "中文"), ("A.", "A"), ("\u0000", "_"), ("nul", "_nul")],
)  # fmt: skip
def test_a_files_name_is_one_that_every_system_takes(name: str, file: str) -> None:
    assert safe_file_name(name) == file


def test_empty_keys_that_nobody_knows_go_through_v1_and_back() -> None:
    empty = {"character_book": None, "theirs": "", "list": [], "nothing": None, "object": {}}
    document = v2(description="d", **empty)
    flat_card = read(exported(read(document), Version.V1))
    back = exported(flat_card, Version.V2)["data"]
    assert {key: back.get(key, "lost") for key in empty} == empty


def test_what_stands_beside_data_and_differs_goes_through_v1_and_back() -> None:
    document = {**v2(description="d"), "description": "other", "talkativeness": "0.5", "fav": True}
    card = read(document)
    flat_card = read(exported(card, Version.V1))
    assert flat_card.document["description"] == "d"
    back = exported(flat_card, Version.V2)
    for key in ("description", "talkativeness", "fav"):
        assert back[key] == document[key]
