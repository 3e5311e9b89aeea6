"""`python -m bot talk`: written conversations are read, played and measured."""

import argparse
import asyncio
import json
from pathlib import Path

import pytest

from bot.chat.engines import Engines
from bot.chat.messages import Flaw
from bot.cli import talk
from bot.engine.fake import FakeEngine, Script
from bot.errors import UserError
from bot.settings import ProcessSettings
from bot.talks.measuring import facts_in, headers_shown, is_repetition, spoken_for
from bot.talks.playing import Played, play_all
from bot.talks.report import as_json, as_markdown, figures, table
from bot.talks.script import find_scripts, read_script

SHIPPED = Path(__file__).parents[1] / "talks"
SMALL = """
title = "At the door"
settings = { temperature = 0.5 }
lines = ["Alex: Hello.", { by = "Re: Sam", text = "Me, too.", then = "regenerate" }]

[[personas]]
name = "Mira"
description = "{{char}} keeps a lighthouse."
facts = ["Keeps a  lighthouse", "sells hats"]

[[personas]]
name = "Tomas"
"""


def written(folder: Path, text: str = SMALL, name: str = "small.toml") -> Path:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


async def played(file: Path, replies: Script) -> Played:
    engines = Engines.only(FakeEngine(replies))
    scripts = {file.stem: await asyncio.to_thread(read_script, file)}
    [result] = await play_all(
        scripts, engines, file.parent, seed=1, max_reply_tokens=64, say=lambda _text: None
    )
    return result


@pytest.mark.parametrize("file", find_scripts([SHIPPED]), ids=lambda file: file.stem)
def test_every_script_that_ships_can_be_played(file: Path) -> None:
    script = read_script(file)
    assert script.players
    assert all(each.facts for each in script.personas)


def test_forty_scripts_ship() -> None:
    titles = {read_script(file).title for file in find_scripts([SHIPPED])}
    assert len(titles) == 40


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("title = ", "it is no TOML"),
        ("\x00", "it is no TOML"),
        ("title = 'x'", "personas: field required"),
        (SMALL.replace("Alex: Hello.", "Hello."), "lines.1: a line is «Name: text»"),
        (SMALL.replace("Alex: Hello.", "Alex:  "), "lines.1: a line needs a text"),
        (SMALL.replace("name =", "nome =", 1), "personas.1.name: field required"),
        (SMALL.replace("temperature", "heat"), "heat"),
        (SMALL.replace("0.5", "9"), "temperature"),
        (SMALL.replace("regenerate", "sing"), "lines.2.then: "),
        ("x = " + "[" * 3000, "it is no TOML"),
        ("# " + "x" * (1 << 20), "it has more than a megabyte"),
    ],
)
def test_a_bad_script_is_told_in_one_line(tmp_path: Path, text: str, why: str) -> None:
    file = written(tmp_path, text)
    with pytest.raises(UserError) as raised:
        read_script(file)
    told = str(raised.value)
    assert told.startswith(f"{file} is no script: ")
    assert why in told
    assert "\n" not in told


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        read_script(tmp_path / "none.toml")
    with pytest.raises(UserError, match="There is no script"):
        find_scripts([tmp_path])


def test_a_card_stands_in_for_a_personas_keys(tmp_path: Path) -> None:
    card = {"spec": "chara_card_v2", "spec_version": "2.0", "data": {"name": "Vex"}}
    (tmp_path / "vex.json").write_text(json.dumps(card))
    head, _, _ = SMALL.partition("[[personas]]")
    script = read_script(written(tmp_path, f'{head}[[personas]]\nfile = "vex.json"\n'))
    assert script.personas[0].persona.name == "Vex"
    with pytest.raises(UserError, match="takes no name"):
        read_script(written(tmp_path, f'{head}[[personas]]\nfile = "vex.json"\nname = "x"\n'))


async def test_a_script_is_played_through_the_real_conversations(tmp_path: Path) -> None:
    result = await played(written(tmp_path), ["In with you!", "Sit down.", "", "Here is soup."])
    first, second, again = result.replies
    assert [first.text, second.text, again.text] == ["In with you!", "Sit down.", "Here is soup."]
    assert again.retry is Flaw.EMPTY
    assert (first.facts, first.facts_found) == (2, 1)
    found = figures(result.replies)
    assert found["written_twice"] == 1
    assert found["empty"] == found["failed"] == found["lines_spoken_for_people"] == 0
    assert "| small " in table([result]).markdown().replace(" small |", "| small ")
    assert json.loads(json.dumps(as_json([result], {"seed": 1})))["figures"] == found
    assert "- seed: 1" in as_markdown([result], {"seed": 1})


async def test_who_says_nothing_is_counted(tmp_path: Path) -> None:
    result = await played(written(tmp_path), [""])
    assert figures(result.replies)["empty"] == 2  # and nothing is there to regenerate


def test_lines_for_people_are_counted_in_every_spelling() -> None:
    others = ["Alex Smith", "★Mia★", "小明"]
    text = (
        "Yes.\nAlex Smith: no\n**alex:** no\nMia (sad) : no\n小明\uff1a不\nMia said: no\n- Alex: 3"
    )
    assert spoken_for(text, others) == 4
    assert spoken_for("Time: 3\nI asked Alex: no", others) == 0


def test_headers_are_counted() -> None:
    text = "Mira: Hi\n### Response:\nYes<|im_end|>\nUSER: no\n### Mira's soup"
    assert headers_shown(text, "Mira") == 4


def test_repetition_and_facts() -> None:
    long = "The rain had stopped and the lanterns were lit."
    assert is_repetition(long.upper(), [long, "a", "b"])
    assert not is_repetition(long, [long, "a", "b", "c"])
    assert not is_repetition("Yes.", ["Yes."])
    assert facts_in("She keeps\na Lighthouse.", ["keeps a lighthouse", "soup"]) == 1


def test_from_the_command_line_to_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file, out = written(tmp_path), tmp_path / "out.json"
    engine = FakeEngine(["One.", "Two."])

    def build(_settings: ProcessSettings) -> FakeEngine:
        return engine

    monkeypatch.setattr("bot.engine_start.build_engine", build)
    parser = argparse.ArgumentParser()
    talk.add_arguments(parser)
    settings = ProcessSettings(engine="fake", data_dir=tmp_path)
    args = parser.parse_args(["--script", str(file), "--json", str(out)])
    assert talk.run(args, settings) == 0
    assert "| small |" in capsys.readouterr().out.replace("  small", " small").replace("|  ", "| ")
    assert json.loads(out.read_text())["figures"]["replies"] == 3
    args = parser.parse_args(["--script", str(file), "--json", str(tmp_path / "no" / "x")])
    with pytest.raises(UserError, match="There is no folder"):
        talk.run(args, settings)
    args = parser.parse_args(["--script", str(file), "--json", str(tmp_path)])
    with pytest.raises(UserError, match="is a folder"):
        talk.run(args, settings)
    (locked := tmp_path / "there").symlink_to(tmp_path / "gone" / "x")
    args = parser.parse_args(["--script", str(file), "--markdown", str(locked)])
    with pytest.raises(UserError, match="cannot be written"):
        talk.run(args, settings)
    assert "| small |" in capsys.readouterr().out.replace("  small", " small").replace("|  ", "| ")
