"""A chat template is a stranger's code: it ends in time, in little memory, and reaches nothing."""

import os
import resource
from datetime import date

import pytest

from bot.chat.prompt.template import (
    TEMPLATE_CHARACTERS,
    Conversation,
    Rendered,
    Template,
    TemplateError,
)

HELLO = Conversation(({"role": "user", "content": "Hi"},))
ENOUGH_SECONDS = 6.0  # of computing: one for the template, the rest for a process's start


def render(source: str) -> Rendered:
    (made,) = Template(source, "<s>", "</s>", date(2026, 3, 4)).render([HELLO])
    return made


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{ bos_token }}{{ messages[0].content }}{{ eos_token }}", "<s>Hi</s>"),
        ("{{ strftime_now('%d %b %Y, %H:%M') }}", "04 Mar 2026, 00:00"),
        ("{{ {'a': '<é>'} | tojson }}", '{"a": "<é>"}'),
        ("{% for i in range(9) %}{% if i == 2 %}{% break %}{% endif %}{{ i }}{% endfor %}", "01"),
        ("{% generation %}{{ add_generation_prompt }}{% endgeneration %}", "True"),
        ("{% set ns = namespace(a=1) %}{% set ns.a = 2 %}{{ ns.a }}", "2"),
        ("{{ enable_thinking is defined }}", "False"),
        ("  {% if true %}\n  x\n  {% endif %}\n", "  x\n"),
    ],
)
def test_it_has_what_templates_use(source: str, expected: str) -> None:
    assert render(source) == Rendered(expected)


@pytest.mark.parametrize(
    "source",
    [
        "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
        "{{ 'a' * 10 ** 10 }}",
        "{{ '%1000000000d' % 1 }}",
        "{{ range(10 ** 9) | list }}",
        "{% for i in range(10 ** 9) %}x{% endfor %}",
        "{% for i in range(99999) %}{{ 'a' * 99 }}{% endfor %}",
        "{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}",
        "{{ " + "(" * 50_000 + ")" * 50_000 + " }}",
        "{% set n = namespace(a='a') %}{% for i in range(99) %}{% set n.a = n.a*2 %}{% endfor %}",
        "{{ 'a!' | replace('a', 'a' * 99999) | replace('a', 'a' * 99999) }}",
        "x" * (TEMPLATE_CHARACTERS + 1),
    ],
)
def test_a_hostile_one_ends_in_time(source: str) -> None:
    began = computed_seconds()
    try:
        assert render(source).error
    except TemplateError as error:
        assert "too" in str(error) or "cannot be read" in str(error)
    assert computed_seconds() - began < ENOUGH_SECONDS


def computed_seconds() -> float:
    """What ended child processes have computed: on a busy machine, the clock tells of others."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ cycler.__init__.__globals__.os.environ }}",
        "{{ messages.append(1) }}",
        "{{ raise_exception.__globals__ }}",
        "{% include '/etc/passwd' %}",
        "{{ ('' | attr('__class__')).mro() }}",
        "{{ '{0.__class__}'.format(1) }}",
    ],
)
def test_there_is_no_way_out_of_the_sandbox(source: str) -> None:
    made = render(source)
    assert made.error or not made.text.strip()


def test_one_that_raises_spares_the_others() -> None:
    source = "{% if messages | length > 1 %}{{ raise_exception('one!') }}{% endif %}ok"
    several = Conversation((*HELLO.messages, *HELLO.messages))
    made = Template(source).render([HELLO, several])
    assert made == [Rendered("ok"), Rendered(error="one!")]


def test_it_sees_nothing_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    monkeypatch.setitem(os.environ, "PYTHONSTARTUP", "/nowhere")
    assert render("ok") == Rendered("ok")


@pytest.mark.parametrize("said", ["\x1b[31mred\x07", "one\nother", "\ud800half", "\u202eback"])
def test_what_it_says_of_itself_is_one_line_that_can_be_shown(said: str) -> None:
    error = render(f"{{{{ raise_exception({said!r}) }}}}").error
    assert error
    assert error.isprintable()
