"""Banned words where a server chooses the tokens: its text is watched, and a word taken back.

What may become a banned word is held back until it is decided. Where one is complete, the server is
asked to go on from before it, and in the end the reply ends there: no reply contains one.
"""

import logging
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace

from bot.engine.api import Chunk, FinishReason, GenerationRequest, GenerationStatistics
from bot.engine.local.vocabulary import folded
from bot.engine.stops import StopStrings
from bot.errors import RequestTooLarge

log = logging.getLogger(__name__)

TRIES = 24  # for all words of a reply together
TRIES_A_PLACE = 4
BEFORE_CHARACTERS = 100  # of the prompt: the longest word
SEED_STEP = 0x9E3779B1  # from one try's seed to the next one's
SEED_MASK = 0x7FFF_FFFF

# Writes a request; True has it choose a single token, one that completes no word.
Ask = Callable[[GenerationRequest, bool], AsyncGenerator[Chunk, None]]


class WordWatch:
    """Finds banned words in a reply, whatever their case. Places are counted in characters."""

    def __init__(self, words: Sequence[str], before: str = "", text: str = "") -> None:
        """`before` is what the reply goes on from: a word that began there has a place below 0.

        `text` is the reply so far, which has no word in it.
        """
        self._words = tuple({compared for word in words if (compared := folded(word))})
        self._begun: list[tuple[str, int, int]] = []  # a word, how much of it is there, since when
        self._length = -len(before)
        for character in before + text:
            self._take(character)

    def find(self, text: str) -> int | None:
        """Go on with `text`: where a word began that is complete now."""
        for character in text:
            if complete := self._take(character):
                return min(complete)
        return None

    @property
    def certain(self) -> int:
        """Up to here the text has no part of a word that may still come about."""
        return min((since for _, _, since in self._begun), default=self._length)

    def _take(self, character: str) -> list[int]:
        complete: list[int] = []
        for sign in folded(character):
            began = (*self._begun, *((word, 0, self._length) for word in self._words))
            grown = [(word, at + 1, since) for word, at, since in began if word[at] == sign]
            complete += [since for word, at, since in grown if at == len(word)]
            self._begun = [each for each in grown if each[1] < len(each[0])]
        self._length += 1
        return complete


class _Stops:
    """Stop strings in a text that grows, up to where no more of it is taken back."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._found = StopStrings(stops)
        self._read = self._certain = 0

    @property
    def stopped(self) -> bool:
        """Whether a stop string was met."""
        return self._found.stopped

    def certain(self, text: str) -> int:
        """Up to here `text`, which begins as it did before, has no part of a stop string."""
        self._certain += len(self._found.decode(text[self._read :]))
        self._read = max(self._read, len(text))
        return self._certain


class ReplyWithout:
    """One reply without its banned words, made of as many requests as that takes."""

    def __init__(
        self,
        request: GenerationRequest,
        ask: Ask,
        *,
        seed: int,
        decides: bool = False,
        goes_on: Callable[[], bool] = lambda: True,
    ) -> None:
        """`decides`: `ask` can be told to complete no word, so that a word gets another end.

        Else it is written anew from where it began, with another seed. `goes_on`: whether the
        server goes on with the beginning of a reply at all.
        """
        self._request = request
        self._ask = ask
        self._seed = seed
        self._decides = decides
        self._goes_on = goes_on
        self._started = time.monotonic()
        self._first: GenerationStatistics | None = None
        self._text: str = ""  # without a banned word
        self._shown = 0  # of it, in characters
        self._tokens = 0
        self._tries = 0
        self._place = (0, 0)  # where a word began last, and how often it did

    async def chunks(self) -> AsyncGenerator[Chunk, None]:
        """See :meth:`~bot.engine.api.Engine.generate`."""
        single = False
        while True:
            hit, last = None, Chunk("", FinishReason.STOP)
            watch = self._watch()
            stops = _Stops(self._request.stop)  # one may have begun in the part before
            try:
                async with aclosing(self._ask(self._part(single=single), single)) as chunks:
                    async for last in chunks:
                        self._first = self._first or last.so_far or last.statistics
                        self._tokens += bool(last.text)
                        hit = watch.find(last.text)
                        if hit is not None:
                            break
                        self._text += last.text
                        until = stops.certain(self._text[: max(watch.certain, 0)])
                        if until > self._shown:
                            so_far = None if self._shown else last.so_far
                            yield Chunk(self._show(until), so_far=so_far)
                        if stops.stopped:
                            break
            except RequestTooLarge:
                if not self._text:
                    raise
                last = Chunk("", FinishReason.LENGTH)  # what was written anew takes more room
            if hit is not None:
                single = self._take_back(hit, last.text)
                if not self._is_hopeless:
                    continue
                last = self._end_before(hit)
            elif single and not stops.stopped and self._goes_on_after(last):
                single = False
                continue
            until = stops.certain(self._text)
            if stops.stopped:
                self._text = self._text[:until]
                last = Chunk("", FinishReason.STOP)
            yield Chunk(self._show(len(self._text)), last.finish, self._statistics())
            return

    def _goes_on_after(self, last: Chunk) -> bool:
        """Whether the reply is only as long as it is because a single token was asked for."""
        return last.finish is FinishReason.LENGTH and self._tokens_left > 0

    def _end_before(self, place: int) -> Chunk:
        """End before the word that began at `place`: the last chunk, without its text."""
        log.warning("a reply ends before a banned word that came again and again")
        self._text = self._text[: max(place, self._shown)]
        return Chunk("", FinishReason.LENGTH if self._tokens_left < 1 else FinishReason.STOP)

    @property
    def _tokens_left(self) -> int:
        return self._request.max_tokens - self._tokens

    @property
    def _is_hopeless(self) -> bool:
        goes_on = self._goes_on() or not self._text
        most = TRIES if self._goes_on() else TRIES_A_PLACE
        is_stuck = self._tries >= most or self._place[1] > TRIES_A_PLACE
        return is_stuck or not goes_on or self._tokens_left < 1

    def _watch(self) -> WordWatch:
        before = self._request.prompt[-BEFORE_CHARACTERS:]
        return WordWatch(self._request.sampling.banned_words, before, self._text)

    def _part(self, *, single: bool) -> GenerationRequest:
        """What to ask for next: all that is left of the reply, or a single token."""
        seed = self._seed
        if self._tries:
            seed = (seed + self._tries * SEED_STEP) & SEED_MASK
        return replace(
            self._request,
            prompt=self._request.prompt + self._text,
            max_tokens=1 if single else self._tokens_left,
            sampling=replace(self._request.sampling, seed=seed),
        )

    def _take_back(self, place: int, newest: str) -> bool:
        """`newest` completes a word that began at `place`. Whether to choose a single token now."""
        self._tries += 1
        self._place = (place, self._place[1] + 1 if self._place[0] == place else 1)
        # One that comes again and again is taken back whole, to be gone on from before it.
        if self._decides and self._place[1] <= TRIES_A_PLACE // 2:
            return True
        self._text = (self._text + newest)[: max(place, self._shown)]
        if not self._goes_on() and not self._shown:
            self._text = ""  # nobody has seen any of it
        return False

    def _show(self, until: int) -> str:
        shown, self._shown = self._shown, max(until, self._shown)
        return self._text[shown : self._shown]

    def _statistics(self) -> GenerationStatistics | None:
        """As if it had been one request."""
        if self._first is None:
            return None
        seconds = max(time.monotonic() - self._started, self._first.first_token_seconds)
        return replace(
            self._first, seed=self._seed, reply_tokens=self._tokens, total_seconds=seconds
        )
