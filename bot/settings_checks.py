"""Cheap checks of single settings: what can be seen without network, torch or a database."""

import json
import re
from collections.abc import Collection, Iterable
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from pydantic import ValidationError

from bot.errors import ModelError, SettingsError

MOST_GB = 4096
# A bot's id in base64, a time stamp, a signature.
TOKEN_SHAPE = re.compile(r"[A-Za-z0-9_-]{23,30}\.[A-Za-z0-9_-]{6,7}\.[A-Za-z0-9_-]{27,90}")
PLACEHOLDER_WORDS = ("your", "token", "changeme", "change-me", "change_me", "placeholder", "xxx")
REAL_ONE = (
    "Copy the real one from https://discord.com/developers/applications (your application, Bot, "
    "Reset Token) into .env, or take DISCORD_TOKEN out to use the local page."
)
SHOWN_CHARACTERS = 80  # of a value that is not valid
SHORT_NAME_CHARACTERS = 7  # in names up to this length, two wrong letters make another word


def check_token(text: str) -> str:
    """A Discord token, stripped. Refuses placeholders and what has not the shape of one."""
    token = text.strip()
    if TOKEN_SHAPE.fullmatch(token):
        return token
    bare = token.strip("\"'<>[]{} ").lower()
    if not bare:
        raise SettingsError("DISCORD_TOKEN holds nothing but quotes.", REAL_ONE)
    if TOKEN_SHAPE.fullmatch(token.removeprefix("Bot ").strip("\"' ")):
        raise SettingsError(
            "DISCORD_TOKEN has «Bot » or quotes around the token.", "Leave only the token itself."
        )
    if any(word in bare for word in PLACEHOLDER_WORDS):
        raise SettingsError("DISCORD_TOKEN is still the placeholder.", REAL_ONE)
    raise SettingsError(
        "DISCORD_TOKEN does not have the shape of a bot's token (three parts with dots between; "
        "the client secret and the public key are something else).",
        REAL_ONE,
    )


def check_database_url(url: str) -> str:
    """SQLite or PostgreSQL, with the async drivers that Caduceus installs."""
    scheme = url.partition("://")[0]
    if scheme in ("sqlite+aiosqlite", "postgresql+asyncpg") and "://" in url:
        return url
    fixes = {
        "sqlite": "Write sqlite+aiosqlite:///path/to/file.db.",
        "postgres": "Write postgresql+asyncpg://user:password@host/database.",
        "postgresql": "Write postgresql+asyncpg://user:password@host/database.",
    }
    raise SettingsError(
        "DATABASE_URL names no database that Caduceus can use.",
        fixes.get(
            scheme.partition("+")[0],
            "It takes sqlite+aiosqlite:///file or postgresql+asyncpg://user:password@host/database.",
        ),
    )


def check_base_url(url: str) -> str:
    """An http address without its trailing slash."""
    parts = _http_address(url)
    if parts is None:
        raise SettingsError(
            "OPENAI_BASE_URL is not an address.", "Write it like http://127.0.0.1:8000/v1."
        )
    if parts.username is not None or parts.password is not None:
        raise SettingsError(  # it would stand in logs and in /status
            "OPENAI_BASE_URL has a name or a password in it.",
            "Take them out; the key goes into OPENAI_API_KEY.",
        )
    if parts.query or parts.fragment:
        raise SettingsError(
            "OPENAI_BASE_URL has something behind its path.", "End it with the path, such as /v1."
        )
    if url.rstrip("/").endswith("/completions"):
        raise SettingsError(
            "OPENAI_BASE_URL names one endpoint.", "Leave «/completions» (or «/chat/…») out of it."
        )
    return url.rstrip("/")


def _http_address(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is none, or brackets without their twin
        return None
    return parts if good else None


def check_api_key(text: str) -> str:
    """A key, stripped, that can stand in a request's header."""
    key = text.strip()
    if not (key.isascii() and key.isprintable()):
        raise SettingsError(
            "OPENAI_API_KEY has characters that no key has.", "Copy it again, on one line."
        )
    return key


def check_model(model: str, setting: str = "MODEL") -> None:
    """`demo`, a hub id, a GGUF file, or a folder that looks like a model's.

    Looks at names only; whether the weights are whole is found when they are loaded. `setting` is
    the name of the setting to be changed.
    """
    from bot.engine.models.source import DEMO, SourceKind, identify

    if model == DEMO:
        return
    try:
        source = identify(model)
    except ModelError as error:
        raise SettingsError(f"{setting} is not valid: {error.message}", error.fix) from None
    if source.kind is SourceKind.FOLDER and source.path is not None:
        _check_folder(source.path, setting)


def _check_folder(folder: Path, setting: str) -> None:
    names = [entry.name for entry in folder.iterdir()]
    has_config = "config.json" in names
    safe = any(name.endswith(".safetensors") for name in names)
    if any(name.lower().endswith(".gguf") for name in names) or (has_config and safe):
        return
    pickled = [name for name in names if name.endswith((".bin", ".pt", ".pth", ".ckpt"))]
    if safe and not has_config:
        lacking, fix = "config.json is missing", "Download the folder's other files too."
    elif has_config and pickled:
        lacking = f"its weights are pickles ({pickled[0]}), which can run code"
        fix = "Take a version of the model with .safetensors files."
    elif has_config:
        lacking = "it has no .safetensors files"
        fix = "The download is not complete: fetch the weights too."
    else:
        lacking, fix = (
            "neither config.json with .safetensors files nor a .gguf file is in it",
            "Name the folder that holds the model's files themselves.",
        )
    raise SettingsError(f"{setting} is a folder that is no model, {folder}: {lacking}.", fix)


def check_path(path: Path, setting: str) -> Path:
    """With its `~` written out; it need not be there, but it must be possible to look."""
    try:
        path = path.expanduser()
        path.exists()
    except RuntimeError:
        raise SettingsError(
            f"{setting} lies with a user who is not known here: {shown(path)}.",
            "Write the path in full.",
        ) from None
    except OSError as error:
        raise SettingsError(
            f"{setting} cannot be looked at, {shown(path)}: {error.strerror or error}.",
            "Name a place that this user may use, and whose name is right.",
        ) from None
    return path


def check_tokenizer(folder: Path) -> None:
    """A folder with a tokenizer's files."""
    if not folder.is_dir():
        raise SettingsError(
            f"TOKENIZER is no folder: {folder}.", "Name the folder that holds tokenizer.json."
        )
    if not (folder / "tokenizer.json").is_file():
        raise SettingsError(
            f"TOKENIZER is a folder without tokenizer.json: {folder}.",
            "Name the folder that holds the model's tokenizer.json.",
        )


def check_persona_folder(folder: Path) -> Path:
    """A folder that is there, though it may be empty."""
    if folder.is_dir():
        return folder
    if folder.exists():
        raise SettingsError(
            f"PERSONAS_DIR is no folder: {folder}.", "Name the folder that holds the persona files."
        )
    raise SettingsError(
        f"There is no PERSONAS_DIR: {folder}.",
        "Make that folder, name another, or take the setting out to use `personas`.",
    )


def shown(value: object) -> str:
    """A value as it was typed, cut to one short line."""
    text = "".join(letter if letter.isprintable() else " " for letter in str(value))
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"


def unknown_setting(name: str, where: str, names: Collection[str]) -> SettingsError:
    """What to say of a name that is no setting; `where` it stands, among which `names`."""
    from bot.chat.definitions import DEFINITIONS

    meant = nearest(name.upper(), names)
    of_conversations = nearest(name.lower(), DEFINITIONS)
    if name.lower() in DEFINITIONS or (of_conversations and not meant):
        definition = DEFINITIONS[of_conversations]
        example = f"{definition.key} = {json.dumps(definition.default)}"
        return SettingsError(
            f"«{name}» ({where}) is a setting of the conversations, not of the program.",
            f"Put it into `defaults.toml` in DATA_DIR, written like `{example}`.",
        )
    if meant:
        return SettingsError(
            f"There is no setting «{name}» ({where}).", f"It looks like {meant}: rename it."
        )
    return SettingsError(
        f"There is no setting «{name}» ({where}).",
        "Take it out: .env holds the settings of .env.example alone. What is meant for another "
        "program goes into the environment.",
    )


def nearest(name: str, names: Iterable[str]) -> str:
    """The one of `names` that `name` misspells, or ""."""
    for candidate in names:
        allowed = 1 if len(candidate) <= SHORT_NAME_CHARACTERS else 2
        if abs(len(name) - len(candidate)) <= allowed and wrong_letters(name, candidate) <= allowed:
            return candidate
    return ""


def wrong_letters(name: str, meant: str) -> int:
    """How many letters were added, left out, replaced or swapped with their neighbour."""
    alike = SequenceMatcher(None, name, meant, autojunk=False).get_matching_blocks()
    return max(len(name), len(meant)) - sum(block.size for block in alike)


def refuse_empty_quotes(name: str, path: Path, line: int) -> None:
    """Of an empty value in quotes, which is not the same as none. Raises SettingsError."""
    if name == "DISCORD_TOKEN":
        raise SettingsError(
            f"DISCORD_TOKEN is empty in {path}, line {line}.",
            "Put the token from Discord's developer portal there, or take the line out to use the "
            "local page.",
        )


def check_auto_or_gigabytes(value: object) -> float | str:
    """`auto`, or how many GB. Raises ValueError."""
    said = str(value).strip().lower()
    try:
        gigabytes = 0.0 if said == "auto" else float(said)
    except ValueError:
        gigabytes = -1.0
    if not 0 <= gigabytes <= MOST_GB:
        raise ValueError(f"auto, or GB from 0 to {MOST_GB}")
    return said if said == "auto" else gigabytes


# What holds a secret, and addresses, which may hold a password.
_NOT_REPEATED = frozenset({"discord_token", "openai_api_key", "database_url", "openai_base_url"})

_BOUNDS = {
    "at least": "greater than or equal to",
    "at most": "less than or equal to",
    "more than": "greater than",
}


def translated(error: ValidationError) -> SettingsError:
    """The first thing that pydantic found, in our words. What may hold a secret is not repeated."""
    details: Any = error.errors()[0]
    field = str(details["loc"][0]) if details["loc"] else ""
    name = field.upper() or "The settings"
    said = str(details["msg"]).removeprefix("Value error, ").removeprefix("Input should be ")
    if details["type"] in ("int_parsing", "float_parsing"):
        said = "a number"
    for ours, theirs in _BOUNDS.items():
        said = said.replace(theirs, ours)
    what = f"{name} is not valid."
    if field and field not in _NOT_REPEATED:
        what = f"{name} is not valid: «{shown(details['input'])}»."
    return SettingsError(what, f"It takes {said}; see .env.example.")
