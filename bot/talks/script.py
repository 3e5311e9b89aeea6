"""A written conversation: who plays, who answers, what is said. Read from TOML."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self, cast

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from bot.chat.definitions import definition_of
from bot.chat.messages import JsonValue
from bot.chat.persona import PersonaText
from bot.chat.personas.files import read_card_file
from bot.errors import ChannelSettingError, NotFound, UserError

SCRIPT_BYTES = 1 << 20
MOST_LINES = 2_000

_STRICT = ConfigDict(frozen=True, extra="forbid")


def _line(value: object) -> object:
    """«Alex: Hello.» is what Alex says."""
    if not isinstance(value, str):
        return value
    by, colon, text = value.partition(": ")
    if not colon:
        raise ValueError("a line is «Name: text», with a blank after the colon")
    return {"by": by, "text": text}


class ScriptLine(BaseModel):
    """What one player says or does."""

    model_config = _STRICT

    by: str = Field(min_length=1, max_length=100)
    text: str = Field(default="", max_length=20_000)
    is_heard: bool = Field(default=True, alias="answered")  # else it is said to others
    then: Literal["", "regenerate", "continue"] = ""  # after the answer

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.text.strip():
            raise ValueError("a line needs a text")
        return self


class ScriptPersona(BaseModel):
    """Who answers: a card's file beside the script, or a persona's own keys."""

    model_config = _STRICT

    file: str = ""
    facts: tuple[str, ...] = ()  # words that its prompts are to hold
    persona: PersonaText

    @model_validator(mode="before")
    @classmethod
    def _apart(cls, value: object) -> object:
        if not isinstance(value, dict) or "persona" in value:
            return cast("object", value)
        keys = cast("dict[str, object]", value)
        own = {key: keys[key] for key in ("file", "facts") if key in keys}
        return own | {"persona": {key: keys[key] for key in keys if key not in own}}


class Script(BaseModel):
    """One conversation. The first persona is the channel's own, the others stand beside it."""

    model_config = _STRICT

    title: str = Field(min_length=1, max_length=100)
    language: str = Field(default="en", max_length=35)
    settings: dict[str, str | int | float | bool] = Field(default_factory=dict)
    personas: tuple[ScriptPersona, ...] = Field(min_length=1, max_length=25)
    lines: tuple[Annotated[ScriptLine, BeforeValidator(_line)], ...] = Field(
        min_length=1, max_length=MOST_LINES
    )

    @property
    def players(self) -> tuple[str, ...]:
        """Everybody who says something, in order."""
        return tuple(dict.fromkeys(line.by for line in self.lines))

    def checked_settings(self) -> Mapping[str, JsonValue]:
        """Its channel's settings as they are stored. Raises ChannelSettingError, NotFound."""
        return {
            key: definition_of(key).parse(_as_typed(value)) for key, value in self.settings.items()
        }


def read_script(path: Path) -> Script:
    """The script in a file. Blocking. Raises UserError, one line that names the file."""
    try:
        with path.open("rb") as file:
            read = file.read(SCRIPT_BYTES + 1)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.", "Name a script.") from error
    if len(read) > SCRIPT_BYTES:
        raise _bad(path, "it has more than a megabyte")
    try:
        document = tomllib.loads(read.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise _bad(path, f"it is no TOML ({error or 'nested too deeply'})") from error
    try:
        script = Script.model_validate(_with_cards(document, path.parent))
        script.checked_settings()
    except ValidationError as error:
        raise _bad(path, _first(error)) from error
    except (ChannelSettingError, NotFound) as error:
        raise _bad(path, str(error).rstrip(".")) from error
    return script


def find_scripts(paths: list[Path]) -> list[Path]:
    """The files named, and those in the folders named. Blocking. Raises UserError."""
    found: list[Path] = []
    for path in paths:
        inside = sorted(path.glob("*.toml")) if path.is_dir() else [path]
        if not inside:
            raise UserError(f"There is no script (*.toml) in {path}.", "Name another folder.")
        found.extend(inside)
    return list(dict.fromkeys(found))


def _with_cards(document: dict[str, object], folder: Path) -> dict[str, object]:
    """With what the cards say that are named instead of a persona's keys."""
    personas = document.get("personas")
    if not isinstance(personas, list):
        return document
    each = cast("list[object]", personas)
    return document | {"personas": [_with_card(persona, folder) for persona in each]}


def _with_card(persona: object, folder: Path) -> object:
    keys = cast("dict[str, object]", persona) if isinstance(persona, dict) else {}
    file = keys.get("file")
    if not isinstance(file, str):
        return cast("object", persona)
    if extra := [key for key in keys if key not in ("file", "facts")]:
        raise UserError(f"A persona with a file takes no {extra[0]}.", "Leave it out.")
    return keys | {"persona": read_card_file(folder / file).persona}


def _as_typed(value: str | float) -> str:
    return ("on" if value else "off") if isinstance(value, bool) else str(value)


def _first(error: ValidationError) -> str:
    """The first fault in words."""
    first = error.errors(include_url=False, include_context=False)[0]
    where = ".".join(
        str(part + 1) if isinstance(part, int) else part
        for part in first["loc"]
        if part not in ("persona", "function-before[_line()]")
    )
    what = first["msg"].removeprefix("Value error, ")
    what = what[:1].lower() + what[1:]
    return f"{where}: {what}" if where else what


def _bad(path: Path, why: str) -> UserError:
    return UserError(f"{path} is no script: {' '.join(why.split())}.", "See docs/talks.md.")
