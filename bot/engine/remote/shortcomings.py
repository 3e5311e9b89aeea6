"""What does not work as it should with some servers, in words for people."""

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


def shortcomings(*, uses_chat: bool, wraps_prompts: bool) -> tuple[tuple[str, str], ...]:
    """What is lost with a server, and what to do about it."""
    if uses_chat:
        return ((CHAT_ALONE, "Use a server with /completions, if that matters."),)
    return ((WRAPS_PROMPTS, FIX_WRAPPING),) if wraps_prompts else ()
