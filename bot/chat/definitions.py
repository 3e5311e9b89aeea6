"""The settings of a guild or channel, each defined once.

A field of :class:`ChannelSettings` is a setting: its type, range, default and help. Commands,
autocomplete, the workbench's controls and the README's table are all made from
:data:`DEFINITIONS`, which is made from those fields.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le
from pydantic import BaseModel, ConfigDict, Field
from pydantic.fields import FieldInfo

from bot.chat.setting_definition import InDirect, Kind, SettingDefinition
from bot.engine.api import Sampling
from bot.errors import NotFound


class ChannelSettings(BaseModel):
    """The settings in force in one channel: each key with its type, range, default and help."""

    model_config = ConfigDict(frozen=True)

    trigger: Literal["mention", "always", "wakeword", "chance", "off"] = Field(
        "mention",
        description="When the bot answers, besides replies to it: when mentioned, always, at a "
        "wake word (or mention), by chance (or mention), or never.",
    )
    wake_words: Annotated[tuple[str, ...], InDirect.IDLE] = Field(
        (), description="Words that wake the bot where trigger is wakeword."
    )
    chance: Annotated[float, InDirect.IDLE] = Field(
        0.1,
        ge=0,
        le=1,
        description="How likely the bot answers a message where trigger is chance: 0 never, "
        "1 always.",
    )
    persona: Annotated[str, "persona"] = Field("", description="Who the bot is here.")
    persona_choice: Annotated[Literal["members", "moderators"], InDirect.IDLE] = Field(
        "members", description="Who may choose the persona with `/persona use`."
    )
    voice: Annotated[Literal["webhook", "bot"], InDirect.IDLE] = Field(
        "webhook",
        description="How a persona speaks in Discord, unless it is the bot itself: by a webhook, "
        "under its own name and picture, or as the bot, with its name in bold.",
    )
    persona_chain: int = Field(
        2,
        ge=0,
        le=8,
        description="How often personas answer each other, where several are, until somebody else "
        "says something.",
    )
    context: Literal["addressed", "channel"] = Field(
        "addressed",
        description="What is kept and seen: only what is said to the bot and its replies, or all "
        "that is said in the channel.",
    )
    temperature: float = Field(
        0.7,
        ge=0,
        le=2,
        description="How freely the model chooses: 0 always takes the likeliest word.",
    )
    top_p: float = Field(
        0.95,
        gt=0,
        le=1,
        description="Choose among the likeliest words that together have this probability; 1 is "
        "off.",
    )
    top_k: int = Field(
        0, ge=0, le=1000, description="Choose among this many of the likeliest words; 0 is off."
    )
    min_p: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Leave out words less likely than this share of the likeliest one; 0 is off.",
    )
    repetition_penalty: float = Field(
        1.15,
        ge=0.5,
        le=2,
        description="Above 1, words already used become less likely; 1 is off.",
    )
    presence_penalty: float = Field(
        0.0,
        ge=-2,
        le=2,
        description="Above 0, words said lately become less likely, however often; 0 is off.",
    )
    frequency_penalty: float = Field(
        0.0,
        ge=-2,
        le=2,
        description="Above 0, words said lately become less likely each time again; 0 is off.",
    )
    dry_multiplier: float = Field(
        0.0,
        ge=0,
        le=5,
        description="DRY: how strongly a phrase said before is kept from being said again; 0 is "
        "off, 0.8 is usual.",
    )
    dry_base: float = Field(
        1.75,
        ge=1,
        le=4,
        description="DRY: how much stronger with each word by which the repetition is longer.",
    )
    dry_allowed_length: int = Field(
        2, ge=1, le=100, description="DRY: how long a repetition may be, in tokens, for nothing."
    )
    xtc_probability: float = Field(
        0.0,
        ge=0,
        le=1,
        description="XTC: how often the likeliest words are left out where several would do; 0 is "
        "off, 0.5 is usual.",
    )
    xtc_threshold: float = Field(
        0.1,
        ge=0,
        le=0.5,
        description="XTC: words at least this likely are left out, all but the least likely of "
        "them.",
    )
    banned_words: tuple[str, ...] = Field(
        (),
        description="Words and phrases that no reply contains, in capitals or not, inside longer "
        "words too.",
    )
    max_reply_tokens: int = Field(
        512,
        ge=16,
        le=2048,
        description="The longest reply, in tokens (about four characters each).",
    )
    history_turns: int = Field(
        100,
        ge=0,
        le=500,
        description="How many earlier turns the model sees at most; what fits its context decides "
        "too.",
    )
    memory_summary: Literal["on", "off"] = Field(
        "on",
        description="Whether what no longer fits the model's context is folded into a summary, "
        "while nobody asks for anything.",
    )
    memory_recall: Literal["on", "off"] = Field(
        "on",
        description="Whether what was said long ago in the conversation is found again by the "
        "newest message's words, and told beside the newest turns.",
    )
    instructions: str = Field(
        "", description="Added to the system text: how the bot should behave here."
    )
    history_scope: Annotated[Literal["channel", "user"], InDirect.IDLE] = Field(
        "channel",
        description="Whose turns the model sees: everybody's in the channel, or those of whoever "
        "asks and the replies to them alone. Scenes are everybody's.",
    )
    streaming: Literal["on", "off"] = Field(
        "on",
        description="Whether a reply is shown while it is written, or at once when it is whole.",
    )
    buttons: Literal["on", "off"] = Field(
        "on", description="Whether buttons stand under the bot's replies."
    )
    allowed_roles: Annotated[tuple[str, ...], "roles", InDirect.OWNER] = Field(
        (),
        description="Whom the bot answers: roles and members, as mentions, ids or names; everybody "
        "where none is given.",
    )
    blocked_roles: Annotated[tuple[str, ...], "roles", InDirect.OWNER] = Field(
        (),
        description="Whom the bot does not hear: roles and members, as mentions, ids or names; "
        "goes before allowed_roles.",
    )
    rate_limit: Annotated[int, InDirect.OWNER] = Field(
        20,
        ge=0,
        le=600,
        description="How many messages of one member the bot answers in a minute; 0 is no limit.",
    )
    channel_rate_limit: Annotated[int, InDirect.OWNER] = Field(
        0,
        ge=0,
        le=6000,
        description="How many messages the bot answers in a minute in one channel; 0 is no limit.",
    )
    daily_tokens: Annotated[int, InDirect.OWNER] = Field(
        0,
        ge=0,
        le=100_000_000,
        description="How many tokens a day (of UTC) the bot writes for one member in the server; "
        "0 is no limit.",
    )
    quiet_hours: Annotated[str, "hours"] = Field(
        "",
        description="When the bot answers nobody, every day: `22:00-07:00 Europe/Berlin` (UTC "
        "without a zone).",
    )
    answer_bots: Annotated[Literal["on", "off"], InDirect.IDLE] = Field(
        "off", description="Whether other bots are answered, a few times in a row at most."
    )
    links: Literal["keep", "plain"] = Field(
        "keep",
        description="What becomes of links in replies: kept, or written out in plain, with no "
        "masked links and no invites.",
    )
    retention_days: int = Field(
        0,
        ge=0,
        le=3650,
        description="After how many days what was said is deleted for good; 0 keeps it.",
    )

    def sampling(self, seed: int | None = None) -> Sampling:
        """The part of it that the engine wants."""
        return Sampling(
            temperature=self.temperature,
            top_k=self.top_k,
            top_p=self.top_p,
            min_p=self.min_p,
            repetition_penalty=self.repetition_penalty,
            seed=seed,
            presence_penalty=self.presence_penalty,
            frequency_penalty=self.frequency_penalty,
            dry_multiplier=self.dry_multiplier,
            dry_base=self.dry_base,
            dry_allowed_length=self.dry_allowed_length,
            xtc_probability=self.xtc_probability,
            xtc_threshold=self.xtc_threshold,
            banned_words=self.banned_words,
        )


def _define(key: str, field: FieldInfo) -> SettingDefinition:
    """What a field of :class:`ChannelSettings` says of its setting."""
    default = field.get_default()
    bounds: dict[type[Any], Any] = {type(bound): bound for bound in field.metadata}
    low, above, high = bounds.get(Ge), bounds.get(Gt), bounds.get(Le)
    choices = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
    kinds: dict[object, Kind] = {float: "number", int: "integer", str: "text"}
    kind: Kind = "choice" if choices else kinds.get(field.annotation, "words")
    return SettingDefinition(
        key,
        bounds.get(str, kind),  # named where the type does not tell it
        list(default) if kind == "words" else default,
        field.description or "",
        choices=choices,
        minimum=above.gt if above else low.ge if low else None,
        maximum=high.le if high else None,
        above_minimum=above is not None,
        in_direct=bounds.get(InDirect, InDirect.MEMBER),
    )


DEFINITIONS: Mapping[str, SettingDefinition] = {
    key: _define(key, field) for key, field in ChannelSettings.model_fields.items()
}


# Everything once: what belongs together stands on one page.
THEMES: Mapping[str, tuple[str, ...]] = {
    "Who speaks": (
        *("trigger", "wake_words", "chance", "persona", "persona_choice", "voice"),
        *("persona_chain", "answer_bots"),
    ),
    "Who is answered": (
        *("allowed_roles", "blocked_roles", "quiet_hours"),
        *("rate_limit", "channel_rate_limit", "daily_tokens"),
    ),
    "Replies": (
        *("instructions", "max_reply_tokens", "banned_words", "links", "streaming", "buttons"),
    ),
    "Memory": (
        *("context", "history_scope", "history_turns", "memory_summary", "memory_recall"),
        "retention_days",
    ),
    "Sampling": (
        *("temperature", "top_p", "top_k", "min_p", "repetition_penalty", "presence_penalty"),
        *("frequency_penalty", "dry_multiplier", "dry_base", "dry_allowed_length"),
        *("xtc_probability", "xtc_threshold"),
    ),
}

# What settings were called before: what is stored under the old name holds under the new one.
RENAMED: Mapping[str, str] = {}


def current_key(key: str) -> str:
    """What a setting is called now; as it is where it was never renamed, or is no more."""
    seen: set[str] = set()
    while key in RENAMED and key not in seen:
        seen.add(key)
        key = RENAMED[key]
    return key


def former_keys(key: str) -> list[str]:
    """What a setting was called before."""
    return [former for former in RENAMED if former != key and current_key(former) == key]


def definition_of(key: str) -> SettingDefinition:
    """The definition of a key, an old one too. Raises NotFound, naming the keys there are."""
    try:
        return DEFINITIONS[current_key(key.strip().lower())]
    except KeyError:
        raise NotFound(
            f"There is no setting «{key[:40]}».", f"There are: {', '.join(DEFINITIONS)}."
        ) from None
