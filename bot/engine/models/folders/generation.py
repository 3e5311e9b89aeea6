"""What a model's files say of generating with it: what ends a reply, how to choose its tokens."""

import logging
import re
from collections.abc import Iterable, Mapping
from math import isfinite
from pathlib import Path
from typing import Any, cast

from bot.engine.models.folders.config import read_json_object
from bot.errors import ModelError

log = logging.getLogger(__name__)

GENERATION_CONFIG_NAME = "generation_config.json"
SAMPLING_KEYS = ("temperature", "top_p", "top_k", "min_p", "repetition_penalty")

# Special tokens that end a turn or the text in every model that has them, whatever else its files
# name: many say only one of two.
END_NAMES = frozenset(
    [
        "</s>",
        "<|im_end|>",
        "<|eot_id|>",
        "<|end_of_text|>",
        "<|endoftext|>",
        "<|end_of_turn|>",
        "<end_of_turn>",
        "<|end|>",
    ]
)

# By name, for models whose files don't say it. From their cards.
_KNOWN_SAMPLING: tuple[tuple[str, Mapping[str, float]], ...] = (
    # At 0.7 / 0.95 / 1.15 the embedded one greets right once in four times.
    (r"smollm2?-", {"temperature": 0.2, "top_p": 0.9, "repetition_penalty": 1.0}),
    (r"qwen2\.5-.*instruct", {"temperature": 0.7, "top_p": 0.8, "top_k": 20}),
    (r"llama-?3.*instruct", {"temperature": 0.6, "top_p": 0.9}),
)


def sampling_defaults(name: str, folder: Path) -> Mapping[str, float]:
    """How the model's makers choose its tokens: by its generation_config.json, else by its name.

    Keys are among SAMPLING_KEYS; what isn't said is left out. Never raises: a bad file says
    nothing. Whether a value is in our range is for whoever uses it to see. A `do_sample` of false
    means the likeliest token each time: a temperature of 0, whatever else is said of choosing.
    """
    return _numbers(_read(folder)) or known_sampling(name)


def known_sampling(name: str) -> Mapping[str, float]:
    """The same by the model's name alone, for files that don't say it; empty for an unknown one."""
    known = (found for pattern, found in _KNOWN_SAMPLING if re.search(pattern, name.lower()))
    return next(known, dict[str, float]())


def end_tokens(configs: Iterable[Any], tokenizer: Any) -> frozenset[int]:
    """Every token that ends a reply: what configs and tokenizer name, and END_NAMES.

    `configs` are transformers' (of generation, of the model); each may name one, several or none.
    """
    found: set[int] = set()
    for config in configs:
        found |= _whole_numbers(getattr(config, "eos_token_id", None))
        text = getattr(config, "text_config", None)
        found |= _whole_numbers(getattr(text, "eos_token_id", None))
    found |= _whole_numbers(getattr(tokenizer, "eos_token_id", None))
    added = cast("Mapping[int, Any]", getattr(tokenizer, "added_tokens_decoder", {}))
    found |= {n for n, token in added.items() if token.special and token.content in END_NAMES}
    return frozenset(found)


def _whole_numbers(value: object) -> set[int]:
    values = cast("list[object]", value) if isinstance(value, list | tuple) else [value]
    return {one for one in values if isinstance(one, int) and not isinstance(one, bool)}


def _read(folder: Path) -> Mapping[str, object]:
    path = folder / GENERATION_CONFIG_NAME
    if not path.is_file():
        return {}
    try:
        return read_json_object(path)
    except ModelError as error:
        log.warning("%s is left out: %s", path, error)
        return {}


def _numbers(said: Mapping[str, object]) -> Mapping[str, float]:
    found: dict[str, float] = {}
    is_greedy = said.get("do_sample") is False
    if is_greedy:
        found["temperature"] = 0
    for key in ("repetition_penalty",) if is_greedy else SAMPLING_KEYS:
        value = said.get(key)
        if isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value):
            found[key] = int(value) if value == int(value) else value
    return found
