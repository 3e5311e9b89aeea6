"""A conversation on a stage: one scripted engine, a clock that stands still, a few people."""

import asyncio
import itertools
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from random import Random

from given_personas import GivenPersonas

from bot.chat.engines import Engines
from bot.chat.messages import ChannelKey, IncomingMessage, JsonValue, QuotedMessage, Speaker, Turn
from bot.chat.persona import Persona
from bot.chat.ports import History
from bot.chat.prompt.recollection import MemoryTeller
from bot.chat.roleplay.lore import LoreShelf
from bot.chat.roleplay.scenes.keeping import Scenes
from bot.chat.setting_store import SettingsStore
from bot.chat.settings import SettingsCascade
from bot.chat.talk.casting import Casts
from bot.chat.talk.conversations import Conversations, Heard
from bot.chat.talk.directing import Director
from bot.chat.talk.reply import Reply
from bot.engine.fake import FakeEngine, Script

HERE = ChannelKey("discord", "100", guild_id="1")
THERE = ChannelKey("discord", "200", guild_id="1")
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
ADA = Persona(id="test:ada", name="Ada", description="{{char}} has a clear head.")
BYRON = Persona(id="test:byron", name="Byron", description="{{char}} broods.")

_ids = itertools.count(1000)


class Stage:
    """Everything that a conversation needs, and short words for what people do."""

    def __init__(
        self,
        history: History,
        settings: SettingsStore,
        *,
        replies: Script = ("One.", "Two.", "Three.", "Four."),
        engine: FakeEngine | None = None,
        engines: Engines | None = None,
        owner: Mapping[str, JsonValue] | None = None,
        max_reply_tokens: int = 512,
        thinking_tokens: int = 1024,
        kept_scenes: Scenes | None = None,
    ) -> None:
        self.history = history
        self.settings_store = settings
        self.engine = engine or FakeEngine(replies)
        self.engines = engines
        self.personas = GivenPersonas(ADA, BYRON)
        self.now = NOON
        self.max_reply_tokens = max_reply_tokens
        self.thinking_tokens = thinking_tokens
        self.owner = owner
        self.shelf: LoreShelf | None = None
        self.casts: Casts | None = None
        self.kept_scenes = kept_scenes  # the database's: see :meth:`direct`
        self.scenes: Scenes | None = None
        self.memory: MemoryTeller | None = None
        self.shown = ""  # what is to be seen of the newest reply
        self.conversations = self.start_again()

    def start_again(self) -> Conversations:
        """As after a restart: the same history, nothing in memory."""
        self.conversations = Conversations(
            self.history,
            SettingsCascade(self.settings_store, self.personas, self.owner),
            self.personas,
            self.engines or Engines.only(self.engine),
            max_reply_tokens=self.max_reply_tokens,
            thinking_tokens=self.thinking_tokens,
            clock=lambda: self.now,
            random=Random(1),
            shelf=self.shelf,
            casts=self.casts,
            scenes=self.scenes,
            memory=self.memory,
        )
        return self.conversations

    def direct(self) -> Director:
        """Let scenes be played from now on."""
        assert self.kept_scenes is not None
        self.scenes = self.kept_scenes
        return Director(self.start_again(), self.scenes)

    async def set(self, key: str, value: JsonValue, channel: ChannelKey = HERE) -> None:
        """Set a channel's setting."""
        scope = self.conversations.settings.scopes(channel)[-1]
        await self.settings_store.change(*scope, key, value, by="moderator")

    def message(
        self,
        text: str,
        *,
        by: str = "bob",
        channel: ChannelKey = HERE,
        mention: bool = True,
        reply_to: QuotedMessage | None = None,
        to_bot: bool = False,
        age: timedelta = timedelta(0),
        is_bot: bool = False,
        message_id: str = "",
    ) -> IncomingMessage:
        """What somebody says."""
        return IncomingMessage(
            message_id=message_id or str(next(_ids)),
            channel=channel,
            author=Speaker(by, by.title(), is_bot),
            text=text,
            sent_at=self.now - age,
            mentions_bot=mention,
            replies_to_bot=to_bot,
            reply_to=reply_to,
        )

    async def say(self, text: str, **details: object) -> Heard:
        """Somebody says something."""
        return await self.conversations.hear(self.message(text, **details))  # type: ignore[arg-type]

    async def overhear(self, text: str, **details: object) -> Heard:
        """Somebody says something to others."""
        return await self.say(text, mention=False, **details)

    async def answer(self, channel: ChannelKey = HERE) -> Reply | None:
        """The next reply, shown to its end."""
        reply = await self.conversations.next_reply(channel)
        if reply is not None:
            await self.show(reply)
        return reply

    async def show(self, reply: Reply, *, pieces: int | None = None) -> str:
        """Show a reply as a front end does; stop after some pieces if told to."""
        text = reply.text_before
        message_ids = list(reply.turn.message_ids) or [f"bot{next(_ids)}"]
        async with reply:
            shown = 0
            async for new in reply:
                text += new
                await reply.shown(text, message_ids)
                self.shown = text
                shown += 1
                if shown == pieces:
                    reply.stop()
        return text

    async def turns(self, channel: ChannelKey = HERE) -> list[Turn]:
        """What stands in the channel's conversation."""
        return await self.history.export(channel)

    async def texts(self, channel: ChannelKey = HERE) -> list[str]:
        """Its texts."""
        return [turn.text for turn in await self.turns(channel)]

    @property
    def prompt(self) -> str:
        """The newest prompt."""
        return self.engine.requests[-1].prompt

    @property
    def is_idle(self) -> bool:
        """Whether nothing is kept of any channel."""
        return not len(self.conversations._channels)


StageMaker = Callable[..., Stage]


async def until(condition: Callable[[], object]) -> None:
    """Wait for what is about to happen."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - nobody would set an event
            await asyncio.sleep(0.001)


async def settle() -> None:
    """Let what can go on without a database go on."""
    for _ in range(200):
        await asyncio.sleep(0)


def quote(heard: Heard) -> QuotedMessage:
    """The quotation of a message that was kept."""
    assert heard.turn is not None
    return QuotedMessage(heard.turn.message_ids[0], heard.turn.speaker, heard.turn.text)
