"""One entry of a guild's word list: what is looked for, where, and what happens then."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Final, Protocol, TypeAlias

from bot.chat.messages import ChannelKey
from bot.chat.personas.lore.patterns import (
    NotAPattern,
    RegexKey,
    TooCostly,
    compile_key,
    regex_key,
    translate_key,
)
from bot.chat.text.forbidden.patterns import Pattern, PatternFinder
from bot.chat.text.forbidden.plain import spelled
from bot.chat.text.forbidden.redaction import Then
from bot.chat.text.guard import plain_lines
from bot.errors import ChannelSettingError

MOST_WORDS: Final = 100  # of a guild
MOST_PATTERNS: Final = 25  # of these: each is looked for by itself
WORD_CHARACTERS: Final = 100
PATTERN_CHARACTERS: Final = 300
TRIAL_SECONDS: Final = 0.02  # for a pattern to read a hostile text
_TRIAL_CHARACTERS = 400
_TRIED_LETTERS = 16
_SYNTAX = frozenset("\\^$.|?*+()[]{},")  # which mean no sign of a text
_REMEMBERED = 500


Guild: TypeAlias = tuple[str, str]
"""A platform, and a guild's id there."""


class Side(StrEnum):
    """Whose words an entry is about."""

    BOTH = "both"
    IN = "in"  # what people write
    OUT = "out"  # what the bot says


@dataclass(frozen=True, slots=True)
class GuildWord:
    """An entry, as a moderator wrote it: a word or phrase, or a pattern between slashes."""

    pattern: str
    then: Then = Then.MASK
    side: Side = Side.BOTH
    word_id: int = 0
    added_by: str = ""
    added_at: datetime | None = None

    @property
    def is_pattern(self) -> bool:
        """Whether it is a regular expression."""
        return regex_key(self.pattern) is not None


class WordStore(Protocol):
    """Keeps guilds' lists. Each method is one transaction."""

    async def words(self, guild: Guild) -> list[GuildWord]:
        """A guild's list, the oldest first."""
        ...

    async def put(self, guild: Guild, word: GuildWord) -> tuple[GuildWord, bool]:
        """Add an entry, or let it take the place of the one of the same pattern: False then.

        Raises NotAllowed where there are too many.
        """
        ...

    async def take_out(self, guild: Guild, pattern: str) -> GuildWord | None:
        """Take an entry out by its pattern; returns what it was."""
        ...


def guild_of(channel: ChannelKey) -> Guild | None:
    """Whose list holds in a channel. Direct messages have none."""
    return None if channel.guild_id is None else (channel.platform, channel.guild_id)


def key_of(pattern: str) -> str:
    """What two spellings of one entry have in common."""
    return pattern if regex_key(pattern) is not None else spelled(pattern)


def check_pattern(text: str) -> str:
    """What a moderator typed, as it is kept. Raises ChannelSettingError.

    Tries a regular expression on hostile texts: not for the event loop.
    """
    pattern = " ".join(plain_lines(text).split("\n")).strip()
    looks_like_one = pattern.startswith("/") and pattern.rfind("/") > 0
    if looks_like_one:
        return _checked_regex(pattern)
    if len(pattern) > WORD_CHARACTERS:
        raise ChannelSettingError(
            f"That is {len(pattern)} characters long.",
            f"A word or phrase has at most {WORD_CHARACTERS}.",
        )
    if not spelled(pattern):
        raise ChannelSettingError(
            "There is nothing to look for in that.",
            "Give a word, a phrase, or a pattern such as `/colou?r/`.",
        )
    return pattern


@lru_cache(_REMEMBERED)
def compiled(pattern: str) -> Pattern | None:
    """A regular expression made ready; None where it can't be used (any more)."""
    key = regex_key(pattern)
    if key is None:
        return None
    key = RegexKey(key.pattern, "".join(sorted({*key.flags, "i"})))
    try:
        return Pattern.of(0, translate_key(key), compile_key(key).flags)
    except (NotAPattern, TooCostly):
        return None


def _checked_regex(pattern: str) -> str:
    key = regex_key(pattern)
    if len(pattern) > PATTERN_CHARACTERS:
        raise ChannelSettingError(
            f"That pattern is {len(pattern)} characters long.",
            f"A pattern has at most {PATTERN_CHARACTERS}.",
        )
    if key is None:
        raise ChannelSettingError(
            "That begins like a pattern and is none.",
            "Write it as `/…/`, with a backslash before every slash inside.",
        )
    try:
        compile_key(key)
    except NotAPattern as error:
        raise ChannelSettingError(
            f"That pattern cannot be read: {error}.", "Patterns are JavaScript's."
        ) from error
    except TooCostly as error:
        raise ChannelSettingError(
            f"That pattern is too much work: {error}.", "Make it simpler, or several entries."
        ) from error
    ready = compiled(pattern)
    if ready is None or ready.whole.search("") is not None:
        raise ChannelSettingError(
            "That pattern finds something where nothing is.",
            "Have it ask for one character at least: `+` instead of `*`.",
        )
    if any(_is_slow(ready, trial) for trial in _trials(key.pattern)):
        raise ChannelSettingError(
            "That pattern takes too long on some texts.",
            "Leave out repeats within repeats, such as `(a+)+`.",
        )
    return pattern


def _trials(source: str) -> Sequence[str]:
    """Texts that such a pattern may be slow with: its own letters, over and over."""
    own = dict.fromkeys(sign for sign in source if not sign.isspace() and sign not in _SYNTAX)
    letters = [*own][:_TRIED_LETTERS]
    units = [*letters, "".join(letters) or "x", "a", "0", " ", "a ", "\n", "!", "\u00e9"]
    return [(unit * _TRIAL_CHARACTERS)[:_TRIAL_CHARACTERS] + "\x01" for unit in units]


def _is_slow(pattern: Pattern, text: str) -> bool:
    finder = PatternFinder([pattern], seconds=TRIAL_SECONDS)
    finder.feed(text)
    finder.end()
    return finder.out_of_time
