"""What people are told where llama.cpp's engine cannot serve them."""

from bot.engine.api import EngineState
from bot.errors import EngineFailed, EngineUnavailable, RequestTooLarge


class ProcessEnded(EngineFailed):
    """llama.cpp's process is gone; it is being started again."""


def check_fits(prompt_tokens: int, reply_tokens: int, context_tokens: int) -> None:
    """Raises RequestTooLarge. The last token is chosen, never computed."""
    if prompt_tokens + reply_tokens > context_tokens + 1:
        raise RequestTooLarge(
            f"A prompt of {prompt_tokens} tokens and a reply of up to {reply_tokens} "
            f"cannot fit: the model has room for {context_tokens}.",
            "Shorten the message or the persona, or lower max_reply_tokens.",
        )


def stopped() -> EngineUnavailable:
    """The engine was closed."""
    return EngineUnavailable("The engine was stopped.", "Start the bot again.")


def unavailable(state: EngineState, *, could_not_load: str) -> EngineUnavailable:
    """There is no model to serve with; `could_not_load` says why none ever was."""
    match state:
        case EngineState.RESTARTING:
            return EngineUnavailable(
                "The model is being restarted after a fault.", "Try again in a moment."
            )
        case EngineState.STOPPED if could_not_load:
            return EngineUnavailable(
                f"The model could not be loaded: {could_not_load}", "Start the bot again."
            )
        case EngineState.STOPPED:
            return stopped()
        case _:
            return EngineUnavailable("The model is still being loaded.", "Try again in a moment.")
