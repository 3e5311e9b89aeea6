"""Which format a model is written to in, how that is known, and who is told."""

import logging
from dataclasses import replace
from datetime import date

import pytest
from model_templates import FAMILIES, template_of

from bot.chat.engines import NamedEngine
from bot.chat.prompt.choosing import FormatChooser, check_format_name, find_format
from bot.chat.prompt.formats import ALPACA, CHATML, LLAMA_2
from bot.engine.api import ModelInfo
from bot.engine.fake import FakeEngine
from bot.errors import SettingsError

UNCUTTABLE = "{% for m in messages %}<{{ loop.index }}>{{ m.content }}[INST]{% endfor %}"


def model(family: str, name: str = "a-model") -> ModelInfo:
    known = FAMILIES[family]
    return ModelInfo(
        name, 4096, template_of(family).source, eos_token=known.eos, bos_token=known.bos
    )


@pytest.mark.parametrize(
    ("info", "setting", "words"),
    [
        (model("qwen-2.5"), "auto", "chatml, from the model's own template"),
        (model("llama-2"), "auto", "llama-2, from the model's own template"),
        (model("llama-3"), "", "from the model's own template"),
        (model("llama-3"), "template", "from the model's own template"),
        (model("llama-3"), "alpaca", "alpaca, by PROMPT_FORMAT"),
        (model("llama-3"), " Llama-2 ", "llama-2, by PROMPT_FORMAT"),
        (ModelInfo("nous-hermes-13b", 2048), "auto", "alpaca, by the model's name"),
        (model("llama-2", "Nous-Hermes-13B-GPTQ"), "auto", "alpaca, by the model's name"),
        (model("llama-2", "Nous-Hermes-Llama2-13b"), "auto", "alpaca, by the model's name"),
        (
            model("chatml", "Nous-Hermes-2-Yi-34B"),
            "auto",
            "chatml, from the model's own template",
        ),
        (ModelInfo("Nous-Hermes-2-Mistral-7B", 1), "auto", "chatml, by the model's name"),
        (ModelInfo("vicuna-13b", 1), "auto", "vicuna, by the model's name"),
        (ModelInfo("x", 1, eos_token="<|im_end|>"), "auto", "chatml, by what is known"),
        (ModelInfo("mythomax-13b", 1), "auto", "alpaca, by the model's name"),
        (ModelInfo("x", 1), "auto", "alpaca, as nothing says which"),
        (ModelInfo("x", 1, "{{ if .System }}<|im_start|>{{ .Prompt }}"), "auto", "chatml, by what"),
    ],
)
def test_the_format_says_where_it_comes_from(info: ModelInfo, setting: str, words: str) -> None:
    chosen = find_format(setting, info)
    assert str(chosen).startswith(words)
    assert not chosen.warning


def test_nous_hermes_is_written_to_in_alpaca_byte_for_byte() -> None:
    assert find_format("auto", model("llama-2", "nous-hermes-13b-GPTQ")).format is ALPACA


def test_a_template_that_cannot_be_used_is_told_with_what_to_do() -> None:
    chosen = find_format("auto", ModelInfo("x", 1, UNCUTTABLE))
    assert chosen.format is LLAMA_2
    assert "another way" in chosen.warning
    assert "PROMPT_FORMAT" in chosen.warning
    assert "chatml" in chosen.warning


@pytest.mark.parametrize(
    ("info", "why"),
    [(ModelInfo("x", 1, UNCUTTABLE), "another way"), (ModelInfo("x", 1), "has no chat template")],
)
def test_who_insists_on_the_template_is_told_why_not(info: ModelInfo, why: str) -> None:
    with pytest.raises(SettingsError, match=why):
        find_format("template", info)


def test_an_unknown_name_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(SettingsError, match=r"«alpacca».*auto, template, alpaca"):
        check_format_name("alpacca")


def test_a_first_token_that_the_server_keeps_to_itself_is_never_doubled() -> None:
    known = replace(model("gemma-3"), chat_template="<bos>" + template_of("gemma-3").source)
    hidden = replace(known, bos_token="", added_tokens=1)
    assert find_format("auto", hidden).format.system.before == "<start_of_turn>user\n"


def test_a_model_without_first_token_keeps_what_its_template_spells() -> None:
    source = "<s>" + template_of("chatml").source
    found = find_format("auto", ModelInfo("x", 1, source)).format
    assert found.system.before == "<s><|im_start|>system\n"


async def test_each_model_is_looked_at_once_and_the_engine_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    chooser, info = FormatChooser(), model("qwen-2.5")
    engine = NamedEngine("local", FakeEngine(info=info))
    first = await chooser.choose(engine, info)
    assert first is await chooser.choose(engine, info)
    assert first.format == CHATML
    assert engine.written_in.format == "chatml, from the model's own template"
    assert not engine.written_in.problem
    assert len(caplog.messages) == 1
    other = ModelInfo("x", 1, UNCUTTABLE)
    assert (await chooser.choose(engine, other)).format == LLAMA_2
    assert "PROMPT_FORMAT" in engine.written_in.problem
    (warning,) = [one for one in caplog.records if one.levelno == logging.WARNING]
    assert "PROMPT_FORMAT" in warning.getMessage()


async def test_a_date_in_the_template_is_made_anew_once_a_day(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from bot.chat.prompt import choosing

    chooser, info = FormatChooser(), model("llama-3.1")
    engine = NamedEngine("local", FakeEngine(info=info))
    systems: list[str] = []
    for day in (4, 4, 5):
        monkeypatch.setattr(choosing, "_today", lambda _, day=day: date(2026, 3, day))
        systems.append((await chooser.choose(engine, info)).format.system.before)
    then = await chooser.choose(engine, info, date(2026, 3, 4))
    assert then.format.system.before == systems[0]  # as «Why this reply?» rebuilds it
    assert systems[0] is systems[1]
    assert "04 Mar 2026" in systems[0]
    assert "05 Mar 2026" in systems[2]


async def test_a_server_that_writes_roles_itself_is_not_said_to_be_written_to_in_ours(
    caplog: pytest.LogCaptureFixture,
) -> None:
    info = ModelInfo("x", 1, UNCUTTABLE, takes_prompts=False)
    engine = NamedEngine("openai", FakeEngine(info=info))
    await FormatChooser().choose(engine, info)
    assert engine.written_in.format == "the server's own"
    assert not engine.written_in.problem
    assert not caplog.messages
