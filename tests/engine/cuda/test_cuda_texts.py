"""Each kernel and each cache reads and writes the embedded model's text as the reference does."""

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from embedded_folder import embedded_folder, gptq_folder

pytest.importorskip("triton")  # which the kernels are written in

from bot.bench.texts.measuring import Found, Texts, examine, read_texts
from bot.bench.texts.runners import REFERENCE, Variant, build, variants
from bot.engine.models.folders.config import transformers_config
from bot.engine.models.folders.folder import read_model_folder
from bot.engine.models.folders.tokenizers import load_tokenizer
from bot.engine.models.gptq.marlin import marlin_is_there

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.slow,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
    pytest.mark.timeout(600),  # the model is quantized first, and Marlin compiled
]

ROOT = Path(__file__).parents[3]
WORSE_MOST = 0.005  # of perplexity
SAME_TOKENS = {16: 0.85, 8: 0.7}  # before a reply leaves the reference's, by bits of the cache
REPLY_TOKENS = 32
ON_GPU = list(variants(on_gpu=torch.cuda.is_available()))[2:]


def folder_of(variant: Variant) -> Path:
    return gptq_folder() if variant.is_gptq else embedded_folder()


@pytest.fixture(scope="module")
def texts() -> Texts:
    plain = read_model_folder(embedded_folder())
    tokenizer: Any = load_tokenizer(plain.path, transformers_config(plain.path, plain.config))
    pages = "\n\n".join(path.read_text("utf-8") for path in sorted(ROOT.glob("docs/*.md")))
    return read_texts(
        tokenizer, pages, ROOT / "tests" / "talks", count=8, page_tokens=384, talk_tokens=256
    )


@pytest.fixture(scope="module")
def references(texts: Texts) -> dict[bool, Found]:
    found: dict[bool, Found] = {}
    for is_gptq in (False, True):
        variant = Variant(is_gptq, REFERENCE, 32)
        runner = build(variant, folder_of(variant), texts)
        found[is_gptq] = examine(runner, texts, REPLY_TOKENS, lambda _text: None)
    return found


@pytest.fixture
def gives_back() -> Iterator[None]:
    yield
    gc.collect()
    torch.cuda.empty_cache()


@pytest.mark.parametrize("variant", ON_GPU, ids=lambda variant: variant.words)
@pytest.mark.usefixtures("gives_back")
def test_text_is_the_references(
    variant: Variant, texts: Texts, references: dict[bool, Found]
) -> None:
    if variant.kernel == "Marlin" and not marlin_is_there():
        pytest.skip("Marlin cannot be compiled here")
    reference = references[variant.is_gptq]
    found = examine(build(variant, folder_of(variant), texts), texts, REPLY_TOKENS, lambda _: None)
    assert found.pages_perplexity < reference.pages_perplexity * (1 + WORSE_MOST)
    assert found.talks_perplexity < reference.talks_perplexity * (1 + WORSE_MOST)
    assert found.same_tokens(reference) > SAME_TOKENS[variant.cache_bits]
