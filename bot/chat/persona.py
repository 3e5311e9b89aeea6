"""A persona: who the bot is in a channel."""

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SkipValidation

NAME_CHARACTERS = 80  # Discord's limit for a webhook's user name
TEXT_CHARACTERS = 100_000  # of one text: more than any context holds
SUMMARY_CHARACTERS = 200
DEPTH_TURNS = 1_000  # how deep a depth prompt may stand
LIST_ITEMS = 500  # greetings, tags, stop words
VERSION_CHARACTERS = 16
BANNED_WORDS = 20
BANNED_WORD_CHARACTERS = 100

ADULT_TAGS = frozenset({"nsfw", "nsfl", "18+", "r18", "r-18", "explicit", "adults only"})

_RECORD = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

Text = Annotated[str, Field(max_length=TEXT_CHARACTERS)]
Word = Annotated[str, Field(min_length=1, max_length=BANNED_WORD_CHARACTERS)]
Texts = Annotated[tuple[Text, ...], Field(max_length=LIST_ITEMS)]


class DepthPrompt(BaseModel):
    """A text that stands before the `depth`-th newest turn (0: after the newest)."""

    model_config = _RECORD

    text: Text
    depth: int = Field(default=4, ge=0, le=DEPTH_TURNS)
    role: Literal["system", "user", "assistant"] = "system"


class PersonaSampling(BaseModel):
    """Settings of a channel that a persona may bring along; None leaves the channel's own."""

    model_config = _RECORD

    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    top_k: int | None = Field(default=None, ge=0, le=1000)
    min_p: float | None = Field(default=None, ge=0, le=1)
    repetition_penalty: float | None = Field(default=None, ge=0.5, le=2)
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    dry_multiplier: float | None = Field(default=None, ge=0, le=5)
    dry_base: float | None = Field(default=None, ge=1, le=4)
    dry_allowed_length: int | None = Field(default=None, ge=1, le=100)
    xtc_probability: float | None = Field(default=None, ge=0, le=1)
    xtc_threshold: float | None = Field(default=None, ge=0, le=0.5)
    # Beside those that the owner and moderators ban.
    banned_words: Annotated[tuple[Word, ...] | None, Field(max_length=BANNED_WORDS)] = None
    max_reply_tokens: int | None = Field(default=None, ge=16, le=2048)


class PersonaText(BaseModel):
    """What a persona is. A TOML persona file has these keys; unknown ones are an error.

    Texts may hold `{{char}}` and `{{user}}`. `lorebook` is a card's `character_book` as it came
    (character-card-spec-v2 and -v3). Notes, creator, version and tags are never in a prompt.
    """

    model_config = _RECORD

    name: str = Field(min_length=1, max_length=NAME_CHARACTERS)
    description: Text = ""
    personality: Text = ""
    scenario: Text = ""
    greeting: Text = ""
    example_dialogue: Text = ""
    summary: str = Field(default="", max_length=SUMMARY_CHARACTERS)  # one line for lists
    nickname: str = Field(default="", max_length=NAME_CHARACTERS)  # what `{{char}}` is, if any
    alternate_greetings: Texts = ()
    group_greetings: Texts = ()  # said only where there are several personas
    system_text: Text = ""  # takes the place of the bot's own
    closing_reminder: Text = ""  # stands last in a prompt
    depth_prompt: DepthPrompt | None = None
    talkativeness: float | None = Field(default=None, ge=0, le=1)
    stop_words: Texts = ()
    sampling: PersonaSampling | None = None
    lorebook: SkipValidation[dict[str, object] | None] = None  # JSON, whatever is in it
    creator_notes: Text = ""
    translated_notes: dict[str, Text] = Field(default_factory=dict[str, str])  # by ISO 639-1
    creator: Text = ""
    character_version: Text = ""
    tags: Texts = ()
    age_restricted: bool = False  # for adults alone; so is one with a tag that says it

    @property
    def is_age_restricted(self) -> bool:
        """Whether it is for adults alone, by its own word or by a tag."""
        said = (tag.strip().lstrip("#").casefold() for tag in self.tags)
        return self.age_restricted or any(tag in ADULT_TAGS for tag in said)


class Persona(PersonaText):
    """Who speaks: a text with an identity, which stays when the text is edited or renamed."""

    id: str = ""  # settings and turns refer to it; "" while nothing can: a text being tried out
    guild_id: str | None = None  # its home: the guild that it is for alone, None for everywhere

    @property
    def version(self) -> str:
        """A short hash of the text: another one as soon as anything in it is edited.

        Made once, which takes long where the lorebook is large: whoever reads a persona from
        somewhere asks for it there, off the event loop.
        """
        return self._version

    @cached_property
    def _version(self) -> str:
        # Without what is empty, so that a key that a later release adds changes no version.
        text = self.model_dump(include=set(PersonaText.model_fields), exclude_defaults=True)
        canonical = json.dumps(text, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:VERSION_CHARACTERS]

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy, with a version of its own."""
        copied = super().model_copy(update=update, deep=deep)
        vars(copied).pop("_version", None)
        return copied
