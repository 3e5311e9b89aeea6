"""A model folder's chat template and the tokens that it names, read without loading anything.

Where they may stand: https://huggingface.co/docs/transformers/chat_templating_writing.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from bot.engine.models.folders.config import JsonObject, read_json_object
from bot.errors import ModelError

log = logging.getLogger(__name__)

TEMPLATE_BYTES = 1 << 20
_JINJA = "chat_template.jinja"
_CONFIGS = ("tokenizer_config.json", "chat_template.json", "special_tokens_map.json")


def read_template(folder: Path) -> tuple[str | None, str, str]:
    """The chat template, the BOS and the EOS of a folder; None and "" for what it doesn't say.

    Never raises: a file that cannot be read says nothing.
    """
    said = [_read(folder / name) for name in _CONFIGS]
    template = _text(folder / _JINJA)
    if template is None:
        found = (default_template(config.get("chat_template")) for config in said)
        template = next(filter(None, found), None)
    bos, eos = (
        next(filter(None, (_token(config.get(key)) for config in said)), "")
        for key in ("bos_token", "eos_token")
    )
    return template, bos, eos


def default_template(said: object) -> str | None:
    """The template for plain talk, of one or of several with names (as a list or a mapping)."""
    if isinstance(said, list):
        rows = [cast("JsonObject", row) for row in cast("list[object]", said) if _is_object(row)]
        said = {row.get("name"): row.get("template") for row in rows}
    if isinstance(said, Mapping):
        named = cast("Mapping[object, object]", said)
        said = named.get("default") or next(iter(named.values()), None)
    return said if isinstance(said, str) and said.strip() else None


def _is_object(found: object) -> bool:
    return isinstance(found, dict)


def _read(path: Path) -> Mapping[str, object]:
    if not path.is_file():
        return {}
    try:
        return read_json_object(path)
    except ModelError as error:
        log.warning("%s is left out: %s", path, error)
        return {}


def _text(path: Path) -> str | None:
    try:
        if not path.is_file() or path.stat().st_size > TEMPLATE_BYTES:
            return None
        return path.read_text(encoding="utf-8", errors="replace") or None
    except OSError as error:
        log.warning("%s is left out: %s", path, error)
        return None


def _token(said: object) -> str:
    """A token, spelled out or described."""
    if isinstance(said, Mapping):
        said = cast("Mapping[str, object]", said).get("content")
    return said if isinstance(said, str) else ""
