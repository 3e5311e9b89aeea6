"""Persona files: what they hold is read; what is wrong is named with its file and line."""

import json
import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.chat.persona import PersonaText
from bot.chat.personas.cards.formats.toml_file import TOML_BYTES, parse_toml
from bot.chat.personas.cards.reading import read_card
from bot.chat.personas.files import read_persona
from bot.chat.prompt.system import example_dialogues, is_character
from bot.errors import PersonaError

SHIPPED = Path(__file__).parents[3] / "personas"


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_a_toml_file_has_the_personas_own_keys(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "mira.toml",
        'name = "Mira"\ndescription = "d"\npersonality = "p"\nscenario = "s"\ngreeting = "g"\n'
        'example_dialogue = "e"\nsummary = "y"\n',
    )
    assert read_persona(path) == PersonaText(
        name="Mira", description="d", personality="p", scenario="s", greeting="g",
        example_dialogue="e", summary="y",
    )  # fmt: skip


@pytest.mark.parametrize(
    "card",
    [
        {"name": "Mira", "description": "d", "scenario": "s", "first_mes": "g", "mes_example": "e"},
        {"char_name": "Mira", "char_persona": "d", "world_scenario": "s", "char_greeting": "g",
         "example_dialogue": "e"},
        {"char_name": "Mira", "description": "d", "world_scenario": "s", "first_mes": "g",
         "mes_example": "e", "avatar": "none", "create_date": 1},
        {"name": "", "char_name": "Mira", "description": "d", "scenario": "",
         "world_scenario": "s", "first_mes": "g", "mes_example": "e"},
    ],
)  # fmt: skip
def test_v1_cards_and_the_seeds_own_are_read(tmp_path: Path, card: dict[str, object]) -> None:
    card = {"personality": "p"} | card
    assert read_persona(write(tmp_path, "card.json", json.dumps(card))) == PersonaText(
        name="Mira", description="d", personality="p", scenario="s", greeting="g",
        example_dialogue="e",
    )  # fmt: skip


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends_of_every_kind_are_read_as_one(tmp_path: Path, end: str) -> None:
    card = {"name": "A", "mes_example": end.join(["<START>", "A: x", "A: y", "<START>", "A: z"])}
    persona = read_persona(write(tmp_path, "a.json", json.dumps(card)))
    assert example_dialogues(persona) == ["A: x\nA: y", "A: z"]


def test_a_dialogue_may_begin_on_the_line_of_its_mark() -> None:
    text = "<START>{{user}}: a\n{{char}}: b\n<start> {{user}}: c"
    assert example_dialogues(PersonaText(name="A", example_dialogue=text)) == [
        "{{user}}: a\n{{char}}: b", "{{user}}: c",
    ]  # fmt: skip


def test_many_keys_of_which_two_are_the_same_are_found_soon() -> None:
    keys = ",".join(f'"{number}": 1' for number in [*range(60_000), 59_999])
    before = time.perf_counter()
    with pytest.raises(PersonaError, match="«59999» stands there twice"):
        read_card(f"{{{keys}}}".encode(), "a.json")
    assert time.perf_counter() - before < 2


@pytest.mark.parametrize(
    "hostile",
    [
        "\n" * 60_000 + 'name = "A"\n"" = "x"\n',
        " " * 60_000 + "\n" + '"" = "x"\n' * 2,
        "".join(f"key{number}{'.a' * 60} = 1\n" for number in range(2_000)),
        "".join(f"[key{number}{'.a' * 60}]\n" for number in range(2_000)),
        'name = """' + '\\"""' * 50_000,
        '""' * 60_000,
        '"\n' * 60_000,
        "".join(f"key{number} = 1\n" for number in range(20_000)),
        "k" * 200_000 + " = 1",
    ],
)
def test_no_file_takes_long_whatever_is_in_it(hostile: str) -> None:
    before = time.perf_counter()
    with pytest.raises(PersonaError):
        parse_toml("a.toml", hostile)
    assert time.perf_counter() - before < 3


@pytest.mark.parametrize("written", ['"" = 1', "'' = 1", '"" . x = 1', '[""]'])
def test_the_line_of_an_empty_key_is_named(written: str) -> None:
    with pytest.raises(PersonaError, match=r"line 3: there is no key «»"):
        parse_toml("a.toml", f'name = "A"\n\n{written}\n')


def test_dots_in_a_text_are_no_parts_of_a_key() -> None:
    dots = ".x" * 500
    text = f'name = "A"  # {dots}\nscenario = "{dots}"\ndescription = """{dots}\n{dots}"""'
    assert parse_toml("a.toml", text).persona.description == f"{dots}\n{dots}"


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    assert read_persona(write(tmp_path, "a.json", b'\xef\xbb\xbf{"name": "A"}')).name == "A"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.toml", 'name = "A"\n\ndescripton = "x"',
         r"line 3: there is no key «descripton»\. Did you mean «description»\?"),
        ("a.toml", 'name = "A"\ndescription = x', r"a\.toml, line 2: this is not TOML: invalid"),
        ("a.toml", 'name = "A"\ndescription = """x', r"a\.toml, line 2: this is not TOML: unt"),
        ("a.toml", 'name = "A"\nname = "B"', r"a\.toml, line 2: this is not TOML"),
        ("a.toml", 'description = "x"', r"a\.toml: expected the key «name», which is missing"),
        ("a.toml", '\nname = ""', r"a\.toml, line 2: «name» is empty"),
        ("a.toml", '\nname = 5', r"a\.toml, line 2: expected text in quotes for «name»"),
        ("a.toml", f'name = "{"x" * 81}"', r"a\.toml, line 1: «name» is longer than 80 characters"),
        ("a.toml", 'name = "A\\nB"', r"a\.toml, line 1: a name has only one line"),
        ("a.toml", '\nname = "A\\u0000"', r"a\.toml, line 2: «name» holds the control character"),
        ("a.toml", "a = " + "[" * 100_000, r"a\.toml"),
        ("a.toml", 'name = "A"\nx = ' + "9" * 5000, r"a\.toml: .*a number is too long"),
        ("a.toml", "a." * 5_000 + "a = 1", r"a\.toml, line 1: this key has too many parts"),
        ("a.toml", '\nname = "\u200b"', r"a\.toml, line 2: «name» shows nothing"),
        ("a.json", '{\n "char_name": "A",\n "description": "x"\n "personality": "y"\n}',
         r"a\.json, line 4: expected a comma before this \(perhaps at the end of the line above\)"),
        ("a.json", '{\n "name": "A",\n}', r"a\.json, line 3: expected a key in double quotes"),
        ("a.json", '{\n "name": "A', r"a\.json, line 2: this is not JSON: unterminated string"),
        ("a.json", "", r"a\.json is an empty file, not a persona"),
        ("a.json", "[1]", r"a\.json is no character card: expected a card with a name"),
        ("a.json", "{ invalid", r"a\.json, line 1: this is not JSON: expected a key in double"),
        ("a.json", '{"description": "x"}', r"a\.json: expected the key «name» \(or «char_"),
        ("a.json", '{\n\n"char_name": 5}', r"a\.json, line 3: expected text in quotes for «name»"),
        ("a.json", '{"name": "A\\rB"}', r"a\.json, line 1: a name has only one line"),
        ("a.json", '{"name": "A", "name": "B"}', r"a\.json: the key «name» stands there twice"),
        ("a.json", "[" * 100_000, r"a\.json: it is nested too deeply"),
        ("a.json", '{"name": ' + "9" * 5000 + "}", r"a\.json: .*a number is too long"),
        ("a.json", '{"name": "\\ud800"}', r"a\.json, line 1: «name» holds the control character"),
        ("a.toml", b'name = "A"\nsummary = "\xff"', r"a\.toml, line 2: this is not UTF-8"),
        ("a.toml", b"#" * (TOML_BYTES + 1), r"a\.toml is larger than 1 MiB"),
        ("a.txt", "x", r"a\.txt is not a persona file\. Use a character card: PNG, JSON"),
    ],
)  # fmt: skip
def test_a_broken_file_is_named_with_the_line_and_what_was_expected(
    tmp_path: Path, name: str, content: str | bytes, said: str
) -> None:
    with pytest.raises(PersonaError, match=said):
        read_persona(write(tmp_path, name, content))


def test_a_missing_file_a_folder_and_a_pipe_are_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.toml").mkdir()
    os.mkfifo(tmp_path / "pipe.toml")
    for name, said in (
        ("none.toml", "none.toml cannot be read: No such file"),
        ("folder.toml", "folder.toml is not a plain file"),
        ("pipe.toml", "pipe.toml is not a plain file"),
    ):
        with pytest.raises(PersonaError, match=said):
            read_persona(tmp_path / name)


def test_a_pipe_that_takes_a_files_place_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = write(tmp_path, "plain.toml", 'name = "A"').stat()
    pipe = tmp_path / "pipe.toml"
    os.mkfifo(pipe)
    monkeypatch.setattr(Path, "stat", lambda *_args, **_kwargs: before)  # as it was a moment ago
    with pytest.raises(PersonaError, match=r"pipe\.toml is not a plain file"):
        read_persona(pipe)


@given(st.text())
def test_any_text_is_a_persona_or_a_persona_error(text: str) -> None:
    for ending in ("toml", "json", "yaml", "file"):
        try:
            read_card(text.encode(errors="surrogatepass"), f"a.{ending}")
        except PersonaError as error:
            assert f"a.{ending}" in str(error)


def test_three_good_personas_ship() -> None:
    personas = {path.stem: read_persona(path) for path in SHIPPED.glob("*.toml")}
    assert set(personas) == {"caduceus", "mira", "quill"}
    assert not is_character(personas["caduceus"])
    assert all(persona.summary for persona in personas.values())
    for name in ("mira", "quill"):
        persona = personas[name]
        assert persona.personality
        assert persona.scenario
        assert persona.greeting
        assert len(example_dialogues(persona)) == 2
