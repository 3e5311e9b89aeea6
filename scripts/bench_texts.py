"""What each kernel and each cache does to the embedded model's text.

Its GGUF is written out in 16 bits and quantized anew to GPTQ (once, into FOLDER, in minutes on a
processor). Then the float reference and, where there is a GPU, our own product, Marlin and Triton,
with keys and values in 16 and in 8 bits, read the same pages and talks and answer the same prompts.

    PYTHONPATH=. python scripts/bench_texts.py --folder /tmp/texts --json texts.json

JSON and page are written after each variant.
"""

import argparse
import gc
import json
import shlex
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import torch

from bot.bench.machine import describe_machine
from bot.bench.texts.dequantizing import dequantize
from bot.bench.texts.measuring import Texts, examine, read_texts
from bot.bench.texts.results import TextResults
from bot.bench.texts.runners import build, variants
from bot.engine.models.embedded import NAME, find_embedded
from bot.engine.models.folders.config import transformers_config
from bot.engine.models.folders.folder import ModelFolder, read_model_folder
from bot.engine.models.folders.tokenizers import load_tokenizer
from bot.engine.models.gptq.quantize import QuantizeRequest, quantize_model
from bot.engine.portable.loading import choose_device
from bot.errors import ModelError

ROOT = Path(__file__).parents[1]
PAGES = ("README.md", "docs/*.md", "docs/decisions/*.md")


def main() -> int:
    """Make, compare, write."""
    parser = argparse.ArgumentParser(description="Texts by each kernel and cache.")
    add = parser.add_argument
    add("--folder", type=Path, required=True, help="where the two checkpoints are, or are made")
    add("--json", type=Path, required=True)
    add("--markdown", type=Path)
    add("--count", type=int, default=12, help="texts of each kind (default: 12)")
    add("--page-tokens", type=int, default=768)
    add("--talk-tokens", type=int, default=384)
    add("--reply-tokens", type=int, default=64)
    add("--make-only", action="store_true", help="make the checkpoints and end")
    args = parser.parse_args()
    plain, quantized = make(args.folder)
    if args.make_only:
        return 0
    tokenizer = load_tokenizer(plain.path, transformers_config(plain.path, plain.config))
    texts = read_texts(
        tokenizer,
        "\n\n".join(page for pattern in PAGES for page in read_pages(pattern)),
        ROOT / "tests" / "talks",
        count=args.count,
        page_tokens=args.page_tokens,
        talk_tokens=args.talk_tokens,
    )
    results = TextResults(
        model=NAME,
        quantized=quantized.gptq.words if quantized.gptq else "",
        command=f"python scripts/{shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])}",
        date=datetime.now(UTC).strftime("%Y-%m-%d"),
        machine=describe_machine(choose_device()),
        texts={
            "pages": len(texts.pages),
            "of tokens": args.page_tokens,
            "talks": len(texts.talks),
            "of their tokens": args.talk_tokens,
            "replies": len(texts.prompts),
            "of new tokens": args.reply_tokens,
        },
    )
    compare(results, plain, quantized, texts, args)
    print(results.as_markdown())  # noqa: T201
    return 1 if results.failed else 0


def make(folder: Path) -> tuple[ModelFolder, ModelFolder]:
    """The weights in 16 bits and in GPTQ, made where they are not there."""
    plain, quantized = folder / "16bit", folder / "gptq"
    folder.mkdir(parents=True, exist_ok=True)
    if not plain.is_dir():
        say("Writing the weights out in 16 bits")
        dequantize(find_embedded().path, plain)
    if not quantized.is_dir():
        request = QuantizeRequest(str(plain), quantized)
        quantize_model(request, data_dir=folder, progress=lambda text, _fraction: say(text))
    return read_model_folder(plain), read_model_folder(quantized)


def compare(
    results: TextResults,
    plain: ModelFolder,
    quantized: ModelFolder,
    texts: Texts,
    args: argparse.Namespace,
) -> None:
    """Every variant; what does not run is noted."""
    for variant in variants(on_gpu=choose_device().type == "cuda"):
        began = time.monotonic()
        say(variant.words)
        path = (quantized if variant.is_gptq else plain).path
        try:
            results.found[variant] = examine(
                build(variant, path, texts), texts, args.reply_tokens, say
            )
        except (ModelError, RuntimeError, ValueError) as error:
            results.failed[variant] = f"{error}"[:300]
            say(f"failed: {results.failed[variant]}")
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        say(f"{time.monotonic() - began:.0f} s")
        args.json.write_text(json.dumps(results.as_json(), indent=1) + "\n", encoding="utf-8")
        if args.markdown is not None:
            args.markdown.write_text(results.as_markdown(), encoding="utf-8")


def read_pages(pattern: str) -> list[str]:
    """The project's own, in the order of their names."""
    return [path.read_text(encoding="utf-8") for path in sorted(ROOT.glob(pattern))]


def say(text: str) -> None:
    """On standard error."""
    print(f"{text} ...", file=sys.stderr, flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
