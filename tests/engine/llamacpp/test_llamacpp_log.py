"""llama.cpp's log in ours."""

import io
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.engine.llamacpp.log import MOST_LINE_CHARACTERS, ChildLog


def read(log: ChildLog, text: bytes) -> None:
    log.read(io.BufferedReader(io.BytesIO(text)))  # type: ignore[arg-type]


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> ChildLog:
    caplog.set_level(logging.DEBUG, "bot.engine.llamacpp")
    log = ChildLog()
    log.is_loading = False
    return log


def test_levels_are_llama_cpps(log: ChildLog, caplog: pytest.LogCaptureFixture) -> None:
    read(
        log,
        b"0.00.001.583 I cmn  common_param: verbosity = 3\n"
        b"0.00.002.058 W srv  init: something is odd\n"
        b"0.00.002.334 E srv  decode: something failed\n"
        b"0.00.002.400 W srv  stop: cancel task, id_task = 23\n"
        b"plain words\n"
        b"GGML_ASSERT(x) failed",
    )
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("DEBUG", "llama.cpp: cmn  common_param: verbosity = 3"),
        ("WARNING", "llama.cpp: srv  init: something is odd"),
        ("ERROR", "llama.cpp: srv  decode: something failed"),
        ("DEBUG", "llama.cpp: srv  stop: cancel task, id_task = 23"),
        ("DEBUG", "llama.cpp: plain words"),
        ("ERROR", "llama.cpp: GGML_ASSERT(x) failed"),
    ]


def test_while_it_loads_the_reason_is_kept_and_not_shouted(
    log: ChildLog, caplog: pytest.LogCaptureFixture
) -> None:
    log.is_loading = True
    read(
        log,
        b"0.00.002.334 E gguf_init_from_reader: invalid magic\n"
        b"0.00.002.852 E llama_model_load: error loading model: unknown architecture 'x'.\n"
        b"0.00.002.852 E srv  load_model: failed to load model\n",
    )
    assert log.reason() == "unknown architecture 'x'"
    assert {record.levelno for record in caplog.records} == {logging.DEBUG}


def test_layers_on_cards_are_read_off_it(log: ChildLog) -> None:
    assert log.offloaded() == ""
    read(log, b"0.00.002.334 I load_tensors: offloaded 33/33 layers to GPU\n")
    assert log.offloaded() == "33/33"


def test_a_line_without_end_is_cut(log: ChildLog, caplog: pytest.LogCaptureFixture) -> None:
    read(log, b"x" * 1_000_000 + b"\n0.00.002.334 E next\n")
    assert [len(r.getMessage()) for r in caplog.records] == [
        len("llama.cpp: ") + MOST_LINE_CHARACTERS,
        len("llama.cpp: next"),
    ]


@given(st.binary(max_size=300))
def test_any_bytes_become_single_lines(text: bytes) -> None:
    log = ChildLog()
    read(log, text)
    assert log.reason().isprintable()
