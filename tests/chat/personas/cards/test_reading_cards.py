"""Cards are read from files of every kind, by what is in them, and what is unusual is named."""

import base64
import json
import zipfile
import zlib

import pytest
from making_cards import (
    archive,
    as_json,
    card_chunk,
    chunk,
    picture_bytes,
    png,
    text_chunk,
    v2,
    v3,
)

from bot.chat.persona import DepthPrompt
from bot.chat.personas.cards.card import Card, Origin
from bot.chat.personas.cards.preview import preview_of
from bot.chat.personas.cards.reading import read_card
from bot.chat.personas.cards.versions import Version
from bot.errors import PersonaError

FULL = {
    "description": "d", "personality": "p", "scenario": "s", "first_mes": "hello",
    "mes_example": "e", "creator_notes": "notes", "system_prompt": "sys",
    "post_history_instructions": "last", "alternate_greetings": ["hi", "hey"], "tags": ["a", "b"],
    "creator": "me", "character_version": "7", "nickname": "Nick", "group_only_greetings": ["all"],
    "creator_notes_multilingual": {"en": "in English", "de": "auf Deutsch"},
    "character_book": {"extensions": {}, "entries": [{"keys": ["k"], "content": "lore"}]},
    "extensions": {"talkativeness": "0.5", "depth_prompt": {"prompt": "x", "depth": 2, "role": 1}},
}  # fmt: skip


def read(document: object, name: str = "card.json") -> Card:
    return read_card(as_json(document), name)


def refusal(content: bytes, name: str = "file.json") -> str:
    with pytest.raises(PersonaError) as caught:
        read_card(content, name)
    return str(caught.value)


def test_every_field_of_a_v3_card_has_its_place() -> None:
    card = read(v3(**FULL))
    persona = card.persona
    assert (card.version, card.origin, card.spec_version) == (Version.V3, Origin.JSON, "3.0")
    assert persona.model_dump(exclude_defaults=True) == {
        "name": "Nova", "nickname": "Nick", "description": "d", "personality": "p",
        "scenario": "s", "greeting": "hello", "example_dialogue": "e", "creator_notes": "notes",
        "system_text": "sys", "closing_reminder": "last", "alternate_greetings": ("hi", "hey"),
        "group_greetings": ("all",), "tags": ("a", "b"), "creator": "me",
        "character_version": "7", "talkativeness": 0.5, "lorebook": FULL["character_book"],
        "translated_notes": {"en": "in English", "de": "auf Deutsch"},
        "depth_prompt": {"text": "x", "depth": 2, "role": "user"},
    }  # fmt: skip
    preview = preview_of(card)
    assert (preview.greetings, preview.group_greetings, preview.lore_entries) == (3, 1, 1)
    assert preview.notes == "in English"
    assert preview.characters["lorebook"] == 4
    assert "creator_notes" not in preview.characters
    assert card.warnings == ()


@pytest.mark.parametrize(
    ("fields", "said", "field", "value"),
    [
        ({"alternate_greetings": "one"}, "not a list", "alternate_greetings", ("one",)),
        ({"character_book": None, "tags": None, "extensions": None}, "", "lorebook", None),
        ({"extensions": []}, "", "talkativeness", None),
        ({"tags": "a, b"}, "", "tags", ("a", "b")),
        ({"tags": [1, "b", None, {}]}, "holds", "tags", ("1", "b")),
        ({"description": ["x", "y"]}, "list", "description", "x\ny"),
        ({"description": 5}, "number", "description", "5"),
        ({"description": {"a": 1}}, "no text", "description", ""),
        ({"description": "a\0b\x1b[31m\r\nc\ud800"}, "", "description", "ab[31m\nc"),
        ({"extensions": "x"}, "not an object", "talkativeness", None),
        ({"extensions": {"talkativeness": 7}}, "0 to 1", "talkativeness", None),
        ({"extensions": {"talkativeness": "much"}}, "0 to 1", "talkativeness", None),
        ({"extensions": {"depth_prompt": {"prompt": ""}}}, "", "depth_prompt", None),
        (
            {"extensions": {"depth_prompt": {"prompt": "x", "depth": -1, "role": "god"}}},
            "role", "depth_prompt", DepthPrompt(text="x"),
        ),
        ({"name": "N" * 90}, "cut after 80", "name", "N" * 80),
        ({"name": "Clyde"}, "Discord refuses", "name", "Clyde"),
        ({"name": "X"}, "Discord refuses", "name", "X"),
        ({"character_book": [{"keys": []}]}, "", "lorebook", {"entries": [{"keys": []}]}),
    ],
)  # fmt: skip
def test_wrong_types_are_taken_as_what_they_were_meant_to_be(
    fields: dict[str, object], said: str, field: str, value: object
) -> None:
    card = read_card(json.dumps(v2(**fields)).encode(), "card.json")
    assert getattr(card.persona, field) == value
    assert any(said in warning for warning in card.warnings) or not said
    assert card.document == v2(**fields)


def test_v1_cards_of_all_kinds_are_v1_and_flat_v2_keys_count() -> None:
    card = read({"char_name": "A", "name": "", "world_scenario": "w", "creatorcomment": "n",
                 "tags": ["t"], "alternate_greetings": ["x"], "talkativeness": "0.5"})  # fmt: skip
    assert card.version is Version.V1
    persona = card.persona
    assert (persona.name, persona.scenario, persona.creator_notes) == ("A", "w", "n")
    assert (persona.tags, persona.alternate_greetings) == (("t",), ("x",))
    assert persona.talkativeness == 0.5


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_other_encodings_are_read(encoding: str) -> None:
    text = json.dumps(v2(description="é中"), ensure_ascii=False)
    assert read_card(text.encode(encoding), "a.json").persona.description == "é中"


@pytest.mark.parametrize("name", ["a.json", "a.txt", "a.png", "a"])
def test_the_content_decides_not_the_ending(name: str) -> None:
    assert read_card(as_json(v2()), name).origin is Origin.JSON
    assert read_card(png(card_chunk("chara", v2())), name).origin is Origin.PNG
    assert read_card(archive({"card.json": as_json(v3())}), name).origin is Origin.CHARX
    assert read_card(b'# mine\n\nname = "A"\n', name).origin is Origin.TOML
    assert read_card(b"# mine\nname: A\ncontext: c\n", name).origin is Origin.WEBUI


def test_what_is_newer_says_two_things_or_will_not_be_used_is_named() -> None:
    document = {
        "spec": "chara_card_v4", "spec_version": "4.1", "name": "Other", "description": "",
        "data": {
            "name": "Nova",
            "extensions": {"regex_scripts": [1], "world": "Book"},
            "assets": [{"type": "icon", "uri": "https://example.invalid/a.png"},
                       {"type": "emotion", "uri": "embeded://x"}],
        },
    }  # fmt: skip
    card = read(document)
    said = " ".join(card.warnings)
    for part in ("newer version (4.1)", "two things about name;", "regex_scripts", "«Book»",
                 "never fetched: 1", "not shown: 1"):  # fmt: skip
        assert part in said
    assert card.persona.name == "Nova"


# Pictures


def test_ccv3_beats_chara_and_a_broken_one_gives_way() -> None:
    both = png(card_chunk("chara", v2()), card_chunk("ccv3", v3()))
    assert read_card(both, "a.png").persona.name == "Nova"
    broken = png(card_chunk("chara", v2()), text_chunk("ccv3", base64.b64encode(b"{")))
    card = read_card(broken, "a.png")
    assert card.persona.name == "Mira"
    assert "newer card" in card.warnings[0]


@pytest.mark.parametrize(
    "body",
    [
        base64.b64encode(as_json(v2(description="é"))).rstrip(b"="),
        base64.urlsafe_b64encode(as_json(v2(description="é"))),
        base64.encodebytes(as_json(v2(description="é"))),
        as_json(v2(description="é")),
        base64.b64encode(b"\xef\xbb\xbf" + as_json(v2(description="é"))) + b"\0",
    ],
)
@pytest.mark.parametrize("kind", [b"tEXt", b"zTXt", b"iTXt", b"iTXt packed"])
def test_a_card_is_read_from_text_chunks_of_every_kind(body: bytes, kind: bytes) -> None:
    packed = {
        b"tEXt": chunk(b"tEXt", b"ChArA\0" + body),
        b"zTXt": chunk(b"zTXt", b"chara\0\0" + zlib.compress(body)),
        b"iTXt": chunk(b"iTXt", b"chara\0\0\0en\0key\0" + body),
        b"iTXt packed": chunk(b"iTXt", b"chara\0\1\0\0\0" + zlib.compress(body)),
    }[kind]
    assert read_card(png(packed), "a.png").persona.description == "é"


def test_a_picture_keeps_its_other_texts_and_assets_and_loses_the_card() -> None:
    content = png(
        text_chunk("Title", b"x"),
        text_chunk("chara-ext-asset_:0", base64.b64encode(b"asset")),
        text_chunk("chara-ext-asset_1", base64.b64encode(b"other")),
        card_chunk("chara", v2()),
    )
    card = read_card(content, "a.png")
    assert [each.content for each in card.chunks] == [b"Title\0x"]
    assert card.files == {"0": b"asset", "1": b"other"}
    assert card.picture == picture_bytes()


def test_a_picture_that_moves_is_a_card_too() -> None:
    frames = picture_bytes(save_all=True, append_images=[])
    at = frames.index(b"IDAT") - 4
    moving = frames[:at] + chunk(b"acTL", bytes(8)) + frames[at:]
    card = read_card(png(card_chunk("chara", v2()), picture=moving), "a.apng")
    assert any("moves" in warning for warning in card.warnings)


def test_two_cards_of_one_kind_in_a_picture_are_named() -> None:
    content = png(card_chunk("chara", v2(description="1")), card_chunk("chara", v2()))
    card = read_card(content, "a.png")
    assert card.persona.description == "1"
    assert any("several cards" in warning for warning in card.warnings)


def test_a_chunk_that_is_no_base64_gives_way_too() -> None:
    card = read_card(png(card_chunk("chara", v2()), text_chunk("ccv3", b"\xff")), "a.png")
    assert card.persona.name == "Mira"
    assert "not base64" in card.warnings[0]


# Archives


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("scheme", ["embeded://", "Embedded://", "__asset:"])
@pytest.mark.parametrize("before", [b"", picture_bytes(kind="JPEG")])
def test_a_charx_has_its_picture_inside(method: int, scheme: str, before: bytes) -> None:
    icon = picture_bytes((3, 3))
    assets = [
        {"type": "icon", "uri": "ccdefault:", "name": "other", "ext": "png"},
        {"type": "icon", "uri": f"{scheme}assets/i.png", "name": "main", "ext": "png"},
    ]
    files = {"card.json": as_json(v3(assets=assets)), "assets/i.png": icon, "app.json": b"{}"}
    card = read_card(archive(files, method, before), "a.charx")
    assert card.picture == icon
    assert card.files == {"assets/i.png": icon, "app.json": b"{}"}
    assert [asset.name for asset in card.assets] == ["other", "main"]


def test_risus_jpeg_is_the_picture_of_a_charx_without_one() -> None:
    jpeg = picture_bytes(kind="JPEG")
    assert read_card(archive({"card.json": as_json(v3())}, before=jpeg), "a.jpg").picture == jpeg


def test_an_asset_that_leads_elsewhere_is_not_there() -> None:
    uris = ("embeded://../../etc/passwd", "file:///etc/passwd", "http://x.invalid/")
    assets = [{"type": "icon", "uri": uri, "name": "main", "ext": "png"} for uri in uris]
    card = read_card(archive({"card.json": as_json(v3(assets=assets))}), "a.charx")
    assert card.picture is None
    assert any("not in the file: 1" in warning for warning in card.warnings)


def test_an_icon_that_is_no_picture_is_left_out_and_named() -> None:
    assets = [{"type": "icon", "uri": "embeded://i.svg", "name": "main", "ext": "svg"}]
    files = {"card.json": as_json(v3(assets=assets)), "i.svg": b"<svg/>"}
    card = read_card(archive(files), "a.charx")
    assert card.picture is None
    assert any("not known here" in warning for warning in card.warnings)
    assert card.files["i.svg"] == b"<svg/>"


def test_a_backyard_archive_becomes_a_card() -> None:
    avatar = picture_bytes(kind="JPEG")
    character = {
        "name": "Bo", "displayName": "Bo the Great", "persona": "{character} likes {user}.",
        "loreItems": [{"key": "alpha, beta", "value": "Of {character}."}],
        "images": [{"path": "images/a.jpg"}],
    }  # fmt: skip
    first = {
        "narrative": "At sea.", "formattingInstructions": "Be brief, {character}.",
        "firstMessages": [{"text": "#{character}: Hi {user} {{user}}"}],
        "exampleMessages": [{"text": "#{user}: a"}, {"text": "#{character}: b"}],
        "messages": [{"text": "private"}], "temperature": 1,
    }  # fmt: skip
    files = {
        "manifest.json": as_json({"characters": ["c/c.json"], "scenarios": ["s/1.json", "s/2.json"],
                                  "author": {"name": "Ann"}}),
        "c/c.json": as_json(character), "c/images/a.jpg": avatar,
        "s/1.json": as_json(first), "s/2.json": as_json({"firstMessages": [{"text": "Two"}]}),
    }  # fmt: skip
    card = read_card(archive(files), "a.byaf")
    persona = card.persona
    assert card.origin is Origin.BYAF
    assert (persona.name, persona.creator, persona.scenario) == ("Bo", "Ann", "At sea.")
    assert persona.description == "{{char}} likes {{user}}."
    assert persona.greeting == "{{char}}: Hi {{user}} {{user}}"
    assert persona.alternate_greetings == ("Two",)
    assert persona.example_dialogue == "<START>\n{{user}}: a\n{{char}}: b"
    assert persona.system_text == "Be brief, {{char}}."
    assert preview_of(card).lore_entries == 1
    assert card.picture == avatar
    assert "private" not in json.dumps(card.document)
    assert '"temperature": 1' in json.dumps(card.document)
    assert any("chat" in warning for warning in card.warnings)


# YAML


def test_a_character_of_text_generation_webui_is_read() -> None:
    text = "name: 5\ncontext: |\n  c1\n  c2\ngreeting: 'no'\nyour_name: ~\nlist: [a, {b: 1}]\n"
    card = read_card(text.encode(), "a.yaml")
    assert (card.persona.name, card.persona.description) == ("5", "c1\nc2")
    assert card.persona.greeting == "no"
    rest = {"your_name": None, "list": ["a", {"b": "1"}]}
    assert card.data["extensions"] == {"caduceus": {"text-generation-webui": rest}}
    as_a_json = {"name": "5", "context": "c1\nc2\n", "greeting": "no"}
    assert read(as_a_json).persona == card.persona


# What is not a card is called what it is


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"name": "W", "description": "d", "entries": {"0": {"key": ["a"]}}}, "World Info"),
        ({"entries": {}}, "World Info"),
        ([{"key": ["a"], "content": "c"}], "World Info"),
        ({"lorebookVersion": 5, "entries": []}, "lorebook of NovelAI"),
        ({"kind": "memory", "name": "B", "entries": [{"keywords": ["a"]}]}, "memory book of Agnai"),
        ({"type": "risu", "ver": 1, "data": [{"key": "a"}]}, "lorebook of Risu"),
        ({"spec": "lorebook_v3", "data": {"entries": []}}, "a V3 lorebook"),
        ({"name": "B", "entries": [{"keys": ["a"], "content": "c"}]}, "a character's lorebook"),
        ({"data": {"name": "B", "entries": [{"keys": ["a"]}]}}, "a character's lorebook"),
        ({"kind": "character", "name": "A", "persona": {"kind": "text"}}, "Agnai's own format"),
        ({"gamestarted": True, "prompt": "", "memory": "", "worldinfo": []}, "story of KoboldAI"),
        ({"user_name": "a", "character_name": "b"}, "a chat log"),
        ([{"name": "a", "is_user": True, "mes": "x"}], "a chat log"),
        ({"temperature": 1, "top_p": 1, "name": "Preset"}, "a preset"),
        ({"name": "A", "persona": {"attributes": {}}, "greeting": "x"}, "Agnai's own format"),
        ({"scenarioVersion": 3, "title": "T", "prompt": "", "context": []}, "of NovelAI"),
        ({"name": "Alpaca", "input_sequence": "", "output_sequence": ""}, "a preset"),
        ({"name": "Default", "story_string": "", "chat_start": "***"}, "a preset"),
        ({"name": "Prompt", "content": "Be brief."}, "no character card"),
        ({"a": 1}, "no character card"),
        ([], "no character card"),
        (5, "is not a persona file"),
    ],
)
def test_what_is_no_card_is_called_what_it_is(document: object, said: str) -> None:
    assert said in refusal(as_json(document), "f.txt")
    if isinstance(document, dict):
        assert said in refusal(png(card_chunk("chara", document)), "f.png")


def test_other_files_are_called_what_they_are() -> None:
    log = as_json({"user_name": "a", "character_name": "b"}) + b'\n{"is_user": true}'
    assert "chat log" in refusal(log)
    for kind in ("PNG", "JPEG", "WEBP", "GIF"):
        assert "picture without a card" in refusal(picture_bytes(kind=kind))
    assert "NovelAI in a picture" in refusal(png(text_chunk("naidata", b"e30=")))
    assert "archive without a card" in refusal(archive({"word/document.xml": b"x"}))
    assert "is a program, not a persona" in refusal(b"\x7fELF\0\0\0\0" + bytes(500))
    assert "is a 7-Zip archive" in refusal(b"7z\xbc\xaf\x27\x1c" + bytes(50))
    assert "is a PDF document" in refusal(b"%PDF-1.4\n", "card.json")
    assert "is a web page (HTML)" in refusal(b"\n<!DOCTYPE html><html>", "card.json")
    assert "is a file packed with gzip" in refusal(b"\x1f\x8b\x08\0" + bytes(20), "card.json")
    assert "is a program for Windows" in refusal(b"MZ\x90\0\3", "card.png")
    assert "is an empty file" in refusal(b" \n", "card.json")
    assert "picture without a card" in refusal(b"\xff\xd8\xff\xe0 broken", "card.jpg")
    assert "not a persona file" in refusal(b"Dear diary", "notes.md")
    assert "names no character" in refusal(archive({"manifest.json": b"{}"}))


def test_a_text_may_begin_as_a_program_does() -> None:
    assert read_card(b"MZ: 1\nname: Mira\ncontext: x", "a.yaml").persona.name == "Mira"


@pytest.mark.parametrize("before", [picture_bytes(), picture_bytes(kind="JPEG"), b"text " * 900])
def test_a_zip_is_found_behind_whatever_stands_before_it(before: bytes) -> None:
    content = before + archive({"card.json": as_json(v3())})
    assert read_card(content, "card.bin").persona.name == "Nova"


@pytest.mark.parametrize("written", ["NaN", "-Infinity", "1e999"])
def test_a_number_that_is_none_is_named_with_its_line(written: str) -> None:
    content = f'{{"name": "A",\n"description": "d",\n"x": {written}}}'.encode()
    assert f"line 3: «{written}» is no number" in refusal(content, "card.json")


@pytest.mark.parametrize("wrap", [bytes, base64.b64encode])
def test_a_card_that_risu_encrypted_is_refused_and_called_so(wrap: object) -> None:
    body = wrap(b"rcc||rccv1||abc")  # type: ignore[operator]
    assert "encrypted" in refusal(png(text_chunk("chara", body)))
    assert "encrypted" in refusal(b"rcc||rccv1||abc")


@pytest.mark.parametrize(
    "name",
    ["file:mira", "FILE: mira", "\uff46ile:x", "guild:12", "built-in", "", " ", "\u200b", "a\nb"],
)
@pytest.mark.parametrize("make", [v2, v3, lambda **fields: fields])
def test_names_that_nobody_could_call_are_refused(name: str, make: object) -> None:
    assert "f.json" in refusal(as_json(make(name=name, description="d")), "f.json")  # type: ignore[operator]


def test_a_text_that_fits_no_context_is_refused() -> None:
    assert "«first_mes» is longer than 100,000" in refusal(as_json(v2(first_mes="x" * 100_001)))
