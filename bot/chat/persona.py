"""A persona: who the bot is in a channel."""

from pydantic import BaseModel, ConfigDict, Field

NAME_CHARACTERS = 80  # Discord's limit for a webhook's user name
TEXT_CHARACTERS = 40_000


class Persona(BaseModel):
    """Who speaks. A TOML persona file has exactly these keys; unknown ones are an error.

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
