"""Applies guilds' word lists, each as it stands when a message comes or a reply begins."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from bot.chat.limits.words.reading import GuildReading, named, quoted, screening
from bot.chat.limits.words.rules import ReplyRules, Rules, Screened, rules_of
from bot.chat.limits.words.word import GuildWord, Side, WordStore, guild_of
from bot.chat.messages import ChannelKey, IncomingMessage
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
        quoted = "" if message.reply_to is None else message.reply_to.text
        characters = len(message.text) + len(message.words or "") + len(quoted)
        return await screening(lambda: _screened(rules, message), characters)

    async def heard(self, screened: ScreenedMessage) -> None:
        """A message was for us: tells whoever wants to know of words in it."""
        message = screened.message
        await self._tell(message.channel, Hit(Side.IN, screened.words, message.author.speaker_id))

    async def screen_text(self, channel: ChannelKey, text: str) -> Screened:
        """What is to be kept of something that a person wrote elsewhere than in a message."""
        rules = await self._rules(channel, Side.IN)
        return await screening(lambda: rules.screen(text), len(text))

    async def wanted(self, channel: ChannelKey, text: str) -> str:
        """The same, masked; raises NotAllowed where a word of it forbids all of it."""
        screened = await self.screen_text(channel, text)
        if screened.then not in (None, Then.MASK):
            raise NotAllowed(
                "That has a word in it that this server does not want.", "Put it in other words."
            )
        return screened.text

    async def reading(self, channel: ChannelKey) -> GuildReading:
        """What masks every word in all that goes into one prompt, or is shown together."""
        return GuildReading(await self._words(channel))

    async def shown(self, channel: ChannelKey, text: str) -> str:
        """A line or a name that the bot shows, with every word masked."""
        (shown,) = await (await self.reading(channel)).all_shown([text])
        return shown

    async def reply_rules(self, channel: ChannelKey, *, links: str, before: str = "") -> ReplyRules:
        """The filter of a reply that begins now, or goes on after `before`."""
        rules = await self._rules(channel, Side.OUT)
        return ReplyRules(rules, links=links == "plain", before=before)

    async def shown_again(
        self, channel: ChannelKey, texts: Sequence[str], *, links: str = "keep"
    ) -> list[str | None]:
        """What the bot may show of replies that are there already; None for one it may not."""
        rules = await self._rules(channel, Side.OUT)
        return await screening(
            lambda: [_shown(rules, text, links=links == "plain") for text in texts],
            sum(map(len, texts)),
        )

    async def replied(self, channel: ChannelKey, rules: ReplyRules) -> None:
        """A reply has ended: tells whoever wants to know of words in it."""
        await self._tell(channel, Hit(Side.OUT, rules.words))

    async def _tell(self, channel: ChannelKey, hit: Hit) -> None:
        for listener in self._listeners if hit.words else ():
            await listener(channel, hit)

    async def _rules(self, channel: ChannelKey, side: Side) -> Rules:
        return rules_of(await self._words(channel), side)

    async def _words(self, channel: ChannelKey) -> tuple[GuildWord, ...]:
        guild = guild_of(channel)
        if self._store is None or guild is None:
            return ()
        return tuple(await self._store.words(guild))


def _screened(rules: Rules, message: IncomingMessage) -> ScreenedMessage:
    text, mask = rules.screen(message.text), rules.mask
    quote = message.reply_to
    screened = replace(
        message,
        text=text.text,
        words=None if message.words is None else mask(message.words),
        author=named(message.author, mask),
        reply_to=None if quote is None else quoted(quote, mask),
    )
    return ScreenedMessage(screened, text.then, text.words)


def _shown(rules: Rules, text: str, *, links: bool) -> str | None:
    stream = ReplyRules(rules, links=links)
    shown = stream.decode(text) + stream.flush()
    is_whole = stream.ended is not Then.IGNORE and (shown.strip() or not text.strip())
    return shown if is_whole else None
