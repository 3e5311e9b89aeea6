"""Models by their Hugging Face id: from the cache, downloaded from a server, or a clear error."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from checkpoints import logits, make_float, write_new_layout
from huggingface_hub import constants

from bot.engine.building import load_model
from bot.engine.models import hub
from bot.engine.models.inspection import inspect_model
from bot.errors import ModelError

COMMIT = "a" * 40
HUB_ID = "someone/tiny-model"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "hub-cache"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(place))
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
    assert inspect_model(HUB_ID).loads


def test_a_half_cached_model_is_not_taken(cache: Path, tmp_path: Path) -> None:
    (put_into_cache(cache) / "model.safetensors").unlink()
    assert hub.cached_folder(HUB_ID) is None


def test_offline_and_unknown_names_both_readings(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no folder «someone/tiny-model»") as caught:
        load_model(HUB_ID, data_dir=tmp_path)
    assert "cannot be reached" in caught.value.message
    assert "MODEL" in caught.value.fix


def test_what_is_neither_here_nor_on_the_hub_is_a_problem(tmp_path: Path) -> None:
    found = inspect_model(HUB_ID)  # and there is no network
    assert "no folder «someone/tiny-model»" in found.problems[0]
    assert "cannot be reached" in found.problems[0]


def test_whoever_may_not_ask_the_hub_says_that_it_does_not_know(tmp_path: Path) -> None:
    found = inspect_model(HUB_ID, ask_hub=False)
    assert found.loads
    assert not found.is_known


def test_a_misspelt_folder_is_a_problem_also_without_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_new_layout(make_float(), tmp_path / "models" / "hermes")
    monkeypatch.chdir(tmp_path)
    assert inspect_model("models/hermes", ask_hub=False).loads
    found = inspect_model("models/hermse", ask_hub=False)
    assert "no folder «models/hermse»" in found.problems[0]


def test_inspecting_asks_the_hub_and_downloads_nothing(
    serve: object, cache: Path, tmp_path: Path
) -> None:
    server = serve()  # type: ignore[operator]
    found = inspect_model(HUB_ID)
    assert found.loads
    assert "will be downloaded" in found.notes[0]
    assert "model.safetensors" not in server.asked
    assert not list(cache.rglob("*.json"))


def test_a_model_that_the_hub_does_not_have_is_a_problem(serve: object, tmp_path: Path) -> None:
    serve(404, X_Error_Code="RepoNotFound")  # type: ignore[operator]
    found = inspect_model(HUB_ID)
    assert "has no model of that name" in found.problems[0]


@pytest.mark.parametrize("model", ["a/b/c", "../x", "a b/c", "/a", "a/", ".a/b", "a/..", "x" * 300])
def test_what_is_no_id(model: str) -> None:
    assert not hub.is_hub_id(model)


class Hub:
    """A server that answers as the Hub does, for one model."""

    def __init__(self, folder: Path, status: int, headers: dict[str, str]) -> None:
        self.asked: list[str] = []
        files = {file.name: file.read_bytes() for file in folder.iterdir()}
        files |= {"pytorch_model.bin": b"\x80\x02pickle", "evil.py": b"boom"}
        hub_self = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.answer(with_body=True)

            def do_HEAD(self) -> None:
                self.answer(with_body=False)

            def answer(self, *, with_body: bool) -> None:
                path = self.path.partition("?")[0]
                hub_self.asked.append(path.rpartition("/")[2])
                body, name = b"", path.rpartition("/")[2]
                if status != 200:
                    self.send_response(status)
                    for key, value in headers.items():
                        self.send_header(key, value)
                elif "/tree/" in path:
                    entries = [
                        {"type": "file", "path": name, "size": len(content), "oid": name}
                        for name, content in files.items()
                    ]
                    body = json.dumps(entries).encode()
                    self.send_response(200)
                elif path.startswith("/api/"):
                    siblings = [{"rfilename": name} for name in files]
                    body = json.dumps(
                        {"id": HUB_ID, "sha": COMMIT, "siblings": siblings, "private": False}
                    ).encode()
                    self.send_response(200)
                elif name in files:
                    body = files[name]
                    self.send_response(200)
                    self.send_header("X-Repo-Commit", COMMIT)
                    self.send_header("ETag", f'"{name}"')
                else:
                    self.send_response(404)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if with_body:
                    self.wfile.write(body)

            def log_message(self, *_args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    running: list[Hub] = []

    def start(status: int = 200, **headers: str) -> Hub:
        folder = write_new_layout(make_float(), tmp_path / "served")
        names = {key.replace("_", "-"): value for key, value in headers.items()}
        running.append(Hub(folder, status, names))
        url = running[-1].url
        monkeypatch.setattr(constants, "ENDPOINT", url)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(
            constants,
            "HUGGINGFACE_CO_URL_TEMPLATE",
            url + "/{repo_id}/resolve/{revision}/{filename}",
        )
        return running[-1]

    yield start
    for server in running:
        server.close()


def test_a_download_takes_no_pickle_and_no_code(serve: object, tmp_path: Path) -> None:
    server = serve()  # type: ignore[operator]
    steps: list[tuple[str, float | None]] = []
    loaded = load_model(
        HUB_ID, data_dir=tmp_path / "data", progress=lambda text, part: steps.append((text, part))
    )
    assert torch.equal(logits(loaded.model), logits(make_float().reference))
    assert "model.safetensors" in server.asked
    assert not {"pytorch_model.bin", "evil.py"} & set(server.asked)
    assert any("Downloading" in text for text, _ in steps)


@pytest.mark.parametrize(
    ("status", "headers", "says"),
    [
        (404, {"X_Error_Code": "RepoNotFound"}, "has no model of that name"),
        (401, {"X_Error_Code": "RepoNotFound"}, "has no model of that name"),
        (403, {"X_Error_Code": "GatedRepo"}, "accepted its terms"),
    ],
)
def test_refusals_of_the_hub_say_what_to_do(
    status: int, headers: dict[str, str], says: str, serve: object, tmp_path: Path
) -> None:
    serve(status, **headers)  # type: ignore[operator]
    with pytest.raises(ModelError, match=says) as caught:
        load_model(HUB_ID, data_dir=tmp_path / "data")
    assert caught.value.fix
