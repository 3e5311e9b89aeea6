# pyright: basic
"""What a kernel or a cache does to text: perplexity and greedy replies, beside a reference.

Every runner computes the same tokens in the same way: a text's first half as a prompt, in pieces of
dozens of tokens, and the rest a token at a time in all texts at once. So the products of dozens of
rows and of a few, and the attention of prompts and of single tokens, all have their part.
"""

import math
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from bot.engine.local.runner import Segment

PIECE_TOKENS = 64
GROUPS = (1, 3)  # how many replies are computed at once, the first ones; the rest together
LEAST_TEXTS = 2


class Computing(Protocol):
    """A runner whose logits can be had."""

    def begin(self, slot: int, room_tokens: int, cached_tokens: int) -> None:
        """Give a slot its size."""
        ...

    def logits(self, pieces: Sequence[Segment]) -> torch.Tensor:
        """[choosing pieces, vocabulary]."""
        ...

    def release(self, slot: int) -> None:
        """Free a slot's room."""
        ...


@dataclass(frozen=True, slots=True)
class Texts:
    """Tokens: pages of prose, talks, and prompts to be answered."""

    pages: tuple[tuple[int, ...], ...]
    talks: tuple[tuple[int, ...], ...]
    prompts: tuple[tuple[int, ...], ...]

    @property
    def longest_tokens(self) -> int:
        """Of any of them."""
        return max(len(text) for text in (*self.pages, *self.talks, *self.prompts))

    @property
    def most_rows(self) -> int:
        """How many are computed at once."""
        return max(len(self.pages), len(self.talks), len(self.prompts))


@dataclass(frozen=True, slots=True)
class Found:
    """What a runner made of the texts. Replies are token numbers, of one length all."""

    pages_perplexity: float
    talks_perplexity: float
    replies: tuple[tuple[int, ...], ...]

    def same_replies(self, other: "Found") -> int:
        """How many are the other's, token for token."""
        return sum(one == two for one, two in zip(self.replies, other.replies, strict=True))

    def same_tokens(self, other: "Found") -> float:
        """The share of tokens before a reply leaves the other's."""
        kept = total = 0
        for one, two in zip(self.replies, other.replies, strict=True):
            pairs = zip(one, two, strict=True)
            kept += next((at for at, (a, b) in enumerate(pairs) if a != b), len(one))
            total += len(one)
        return kept / total if total else 1.0


def read_texts(
    tokenizer: Any, pages: str, scripts: Path, *, count: int, page_tokens: int, talk_tokens: int
) -> Texts:
    """`count` of each, or as many as there are. `scripts` is a folder of talks (TOML)."""
    found = [tomllib.loads(path.read_text("utf-8")) for path in sorted(scripts.glob("*.toml"))]
    talks = "\n\n".join(_as_text(script) for script in found)
    prompts = [_as_prompt(tokenizer, script) for script in found[:: max(len(found) // count, 1)]]
    return Texts(
        _stretches(tokenizer, pages, page_tokens, count),
        _stretches(tokenizer, talks, talk_tokens, count),
        tuple(prompts[:count]),
    )


def examine(
    runner: Computing, texts: Texts, reply_tokens: int, say: Callable[[str], None]
) -> Found:
    """All of it. The runner's slots are free after it."""
    say("pages")
    pages = perplexity(runner, texts.pages)
    say("talks")
    talks = perplexity(runner, texts.talks)
    say("replies")
    return Found(pages, talks, greedy(runner, texts.prompts, reply_tokens))


def perplexity(runner: Computing, texts: Sequence[Sequence[int]]) -> float:
    """Of the second halves of texts that are all as long: exp of the mean surprise at a token."""
    given = len(texts[0]) // 2
    logits = _start(runner, [text[:given] for text in texts], len(texts[0]))
    surprise, counted = 0.0, 0
    for place in range(given, len(texts[0])):
        tokens = [text[place] for text in texts]
        chances = logits.float().log_softmax(-1)
        rows = torch.arange(len(texts), device=chances.device)
        surprise -= float(chances[rows, torch.tensor(tokens, device=chances.device)].sum())
        counted += len(texts)
        if place + 1 < len(texts[0]):
            logits = _go_on(runner, tokens, [place] * len(texts))
    for slot in range(len(texts)):
        runner.release(slot)
    return math.exp(surprise / counted)


def greedy(
    runner: Computing, prompts: Sequence[Sequence[int]], reply_tokens: int
) -> tuple[tuple[int, ...], ...]:
    """Replies of so many tokens, the likeliest one each time; nothing ends them."""
    replies: list[tuple[int, ...]] = []
    sizes = [*GROUPS, len(prompts)]
    while len(replies) < len(prompts):
        group = prompts[len(replies) : len(replies) + sizes.pop(0)]
        replies += _greedy_together(runner, group, reply_tokens)
    return tuple(replies)


def _greedy_together(
    runner: Computing, prompts: Sequence[Sequence[int]], reply_tokens: int
) -> list[tuple[int, ...]]:
    room = max(len(prompt) for prompt in prompts) + reply_tokens
    logits = _start(runner, prompts, room)
    replies: list[list[int]] = [[] for _ in prompts]
    for step in range(reply_tokens):
        tokens = logits.argmax(-1).tolist()
        for reply, token in zip(replies, tokens, strict=True):
            reply.append(token)
        if step + 1 < reply_tokens:
            logits = _go_on(runner, tokens, [len(prompt) + step for prompt in prompts])
    for slot in range(len(prompts)):
        runner.release(slot)
    return [tuple(reply) for reply in replies]


def _start(runner: Computing, prompts: Sequence[Sequence[int]], room: int) -> torch.Tensor:
    """Each prompt into a slot, piece by piece; the logits after all of them."""
    last: list[torch.Tensor] = []
    for slot, prompt in enumerate(prompts):
        runner.begin(slot, room, 0)
        for start in range(0, len(prompt), PIECE_TOKENS):
            piece = prompt[start : start + PIECE_TOKENS]
            ends = start + PIECE_TOKENS >= len(prompt)
            logits = runner.logits([Segment(slot, start, list(piece), chooses=ends)])
        last.append(logits)
    return torch.cat(last)


def _go_on(runner: Computing, tokens: Sequence[int], places: Sequence[int]) -> torch.Tensor:
    pairs = enumerate(zip(tokens, places, strict=True))
    return runner.logits([Segment(slot, at, [token], chooses=True) for slot, (token, at) in pairs])


def _stretches(tokenizer: Any, text: str, length: int, count: int) -> tuple[tuple[int, ...], ...]:
    """Whole ones alone, from places that lie evenly apart."""
    tokens = tokenizer(text, add_special_tokens=False).input_ids
    count = min(count, len(tokens) // length)
    if count < LEAST_TEXTS:
        raise ValueError(f"{len(tokens)} tokens are too few for texts of {length}")
    apart = len(tokens) // count
    return tuple(tuple(tokens[at * apart : at * apart + length]) for at in range(count))


def _as_text(script: dict[str, Any]) -> str:
    return "\n".join([str(script["title"]), *_told(script), *_lines(script)])


def _as_prompt(tokenizer: Any, script: dict[str, Any]) -> tuple[int, ...]:
    """The talk's lines as one message, in the model's own template."""
    messages = [
        {"role": "system", "content": " ".join(_told(script)) or "You talk."},
        {"role": "user", "content": "\n".join(_lines(script))},
    ]
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    return tuple(tokenizer(text, add_special_tokens=False).input_ids)


def _told(script: dict[str, Any]) -> list[str]:
    """Of who answers, where the script says it itself."""
    found = [str(persona.get("description", "")) for persona in script.get("personas", ())]
    return [text for text in found if text]


def _lines(script: dict[str, Any]) -> list[str]:
    found = script["lines"]
    return [line if isinstance(line, str) else f"{line['by']}: {line['text']}" for line in found]
