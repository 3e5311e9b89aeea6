"""Writes a reply once more as it was written, for moderators who want to know why it came.

The same engine gets the same prompt with the same seed; where one of them is no longer the same,
that is told. A replay is never part of the history.
"""

import asyncio
from contextlib import aclosing
from dataclasses import dataclass, replace
from enum import StrEnum

from bot.chat.engines import NamedEngine
from bot.chat.messages import Flaw, GenerationRecord, Turn, TurnState
from bot.chat.talk.conversations import Conversations, Explanation, PersonaSince
from bot.chat.talk.generation import Anew, Generation
from bot.chat.talk.writer import request_for
from bot.engine.api import FinishReason
from bot.errors import EngineUnavailable, NotAllowed, NotFound

MOST_REPLAYS = 2  # at once: people who wait for an answer go before
REPLAY_SECONDS = 600.0  # Discord lets an interaction be answered for fifteen minutes


class Likeness(StrEnum):
    """How a replay compares to what was shown."""

    SAME = "same"
    BEGINS_SAME = "begins the same"  # one of the two goes on where the other ends
    ANOTHER = "another"


@dataclass(frozen=True, slots=True)
class Replay:
    """A reply, written once more."""

    text: str
    likeness: Likeness
    why: str  # one of the two is longer; "" where that is not so
    engine: str
    model: str
    seed: int
    differences: tuple[str, ...]  # what is no longer as it was, in words


class Replayer:
    """Has engines write replies again, a few at a time."""

    def __init__(self, conversations: Conversations) -> None:
        """Nothing is replayed yet."""
        self._conversations = conversations
        self._tasks: set[asyncio.Task[str]] = set()
        self._closing = False

    async def replay(self, turn_id: int, *, by: str) -> Replay:
        """Write a turn's active swipe again; the engine's queue counts it for `by`.

        Raises NotFound, NotAllowed, EngineError or SettingsError.
        """
        explanation = await self._conversations.why(turn_id)
        turn, record = explanation.turn, explanation.record
        if turn.is_greeting:
            raise NotAllowed("A greeting is as its author wrote it: no model did.")
        if record is None:
            raise NotFound("How this reply came to be is not kept, so it cannot be replayed.")
        if turn.state is TurnState.RUNNING:
            raise NotAllowed("That reply is being written.", "Wait for its end, or stop it.")
        engines = self._conversations.engines
        engine = engines.named(record.engine) or engines.answering()
        written = await self._write(engine, explanation, record, by)
        # What is replayed goes by the rules of now, so what was shown has to for a comparison.
        again = self._conversations.shown_again
        shown, before = await again.texts(turn.channel, [written, turn.text])
        if shown is None:
            raise NotAllowed("What came has a word in it that this server does not want.")
        before = turn.text if before is None else before
        likeness, why = _compared(turn, before, shown)
        seed = record.statistics.seed if record.sampling.seed is None else record.sampling.seed
        model = engine.info.name
        differences = _differences(explanation, record, engine)
        if before != turn.text:
            differences.append("Words or links in what was shown are not shown like that any more.")
        return Replay(shown, likeness, why, engine.name, model, seed, tuple(differences))

    async def close(self) -> None:
        """Break off what is being replayed, and begin nothing more."""
        self._closing = True
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _write(
        self, engine: NamedEngine, explanation: Explanation, record: GenerationRecord, by: str
    ) -> str:
        if self._closing:
            raise EngineUnavailable("The bot is shutting down.")
        if len(self._tasks) >= MOST_REPLAYS:
            raise NotAllowed("Others are being replayed.", "Try again in a minute.")
        task = asyncio.create_task(_text(engine, explanation, record, by))
        self._tasks.add(task)
        try:
            async with asyncio.timeout(REPLAY_SECONDS):
                return await task
        except TimeoutError:
            raise EngineUnavailable("The replay took too long.", "Try again later.") from None
        except asyncio.CancelledError:
            if not self._closing:
                raise
            raise EngineUnavailable("The bot is shutting down.") from None
        finally:
            self._tasks.discard(task)


async def _text(
    engine: NamedEngine, explanation: Explanation, record: GenerationRecord, by: str
) -> str:
    prompt, channel = explanation.prompt, explanation.turn.channel
    sampling = record.sampling
    if sampling.seed is None:
        sampling = replace(sampling, seed=record.statistics.seed)
    retry = record.occasion.retry if record.occasion is not None else None
    request = request_for(
        prompt,
        sampling,
        channel=f"replay {channel}",  # the channel's own place in the engine stays as it is
        user=f"{channel.platform}:{by}",
        takes_prompts=engine.info.takes_prompts,
        came_to_nothing=retry is not None and retry.flaw is Flaw.EMPTY and not retry.kept_first,
    )
    generation = Generation(engine, prompt, request)
    text = ""
    async with aclosing(generation.stream()) as pieces:
        async for piece in pieces:
            text = str(piece) if isinstance(piece, Anew) else text + piece
    if generation.finish is FinishReason.CANCELLED:
        raise EngineUnavailable("The engine was stopped while it wrote.")
    return text


def _compared(turn: Turn, before: str, written: str) -> tuple[Likeness, str]:
    shown, again = before.strip(), written.strip()
    if shown == again:
        return Likeness.SAME, ""
    if shown and again.startswith(shown):
        why = "it was cut" if turn.state is TurnState.CUT else "it ended earlier"
        return Likeness.BEGINS_SAME, f"What was shown ends before: {why}."
    if again and shown.startswith(again):
        return Likeness.BEGINS_SAME, "What was shown goes on: it was continued since."
    return Likeness.ANOTHER, ""


def _differences(
    explanation: Explanation, record: GenerationRecord, engine: NamedEngine
) -> list[str]:
    found: list[str] = []
    if explanation.missing_engine:
        found.append(
            f"The engine «{explanation.missing_engine}» is no longer configured: "
            f"«{engine.name}» wrote this."
        )
    if engine.info.name != record.statistics.model:
        found.append(f"The model was {record.statistics.model}, and is {engine.info.name}.")
    if explanation.prompt.format_name != record.prompt_format:
        was, now = record.prompt_format, explanation.prompt.format_name
        found.append(f"The prompt's format was {was}, and is {now}.")
    if explanation.persona_since is PersonaSince.GONE and not explanation.is_kept_version:
        found.append("The persona that wrote it is gone.")
    if explanation.changed_since:
        found.append("The prompt is another one: what it is made of has changed since.")
    return found
