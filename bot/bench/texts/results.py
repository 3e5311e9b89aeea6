"""What the comparison of texts found: JSON and a page."""

from dataclasses import dataclass, field

from bot.bench.report import Table
from bot.bench.texts.measuring import Found
from bot.bench.texts.runners import REFERENCE, Variant


@dataclass(slots=True)
class TextResults:
    """Everything so far. `failed` are variants that did not run, with the reason."""

    model: str
    quantized: str  # how, in words
    command: str
    date: str
    machine: dict[str, object]
    texts: dict[str, int]  # how many and how long
    found: dict[Variant, Found] = field(default_factory=dict[Variant, Found])
    failed: dict[Variant, str] = field(default_factory=dict[Variant, str])

    def reference(self, *, is_gptq: bool) -> Found | None:
        """The float reference over these weights."""
        return self.found.get(Variant(is_gptq, REFERENCE, 32))

    def as_json(self) -> dict[str, object]:
        """Plain data, replies and all."""
        return {
            "model": self.model,
            "quantized": self.quantized,
            "command": self.command,
            "date": self.date,
            "machine": self.machine,
            "texts": self.texts,
            "variants": [
                {
                    "weights": "gptq" if variant.is_gptq else "16bit",
                    "kernel": variant.kernel or "cuBLAS",
                    "cache_bits": variant.cache_bits,
                    "pages_perplexity": round(found.pages_perplexity, 4),
                    "talks_perplexity": round(found.talks_perplexity, 4),
                    "replies": found.replies,
                }
                for variant, found in self.found.items()
            ],
            "failed": {variant.words: why for variant, why in self.failed.items()},
        }

    def table(self) -> Table:
        """A row for each variant; changes are against the reference over 16 bits."""
        columns = ("weights", "products", "cache", "pages", "change", "talks", "change")
        return Table(
            "Perplexity and greedy replies",
            (*columns, "same replies", "same tokens"),
            tuple(self._row(variant, found) for variant, found in self.found.items()),
        )

    def as_markdown(self) -> str:
        """A page."""
        processor = self.machine.get("gpu") or self.machine["processor"]
        sizes = ", ".join(f"{name} {value}" for name, value in self.texts.items())
        lines = [
            f"# {self.model}: kernels and caches by their text, {self.date}",
            "",
            f"`{self.command}`",
            "",
            f"- weights in 16 bits as the GGUF file has them, and made {self.quantized} from these",
            f"- on {processor}; the float reference computes in float32 on the processor",
            f"- texts: {sizes}",
            "- changes are against the reference over 16 bits",
            "- replies are compared with the reference's over the same weights",
            "- those of the reference over GPTQ with those of the reference over 16 bits",
            *(f"- did not run: {variant.words}: {why}" for variant, why in self.failed.items()),
            "",
            self.table().markdown(),
            "",
        ]
        return "\n".join(lines)

    def _row(self, variant: Variant, found: Found) -> tuple[str, ...]:
        first, own = self.reference(is_gptq=False), self.reference(is_gptq=variant.is_gptq)

        def change(value: float, base: float | None) -> str:
            return f"{value / base - 1:+.2%}" if base and found is not first else ""

        return (
            "GPTQ" if variant.is_gptq else "16 bits",
            variant.kernel or "cuBLAS",
            f"{variant.cache_bits} bits",
            f"{found.pages_perplexity:.3f}",
            change(found.pages_perplexity, first and first.pages_perplexity),
            f"{found.talks_perplexity:.3f}",
            change(found.talks_perplexity, first and first.talks_perplexity),
            *self._replies(variant, found, own, first),
        )

    def _replies(
        self, variant: Variant, found: Found, own: Found | None, first: Found | None
    ) -> tuple[str, str]:
        against = first if variant.kernel == REFERENCE else own
        if against is None or against is found:
            return "", ""
        same = f"{found.same_replies(against)} of {len(found.replies)}"
        return same, f"{found.same_tokens(against):.0%}"
