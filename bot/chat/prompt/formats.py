"""Prompt formats, as data: how a model was taught to see who speaks.

A prompt is the system text in its wrapping, the turns in theirs, and the opening of the reply.
Sources: the model cards of Nous-Hermes-13B (both Alpaca forms), Vicuna 1.1 (FastChat), Llama 2
chat (Meta) and OpenAI's ChatML. No format spells the very first BOS: the tokenizer adds it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from bot.engine.api import ModelInfo
from bot.errors import SettingsError

Names = Literal["several", "character", "always"]


@dataclass(frozen=True, slots=True)
class Wrapping:
    """What stands before and after a text."""

    before: str = ""
    after: str = ""


@dataclass(frozen=True, slots=True)
class Thought:
    """How a model thinks before it answers, where its reply begins with that.

    The thought stands between `opens` and `closes`; `ends` is what the model itself writes when it
    has thought enough, and is the beginning of `closes` but for blanks.
    """

    opens: str  # "<think>\n"
    ends: str  # "</think>"
    closes: str  # "\n</think>\n\n"


@dataclass(frozen=True, slots=True)
class PromptFormat:
    """One format. The prompt ends with `bot.before` (and the name), without a trailing space."""

    name: str
    system: Wrapping
    user: Wrapping
    bot: Wrapping
    stops: tuple[str, ...]
    # Regular expressions over folded text (bot.chat.text.guard); the group `inside` is broken up.
    headers: tuple[str, ...]
    # What nobody may be called, in lower case.
    reserved_names: frozenset[str] = frozenset()
    # The message that a turn replies to: `{name}` and `{text}` are put in.
    quote: str = "[In reply to {name}: {text}]\n"
    quote_after: bool = False  # after the turn instead of before its text
    # A system text among the turns; None: it stands in a user's turn, in brackets.
    note: Wrapping | None = None
    # When lines begin with their speaker's name: where several people or personas talk; there and
    # when the persona is a character; always.
    names: Names = "several"
    # Roles must take turns: neighbours of one role are joined.
    alternates: bool = False
    # What closes the turns before the reply is opened.
    before_reply: str = ""
    # The system text stands inside the first user's turn, whose `before` it brings along (and
    # which stays empty when the bot speaks first).
    system_in_turn: bool = False
    # What opens a reply, where that is not `bot.before`.
    opening: str | None = None
    # The thought that opens a reply, after that.
    thought: Thought | None = None

    @property
    def reply(self) -> str:
        """What opens a reply that has neither a name nor a beginning."""
        return (self.before_reply + self.opens_reply).rstrip(" ")

    @property
    def opens_reply(self) -> str:
        """What stands before the bot's name in a reply."""
        return self.bot.before if self.opening is None else self.opening


_ALPACA_STOPS = ("\n### Instruction:", "\n### Response:", "\n### Input:")
_ALPACA_HEADERS = (r"#[#\s]{0,16}(?P<inside>instruction|response|input|system)",)
_ALPACA_NAMES = frozenset({"instruction", "response", "input", "system"})

ALPACA = PromptFormat(
    name="alpaca",
    system=Wrapping("", "\n\n"),
    user=Wrapping("### Instruction:\n", "\n\n"),
    bot=Wrapping("### Response:\n", "\n\n"),
    stops=_ALPACA_STOPS,
    headers=_ALPACA_HEADERS,
    reserved_names=_ALPACA_NAMES,
    # The card's other form: instruction, input (added context), response.
    quote="### Input:\n{name}: {text}\n\n",
    quote_after=True,
    note=Wrapping("### Input:\n", "\n\n"),
    names="character",
)

# The seeds' way of roleplay, also in the card's second form: the persona is the instruction, the
# conversation its input, the next line the response.
ALPACA_INPUT = PromptFormat(
    name="alpaca-input",
    system=Wrapping("### Instruction:\n", "\n\n### Input:\n"),
    user=Wrapping("", "\n"),
    bot=Wrapping("", "\n"),
    stops=_ALPACA_STOPS,
    headers=_ALPACA_HEADERS,
    reserved_names=_ALPACA_NAMES,
    names="always",
    before_reply="\n### Response:\n",
)

CHATML = PromptFormat(
    name="chatml",
    system=Wrapping("<|im_start|>system\n", "<|im_end|>\n"),
    user=Wrapping("<|im_start|>user\n", "<|im_end|>\n"),
    bot=Wrapping("<|im_start|>assistant\n", "<|im_end|>\n"),
    stops=("<|im_end|>", "<|im_start|>"),
    headers=(),
    reserved_names=frozenset({"system", "user", "assistant"}),
    note=Wrapping("<|im_start|>system\n", "<|im_end|>\n"),
)

VICUNA = PromptFormat(
    name="vicuna",
    system=Wrapping("", " "),
    user=Wrapping("USER: ", " "),
    bot=Wrapping("ASSISTANT: ", "</s>"),
    stops=("USER:", "ASSISTANT:", "</s>"),
    # Its turns may follow each other on one line, so its headers count anywhere.
    headers=(r"(?P<inside>user|assistant|system)[\s*_]{0,16}:",),
    reserved_names=frozenset({"system", "user", "assistant", "human"}),
    alternates=True,
)

LLAMA_2 = PromptFormat(
    name="llama-2",
    system=Wrapping("[INST] <<SYS>>\n", "\n<</SYS>>\n\n"),
    user=Wrapping("[INST] ", " [/INST]"),
    bot=Wrapping(" ", " </s><s>"),
    stops=("[INST]", "[/INST]", "<<SYS>>", "</s>"),
    headers=(r"\[\s{0,4}/?\s{0,4}(?P<inside>inst)", r"<\s{0,4}<\s{0,4}/?\s{0,4}(?P<inside>sys)"),
    reserved_names=frozenset({"inst", "sys", "system", "user", "assistant"}),
    alternates=True,
    system_in_turn=True,
)

FORMATS: Mapping[str, PromptFormat] = {
    prompt_format.name: prompt_format
    for prompt_format in (ALPACA, ALPACA_INPUT, CHATML, VICUNA, LLAMA_2)
}

# Looked for in the chat template and then in the model's name, in this order.
_TEMPLATE_HINTS = (
    ("<|im_start|>", CHATML),
    ("<<SYS>>", LLAMA_2),
    ("### Instruction", ALPACA),
    ("[INST]", LLAMA_2),
    ("ASSISTANT:", VICUNA),
)
_NAME_HINTS = (
    (r"hermes[-_ ]?(2|3|4)|openhermes|smollm|qwen|dolphin|chatml|[-_]yi[-_]", CHATML),
    (r"alpaca|hermes|chronos|mythomax|airoboros", ALPACA),
    (r"vicuna|wizard-?lm", VICUNA),
    (r"llama[-_ ]?2.*chat|mistral.*instruct|mixtral.*instruct", LLAMA_2),
)


def choose_format(setting: str, info: ModelInfo) -> PromptFormat:
    """The format of that name; for "auto" the one that fits the model.

    "auto" asks the model's chat template, its special tokens, its name and its end-of-sequence
    token, in this order, and takes Alpaca when none of them tells. Raises SettingsError.
    """
    wanted = setting.strip().lower()
    if wanted in FORMATS:
        return FORMATS[wanted]
    if wanted not in ("", "auto"):
        raise SettingsError(
            f"PROMPT_FORMAT is «{setting[:40]}», which is not a format.",
            f"Use auto, {', '.join(FORMATS)}.",
        )
    for hint, found in _TEMPLATE_HINTS:
        if info.chat_template and hint in info.chat_template:
            return found
    if "<|im_start|>" in info.special_tokens:
        return CHATML
    for pattern, found in _NAME_HINTS:
        if re.search(pattern, info.name.lower()):
            return found
    return CHATML if info.eos_token == "<|im_end|>" else ALPACA  # noqa: S105 - a token of text
