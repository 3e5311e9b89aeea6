"""One setting of `.env` changes, and not a byte else."""

import os
import stat
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bot.cli.model.env_file import with_setting, write_setting
from bot.errors import SettingsError
from bot.settings import SETTING_NAMES, read_env_file

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "MODEL=new/m:f.gguf\n"),
        ("A=1", "A=1\nMODEL=new/m:f.gguf\n"),
        ("# c\n\n#MODEL=demo\n\nB=2\n", "# c\n\n#MODEL=demo\nMODEL=new/m:f.gguf\n\nB=2\n"),
        ("#MODEL=demo", "#MODEL=demo\nMODEL=new/m:f.gguf\n"),
        ("A=1\r\n#MODEL=demo\r\nB=2\r\n", "A=1\r\n#MODEL=demo\r\nMODEL=new/m:f.gguf\r\nB=2\r\n"),
        ("MODEL=old\n", "MODEL=new/m:f.gguf\n"),
        ("#MODEL=demo\nMODEL=old # mine\nB=2", "#MODEL=demo\nMODEL=new/m:f.gguf # mine\nB=2"),
        ("MODEL='a b' \nB=2\n", "MODEL=new/m:f.gguf \nB=2\n"),
        ('  export model = "x\\"y"\n', "  export model = new/m:f.gguf\n"),
        ("MODEL=\nB=1\n", "MODEL=new/m:f.gguf\nB=1\n"),
        ("MODEL=one\nMODEL=two\n", "MODEL=one\nMODEL=new/m:f.gguf\n"),
        (
            "OPENAI_MODEL=x\n# MODEL is below\n",
            "OPENAI_MODEL=x\n# MODEL is below\nMODEL=new/m:f.gguf\n",
        ),
        ("T='\n#MODEL=demo\n'\n", "T='\n#MODEL=demo\n'\nMODEL=new/m:f.gguf\n"),
        ("\ufeffMODEL=old\n", "\ufeffMODEL=new/m:f.gguf\n"),
    ],
)
def test_nothing_else_changes(before: str, after: str) -> None:
    assert with_setting(before, "MODEL", "new/m:f.gguf") == after


@pytest.mark.parametrize(
    ("before", "value"), [('TOKEN="open\n', 'a/"b"'), ("TOKEN='open\nMODEL=old\n", "a b")]
)
def test_what_would_not_be_read_there_is_left_to_its_owner(before: str, value: str) -> None:
    with pytest.raises(SettingsError, match=r"not closed\. .* by hand"):
        with_setting(before, "MODEL", value)


LINES = st.sampled_from(
    [
        "DISCORD_TOKEN='s e c\\'ret'",
        "# ümlaut",
        "",
        "#MODEL=demo",
        "MODEL=old # x",
        " LOG_LEVEL = info",
    ]
)


def others(text: str) -> list[str]:
    lines = (line.rstrip("\r") for line in text.split("\n"))
    return [line for line in lines if line and not line.startswith("MODEL=")]


@given(
    st.lists(LINES),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
    st.text(st.characters(exclude_categories=["C", "Z"], include_characters=" "), min_size=1),
)
def test_the_value_is_read_back_and_every_other_line_stays(
    lines: list[str], newline: str, ends: bool, value: str
) -> None:
    assume(value.strip() == value)
    before = newline.join(lines) + (newline if ends and lines else "")
    after = with_setting(before, "MODEL", value)
    path = Path(os.environ["PYTEST_ENV_FILE"])
    path.write_bytes(after.encode())
    assert read_env_file(path, SETTING_NAMES)["MODEL"] == value
    assert others(after) == others(before)
    assert with_setting(after, "MODEL", value) == after


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_ENV_FILE", str(tmp_path / "env"))
    monkeypatch.chdir(tmp_path)


def test_a_new_file_is_the_example_and_its_owners_alone(tmp_path: Path) -> None:
    example = (ROOT / ".env.example").read_text()
    (tmp_path / ".env.example").write_text(example)
    assert write_setting(Path(".env"), "MODEL", "a/b")
    made = (tmp_path / ".env").read_text()
    assert made.replace("MODEL=a/b\n", "", 1) == example
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600
    assert sorted(file.name for file in tmp_path.iterdir()) == [".env", ".env.example"]


def test_rights_and_a_link_stay(tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.write_text("A=1\n")
    real.chmod(0o640)
    (tmp_path / ".env").symlink_to(real)
    assert not write_setting(Path(".env"), "MODEL", "a/b")
    assert (tmp_path / ".env").is_symlink()
    assert real.read_text() == "A=1\nMODEL=a/b\n"
    assert stat.S_IMODE(real.stat().st_mode) == 0o640


def test_what_cannot_be_changed_is_said_and_left(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"A=\xff\n")
    with pytest.raises(SettingsError, match="cannot be changed"):
        write_setting(Path(".env"), "MODEL", "a/b")
    assert (tmp_path / ".env").read_bytes() == b"A=\xff\n"
    with pytest.raises(SettingsError, match="characters"):
        with_setting("", "MODEL", "a\nDISCORD_TOKEN=x")
    (tmp_path / ".env").unlink()
    (tmp_path / ".env").mkdir()
    with pytest.raises(SettingsError, match="cannot be changed"):
        write_setting(Path(".env"), "MODEL", "a/b")
