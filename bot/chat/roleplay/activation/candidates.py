"""Entries made ready: decorators read, keys prepared, what is fixed for this reply decided.

Of books that hold more than MOST_WORK the first entries are taken up, in their standing; the others
are named by book. No book that a person wrote comes near it.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from bot.chat.personas.lore.book import LoreEntry, Position
from bot.chat.personas.lore.decorators import Rules, split_decorators
from bot.chat.personas.lore.patterns import RegexKey, regex_key
from bot.chat.roleplay.activation.outcome import Placement, Reason, Unread
from bot.chat.roleplay.activation.patterns import Patterns
from bot.chat.roleplay.activation.request import AttachedBook, EntryId, Request
from bot.chat.roleplay.activation.timing import Phase, phase_of
from bot.chat.roleplay.activation.words import KEY_CHARACTERS, Needle, needle
from bot.chat.text.names import clean_name

MOST_KEYS = 1_000  # of one entry
# Bounds one activation to about a second of reading, whatever the books hold. The work is counted
# in plain keys, of which a processor reads some 120,000 a second, so that no clock decides.
MOST_WORK = 120_000
ENTRY_WORK = 4
PATTERN_WORK = 6
MACRO_WORK = 2  # for each, on top
_MACRO = re.compile(r"\{\{[^{}]{1,200}\}\}|<(?:user|bot|char)>", re.IGNORECASE)
KEY_TOO_LONG = f"the key is longer than {KEY_CHARACTERS:,} characters"


@dataclass(frozen=True, slots=True)
class Key:
    """A key as its author wrote it, and as it is looked for."""

    source: str
    look_for: Needle | RegexKey


@dataclass(slots=True)
class Candidate:
    """An entry on its way. `standing` sorts entries where nothing else does."""

    entry_id: EntryId
    entry: LoreEntry
    book: AttachedBook
    text: str
    rules: Rules
    standing: tuple[int, str, int]
    phase: Phase = Phase.NONE
    fired_before: bool = False
    held: tuple[Reason, str] | None = None  # what keeps it out of this reply whatever is said
    keys: tuple[Key, ...] = ()
    secondary: tuple[Key, ...] = ()
    additional: tuple[tuple[Key, ...], ...] = ()
    excluding: tuple[tuple[Key, ...], ...] = ()
    excluding_all: tuple[tuple[Key, ...], ...] = ()
    given_up: dict[str, str] = field(default_factory=dict[str, str])  # key: why

    @property
    def is_pattern_entry(self) -> bool:
        """Whether `use_regex` holds for it, so that its keys are patterns as V3 has it."""
        return self.entry.use_regex

    @property
    def is_sticky(self) -> bool:
        """Whether an earlier firing keeps it here."""
        return self.phase is Phase.STICKY

    @property
    def priority(self) -> float:
        """The higher, the longer it stays where the budget is short; 0 where none is given."""
        given = self.rules.priority if self.rules.priority is not None else self.entry.priority
        return given or 0

    @property
    def is_recursive(self) -> bool | None:
        """What its book says of recursion."""
        return self.book.book.recursive

    def all_keys(self) -> Iterator[Key]:
        """Every key, whatever it is for."""
        yield from self.keys
        yield from self.secondary
        for groups in (self.additional, self.excluding, self.excluding_all):
            for group in groups:
                yield from group

    def placement(self, messages: int) -> Placement:
        """Where it stands; decorators beat fields, and `@@position` beats `@@depth`."""
        entry, rules = self.entry, self.rules
        role = rules.role or entry.role
        if rules.position is not None:
            return Placement(rules.position, role=role)
        if rules.depth is not None:
            return Placement(Position.AT_DEPTH, rules.depth, role)
        if rules.reverse_depth is not None:
            return Placement(Position.AT_DEPTH, max(messages - rules.reverse_depth, 0), role)
        return Placement(entry.position, entry.depth, role, entry.outlet.strip())


def candidates(request: Request, patterns: Patterns) -> tuple[list[Candidate], list[Unread]]:
    """The entries of all books, in their standing, and which are too many to be taken up.

    The same book counts once.
    """
    made: list[Candidate] = []
    unread: list[Unread] = []
    seen: set[str] = set()
    fired: dict[EntryId, list[int]] = {}
    for past in request.past:
        if past.at < request.messages:
            fired.setdefault(past.entry, []).append(past.at)
    maker = _Maker(request, patterns, fired)
    for attached in sorted(request.books, key=lambda one: (one.precedence, one.book_id)):
        if attached.book_id in seen:
            continue
        seen.add(attached.book_id)
        entries = attached.book.entries
        for at, entry in enumerate(entries):
            one = maker.made(attached, at, entry)
            if one is None:
                unread.append(
                    Unread(
                        EntryId(attached.book_id, entry.uid),
                        entry.title,
                        attached.book.name,
                        len(entries) - at,
                    )
                )
                break
            made.append(one)
    return made, unread


class _Maker:
    """Makes candidates until the work is spent."""

    def __init__(
        self, request: Request, patterns: Patterns, fired: Mapping[EntryId, Sequence[int]]
    ) -> None:
        self._request = request
        self._patterns = patterns
        self._fired = fired
        self._bots = request.bot_messages
        self._work = MOST_WORK

    def made(self, attached: AttachedBook, at: int, entry: LoreEntry) -> Candidate | None:
        """An entry made ready; None where its keys, or those before, are too many."""
        self._work -= ENTRY_WORK
        if self._work < 0:
            return None
        request = self._request
        entry_id = EntryId(attached.book_id, entry.uid)
        standing = attached.precedence, attached.book_id, at
        text, rules = split_decorators(entry.content)
        one = Candidate(entry_id, entry, attached, text.strip(), rules, standing)
        times = self._fired.get(entry_id, ())
        one.fired_before = bool(times)
        one.phase = phase_of(times, request.messages, sticky=entry.sticky, cooldown=entry.cooldown)
        one.held = _held_back(one, request, self._bots)
        if one.held is None:
            self._prepare_keys(one)
        return one if self._work >= 0 else None

    def _prepare_keys(self, one: Candidate) -> None:
        entry, rules = one.entry, one.rules
        one.keys = self._prepared(one, entry.keys)
        # V3 has it that `use_regex` takes secondary keys out; real books say both and mean both.
        if entry.selective:
            one.secondary = self._prepared(one, entry.secondary_keys)
        additional = tuple(self._prepared(one, group) for group in rules.additional_keys)
        if one.is_pattern_entry:  # V3: then they are alternatives, and nothing excludes
            one.keys += tuple(key for group in additional for key in group)
            return
        one.additional = additional
        one.excluding = tuple(self._prepared(one, group) for group in rules.exclude_keys)
        one.excluding_all = tuple(self._prepared(one, group) for group in rules.exclude_keys_all)

    def _prepared(self, one: Candidate, sources: Sequence[str]) -> tuple[Key, ...]:
        made: list[Key] = []
        for source in sources[:MOST_KEYS]:
            is_pattern = one.is_pattern_entry or source.lstrip()[:1] == "/"
            macros = source.count("{{") + source.count("<")
            self._work -= (PATTERN_WORK if is_pattern else 1) + MACRO_WORK * macros
            if self._work < 0:
                break
            key = _key(source, one, self._request, self._patterns)
            if key is not None:
                made.append(key)
        return tuple(made)


def _held_back(one: Candidate, request: Request, bots: int) -> tuple[Reason, str] | None:
    entry, rules, around = one.entry, one.rules, request.surroundings
    if not entry.enabled:
        return Reason.DISABLED, ""
    if not one.text:
        return Reason.EMPTY, ""
    if entry.triggers and around.trigger not in entry.triggers:
        return Reason.TRIGGER, f"only for: {', '.join(entry.triggers)[:80]}"
    if not _is_for_character(entry, around.character_name, around.character_tags):
        return Reason.CHARACTER, ""
    if request.messages < entry.delay:
        return Reason.DELAY, f"{entry.delay} messages are needed, there are {request.messages}"
    if one.phase is Phase.COOLDOWN:
        return Reason.COOLDOWN, f"for {entry.cooldown} messages"
    if rules.activate:
        return None
    said = _held_by_decorator(one, request, bots)
    return (Reason.DECORATOR, said) if said else None


def _held_by_decorator(one: Candidate, request: Request, bots: int) -> str:
    """The decorator that keeps it out, in words; "" for none."""
    rules = one.rules
    if rules.dont_activate:
        return "@@dont_activate"
    if rules.dont_activate_after_match and one.fired_before:
        return "@@dont_activate_after_match"
    greeting = request.surroundings.greeting
    if None not in (rules.is_greeting, greeting) and rules.is_greeting != greeting:
        return f"@@is_greeting {rules.is_greeting}"
    if rules.keep_activate_after_match and one.fired_before:
        return ""
    if rules.activate_only_after is not None and bots < rules.activate_only_after:
        return f"@@activate_only_after {rules.activate_only_after}: the bot has said {bots}"
    if rules.activate_only_every is not None and bots % rules.activate_only_every:
        return f"@@activate_only_every {rules.activate_only_every}: the bot has said {bots}"
    return ""


def _is_for_character(entry: LoreEntry, name: str, tags: Sequence[str]) -> bool:
    known = {clean_name(one).casefold() for one in entry.character_names}
    wanted = {tag.strip().casefold() for tag in entry.character_tags}
    is_named = clean_name(name).casefold() in known
    is_tagged = any(tag.strip().casefold() in wanted for tag in tags)
    if entry.character_exclude:
        return not is_named and not is_tagged
    return (is_named or not known) and (is_tagged or not wanted)


def _key(source: str, one: Candidate, request: Request, patterns: Patterns) -> Key | None:
    """A key ready to be looked for; None, and perhaps noted, for one that cannot be."""
    text = source.strip()
    if not text:
        return None
    pattern = regex_key(text)
    if pattern is None and one.is_pattern_entry:
        is_exact = one.entry.case_sensitive or (
            one.entry.case_sensitive is None and request.settings.case_sensitive
        )
        pattern = RegexKey(text, "" if is_exact else "i")
    if pattern is not None:
        spelled = _expanded(pattern.pattern, request, in_pattern=True)
        pattern = RegexKey(spelled, pattern.flags)
        if patterns.take(pattern):
            if pattern in patterns.given_up:
                one.given_up[source] = patterns.given_up[pattern]
                return None
            return Key(source, pattern)
        if one.is_pattern_entry:  # V3: a pattern that is none matches nothing
            one.given_up[source] = "it is no regular expression"
            return None
    if len(text) > KEY_CHARACTERS:
        one.given_up[source] = KEY_TOO_LONG
        return None
    found = needle(
        _expanded(text, request),
        case_sensitive=_choose(one.entry.case_sensitive, request.settings.case_sensitive),
        whole_words=_whole_words(one, request),
    )
    return None if found is None else Key(source, found)


def _choose(own: bool | None, default: bool) -> bool:
    return default if own is None else own


def _whole_words(one: Candidate, request: Request) -> bool:
    if one.rules.match_full_word or one.rules.match_partial_word:
        return one.rules.match_full_word
    return _choose(one.entry.whole_words, request.settings.whole_words)


def _expanded(text: str, request: Request, *, in_pattern: bool = False) -> str:
    """With macros replaced; in a pattern, a name stands for itself, whatever is in it."""

    def value(match: re.Match[str]) -> str:
        expanded = request.expand(match[0])
        if expanded == match[0] or not in_pattern:
            return expanded
        return re.sub(r"[\\^$.|?*+()\[\]{}/]", r"\\\g<0>", expanded)

    return _MACRO.sub(value, text) if "{{" in text or "<" in text else text


def texts_around(request: Request) -> Mapping[str, str]:
    """The texts that entries may ask to scan, by the attribute with which they ask."""
    around = request.surroundings
    return {
        "match_persona_description": around.persona_description,
        "match_character_description": around.character_description,
        "match_character_personality": around.character_personality,
        "match_character_depth_prompt": around.character_depth_prompt,
        "match_scenario": around.scenario,
        "match_creator_notes": around.creator_notes,
    }
