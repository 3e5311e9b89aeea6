"""The chat templates of model families, in their shapes: see prompt/templates/README.md."""

from dataclasses import dataclass, replace
from pathlib import Path

from bot.chat.prompt.template import Template

_FOLDER = Path(__file__).parent / "prompt" / "templates"
_SENTENCE = "<\uff5c{}\u2581of\u2581sentence\uff5c>"


@dataclass(frozen=True, slots=True)
class Family:
    """A family's tokens, the format that its template is known as, and what it demands."""

    bos: str = ""
    eos: str = "</s>"
    known_as: str = "template"
    takes_system: bool = True
    moves_system: bool = False  # into the newest turn
    alternates: bool = False


FAMILIES = {
    "llama-2": Family("<s>", known_as="llama-2", alternates=True),
    "llama-3": Family("<|begin_of_text|>", "<|eot_id|>"),
    "llama-3.1": Family("<|begin_of_text|>", "<|eot_id|>"),
    "mistral-v1": Family("<s>", takes_system=False, alternates=True),
    "mistral-v3": Family("<s>", moves_system=True, alternates=True),
    "mistral-nemo": Family("<s>", moves_system=True, alternates=True),
    "mistral-small": Family("<s>"),
    "gemma-2": Family("<bos>", "<eos>", takes_system=False, alternates=True),
    "gemma-3": Family("<bos>", "<eos>", alternates=True),
    "phi-3": Family("<s>", "<|endoftext|>"),
    "phi-3-mini": Family("<s>", "<|endoftext|>", takes_system=False, alternates=True),
    "phi-4": Family("<|endoftext|>", "<|im_end|>"),
    "qwen-2.5": Family("", "<|im_end|>", known_as="chatml"),
    "qwen-3": Family("", "<|im_end|>", known_as="chatml"),
    "chatml": Family("<|im_start|>", "<|im_end|>", known_as="chatml"),
    "deepseek-v3": Family(_SENTENCE.format("begin"), _SENTENCE.format("end")),
    "deepseek-r1-distill": Family(_SENTENCE.format("begin"), _SENTENCE.format("end")),
    "zephyr": Family("<s>", "</s>"),
    "command-r": Family("<BOS_TOKEN>", "<|END_OF_TURN_TOKEN|>", alternates=True),
    "vicuna": Family("<s>", "</s>", known_as="vicuna", alternates=True),
    "alpaca": Family("<s>", "</s>", known_as="alpaca"),
    "gpt-oss": Family("<|startoftext|>", "<|return|>"),
}


def template_of(name: str) -> Template:
    """The template of a family, with its tokens."""
    family = FAMILIES[name]
    source = (_FOLDER / f"{name}.jinja").read_text(encoding="utf-8")
    return replace(Template(source), bos_token=family.bos, eos_token=family.eos)
