"""`{DATA_DIR}/defaults.toml`: the bot owner's values of the settings cascade.

::

    temperature = 0.8
    trigger = "wakeword"
    wake_words = ["caduceus", "hey bot"]
    persona = "Mira Solenne"  # or its id, which a new name does not change: "file:mira"
"""

import asyncio
import tomllib
from collections.abc import Mapping
from pathlib import Path

from bot.chat.definitions import DEFINITIONS, definition_of
from bot.chat.messages import JsonValue
from bot.chat.ports import Personas
from bot.errors import ChannelSettingError, NotFound, SettingsError
from bot.settings_checks import nearest

FILE_NAME = "defaults.toml"


async def load_owner_defaults(data_dir: Path, personas: Personas) -> Mapping[str, JsonValue]:
    """The values, checked. No file means none. Raises SettingsError naming the file and key."""
    path = data_dir / FILE_NAME
    table = await asyncio.to_thread(_read, path)
    checked = {key: await _checked(path, key, value, personas) for key, value in table.items()}
    return {definition_of(key).key: value for key, value in checked.items()}


def _read(path: Path) -> Mapping[str, object]:
    if path.exists() and not path.is_file():
        raise SettingsError(f"{path} is not a plain file.", "Make it a text file.")
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        why = error.strerror or error
        raise SettingsError(f"{path} cannot be read: {why}.", "Make it a text file.") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path} cannot be read: {error}.", "Make it a text file.") from error
    except (ValueError, RecursionError) as error:  # also a number too long, or too deep a nest
        raise SettingsError(
            f"{path} is not TOML: {error}.", 'Write key = value, texts in "quotes".'
        ) from error


async def _checked(path: Path, key: str, value: object, personas: Personas) -> JsonValue:
    try:
        definition = definition_of(key)
    except NotFound as error:
        meant = nearest(key.lower(), DEFINITIONS)
        fix = f"It looks like «{meant}»." if meant else error.fix
        raise SettingsError(f"{path}: there is no setting «{key}».", fix) from None
    try:
        checked = definition.check(value)
    except ChannelSettingError as error:
        raise SettingsError(f"{path}: {error.message}", error.fix) from None
    if definition.kind != "persona":
        return checked
    persona = await personas.find(None, str(checked))
    if persona is None:
        names = ", ".join(each.name for each in await personas.listed(None))
        raise SettingsError(f"{path}: there is no persona «{checked}».", f"There are: {names}.")
    return persona.id
