"""Renders a model's chat template: code that strangers wrote, so in a process of its own.

The template runs in jinja2's sandbox with what transformers gives it (see
https://huggingface.co/docs/transformers/chat_templating_writing): `raise_exception`,
`strftime_now`, `tojson`, loop controls, the tag `generation`. No sandbox bounds loops, so the
process does: it ends by itself after :data:`CPU_SECONDS` of computing, gets
:data:`MEMORY_BYTES`, no environment, and may start or write nothing.

This file is run as a script, too: it imports nothing of ours.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from functools import partial
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    import jinja2

TEMPLATE_CHARACTERS = 200_000  # the longest known ones have 30,000
RENDERED_CHARACTERS = 200_000  # of one conversation
CPU_SECONDS = 1.0
WALL_SECONDS = 15.0  # on a machine that has other things to do; a hostile template ends earlier
MEMORY_BYTES = 512 * 1024 * 1024
_ANSWER_BYTES = 32 * 1024 * 1024

Message = Mapping[str, str]  # `role` and `content`


@dataclass(frozen=True, slots=True)
class Conversation:
    """One conversation to be rendered. `flags` are further variables of the template."""

    messages: tuple[Message, ...]
    opens_reply: bool = True  # `add_generation_prompt`


@dataclass(frozen=True, slots=True)
class Rendered:
    """What the template made of a conversation; `error` is what it said instead."""

    text: str = ""
    error: str = ""


class TemplateError(Exception):
    """A template that cannot be rendered at all, and why, in words."""


@dataclass(frozen=True, slots=True)
class Template:
    """A template with the variables that are the same for every conversation."""

    source: str
    bos_token: str = ""
    eos_token: str = ""
    day: date = date(2024, 7, 26)  # what `strftime_now` tells: at midnight, so that prompts stay
    flags: tuple[tuple[str, bool], ...] = ()  # such as `enable_thinking`
    in_parts: bool = False  # contents are lists of parts, as for models that look at pictures

    def render(self, conversations: Sequence[Conversation]) -> list[Rendered]:
        """Every conversation, in a process of its own. Blocks. Raises TemplateError."""
        if len(self.source) > TEMPLATE_CHARACTERS:
            raise TemplateError(f"it has {len(self.source):,} characters, which is far too long")
        job = {
            "source": self.source,
            "variables": {
                "bos_token": self.bos_token,
                "eos_token": self.eos_token,
                **dict(self.flags),
            },
            "day": self.day.isoformat(),
            "conversations": [
                [self.messages_of(conversation), conversation.opens_reply]
                for conversation in conversations
            ],
        }
        answer = _ask_child(json.dumps(job).encode())
        if isinstance(answer, str):
            raise TemplateError(answer)
        return [Rendered(*row) for row in answer]

    def messages_of(self, conversation: Conversation) -> list[Mapping[str, object]]:
        """The messages in the shape that the template takes."""
        if not self.in_parts:
            return list(conversation.messages)
        return [
            {**message, "content": [{"type": "text", "text": message["content"]}]}
            for message in conversation.messages
        ]


def _ask_child(job: bytes) -> str | list[tuple[str, str]]:
    try:
        done = subprocess.run(  # noqa: S603 - this very file, by this very Python
            [sys.executable, "-I", __file__],
            input=job,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=WALL_SECONDS,
            check=False,
            env={},
        )
    except subprocess.TimeoutExpired:
        return "rendering it takes too long"
    except OSError as error:
        return f"no process can be started for it ({error.strerror or error})"
    if done.returncode < 0:
        return "rendering it takes too long or too much memory"
    try:
        answer: object = json.loads(done.stdout) if len(done.stdout) <= _ANSWER_BYTES else None
    except ValueError:
        answer = None
    if isinstance(answer, str):
        return answer
    if done.returncode or not isinstance(answer, list):
        return "rendering it ends in an error"
    rows = cast("list[list[str]]", answer)
    return [(text, error) for text, error in rows]


def render_here(template: Template, conversations: Sequence[Conversation]) -> list[Rendered]:
    """As :meth:`Template.render`, but in this process, unbounded: for templates that are trusted.

    Raises TemplateError.
    """
    render = compile_template(template.source, template.day)
    variables = {
        "bos_token": template.bos_token,
        "eos_token": template.eos_token,
        **dict(template.flags),
    }
    return [
        Rendered(*render(variables, template.messages_of(conversation), conversation.opens_reply))
        for conversation in conversations
    ]


Render = Callable[[Mapping[str, object], Sequence[Mapping[str, object]], bool], tuple[str, str]]


def compile_template(source: str, day: date) -> Render:
    """A function from variables, messages and "opens a reply" to text and error.

    Raises TemplateError.
    """
    errors = _errors_of_strangers()
    try:
        template = _environment(day).from_string(source)
    except (*errors, SyntaxError) as error:
        raise TemplateError(f"it cannot be read ({_words(error)})") from error
    return partial(_render, template, errors)


def _errors_of_strangers() -> tuple[type[Exception], ...]:
    """What goes wrong within a stranger's code: TypeError, ZeroDivisionError, ... It is data."""
    import jinja2

    errors = (jinja2.TemplateError, ArithmeticError, AttributeError, LookupError, MemoryError)
    return (*errors, RecursionError, TypeError, ValueError, OSError, AssertionError)


def _environment(day: date) -> "jinja2.Environment":
    """What templates for models are written for, and nothing beyond it."""
    import jinja2
    from jinja2 import ext, nodes
    from jinja2.parser import Parser
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(ext.Extension):
        """`{% generation %}` marks what the model writes; here its contents alone count."""

        tags = {"generation"}  # noqa: RUF012

        def parse(self, parser: Parser) -> list[nodes.Node]:
            next(parser.stream)
            return parser.parse_statements(("name:endgeneration",), drop_needle=True)

    class Environment(ImmutableSandboxedEnvironment):
        """No names with underscores anywhere, and no number formats that are filled up."""

        def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
            return not attr.startswith("_") and super().is_safe_attribute(obj, attr, value)

    def raise_exception(message: object) -> None:
        raise jinja2.TemplateError(str(message))

    def strftime_now(pattern: str) -> str:
        return datetime.combine(day, time()).strftime(pattern)

    def tojson(value: object, indent: int | None = None, **options: Any) -> str:
        return json.dumps(value, ensure_ascii=False, indent=indent, **options)

    environment = Environment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, ext.loopcontrols]
    )
    environment.filters["tojson"] = tojson
    tools = cast("dict[str, Any]", environment.globals)
    tools.update(raise_exception=raise_exception, strftime_now=strftime_now)
    return environment


def _render(
    template: "jinja2.Template",
    errors: tuple[type[Exception], ...],
    variables: Mapping[str, object],
    messages: Sequence[Mapping[str, object]],
    opens_reply: bool,
) -> tuple[str, str]:
    pieces: list[str] = []
    left = RENDERED_CHARACTERS
    try:
        for piece in template.generate(
            messages=messages, add_generation_prompt=opens_reply, **variables
        ):
            left -= len(piece)
            if left < 0:
                return "", "it writes too much"
            pieces.append(piece)
    except errors as error:
        return "", _words(error)
    return "".join(pieces), ""


def _words(error: BaseException) -> str:
    """What went wrong, in one line that may be shown anywhere: a stranger may have written it."""
    said = "".join(c if c.isprintable() else " " for c in str(error)[:2000])
    return " ".join(said.split())[:200].rstrip(".") or type(error).__name__


def _bound() -> None:
    """From here on this process is short of everything."""
    try:
        import resource
        import signal
    except ImportError:  # Windows: whoever started us waits for WALL_SECONDS
        return
    for limit, most in (
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
    ):
        try:
            resource.setrlimit(limit, (most, most))
        except (ValueError, OSError):  # macOS knows no bound of the address space
            continue
    signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)  # whose signal ends the process


def main() -> None:
    """Read a job from the standard input, answer on the standard output."""
    job: dict[str, Any] = json.loads(sys.stdin.buffer.read())
    try:
        import jinja2.sandbox  # noqa: F401  # pyright: ignore[reportUnusedImport]
    except ImportError:
        answer: object = "the package jinja2 is not installed"
    else:
        _bound()
        try:
            render = compile_template(job["source"], date.fromisoformat(job["day"]))
            answer = [render(job["variables"], *one) for one in job["conversations"]]
        except TemplateError as error:
            answer = str(error)
    sys.stdout.buffer.write(json.dumps(answer).encode())


if __name__ == "__main__":
    main()
