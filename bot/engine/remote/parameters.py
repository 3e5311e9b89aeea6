"""A request's parameters, and what is left out where a server refuses some of them.

Everything is sent at first. A refusal that names a parameter takes that one out; one that names
none is answered by leaving out one after the other, what is missed least first. What was found so
is kept for the requests after it, and nothing else is.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, cast

from bot.engine.api import DRY_BREAKERS, DRY_TOKENS, GenerationRequest, Sampling
from bot.engine.remote.apis import rows_at, tokens_at

PLAIN_STOPS = 4  # OpenAI's own limit
MOST_STOPS_NAMED = 64  # a number above that, in a refusal, is no limit of stop strings

# What each of our samplers is called; servers that have one of them call it alike.
DRY = frozenset(
    {
        "dry_multiplier",
        "dry_base",
        "dry_allowed_length",
        "dry_penalty_last_n",
        "dry_sequence_breakers",
    }
)
XTC = frozenset({"xtc_probability", "xtc_threshold"})
PENALTIES = frozenset({"presence_penalty", "frequency_penalty"})
# vLLM's, and TabbyAPI's: fewer tries are needed where a server knows them.
BANNED_WORDS = frozenset({"bad_words", "banned_strings"})

# What a server may refuse and a reply can do without; stop strings are also looked for here.
_DROPPABLE = (
    "stream_options",
    *sorted(DRY | XTC | PENALTIES | BANNED_WORDS),
    "repeat_penalty",
    "min_p",
    "top_k",
    "repetition_penalty",
    "seed",
    "top_p",
    "temperature",
    "stop",
)
# For a refusal that names nothing, in this order.
_GUESSES = (
    frozenset({"stream_options"}),
    BANNED_WORDS,
    frozenset({"dry_sequence_breakers"}),
    DRY,
    XTC,
    frozenset({"repeat_penalty"}),
    frozenset({"min_p"}),
    frozenset({"top_k"}),
    frozenset({"repetition_penalty", "repeat_penalty"}),
)
_NOT_OPENAI = frozenset(name for names in _GUESSES for name in names)
_ROOM = re.compile(
    r"context|too (long|large|many tokens)|exceed|maximum.{0,40}token|n_ctx|prompt", re.IGNORECASE
)
_CONTEXT = re.compile(r"maximum context length (?:is|of) (\d{1,9})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a server does not take. `most_stops` None: as many stop strings as there are."""

    names: frozenset[str] = frozenset()
    most_stops: int | None = None
    renames_limit: bool = False  # it says `max_completion_tokens` for `max_tokens`


def body_of(
    request: GenerationRequest,
    *,
    model: str,
    max_tokens: int,
    seed: int,
    refused: Refusal,
    is_chat: bool = False,
) -> dict[str, Any]:
    """The request as JSON, without what is refused."""
    sampling = request.sampling
    limit = "max_completion_tokens" if refused.renames_limit else "max_tokens"
    body: dict[str, Any] = {
        "model": model,
        **(_chat(request) if is_chat else {"prompt": request.prompt}),
        "stream": True,
        limit: max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "seed": seed,
        # vLLM, text-generation-webui and TabbyAPI say repetition_penalty, llama.cpp
        # repeat_penalty; each ignores the other's name. -1 and 0 are both "off" for top_k.
        "stream_options": {"include_usage": True},
        "top_k": sampling.top_k or -1,
        "min_p": sampling.min_p,
        "repetition_penalty": sampling.repetition_penalty,
        "repeat_penalty": sampling.repetition_penalty,
    }
    body |= _samplers(sampling)
    if stops := list(request.stop[: refused.most_stops]):
        body["stop"] = stops
    return {name: value for name, value in body.items() if name not in refused.names}


def _samplers(sampling: Sampling) -> dict[str, Any]:
    """Those that are on: of what is off, a server that doesn't know it need not hear."""
    body: dict[str, Any] = {}
    if sampling.counts_tokens:
        body["presence_penalty"] = sampling.presence_penalty
        body["frequency_penalty"] = sampling.frequency_penalty
    if sampling.dry_multiplier > 0:
        body["dry_multiplier"] = sampling.dry_multiplier
        body["dry_base"] = sampling.dry_base
        body["dry_allowed_length"] = sampling.dry_allowed_length
        body["dry_penalty_last_n"] = DRY_TOKENS
        body["dry_sequence_breakers"] = list(DRY_BREAKERS)
    if sampling.xtc_probability > 0:
        body["xtc_probability"] = sampling.xtc_probability
        body["xtc_threshold"] = sampling.xtc_threshold
    if sampling.banned_words:
        body["bad_words"] = body["banned_strings"] = list(sampling.banned_words)
    return body


def _chat(request: GenerationRequest) -> dict[str, Any]:
    messages = [{"role": message.role, "content": message.text} for message in request.messages]
    return {"messages": messages or [{"role": "user", "content": request.prompt}]}


class Trial:
    """One request's way to what its server takes."""

    def __init__(self, refused: Refusal) -> None:
        """`refused` is what is known from requests before."""
        self.refused = refused
        self._known = refused
        self._guesses: Iterator[Refusal] | None = None

    def refuse(self, body: dict[str, Any], said: str) -> bool:
        """Take note of a refusal. False where leaving something out does not help."""
        refused = _named(body, said, self.refused)
        if refused is not None:
            self.refused = self._known = refused
            return True
        if _ROOM.search(said):
            return False
        if self._guesses is None:
            self._guesses = _guesses(body)
        for guess in self._guesses:
            self.refused = replace(
                self._known,
                names=self._known.names | guess.names,
                most_stops=self._known.most_stops if guess.most_stops is None else guess.most_stops,
            )
            if not body.keys().isdisjoint(guess.names) or guess.most_stops is not None:
                return True
        self.refused = self._known
        return False


def told_context(said: str) -> int:
    """The context that a refusal tells; 0 where it tells none."""
    if found := _CONTEXT.search(said):
        return int(found[1])
    answer = _parsed(said)
    return tokens_at(answer, "error", "n_ctx") or tokens_at(answer, "n_ctx")


def _guesses(body: dict[str, Any]) -> Iterator[Refusal]:
    most = PLAIN_STOPS if len(body.get("stop", ())) > PLAIN_STOPS else None
    if most is not None:
        yield Refusal(most_stops=most)
    yield from (Refusal(names) for names in _GUESSES)
    yield Refusal(_NOT_OPENAI)
    if most is not None:
        yield Refusal(_NOT_OPENAI, most_stops=most)
    yield Refusal(_NOT_OPENAI | PENALTIES)
    yield Refusal(_NOT_OPENAI | PENALTIES | {"seed", "stop"})


def _named(body: dict[str, Any], said: str, refused: Refusal) -> Refusal | None:
    """What is refused when a refusal names a parameter of ours; None when it names none."""
    if "max_completion_tokens" in said and not refused.renames_limit:
        return replace(refused, renames_limit=True)
    words = _places(said)
    named = {
        name for name in _DROPPABLE if name in body and re.search(rf"(?<!\w){name}(?!\w)", words)
    }
    if not named:
        return None
    stops = len(body.get("stop", ()))
    if "stop" not in named or stops <= 1:
        return replace(refused, names=refused.names | named)
    told = [int(number) for number in re.findall(r"\b\d{1,2}\b", said)]
    fewer = [number for number in told if 0 < number < min(stops, MOST_STOPS_NAMED)]
    most = max(fewer, default=PLAIN_STOPS if stops > PLAIN_STOPS else 0)
    return replace(refused, names=refused.names | named - {"stop"}, most_stops=most)


def _places(said: str) -> str:
    """Where a refusal says what it is about: FastAPI's repeats all that was sent beside it."""
    answer = _parsed(said)
    places = [str(row["loc"]) for row in rows_at(answer, "detail") if "loc" in row]
    if places:
        return " ".join(places)
    error = answer.get("error")
    parameter = cast("dict[str, Any]", error).get("param") if isinstance(error, dict) else None
    return parameter if isinstance(parameter, str) and parameter in _DROPPABLE else said


def _parsed(said: str) -> dict[str, Any]:
    try:
        found: object = json.loads(said)
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}
