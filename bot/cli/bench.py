"""`python -m bot bench`: how fast the engine is on this machine, and how fast it could be."""

import argparse
import asyncio
import json
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from bot.engine.models.extras import missing_gpu_libraries, require_gpu_libraries
from bot.errors import SettingsError
from bot.invocation import program

if TYPE_CHECKING:
    from bot.bench.chat import Chat
    from bot.bench.checkpoint import Shapes
    from bot.bench.llamacpp.session import LlamaCppPlan
    from bot.bench.plan import Peer, Plan
    from bot.bench.results import Results
    from bot.engine.models.source import ModelSource

Number = TypeVar("Number", int, float)

DEMO = "demo"
SHAPES = {  # hidden, intermediate, layers, heads, key-value heads, vocabulary
    "llama-13b": (5120, 13824, 40, 40, 40, 32001),
    "llama-7b": (4096, 11008, 32, 32, 32, 32000),
    "tiny": (256, 512, 2, 2, 2, 512),
}
SHAPE_NUMBERS = 6
EXIT_INCOMPLETE = 1
STEPS_LEAST = 2  # tokens: the first one is not a decode step


@dataclass(frozen=True, slots=True)
class Defaults:
    """What is measured unless something else is asked for."""

    streams: tuple[int, ...]
    prompt_tokens: int
    new_tokens: int
    baseline_tokens: int
    chat_channels: tuple[int, ...]
    message_tokens: int
    reply_tokens: int


ON_GPU = Defaults((1, 8, 32, 64), 512, 128, 32, (32,), 40, 30)
ON_PROCESSOR = Defaults((1, 4), 64, 48, 48, (2,), 16, 8)  # three minutes on two cores
ON_LLAMA_CPP = Defaults((1, 4, 8), 64, 48, 0, (2,), 16, 8)


class BenchSettings(Protocol):
    """What this command needs of the process's settings."""

    @property
    def data_dir(self) -> Path:
        """Where the checkpoint with random weights is kept."""
        ...


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("--model", default="", help="`demo`, a folder, a .gguf file or a Hugging Face id")
    add(
        "--shapes",
        default="",
        help=f"a GPTQ checkpoint with random weights: {', '.join(SHAPES)}, or hidden,intermediate,"
        "layers,heads,kv heads,vocabulary (default: llama-13b on a GPU; `--model demo` elsewhere)",
    )
    add("--streams", type=_numbers(int, 1), metavar="N,N", help="how many at once, each in turn")
    add("--prompt-tokens", type=_number(int, 2), metavar="N")
    add("--new-tokens", type=_number(int, STEPS_LEAST), metavar="N")
    add(
        "--penalties",
        type=_numbers(float, 0.01),
        metavar="P,P",
        help="repetition penalties (default: 1.15,1; for a GGUF file 1)",
    )
    add("--repeats", type=_number(int, 1), default=3, metavar="N", help="default: 3")
    add("--rows", type=_number(int, 0), default=0, metavar="N", help="most streams together")
    add(
        "--baseline-tokens",
        type=_number(int, 0),
        metavar="N",
        help="new tokens of one request through transformers' generate(); 0 leaves it out",
    )
    add(
        "--chat-channels",
        type=_numbers(int, 0),
        metavar="N,N",
        help="in how many a chat goes on at once, a chat for each number; 0 leaves it out",
    )
    add("--chat-turns", type=_number(int, 2), default=20, metavar="N", help="default: 20")
    add("--persona-tokens", type=_number(int, 2), default=400, metavar="N", help="default: 400")
    add("--message-tokens", type=_number(int, 4), metavar="N")
    add("--reply-tokens", type=_number(int, 1), metavar="N")
    add(
        "--gpu-memory-gb",
        type=_number(float, 0.0),
        default=0.0,
        metavar="GB",
        help="use no more of the card, as if it were smaller",
    )
    add(
        "--kv-cache",
        choices=("auto", "16bit", "8bit"),
        default="auto",
        help="on a GPU: how exactly keys and values are kept",
    )
    add(
        "--peer",
        choices=("vllm",),
        help="measure this engine too, in a process of its own with the same prompts, before ours",
    )
    add(
        "--peer-python",
        default="",
        metavar="PATH",
        help="the Python that has it, where it is not this one (vllm/bin/python)",
    )
    add(
        "--guess-ahead",
        choices=("auto", "on", "off"),
        default="auto",
        help="whether the next tokens are guessed, as the setting GUESS_AHEAD",
    )
    add(
        "--json",
        type=Path,
        metavar="FILE",
        help="write all figures there, not to the end of the output",
    )
    add("--markdown", type=Path, metavar="FILE", help="write the tables there")


def run(args: argparse.Namespace, settings: BenchSettings | None) -> int:
    """Measure, print, write. Raises CaduceusError for what people can fix."""
    if settings is None:
        raise SettingsError("There are no settings.", "See .env.example.")
    _check_options(args)
    if args.shapes:
        require_gpu_libraries("The benchmark of --shapes")
    shapes = parse_shapes(args.shapes) if args.shapes else None
    typed = f"{program()} {shlex.join(['bench', *_own_arguments(sys.argv)])}"
    model = for_llama_cpp(args, settings.data_dir)
    if model is not None:
        return _run_llama_cpp(args, model, settings.data_dir, typed)
    require_gpu_libraries("The benchmark")
    from bot.bench.report import as_markdown, print_on_terminal
    from bot.bench.session import Session

    plan = make_plan(args, shapes, on_gpu=_on_gpu())
    if args.peer:
        plan = replace(plan, peer=find_peer(args.peer_python))

    def keep(results: "Results") -> None:
        if args.json is not None:
            _write(args.json, json.dumps(results.as_json(), indent=2) + "\n")
        if args.markdown is not None:
            _write(args.markdown, as_markdown(results))

    session = Session(plan, settings.data_dir, typed, say=_say, keep=keep)
    results = asyncio.run(session.run())
    keep(results)
    if sys.stdout.isatty():
        print_on_terminal(results)
    else:
        print(as_markdown(results))
    if args.json is None:
        print(json.dumps(results.as_json()))
    return 0 if results.loads and results.complete else EXIT_INCOMPLETE


def _check_options(args: argparse.Namespace) -> None:
    if args.model and args.shapes:
        raise SettingsError("--model and --shapes contradict each other.", "Give one of them.")
    if args.peer_python and not args.peer:
        raise SettingsError("--peer-python is for --peer.", "Give --peer vllm too.")
    for file in (args.json, args.markdown):
        if file is not None and not file.parent.is_dir():
            raise SettingsError(f"There is no folder {file.parent}.", "Make it first.")


def find_peer(python: str) -> "Peer":
    """vLLM, where it is installed. Raises SettingsError with what to do where it is not."""
    from bot.bench.plan import Peer
    from bot.bench.vllm.engine import find_version

    return Peer(python, asyncio.run(find_version(python)))


def _on_gpu() -> bool:
    if missing_gpu_libraries():
        return False
    from bot.engine.portable.loading import choose_device

    return choose_device().type == "cuda"


def for_llama_cpp(args: argparse.Namespace, data_dir: Path) -> "ModelSource | None":
    """The GGUF file that is to be measured; None where it is something for torch."""
    if args.shapes or (not args.model and _on_gpu()):
        return None
    from bot.engine.models.source import bring, identify

    source = bring(identify(args.model or DEMO), data_dir, lambda text, _fraction: _say(text))
    return source if source.gguf is not None else None


def _run_llama_cpp(
    args: argparse.Namespace, source: "ModelSource", data_dir: Path, typed: str
) -> int:
    for option in ("rows", "gpu_memory_gb", "baseline_tokens", "peer", "kv_cache", "guess_ahead"):
        if getattr(args, option) not in (None, 0, "", "auto"):
            raise SettingsError(
                f"--{option.replace('_', '-')} is for models that torch computes, and "
                f"{source.name} is a GGUF file.",
                "Leave it out, or give --model a folder of safetensors.",
            )
    from bot.bench.llamacpp.report import as_markdown
    from bot.bench.llamacpp.session import measure

    results = asyncio.run(measure(make_llama_cpp_plan(args, source), data_dir, typed, say=_say))
    page, figures = as_markdown(results), results.as_json()
    if args.json is not None:
        _write(args.json, json.dumps(figures, indent=2) + "\n")
    if args.markdown is not None:
        _write(args.markdown, page)
    print(page)
    if args.json is None:
        print(json.dumps(figures))
    return 0


def make_llama_cpp_plan(args: argparse.Namespace, source: "ModelSource") -> "LlamaCppPlan":
    """What the options ask for of a GGUF file. `source.gguf` is there."""
    from bot.bench.llamacpp.session import LlamaCppPlan
    from bot.bench.load import Load

    chosen = _chosen(args, ON_LLAMA_CPP)
    chats = _chats(args, chosen)
    if len(chats) > 1:
        raise SettingsError(
            "A GGUF file is measured in one chat.", "Give one number (--chat-channels)."
        )
    return LlamaCppPlan(
        model=args.model or DEMO,
        path=source.gguf or Path(),
        loads=tuple(
            Load(count, chosen.prompt_tokens, chosen.new_tokens, penalty)
            for penalty in args.penalties or (1.0,)
            for count in chosen.streams
        ),
        repeats=args.repeats,
        chat=chats[0] if chats else None,
    )


def make_plan(args: argparse.Namespace, shapes: "Shapes | None", *, on_gpu: bool) -> "Plan":
    """What the options ask for, the rest by what the machine can do in a few minutes."""
    from bot.bench.checkpoint import LLAMA_13B
    from bot.bench.plan import Plan

    chosen = _chosen(args, ON_GPU if on_gpu else ON_PROCESSOR)
    model = args.model
    if not model and shapes is None:
        model, shapes = ("", LLAMA_13B) if on_gpu else (DEMO, None)
    return Plan(
        model=model,
        shapes=shapes,
        streams=chosen.streams,
        prompt_tokens=chosen.prompt_tokens,
        new_tokens=chosen.new_tokens,
        penalties=args.penalties or (1.15, 1.0),
        repeats=args.repeats,
        baseline_tokens=chosen.baseline_tokens,
        chats=_chats(args, chosen),
        rows=args.rows,
        gpu_memory_gb=args.gpu_memory_gb,
        kv_cache=args.kv_cache,
        guess_ahead=args.guess_ahead,
    )


def _chosen(args: argparse.Namespace, defaults: Defaults) -> Defaults:
    given = {field.name: getattr(args, field.name) for field in fields(Defaults)}
    return replace(defaults, **{name: value for name, value in given.items() if value is not None})


def _chats(args: argparse.Namespace, chosen: Defaults) -> "tuple[Chat, ...]":
    from bot.bench.chat import Chat

    return tuple(
        Chat(
            channels=channels,
            turns=args.chat_turns,
            persona_tokens=args.persona_tokens,
            message_tokens=chosen.message_tokens,
            reply_tokens=chosen.reply_tokens,
        )
        for channels in dict.fromkeys(chosen.chat_channels)
        if channels
    )


def parse_shapes(text: str) -> "Shapes":
    """A name, or numbers with commas. Raises SettingsError."""
    from bot.bench.checkpoint import Shapes

    numbers = SHAPES.get(text.lower())
    if numbers is None:
        parts = text.split(",")
        if len(parts) != SHAPE_NUMBERS or not all(p.strip().isascii() for p in parts):
            raise _unknown_shapes(text)
        try:
            numbers = tuple(int(part) for part in parts)
        except ValueError:
            raise _unknown_shapes(text) from None
    hidden, intermediate, layers, heads, kv_heads, vocabulary = numbers
    shapes = Shapes(hidden, intermediate, layers, heads, kv_heads, vocabulary)
    group = shapes.group_size
    fits = (
        min(numbers) > 0
        and hidden % group == 0
        and intermediate % group == 0
        and hidden % heads == 0
        and heads % kv_heads == 0
        and hidden // heads * kv_heads % 8 == 0
    )
    if not fits:
        raise SettingsError(
            f"There is no model of the shapes {text[:80]}.",
            f"Both sizes must be multiples of {group}, and heads of the key-value heads.",
        )
    return shapes


def _unknown_shapes(text: str) -> SettingsError:
    return SettingsError(
        f"«{text[:80]}» names no shapes.",
        f"Give {', '.join(SHAPES)}, or {SHAPE_NUMBERS} numbers with commas.",
    )


def _number(kind: type[Number], least: Number) -> Callable[[str], Number]:
    def parse(text: str) -> Number:
        number = kind(text)
        if not least <= number < float("inf"):
            raise argparse.ArgumentTypeError(f"{text} is less than {least} or no number")
        return number

    parse.__name__ = "number"
    return parse


def _numbers(kind: type[Number], least: Number) -> Callable[[str], tuple[Number, ...]]:
    def parse(text: str) -> tuple[Number, ...]:
        return tuple(_number(kind, least)(part) for part in text.split(","))

    parse.__name__ = "list of numbers"
    return parse


def _own_arguments(given: list[str]) -> list[str]:
    """What stands behind the command's name on the command line."""
    return given[given.index("bench") + 1 :] if "bench" in given else given[1:]


def _write(file: Path, text: str) -> None:
    """Whole or not at all: what was measured before is not lost with what is written now."""
    part = file.with_name(f"{file.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(file)


def _say(text: str) -> None:
    print(f"{text} ...", file=sys.stderr, flush=True)
