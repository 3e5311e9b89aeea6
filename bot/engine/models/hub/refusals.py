"""What to tell people when the hub says no, or nothing."""

import re
import time
from email.utils import parsedate_to_datetime

import aiohttp

from bot.errors import ModelError

HOW_TO_SIGN_IN = (
    "Make a token at https://huggingface.co/settings/tokens and put it before the command: "
    "HF_TOKEN=hf_…"
)


MOST_WAIT_SECONDS = 7 * 86_400  # a longer one is no wait, but a mistake

_RESET = re.compile(r";\s*t=(\d{1,9})(?:[;,\s]|\Z)")


class TransferBrokenError(Exception):
    """A fault that may pass: worth another attempt."""

    def __init__(self, why: str, wait_seconds: int = 0) -> None:
        """`wait_seconds`: before the server will hear of it again; 0 where it doesn't say."""
        super().__init__(why)
        self.wait_seconds = wait_seconds


def refusal(
    hub_id: str, response: aiohttp.ClientResponse, *, has_token: bool, suggest: str
) -> ModelError | TransferBrokenError:
    """What an answer of 300 and more means (X-Error-Code tells more than its number).

    `suggest` is the command that lists models.
    """
    code = response.headers.get("X-Error-Code", "")
    page = f"https://huggingface.co/{hub_id}"
    if response.status == 429 or response.status >= 500:
        return busy(response, "the server answers")
    if code == "GatedRepo" or (response.status == 403 and code != "RepoNotFound"):
        return ModelError(
            f"{hub_id} is only for those who accepted its terms.",
            f"Accept them at {page}, then run this with your token. {HOW_TO_SIGN_IN}"
            if not has_token
            else f"Accept them at {page} with the account that the token in HF_TOKEN is of.",
        )
    if response.status == 401 and has_token and code != "RepoNotFound":
        return ModelError("The hub does not accept the token in HF_TOKEN.", HOW_TO_SIGN_IN)
    if code == "EntryNotFound":
        return ModelError(
            f"{hub_id} has lost a file that its list names.",
            "Try again: the model may just be changing.",
        )
    if response.status in (401, 404):
        return ModelError(
            f"Hugging Face has no model {hub_id}, or it is private.",
            f"Check its spelling ({suggest} lists some). A private one needs your token. "
            f"{HOW_TO_SIGN_IN}",
        )
    return ModelError(
        f"The hub refuses {hub_id} with error {response.status}.",
        "Try again later, or take another model.",
    )


def busy(response: aiohttp.ClientResponse, who_answers: str) -> TransferBrokenError:
    """A server's error that may pass, and after how long, where it says so."""
    wait = wait_seconds(response.headers.get("Retry-After", ""), time.time())
    if not wait and response.status == 429:  # the hub says it in a header of its own
        found = _RESET.search(response.headers.get("RateLimit", ""))
        wait = int(found[1]) if found else 0
    wait = wait if wait <= MOST_WAIT_SECONDS else 0
    of = " (too many requests)" if response.status == 429 else ""
    return TransferBrokenError(f"{who_answers} with error {response.status}{of}", wait)


def wait_seconds(retry_after: str, now: float) -> int:
    """What a header Retry-After asks for (RFC 9110, 10.2.3: seconds or a date); 0 for nothing."""
    text = retry_after.strip()
    if text.isascii() and text.isdigit() and len(text) <= 9:
        return int(text)
    try:
        moment = parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return 0
    return max(0, round(moment - now))


def try_again(error: TransferBrokenError) -> str:
    """When, in a sentence without its end: «Try again in 5 minutes»."""
    wait = error.wait_seconds
    if wait <= 0:
        return "Try again later"
    if wait <= 90:
        return f"Try again in {wait} second{'s' if wait > 1 else ''}"
    return f"Try again in {-(-wait // 60)} minutes"


def unreachable(hub_id: str, endpoint: str, error: Exception) -> ModelError:
    """Nobody answered, or nobody sensible."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientSSLError):
        return ModelError(
            f"The connection to {endpoint} is not safe: its certificate is not accepted.",
            "Check this machine's clock and certificates, and the proxy if there is one.",
        )
    if isinstance(error, TransferBrokenError):
        return ModelError(
            f"{endpoint} could not tell what {hub_id} holds: {error}.", f"{try_again(error)}."
        )
    if isinstance(error, TimeoutError):
        why = "it does not answer in time"
    else:
        why = "it cannot be reached"
    return ModelError(
        f"{hub_id} could not be looked up at {endpoint}: {why}.",
        "Check the connection (and HF_ENDPOINT and the proxy, if they are set).",
    )
