"""Applies guilds' word lists, each as it stands when a message comes or a reply begins."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from bot.chat.limits.words.rules import ReplyRules, Rules, Screened, rules_of
from bot.chat.limits.words.word import GuildWord, Side, WordStore, guild_of
from bot.chat.messages import (
    ChannelKey,
    HistoryWindow,
    IncomingMessage,
    QuotedMessage,
    Speaker,
    Turn,
)
from bot.chat.text.forbidden.redaction import Then
from bot.errors import NotAllowed

NOT_ANSWERED = "That message has a word in it that this server does not want: it stays unanswered."


@dataclass(frozen=True, slots=True)
class Hit:
    """Words of a list were found."""

    side: Side
    words: Sequence[GuildWord]
    speaker_id: str = ""  # who wrote them; "" for the bot


@dataclass(frozen=True, slots=True)
class ScreenedMessage:
    """A message without the words, and what the worst of them asks for."""

    message: IncomingMessage
    then: Then | None = None
    words: tuple[GuildWord, ...] = ()  # those that were found in what was said itself

    @property
    def is_heard(self) -> bool:
        """Whether it is to be kept and answered, as any other."""
        return self.then in (None, Then.MASK)


Listener = Callable[[ChannelKey, Hit], Awaitable[None]]
Mask = Callable[[str], str]


class Censor:
    """Asks for the list every time: a change takes effect at once, in every process.

    Raises StoreError where a list cannot be read: then nothing is heard, and nothing said.
    """

    def __init__(self, store: WordStore | None = None) -> None:
        """Without a store there are no lists."""
        self._store = store
        self._listeners: list[Listener] = []

    def on_hit(self, listener: Listener) -> None:
        """Have `listener` told whenever words are found in what was said."""
        self._listeners.append(listener)

    async def screen(self, message: IncomingMessage) -> ScreenedMessage:
        """What is to be heard of a message. In what it quotes, and in names, words are masked."""
        rules = await self._rules(message.channel, Side.IN)
        if not rules:
            return ScreenedMessage(message)
        text = rules.screen(message.text)
        quote = message.reply_to
        screened = replace(
            message,
            text=text.text,
            words=None if message.words is None else rules.screen(message.words).text,
            author=_named(rules, message.author),
            reply_to=None if quote is None else _quoted(rules, quote),
        )
        return ScreenedMessage(screened, text.then, text.words)

    async def heard(self, screened: ScreenedMessage) -> None:
        """A message was for us: tells whoever wants to know of words in it."""
        message = screened.message
        await self._tell(message.channel, Hit(Side.IN, screened.words, message.author.speaker_id))

    async def screen_text(self, channel: ChannelKey, text: str) -> Screened:
        """What is to be kept of something that a person wrote elsewhere than in a message."""
        return (await self._rules(channel, Side.IN)).screen(text)

    async def wanted(self, channel: ChannelKey, text: str) -> str:
        """The same, masked; raises NotAllowed where a word of it forbids all of it."""
        screened = await self.screen_text(channel, text)
        if screened.then not in (None, Then.MASK):
            raise NotAllowed(
                "That has a word in it that this server does not want.", "Put it in other words."
            )
        return screened.text

    async def masked(self, channel: ChannelKey, text: str) -> str:
        """A line or a name that the bot shows, with every word masked."""
        return (await self.masking(channel))(text)

    async def masking(self, channel: ChannelKey) -> Mask:
        """Masks every word in many texts that the bot shows. In any thread."""
        rules = await self._rules(channel, Side.OUT)
        return lambda text: rules.screen(text).text

    async def retelling(self, channel: ChannelKey) -> Callable[[Turn], Turn]:
        """Masks every word in turns that are handed out again, their swipes and names too.

        What people said is without the words of both sides then. In any thread.
        """
        said, told = await self._rules(channel, Side.IN), await self._rules(channel, Side.OUT)
        return lambda turn: _retold(turn, said, told)

    async def reading(self, channel: ChannelKey) -> Mask:
        """Masks every word in what people wrote once and the model reads in every prompt."""
        return (await self._rules(channel, Side.IN)).screen_again

    async def screen_window(self, channel: ChannelKey, window: HistoryWindow) -> HistoryWindow:
        """What was said before, as the model may see it by the list of now: words are masked."""
        guild = guild_of(channel)
        if self._store is None or guild is None:
            return window
        words = tuple(await self._store.words(guild))
        if not words:
            return window
        said, told = rules_of(words, Side.IN), rules_of(words, Side.OUT)
        turns = (_screened(turn, said if turn.role == "user" else told) for turn in window.turns)
        return replace(window, turns=tuple(turns))

    async def reply_rules(self, channel: ChannelKey, *, links: str, before: str = "") -> ReplyRules:
        """The filter of a reply that begins now, or goes on after `before`."""
        rules = await self._rules(channel, Side.OUT)
        return ReplyRules(rules, links=links == "plain", before=before)

    async def shown(
        self, channel: ChannelKey, texts: Sequence[str], *, links: str = "keep"
    ) -> list[str | None]:
        """What the bot may show of texts that are there already; None for one it may not show."""
        rules = await self._rules(channel, Side.OUT)
        return [_shown(rules, text, links=links == "plain") for text in texts]

    async def replied(self, channel: ChannelKey, rules: ReplyRules) -> None:
        """A reply has ended: tells whoever wants to know of words in it."""
        await self._tell(channel, Hit(Side.OUT, rules.words))

    async def _tell(self, channel: ChannelKey, hit: Hit) -> None:
        for listener in self._listeners if hit.words else ():
            await listener(channel, hit)

    async def _rules(self, channel: ChannelKey, side: Side) -> Rules:
        guild = guild_of(channel)
        if self._store is None or guild is None:
            return rules_of((), side)
        return rules_of(tuple(await self._store.words(guild)), side)


def _screened(turn: Turn, rules: Rules) -> Turn:
    text = rules.screen_again(turn.text)
    quote = turn.reply_to
    if quote is not None:
        quote = replace(quote, text=rules.screen_again(quote.text))
    if (text, quote) == (turn.text, turn.reply_to):
        return turn
    return replace(turn, text=text, reply_to=quote)


def _retold(turn: Turn, said: Rules, told: Rules) -> Turn:
    if not said and not told:
        return turn
    is_said = turn.role == "user"

    def mask(text: str) -> str:
        return told.screen(said.screen(text).text if is_said else text).text

    quote = turn.reply_to
    if quote is not None:
        author = _named(told, quote.author)
        quote = replace(quote, text=told.screen(quote.text).text, author=author)
    return replace(
        turn,
        text=mask(turn.text),
        speaker=_named(told, turn.speaker),
        persona=told.screen(turn.persona).text,
        reply_to=quote,
        swipes=tuple(replace(swipe, text=mask(swipe.text)) for swipe in turn.swipes),
    )


def _named(rules: Rules, speaker: Speaker) -> Speaker:
    name = rules.screen(speaker.name).text
    return speaker if name == speaker.name else replace(speaker, name=name)


def _quoted(rules: Rules, quote: QuotedMessage) -> QuotedMessage:
    text = rules.screen(quote.text).text
    return replace(quote, text=text, author=_named(rules, quote.author))


def _shown(rules: Rules, text: str, *, links: bool) -> str | None:
    stream = ReplyRules(rules, links=links)
    shown = stream.decode(text) + stream.flush()
    is_whole = stream.ended is not Then.IGNORE and (shown.strip() or not text.strip())
    return shown if is_whole else None
