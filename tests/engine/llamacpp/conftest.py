"""The embedded model on llama.cpp. It is started as seldom as can be."""

from collections.abc import AsyncGenerator, Callable

import pytest
import pytest_asyncio

from bot.engine.api import Chunk, GenerationRequest, Sampling
from bot.engine.llamacpp.engine import LlamaCppEngine
from bot.engine.llamacpp.loading import Prepared
from bot.engine.models.embedded import NAME, find_embedded
from bot.engine.models.gguf.file import GgufHeader, read_gguf_header

GREEDY = Sampling(temperature=0, top_p=1, repetition_penalty=1)


@pytest.fixture(scope="session")
def header() -> GgufHeader:
    return read_gguf_header(find_embedded().path)


@pytest.fixture(scope="session")
def prepared(header: GgufHeader) -> Prepared:
    return Prepared(NAME, header, cpu_threads=1, is_frugal=True)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine(prepared: Prepared) -> AsyncGenerator[LlamaCppEngine, None]:
    """One for all tests of a module."""
    engine = LlamaCppEngine(lambda _: prepared, model="demo", backoff_seconds=(0.05, 1.0))
    await engine.start()
    yield engine
    await engine.close()


@pytest.fixture(scope="session")
def asking() -> Callable[..., GenerationRequest]:
    """A request of the embedded model, in its own format."""

    def ask(text: str, channel: str = "c", **options: object) -> GenerationRequest:
        return GenerationRequest(
            f"<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n",
            channel=channel,
            user=str(options.pop("user", channel)),
            **{"sampling": GREEDY, "max_tokens": 16, **options},  # type: ignore[arg-type]
        )

    return ask


@pytest.fixture(scope="session")
def write() -> Callable[..., object]:
    """Have a whole reply written: its text and its last chunk."""

    async def write(engine: LlamaCppEngine, request: GenerationRequest) -> tuple[str, Chunk]:
        text, last = "", Chunk("")
        async for last in engine.generate(request):
            text += last.text
        return text, last

    return write
