"""What each kind of server calls things: counting tokens, its context, how it chooses tokens.

Paths are below the server's root, beside the `/v1` of OpenAI's API. Answers are hostile until they
have been through here: every number is within what can be true.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any, cast

MOST_TOKENS = 2**31 - 1  # what the database holds
SLACK_TOKENS = 16  # a text has no more tokens than bytes, and a few that a server adds

Question = Callable[[str, str, bool], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class CountingApi:
    """How a kind of server is asked how many tokens a text has."""

    name: str
    path: str
    question: Question  # from the model's name, the text, and whether what it adds is to be counted
    keys: tuple[str, ...]  # of the answer: a number, or the list of the tokens

    def count(self, text: str, answer: Mapping[str, Any]) -> int | None:
        """The number of tokens in an answer; None where it tells none that can be true."""
        for key in self.keys:
            value: object = answer.get(key)
            if isinstance(value, list):
                value = len(cast("list[object]", value))
            if not isinstance(value, int) or isinstance(value, bool):
                continue
            if 0 <= value <= len(text.encode(errors="surrogatepass")) + SLACK_TOKENS:
                return value
        return None


COUNTING_APIS = (
    CountingApi(
        "vllm",
        "/tokenize",
        lambda model, text, special: {
            "model": model,
            "prompt": text,
            "add_special_tokens": special,
        },
        ("count", "tokens"),
    ),
    CountingApi(
        "llama.cpp",
        "/tokenize",
        lambda model, text, special: {
            "content": text,
            "add_special": special,
            "parse_special": True,
        },
        ("tokens",),
    ),
    CountingApi(
        "text-generation-webui",
        "/v1/internal/token-count",
        lambda model, text, special: {"text": text},
        ("length",),
    ),
    CountingApi(
        "TabbyAPI",
        "/v1/token/encode",
        lambda model, text, special: {
            "text": text,
            "add_bos_token": special,
            "encode_special_tokens": True,
        },
        ("length", "tokens"),
    ),
    CountingApi(
        "KoboldCpp",
        "/api/extra/tokencount",
        lambda model, text, special: {"prompt": text, "special": special},
        ("value", "ids"),
    ),
)


@dataclass(frozen=True, slots=True)
class ContextApi:
    """Where a kind of server tells how many tokens its model takes."""

    name: str
    path: str
    keys: tuple[tuple[str, ...], ...]  # ways into the answer, the best first

    def context(self, answer: Mapping[str, Any]) -> int:
        """The context in an answer; 0 where it tells none."""
        return next(filter(None, (tokens_at(answer, *way) for way in self.keys)), 0)


CONTEXT_APIS = (
    ContextApi("llama.cpp", "/props", (("default_generation_settings", "n_ctx"), ("n_ctx",))),
    ContextApi("TabbyAPI", "/v1/model", (("parameters", "max_seq_len"),)),
    ContextApi("KoboldCpp", "/api/extra/true_max_context_length", (("value",),)),
    ContextApi(
        "text-generation-webui",
        "/v1/internal/model/info",
        tuple((key,) for key in ("ctx_size", "max_seq_len", "truncation_length", "n_ctx")),
    ),
)
# Of a row of `/v1/models`: vLLM and SGLang, llama.cpp, OpenRouter, Groq, Mistral.
ROW_CONTEXT = (
    ("max_model_len",),
    ("meta", "n_ctx"),
    ("context_length",),
    ("context_window",),
    ("max_context_length",),
)

# llama.cpp's own (`common_params_sampling`), which say nothing of a model. It tells every value:
# one that is another was set by the model's file or by whoever started the server.
LLAMA_SAMPLING: Mapping[str, float] = {
    "temperature": 0.8,
    "top_p": 0.95,
    "top_k": 40,
    "min_p": 0.05,
    "repetition_penalty": 1.0,
}
SAMPLING_DIGITS = 6  # what is sure of a number that was a `float` of C
MOST_PARAMETERS_CHARACTERS = 1 << 16
_SERVERS_WORDS = {"repetition_penalty": "repeat_penalty"}  # in llama.cpp as in Ollama
_PARAMETER = re.compile(r"^[ \t]*([a-z_]{1,40})[ \t]+([-+.\deE]{1,40})[ \t]*\r?$", re.MULTILINE)


def llama_sampling(props: Mapping[str, Any]) -> Mapping[str, float]:
    """How a model's makers choose its tokens, by llama.cpp's `/props`; by Sampling's field names.

    The values stand below `params`, and before 2024-11 beside it.
    """
    settings = at(props, "default_generation_settings")
    below = at(settings, "params")
    found = _sampling(settings if below is None else below)
    return {key: value for key, value in found.items() if value != LLAMA_SAMPLING[key]}


def ollama_sampling(shown: Mapping[str, Any]) -> Mapping[str, float]:
    """The same by Ollama's `/api/show`, which tells what the model's own Modelfile says."""
    told = shown.get("parameters")
    if not isinstance(told, str) or len(told) > MOST_PARAMETERS_CHARACTERS:
        return {}
    numbers: dict[str, object] = {}
    for name, value in _PARAMETER.findall(told):
        try:
            numbers[name] = float(value)
        except ValueError:
            continue
    return _sampling(numbers)


def _sampling(told: object) -> Mapping[str, float]:
    found: dict[str, float] = {}
    for key in LLAMA_SAMPLING:
        value = at(told, _SERVERS_WORDS.get(key, key))
        if not isinstance(value, int | float) or isinstance(value, bool):
            continue
        if abs(value) <= MOST_TOKENS and isfinite(value):
            rounded = float(f"{value:.{SAMPLING_DIGITS}g}")
            found[key] = int(rounded) if rounded == int(rounded) else rounded
    return found


def at(answer: object, *way: str) -> object:
    """What an answer has at the end of a way of keys; None where the way ends before."""
    for key in way:
        if not isinstance(answer, dict):
            return None
        answer = cast("dict[str, object]", answer).get(key)
    return answer


def tokens_at(answer: object, *way: str) -> int:
    """A number of tokens; 0 where there is none that can be true."""
    value = at(answer, *way)
    if not isinstance(value, int) or isinstance(value, bool):
        return 0
    return value if 0 < value <= MOST_TOKENS else 0


def text_at(answer: object, *way: str, most: int = 200) -> str:
    """A short text without control characters, as names and tokens are; "" where there is none."""
    value = at(answer, *way)
    if not isinstance(value, str) or len(value) > most or not value.isprintable():
        return ""
    return value


def rows_at(answer: object, *way: str) -> list[dict[str, Any]]:
    """A list's objects."""
    value = at(answer, *way)
    rows = cast("list[object]", value) if isinstance(value, list) else []
    return [cast("dict[str, Any]", row) for row in rows if isinstance(row, dict)]
