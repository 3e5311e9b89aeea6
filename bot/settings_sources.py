"""Where the settings of the process come from: the environment, and `.env`."""

import re
from collections.abc import Collection, Mapping
from pathlib import Path

from dotenv.parser import parse_stream

from bot.errors import SettingsError
from bot.settings_checks import nearest

# Names that other programs use, though they are a letter off one of ours.
FOREIGN_NAMES = frozenset({"MODE", "MODELS"})


def read_environment(environment: Mapping[str, str], names: Collection[str]) -> dict[str, str]:
    """The settings among the variables. Raises SettingsError for a name that is nearly one."""
    for name in environment:
        upper = name.upper()
        if upper in names or upper in FOREIGN_NAMES:
            continue
        if nearest(upper, names):
            raise _unknown(name, "in the environment", names)
    return {name.upper(): value for name, value in environment.items() if name.upper() in names}


def read_env_file(path: Path, names: Collection[str]) -> dict[str, str]:
    """The settings in `.env`, all of whose keys have to be ours. Raises SettingsError."""
    try:
        with path.open(encoding="utf-8-sig") as stream:
            bindings = list(parse_stream(stream))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"{path} cannot be read: {error}.", "Make it a readable text file in UTF-8."
        ) from error
    values: dict[str, str] = {}
    for binding in bindings:
        text = binding.original.string  # may begin with blank lines
        line = binding.original.line + text[: len(text) - len(text.lstrip())].count("\n")
        if binding.error or (binding.key is not None and binding.value is None):
            raise SettingsError(
                f"{path}, line {line}, is not a setting.", "Write NAME=value, one a line."
            )
        if binding.key is None:
            continue
        name = binding.key.upper()
        if name not in names:
            raise _unknown(binding.key, f"in {path}, line {line}", names)
        if not binding.value and re.search(r"=\s*(\"\"|'')", text):
            _refuse_empty_quotes(name, path, line)
        values[name] = binding.value or ""
    return values


def _refuse_empty_quotes(name: str, path: Path, line: int) -> None:
    if name == "DISCORD_TOKEN":
        raise SettingsError(
            f"DISCORD_TOKEN is empty in {path}, line {line}.",
            "Put the token from Discord's developer portal there, or take the line out to use the "
            "local page.",
        )


def _unknown(name: str, where: str, names: Collection[str]) -> SettingsError:
    meant = nearest(name.upper(), names)
    if meant:
        return SettingsError(
            f"There is no setting «{name}» ({where}).", f"It looks like {meant}: rename it."
        )
    return SettingsError(
        f"There is no setting «{name}» ({where}).",
        "Take it out: .env holds the settings of .env.example alone. What is meant for another "
        "program goes into the environment.",
    )
