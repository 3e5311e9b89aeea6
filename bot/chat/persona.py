"""A persona: who the bot is in a channel."""

import hashlib
import json

from pydantic import BaseModel, ConfigDict, Field

NAME_CHARACTERS = 80  # Discord's limit for a webhook's user name
TEXT_CHARACTERS = 40_000
VERSION_CHARACTERS = 16


class PersonaText(BaseModel):
    """What a persona is. A TOML persona file has exactly these keys; unknown ones are an error.

    Texts may hold `{{char}}` and `{{user}}`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    name: str = Field(min_length=1, max_length=NAME_CHARACTERS)
    description: str = Field(default="", max_length=TEXT_CHARACTERS)
    personality: str = Field(default="", max_length=TEXT_CHARACTERS)
    scenario: str = Field(default="", max_length=TEXT_CHARACTERS)
    greeting: str = Field(default="", max_length=TEXT_CHARACTERS)
    example_dialogue: str = Field(default="", max_length=TEXT_CHARACTERS)
    summary: str = Field(default="", max_length=200)  # one line for lists; never in a prompt


class Persona(PersonaText):
    """Who speaks: a text with an identity, which stays when the text is edited or renamed."""

    id: str = ""  # settings and turns refer to it; "" while nothing can: a text being tried out
    guild_id: str | None = None  # its home: the guild that it is for alone, None for everywhere

    @property
    def version(self) -> str:
        """A short hash of the text: another one as soon as anything in it is edited."""
        # Without what is empty, so that a key that a later release adds changes no version.
        text = self.model_dump(include=set(PersonaText.model_fields), exclude_defaults=True)
        canonical = json.dumps(text, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:VERSION_CHARACTERS]
