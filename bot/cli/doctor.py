"""``python -m bot doctor``: looks at everything, changes nothing, says what to do."""

import argparse
import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import TYPE_CHECKING

from bot.cli.findings import Finding, Grade, better_model, exit_code, from_error
from bot.engine.models.extras import is_installed
from bot.errors import CaduceusError, EngineError, SettingsError
from bot.invocation import setup
from bot.settings import DEMO_MODEL, ProcessSettings, load_settings

if TYPE_CHECKING:
    from bot.engine.api import Engine
    from bot.engine.models.inspection import Inspection

REMOTE_SECONDS = 30


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`--offline`."""
    parser.add_argument(
        "--offline", action="store_true", help="ask neither Discord nor the remote server"
    )


def run(args: argparse.Namespace, _settings: None) -> int:
    """Print one line for each thing; exit code 0, 1 or 2 as for every command."""
    # What the parts would log stands among the findings: it is not told twice.
    logging.getLogger("bot").addHandler(logging.NullHandler())
    return asyncio.run(_run(offline=args.offline))


async def _run(*, offline: bool) -> int:
    findings: list[Finding] = []
    async for finding in examine(offline=offline):
        findings.append(finding)
        print(finding, flush=True)
    code = exit_code(findings)
    to_fix = sum(finding.grade in (Grade.FAIL, Grade.FAULT) for finding in findings)
    first = " Start with the first." if to_fix > 1 else ""
    print(f"To fix: {to_fix}.{first}" if to_fix else "Nothing is broken.")
    return code


async def examine(*, offline: bool) -> AsyncIterator[Finding]:
    """Everything, in the order in which one would fix it."""
    try:
        settings = await asyncio.to_thread(load_settings)  # looks at folders
    except SettingsError as error:
        yield from_error("settings", error)
        return
    read = f"Read; ENGINE={settings.engine}, MODEL={settings.model}."
    if settings.fallback_engine:
        read += f" FALLBACK_ENGINE={settings.fallback_engine}."
    yield Finding(Grade.OK, "settings", read)
    for finding in await asyncio.to_thread(_check_machine, settings):
        yield finding
    for finding in await _check_personas(settings):
        yield finding
    for finding in await _check_database(settings):
        yield finding
    for finding in await _check_engine(settings, offline=offline):
        yield finding
    for finding in await _check_fallback(settings, offline=offline):
        yield finding
    for finding in await _check_token(settings, offline=offline):
        yield finding


def _check_machine(settings: ProcessSettings) -> list[Finding]:
    from bot.cli.machine_checks import check_machine

    return check_machine(
        settings.data_dir,
        local_engine="local" in (settings.engine, settings.fallback_engine),
        cpu_threads=settings.cpu_threads,
    )


async def _check_personas(settings: ProcessSettings) -> list[Finding]:
    from bot.chat.personas.library import PersonaLibrary
    from bot.owner_defaults import load_owner_defaults

    library = await asyncio.to_thread(PersonaLibrary, settings.personas_dir)
    findings = [
        Finding(
            Grade.WARN,
            "personas",
            problem,
            "Check PERSONAS_DIR." if name == str(settings.personas_dir) else "",
        )
        for name, problem in library.problems().items()
    ]
    if names := [persona.name for persona in await library.listed(None)]:
        findings.append(Finding(Grade.OK, "personas", f"{len(names)}: {', '.join(names)}."))
    else:
        text = f"None in {settings.personas_dir}: the bot speaks as itself."
        findings.append(Finding(Grade.WARN, "personas", text))
    try:
        await load_owner_defaults(settings.data_dir, library)
    except SettingsError as error:
        findings.append(from_error("defaults", error))
    return findings


async def _check_database(settings: ProcessSettings) -> list[Finding]:
    from bot.store.checks import ProblemKind, check

    grades = {ProblemKind.NOT_MADE: Grade.OK, ProblemKind.OUTDATED: Grade.WARN}

    try:
        problems = await check(settings.database_url)
    except CaduceusError as error:
        return [from_error("database", error)]
    if not problems:
        return [Finding(Grade.OK, "database", "Whole, and of this version.")]
    return [
        Finding(grades.get(problem.kind, Grade.FAIL), "database", problem.text)
        for problem in problems
    ]


async def _check_engine(settings: ProcessSettings, *, offline: bool) -> list[Finding]:
    from bot.chat.prompt.choosing import check_format_name

    try:
        check_format_name(settings.prompt_format)
    except SettingsError as error:
        return [from_error("format", error)]
    if settings.engine == "local":
        return await asyncio.to_thread(_check_model, settings, offline=offline)
    if settings.engine == "openai":
        return await _check_remote(settings, offline=offline)
    return [Finding(Grade.WARN, "engine", "`fake`: the replies are a script, no model.")]


async def _check_fallback(settings: ProcessSettings, *, offline: bool) -> list[Finding]:
    second = settings.fallback()
    if second is None:
        return []
    findings = await _check_engine(second, offline=offline)
    if settings.engine == second.engine == "openai":  # TOKENIZER is the first one's
        findings = [replace(one, fix="") if one.subject == "tokens" else one for one in findings]
    return [
        replace(finding, subject="fallback", text=f"{finding.subject}: {finding.text}")
        for finding in findings
    ]


def _check_model(settings: ProcessSettings, *, offline: bool) -> list[Finding]:
    from bot.cli.format_check import check_files_format
    from bot.cli.memory_check import check_files_memory
    from bot.engine.models.inspection import inspect_model

    seen = inspect_model(settings.model, data_dir=settings.data_dir, ask_hub=not offline)
    if not seen.loads:
        return [Finding(Grade.FAIL, "model", problem) for problem in seen.problems]
    if not seen.is_known:
        text = f"{seen.name} is neither a folder nor downloaded; not asked for (--offline)."
        return [Finding(Grade.WARN, "model", text, "Check its spelling, or run doctor online.")]
    details = [seen.architecture, seen.weights]
    if seen.parameters:
        details.append(f"{seen.parameters / 1e9:.2g} billion weights")
    if seen.context_tokens:
        details.append(f"context of {seen.context_tokens:,} tokens")
    text = f"{seen.name} ({seen.kind}): {', '.join(part for part in details if part)}."
    toy = better_model() if settings.model == DEMO_MODEL else ""
    return [
        *check_files_format(settings, seen),
        Finding(Grade.OK, "engine", _which_engine(seen)),
        *_guessing(settings, seen),
        *check_files_memory(settings, seen),
        Finding(Grade.OK, "model", " ".join([text, *seen.notes]), toy),
    ]


def _which_engine(seen: "Inspection") -> str:
    """What runs a model of that kind, and why."""
    if seen.is_gguf:
        return "llama.cpp, in a process of its own: it is a GGUF file."
    return "torch, in this process: it is a folder of safetensors files, not a GGUF file."


def _guessing(settings: ProcessSettings, seen: "Inspection") -> list[Finding]:
    """Whether words are guessed ahead, where torch runs the model."""
    if seen.is_gguf:
        return []
    texts = {
        "on": "on, while it is measured to be faster (GUESS_AHEAD=on).",
        "off": "off (GUESS_AHEAD=off).",
        "auto": "off, until it has been measured on a GPU (GUESS_AHEAD=auto).",
    }
    return [Finding(Grade.OK, "guessing ahead", texts[settings.guess_ahead])]


async def _check_remote(settings: ProcessSettings, *, offline: bool) -> list[Finding]:
    from bot.cli.format_check import check_format
    from bot.engine.remote.engine import OpenAIEngine
    from bot.engine_start import build_engine

    counting = "Tokens are counted by the server's /tokenize, where it has one, else by " + (
        f"TOKENIZER ({settings.tokenizer})." if settings.tokenizer else "a cautious estimate."
    )
    if offline:
        if settings.tokenizer is not None and not is_installed("tokenizers"):
            fix = f"Run {setup('tokenizer')}."
            return [Finding(Grade.WARN, "tokens", "TOKENIZER cannot be read here.", fix)]
        return [Finding(Grade.OK, "tokens", f"Not asked (--offline). {counting}")]
    engine = build_engine(settings)
    if not isinstance(engine, OpenAIEngine):
        raise AssertionError("ENGINE=openai builds an OpenAIEngine")
    try:
        async with asyncio.timeout(REMOTE_SECONDS):
            await engine.start()
        if (why := engine.not_ready) is not None:
            return [Finding(Grade.FAIL, "server", why.message, f"{why.fix} {counting}".strip())]
        spoken = await _say_a_word(engine)  # which may have to load the model first
        info, counted, shortcomings = engine.info, engine.counting, engine.shortcomings
    except TimeoutError:
        return [Finding(Grade.FAIL, "server", f"No answer in {REMOTE_SECONDS} s.", counting)]
    except CaduceusError as error:
        return [from_error("server", error)]
    finally:
        await engine.close()
    server = f"{settings.openai_base_url} serves {info.name}, {info.context_tokens:,} tokens."
    grade = Grade.OK if info.counts_exactly else Grade.WARN
    fix = "" if info.counts_exactly else "Set TOKENIZER to a folder with the model's tokenizer."
    return [
        Finding(Grade.OK, "server", server),
        *spoken,
        *(await asyncio.to_thread(check_format, settings, info) if info.takes_prompts else ()),
        *(Finding(Grade.WARN, "server", text, fix) for text, fix in shortcomings),
        Finding(grade, "tokens", f"Counted by {counted}.", fix),
    ]


async def _say_a_word(engine: "Engine") -> list[Finding]:
    """Have a word generated: what a server says of itself is not all that there is to it."""
    from bot.engine.api import GenerationRequest

    request = GenerationRequest("Hello", channel="doctor", user="doctor", max_tokens=1)
    try:
        async with asyncio.timeout(REMOTE_SECONDS):
            async for _ in engine.generate(request):
                pass
    except TimeoutError:
        text = f"It gave no word in {REMOTE_SECONDS} s."
        return [Finding(Grade.WARN, "server", text, "Is its model loaded? See its log.")]
    except EngineError as error:
        text = f"It did not generate a word when asked to. {error.message}"
        return [Finding(Grade.WARN, "server", text, error.fix)]
    return []


async def _check_token(settings: ProcessSettings, *, offline: bool) -> list[Finding]:
    if settings.discord_token is None:
        text = "DISCORD_TOKEN is not set: `make run` starts the local page alone."
        return [Finding(Grade.WARN, "token", text, "The README says how to get one.")]
    if offline:
        return [Finding(Grade.OK, "token", "It has the shape of one; not asked (--offline).")]
    from bot.cli.discord_checks import check_discord

    return await check_discord(settings.discord_token.get_secret_value())
