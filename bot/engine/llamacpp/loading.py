"""From a checked GGUF file to a server that answers."""

import asyncio
import logging
import secrets
from collections.abc import Awaitable
from dataclasses import dataclass
from http import HTTPStatus
from typing import cast

import psutil

from bot.engine.api import ModelInfo
from bot.engine.llamacpp.log import logger as child_logger
from bot.engine.llamacpp.plan import KvCache, Plan, describe, make_plan
from bot.engine.llamacpp.process import Abilities, LlamaProcess
from bot.engine.machine.cgroups import read_limits
from bot.engine.machine.threads import choose_threads
from bot.engine.models.gguf.file import GgufHeader
from bot.engine.remote.apis import COUNTING_APIS, MOST_TOKENS
from bot.engine.remote.counting import ServerCounter
from bot.engine.remote.link import Link
from bot.engine.remote.probe import ServerFacts
from bot.errors import EngineFailed, ModelError, RemoteEngineError
from bot.invocation import pip

log = logging.getLogger(__name__)

KEY_BYTES = 32
# How long a child may take before it counts as hanging: a busy machine takes its time to start it,
# and a file may lie on a slow disk or at the other end of a bad network.
START_SECONDS = 120.0
LOAD_SECONDS = 300.0
SLOWEST_BYTES_A_SECOND = 2_000_000
COUNTING = next(api for api in COUNTING_APIS if api.name == "llama.cpp")
REQUIREMENT = "xllamacpp==2026.10.11549"


@dataclass(frozen=True, slots=True)
class Prepared:
    """A file that was found and checked, and what its owner wants of it."""

    name: str
    header: GgufHeader
    context_tokens: int = 0
    cpu_threads: int = 0
    kv_cache: KvCache = "auto"
    is_frugal: bool = False


@dataclass(frozen=True, slots=True)
class LoadedServer:
    """A child with its model, ready to write."""

    process: LlamaProcess
    prepared: Prepared
    plan: Plan
    info: ModelInfo
    link: Link
    address: str
    counter: ServerCounter
    device: str
    kernel: str
    special_tokens: frozenset[str]

    async def tokenize(self, prompt: str) -> list[int]:
        """A whole prompt's tokens: begun with the model's BOS if it wants one, never with two.

        Raises RemoteEngineError and aiohttp.ClientError.
        """
        bos = self.info.bos_token
        question = {
            "content": prompt,
            "add_special": not (bos and prompt.startswith(bos)),
            "parse_special": True,
        }
        answer = await self.link.ask("POST", f"{self.address}{COUNTING.path}", question)
        found: object = answer.fields.get("tokens")
        if answer.status != HTTPStatus.OK or not isinstance(found, list):
            raise RemoteEngineError(f"llama.cpp does not read the prompt ({answer.status}).")
        tokens = cast("list[object]", found)
        return [token for token in tokens if isinstance(token, int) and 0 <= token <= MOST_TOKENS]


async def launch(
    process: LlamaProcess, preparing: Awaitable[Prepared], before: LoadedServer | None = None
) -> LoadedServer:
    """Start a child and have it load what is being prepared meanwhile.

    `before` is the one that has ended: the same model is run as it was. Raises ModelError, or
    EngineError where it is not the model's fault. The process is ended then.
    """
    task = asyncio.ensure_future(preparing)
    try:
        abilities, prepared = await asyncio.gather(_started(process), task)
        if before is not None and before.prepared == prepared:
            plan = before.plan
        else:
            plan = await asyncio.to_thread(_plan, prepared, abilities)
        return await _load(process, abilities, prepared, plan)
    except BaseException:  # whatever it is, also our own end: a child without a use is ended
        process.kill()
        task.cancel()
        raise


async def _started(process: LlamaProcess) -> Abilities:
    try:
        async with asyncio.timeout(START_SECONDS):
            return await process.start()
    except TimeoutError as error:
        raise ModelError(
            f"llama.cpp did not start within {START_SECONDS:,.0f} s.",
            "Is the machine out of memory, or a graphics card's driver stuck? Start the bot again.",
        ) from error
    except EngineFailed as error:
        if "ModuleNotFoundError" not in error.message:
            raise ModelError(f"llama.cpp does not start: {error.message}.") from error
        raise ModelError(
            "llama.cpp is not installed, and GGUF files need it.",
            f"Run `make setup`, or {pip(f'install {REQUIREMENT}')}.",
        ) from error


async def _load(
    process: LlamaProcess, abilities: Abilities, prepared: Prepared, plan: Plan
) -> LoadedServer:
    key = secrets.token_urlsafe(KEY_BYTES)
    is_verbose = child_logger.isEnabledFor(logging.DEBUG)
    parameters = plan.parameters(prepared.header.path, prepared.name, key, is_verbose=is_verbose)
    if abilities.cards:
        parameters |= plan.card_parameters()
    limit_seconds = LOAD_SECONDS + prepared.header.bytes / SLOWEST_BYTES_A_SECOND
    try:
        async with asyncio.timeout(limit_seconds):
            address = await process.load(parameters)
    except TimeoutError as error:
        raise ModelError(
            f"llama.cpp has not loaded {prepared.header.path} in {limit_seconds:,.0f} s.",
            "Perhaps the disk hangs: copy the file to another, and start again.",
        ) from error
    except EngineFailed as error:
        raise ModelError(
            f"llama.cpp cannot load {prepared.header.path}: {error.message}.",
            "Is the file whole, and made for this version? Download it again, or take another one.",
        ) from error
    link = Link(key, breaks_off_at_once=True)
    facts = ServerFacts(
        model=prepared.name, counting_api=COUNTING, counting_url=f"{address}{COUNTING.path}"
    )
    layers = process.log.offloaded()
    return LoadedServer(
        process=process,
        prepared=prepared,
        plan=plan,
        info=_describe(prepared, plan),
        link=link,
        address=address,
        counter=ServerCounter(link, facts, COUNTING),
        device=describe(plan, {card.name: layers for card in abilities.cards}),
        kernel=f"llama.cpp (xllamacpp {abilities.version})",
        special_tokens=frozenset(prepared.header.special_tokens),
    )


def _plan(prepared: Prepared, abilities: Abilities) -> Plan:
    return make_plan(
        prepared.header,
        free_bytes=_free_bytes(),
        card_bytes=[card.free_bytes for card in abilities.cards],
        threads=choose_threads(prepared.cpu_threads),
        context_tokens=prepared.context_tokens,
        kv_cache=prepared.kv_cache,
        is_frugal=prepared.is_frugal,
    )


def _free_bytes() -> int:
    """Memory that is free for us, also within a container."""
    free = int(psutil.virtual_memory().available)
    within = read_limits().memory_free_bytes
    return free if within is None else min(free, within)


def _describe(prepared: Prepared, plan: Plan) -> ModelInfo:
    header = prepared.header
    return ModelInfo(
        name=prepared.name,
        context_tokens=plan.context_tokens,
        chat_template=header.chat_template,
        special_tokens=header.special_tokens,
        eos_token=header.eos_token,
        bos_token=header.bos_token,
        added_tokens=1 if header.adds_bos else 0,
        sampling_defaults=header.sampling_defaults,
    )
