"""Loads a folder's tokenizer, from `tokenizer.json` or sentencepiece's `tokenizer.model`."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# (an edge to a library that is only partly typed)

import json
import logging
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

from bot.errors import ModelError
from bot.invocation import setup

log = logging.getLogger(__name__)


def check_tokenizer_file(folder: Path) -> None:
    """Raises ModelError where a folder's tokenizer cannot be read. Loads no torch."""
    from tokenizers import Tokenizer  # late: it belongs to the extra `gpu`

    file = folder / "tokenizer.json"
    if file.is_file():
        try:
            empty = not Tokenizer.from_file(str(file)).get_vocab_size()
        except Exception as error:  # the tokenizers library raises bare Exceptions
            raise _unreadable(file, error) from error
        if empty:
            raise ModelError(f"{folder}: the tokenizer is empty.", "Download its files again.")
        return
    file = folder / "tokenizer.model"
    if file.is_file() and find_spec("sentencepiece") is None:
        raise ModelError(
            f"{file} needs the package sentencepiece to be read.",
            f"Run {setup('gpu')}, or add the model's tokenizer.json.",
        )


def load_tokenizer(folder: Path, config: Any) -> Any:
    """The tokenizer of a model folder. Raises ModelError, naming the file to blame.

    `config` is the model's, as transformers' PretrainedConfig.
    """
    # Imported late: it brings torch, and the libraries must be silenced first.
    from transformers import AutoTokenizer

    check_tokenizer_file(folder)
    file = folder / "tokenizer.json"
    if not file.is_file():
        file = folder / "tokenizer.model"
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            str(folder), config=config, trust_remote_code=False, local_files_only=True
        )
    except Exception as error:  # the tokenizers library raises bare Exceptions
        raise _unreadable(file if file.is_file() else folder, error) from error
    if not tokenizer.get_vocab():
        raise ModelError(f"{folder}: the tokenizer is empty.", "Download its files again.")
    backend: Any = getattr(cast("Any", tokenizer), "_tokenizer", None)
    if backend is not None:  # left in by whoever trained with them; prompts are whole texts
        backend.no_truncation()
        backend.no_padding()
    return tokenizer


def _unreadable(path: Path, error: Exception) -> ModelError:
    said = str(error).splitlines()[0][:300] if str(error) else type(error).__name__
    return ModelError(
        f"{path} cannot be read as a tokenizer: {said}", "Download the tokenizer's files again."
    )


def fit_vocabulary(tokenizer: Any, known: int, folder: Path) -> None:
    """Make the tokenizer give only numbers below `known`, the size of the model's table.

    Many folders add a padding token that the model never learned: it is taken out, and its text is
    then cut into pieces like any other. Raises ModelError when more than such extras are too much.
    """
    vocabulary = cast("dict[str, int]", tokenizer.get_vocab())
    unknown = {token for token, number in vocabulary.items() if number >= known}
    if not unknown:
        return
    added = {str(token.content) for token in tokenizer.added_tokens_decoder.values()}
    backend = getattr(tokenizer, "_tokenizer", None)
    if unknown - added or tokenizer.eos_token in unknown or backend is None:
        raise ModelError(
            f"{folder}: the tokenizer has tokens up to number {max(vocabulary.values())}, "
            f"the model knows {known}.",
            "Use the tokenizer that came with these weights.",
        )
    described = json.loads(backend.to_str())
    described["added_tokens"] = [
        token for token in described["added_tokens"] if token["content"] not in unknown
    ]
    tokenizer._tokenizer = type(backend).from_str(json.dumps(described))
    for role in ("bos_token", "unk_token", "pad_token"):
        if getattr(tokenizer, role, None) in unknown:
            setattr(tokenizer, role, None)
    log.info("%s: the tokenizer's %s are not the model's, left out", folder, sorted(unknown))


def special_tokens(tokenizer: Any) -> tuple[str, ...]:
    """Everything that the tokenizer takes for one token whatever stands around it."""
    found: dict[str, None] = dict.fromkeys(cast("Sequence[str]", tokenizer.all_special_tokens))
    for added in tokenizer.added_tokens_decoder.values():
        if added.special:
            found[str(added.content)] = None
    return tuple(token for token in found if token)
