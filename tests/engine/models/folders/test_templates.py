"""A folder's chat template and its tokens, wherever they stand."""

import json
from pathlib import Path

import pytest

from bot.engine.models.folders.templates import TEMPLATE_BYTES, default_template, read_template

NAMED = [{"name": "tool_use", "template": "tools"}, {"name": "default", "template": "talk"}]


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("talk", "talk"),
        (NAMED, "talk"),
        (NAMED[:1], "tools"),
        ({"tool_use": "tools", "default": "talk"}, "talk"),
        ([], None),
        ({}, None),
        ("", None),
        (None, None),
        (7, None),
        ([1, {"name": "default"}, {"template": ["x"]}], None),
    ],
)
def test_the_template_for_plain_talk_counts(
    said: object, found: str | None, tmp_path: Path
) -> None:
    assert default_template(said) == found
    config = {"chat_template": said, "bos_token": "<s>", "eos_token": {"content": "</s>"}}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    assert read_template(tmp_path) == (found, "<s>", "</s>")


def test_a_file_of_its_own_comes_first(tmp_path: Path) -> None:
    (tmp_path / "tokenizer_config.json").write_text('{"chat_template": "old"}')
    (tmp_path / "chat_template.json").write_text('{"chat_template": "older"}')
    (tmp_path / "chat_template.jinja").write_text("new")
    assert read_template(tmp_path)[0] == "new"


@pytest.mark.parametrize("said", ["{", "[1]", "", "\x00"])
def test_a_damaged_file_says_nothing(said: str, tmp_path: Path) -> None:
    (tmp_path / "tokenizer_config.json").write_text(said)
    (tmp_path / "chat_template.jinja").write_bytes(b"x" * (TEMPLATE_BYTES + 1))
    assert read_template(tmp_path) == (None, "", "")
