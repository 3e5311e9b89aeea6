"""What a person is told when a reply fails: one plain line, never the cause itself."""

from bot.chat.messages import Flaw, Retry
from bot.errors import (
    CaduceusError,
    EngineFailed,
    EngineUnavailable,
    RemoteEngineError,
    RequestTooLarge,
    StoreError,
    UserError,
)

NOTHING_CAME = "The model had nothing to say to that. Try again, or put it in other words."
NOTHING_TO_ADD = "The model has nothing to add."
NOTHING_ALLOWED = (
    "What came has a word in it that this server does not want, so none of it is shown."
)
OUR_FAULT = (
    "Something went wrong here. Please try again; the bot's owner finds the cause in the log."
)

_FLAWS = {
    Flaw.EMPTY: "came out empty",
    Flaw.NAME: "was nothing but a name",
    Flaw.LOOP: "said the same thing over and over",
    Flaw.REPEATED: "nearly repeated an earlier reply",
}

_LINES: tuple[tuple[type[CaduceusError], str], ...] = (
    (RequestTooLarge, "That is more than the model can read at once. Try a shorter message."),
    (EngineUnavailable, "The model is not ready just now. Please try again in a minute."),
    (EngineFailed, "The model broke down while it was answering. Please try again."),
    (RemoteEngineError, "The model's server did not answer as it should. Please try again later."),
    (StoreError, "The bot's memory cannot be reached just now. Please try again later."),
)


def line_for_retry(retry: Retry) -> str:
    """What «Why this reply?» says of a reply that was written twice."""
    shown = "the first try was kept" if retry.kept_first else "this is the second try"
    return f"The first try {_FLAWS[retry.flaw]}; {shown}. The other took {retry.tokens} tokens."


def line_for(error: CaduceusError) -> str:
    """The line that people in the channel see."""
    for kind, line in _LINES:
        if isinstance(error, kind):
            return line
    if isinstance(error, UserError):
        return " ".join(str(error).split())
    return OUR_FAULT
