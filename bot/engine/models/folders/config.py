"""`config.json` and its siblings: read with bounds, and checked for sizes that make sense."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# (an edge to a library that is only partly typed)

import json
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any, TypeAlias, cast

from bot.errors import ModelError

JsonObject: TypeAlias = Mapping[str, object]

JSON_BYTES = 64 * 1024 * 1024  # an index of a large model is a few megabytes

# What transformers raises for a config that it cannot use.
CONFIG_ERRORS = (ValueError, KeyError, TypeError, AttributeError, RuntimeError, OSError)

# The largest that any known model comes near, times a few: above it the file is damaged or hostile.
LARGEST_SIZES: Mapping[str, int] = {
    "vocab_size": 4_000_000,
    "hidden_size": 131_072,
    "intermediate_size": 1_048_576,
    "num_hidden_layers": 1_000,
    "num_attention_heads": 4_096,
    "num_key_value_heads": 4_096,
    "head_dim": 8_192,
    "max_position_embeddings": 100_000_000,
}


def read_json_object(path: Path) -> dict[str, object]:
    """A JSON file that holds an object. Raises ModelError, naming the file."""
    try:
        if path.stat().st_size > JSON_BYTES:
            raise ModelError(f"{path} is far too large for what it should be.")
        parsed: object = json.loads(path.read_bytes())
    except OSError as error:
        raise ModelError(
            f"{path} cannot be read: {error.strerror or error}.",
            "Check that the file is there and may be read.",
        ) from error
    except (ValueError, RecursionError) as error:  # undecodable bytes are a ValueError too
        raise ModelError(
            f"{path} is not valid JSON: {error}.", "Download that file again."
        ) from error
    if not isinstance(parsed, dict):
        raise ModelError(f"{path} does not hold a JSON object.", "Download that file again.")
    return cast("dict[str, object]", parsed)


def read_config(folder: Path) -> dict[str, object]:
    """The model's `config.json`, its sizes checked. Raises ModelError."""
    path = folder / "config.json"
    if not path.is_file():
        raise ModelError(
            f"{folder} has no config.json, so it is not a model folder.",
            "Set MODEL to the folder that holds the model's files, all of them.",
        )
    config = read_json_object(path)
    if not isinstance(config.get("model_type"), str):
        raise ModelError(
            f"{path} does not say which kind of model it is (`model_type`).",
            "Download config.json again; a diffusion or adapter folder cannot be used.",
        )
    for part in (config, text_part(config)):
        for key, largest in LARGEST_SIZES.items():
            _check_size(path, key, part.get(key), largest)
    return config


def transformers_config(path: Path, config: JsonObject) -> Any:
    """A config that has been read, as transformers' PretrainedConfig. Reads no file.

    `path` is the model's folder. Raises ModelError, naming its config.json, for a model that
    transformers does not know or values that it does not take.
    """
    # Imported late: it brings torch, and the libraries must be silenced first.
    from huggingface_hub.errors import StrictDataclassError
    from transformers import CONFIG_MAPPING

    kind = str(config["model_type"])
    try:
        if kind not in CONFIG_MAPPING:
            raise ValueError(f"transformers knows no models of the kind «{kind[:100]}»")
        return CONFIG_MAPPING[kind].from_dict(deepcopy(dict(config)), name_or_path=str(path))
    except (*CONFIG_ERRORS, StrictDataclassError) as error:
        raise ModelError(
            f"{path / 'config.json'} cannot be used: {' '.join(str(error).split())[:300]}",
            "The model's kind must be one that transformers knows without code of its own; if it "
            "is, download that file again.",
        ) from error


def text_part(config: JsonObject) -> JsonObject:
    """The language model's part of a config that describes several (images, sound)."""
    part = config.get("text_config")
    return cast("JsonObject", part) if isinstance(part, dict) else config


def whole_number(value: object) -> int | None:
    """`value` when it is a whole number (JSON's true is none)."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def context_length(config: JsonObject) -> int:
    """How many tokens the model was made for; 2048 when its config does not say."""
    part = text_part(config)
    for key in ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length"):
        found = whole_number(part.get(key))
        if found is not None and found > 0:
            return found
    return 2048


def _check_size(path: Path, key: str, value: object, largest: int) -> None:
    # A list is per layer (some models differ in width from layer to layer).
    values = cast("list[object]", value) if isinstance(value, list) else [value]
    for item in values:
        if item is None:
            continue
        number = whole_number(item)
        if number is None or not 0 < number <= largest:
            raise ModelError(
                f"{path}: `{key}` is {str(item)[:40]}, which cannot be.", "Download it again."
            )
