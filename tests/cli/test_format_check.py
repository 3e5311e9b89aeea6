"""`doctor` names a model's format, where it comes from, and what is wrong with it."""

from bot.cli.findings import Grade
from bot.cli.format_check import check_format
from bot.engine.api import ModelInfo
from bot.settings import ProcessSettings

CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
UNCUTTABLE = "{% for m in messages %}<{{ loop.index }}>{{ m.content }}{% endfor %}"


def settings(**values: object) -> ProcessSettings:
    return ProcessSettings.model_validate({"engine": "fake", **values})


def test_the_format_and_where_it_comes_from() -> None:
    (found,) = check_format(settings(), ModelInfo("x", 1, CHATML))
    assert found.grade is Grade.OK
    assert found.text == "Written to as chatml, from the model's own template."


def test_a_setting_is_spelled_as_it_is() -> None:
    (found,) = check_format(settings(prompt_format="alpaca"), ModelInfo("x", 1))
    assert found.text == "Written to as alpaca, by PROMPT_FORMAT."


def test_a_model_that_thinks_is_named_with_its_budget() -> None:
    opening = CHATML.replace("assistant\n' }}", "assistant\n<think>\n' }}")
    (found,) = check_format(settings(thinking_tokens=2000), ModelInfo("x", 1, opening))
    assert "thinks first, at most 2,000 tokens long" in found.text
    (found,) = check_format(settings(thinking_tokens=0), ModelInfo("x", 1, opening))
    assert "not at all" in found.text


def test_a_template_that_cannot_be_used_is_a_warning_with_what_to_do() -> None:
    (found,) = check_format(settings(), ModelInfo("x", 1, UNCUTTABLE))
    assert found.grade is Grade.WARN
    assert "PROMPT_FORMAT" in found.text


def test_a_format_that_the_model_does_not_have_is_refused() -> None:
    (found,) = check_format(settings(prompt_format="template"), ModelInfo("x", 1))
    assert found.grade is Grade.FAIL
    assert "PROMPT_FORMAT" in found.text + found.fix
