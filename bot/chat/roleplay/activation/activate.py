"""One pure function: books, turns, settings and a seed in; what fires, where, and why not, out.

After SillyTavern's scan, with the rules of character-card-spec-v2 and -v3 where those say more. A
step matches, lets groups choose, rolls for probability, and shares the budget out. While a step
brought something new, what it says may trigger others in the next one. Our choices, where the
programs differ, are in docs/lorebooks.md. Work is bounded: see `words`, `patterns` and MOST_STEPS.
"""

import re
import time
from collections.abc import Callable, Iterable, Sequence

from bot.chat.personas.lore.book import Logic
from bot.chat.personas.lore.patterns import RegexKey
from bot.chat.roleplay.activation.candidates import Candidate, Key, candidates
from bot.chat.roleplay.activation.chance import roll
from bot.chat.roleplay.activation.groups import group_names, losers, score
from bot.chat.roleplay.activation.outcome import (
    Activation,
    Cause,
    Fired,
    GivenUp,
    Hit,
    LeftOut,
    Reason,
)
from bot.chat.roleplay.activation.patterns import Patterns
from bot.chat.roleplay.activation.request import EntryId, Request
from bot.chat.roleplay.activation.room import Matched, Shared, share_out
from bot.chat.roleplay.activation.scan import Scan
from bot.chat.roleplay.activation.words import Needle

MOST_STEPS = 100  # of recursion and of looking further back together
_HIDDEN = re.compile(r"\{\{\s*hidden_key\s*:{1,2}([^{}]{0,2000})\}\}", re.IGNORECASE)
_COMMENT = re.compile(r"\{\{\s*(?://|comment\s*:)[^{}]{0,2000}\}\}", re.IGNORECASE)
_QUIET = frozenset({Reason.DISABLED, Reason.EMPTY, Reason.NO_KEYS, Reason.NO_MATCH})


def activate(request: Request, clock: Callable[[], float] = time.thread_time) -> Activation:
    """What of the books is told to the model for the next reply.

    Blocking: for a worker thread. The same request has the same outcome, save where a pattern runs
    out of time, which `clock` measures; what was given up so is named.
    """
    return _Run(request, clock).outcome()


class _Run:
    def __init__(self, request: Request, clock: Callable[[], float]) -> None:
        settings = request.settings
        self._request = request
        self._patterns = Patterns(settings.regex_match_seconds, settings.regex_scan_seconds, clock)
        self._all = candidates(request, self._patterns)
        self._out: dict[EntryId, tuple[Reason, str, tuple[Hit, ...]]] = {}
        self._pending: dict[EntryId, Candidate] = {}
        for one in self._all:
            if one.held is None:
                self._pending[one.entry_id] = one
            else:
                self._out[one.entry_id] = (*one.held, ())
        self._scan = Scan(request, list(self._pending.values()), self._patterns)
        self._matched: list[Matched] = []  # all that came through, with room or without
        self._shared = Shared([], {}, 0)
        self._told: set[EntryId] = set()  # whose content was taken up
        self._levels = sorted(
            {one.entry.delay_until_recursion for one in self._pending.values()} - {0}
        )
        self._level = self._levels.pop(0) if self._levels else 0
        self._is_recursing = False
        self._steps = 0
        self._is_cut_short = False
        # Who has to be asked again when a key turns up in what has fired.
        self._by_key: dict[Needle | RegexKey, list[Candidate]] = {}
        self._recalled_patterns: list[RegexKey] = []
        # Of the entry that was asked last: what of its keys was found, and its score.
        self._found: tuple[Hit, ...] = ()
        self._points = 0

    def outcome(self) -> Activation:
        """Scan until nothing new fires, and say what came of it."""
        consider: Iterable[Candidate] = list(self._pending.values())
        while True:
            self._steps += 1
            new = self._step(consider)
            if self._steps >= MOST_STEPS:
                self._is_cut_short = bool(new)
                break
            following = self._following(new)
            if following is None:
                break
            consider = following
        return self._said()

    def _following(self, new: Sequence[Matched]) -> list[Candidate] | None:
        """Whom the next step asks; None when there is none."""
        settings = self._request.settings
        limit = settings.max_recursion_steps
        may_recurse = limit <= 0 or self._steps <= limit
        content = [one for one in new if self._scan.gives_content(one.one)]
        if content and may_recurse:
            is_first, self._is_recursing = not self._is_recursing, True
            return self._triggered(content, everybody=is_first)
        if content:
            self._is_cut_short = True
        if self._levels and self._is_recursing and may_recurse:
            self._level = self._levels.pop(0)
            return self._delayed()
        wanted = settings.min_activations
        deepest = settings.min_activations_depth or self._scan.messages
        deepest = min(deepest, self._scan.messages)
        is_short = len(self._shared.standing) < wanted and not self._shared.out
        if is_short and settings.scan_depth + self._scan.skew < deepest:
            self._scan.skew += 1
            return list(self._pending.values())
        return None

    def _triggered(self, content: Sequence[Matched], *, everybody: bool) -> list[Candidate]:
        """Take up what has fired. Returns who may be triggered by it, in their standing."""
        if everybody:
            self._index()
        found: dict[EntryId, Candidate] = {}
        for matched in content:
            self._told.add(matched.one.entry_id)
            text = self._scanned_content(matched.one.text)
            title = matched.one.entry.title
            for key in self._scan.recall(title, text, self._recalled_patterns):
                found |= {one.entry_id: one for one in self._by_key.get(key, ())}
        found |= {one.entry_id: one for one in (self._delayed() if everybody else ())}
        asked = [one for one in found.values() if one.entry_id in self._pending]
        return sorted(asked, key=lambda one: one.standing)

    def _index(self) -> None:
        for one in self._pending.values():
            if self._scan.takes_content(one):
                for key in one.all_keys():
                    self._by_key.setdefault(key.look_for, []).append(one)
        self._recalled_patterns = [one for one in self._by_key if isinstance(one, RegexKey)]

    def _delayed(self) -> list[Candidate]:
        levels = range(1, self._level + 1)
        return [one for one in self._pending.values() if one.entry.delay_until_recursion in levels]

    def _scanned_content(self, text: str) -> str:
        """What others find in a content: hidden keys, and no comments."""
        # A hidden key is no part of the word that it is written to.
        hidden = _HIDDEN.findall(text)
        text = "\n".join((_COMMENT.sub("", _HIDDEN.sub("", text)), *hidden))
        return self._request.expand(text)

    def _step(self, consider: Iterable[Candidate]) -> list[Matched]:
        """Ask these. Returns what stands now and was not taken up yet."""
        matched = [found for one in consider if (found := self._match(one)) is not None]
        for one in self._without_luck(self._without_losers(matched)):
            del self._pending[one.one.entry_id]
            self._matched.append(one)
        self._shared = share_out(self._matched, self._request.settings.budget)
        return [one for one in self._shared.standing if one.one.entry_id not in self._told]

    def _without_losers(self, matched: list[Matched]) -> list[Matched]:
        taken = {name for one in self._matched for name in group_names(one.one)}
        lost = losers(
            [(one.one, one.score) for one in matched],
            taken,
            seed=self._request.seed,
            scoring=self._request.settings.group_scoring,
        )
        for one in matched:
            if one.one.entry_id in lost:
                self._leave(one, Reason.GROUP, f"the group «{lost[one.one.entry_id][:80]}»")
        return [one for one in matched if one.one.entry_id not in lost]

    def _without_luck(self, matched: list[Matched]) -> list[Matched]:
        lucky: list[Matched] = []
        for one in matched:
            chance = _chance(one.one)
            if one.one.is_sticky or self._roll(one.one) * 100 < chance:
                lucky.append(one)
            else:
                self._leave(one, Reason.PROBABILITY, f"{chance} %")
        return lucky

    def _roll(self, one: Candidate) -> float:
        return roll(self._request.seed, "chance", str(one.entry_id))

    def _leave(self, one: Matched, reason: Reason, detail: str) -> None:
        self._out[one.one.entry_id] = reason, detail, one.hits
        del self._pending[one.one.entry_id]

    def _match(self, one: Candidate) -> Matched | None:
        """Whether it would fire now; if not, why is noted."""
        found = self._cause(one)
        if isinstance(found, Reason):
            self._out[one.entry_id] = found, "", self._found
            return None
        self._out.pop(one.entry_id, None)
        return Matched(one, found, self._found, self._request.count(one.text), self._points)

    def _cause(self, one: Candidate) -> Cause | Reason:
        self._found, self._points = (), 0
        level = one.entry.delay_until_recursion
        if level and not one.is_sticky and not (self._is_recursing and level <= self._level):
            return Reason.RECURSION
        if one.rules.activate:
            return Cause.ACTIVATE
        if one.rules.keep_activate_after_match and one.fired_before:
            return Cause.KEPT
        found = Cause.CONSTANT if one.entry.constant else Cause.STICKY
        if not one.entry.constant and not one.is_sticky:
            found = self._by_keys(one)
        if isinstance(found, Reason):
            return found
        return self._excluded(one) or found

    def _excluded(self, one: Candidate) -> Reason | None:
        """What the decorators' own keys say."""
        for group in one.excluding:
            if hits := self._scan.hits(one, group):
                self._found = hits
                return Reason.EXCLUDED
        for group in one.excluding_all:
            hits = self._scan.hits(one, group)
            if hits and len(hits) == len(group):
                self._found = hits
                return Reason.EXCLUDED
        for group in one.additional:
            hits = self._scan.hits(one, group)
            if not hits and not one.is_sticky:
                return Reason.ADDITIONAL
            self._found += hits
        return None

    def _by_keys(self, one: Candidate) -> Cause | Reason:
        if not one.keys:
            return Reason.GIVEN_UP if one.given_up else Reason.NO_KEYS
        keys = self._scan.hits(one, one.keys)
        if not keys:
            return Reason.GIVEN_UP if one.given_up else Reason.NO_MATCH
        secondary = self._scan.hits(one, one.secondary)
        self._found = (*keys, *secondary)
        self._points = score(one, keys, secondary)
        if one.secondary and not _holds(one.entry.logic, len(secondary), one.secondary):
            return Reason.SECONDARY
        return Cause.KEY

    def _said(self) -> Activation:
        total = len(self._shared.standing)
        fired = [self._fired(one, total - at) for at, one in enumerate(self._shared.standing)]
        order = {one.one.entry_id: one.one for one in self._matched}
        fired.sort(key=lambda one: (one.entry.order, order[one.entry_id].standing))
        for one in self._matched:
            if one.one.entry_id in self._shared.out:
                detail = self._shared.out[one.one.entry_id]
                self._out[one.one.entry_id] = Reason.BUDGET, detail, one.hits
        left_out: list[LeftOut] = []
        silent: list[LeftOut] = []
        for one in self._all:
            if one.entry_id in self._out:
                reason, detail, hits = self._out[one.entry_id]
                said = LeftOut(one.entry_id, one.entry, one.book.book.name, reason, detail, hits)
                (silent if reason in _QUIET else left_out).append(said)
        return Activation(
            fired=tuple(fired),
            left_out=tuple(left_out),
            silent=tuple(silent),
            given_up=tuple(self._given_up()),
            tokens=self._shared.tokens,
            budget=self._request.settings.budget,
            disabled_prompts=frozenset(
                one.one.rules.disable_ui_prompt
                for one in self._shared.standing
                if one.one.rules.disable_ui_prompt
            ),
            steps=self._steps,
            is_cut_short=self._is_cut_short,
        )

    def _fired(self, matched: Matched, rank: int) -> Fired:
        one = matched.one
        return Fired(
            one.entry_id,
            one.entry,
            one.book.book.name,
            one.text,
            one.placement(self._request.messages),
            matched.cause,
            matched.hits,
            matched.tokens,
            rank,
            is_spare=one.rules.ignore_on_max_context,
            ignores_budget=one.entry.ignore_budget,
        )

    def _given_up(self) -> Iterable[GivenUp]:
        for one in self._all:
            for key, why in one.given_up.items():
                yield GivenUp(one.entry_id, one.entry.title, one.book.book.name, key[:200], why)


def _holds(logic: Logic, found: int, keys: Sequence[Key]) -> bool:
    """Whether so many of the secondary keys found satisfy their logic."""
    match logic:
        case Logic.AND_ANY:
            return found > 0
        case Logic.AND_ALL:
            return found == len(keys)
        case Logic.NOT_ALL:
            return found < len(keys)
        case Logic.NOT_ANY:
            return found == 0


def _chance(one: Candidate) -> float:
    """In percent."""
    if one.rules.probability is not None:
        return one.rules.probability
    return one.entry.probability if one.entry.use_probability else 100
