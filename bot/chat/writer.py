"""Writes one reply: drafts the prompt, calls the engine, and once more when nothing came."""

import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import datetime
from random import Random

from bot.chat.faults import NOTHING_CAME, NOTHING_TO_ADD, line_for
from bot.chat.generation import Generation
from bot.chat.messages import GenerationRecord, Turn
from bot.chat.ports import Engine
from bot.chat.preparation import Prepared, Preparer
from bot.engine.api import FinishReason, GenerationRequest, GenerationStatistics
from bot.errors import CaduceusError, EngineUnavailable

ATTEMPTS = 2
RETRY_TEMPERATURE = 0.7  # greedy, a second attempt would only say nothing again
SEED_BITS = 31  # what every server takes

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a reply ended. `error` is one plain line for people, "" when all went well."""

    finish: FinishReason
    error: str = ""
    statistics: GenerationStatistics | None = None


class Writer:
    """The text of one turn, as the model makes it. `outcome` is set when it has ended by itself."""

    def __init__(
        self,
        preparer: Preparer,
        engine: Engine,
        random: Random,
        turn: Turn,
        *,
        answers: Sequence[int],
        user: str,
        text_before: str = "",
    ) -> None:
        """`user` is whom the engine's queue counts it for; `text_before` is to be gone on with."""
        self.outcome: Outcome | None = None
        self._preparer = preparer
        self._engine = engine
        self._random = random
        self._turn = turn
        self._answers = answers
        self._user = user
        self._text_before = text_before
        self._generation: Generation | None = None
        self._prepared: Prepared | None = None

    async def text(self) -> AsyncGenerator[str, None]:
        """New text, ready to show. Ends where an error of ours strikes: `outcome` tells."""
        try:
            async with aclosing(self._attempts()) as pieces:
                async for piece in pieces:
                    yield piece
        except CaduceusError as error:
            _log.warning("A reply in %s failed: %s", self._turn.channel, error, exc_info=error)
            self.outcome = Outcome(FinishReason.CANCELLED, line_for(error))

    async def record(self, created_at: datetime, revision: int) -> GenerationRecord | None:
        """How the text came to be; None when no prompt was made."""
        if self._prepared is None or self._generation is None:
            return None
        prompt = self._prepared.prompt
        return GenerationRecord(
            prompt_sha256=prompt.sha256,
            prompt_format=prompt.format_name,
            persona=self._prepared.persona.name,
            first_turn_id=prompt.first_turn_id,
            last_turn_id=prompt.last_turn_id,
            sampling=self._generation.request.sampling,
            finish=self._generation.finish,
            statistics=await self._generation.statistics(),
            created_at=created_at,
            settings_revision=revision,
        )

    async def _attempts(self) -> AsyncGenerator[str, None]:
        self._prepared = prepared = await self._preparer.prepare(
            self._turn, answers=self._answers, reply_so_far=self._text_before
        )
        for attempt in range(ATTEMPTS):
            request = self._request(prepared, again=attempt > 0)
            self._generation = generation = Generation(
                self._engine, prepared.prompt, request, continues=bool(self._text_before)
            )
            came = False
            async with aclosing(generation.stream()) as pieces:
                async for piece in pieces:
                    came = came or bool(piece.strip())
                    yield piece
            if generation.finish is FinishReason.CANCELLED:
                raise EngineUnavailable("The engine was stopped while it wrote.")
            statistics = await generation.statistics()
            if came:
                self.outcome = Outcome(generation.finish, statistics=statistics)
                return
            _log.info("Attempt %d at a reply in %s gave nothing", attempt + 1, self._turn.channel)
            line = NOTHING_TO_ADD if self._text_before else NOTHING_CAME
            self.outcome = Outcome(generation.finish, line, statistics)

    def _request(self, prepared: Prepared, *, again: bool) -> GenerationRequest:
        sampling = prepared.settings.sampling(self._random.getrandbits(SEED_BITS))
        if again and not sampling.temperature:
            sampling = replace(sampling, temperature=RETRY_TEMPERATURE)
        return GenerationRequest(
            prompt=prepared.prompt.text,
            channel=str(self._turn.channel),
            user=self._user,
            max_tokens=prepared.prompt.reply_tokens,
            sampling=sampling,
            stop=prepared.prompt.stops,
        )
