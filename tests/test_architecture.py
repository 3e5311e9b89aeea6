"""Who may import whom, and what stays unloaded until it is needed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HEAVY = {"torch", "transformers", "gptqmodel", "discord", "sqlalchemy", "aiohttp", "numpy", "rich"}
# What the light set of dependencies has not: `tests/test_light_set.py` runs the program without it.
OF_EXTRAS = {
    *("torch", "transformers", "gptqmodel", "safetensors", "tokenizers", "numpy", "gguf"),
    *("huggingface_hub", "tqdm"),
}

pytestmark = pytest.mark.slow  # each starts another process


def loaded_by(code: str) -> set[str]:
    """The top-level modules in a fresh interpreter after `code`."""
    script = f"import json, sys\n{code}\nprint()\nprint(json.dumps(sorted(sys.modules)))"
    result = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning:bot", "-c", script],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return {name.partition(".")[0] for name in json.loads(result.stdout.splitlines()[-1])}


def test_the_layers_hold(tmp_path: Path) -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    result = subprocess.run(
        [lint, "--cache-dir", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "120"},
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import runpy\n"
        "sys.argv = ['bot', '--help']\n"
        "try:\n    runpy.run_module('bot', run_name='__main__')\n"
        "except SystemExit as end:\n    assert end.code == 0, end.code\n"
    )
    assert not loaded_by(code) & (HEAVY | {"pydantic"})


@pytest.mark.parametrize(
    ("modules", "unwanted"),
    [  # those of a line in one process: what all of them together do not load, none of them does
        ("bot.engine.api, bot.engine.stops, bot.errors, bot.settings, bot.logs", HEAVY),
        ("bot.chat.talk.conversations", HEAVY - {"numpy"}),
        ("bot.app, bot.cli.db, bot.cli.doctor", {"torch", "transformers", "gptqmodel", "discord"}),
        ("bot.cli.persona", {"torch", "transformers", "discord", "sqlalchemy"}),
        ("bot.cli.bench, bot.cli.model, bot.cli.run, bot.cli.talk", OF_EXTRAS),
        ("bot.engine.building, bot.engine.remote.engine", OF_EXTRAS),
        ("bot.cli.workbench", OF_EXTRAS | {"discord"}),
        ("cogs.client", {"torch", "transformers", "sqlalchemy"}),
    ],
)
def test_a_part_loads_only_what_it_is_for(modules: str, unwanted: set[str]) -> None:
    assert not loaded_by(f"import {modules}") & unwanted


def test_settings_are_not_read_at_import(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("NO_SUCH_SETTING=1\n")
    code = f"import os\nos.chdir({str(tmp_path)!r})\nsys.path.insert(0, {str(ROOT)!r})\n"
    loaded_by(code + "import bot.settings, bot.app, bot.__main__")


def test_modules_stay_small() -> None:
    long = [
        f"{path.relative_to(ROOT)}: {count}"
        for folder in ("bot", "cogs")
        for path in (ROOT / folder).rglob("*.py")
        if (count := len(path.read_text(encoding="utf-8").splitlines())) > 400
    ]
    assert not long
