"""`doctor` tells what memory a GGUF file takes, before it is loaded."""

from pathlib import Path

import pytest
from gguf_files import llama

from bot.cli.findings import Grade
from bot.cli.memory_check import check_host_memory, check_memory
from bot.engine.machine.hardware import Gpu, Machine
from bot.engine.models.embedded import find_embedded
from bot.settings import ProcessSettings

GB = 10**9
LAPTOP = Machine(8 * GB, 6 * GB, 4)


def settings(**values: object) -> ProcessSettings:
    return ProcessSettings.model_validate({"engine": "fake", **values})


def test_what_it_takes_is_told() -> None:
    (found,) = check_memory(settings(), find_embedded().path, LAPTOP)
    assert found.grade is Grade.OK
    assert "context of 4,096 tokens" in found.text
    assert "8bit" in check_memory(settings(kv_cache="8bit"), find_embedded().path, LAPTOP)[0].text


def test_what_does_not_fit_is_a_warning_with_numbers() -> None:
    (found,) = check_memory(settings(), find_embedded().path, Machine(8 * GB, GB // 10, 4))
    assert found.grade is Grade.WARN
    assert "0.0 GB are free for it" in found.text
    assert "smaller" in found.fix


def test_a_context_that_the_model_does_not_have_is_a_warning() -> None:
    asked = settings(model="m.gguf", context_tokens=100_000)
    (found,) = check_memory(asked, find_embedded().path, LAPTOP)
    assert found.grade is Grade.WARN
    assert "CONTEXT_TOKENS is 100,000, but the model was made for 8,192" in found.text


@pytest.mark.parametrize("without_bytes", [0, 100])
def test_any_file_is_answered_for(without_bytes: int, tmp_path: Path) -> None:
    llama().write(tmp_path / "tiny.gguf", without_bytes=without_bytes)
    (found,) = check_memory(settings(), tmp_path / "tiny.gguf", LAPTOP)
    assert found.grade is (Grade.WARN if without_bytes else Grade.OK)


def test_what_a_card_has_no_room_for_is_told_with_what_takes_it() -> None:
    machine = Machine(32 * GB, 20 * GB, 4, (Gpu("card", 12 * GB, 11 * GB),))
    (found,) = check_host_memory(settings(), machine)
    assert (found.grade, found.text[:6]) == (Grade.OK, "none o")
    (found,) = check_host_memory(settings(host_kv_cache="auto"), machine)
    assert (found.grade, found.text[:6]) == (Grade.OK, "5.0 GB")
    (found,) = check_host_memory(settings(host_kv_cache=64), machine)
    assert found.grade is Grade.WARN
    assert "HOST_KV_CACHE to 16" in found.fix
    assert check_host_memory(settings(), LAPTOP) == []
