"""Made-up people, channels and messages for the store's tests."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import count

from bot.chat.messages import (
    ChannelKey,
    FinishReason,
    GenerationRecord,
    GenerationStatistics,
    IncomingMessage,
    LoreFiring,
    QuotedMessage,
    RecordedOccasion,
    Sampling,
    Speaker,
    Turn,
    TurnState,
)
from bot.chat.privacy.forgetting import Forgetting
from bot.chat.privacy.jobs import Job, JobKind
from bot.store.history import SqlHistory
from bot.store.privacy.jobs import SqlJobs
from bot.store.privacy.stores import SqlPeople
from bot.store.runs import Run

BOT = Speaker("bot", "Caduceus", is_bot=True)
ANN = Speaker("ann", "Ann")
BEN = Speaker("ben", "Ben")
CHANNEL = ChannelKey("discord", "100", guild_id="1")
OTHER_CHANNEL = ChannelKey("discord", "200", guild_id="1")
MORNING = datetime(2024, 5, 17, 8, 0, tzinfo=UTC)

_numbers = count(1)


def said(
    text: str,
    *,
    message_id: str | None = None,
    author: Speaker = ANN,
    channel: ChannelKey = CHANNEL,
    minute: int = 0,
    reply_to: QuotedMessage | None = None,
) -> IncomingMessage:
    """A message; each has an id of its own unless one is given."""
    return IncomingMessage(
        message_id=message_id or f"{next(_numbers):06}",
        channel=channel,
        author=author,
        text=text,
        sent_at=MORNING + timedelta(minutes=minute),
        reply_to=reply_to,
    )


def record(*, seed: int = 7, finish: FinishReason = FinishReason.STOP) -> GenerationRecord:
    """How a reply came to be."""
    return GenerationRecord(
        prompt_sha256="ab" * 32,
        prompt_format="alpaca",
        persona="Ada",
        first_turn_id=1,
        last_turn_id=2,
        sampling=Sampling(
            temperature=0.1, top_k=40, top_p=0.9, min_p=0.05, seed=seed, dry_multiplier=0.8
        ),
        finish=finish,
        statistics=GenerationStatistics(
            model="demo",
            seed=seed,
            prompt_tokens=100,
            cached_prompt_tokens=60,
            reply_tokens=20,
            queued_seconds=0.25,
            first_token_seconds=0.5,
            total_seconds=1.75,
            thinking_tokens=7,
        ),
        created_at=MORNING,
        settings_revision=3,
        persona_id="file:ada",
        persona_version="0123456789abcdef",
        engine="local",
        occasion=RecordedOccasion(
            seed, MORNING, "swipe", (LoreFiring("persona:file:ada", "3", 2),)
        ),
    )


@asynccontextmanager
async def nobody_writes(_channel: ChannelKey) -> AsyncGenerator[None]:
    """A channel in which nothing has to be stopped."""
    yield


async def forget(history: SqlHistory, speaker_id: str, *, guild_id: str = "") -> None:
    """Erase a person on discord, as the job does."""
    people = SqlPeople(history.transactions)
    jobs = SqlJobs(history.transactions, Run(history.transactions))
    forgetting = Forgetting(people, jobs, nobody_writes, lambda: MORNING, lambda _channel: None)
    job = Job(JobKind.FORGET, "discord", MORNING, subject=speaker_id, guild_id=guild_id)
    await forgetting.work(job)


class Talk:
    """Short ways to fill a history."""

    def __init__(self, history: SqlHistory, channel: ChannelKey = CHANNEL) -> None:
        self.history = history
        self.channel = channel

    async def ask(self, text: str, **more: object) -> Turn:
        """An addressed message."""
        turn = await self.history.add_message(
            said(text, channel=self.channel, **more),  # type: ignore[arg-type]
            addressed=True,
        )
        assert turn is not None
        return turn

    async def mention(self, text: str, **more: object) -> Turn:
        """A message that nobody has to answer."""
        turn = await self.history.add_message(
            said(text, channel=self.channel, **more),  # type: ignore[arg-type]
            addressed=False,
        )
        assert turn is not None
        return turn

    async def answer(
        self, *questions: Turn, text: str = "Indeed.", ids: tuple[str, ...] = ()
    ) -> Turn:
        """A whole reply."""
        turn = await self.history.begin_reply(
            self.channel,
            BOT,
            persona="Ada",
            persona_id="file:ada",
            answers=[question.turn_id for question in questions],
        )
        await self.history.show_reply(turn.turn_id, text, ids or (f"reply-{turn.turn_id}",))
        return await self.history.finish_reply(turn.turn_id, TurnState.WHOLE, record())

    async def texts(self) -> list[str]:
        """What is visible of the current conversation."""
        return [turn.text for turn in (await self.history.window(self.channel, 500)).turns]
