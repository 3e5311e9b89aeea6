"""What is logged, and that secrets never are."""

import json
import logging
from collections.abc import Iterator

import pytest

from bot.logs import REDACTED, RedactingFormatter, StandardErrorHandler, configure_logging

TOKEN = "MTAwMDAwMDAwMDAwMDAwMDAwMA.GAbCdE." + "x" * 38


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    level = root.level
    yield
    root.setLevel(level)
    for handler in [h for h in root.handlers if isinstance(h, StandardErrorHandler)]:
        root.removeHandler(handler)
    logging.captureWarnings(False)


@pytest.mark.parametrize("layout", ["text", "json"])
def test_no_secret_is_written(layout: str, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", layout, secrets=('p"w\\d!', "sk-1234"))
    log = logging.getLogger("test")
    other = TOKEN.replace("x", "y")
    try:
        raise ValueError(f"refused {TOKEN} and sk-1234")
    except ValueError:
        log.exception('p"w\\d! for %s', other)
    log.info("Authorization: Bot %s", "z" * 60)
    said = capsys.readouterr().err
    for secret in (TOKEN, other, "sk-1234", 'p"w\\d!', "z" * 60, json.dumps('p"w\\d!')[1:-1]):
        assert secret not in said
    assert REDACTED in said
    assert "ValueError" in said


def test_json_is_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("debug", "json")
    logging.getLogger("bot.some").debug("two\nlines, %s", "ünïcode")
    (line,) = capsys.readouterr().err.splitlines()
    entry = json.loads(line)
    assert entry["message"] == "two\nlines, ünïcode"
    assert (entry["level"], entry["logger"]) == ("debug", "bot.some")
    assert entry["time"].endswith("Z")


def test_the_level_holds_and_setting_up_twice_writes_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logging("info", "text")
    configure_logging("warning", "text")
    logging.getLogger("bot").info("not this")
    logging.getLogger("bot").warning("this")
    assert capsys.readouterr().err.count("this") == 1


def test_short_secrets_do_not_shred_the_log() -> None:
    formatter = RedactingFormatter("%(message)s", as_json=False, secrets=("a", ""))
    assert formatter.redact("a banana") == "a banana"
