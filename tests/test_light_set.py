"""The bot on a laptop: with the light set alone everything runs but GPTQ and safetensors models."""

import json
import re
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import PIPE, STDOUT

import pytest
from checkpoints import make_float, write_new_layout
from hub_server import HubServer, serving
from light import light_environment, make_light_python

INSTALLS = "setup EXTRAS=gpu`"
REPLY_SECONDS = 60.0

pytestmark = pytest.mark.slow

Run = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def light_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_light_python(tmp_path_factory.mktemp("light"))


@pytest.fixture
def run(light_python: Path, tmp_path: Path) -> Run:
    """Runs a command of ours; the exit code and all that it said."""

    def run(*words: str, **settings: str) -> tuple[int, str]:
        done = subprocess.run(
            [light_python, "-m", "bot", *words],
            cwd=tmp_path,
            env=light_environment(tmp_path, **settings),
            stdout=PIPE,
            stderr=STDOUT,
            text=True,
            timeout=100,
            check=False,
        )
        return done.returncode, done.stdout

    return run


@pytest.fixture(scope="module")
def safetensors(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_new_layout(make_float(), tmp_path_factory.mktemp("models") / "tiny"))


def test_nothing_else_can_be_imported_there(light_python: Path, tmp_path: Path) -> None:
    code = "import sys, importlib.util as u\nprint([m for m in sys.argv[1:] if u.find_spec(m)])"
    heavy = ("torch", "transformers", "gptqmodel", "optimum", "accelerate", "safetensors")
    more = ("numpy", "tokenizers", "huggingface_hub", "gguf", "sentencepiece", "tqdm", "packaging")
    told = subprocess.run(
        [light_python, "-c", code, *heavy, *more, "discord"],
        env=light_environment(tmp_path),
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.strip() == "['discord']"


def test_doctor_finds_nothing_broken(run: Run) -> None:
    code, said = run("doctor", "--offline")
    assert code == 0, said
    assert "The light set is installed" in said
    assert "Nothing is broken." in said


def test_the_embedded_model_can_be_looked_at(run: Run) -> None:
    code, said = run("model", "inspect", "demo")
    assert code == 0, said
    assert "SmolLM2-135M-Instruct, by Hugging Face, Apache-2.0" in said


@pytest.mark.parametrize(
    "words",
    [
        ("model", "inspect", "{folder}"),
        ("model", "quantize", "{folder}", "quantized"),
        ("workbench", "--port", "0"),
        ("bench", "--model", "{folder}"),
        ("bench", "--shapes", "tiny", "--peer", "vllm"),
    ],
)
def test_a_model_that_needs_torch_names_the_one_command(
    run: Run, safetensors: str, words: tuple[str, ...]
) -> None:
    code, said = run(*(word.format(folder=safetensors) for word in words), MODEL=safetensors)
    assert code == 2, said
    assert INSTALLS in said.splitlines()[-1], said


def test_what_other_extras_bring_is_named_with_them(run: Run, tmp_path: Path) -> None:
    url = "postgresql+asyncpg://caduceus:word@127.0.0.1:1/caduceus"
    code, said = run("db", "check", DATABASE_URL=url)
    assert (code, "setup EXTRAS=postgres`" in said) == (2, True), said
    (tmp_path / "tokenizer.json").write_text("{}")
    remote = {"ENGINE": "openai", "OPENAI_BASE_URL": "http://127.0.0.1:1/v1"}
    _, said = run("doctor", "--offline", TOKENIZER=str(tmp_path), **remote)
    assert "setup EXTRAS=tokenizer`" in said


@pytest.mark.parametrize("action", ["fetch", "inspect"])
def test_such_a_model_of_the_hub_is_not_downloaded_in_vain(
    run: Run, safetensors: str, action: str
) -> None:
    files = {file.name: file.read_bytes() for file in Path(safetensors).iterdir()}
    with serving(HubServer({"someone/tiny": files})) as hub:
        code, said = run("model", action, "someone/tiny", HF_ENDPOINT=hub.url)
        assert (code, INSTALLS in said.splitlines()[-1]) == (2, True), said
        assert not hub.asked_for("/resolve/")


def test_doctor_names_the_command_too(run: Run, safetensors: str) -> None:
    code, said = run("doctor", "--offline", MODEL=safetensors)
    assert code == 2
    (line,) = [line for line in said.splitlines() if line.startswith("fail")]
    assert INSTALLS in line


def test_what_is_wrong_with_a_folder_is_told_before(run: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    code, said = run("model", "inspect", "empty")
    assert code == 2
    assert "has no config.json" in said
    assert INSTALLS not in said


@pytest.fixture
def page(light_python: Path, tmp_path: Path) -> Iterator[Callable[..., object]]:
    """The local page's calls, on the embedded model."""
    program = subprocess.Popen(
        [light_python, "-m", "bot", "workbench", "--port", "0"],
        cwd=tmp_path,
        env=light_environment(tmp_path),
        stdout=PIPE,
        text=True,
    )
    try:
        assert program.stdout is not None
        address = re.search(r"http://127\.0\.0\.1:\d+/", program.stdout.readline())
        assert address

        def call(path: str, body: object = None) -> dict:
            request = urllib.request.Request(f"{address[0]}api/{path}")
            if body is not None:
                request.data = json.dumps(body).encode()
                request.add_header("Content-Type", "application/json")
            with urllib.request.urlopen(request, timeout=20) as answer:
                return json.load(answer)

        yield call
    finally:
        program.send_signal(signal.SIGINT)
        program.communicate(timeout=60)
        assert program.returncode == 0


def test_the_embedded_model_replies_on_the_page(page: Callable[..., dict]) -> None:
    chat = page("chats", {})["id"]
    page(f"chats/{chat}/messages", {"text": "Hello!", "name": "You"})
    until = time.monotonic() + REPLY_SECONDS
    while time.monotonic() < until:
        now = page(f"chats/{chat}")
        if not now["busy"] and now["turns"][-1]["role"] == "bot":
            break
        time.sleep(0.2)
    assert now["turns"][-1]["text"].strip()
    assert now["turns"][-1]["state"] == "whole"
