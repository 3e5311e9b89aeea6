"""`python -m bot model`: what people see of inspecting, fetching and quantizing."""

import argparse
import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from checkpoints import logits, make_float, make_gptq, write_new_layout, write_old_layout

from bot.cli import model as command
from bot.engine.building import load_model
from bot.engine.llamacpp.plan import KvCache
from bot.engine.models.folders.folder import read_model_folder
from bot.engine.models.gptq.quantize import calibration_rows, choose_group_size, read_calibration
from bot.errors import ModelError


@dataclass(frozen=True)
class Settings:
    data_dir: Path
    model: str = "demo"
    engine: str = "local"
    prompt_format: str = "auto"
    thinking_tokens: int = 512
    context_tokens: int = 0
    cpu_threads: int = 0
    kv_cache: KvCache = "auto"
    host_kv_bytes: int | None = None


def run(tmp_path: Path, *words: str) -> int:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return command.run(parser.parse_args(words), Settings(tmp_path / "data"))


def test_inspecting_a_good_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_old_layout(make_gptq(), tmp_path / "model")
    assert run(tmp_path, "inspect", str(folder)) == 0
    said = capsys.readouterr().out
    assert "GPTQ 4 bits, group 32" in said
    assert "2048 tokens" in said
    assert "It looks as if it loads." in said


@pytest.mark.parametrize("prompt_format", ["auto", "alpaca"])
def test_inspecting_tells_the_format_and_the_memory_beside_what_is_free(
    prompt_format: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    args = argparse.Namespace(action="inspect", model="demo")
    settings = Settings(tmp_path / "data", prompt_format=prompt_format, context_tokens=2048)
    assert command.run(args, settings) == 0
    rows = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    expected = {"auto": "chatml", "alpaca": "alpaca"}[prompt_format]
    assert rows["format"].startswith(f"Written to as {expected}, ")
    assert re.search(r"GB of the .* GB that are free, for a context of 2,048", rows["here"])


def test_inspecting_a_folder_compares_its_weights_with_what_is_free(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_old_layout(make_gptq(), tmp_path / "model")
    assert run(tmp_path, "inspect", str(folder)) == 0
    said = capsys.readouterr().out
    assert "GB are free" in said
    assert "\nformat " in said


@pytest.mark.parametrize("action", ["fetch", "inspect", "use"])
@pytest.mark.parametrize("name", ["", "  "])
def test_an_empty_name_is_no_name(action: str, name: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="empty"):
        run(tmp_path, action, name)


def test_inspecting_a_bad_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_new_layout(make_float(), tmp_path / "model")
    (folder / "model.safetensors").write_bytes(b"cut")
    assert run(tmp_path, "inspect", str(folder)) == command.EXIT_PROBLEMS
    said = capsys.readouterr().out
    assert "model.safetensors" in said
    assert "problem" in said
    assert "loads" not in said


def test_inspecting_shows_no_letters_that_a_terminal_obeys(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, "inspect", "a\n\x1b[31mb.gguf") == command.EXIT_PROBLEMS
    said = capsys.readouterr().out
    assert len(said.splitlines()) == 2
    assert "\x1b" not in said


def test_inspecting_without_a_name_takes_the_setting(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, "inspect") == 0
    assert "SmolLM2-135M-Instruct" in capsys.readouterr().out


def test_fetching_a_folder_that_is_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_new_layout(make_float(), tmp_path / "model")
    assert run(tmp_path, "fetch", str(folder)) == 0
    assert str(folder) in capsys.readouterr().out


def test_fetching_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError):
        run(tmp_path, "fetch", "./nowhere")


@pytest.mark.slow
def test_quantizing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_new_layout(make_float(), tmp_path / "model")
    target = tmp_path / "made"
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    assert run(tmp_path, "quantize", str(folder), str(target), "--group-size", "32") == 0
    said = capsys.readouterr()
    assert f"MODEL={target}" in said.out
    assert len(said.out.splitlines()) == 1  # the library's own bars and tables are not shown
    assert "Layer 2 of 2" in said.err
    assert not list(here.iterdir())  # the library's logs are under DATA_DIR
    made = load_model(str(target), data_dir=tmp_path / "data")
    near = logits(make_float().reference)
    assert (logits(made.model) - near).abs().mean() < 0.2 * near.abs().mean()


def test_quantizing_never_overwrites(tmp_path: Path) -> None:
    folder = write_new_layout(make_float(), tmp_path / "model")
    with pytest.raises(ModelError, match="is there already"):
        run(tmp_path, "quantize", str(folder), str(folder))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--bits", "5"], "5 bits"),
        (["--group-size", "48"], "does not divide"),
        (["--calibration", "/nowhere.txt"], "cannot be read"),
    ],
)
def test_what_cannot_be_quantized_so_is_refused(
    arguments: list[str], says: str, tmp_path: Path
) -> None:
    folder = write_new_layout(make_float(), tmp_path / "model")
    with pytest.raises(ModelError, match=says):
        run(tmp_path, "quantize", str(folder), str(tmp_path / "made"), *arguments)
    assert not (tmp_path / "made").exists()


def test_a_quantized_model_is_not_quantized_again(tmp_path: Path) -> None:
    folder = write_new_layout(make_gptq(), tmp_path / "model")
    with pytest.raises(ModelError, match="quantized already"):
        run(tmp_path, "quantize", str(folder), str(tmp_path / "made"))


@pytest.mark.parametrize(("width", "size"), [(128, 128), (192, 64), (96, 32), (48, 16)])
def test_the_largest_group_that_divides_every_layer_is_taken(
    width: int, size: int, tmp_path: Path
) -> None:
    checkpoint = make_float(
        hidden_size=width, intermediate_size=width * 2, num_attention_heads=4, head_dim=width // 4
    )
    folder = read_model_folder(write_new_layout(checkpoint, tmp_path / "model"))
    assert choose_group_size(folder) == size


def test_calibration_rows_use_every_token_and_are_equally_long() -> None:
    rows = calibration_rows(list(range(5000)), 512)
    assert {len(row) for row in rows} == {512}
    assert set().union(*rows) == set(range(5000))
    assert {len(row) for row in calibration_rows(list(range(100)), 512)} == {25}
    with pytest.raises(ModelError, match="too short"):
        calibration_rows(list(range(20)))


def test_the_shipped_calibration_text_is_enough() -> None:
    assert len(read_calibration(None).split()) > 1200
