"""Container files and the systemd unit name what is there, and the page about them names them."""

import configparser
import json
import re
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml

from bot.app import GRACE_SECONDS

ROOT = Path(__file__).parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
COMPOSE = (ROOT / "compose.yaml").read_text(encoding="utf-8")
PAGE = (ROOT / "docs" / "deploying.md").read_text(encoding="utf-8")
TARGETS = ("cpu", "cuda")


def instructions() -> list[str]:
    """The Dockerfile's instructions, a line each."""
    joined = re.sub(r"\\\n\s*", "", re.sub(r"(?m)^\s*#.*\n", "", DOCKERFILE))
    return [line for line in joined.splitlines() if line.strip()]


def stages() -> dict[str, str]:
    """Each stage and what it is made from."""
    found = re.findall(r"(?m)^FROM (\S+) AS (\S+)$", DOCKERFILE)
    return {name: source for source, name in found}


def unit() -> configparser.SectionProxy:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read(ROOT / "deploy" / "caduceus.service", encoding="utf-8")
    return parser["Service"]


def test_what_the_image_copies_is_there_and_not_kept_out() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    let_in = [line[1:] for line in ignored if line.startswith("!")]
    copies = [line.split()[1:] for line in instructions() if line.startswith("COPY ")]
    copies = [[word for word in words if "--chown=" not in word] for words in copies]
    sources = [word for words in copies for word in words[:-1] if "--from" not in words[0]]
    assert len(sources) >= 10
    for source in sources:
        assert (ROOT / source).exists(), source
        assert any(fnmatch(source, pattern) for pattern in let_in), source


def test_nothing_private_goes_into_the_image() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in ignored
    let_in = {line[1:] for line in ignored if line.startswith("!")}
    assert not let_in & {".env", ".git", "data", "models", ".venv"}


def test_every_stage_is_made_from_one_before() -> None:
    seen = {"python:${PYTHON}"}
    for name, source in stages().items():
        assert source in seen, f"{name} is made from {source}"
        seen.add(name)
    copied_from = re.findall(r"COPY --from=(\S+)", DOCKERFILE)
    assert set(copied_from) <= seen
    assert len(copied_from) == len(TARGETS)


def test_the_images_that_run_have_no_tools_to_build_with_but_tritons_compiler() -> None:
    for tool in ("build-essential", "python3-dev", "g++", "nvcc", "git"):
        last = DOCKERFILE[DOCKERFILE.index(" AS base\n") :]
        assert not re.search(rf"install[^\n]*\b{re.escape(tool)}", last), tool
    cpu = DOCKERFILE[DOCKERFILE.index(" AS cpu\n") :]
    assert "apt-get" not in cpu


@pytest.mark.parametrize("target", TARGETS)
def test_each_target_ends_without_root_and_is_on_the_page(target: str) -> None:
    users: list[str] = []
    stage = target
    while stage in stages():
        text = re.split(r"(?m)^FROM ", DOCKERFILE.partition(f" AS {stage}\n")[2])[0]
        users = [*re.findall(r"(?m)^USER (\S+)$", text), *users]
        stage = stages()[stage]
    assert users[-1] == "caduceus"
    assert f"| `{target}` |" in PAGE
    assert f"target: {target} " in COMPOSE


def test_each_service_is_kept_from_what_it_does_not_need() -> None:
    services = yaml.safe_load(COMPOSE)["services"]
    for name, target in (("bot", "cpu"), ("bot-gpu", "cuda")):
        service = services[name]
        assert service["build"]["target"] == target
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        mounted = {volume.rpartition(":")[2] for volume in service["volumes"]}
        assert all(f'"{place}"' in DOCKERFILE for place in mounted)
    assert "profiles" not in services["bot"]
    assert all(port.startswith("127.0.0.1:") for port in services["postgres"]["ports"])


def test_the_program_gets_the_signal_and_the_time_it_takes() -> None:
    (entry,) = [line for line in instructions() if line.startswith("ENTRYPOINT")]
    assert entry == 'ENTRYPOINT ["tini", "--", "python", "-m", "bot"]'
    patience = re.search(r"stop_grace_period: (\d+)s", COMPOSE)
    assert patience
    assert int(patience[1]) > GRACE_SECONDS
    assert float(unit()["TimeoutStopSec"]) > GRACE_SECONDS
    assert unit()["KillMode"] == "mixed"


def test_a_mistake_in_the_settings_is_not_started_again() -> None:
    assert unit()["Restart"] == "on-failure"
    assert unit()["RestartPreventExitStatus"] == "2"
    assert unit()["ExecStart"].endswith("/.venv/bin/python -m bot")


def test_the_gpu_is_not_hardened_away() -> None:
    assert not unit().keys() & {"PrivateDevices", "MemoryDenyWriteExecute", "DevicePolicy"}


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    text = (ROOT / "deploy" / "caduceus.service").read_text(encoding="utf-8")
    here = tmp_path / "caduceus.service"
    here.write_text(text.replace("/opt/caduceus/.venv/bin/python", "/bin/true"))
    told = subprocess.run(
        ["systemd-analyze", "verify", here], capture_output=True, text=True, check=False
    )
    assert "caduceus.service" not in told.stderr, told.stderr
    assert told.returncode == 0, told.stderr


def test_the_page_may_change_the_personas_in_an_image() -> None:
    (line,) = (line for line in instructions() if line.endswith("personas ./personas"))
    assert "--chown=caduceus:caduceus" in line


def test_metrics_that_are_off_are_not_asked_for_health() -> None:
    (command,) = (line for line in instructions() if line.startswith("HEALTHCHECK"))
    program = json.loads(command[command.index("[") :])[2]
    for off in ("0", ""):
        ran = subprocess.run(
            [sys.executable, "-c", program], env={"METRICS_PORT": off}, check=False, timeout=60
        )
        assert ran.returncode == 0
