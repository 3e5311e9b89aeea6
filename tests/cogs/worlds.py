"""A simulated Discord with the real bot in it: real discord.py, core, SQLite and personas.

Only the engine is scripted.
"""

import asyncio
import mimetypes
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

import discord
import discord_webhooks
import pytest
import simcord
from empty_database import put_empty_database
from mentions import callers

from bot.chat.engines import Engines
from bot.chat.messages import JsonValue, Scope, Turn
from bot.chat.personas.library import PersonaLibrary
from bot.chat.privacy.handling import Handling, TextReceiver
from bot.core import make_core
from bot.engine.api import GenerationRequest
from bot.engine.fake import FakeEngine
from bot.errors import EngineError
from bot.store.database import Database
from cogs.build_bot import build_bot
from cogs.client import CaduceusBot
from cogs.platform import key_of
from cogs.showing.pacing import Pace

discord_webhooks.install()
mimetypes.init()  # simcord would read its files in the middle of a test, on the loop
# simcord looks every 50 ms whether a bot with threads is at rest, after each thing that people do.
LOOK_SECONDS = 0.004
simcord.Env._settle_internal.__kwdefaults__["idle"] = LOOK_SECONDS

QUICK = Pace(
    edit_seconds=0.02,
    first_text_seconds=0.02,
    busy_seconds=10.0,
    typing_seconds=8.0,
    retry_seconds=(0.01, 0.01, 0.01),
)
PERSONAS = {
    "Ada": "A mathematician",
    "Bram": "A sailor",
    "Caduceus": "The bot itself",
}
Replies = Sequence[str | EngineError] | Callable[[GenerationRequest], str]


@dataclass
class World:
    """A guild with a channel, a bot, and people."""

    env: simcord.Env
    bot: CaduceusBot
    engine: FakeEngine
    database: Database
    personas_folder: Path
    guild: simcord.GuildHandle
    channel: simcord.ChannelHandle
    alice: simcord.MemberActor
    bob: simcord.MemberActor
    mod: simcord.MemberActor  # Manage Messages
    keeper: simcord.MemberActor  # Manage Channels
    chief: simcord.MemberActor  # Manage Server

    @property
    def me(self) -> str:
        """The bot's mention."""
        assert self.bot.user is not None
        return self.bot.user.mention

    async def ask(self, text: str, actor: simcord.MemberActor | None = None) -> discord.Message:
        """Mention the bot, and wait until it has done all that it does."""
        return await (actor or self.alice).send(self.channel, f"{self.me} {text}")

    def said(self, channel: simcord.ChannelHandle | None = None) -> list[str]:
        """What the bot has in a channel."""
        return [message.content for message in self.messages(channel)]

    def messages(self, channel: simcord.ChannelHandle | None = None) -> list[discord.Message]:
        """The bot's messages in a channel, those of its personas too."""
        assert self.bot.user is not None
        own = {self.bot.user.id, *getattr(self.env.backend, "own_webhooks", ())}
        found = (channel or self.channel).history()
        return [message for message in found if message.author.id in own]

    async def put(self, **settings: JsonValue) -> None:
        """Set some of the channel's settings, whatever a command would say to that."""
        scope_id = f"discord:{self.channel.id}"
        for key, value in settings.items():
            await self.database.settings.change(Scope.CHANNEL, scope_id, key, value, by="mod")

    async def turns(self, channel: simcord.ChannelHandle | None = None) -> list[Turn]:
        """What the core keeps."""
        found = self.bot.get_channel((channel or self.channel).id)
        assert found is not None
        return await self.database.history.export(key_of(found))  # type: ignore[arg-type]

    async def pass_time(self, seconds: float = 1.0) -> None:
        """Let simulated time go by: edits are paced by it."""
        await self.env.advance_time(seconds)

    def requests(self, method: str, ending: str = "") -> list[simcord.HttpLogEntry]:
        """What the bot asked of Discord."""
        return [
            entry
            for entry in self.env.http_requests
            if entry.method == method and entry.path.endswith(ending)
        ]


@contextmanager
def waits_are_rest(env_of: Callable[[], simcord.Env | None]) -> Generator[None]:
    """Let a bot count as at rest while its tasks wait for each other or for a held engine.

    To simcord, an unknown wait is a bot that hangs; here it is one that has nothing to do.
    """
    patch = pytest.MonkeyPatch()
    for owner, name in (
        (asyncio.Event, "wait"),
        (asyncio.Lock, "acquire"),
        (asyncio.Semaphore, "acquire"),
        (asyncio, "wait"),
    ):
        patch.setattr(owner, name, _declared(getattr(owner, name), env_of))
    try:
        yield
    finally:
        patch.undo()


def _declared(
    original: Callable[..., Coroutine[object, object, object]],
    env_of: Callable[[], simcord.Env | None],
) -> Callable[..., Coroutine[object, object, object]]:
    async def wait(*args: object, **options: object) -> object:
        env, task = env_of(), asyncio.current_task()
        awaited = original(*args, **options)
        if env is None or task not in env._work.tasks or task in env._work.external_waits:
            return await awaited
        return await env.external_wait(awaited, reason="nothing to do")

    return wait


def held(*replies: str, letters: int = 6) -> tuple[FakeEngine, asyncio.Semaphore]:
    """An engine that waits before every chunk."""
    gate = asyncio.Semaphore(0)
    return FakeEngine(replies, gate=gate, chunk_characters=letters), gate


def let(gate: asyncio.Semaphore, chunks: int = 1000) -> None:
    for _ in range(chunks):
        gate.release()


def labels(message: discord.Message) -> list[str]:
    """The buttons of a message."""
    return [
        child.label or ""
        for row in message.components
        if isinstance(row, discord.ActionRow)
        for child in row.children
        if isinstance(child, discord.Button)
    ]


def write_personas(folder: Path, personas: dict[str, str]) -> Path:
    """Persona files."""
    folder.mkdir(exist_ok=True)
    for name, summary in personas.items():
        text = f'name = "{name}"\nsummary = "{summary}"\ndescription = "{{{{char}}}}: {summary}."\n'
        (folder / f"{name.lower()}.toml").write_text(text, "utf-8")
    return folder


def new_bot(
    database: Database,
    folder: Path,
    engine: FakeEngine,
    pace: Pace = QUICK,
    data_dir: Path | None = None,
    owner_ids: frozenset[int] = frozenset(),
) -> CaduceusBot:
    """The bot on top of a database."""
    core = make_core(
        database,
        PersonaLibrary(folder),
        Engines.only(engine),
        Handling("SQLite", (TextReceiver("", is_here=True),)),
        owner_accounts=[f"discord:{number}" for number in owner_ids],
        max_reply_tokens=2048,
        thinking_tokens=1024,
        clock=discord.utils.utcnow,
        random=Random(1),
    )
    return build_bot(
        core.conversations,
        core.desk,
        core.notebook,
        summaries=core.summaries,
        moderation=core.moderation,
        privacy=core.privacy,
        erasure=core.erasure,
        version="0.1.0",
        pace=pace,
        data_dir=data_dir,
        owner_ids=owner_ids,
    )


@asynccontextmanager
async def talking(
    folder: Path,
    replies: Replies = ("Hello, Alice.",),
    *,
    engine: FakeEngine | None = None,
    pace: Pace = QUICK,
    check_errors: bool = True,
) -> AsyncGenerator[World, None]:
    """The bot at work in a guild."""
    engine = engine or FakeEngine(replies)
    await engine.start()
    personas = await asyncio.to_thread(write_personas, folder / "personas", PERSONAS)
    if not (folder / "test.db").exists():
        await asyncio.to_thread(put_empty_database, folder / "test.db")
    database = await Database.open(f"sqlite+aiosqlite:///{folder / 'test.db'}")
    try:
        bot = await asyncio.to_thread(new_bot, database, personas, engine, pace)
        env: simcord.Env | None = None
        async with AsyncExitStack() as stack:
            stack.enter_context(waits_are_rest(lambda: env))
            env = await stack.enter_async_context(simcord.run(bot, check_errors=check_errors))
            guild = env.create_guild()
            channel = guild.create_text_channel("general")
            roles = {
                name: guild.create_role(name, permissions=discord.Permissions(**{name: True}))
                for name in ("manage_messages", "manage_channels", "manage_guild")
            }
            yield World(
                env=env,
                bot=bot,
                engine=engine,
                database=database,
                personas_folder=personas,
                guild=guild,
                channel=channel,
                alice=guild.add_member(env.create_user("alice", global_name="Alice")),
                bob=guild.add_member(env.create_user("bob", global_name="Bob")),
                mod=guild.add_member(env.create_user("mod"), roles=[roles["manage_messages"]]),
                keeper=guild.add_member(
                    env.create_user("keeper"), roles=[roles["manage_channels"]]
                ),
                chief=guild.add_member(env.create_user("chief"), roles=[roles["manage_guild"]]),
            )
            assert callers(env.http_requests) == []  # whatever a test has it say
    finally:
        await database.close()
