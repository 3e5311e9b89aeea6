"""From a MODEL setting to an engine: the only place that knows every runner.

GGUF files run on llama.cpp, folders of safetensors (GPTQ or not) on torch. Importing this loads no
torch: what needs it is imported when such a folder is loaded, in the worker's thread.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# (an edge to a library that is only partly typed)

import logging
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from bot.engine.api import Engine, ModelInfo
from bot.engine.chosen import ChosenEngine
from bot.engine.llamacpp.engine import LlamaCppEngine
from bot.engine.llamacpp.loading import Prepared
from bot.engine.llamacpp.plan import KvCache
from bot.engine.local.engine import LocalEngine
from bot.engine.local.loaded_model import LoadedModel
from bot.engine.local.runner import CACHE_BITS, GuessAhead, Runner, RunnerLimits
from bot.engine.machine.threads import choose_threads
from bot.engine.models.architectures import check_runs, why_not_fast
from bot.engine.models.embedded import find_embedded
from bot.engine.models.folders.config import context_length, transformers_config
from bot.engine.models.folders.folder import ModelFolder
from bot.engine.models.folders.generation import sampling_defaults
from bot.engine.models.folders.templates import default_template
from bot.engine.models.folders.tokenizers import fit_vocabulary, load_tokenizer, special_tokens
from bot.engine.models.gguf.file import read_gguf_header
from bot.engine.models.gptq.quiet import silence_libraries
from bot.engine.models.gptq.staging import stage
from bot.engine.models.progress import Progress, no_progress
from bot.engine.models.source import (
    ModelSource,
    SourceKind,
    bring,
    fetch,
    identify,
    require_libraries,
)
from bot.errors import ModelError

if TYPE_CHECKING:  # transformers is imported late, once it has been silenced
    import torch
    from transformers import PreTrainedModel

log = logging.getLogger(__name__)

GGUF_KINDS = (SourceKind.EMBEDDED, SourceKind.GGUF)


def local_engine(
    model: str,
    data_dir: Path,
    context_tokens: int = 0,
    *,
    max_rows: int = 0,
    cpu_threads: int = 0,
    kv_cache: KvCache = "auto",
    guess_ahead: GuessAhead = "auto",
    host_bytes: int | None = 0,
) -> ChosenEngine:
    """An engine for what the MODEL setting says, found and checked when it is started.

    `max_rows`, `guess_ahead` and `host_bytes` (of the machine's memory for what a GPU has no room
    for; None is by the machine) are for torch; torch keeps 8 bits on a GPU alone.
    """

    def choose(report: Progress) -> Engine:
        source = bring(identify(model), data_dir, report)
        if source.kind in GGUF_KINDS:
            prepare = partial(
                prepare_gguf,
                source,
                data_dir,
                context_tokens=context_tokens,
                cpu_threads=cpu_threads,
                kv_cache=kv_cache,
            )
            return LlamaCppEngine(prepare, model=source.name)

        def load() -> LoadedModel:
            return load_model(
                model,
                data_dir=data_dir,
                context_tokens=context_tokens,
                progress=engine.report,
                cpu_threads=cpu_threads,
            )

        engine = LocalEngine(
            load,
            build_runner,
            max_rows=max_rows,
            cache_bits=CACHE_BITS[kv_cache],
            guess_ahead=guess_ahead,
            host_bytes=host_bytes,
            model=model,
        )
        return engine

    return ChosenEngine(choose, model=model)


def prepare_gguf(
    source: ModelSource,
    data_dir: Path,
    progress: Progress,
    *,
    context_tokens: int = 0,
    cpu_threads: int = 0,
    kv_cache: KvCache = "auto",
) -> Prepared:
    """Check a GGUF file and say how it is to be run. Blocks. Raises ModelError, naming the file."""
    if source.path is None:
        raise ModelError(f"{source.name} has no place.")
    is_embedded = source.kind is SourceKind.EMBEDDED
    progress(f"Loading {source.name}", None)
    if is_embedded:
        find_embedded().check_once(data_dir)
    return Prepared(
        name=source.name,
        header=read_gguf_header(source.path),
        context_tokens=context_tokens,
        cpu_threads=cpu_threads,
        kv_cache=kv_cache,
        is_frugal=is_embedded,
    )


def load_model(
    model: str,
    *,
    data_dir: Path,
    context_tokens: int = 0,
    progress: Progress | None = None,
    cpu_threads: int = 0,
) -> LoadedModel:
    """Find, check and load what the MODEL setting says. Blocks for seconds to minutes.

    `data_dir` takes stages. `context_tokens` above 0 makes the context shorter
    than the model's own. `progress` gets what is being done and how much of it, if known (0 to 1).
    On a processor, this thread computes with `cpu_threads` from now on; 0 is by the machine.
    Raises ModelError, naming the file that is to blame and what to do.
    """
    report = progress or no_progress
    source = identify(model)
    require_libraries(source)
    silence_libraries()  # before the next line brings transformers
    from bot.engine.portable.loading import choose_device, load_folder, set_threads

    fetched = fetch(source, data_dir=data_dir, progress=report)
    config = check_runs(fetched)
    folder = stage(fetched, data_dir=data_dir)
    if folder is not fetched:
        config = transformers_config(folder.path, folder.config)
    report(f"Loading {source.name}", None)
    tokenizer = load_tokenizer(folder.path, config)
    device = choose_device()
    if device.type == "cpu":
        set_threads(choose_threads(cpu_threads))
    if device.type == "cuda":
        fast = _for_fast_runner(source.name, folder, config, tokenizer, device, context_tokens)
        if fast is not None:
            fast.progress = report
            return fast
    loaded, kernel = load_folder(folder, config, device, report)
    fit_vocabulary(tokenizer, _vocabulary(loaded), folder.path)
    log.info("loaded %s on %s: %s", source.name, device, kernel)
    return LoadedModel(
        model=loaded,
        tokenizer=tokenizer,
        info=_describe(source.name, folder, tokenizer, context_tokens),
        device=device,
        kernel=kernel,
    )


def build_runner(loaded: LoadedModel, limits: RunnerLimits) -> Runner:
    """The best runner for a model and its device. Raises ModelError for a foreign architecture."""
    if loaded.model is None and loaded.folder is not None:
        from bot.engine.cuda.building import build_cuda_runner

        return build_cuda_runner(
            loaded.folder,
            loaded.config,
            loaded.info.context_tokens,
            limits,
            loaded.progress or no_progress,
        )
    from bot.engine.portable.llama import LlamaRunner

    return LlamaRunner(loaded, limits)


def _for_fast_runner(
    name: str,
    folder: ModelFolder,
    config: Any,
    tokenizer: Any,
    device: "torch.device",
    context_tokens: int,
) -> LoadedModel | None:
    """The model as :mod:`bot.engine.cuda` takes it; None (and a line in the log) when it cannot."""
    from transformers import GenerationConfig

    try:
        import bot.engine.cuda.building  # noqa: F401  # pyright: ignore[reportUnusedImport]
    except ImportError as error:  # no Triton: Windows, or a build of torch without it
        log.warning("The fast kernels cannot be used: %s. PyTorch's own are slower.", error)
        return None
    reason = why_not_fast(folder.config, folder.gptq)
    if reason:
        log.warning("The fast kernels do not take %s. PyTorch's own are slower.", reason)
        return None
    fit_vocabulary(tokenizer, cast("int", config.vocab_size), folder.path)
    try:
        generation_config: Any = GenerationConfig.from_pretrained(str(folder.path))
    except OSError:  # there is no such file: the config says it too
        generation_config = GenerationConfig.from_model_config(config)
    return LoadedModel(
        model=None,
        tokenizer=tokenizer,
        info=_describe(name, folder, tokenizer, context_tokens),
        device=device,
        kernel="",
        folder=folder,
        config=config,
        generation_config=generation_config,
    )


def _describe(name: str, folder: ModelFolder, tokenizer: Any, context_tokens: int) -> ModelInfo:
    own = context_length(folder.config)
    if context_tokens > own:
        log.warning("CONTEXT_TOKENS is %d, but %s was made for %d", context_tokens, name, own)
    return ModelInfo(
        name=name,
        context_tokens=min(context_tokens, own) if context_tokens > 0 else own,
        chat_template=default_template(tokenizer.chat_template),
        special_tokens=special_tokens(tokenizer),
        eos_token=tokenizer.eos_token or "",
        bos_token=tokenizer.bos_token or "",
        sampling_defaults=sampling_defaults(name, folder.path),
    )


def _vocabulary(model: "PreTrainedModel") -> int:
    """How many tokens the model knows."""
    return int(cast("Any", model.get_input_embeddings()).weight.shape[0])
