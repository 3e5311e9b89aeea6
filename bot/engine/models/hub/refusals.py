"""What to tell people when the hub says no, or nothing."""

import aiohttp

from bot.errors import ModelError

HOW_TO_SIGN_IN = (
    "Make a token at https://huggingface.co/settings/tokens and put it before the command: "
    "HF_TOKEN=hf_…"
)


class TransferBrokenError(Exception):
    """A fault that may pass: worth another attempt."""


def refusal(
    hub_id: str, response: aiohttp.ClientResponse, *, has_token: bool, suggest: str
) -> ModelError | TransferBrokenError:
    """What an answer of 300 and more means (X-Error-Code tells more than its number).

    `suggest` is the command that lists models.
    """
    code = response.headers.get("X-Error-Code", "")
    page = f"https://huggingface.co/{hub_id}"
    if response.status == 429 or response.status >= 500:
        return TransferBrokenError(f"the server answers with error {response.status}")
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


def unreachable(hub_id: str, endpoint: str, error: Exception) -> ModelError:
    """Nobody answered, or nobody sensible."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientSSLError):
        return ModelError(
            f"The connection to {endpoint} is not safe: its certificate is not accepted.",
            "Check this machine's clock and certificates, and the proxy if there is one.",
        )
    if isinstance(error, TransferBrokenError):
        return ModelError(
            f"{endpoint} could not tell what {hub_id} holds: {error}.", "Try again later."
        )
    if isinstance(error, TimeoutError):
        why = "it does not answer in time"
    else:
        why = "it cannot be reached"
    return ModelError(
        f"{hub_id} could not be looked up at {endpoint}: {why}.",
        "Check the connection (and HF_ENDPOINT and the proxy, if they are set).",
    )
