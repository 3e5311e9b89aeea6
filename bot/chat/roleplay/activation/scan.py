"""Where keys are: in the newest messages, in what else an entry scans, in what has fired."""

from collections.abc import Callable, Iterable, Sequence

from bot.chat.personas.lore.patterns import RegexKey
from bot.chat.roleplay.activation.candidates import Candidate, Key, texts_around
from bot.chat.roleplay.activation.outcome import Hit
from bot.chat.roleplay.activation.patterns import Patterns, PatternText
from bot.chat.roleplay.activation.request import ChatTurn, Request
from bot.chat.roleplay.activation.words import Finder, Haystack, Needle

TOO_MUCH = "there was too much to look through"
MOST_MESSAGES = 1_000  # that are scanned, whatever depth an entry asks for
_AROUND = {
    "match_persona_description": "the description of who writes",
    "match_character_description": "the character's description",
    "match_character_personality": "the character's personality",
    "match_character_depth_prompt": "the character's depth prompt",
    "match_scenario": "the scenario",
    "match_creator_notes": "the creator's notes",
}


class Scan:
    """Knows of every key where it stands. Plain keys are looked for once, in all texts."""

    def __init__(
        self, request: Request, candidates: Sequence[Candidate], patterns: Patterns
    ) -> None:
        self._settings = request.settings
        self._patterns = patterns
        self.skew = 0  # how much further back than asked: for `min_activations`
        segments = _segments(request)
        self.messages = len(segments)
        keys = (key for one in candidates for key in one.all_keys())
        self.finder = Finder(key.look_for for key in keys if isinstance(key.look_for, Needle))
        self._in_messages = self.finder.find(Haystack(segments))
        self._messages = PatternText(segments)
        self._around: dict[str, tuple[dict[Needle, int], PatternText]] = {}
        for attribute, text in texts_around(request).items():
            if text and any(getattr(one.entry, attribute) for one in candidates):
                text = text[: request.settings.scan_characters]
                found = self.finder.find(Haystack([text]))
                self._around[attribute] = found, PatternText([text])
        self._recalled_titles: list[str] = []
        self._in_recalled: dict[Needle | RegexKey, int] = {}
        self._recalled_characters = request.settings.scan_characters
        self._pattern_hits: dict[tuple[RegexKey, int], bool] = {}  # in so many messages

    def recall(
        self, title: str, text: str, expand: Callable[[str], str], patterns: Iterable[RegexKey]
    ) -> set[Needle | RegexKey]:
        """Take up the content of an entry that fired. Returns the keys that are new by it.

        `expand` makes of the text what is scanned, which costs by the text's own length. `patterns`
        are those that content may trigger.
        """
        left = self._recalled_characters
        read = text[:left]
        text = expand(read)[:left]
        self._recalled_characters -= max(len(read), len(text))
        there: set[Needle | RegexKey] = set(self.finder.find(Haystack([text])))
        seen = PatternText([text]).text
        there |= {
            one
            for one in patterns
            if one not in self._in_recalled and self._patterns.search(one, seen)
        }
        found = {one for one in there if one not in self._in_recalled}
        self._in_recalled.update(dict.fromkeys(found, len(self._recalled_titles)))
        self._recalled_titles.append(title)
        return found

    def depth(self, one: Candidate) -> int:
        """How many messages an entry scans: its decorator's, its own, its book's, the settings'."""
        for own in (one.rules.scan_depth, one.entry.scan_depth):
            if own is not None:
                return own
        book = one.book.book.scan_depth
        return (self._settings.scan_depth if book is None else book) + self.skew

    def takes_content(self, one: Candidate) -> bool:
        """Whether other entries' content may trigger it."""
        if one.entry.exclude_recursion or one.rules.no_recursive_search:
            return False
        return self._settings.recursion if one.is_recursive is None else one.is_recursive

    def gives_content(self, one: Candidate) -> bool:
        """Whether its content may trigger others."""
        if one.entry.prevent_recursion or one.rules.unrecursive:
            return False
        if one.rules.recursive or one.is_recursive is None:
            return one.rules.recursive or self._settings.recursion
        return one.is_recursive

    def hits(self, one: Candidate, keys: Iterable[Key]) -> tuple[Hit, ...]:
        """Those of an entry's keys that are there, each with where."""
        found = ((key, self._where(one, key)) for key in keys)
        return tuple(Hit(key.source, where) for key, where in found if where)

    def _where(self, one: Candidate, key: Key) -> str:
        if isinstance(key.look_for, RegexKey):
            where = self._where_pattern(one, key, key.look_for)
            if not where and key.look_for in self._patterns.given_up:
                one.given_up[key.source] = self._patterns.given_up[key.look_for]
            return where
        message = self._in_messages.get(key.look_for)
        if message is not None and message < self.depth(one):
            return f"message {message + 1}"
        for attribute, (found, _) in self._around.items():
            if getattr(one.entry, attribute) and key.look_for in found:
                return _AROUND[attribute]
        if key.look_for in self.finder.given_up:
            one.given_up[key.source] = TOO_MUCH
        return self._where_recalled(one, key)

    def _where_pattern(self, one: Candidate, key: Key, pattern: RegexKey) -> str:
        depth = min(self.depth(one), self.messages)
        if depth > 0 and self._is_in_messages(pattern, depth):
            return "message 1" if depth == 1 else f"the newest {depth} messages"
        for attribute, (_, text) in self._around.items():
            if getattr(one.entry, attribute) and self._patterns.search(pattern, text.text):
                return _AROUND[attribute]
        return self._where_recalled(one, key)

    def _is_in_messages(self, pattern: RegexKey, depth: int) -> bool:
        if (pattern, depth) not in self._pattern_hits:
            self._pattern_hits[pattern, depth] = self._patterns.search(
                pattern, self._messages.text, self._messages.end(depth)
            )
        return self._pattern_hits[pattern, depth]

    def _where_recalled(self, one: Candidate, key: Key) -> str:
        entry = self._in_recalled.get(key.look_for) if self.takes_content(one) else None
        return "" if entry is None else f"the entry «{self._recalled_titles[entry]}»"


def _segments(request: Request) -> list[str]:
    """The messages as they are scanned, newest first, within the bound of characters."""
    left = request.settings.scan_characters
    segments: list[str] = []
    for turn in reversed(request.turns[-MOST_MESSAGES:]):
        if left <= 0:
            break
        text = _scanned(turn, request)[:left]
        left -= len(text)
        segments.append(text)
    return segments


def _scanned(turn: ChatTurn, request: Request) -> str:
    has_name = request.settings.include_names and turn.name
    return f"{turn.name}: {turn.text}" if has_name else turn.text
