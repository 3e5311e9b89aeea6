"""How many tokens of real replies the talk's own text guesses: no GPU is needed for it.

Plays written talks (`tests/talks`) and has long pages gone on with, greedily and as the talks
sample it, and looks afterwards what prompt lookup would have guessed at every step. Prints a table,
and JSON with `--json FILE`:

    PYTHONPATH=. python scripts/bench_guessing.py [--pages 8] [--talks tests/talks]

The model is the embedded one, on llama.cpp; its replies are cut into tokens again to be looked at.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bot.app import build_engine, build_engines
from bot.engine.api import Chunk, GenerationRequest, Sampling
from bot.engine.local.guessing.agreement import COUNTS
from bot.engine.local.guessing.lookup import Lookup
from bot.engine.local.tokens import TextTokens
from bot.engine.models.embedded import find_embedded
from bot.engine.models.gptq.quiet import silence_libraries
from bot.settings import ProcessSettings
from bot.talks.playing import start_and_play
from bot.talks.script import find_scripts, read_script

PAGE_CHARACTERS = 5_000
PAGE_TOKENS = 96  # new ones
SAMPLED = Sampling(temperature=0.7, top_p=0.95, repetition_penalty=1.15, seed=1)
GREEDY = Sampling(temperature=0.0, repetition_penalty=1.0, seed=1)
# One H100, a 13B in 4 bits, one stream, measured before any of this was written: a step that checks
# so many guesses, and a plain one, in ms.
H100_CHECKING_MS = {3: 4.92, 7: 4.96}  # measured with 4 and 8
H100_PLAIN_MS = 4.46


class Recording:
    """An engine that remembers what it was asked and what it wrote."""

    def __init__(self, engine: Any, *, greedy: bool) -> None:
        self.replies: list[tuple[str, str]] = []
        self._engine = engine
        self._greedy = greedy

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[Chunk, None]:
        """As the engine does it."""
        if self._greedy:
            request = replace(request, sampling=replace(request.sampling, temperature=0.0))
        texts: list[str] = []
        try:
            async for chunk in self._engine.generate(request):
                texts.append(chunk.text)
                yield chunk
        finally:  # whoever reads may stop at the last chunk
            self.replies.append((request.prompt, "".join(texts)))


@dataclass
class Found:
    """What guessing would have done to some replies, `count` tokens a step at most."""

    count: int
    tokens: int = 0
    steps: int = 0
    with_guess: int = 0  # steps
    guessed: int = 0
    accepted: int = 0
    by_agreeing: dict[int, list[int]] = field(default_factory=dict)  # tokens: first right, tried

    def look(self, prompt: Sequence[int], reply: Sequence[int]) -> None:
        """Go through a reply as steps with guesses would: the first token comes with the prompt."""
        lookup, at = Lookup(prompt), 1
        self.tokens += len(reply)
        for token in reply[:1]:
            lookup.add(token)
        while at < len(reply):
            guess = lookup.guess(min(self.count, len(reply) - at - 1))
            right = 0
            while right < len(guess.tokens) and guess.tokens[right] == reply[at + right]:
                right += 1
            self.steps += 1
            self.guessed += len(guess.tokens)
            self.accepted += right
            if guess.tokens:
                self.with_guess += 1
                tried = self.by_agreeing.setdefault(min(guess.agreeing, 6), [0, 0])
                tried[0] += right > 0
                tried[1] += 1
            for token in reply[at : at + right + 1]:
                lookup.add(token)
            at += right + 1

    def as_json(self) -> dict[str, object]:
        """Plain data."""
        return {
            "count": self.count,
            "reply_tokens": self.tokens,
            "steps": self.steps,
            "accepted_a_step": round(self.accepted / max(self.steps, 1), 3),
            "steps_with_a_guess": round(self.with_guess / max(self.steps, 1), 3),
            "right_share_of_guessed": round(self.accepted / max(self.guessed, 1), 3),
            "first_right_by_agreeing_tokens": {
                str(agreeing): [right, tried]
                for agreeing, (right, tried) in sorted(self.by_agreeing.items())
            },
        }


async def played_talks(folder: Path, *, greedy: bool) -> list[tuple[str, str]]:
    """Prompts and replies of written talks."""
    with tempfile.TemporaryDirectory() as data:
        settings = ProcessSettings.model_validate({"engine": "local", "data_dir": data})
        engine = Recording(build_engine(settings), greedy=greedy)
        scripts = {file.stem: read_script(file) for file in find_scripts([folder])}
        engines = build_engines(settings, engine)  # type: ignore[arg-type]
        await start_and_play(
            scripts, engines, Path(data), seed=1, max_reply_tokens=120, say=lambda _text: None
        )
    return engine.replies


async def continued_pages(pages: Sequence[Path], *, greedy: bool) -> list[tuple[str, str]]:
    """Beginnings of this project's pages, and how the model goes on with them."""
    with tempfile.TemporaryDirectory() as data:
        settings = ProcessSettings.model_validate({"engine": "local", "data_dir": data})
        engine = Recording(build_engine(settings), greedy=False)
        await engine.start()
        try:
            for number, page in enumerate(pages):
                text = page.read_text(encoding="utf-8")[:PAGE_CHARACTERS]
                sampling = GREEDY if greedy else SAMPLED
                asked = GenerationRequest(text, f"c{number}", "u", PAGE_TOKENS, sampling)
                async for _ in engine.generate(asked):
                    pass
        finally:
            await engine.close()
    return engine.replies


def looked_at(tokens: TextTokens, replies: Sequence[tuple[str, str]]) -> list[Found]:
    """For each count of guesses."""
    found = [Found(count) for count in COUNTS]
    for prompt, reply in replies:
        written = tokens.encode_prompt(reply)
        for one in found:
            one.look(tokens.encode_prompt(prompt), written)
    return found


def table(results: dict[str, list[Found]]) -> str:
    """As Markdown."""
    columns = (
        "replies",
        "tokens",
        "guessed at most",
        "steps with a guess",
        "right",
        "accepted a step",
        "x, by quoted H100 times",
    )
    lines = [f"| {' | '.join(columns)} |", "|---" + "|---:" * (len(columns) - 1) + "|"]
    for name, found in results.items():
        for one in found:
            accepted, share = one.accepted / max(one.steps, 1), one.with_guess / max(one.steps, 1)
            ms = H100_CHECKING_MS.get(one.count)
            faster = ""
            if ms is not None:
                cost = share * ms / H100_PLAIN_MS + 1 - share
                faster = f"{(1 + accepted) / cost:.2f}"
            lines.append(
                f"| {name} | {one.tokens} | {one.count} | {share:.0%} | "
                f"{one.accepted / max(one.guessed, 1):.0%} | {accepted:.2f} | {faster} |"
            )
    return "\n".join(lines)


async def look(args: argparse.Namespace, pages: Sequence[Path]) -> dict[str, list[Found]]:
    """Play both kinds of text, sampled and greedily."""
    silence_libraries()
    from transformers import AutoTokenizer

    path = find_embedded().path
    tokenizer: Any = AutoTokenizer.from_pretrained(str(path.parent), gguf_file=path.name)
    tokens = TextTokens(tokenizer)
    results: dict[str, list[Found]] = {}
    for name, greedy in (("sampled", False), ("greedy", True)):
        talks = await played_talks(args.talks, greedy=greedy)
        results[f"talks, {name}"] = looked_at(tokens, talks)
        continued = await continued_pages(pages, greedy=greedy)
        results[f"pages, {name}"] = looked_at(tokens, continued)
        sys.stderr.write(f"{name} replies are done\n")
    return results


def main() -> None:
    """Read the arguments, look, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--talks", type=Path, default=Path("tests/talks"))
    parser.add_argument("--pages", type=int, default=8)
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args()
    pages = [Path("README.md"), *sorted(Path("docs").glob("*.md"))][: args.pages]
    results = asyncio.run(look(args, pages))
    sys.stdout.write(table(results) + "\n")
    if args.json is not None:
        plain = {name: [one.as_json() for one in found] for name, found in results.items()}
        args.json.write_text(json.dumps(plain, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
