"""The models that `model suggest` knows, from models.toml, where each figure has its source."""

import tomllib
from difflib import get_close_matches
from functools import cache
from importlib.resources import files

from pydantic import BaseModel, ConfigDict, Field

from bot.engine.models.gguf.memory import ModelShape, memory_need
from bot.engine.models.hub.names import HubName

# What the engine for GPTQ takes of a card beside weights and cache: 12 and 24 GB had room for 4,672
# and 19,008 tokens of this model's 819 kB (docs/benchmarks).
GPTQ_BESIDE_BYTES = 1_200_000_000
GPTQ_CACHE_BYTES = 2  # of one number


class Shape(BaseModel):
    """The sizes that decide the memory, as the model's configuration has them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    layers: int = Field(gt=0)
    embedding: int = Field(gt=0)
    vocabulary: int = Field(gt=0)
    kv_heads: int = Field(gt=0)
    key_length: int = Field(gt=0)
    value_length: int = Field(gt=0)
    feed_forward: int = Field(gt=0)
    window: int = 0
    window_layers: int = 0


class Suggestion(BaseModel):
    """One model. `file` is empty for one that is taken whole (GPTQ)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str  # what people type
    title: str
    hub: str
    file: str = ""
    purpose: str
    licence: str
    licence_source: str
    bytes: int = Field(gt=0)  # on the disk
    size_source: str
    context: int = Field(gt=0)  # tokens
    shape: Shape
    shape_source: str

    @property
    def hub_name(self) -> HubName:
        """What it is called on the hub."""
        return HubName(self.hub, self.file)

    @property
    def is_gguf(self) -> bool:
        """Whether llama.cpp runs it; else it needs a GPU."""
        return bool(self.file)

    def memory_bytes(self, context_tokens: int, conversations: int) -> int | None:
        """What it takes with so many conversations of so many tokens; None beyond its context."""
        if context_tokens > self.context:
            return None
        shape = ModelShape(**self.shape.model_dump())
        if self.is_gguf:
            return memory_need(shape, self.bytes, context_tokens, conversations).total
        numbers = shape.layers * self.shape.kv_heads * (shape.key_length + shape.value_length)
        cache = numbers * GPTQ_CACHE_BYTES * context_tokens * conversations
        return self.bytes + GPTQ_BESIDE_BYTES + cache


@cache
def catalogue() -> tuple[Suggestion, ...]:
    """All of them, the modest first."""
    text = files("bot.engine.models.suggest").joinpath("models.toml").read_text(encoding="utf-8")
    return tuple(Suggestion.model_validate(entry) for entry in tomllib.loads(text)["model"])


def named(text: str) -> Suggestion | None:
    """The model of that short name."""
    wanted = text.strip().lower()
    return next((one for one in catalogue() if one.name == wanted), None)


def nearest(text: str) -> str:
    """The short name that was perhaps meant, as a question with a space behind it; or nothing."""
    near = get_close_matches(text.strip().lower(), [one.name for one in catalogue()], 1)
    return f"Is it {near[0]}? " if near else ""
