"""What a guild's word list leaves of texts: in prompts, on screens, in files."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, TypeVar

from bot.chat.limits.words.rules import rules_of
from bot.chat.limits.words.word import GuildWord, Side
from bot.chat.messages import HistoryWindow, QuotedMessage, Speaker, Turn

# Looked through on the event loop; more in a thread. With a full list of words and patterns a
# character takes 2 to 4 microseconds, so this keeps the loop for 8 ms at most; a thread takes 0.1.
AT_ONCE_CHARACTERS: Final = 2_000

T = TypeVar("T")


async def screening(work: Callable[[], T], characters: int) -> T:
    """What `work` returns, which looks through so many characters: in a thread where it is long."""
    return work() if characters <= AT_ONCE_CHARACTERS else await asyncio.to_thread(work)


class GuildReading:
    """A :class:`~bot.chat.prompt.reading.Reading` by a guild's list, and what is shown by it.

    Words are masked, whatever their entries say happens to a message with them.
    """

    def __init__(self, words: Sequence[GuildWord]) -> None:
        """The list as it stands now."""
        listed = tuple(words)
        self._said = rules_of(listed, Side.IN)
        self._told = rules_of(listed, Side.OUT)
        self._both = rules_of(listed, Side.BOTH)

    def __bool__(self) -> bool:
        return bool(self._both)

    def said(self, text: str) -> str:
        """What people have said, or wrote down for the model. In any thread."""
        return self._said.screen_again(text)

    def card(self, text: str) -> str:
        """What the model is told and says itself. In any thread."""
        return self._both.screen_again(text)

    def shown(self, text: str) -> str:
        """What the bot shows to people. In any thread."""
        return self._told.mask(text)

    async def all_shown(self, texts: Sequence[str]) -> list[str]:
        """Many texts that are shown together."""
        if not self._told:
            return list(texts)
        return await screening(lambda: [*map(self.shown, texts)], sum(map(len, texts)))

    def retold(self, turn: Turn) -> Turn:
        """A turn that is handed out again, its swipes and names too. In any thread.

        What people said is without the words of both sides then.
        """
        if not self:
            return turn
        mask = self._both.mask if turn.role == "user" else self.shown
        quote = turn.reply_to
        return replace(
            turn,
            text=mask(turn.text),
            speaker=named(turn.speaker, self.shown),
            persona=self.shown(turn.persona),
            reply_to=None if quote is None else quoted(quote, self.shown),
            swipes=tuple(replace(swipe, text=mask(swipe.text)) for swipe in turn.swipes),
        )

    async def window(self, window: HistoryWindow) -> HistoryWindow:
        """What was said before, as the model may see it, in one go."""
        if not self:
            return window
        return await screening(lambda: self._window(window), sum(map(_characters, window.turns)))

    def _window(self, window: HistoryWindow) -> HistoryWindow:
        return replace(window, turns=tuple(map(self._read, window.turns)))

    def _read(self, turn: Turn) -> Turn:
        is_said = turn.role == "user"
        mask = self.said if is_said else self._told.screen_again
        text, persona, quote = mask(turn.text), self.card(turn.persona), turn.reply_to
        speaker = named(turn.speaker, self.said if is_said else self.card)
        if quote is not None:
            # A quoted bot is called as its own turns are.
            name = self.card if quote.author.is_bot else self.said
            quote = replace(quote, text=mask(quote.text), author=named(quote.author, name))
        if (text, speaker, persona, quote) == (
            *(turn.text, turn.speaker, turn.persona, turn.reply_to),
        ):
            return turn
        return replace(turn, text=text, speaker=speaker, persona=persona, reply_to=quote)


def named(speaker: Speaker, mask: Callable[[str], str]) -> Speaker:
    """Somebody, by a name that is masked."""
    name = mask(speaker.name)
    return speaker if name == speaker.name else replace(speaker, name=name)


def quoted(quote: QuotedMessage, mask: Callable[[str], str]) -> QuotedMessage:
    """A quotation, masked with its author's name."""
    return replace(quote, text=mask(quote.text), author=named(quote.author, mask))


def _characters(turn: Turn) -> int:
    return len(turn.text) + (0 if turn.reply_to is None else len(turn.reply_to.text))
