"""Asks a remote server what it is: its model, its context, how it counts, what it cannot do."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any

import aiohttp

from bot.engine.models.folders.generation import known_sampling
from bot.engine.remote.apis import (
    CONTEXT_APIS,
    COUNTING_APIS,
    ROW_CONTEXT,
    CountingApi,
    llama_sampling,
    ollama_sampling,
    rows_at,
    text_at,
    tokens_at,
)
from bot.engine.remote.link import Link
from bot.errors import RemoteEngineError

PROBE_SECONDS = 15.0  # for all of it
REFRESH_SECONDS = 3.0
PROBE_TEXT = "one two"
TOKEN_CHARACTERS = 64
TEMPLATE_CHARACTERS = 1 << 20
MOST_ADDED_TOKENS = 64
# Of `/models`: whatever stands before the model says that it isn't there yet.
NOT_READY = {
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
}
_VERSION = re.compile(r"/v\d+[a-z0-9]*(?=/|$)")
_ENDPOINT = re.compile(r"/+(chat/+)?completions/*$")
_NUM_CTX = re.compile(r"^\s*num_ctx\s+(\d{1,9})\s*$", re.MULTILINE)
_BARE_TEMPLATE = re.compile(r"\s*\{\{-?\s*\.Prompt\s*-?\}\}\s*")


class WrongAddressError(RemoteEngineError):
    """OPENAI_BASE_URL is not the address of an OpenAI-compatible API."""


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What the server said of itself."""

    model: str = ""
    context_tokens: int = 0
    context_api: str = ""  # the API that told it; "" for the list of models
    chat_template: str | None = None
    bos_token: str = ""
    eos_token: str = ""
    counting_api: CountingApi | None = None
    counting_url: str = ""
    counted_extra: int = 0  # tokens that it counts for no text at all
    added_tokens: int = 1  # that it puts before a prompt: where it doesn't tell, perhaps a BOS
    is_loading: bool = False  # it answers, but its model isn't there yet
    has_completions: bool = True
    wraps_prompts: bool = False  # in a template of its own
    # How its makers choose its tokens: as the server tells it, else as the model's name does.
    sampling: Mapping[str, float] = field(default_factory=dict[str, float])

    @property
    def kinds(self) -> tuple[str, ...]:
        """Which kinds of server it shows to be, by what it answers to."""
        counting = self.counting_api.name if self.counting_api else ""
        return tuple(filter(None, (counting, self.context_api)))


def tidy_base_url(base_url: str) -> str:
    """Without spaces, and without the endpoint that was copied along."""
    return _ENDPOINT.sub("", base_url.strip()).rstrip("/")


def root_of(base_url: str) -> str:
    """The server's root, beside `/v1`."""
    return re.sub(r"/v\d+[a-z0-9]*$", "", base_url)


async def probe_server(link: Link, base_url: str, model: str) -> ServerFacts:
    """Ask. Raises RemoteEngineError when no server answers at all, or it refuses the key.

    Raises WrongAddressError where the API is found at `/v1` below the address that was given.
    """
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            return await _Probe(link, base_url).facts(model)
    except TimeoutError as error:
        raise RemoteEngineError(
            f"The model's server at {base_url} takes longer than {PROBE_SECONDS:g} s to say what "
            "it is.",
            "See its log.",
        ) from error


async def refresh_facts(
    link: Link, base_url: str, facts: ServerFacts, wanted_model: str
) -> ServerFacts:
    """The facts after a short look: the model or its context may have changed meanwhile."""
    try:
        async with asyncio.timeout(REFRESH_SECONDS):
            return await _Probe(link, base_url).refreshed(facts, wanted_model)
    except (TimeoutError, RemoteEngineError):
        return facts  # whether it still answers, the request itself will tell


class _Probe:
    """One round of questions."""

    def __init__(self, link: Link, base_url: str) -> None:
        self._link = link
        self._base_url = base_url
        self._root = root_of(base_url)
        self._is_loading = False
        self._is_slow = False  # one question went without an answer: no more of the optional ones

    async def facts(self, wanted_model: str) -> ServerFacts:
        row = await self._model_row(wanted_model)
        await self._check_version()
        name = wanted_model or await self._loaded_model() or _id_of(row)
        props = await self._get("/props")
        facts = ServerFacts(
            model=name,
            context_tokens=_row_context(row),
            chat_template=_template(props.get("chat_template")),
            bos_token=text_at(props, "bos_token", most=TOKEN_CHARACTERS),
            eos_token=text_at(props, "eos_token", most=TOKEN_CHARACTERS),
            sampling=llama_sampling(props) or known_sampling(name),
        )
        facts = await self._with_counting(facts)
        facts = await self._with_context(facts)
        if facts.counting_api is None:
            facts = await self._with_ollama(facts)
        return replace(
            facts, has_completions=await self._has_completions(), is_loading=self._is_loading
        )

    async def refreshed(self, facts: ServerFacts, wanted_model: str) -> ServerFacts:
        row = await self._model_row(wanted_model)
        name = facts.model if wanted_model else _id_of(row) or facts.model
        if facts.context_api:
            context = await self._context_of(facts.context_api, facts.model)
        else:
            context = _row_context(row)
        sampling = facts.sampling
        if facts.counting_api is not None and facts.counting_api.name == _LLAMA_CPP:
            sampling = llama_sampling(await self._get("/props")) or known_sampling(name)
        if self._is_loading:
            return replace(facts, is_loading=True)
        context = context or facts.context_tokens
        return replace(facts, model=name, context_tokens=context, sampling=sampling)

    async def _model_row(self, wanted_model: str) -> dict[str, Any]:
        """The model's own row of `/models`, or the first where none is wanted; {} for none."""
        answer = await self._ask_models(f"{self._base_url}/models")
        rows = rows_at(answer, "data")
        for row in rows:
            if wanted_model and row.get("id") == wanted_model:
                return row
        return rows[0] if rows and not wanted_model else {}

    async def _loaded_model(self) -> str:
        """Of servers whose list has models that are not loaded: TabbyAPI, text-generation-webui."""
        loaded = _id_of(await self._get("/v1/model"))
        return loaded or text_at(await self._get("/v1/internal/model/info"), "model_name")

    async def _ask_models(self, url: str) -> dict[str, Any]:
        try:
            answer = await self._link.ask("GET", url)
        except (aiohttp.ClientError, TimeoutError) as error:
            what = " ".join(str(error).split())[:200] or "no answer in time"
            raise RemoteEngineError(
                f"The model's server at {url} cannot be reached ({what}).",
                "Is it running? OPENAI_BASE_URL says where it is looked for.",
            ) from error
        if answer.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            raise RemoteEngineError(
                f"The model's server refused us ({answer.status}).", "Check OPENAI_API_KEY."
            )
        self._is_loading = answer.status in NOT_READY
        return answer.fields if answer.status == HTTPStatus.OK else {}

    async def _check_version(self) -> None:
        if _VERSION.search(self._base_url.partition("://")[2]):
            return
        versioned = await self._get("/v1/models")
        if isinstance(versioned.get("data"), list):
            raise WrongAddressError(
                "OPENAI_BASE_URL lacks /v1: the server's API is found at "
                f"{self._base_url}/v1, not at {self._base_url}.",
                f"Set OPENAI_BASE_URL={self._base_url}/v1.",
            )

    async def _with_counting(self, facts: ServerFacts) -> ServerFacts:
        for api in COUNTING_APIS:
            url = self._root + api.path

            async def count(
                text: str, special: bool, api: CountingApi = api, url: str = url
            ) -> int | None:
                answer = await self._ask("POST", url, api.question(facts.model, text, special))
                return api.count(text, answer)

            # llama.cpp answers a body without `content` with an empty list: not the shape it means.
            plain = await count(PROBE_TEXT, False)
            if not plain:
                continue
            extra = min(await count("", False) or 0, MOST_ADDED_TOKENS)
            special = await count(PROBE_TEXT, True) or 0
            return replace(
                facts,
                counting_api=api,
                counting_url=url,
                counted_extra=extra,
                added_tokens=min(max(1, extra, special - plain), MOST_ADDED_TOKENS),
            )
        return facts

    async def _with_context(self, facts: ServerFacts) -> ServerFacts:
        if facts.context_tokens:
            return facts
        for name in (*(api.name for api in CONTEXT_APIS), _LM_STUDIO):
            tokens = await self._context_of(name, facts.model)
            if tokens:
                return replace(facts, context_tokens=tokens, context_api=name)
        return facts

    async def _with_ollama(self, facts: ServerFacts) -> ServerFacts:
        shown = await self._show(facts.model)
        template = _template(shown.get("template"))
        if template is None and not isinstance(shown.get("model_info"), dict):
            return facts
        if not facts.context_tokens:
            tokens = await self._context_of(_OLLAMA, facts.model)
            facts = replace(facts, context_tokens=tokens, context_api=_OLLAMA)
        return replace(
            facts,
            chat_template=facts.chat_template or template,
            wraps_prompts=template is not None and not _BARE_TEMPLATE.fullmatch(template),
            sampling=ollama_sampling(shown) or facts.sampling,
        )

    async def _context_of(self, name: str, model: str) -> int:
        """The context as the API of that name tells it; 0 where it does not."""
        special: dict[str, Callable[[str], Awaitable[int]]] = {
            _OLLAMA: self._ollama_context,
            _LM_STUDIO: self._lm_studio_context,
        }
        if name in special:
            return await special[name](model)
        for api in CONTEXT_APIS:
            if api.name == name:
                return api.context(await self._get(api.path))
        return 0

    async def _ollama_context(self, model: str) -> int:
        """As the model runs; where it doesn't, as it is to run; else the longest it can take."""
        for row in rows_at(await self._get("/api/ps"), "models"):
            names = (row.get("name"), row.get("model"))
            if model in names or f"{model}:latest" in names:
                tokens = tokens_at(row, "context_length")
                if tokens:
                    return tokens
        shown = await self._show(model)
        parameters = shown.get("parameters")
        if isinstance(parameters, str) and (found := _NUM_CTX.search(parameters)):
            return int(found[1])
        family = text_at(shown, "model_info", "general.architecture")
        return tokens_at(shown, "model_info", f"{family}.context_length")

    async def _lm_studio_context(self, model: str) -> int:
        for row in rows_at(await self._get("/api/v0/models"), "data"):
            if row.get("id") == model:
                return tokens_at(row, "loaded_context_length") or tokens_at(
                    row, "max_context_length"
                )
        return 0

    async def _show(self, model: str) -> dict[str, Any]:
        body = {"model": model, "name": model}
        return await self._ask("POST", f"{self._root}/api/show", body)

    async def _has_completions(self) -> bool:
        """False where it is sure that there is only `/chat/completions`.

        Frameworks that answer the wrong method with 405 tell so; for others the first request does.
        """
        status = await self._status(f"{self._base_url}/completions")
        if status != HTTPStatus.NOT_FOUND:
            return True
        chat = await self._status(f"{self._base_url}/chat/completions")
        return chat != HTTPStatus.METHOD_NOT_ALLOWED

    async def _get(self, path: str) -> dict[str, Any]:
        return await self._ask("GET", self._root + path)

    async def _ask(
        self, method: str, url: str, body: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """The answer's object; {} where there is none, for whatever reason."""
        if self._is_slow:
            return {}
        try:
            answer = await self._link.ask(method, url, body)
        except (aiohttp.ClientError, RemoteEngineError):
            return {}
        except TimeoutError:
            self._is_slow = True
            return {}
        if answer.status == HTTPStatus.SERVICE_UNAVAILABLE:
            self._is_loading = True
        return answer.fields if answer.status == HTTPStatus.OK else {}

    async def _status(self, url: str) -> int:
        if self._is_slow:
            return 0
        try:
            return (await self._link.ask("GET", url)).status
        except (aiohttp.ClientError, TimeoutError, RemoteEngineError):
            return 0


_LLAMA_CPP = "llama.cpp"
_OLLAMA = "Ollama"
_LM_STUDIO = "LM Studio"


def _id_of(row: object) -> str:
    return text_at(row, "id")


def _row_context(row: object) -> int:
    return next(filter(None, (tokens_at(row, *way) for way in ROW_CONTEXT)), 0)


def _template(found: object) -> str | None:
    return found if isinstance(found, str) and len(found) <= TEMPLATE_CHARACTERS else None
