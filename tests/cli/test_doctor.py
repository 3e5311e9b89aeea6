"""`doctor`: one line each, the fix, and the exit code."""

import json
import os
import re
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from bot.cli import doctor, machine_checks
from bot.cli.discord_checks import PERMISSION_INTEGER, PERMISSIONS, check_discord, invite_link
from bot.cli.doctor import examine
from bot.cli.findings import Finding, Grade, exit_code, plain
from bot.engine.cuda.products import Card
from bot.engine.models.gptq import marlin

TOKEN = "MTAwMDAwMDAwMDAwMDAwMDAwMA.GAbCdE." + "x" * 38
CONTENT_INTENT = 1 << 19


class DiscordAnswers:
    """What a pretended Discord on this machine answers."""

    def __init__(self) -> None:
        self.status = 200
        self.flags = CONTENT_INTENT
        self.guilds: list[dict[str, Any]] = [
            {"id": "1", "name": "home", "permissions": str(PERMISSION_INTEGER)}
        ]
        self.asked: list[str] = []
        self.url = ""

    async def answer(self, request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == f"Bot {TOKEN}"
        self.asked.append(request.path)
        if self.status != 200:
            return web.json_response({"message": "no"}, status=self.status)
        answers: dict[str, Any] = {
            "/users/@me": {"id": "7", "username": "hermes"},
            "/applications/@me": {"id": "7", "flags": self.flags},
            "/users/@me/guilds": self.guilds,
        }
        return web.json_response(answers[request.path])


@pytest.fixture
async def discord_answers() -> AsyncIterator[DiscordAnswers]:
    answers = DiscordAnswers()
    application = web.Application()
    application.router.add_get("/{path:.*}", answers.answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    answers.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield answers
    await runner.cleanup()


async def test_a_good_token_is_all_well(discord_answers: DiscordAnswers) -> None:
    findings = await check_discord(TOKEN, discord_answers.url)
    assert [f.grade for f in findings] == [Grade.OK] * 3
    assert [f.subject for f in findings] == ["token", "intents", "permissions"]
    assert "hermes" in findings[0].text


async def test_a_refused_token_is_named_with_what_to_do(discord_answers: DiscordAnswers) -> None:
    discord_answers.status = 401
    (finding,) = await check_discord(TOKEN, discord_answers.url)
    assert finding.grade is Grade.FAIL
    assert "discord.com/developers" in finding.fix
    assert TOKEN not in str(finding)


async def test_a_missing_intent_is_a_failure(discord_answers: DiscordAnswers) -> None:
    discord_answers.flags = 0
    findings = await check_discord(TOKEN, discord_answers.url)
    assert findings[1].grade is Grade.FAIL
    assert "Message Content Intent" in findings[1].fix


async def test_missing_permissions_are_named_by_guild(discord_answers: DiscordAnswers) -> None:
    without = PERMISSION_INTEGER & ~PERMISSIONS["Send Messages in Threads"][0]
    discord_answers.guilds += [
        {"id": "2", "name": "thread\x1b[31mless", "permissions": str(without)},
        {"id": "3", "name": "mighty", "permissions": str(1 << 3)},
    ]
    findings = await check_discord(TOKEN, discord_answers.url)
    (lacking,) = [f for f in findings if f.subject == "permissions"]
    assert lacking.grade is Grade.WARN
    assert "Send Messages in Threads" in lacking.text
    assert "Send Messages," not in lacking.text
    assert "\x1b" not in str(lacking)
    assert invite_link("7") in lacking.fix


async def test_many_guilds_do_not_flood_the_screen(discord_answers: DiscordAnswers) -> None:
    discord_answers.guilds = [
        {"id": str(n), "name": f"g{n}", "permissions": "0"} for n in range(40)
    ]
    findings = await check_discord(TOKEN, discord_answers.url)
    assert len(findings) < 10
    assert "35 more" in findings[-1].text


async def test_a_bot_in_no_guild_gets_its_invite_link(discord_answers: DiscordAnswers) -> None:
    discord_answers.guilds = []
    findings = await check_discord(TOKEN, discord_answers.url)
    assert "client_id=7" in findings[-1].fix


async def test_without_a_network_nothing_is_claimed() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
    (finding,) = await check_discord(TOKEN, url)
    assert finding.grade is Grade.WARN
    assert "cannot be reached" in finding.text


@pytest.mark.parametrize("status", [429, 500, 403])
async def test_discords_own_trouble_is_a_warning(
    discord_answers: DiscordAnswers, status: int
) -> None:
    discord_answers.status = status
    (finding,) = await check_discord(TOKEN, discord_answers.url)
    assert finding.grade is Grade.WARN
    assert str(status) in finding.text


def test_the_permission_integer_is_the_sum_that_the_readme_explains() -> None:
    assert PERMISSION_INTEGER == 309_774_593_024
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    assert f"permissions={PERMISSION_INTEGER}&scope=bot+applications.commands" in readme
    for name, (bit, reason) in PERMISSIONS.items():
        assert f"| {name} | {bit} | {reason} |" in readme


async def examined(**settings: str) -> dict[str, Finding]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        return {finding.subject: finding async for finding in examine(offline=True)}


@pytest.fixture
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("_in_an_empty_folder")
async def test_wrong_settings_are_the_first_thing_said() -> None:
    found = await examined(ENGINE="gpu")
    assert list(found) == ["settings"]
    assert found["settings"].grade is Grade.FAIL


@pytest.mark.usefixtures("_in_an_empty_folder")
async def test_a_fresh_checkout_passes() -> None:
    personas = Path(__file__).parents[2] / "personas"
    found = await examined(ENGINE="fake", PERSONAS_DIR=str(personas))
    assert {"settings", "python", "disk", "personas", "database", "engine", "token"} <= set(found)
    assert exit_code(list(found.values())) == 0
    assert "made at the first start" in found["database"].text
    assert found["database"].grade is Grade.OK
    assert not Path("data").exists(), "doctor changes nothing"  # noqa: ASYNC240


@pytest.mark.usefixtures("_in_an_empty_folder")
async def test_the_second_engine_has_its_own_line() -> None:
    personas = str(Path(__file__).parents[2] / "personas")
    remote = {"ENGINE": "openai", "OPENAI_BASE_URL": "http://127.0.0.1:9/v1"}
    found = await examined(PERSONAS_DIR=personas, FALLBACK_ENGINE="fake", **remote)
    assert "FALLBACK_ENGINE=fake" in found["settings"].text
    assert found["fallback"].text.startswith("engine: `fake`")
    assert "fallback" not in await examined(PERSONAS_DIR=personas, **remote)
    found = await examined(PERSONAS_DIR=personas, FALLBACK_ENGINE="local", **remote)
    assert found["fallback"].text.startswith("model: ")
    assert "gpu" in found
    found = await examined(PERSONAS_DIR=personas)
    assert found["engine"].text == "llama.cpp, in a process of its own: it is a GGUF file."


@pytest.mark.usefixtures("_in_an_empty_folder")
@pytest.mark.parametrize("data_dir", ["file", "file/data", "locked", "locked/data", "/proc/data"])
async def test_a_data_folder_that_cannot_be_written_is_to_be_mended(
    data_dir: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "locked").mkdir()
    may = os.access
    # Root may write into any folder, so the lock is pretended.
    monkeypatch.setattr(
        os, "access", lambda path, mode: "locked" not in str(path) and may(path, mode)
    )
    found = await examined(ENGINE="fake", DATA_DIR=data_dir)
    assert found["disk"].grade is Grade.FAIL
    assert found["disk"].text.startswith("DATA_DIR cannot be written")
    assert found["disk"].fix == "Set it to a folder that this user may change."


@pytest.mark.usefixtures("_in_an_empty_folder")
async def test_how_tokens_are_counted_is_said() -> None:
    remote = {"ENGINE": "openai", "OPENAI_BASE_URL": "http://127.0.0.1:9/v1"}
    personas = str(Path(__file__).parents[2] / "personas")
    found = await examined(PERSONAS_DIR=personas, **remote)
    assert "estimate" in found["tokens"].text


@pytest.mark.usefixtures("_in_an_empty_folder")
async def test_a_broken_defaults_file_is_found() -> None:
    Path("data").mkdir()  # noqa: ASYNC240
    Path("data/defaults.toml").write_text("temperature = 9\n")  # noqa: ASYNC240
    personas = str(Path(__file__).parents[2] / "personas")
    found = await examined(ENGINE="fake", PERSONAS_DIR=personas)
    assert found["defaults"].grade is Grade.FAIL
    assert "defaults.toml" in found["defaults"].text


def test_more_threads_than_the_machine_runs_at_once_are_told(tmp_path: Path) -> None:
    by_subject = {
        finding.subject: finding
        for finding in machine_checks.check_machine(tmp_path, local_engine=True, cpu_threads=999)
    }
    assert by_subject["processor"].grade is Grade.WARN
    assert "CPU_THREADS=0" in by_subject["processor"].fix
    few = machine_checks.check_machine(tmp_path, local_engine=True, cpu_threads=1)
    assert next(one for one in few if one.subject == "processor").grade is Grade.OK


AMPERE, ADA, HOPPER, TURING, PASCAL = (8, 0), (8, 9), (9, 0), (7, 5), (6, 1)


def products_of(
    capability: tuple[int, int], *, nvrtc: bool = True, has_marlin: bool = True
) -> list[Finding]:
    """What is said of GPTQ on that card, with Triton and a C compiler there."""
    card = Card(capability, nvrtc, has_marlin)
    return [one for one in machine_checks.gpu_kernels(card) if one.subject == "gptq"]


def test_a_gpu_without_triton_is_told_what_that_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_checks.shutil, "which", lambda _name: None)
    monkeypatch.setattr(machine_checks, "is_installed", lambda _name: False)
    card = Card(HOPPER, has_nvrtc=True, has_marlin=False)
    triton, attention = machine_checks.gpu_kernels(card)
    assert triton.grade is Grade.WARN
    assert "several times as long" in triton.text
    assert "47 ms" in attention.text
    monkeypatch.setattr(machine_checks, "is_installed", lambda _name: True)
    assert "build-essential" in machine_checks.gpu_kernels(card)[0].fix


@pytest.fixture
def has_triton(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(machine_checks, "is_installed", lambda _name: True)
    monkeypatch.setattr(machine_checks.shutil, "which", lambda name: f"/usr/bin/{name}")


@pytest.mark.usefixtures("has_triton")
@pytest.mark.parametrize("has_marlin", [True, False])
def test_a_hopper_card_needs_no_compiler(has_marlin: bool) -> None:
    (found,) = products_of(HOPPER, has_marlin=has_marlin)
    assert (found.grade, found.fix) == (Grade.OK, "")
    assert "our own product up to 64, cuBLAS above" in found.text
    assert "our own product goes up to 96" in found.text
    assert "Marlin" not in found.text


@pytest.mark.usefixtures("has_triton")
@pytest.mark.parametrize("capability", [AMPERE, ADA])
def test_earlier_cards_share_the_work_with_marlin(
    capability: tuple[int, int], tmp_path: Path
) -> None:
    (found,) = products_of(capability)
    assert "our own product up to 32, Marlin up to 64, cuBLAS above" in found.text
    assert "Marlin goes up to 255" in found.text
    assert "three minutes" in found.text
    compiled = tmp_path / ".cache/gptqmodel/torch_extensions/marlin_fp16/x/marlin.so"
    compiled.parent.mkdir(parents=True)
    compiled.touch()
    assert "three minutes" not in products_of(capability)[0].text


@pytest.mark.usefixtures("has_triton")
def test_without_nvcc_many_replies_are_slower_there() -> None:
    found, missing = products_of(AMPERE, has_marlin=False)
    assert "our own product up to 64" in found.text
    assert missing.grade is Grade.OK
    assert "more than 32 replies at once" in missing.text
    assert "6.4 ms a step of 64 instead of 8.5" in missing.text
    assert "CUDA toolkit" in missing.fix


@pytest.mark.usefixtures("has_triton")
@pytest.mark.parametrize(
    ("capability", "nvrtc", "has_marlin", "row_words", "said", "fix"),
    [
        (HOPPER, False, True, "Marlin up to 64", "NVRTC.*3.5 ms", "setup"),
        (HOPPER, False, False, "Triton up to 3,", "NVRTC.*6 ms a step of one", "nvcc"),
        (TURING, True, True, "Marlin up to 64", "older than.*3.5 ms", ""),
        (TURING, True, False, "Triton up to 3,", "older than.*6 ms", "nvcc"),
        (PASCAL, True, True, "Triton up to 3,", "older than.*6 ms", ""),
    ],
)
def test_where_our_own_product_does_not_run_another_does(
    capability: tuple[int, int],
    nvrtc: bool,
    has_marlin: bool,
    row_words: str,
    said: str,
    fix: str,
) -> None:
    found, missing = products_of(capability, nvrtc=nvrtc, has_marlin=has_marlin)
    assert row_words in found.text
    assert missing.grade is Grade.WARN
    assert re.search(said, missing.text)
    assert fix in missing.fix
    assert bool(missing.fix) == bool(fix)


@pytest.mark.usefixtures("has_triton")
def test_a_gpu_with_its_kernels_is_all_well() -> None:
    card = Card(ADA, has_nvrtc=True, has_marlin=True)
    assert [finding.grade for finding in machine_checks.gpu_kernels(card)] == [Grade.OK] * 3


def test_marlin_is_there_where_it_is_compiled_or_can_be(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(marlin.shutil, "which", lambda _name: None)
    monkeypatch.setenv("GPTQMODEL_TORCH_EXTENSIONS_DIR", str(tmp_path))
    assert not marlin.marlin_is_there()
    compiled = tmp_path / "marlin_fp16/x/marlin.so"
    compiled.parent.mkdir(parents=True)
    compiled.touch()
    assert marlin.marlin_is_there()
    monkeypatch.setenv("GPTQMODEL_TORCH_EXTENSIONS_DIR", str(tmp_path / "elsewhere"))
    assert not marlin.marlin_is_there()
    monkeypatch.setattr(marlin.shutil, "which", lambda name: f"/usr/bin/{name}")
    assert marlin.marlin_is_there()


def test_exit_codes() -> None:
    def graded(*grades: Grade) -> int:
        return exit_code([Finding(grade, "x", "y") for grade in grades])

    assert graded(Grade.OK, Grade.WARN) == 0
    assert graded(Grade.OK, Grade.FAULT) == 1
    assert graded(Grade.FAULT, Grade.FAIL) == 2
    assert plain("a\nb\x00c") == "a b c"


@pytest.mark.usefixtures("_in_an_empty_folder")
async def test_a_named_persona_folder_that_is_not_there_is_to_be_mended() -> None:
    found = await examined(ENGINE="fake", PERSONAS_DIR="nowhere")
    assert list(found) == ["settings"]
    assert found["settings"].text == "There is no PERSONAS_DIR: nowhere."
    assert exit_code(list(found.values())) == 2


@pytest.mark.usefixtures("_in_an_empty_folder")
async def test_without_the_usual_persona_folder_the_bot_speaks_as_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ENGINE", "fake")
    found = [f async for f in examine(offline=True) if f.subject == "personas"]
    assert [f.grade for f in found] == [Grade.WARN, Grade.WARN]
    assert found[0].text.startswith("personas cannot be read")
    assert found[0].fix == "Check PERSONAS_DIR."
    assert "speaks as itself" in found[1].text


@pytest.mark.usefixtures("_in_an_empty_folder")
async def test_a_server_that_is_not_there_is_told_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ENGINE", "openai")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    assert await doctor._run(offline=False) == 2
    printed = capsys.readouterr().out
    assert "Is it running? OPENAI_BASE_URL says where" in printed
    assert printed.endswith("To fix: 1.\n")


@pytest.mark.usefixtures("_in_an_empty_folder")
@pytest.mark.parametrize("speaks", [True, False])
async def test_what_a_server_that_only_chats_loses_is_said(
    speaks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = web.Application()

    async def models(_: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": "nous", "max_model_len": 2048}]})

    async def chat(_: web.Request) -> web.Response:
        word = {"choices": [{"delta": {"content": "Hi"}, "finish_reason": "length"}]}
        event = f"data: {json.dumps(word)}\n\n" if speaks else 'data: {"error": "no memory"}\n\n'
        return web.Response(text=event, content_type="text/event-stream")

    app.router.add_get("/v1/models", models)
    app.router.add_post("/v1/chat/completions", chat)
    async with TestServer(app) as server:
        monkeypatch.setenv("ENGINE", "openai")
        monkeypatch.setenv("OPENAI_BASE_URL", str(server.make_url("/v1")))
        found = [finding async for finding in examine(offline=False)]
    of_server = [str(finding) for finding in found if finding.subject == "server"]
    assert "serves nous, 2,048 tokens" in of_server[0]
    assert "/chat continue" in of_server[-1]
    assert len(of_server) == (2 if speaks else 3)
    assert speaks or "no memory" in of_server[1]
    assert all(finding.grade is not Grade.FAIL for finding in found if finding.subject == "server")
