"""Writes one reply: drafts the prompt, calls the engine, and once more when that came to nothing.

Where the engine is down before the first word, another one is asked, once.
"""

import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import datetime
from random import Random

from bot.chat.definitions import ChannelSettings
from bot.chat.engines import Engines, NamedEngine
from bot.chat.limits.words.censor import Censor
from bot.chat.limits.words.rules import ReplyRules
from bot.chat.messages import Flaw, GenerationRecord, RecordedOccasion, Turn
from bot.chat.prompt.additions import Occasion
from bot.chat.prompt.build import Prompt
from bot.chat.prompt.preparation import Given, Prepared, Preparer
from bot.chat.talk.faults import NOTHING_ALLOWED, NOTHING_CAME, NOTHING_TO_ADD, line_for
from bot.chat.talk.generation import Anew, Generation
from bot.chat.talk.judging import Standards
from bot.chat.talk.tries import Try, retry_of, statistics_of
from bot.engine.api import FinishReason, GenerationRequest, GenerationStatistics, Sampling
from bot.errors import (
    CaduceusError,
    EngineError,
    EngineFailed,
    EngineUnavailable,
    RemoteEngineError,
    RequestTooLarge,
)

RETRY_TEMPERATURE = 0.7  # greedy, or nearly so, a second try would only say the same again
STUCK = (Flaw.LOOP, Flaw.REPEATED)
COMPARED_SWIPES = 8  # the newest ones
SEED_BITS = 31  # what every server takes
ENGINE_IS_DOWN = (EngineUnavailable, EngineFailed, RemoteEngineError)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a reply ended. `error` is one plain line for people, "" when all went well."""

    finish: FinishReason
    error: str = ""
    statistics: GenerationStatistics | None = None
    is_too_long: bool = False  # trying again cannot help: what was said has to be shorter
    is_engine_down: bool = False  # no engine could write it


def _stops(prompt: Prompt, *, again: bool) -> tuple[str, ...]:
    """What ends the text in the engine; once more, speakers' lines may stand in a thought.

    The filter ends the reply at them all the same, outside of thoughts.
    """
    names = {f"\n{name}:" for name in prompt.others} if again else set[str]()
    return tuple(stop for stop in prompt.stops if stop not in names)


class ReplyWriter:
    """The text of one turn, as the model makes it. `outcome` is set when it has ended by itself."""

    def __init__(
        self,
        preparer: Preparer,
        engines: Engines,
        engine: NamedEngine,
        random: Random,
        turn: Turn,
        *,
        answers: Sequence[int],
        user: str,
        occasion: Occasion,
        text_before: str = "",
        given: Given | None = None,
        censor: Censor | None = None,
    ) -> None:
        """`engine` is the one picked; `user` is whom its queue counts the request for.

        `occasion` decides chance and time. `text_before` is to be gone on with. `given` was
        read when the reply began: see :meth:`read_again`. `censor` knows what is not to be said.
        """
        self.outcome: Outcome | None = None
        self._preparer = preparer
        self._engines = engines
        self._engine = engine
        self._random = random
        self._turn = turn
        self._answers = answers
        self._user = user
        self._occasion = occasion
        self._text_before = text_before
        self._given = given
        self._censor = censor or Censor()
        self._rules: ReplyRules | None = None  # of the text that is being written
        self._tries: tuple[Try, Try | None] | None = None  # whose text is shown, and the other
        self._prepared: Prepared | None = None

    def read_again(self) -> None:
        """The history has changed since: the prompt, if there is none yet, needs another look."""
        self._given = None

    def answer(self, turn_ids: Sequence[int]) -> None:
        """Answer these turns, where the prompt is not made yet, or is made anew."""
        self._answers = turn_ids
        self._given = None

    async def text(self) -> AsyncGenerator[str, None]:
        """New text, ready to show. Ends where an error of ours strikes: `outcome` tells."""
        came = False
        try:
            async with aclosing(self._by_an_engine_that_is_up()) as pieces:
                async for piece in pieces:
                    passed = self._passed(piece)
                    if passed or isinstance(piece, Anew):
                        came = bool(passed.strip()) or (came and not isinstance(piece, Anew))
                        yield passed
                    if self._rules is not None and self._rules.ended is not None:
                        break
        except CaduceusError as error:
            held = "" if self._tries is None else self._tries[0].take()
            if passed := self._passed(held):
                came = True
                yield passed
            _log.warning("A reply in %s failed: %s", self._turn.channel, error, exc_info=error)
            self.outcome = Outcome(
                FinishReason.CANCELLED,
                line_for(error),
                is_too_long=isinstance(error, RequestTooLarge),
                is_engine_down=isinstance(error, ENGINE_IS_DOWN),
            )
        if self._rules is not None:
            if rest := self._rules.flush():
                came = True
                yield rest
            await self._censor.replied(self._turn.channel, self._rules)
            if self._rules.ended is not None:
                await self._end_at_a_word(came=came)

    def _passed(self, piece: str) -> str:
        """What of new text may be shown now."""
        if self._rules is None:
            return piece
        if isinstance(piece, Anew):
            self._rules = self._rules.anew()
            return Anew(self._rules.decode(piece))
        return self._rules.decode(piece)

    async def _end_at_a_word(self, *, came: bool) -> None:
        if self._tries is None or (self.outcome is not None and self.outcome.error):
            return
        statistics = await statistics_of(*self._tries)
        self.outcome = Outcome(FinishReason.STOP, "" if came else NOTHING_ALLOWED, statistics)

    async def record(self, created_at: datetime) -> GenerationRecord | None:
        """How the text came to be; None when no prompt was made."""
        if self._prepared is None or self._tries is None:
            return None
        shown, hidden = self._tries
        prompt, persona = self._prepared.prompt, self._prepared.persona
        return GenerationRecord(
            prompt_sha256=prompt.sha256,
            prompt_format=prompt.format_name,
            persona=persona.name,
            persona_id=persona.id,
            persona_version=persona.version,
            first_turn_id=prompt.first_turn_id,
            last_turn_id=prompt.last_turn_id,
            sampling=shown.generation.request.sampling,
            finish=shown.finish,
            statistics=await statistics_of(shown, hidden),
            created_at=created_at,
            settings_revision=self._prepared.revision,
            engine=self._engine.name,
            occasion=RecordedOccasion(
                self._occasion.seed,
                self._occasion.moment or created_at,
                self._occasion.trigger,
                self._prepared.lore.firings,
                self._occasion.others,
                await retry_of(shown, hidden),
            ),
        )

    async def spent(self) -> tuple[ChannelSettings, int] | None:
        """The settings that it was written by, and its tokens; None when nothing was begun.

        Only counted where members have a quota of them.
        """
        if self._prepared is None or self._tries is None:
            return None
        settings = self._prepared.settings
        if not settings.daily_tokens:
            return settings, 0
        return settings, (await self._tries[0].generation.statistics()).reply_tokens

    async def _by_an_engine_that_is_up(self) -> AsyncGenerator[str, None]:
        came = False
        try:
            async with aclosing(self._attempts()) as pieces:
                async for piece in pieces:
                    came = True
                    yield piece
        except ENGINE_IS_DOWN as error:
            other = None if came else self._engines.instead_of(self._engine)
            if other is None:
                raise
            _log.warning(
                "A reply in %s failed on %s and is written by %s: %s",
                *(self._turn.channel, self._engine.name, other.name, error),
                exc_info=error,
            )
            self._engine, self._prepared, self._tries = other, None, None
        else:
            return
        async with aclosing(self._attempts()) as pieces:
            async for piece in pieces:
                yield piece

    async def _attempts(self) -> AsyncGenerator[str, None]:
        """Try to write it; anew when the model turns out to be another than the prompt is for."""
        for is_last in (False, True):
            came, info = False, self._engine.info
            try:
                async with aclosing(self._attempts_once()) as pieces:
                    async for piece in pieces:
                        came = True
                        yield piece
            except EngineError:
                if came or is_last or self._engine.info == info:
                    raise
                _log.info("A prompt in %s is made anew: the model has changed", self._turn.channel)
            else:
                return

    async def _attempts_once(self) -> AsyncGenerator[str, None]:
        self._prepared = prepared = await self._preparer.prepare(
            self._turn,
            self._engine,
            answers=self._answers,
            reply_so_far=self._text_before,
            given=self._given,
            occasion=self._occasion,
        )
        self._rules = await self._censor.reply_rules(
            self._turn.channel, links=prepared.settings.links, before=self._text_before
        )
        standards = self._standards(prepared)
        first = self._begin_try(prepared, standards)
        async with aclosing(first.stream()) as pieces:
            async for piece in pieces:
                yield piece
        if first.flaw is None:
            await self._end_with(first)
            return
        _log.info("The first try at a reply in %s was: %s", self._turn.channel, first.flaw)
        second = self._begin_try(prepared, standards, first)
        came = False
        try:
            async with aclosing(second.stream()) as pieces:
                async for piece in pieces:
                    came = True
                    yield piece
        except EngineError:
            if came or first.flaw is Flaw.EMPTY:
                raise
            _log.warning("A second try in %s failed", self._turn.channel, exc_info=True)
        broke_off = second.finish is FinishReason.CANCELLED
        if broke_off and (came or first.flaw is Flaw.EMPTY):
            raise EngineUnavailable("The engine was stopped while it wrote.")
        is_first_better = not came and (broke_off or first.is_better_than(second))
        shown = first if is_first_better else second
        self._tries = (first, second) if is_first_better else (second, first)
        if shown.flaw is not Flaw.EMPTY and (rest := shown.take()):
            yield rest
        await self._end_with(shown, first if shown is second else second)

    async def _end_with(self, shown: Try, hidden: Try | None = None) -> None:
        if shown.finish is FinishReason.CANCELLED:
            raise EngineUnavailable("The engine was stopped while it wrote.")
        line = ""
        if shown.flaw is Flaw.EMPTY:
            line = NOTHING_TO_ADD if self._text_before else NOTHING_CAME
        self.outcome = Outcome(shown.finish, line, await statistics_of(shown, hidden))

    def _begin_try(self, prepared: Prepared, standards: Standards, first: Try | None = None) -> Try:
        generation = Generation(
            self._engine,
            prepared.prompt,
            self._request(prepared, first),
            continues=bool(self._text_before),
        )
        begun = Try(generation, standards, first=first)
        self._tries = (begun, first)
        return begun

    def _standards(self, prepared: Prepared) -> Standards:
        """A new swipe differs from those that there are, and what goes on from what it follows."""
        if self._text_before:
            return Standards(recent=prepared.recent, replaced=[self._text_before])
        return Standards(
            names=(prepared.prompt.speaker, *prepared.prompt.others),
            recent=prepared.recent,
            replaced=[swipe.text for swipe in self._turn.swipes][-COMPARED_SWIPES:],
        )

    def _request(self, prepared: Prepared, first: Try | None) -> GenerationRequest:
        again, came_to_nothing = first is not None, first is not None and first.flaw is Flaw.EMPTY
        is_first = not again and not self._text_before
        seed = self._occasion.seed if is_first else self._random.getrandbits(SEED_BITS)
        sampling = prepared.settings.sampling(seed)
        if first is not None and (not sampling.temperature or first.flaw in STUCK):
            warmer = max(sampling.temperature, RETRY_TEMPERATURE)
            sampling = replace(sampling, temperature=warmer)
        return request_for(
            prepared.prompt,
            sampling,
            channel=str(self._turn.channel),
            user=self._user,
            takes_prompts=self._engine.info.takes_prompts,
            came_to_nothing=came_to_nothing,
        )


def request_for(
    prompt: Prompt,
    sampling: Sampling,
    *,
    channel: str,
    user: str,
    takes_prompts: bool,
    came_to_nothing: bool = False,
) -> GenerationRequest:
    """What an engine is asked for a reply; once more, where the first try `came_to_nothing`.

    A server that does not take prompts writes roles by itself: where nothing came, it may have
    thought all the time.
    """
    more = prompt.thinking_tokens if came_to_nothing and not takes_prompts else 0
    return GenerationRequest(
        prompt=prompt.text,
        channel=channel,
        user=user,
        max_tokens=prompt.reply_tokens + more,
        sampling=sampling,
        stop=_stops(prompt, again=came_to_nothing),
        messages=prompt.messages,
        thinking_tokens=prompt.thinking_tokens - more,
    )
