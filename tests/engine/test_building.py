"""From a model's folder to the loaded model: its config.json is read once, and named when bad."""

import builtins
import hashlib
import io
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from checkpoints import make_float, make_gptq, write_new_layout, write_old_layout

from bot.engine.building import load_model, local_engine
from bot.engine.llamacpp.engine import LlamaCppEngine
from bot.engine.local.engine import LocalEngine
from bot.engine.models.embedded import find_embedded
from bot.engine.models.folders.folder import read_model_folder
from bot.errors import ModelError


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that Python code opened, in order."""
    found: list[str] = []
    original = io.open

    def noting(file: Any, *args: Any, **options: Any) -> Any:
        found.append(str(file))
        return original(file, *args, **options)

    monkeypatch.setattr(io, "open", noting)  # what pathlib calls
    monkeypatch.setattr(builtins, "open", noting)
    return found


def change_config(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"rms_norm_eps": "small"},
        {"num_attention_heads": 3},
        {"rope_scaling": "x"},
        {"eos_token_id": "x"},
        {"dtype": "float99"},
        {"model_type": "nobody-knows-this"},
    ],
)
def test_a_value_that_cannot_be_is_the_configs_fault(
    changes: dict[str, object], tmp_path: Path
) -> None:
    folder = write_old_layout(make_gptq(), tmp_path / "model")
    change_config(folder, **changes)
    with pytest.raises(ModelError) as caught:
        load_model(str(folder), data_dir=tmp_path / "data")
    assert str(caught.value).startswith(f"{folder / 'config.json'} cannot be used")


def test_sizes_that_contradict_the_weights_say_so(tmp_path: Path) -> None:
    folder = write_new_layout(make_float(), tmp_path / "model")
    change_config(folder, intermediate_size=128)
    with pytest.raises(ModelError, match="does not fit the weights"):
        load_model(str(folder), data_dir=tmp_path / "data")


def test_a_config_with_too_few_quantized_layers_is_named(tmp_path: Path) -> None:
    folder = write_old_layout(make_gptq(), tmp_path / "model")
    change_config(folder, num_hidden_layers=1)
    with pytest.raises(ModelError, match=r"model.*config\.json.*14.*7"):
        load_model(str(folder), data_dir=tmp_path / "data")


def test_a_tokenizer_of_gigabytes_is_not_read(tmp_path: Path) -> None:
    folder = write_new_layout(make_float(), tmp_path / "model")
    with (folder / "tokenizer.json").open("wb") as stream:
        stream.truncate(3 << 30)
    with pytest.raises(ModelError, match=r"tokenizer\.json is far too large"):
        read_model_folder(folder)


def test_config_is_read_once(tmp_path: Path, opened: list[str]) -> None:
    folder = write_new_layout(make_float(), tmp_path / "model")
    (folder / "generation_config.json").write_text("{}")  # without it transformers looks again
    opened.clear()
    load_model(str(folder), data_dir=tmp_path / "data")
    assert opened.count(str(folder / "config.json")) == 1


def test_what_a_model_is_decides_what_runs_it(tmp_path: Path) -> None:
    around = tmp_path / "around"
    around.mkdir()
    (around / "model.gguf").symlink_to(find_embedded().path)
    folder = write_new_layout(make_float(), tmp_path / "float")
    for model, kind in (
        ("demo", LlamaCppEngine),
        (str(find_embedded().path), LlamaCppEngine),
        (str(around), LlamaCppEngine),
        (str(folder), LocalEngine),
    ):
        engine = local_engine(model, tmp_path / "data")
        chosen = engine._choose(lambda *_: None)
        assert isinstance(chosen, kind), model


@pytest.mark.slow
def test_a_gguf_file_runs_without_torch(tmp_path: Path) -> None:
    code = """
import asyncio, sys
from pathlib import Path
from bot.engine.api import GenerationRequest
from bot.engine.building import local_engine

async def main():
    engine = local_engine("demo", Path(sys.argv[1]))
    await engine.start()
    async for chunk in engine.generate(GenerationRequest("Hello", "c", "u", max_tokens=2)):
        pass
    print([m for m in ("torch", "transformers", "numpy", "xllamacpp") if m in sys.modules])
    await engine.close()

asyncio.run(main())
"""
    said = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert said.stdout.strip() == "[]"


def test_the_embedded_model_is_hashed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[object] = []
    original = hashlib.file_digest

    def counted(*args: object) -> object:
        hashed.append(args)
        return original(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(hashlib, "file_digest", counted)
    embedded = find_embedded()
    for _ in range(2):
        embedded.check_once(tmp_path)
    assert len(hashed) == 1
    damaged = replace(embedded, sha256="0" * 64)
    with pytest.raises(ModelError, match="hash is wrong"):
        damaged.check_once(tmp_path)
