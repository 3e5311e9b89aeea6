"""What does not work as it should with some servers, in words for people."""

from collections.abc import Collection

from bot.engine.remote.parameters import PENALTIES

CHAT_ALONE = (
    "The server has only /chat/completions: it writes the conversation in a format of its own, so "
    "PROMPT_FORMAT has no effect, counts and budget are not exact, and /chat continue begins a new "
    "message instead of going on within the sentence."
)
WRAPS_PROMPTS = (
    "The server wraps every prompt in the model's own template, although it is complete already, "
    "and cuts what is longer than its num_ctx without a word."
)
FIX_WRAPPING = (
    "Ollama: give the model `TEMPLATE {{ .Prompt }}` and `PARAMETER num_ctx` in a Modelfile."
)


FIX_SAMPLERS = "llama.cpp, TabbyAPI, KoboldCpp and text-generation-webui have them."
# Servers that read these settings and do nothing about them: no refusal tells so.
WITHOUT_DRY_AND_XTC = ("vllm", "Ollama", "LM Studio")


def shortcomings(
    uses_chat: bool, wraps_prompts: bool, missing: str = ""
) -> tuple[tuple[str, str], ...]:
    """What is lost with a server, and what to do about it; `missing` as below."""
    found: list[tuple[str, str]] = []
    if uses_chat:
        found.append((CHAT_ALONE, "Use a server with /completions, if that matters."))
    elif wraps_prompts:
        found.append((WRAPS_PROMPTS, FIX_WRAPPING))
    if missing:
        found.append((f"The server has no {missing}: what is set has no effect.", FIX_SAMPLERS))
    return tuple(found)


def missing_samplers(
    asked_for: Collection[str], kinds: Collection[str], refused: Collection[str]
) -> str:
    """Which of the samplers that were asked for a server doesn't have, in words; "" for none.

    `asked_for` and `refused` are parameters of requests, `kinds` the servers that it shows to be.
    """
    lacks = any(kind in WITHOUT_DRY_AND_XTC for kind in kinds)
    words = {"dry_multiplier": "DRY", "xtc_probability": "XTC"}
    missing = [words[name] for name in words if name in asked_for and (lacks or name in refused)]
    missing += sorted(name for name in PENALTIES if name in asked_for and name in refused)
    return " and no ".join(missing)
