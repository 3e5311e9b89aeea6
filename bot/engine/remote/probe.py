"""Asks a remote server what it is: its model, its context, and whose `/tokenize` it has.

Shapes: vLLM `/v1/models` (`max_model_len`) and `/tokenize` (`{model, prompt}` -> `count`);
llama.cpp `/props` (`default_generation_settings.n_ctx`, `chat_template`) and `/tokenize`
(`{content}` -> `tokens`). Both serve these at the root, beside `/v1`.
"""

import json
from dataclasses import dataclass
from typing import Any, Literal, cast

import aiohttp

from bot.errors import RemoteEngineError

ANSWER_BYTES = 4 << 20
PROBE_SECONDS = 10.0
PROBE_TEXT = "one two"
REDIRECTS = range(300, 400)
FIX_REDIRECT = "Set OPENAI_BASE_URL to the address where the server really is."

TokenizeShape = Literal["vllm", "llama.cpp"]


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What the server said of itself."""

    model: str = ""
    context_tokens: int = 0
    chat_template: str | None = None
    tokenize_url: str = ""
    tokenize_shape: TokenizeShape | None = None


async def probe_server(session: aiohttp.ClientSession, base_url: str, model: str) -> ServerFacts:
    """Ask. Raises RemoteEngineError when no server answers at all, or it refuses the key."""
    models = await _ask(session, "GET", f"{base_url}/models", must_answer=True)
    listed: object = models.get("data")
    rows = cast("list[object]", listed) if isinstance(listed, list) else []
    known = [cast("dict[str, Any]", row) for row in rows if isinstance(row, dict)]
    mine = next((row for row in known if row.get("id") == model), None)
    if mine is None and known and not model:
        mine = known[0]
    name = str((mine or {}).get("id") or model)
    root = base_url.removesuffix("/v1")
    props = await _ask(session, "GET", f"{root}/props")
    shape = await _tokenize_shape(session, f"{root}/tokenize", name)
    template = props.get("chat_template")
    return ServerFacts(
        model=name,
        context_tokens=_context(mine or {}, props),
        chat_template=template if isinstance(template, str) else None,
        tokenize_url=f"{root}/tokenize" if shape else "",
        tokenize_shape=shape,
    )


def tokenize_body(shape: TokenizeShape, model: str, text: str) -> dict[str, object]:
    """The question in the server's own shape, without a beginning-of-sequence token."""
    if shape == "vllm":
        return {"model": model, "prompt": text, "add_special_tokens": False}
    return {"content": text, "add_special": False, "parse_special": True}


def tokenize_count(answer: dict[str, Any]) -> int | None:
    """The number of tokens in either server's answer."""
    count, tokens = answer.get("count"), answer.get("tokens")
    if isinstance(count, int) and not isinstance(count, bool) and count >= 0:
        return count
    return len(cast("list[Any]", tokens)) if isinstance(tokens, list) else None


def redirected(response: aiohttp.ClientResponse) -> str:
    """Where the server sends us, in words.

    Nothing follows it there: the key and the prompts are meant for the server that was named.
    """
    to = " ".join(response.headers.get("Location", "nowhere").split())[:200]
    return f"The model's server answered {response.status} and sends us to {to}."


async def ask_json(
    session: aiohttp.ClientSession, method: str, url: str, body: dict[str, object] | None = None
) -> tuple[int, dict[str, Any]]:
    """Status and JSON object of a small answer ({} when it is none).

    Raises aiohttp.ClientError and TimeoutError; RemoteEngineError where it sends us elsewhere.
    """
    timeout = aiohttp.ClientTimeout(total=PROBE_SECONDS)
    async with session.request(
        method, url, json=body, timeout=timeout, allow_redirects=False
    ) as response:
        if response.status in REDIRECTS:
            raise RemoteEngineError(redirected(response), FIX_REDIRECT)
        raw = b""
        async for piece in response.content.iter_chunked(1 << 16):
            raw += piece
            if len(raw) > ANSWER_BYTES:
                return response.status, {}
    try:
        found: object = json.loads(raw)
    except (ValueError, RecursionError):
        return response.status, {}
    return response.status, cast("dict[str, Any]", found) if isinstance(found, dict) else {}


async def _ask(
    session: aiohttp.ClientSession, method: str, url: str, *, must_answer: bool = False
) -> dict[str, Any]:
    try:
        status, answer = await ask_json(session, method, url)
    except RemoteEngineError:
        if must_answer:
            raise
        return {}
    except (aiohttp.ClientError, TimeoutError) as error:
        if must_answer:
            raise RemoteEngineError(
                f"The model's server at {url} cannot be reached ({error or 'no answer in time'}).",
                "Is it running? OPENAI_BASE_URL says where it is looked for.",
            ) from error
        return {}
    if must_answer and status in (401, 403):
        raise RemoteEngineError(
            f"The model's server refused us ({status}).", "Check OPENAI_API_KEY."
        )
    return answer if status == 200 else {}


async def _tokenize_shape(
    session: aiohttp.ClientSession, url: str, model: str
) -> TokenizeShape | None:
    shapes: tuple[TokenizeShape, ...] = ("vllm", "llama.cpp")
    for shape in shapes:
        try:
            status, answer = await ask_json(
                session, "POST", url, tokenize_body(shape, model, PROBE_TEXT)
            )
        except (aiohttp.ClientError, TimeoutError, RemoteEngineError):
            return None
        # llama.cpp answers a body without `content` with an empty list: not the shape it means.
        if status == 200 and tokenize_count(answer):
            return shape
    return None


def _context(model: dict[str, Any], props: dict[str, Any]) -> int:
    settings = props.get("default_generation_settings")
    slot = cast("dict[str, Any]", settings) if isinstance(settings, dict) else {}
    meta = model.get("meta")
    extra = cast("dict[str, Any]", meta) if isinstance(meta, dict) else {}
    for value in (model.get("max_model_len"), slot.get("n_ctx"), extra.get("n_ctx")):
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
    return 0
