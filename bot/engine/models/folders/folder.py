"""A model's folder: which files are in it, whether they belong together. Reads headers only.

Only safetensors are read from a folder, never pickles: a pickle can run code.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from bot.engine.models.folders.config import (
    JsonObject,
    read_config,
    read_json_object,
    text_part,
    whole_number,
)
from bot.engine.models.folders.weight_files import TensorEntry, read_weight_file
from bot.engine.models.gptq.layout import GptqLayout, read_gptq_layout, without_empty_g_idx
from bot.errors import ModelError

WEIGHTS_NAME = "model.safetensors"
INDEX_NAME = "model.safetensors.index.json"
QUANTIZE_CONFIG_NAME = "quantize_config.json"
PICKLE_SUFFIXES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "spiece.model")
TOKENIZER_BYTES = 256 * 1024 * 1024  # the largest known are some tens of megabytes

_SHARD_NAME = re.compile(r"(.+)-(\d{5})-of-(\d{5})\.safetensors")


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """What a folder holds. Everything in it has been checked against everything else."""

    path: Path
    config: JsonObject  # config.json, read this once: whoever needs it gets it from here
    weight_files: tuple[Path, ...]
    tensors: Mapping[str, TensorEntry] = field(repr=False)
    gptq: GptqLayout | None
    quantize_settings: JsonObject  # as found; empty for a model that is not quantized
    named_as_expected: bool  # weights and quantize config lie where transformers looks for them

    @property
    def is_bfloat16(self) -> bool:
        """Whether it is computed in bfloat16: not quantized, and some of it stored so."""
        stored = any(tensor.dtype == "BF16" for tensor in self.tensors.values())
        return stored and self.gptq is None

    @property
    def needs_staging(self) -> bool:
        """Whether it has to be laid out anew before transformers reads it rightly."""
        return not self.named_as_expected or bool(self.gptq and self.gptq.without_g_idx)

    @property
    def parameters(self) -> int:
        """Roughly how many weights the model has (packed ones unpacked, scales not counted)."""
        extras = (".scales", ".qzeros", ".g_idx")
        count = 0
        for name, tensor in self.tensors.items():
            if name.endswith(".qweight") and self.gptq:
                count += tensor.elements * 32 // self.gptq.bits
            elif not name.endswith(extras):
                count += tensor.elements
        return count

    @property
    def bytes(self) -> int:
        """The size of the weight files."""
        return sum(file.stat().st_size for file in self.weight_files)


def is_shard(file: Path) -> bool:
    """Whether a file of weights is one part of several, by its name."""
    return _SHARD_NAME.fullmatch(file.name) is not None


def read_model_folder(path: Path, weights: Path | None = None) -> ModelFolder:
    """Look a folder over without loading it. Raises ModelError, naming what is wrong.

    `weights` is the file in it that is meant; with None the folder's names tell.
    """
    if not path.is_dir():
        raise ModelError(
            f"There is no folder {path}.", "Set MODEL to a model's folder, or to `demo`."
        )
    config = read_config(path)
    settings, settings_file, in_config = _quantize_settings(path, config)
    files, standard = _find_weights(path, settings) if weights is None else _named(path, weights)
    tensors: dict[str, TensorEntry] = {}
    for file in files:  # of two files with the same tensor the later one counts
        tensors |= read_weight_file(file)
    if not tensors:
        raise ModelError(f"{files[0]} holds no tensors.", "Download that file again.")
    _check_index(path, files, tensors)
    if weights is not None and not in_config and not any(n.endswith(".qweight") for n in tensors):
        settings = dict[str, object]()  # it is about another file of the folder
    gptq = read_gptq_layout(settings_file, settings, tensors) if settings else None
    if gptq is not None:
        gptq = without_empty_g_idx(settings_file, gptq, tensors)
    if gptq is None and (packed := next((n for n in tensors if n.endswith(".qweight")), None)):
        raise ModelError(
            f"{tensors[packed].file} holds quantized weights, but {path} does not say how they "
            f"were quantized.",
            f"Add the {QUANTIZE_CONFIG_NAME} that came with the model.",
        )
    _check_embeddings(path, config, tensors)
    _check_tokenizer(path)
    return ModelFolder(
        path=path,
        config=config,
        weight_files=files,
        tensors=tensors,
        gptq=gptq,
        quantize_settings=settings,
        named_as_expected=standard and (in_config or not settings),
    )


def _quantize_settings(path: Path, config: JsonObject) -> tuple[JsonObject, Path, bool]:
    """(settings, the file they are from, whether that is config.json). Empty: not quantized."""
    inside = config.get("quantization_config")
    if isinstance(inside, dict):
        settings = cast("JsonObject", inside)
        method = settings.get("quant_method", "gptq" if "bits" in settings else None)
        if method != "gptq":
            raise ModelError(
                f"{path / 'config.json'}: the model is quantized by {str(method)[:40]}.",
                "Caduceus reads GPTQ, GGUF and unquantized safetensors.",
            )
        return settings, path / "config.json", True
    outside = path / QUANTIZE_CONFIG_NAME
    if outside.is_file():
        settings = read_json_object(outside)
        method = settings.get("quant_method", "gptq")
        if method != "gptq":
            raise ModelError(
                f"{outside}: the model is quantized by {str(method)[:40]}.",
                "Caduceus reads GPTQ, GGUF and unquantized safetensors.",
            )
        return settings, outside, False
    return {}, outside, False


def _find_weights(path: Path, settings: JsonObject) -> tuple[tuple[Path, ...], bool]:
    """(the weight files, whether transformers would find them by their names)."""
    if (path / WEIGHTS_NAME).is_file():  # where both are, transformers reads this one
        return (path / WEIGHTS_NAME,), True
    if (path / INDEX_NAME).is_file():
        # transformers wants the key `metadata`, which some tools leave out.
        known = "metadata" in read_json_object(path / INDEX_NAME)
        return _indexed_files(path), known
    found = sorted(file for file in path.glob("*.safetensors") if file.is_file())
    named = _named_by(settings)
    chosen = [file for file in found if file.name in named]
    if len(chosen) == 1:
        return (chosen[0],), False
    if len(found) == 1 and not _SHARD_NAME.fullmatch(found[0].name):
        return (found[0],), False
    if not found:
        raise _no_weights(path)
    return _numbered_files(path, found), False


def _named(path: Path, weights: Path) -> tuple[tuple[Path, ...], bool]:
    """The files that belong to the one that was named, as :func:`_find_weights` gives them."""
    file = path / weights.name
    if file.name == WEIGHTS_NAME:
        return (file,), True
    if (path / INDEX_NAME).is_file():
        indexed = _indexed_files(path)
        if file in indexed:
            # Beside a `model.safetensors` transformers would not look at the index.
            known = "metadata" in read_json_object(path / INDEX_NAME)
            return indexed, known and not (path / WEIGHTS_NAME).is_file()
    shard = _SHARD_NAME.fullmatch(file.name)
    if shard is None:
        return (file,), False
    parts = [one for one in path.glob("*.safetensors") if _SHARD_NAME.fullmatch(one.name)]
    same = [one for one in parts if one.name.startswith(f"{shard[1]}-")]
    return _numbered_files(path, same), False


def _named_by(settings: JsonObject) -> set[str]:
    """File names that a quantize config points to, as AutoGPTQ named them."""
    names: set[str] = set()
    for key in ("model_basename", "model_file_base_name"):
        base = settings.get(key)
        if isinstance(base, str):
            names.add(f"{base.removesuffix('.safetensors')}.safetensors")
    names.add(f"gptq_model-{settings.get('bits')}bit-{settings.get('group_size')}g.safetensors")
    return names


def _indexed_files(path: Path) -> tuple[Path, ...]:
    index = path / INDEX_NAME
    weight_map = read_json_object(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise ModelError(f"{index} names no weights.", "Download that file again.")
    names = {str(name) for name in cast("dict[str, object]", weight_map).values()}
    for name in sorted(names):
        if Path(name).name != name or not name.endswith(".safetensors"):
            raise ModelError(
                f"{index} points to {name[:100]}, which is no safetensors file beside it.",
                "Download that file again.",
            )
        if not (path / name).is_file():
            raise ModelError(
                f"{path / name} is missing; {INDEX_NAME} names it.", "Download that file too."
            )
    return tuple(path / name for name in sorted(names))


def _numbered_files(path: Path, found: list[Path]) -> tuple[Path, ...]:
    """Shards without an index: all of one set, or an error that says what is missing."""
    matches = [_SHARD_NAME.fullmatch(file.name) for file in found]
    sets = {(m[1], int(m[3])) for m in matches if m}
    if len(sets) != 1 or None in matches:
        raise ModelError(
            f"{path} holds several models: {', '.join(file.name for file in found)[:300]}.",
            f"Keep one of them, or say which in {QUANTIZE_CONFIG_NAME} as `model_file_base_name`.",
        )
    base, count = sets.pop()
    names = [f"{base}-{number:05d}-of-{count:05d}.safetensors" for number in range(1, count + 1)]
    missing = [name for name in names if not (path / name).is_file()]
    if missing:
        raise ModelError(f"{path / missing[0]} is missing.", "Download that file too.")
    return tuple(path / name for name in names)


def _no_weights(path: Path) -> ModelError:
    files = sorted(file.name for file in path.iterdir() if file.is_file())
    pickles = [name for name in files if name.endswith(PICKLE_SUFFIXES)]
    if pickles:
        return ModelError(
            f"{path} has its weights only as {pickles[0]}, a pickle; pickles can run code and are "
            f"never read.",
            "Get the model as safetensors or GGUF, or convert it on a machine where you trust it: "
            "load it with transformers and call save_pretrained().",
        )
    if any(name.endswith(".gguf") for name in files):
        return ModelError(f"{path} holds GGUF files.", "Set MODEL to one of them.")
    return ModelError(
        f"{path} has a config.json, but no weights (*.safetensors).", "Download the weights too."
    )


def _check_index(path: Path, files: tuple[Path, ...], tensors: Mapping[str, TensorEntry]) -> None:
    if not (path / INDEX_NAME).is_file() or files == (path / WEIGHTS_NAME,):
        return
    weight_map = cast("dict[str, str]", read_json_object(path / INDEX_NAME)["weight_map"])
    if not {file.name for file in files} & set(weight_map.values()):
        return  # it is about other files than the one that was named
    for name, file in weight_map.items():
        if name not in tensors or tensors[name].file.name != file:
            raise ModelError(
                f"{path / file} lacks {name[:100]}, which {INDEX_NAME} says is there.",
                "Download that file and the index again.",
            )


def _check_embeddings(path: Path, config: JsonObject, tensors: Mapping[str, TensorEntry]) -> None:
    """The vocabulary's table: its size tells whether config and weights belong together."""
    vocabulary = whole_number(text_part(config).get("vocab_size"))
    width = whole_number(text_part(config).get("hidden_size"))
    name = next((n for n in tensors if n.endswith("embed_tokens.weight")), None)
    if name is None or vocabulary is None or width is None:
        return
    if tensors[name].shape not in ((vocabulary, width), (vocabulary,)):
        raise ModelError(
            f"{path / 'config.json'} does not fit the weights: it describes "
            f"{vocabulary} tokens of {width} numbers, {tensors[name].file.name} holds "
            f"{' of '.join(str(size) for size in tensors[name].shape)}.",
            "Use the config.json that came with these weights.",
        )


def _check_tokenizer(path: Path) -> None:
    found = [path / name for name in TOKENIZER_FILES if (path / name).is_file()]
    for file in found:
        if file.stat().st_size > TOKENIZER_BYTES:
            raise ModelError(
                f"{file} is far too large for what it should be.", "Download that file again."
            )
    if not found:
        raise ModelError(
            f"{path} has no tokenizer ({' or '.join(TOKENIZER_FILES[:2])}).",
            "Download the tokenizer's files too.",
        )
