"""A guild's word list made ready: whole texts screened, replies filtered while they stream."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from bot.chat.limits.words.word import GuildWord, Side, compiled
from bot.chat.text.forbidden.links import plain_links
from bot.chat.text.forbidden.patterns import PatternFinder
from bot.chat.text.forbidden.plain import PlainFinder, PlainWords
from bot.chat.text.forbidden.redaction import Pipeline, Redaction, Then

PIECE_CHARACTERS = 2_000  # of a long text, looked through at a time
JOINED_CHARACTERS = 2_000  # of a text that goes on, looked at for what may begin in it
LISTS_REMEMBERED = 128
TEXTS_REMEMBERED = 600  # of each: more than a prompt has turns


@dataclass(frozen=True, slots=True)
class Screened:
    """A text without a list's words, and what the worst of them asks for."""

    text: str
    then: Then | None = None
    words: tuple[GuildWord, ...] = ()  # those that were found


class Rules:
    """What a list says of one side."""

    def __init__(self, words: Sequence[GuildWord], side: Side) -> None:
        """The whole list; entries of the other side don't count. With BOTH, all of them do."""
        sides = Side if side is Side.BOTH else (side, Side.BOTH)
        self.words = [word for word in words if word.side in sides]
        numbered = list(enumerate(self.words))
        self._plain = PlainWords([(at, one.pattern) for at, one in numbered if not one.is_pattern])
        self._patterns = [
            replace(ready, entry=at)
            for at, one in numbered
            if one.is_pattern and (ready := compiled(one.pattern)) is not None
        ]
        # What is read over and over, in whatever thread.
        self.screen_again = lru_cache(TEXTS_REMEMBERED)(self.mask)

    def __bool__(self) -> bool:
        return bool(self.words)

    @property
    def may_take_back(self) -> bool:
        """Whether a single word can forbid all of a text."""
        return any(word.then is Then.IGNORE for word in self.words)

    def then(self, entry: int) -> Then:
        """What happens for an entry."""
        return self.words[entry].then

    def stages(self, before: str = "", *, only_mask: bool = False) -> list[Redaction]:
        """The filters of one text. Patterns see it as it is, words what patterns have left."""
        then = _mask if only_mask else self.then
        stages: list[Redaction] = []
        if self._patterns:
            stages.append(Redaction(PatternFinder(self._patterns), then, before=before))
        if self._plain:
            stages.append(Redaction(PlainFinder(self._plain), then, before=before))
        return stages

    def screen(self, text: str) -> Screened:
        """A whole text with every word masked."""
        if not self.words or not text:
            return Screened(text)
        pipeline = Pipeline(self.stages(only_mask=True))
        pieces = range(0, len(text), PIECE_CHARACTERS)  # each has its own time for patterns
        shown = "".join(pipeline.decode(text[at : at + PIECE_CHARACTERS]) for at in pieces)
        shown += pipeline.flush()
        words = tuple(self.words[entry] for entry in sorted(pipeline.entries))
        return Screened(shown, max((word.then for word in words), default=None), words)

    def mask(self, text: str) -> str:
        """The same, of which nothing but the text is wanted."""
        return self.screen(text).text


class ReplyRules:
    """What becomes of one reply of the bot's: its words, its links. A stream filter."""

    def __init__(self, rules: Rules, *, links: bool, before: str = "") -> None:
        """`links`: they are to be plain. `before` is what people see of the reply already."""
        self._rules = rules
        self._links = links
        self._before = before[-JOINED_CHARACTERS:]
        words = rules.stages(self._before)
        self._words = Pipeline(words)
        self._pipeline = Pipeline(
            [*(plain_links(self._before) if links else ()), *words], whole=rules.may_take_back
        )

    def anew(self) -> "ReplyRules":
        """For a text that takes the place of this one."""
        return ReplyRules(self._rules, links=self._links, before=self._before)

    @property
    def ended(self) -> Then | None:
        """What ended the text: STOP before a word, IGNORE where none of it is to be shown."""
        return self._pipeline.ended

    @property
    def words(self) -> tuple[GuildWord, ...]:
        """Those that were found."""
        return tuple(self._rules.words[entry] for entry in sorted(self._words.entries))

    def decode(self, text: str) -> str:
        """Take new text; return what may be shown."""
        return self._pipeline.decode(text)

    def flush(self) -> str:
        """The text has ended: return the rest of it."""
        return self._pipeline.flush()


@lru_cache(LISTS_REMEMBERED)
def rules_of(words: tuple[GuildWord, ...], side: Side) -> Rules:
    """A list made ready, once as long as it stays the same."""
    return Rules(words, side)


def _mask(_: int) -> Then:
    return Then.MASK
