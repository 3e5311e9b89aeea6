"""Models by their Hugging Face id: from the cache, downloaded from a server, or a clear error."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from checkpoints import logits, make_float, write_new_layout
from hub_server import HubServer, serving
from hypothesis import given
from hypothesis import strategies as st

from bot.engine.building import load_model
from bot.engine.models.hub.listing import read_info, read_tree
from bot.engine.models.hub.names import HubName, is_safe_path, parse_name, quantization
from bot.engine.models.hub.store import find
from bot.engine.models.inspection import inspect_model
from bot.errors import ModelError

COMMIT = "a" * 40
HUB_ID = "someone/tiny-model"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "hub-cache"
    monkeypatch.setenv("HF_HUB_CACHE", str(place))
    return place


def put_into_cache(cache: Path) -> Path:
    repository = cache / "models--someone--tiny-model"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(COMMIT)
    return write_new_layout(make_float(), repository / "snapshots" / COMMIT)


def test_a_cached_model_loads_without_a_network(cache: Path, tmp_path: Path) -> None:
    put_into_cache(cache)
    loaded = load_model(HUB_ID, data_dir=tmp_path / "data")
    assert torch.equal(logits(loaded.model), logits(make_float().reference))
    assert loaded.info.name == HUB_ID
    assert inspect_model(HUB_ID, data_dir=tmp_path / "data").loads


def test_a_half_cached_model_is_not_taken(cache: Path, tmp_path: Path) -> None:
    (put_into_cache(cache) / "model.safetensors").unlink()
    assert find(tmp_path, HubName(HUB_ID)) is None


def test_offline_and_unknown_names_both_readings(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="HF_HUB_OFFLINE is set") as caught:
        load_model(HUB_ID, data_dir=tmp_path)
    assert caught.value.fix


def test_what_is_neither_here_nor_on_the_hub_is_a_problem(tmp_path: Path) -> None:
    found = inspect_model(HUB_ID, data_dir=tmp_path)  # and there is no network
    assert "no folder «someone/tiny-model»" in found.problems[0]
    assert "HF_HUB_OFFLINE" in found.problems[0]


def test_whoever_may_not_ask_the_hub_says_that_it_does_not_know(tmp_path: Path) -> None:
    found = inspect_model(HUB_ID, data_dir=tmp_path, ask_hub=False)
    assert found.loads
    assert not found.is_known


def test_a_misspelt_folder_is_a_problem_also_without_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_new_layout(make_float(), tmp_path / "models" / "hermes")
    monkeypatch.chdir(tmp_path)
    assert inspect_model("models/hermes", data_dir=tmp_path, ask_hub=False).loads
    found = inspect_model("models/hermse", data_dir=tmp_path, ask_hub=False)
    assert "no folder «models/hermse»" in found.problems[0]


def test_inspecting_asks_the_hub_and_downloads_nothing(
    server: HubServer, cache: Path, tmp_path: Path
) -> None:
    found = inspect_model(HUB_ID, data_dir=tmp_path)
    assert found.loads
    assert "will be downloaded" in found.notes[0]
    assert not server.asked_for("/resolve/")
    assert not list(tmp_path.joinpath("data").rglob("*"))


def test_a_model_that_the_hub_does_not_have_is_a_problem(server: HubServer, tmp_path: Path) -> None:
    server.refuse = (404, "RepoNotFound")
    found = inspect_model(HUB_ID, data_dir=tmp_path)
    assert "has no model someone/tiny-model" in found.problems[0]


@pytest.mark.parametrize(
    "model",
    [
        "a/b/c",
        "../x",
        "a b/c",
        "/a",
        "a/",
        ".a/b",
        "a/..",
        "x" * 300,
        "a/b:",
        "a/b:../c",
        "a/b:/c",
        "a/b:.c",
    ],
)
def test_what_is_no_id(model: str) -> None:
    assert parse_name(model) is None


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    folder = write_new_layout(make_float(), tmp_path / "served")
    files = {file.name: file.read_bytes() for file in folder.iterdir()}
    files |= {"pytorch_model.bin": b"\x80\x02pickle", "evil.py": b"boom"}
    with serving(HubServer({HUB_ID: files})) as running:
        monkeypatch.delenv("HF_HUB_OFFLINE")
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        yield running


def test_a_download_takes_no_pickle_and_no_code(server: HubServer, tmp_path: Path) -> None:
    steps: list[tuple[str, float | None]] = []
    loaded = load_model(
        HUB_ID, data_dir=tmp_path / "data", progress=lambda text, part: steps.append((text, part))
    )
    assert torch.equal(logits(loaded.model), logits(make_float().reference))
    asked = {path.rpartition("/")[2] for path, _ in server.asked}
    assert "model.safetensors" in asked
    assert not {"pytorch_model.bin", "evil.py"} & asked
    assert any("Downloading" in text for text, _ in steps)


@pytest.mark.parametrize(
    "path",
    [
        "../x",
        "/x",
        "a/../b",
        "a//b",
        ".x",
        "a/.b",
        "a\\b",
        "a\nb",
        "a\x1b[31m",
        "é",
        "a.",
        "",
        "x" * 300,
    ],
)
def test_names_of_files_that_no_list_brings_in(path: str) -> None:
    assert not is_safe_path(path)
    assert read_info({"siblings": [{"rfilename": path, "size": 1}]}).files == ()
    assert read_tree([{"type": "file", "path": path, "size": 1}]) == ()


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists) | st.text())
def test_any_answer_is_read(answer: object) -> None:
    for document in (answer, {"sha": answer, "siblings": answer}, {"siblings": [{"lfs": answer}]}):
        read_info(document)
        read_tree(document)


@pytest.mark.parametrize(
    ("path", "packing"),
    [
        ("Model-1B-Q4_K_M.gguf", "Q4_K_M"),
        ("model.q5_0.gguf", "Q5_0"),
        ("a/b-IQ3_XS.gguf", "IQ3_XS"),
        ("x-BF16.gguf", "BF16"),
        ("qwen2-0_5b.gguf", ""),
        ("Q4.gguf", "Q4"),
    ],
)
def test_how_a_file_is_packed_is_read_from_its_name(path: str, packing: str) -> None:
    assert quantization(path) == packing


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("https://huggingface.co/a/b-GGUF", HubName("a/b-GGUF")),
        (" https://huggingface.co/a/b-GGUF/ ", HubName("a/b-GGUF")),
        ("https://huggingface.co/a/b-GGUF/tree/main", HubName("a/b-GGUF")),
        ("https://huggingface.co/a/b?library=x#usage", HubName("a/b")),
        ("https://huggingface.co/a/b/blob/main/b-Q4_K_M.gguf", HubName("a/b", "b-Q4_K_M.gguf")),
        (
            "https://huggingface.co/a/b/resolve/main/q/b%20c.gguf?download=true",
            HubName("a/b", "q/b c.gguf"),
        ),
        ("hf.co/a/b-GGUF:Q4_K_M", HubName("a/b-GGUF", "Q4_K_M")),
        ("https://huggingface.co/a/b/resolve/main/..%2f..%2fx.gguf", None),
        ("https://huggingface.co/a/b/discussions/1", None),
        ("https://huggingface.co.evil.org/a/b", None),
        ("https://huggingface.co/a", None),
        ("https://example.org/a/b", None),
    ],
)
def test_the_address_of_a_page_is_as_good_as_a_name(address: str, name: HubName | None) -> None:
    assert parse_name(address) == name
