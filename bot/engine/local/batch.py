"""The running batch: one step after another, requests joining and leaving between them.

It joins the parts that know nothing of each other: the scheduler decides, the slot table finds
room, the runner computes, and each row's writer turns tokens into text. It belongs to one thread.

When memory runs out, whatever ran is put back at the head of the queue with what it has written,
and fewer run together for a while. Its text goes on where it was: nobody is told anything.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from bot.engine.api import Chunk, FinishReason
from bot.engine.local.guessing.guessing import Guessing, Stream
from bot.engine.local.host.cache import HostCache
from bot.engine.local.meter import Meter
from bot.engine.local.request import NO_SLOT, AdmittedRequest, Submission, Writing
from bot.engine.local.runner import Runner, RunnerOutOfMemory, Segment
from bot.engine.local.scheduler import Job, Restraint, Scheduler, Work
from bot.engine.local.slots import BLOCK_TOKENS, SlotTable, rounded, unpacked
from bot.engine.local.tokens import TextTokens
from bot.errors import EngineError, EngineFailed

log = logging.getLogger(__name__)

Event = tuple[int, Chunk | EngineError]  # for the request of that number


@dataclass(frozen=True, slots=True)
class BatchStatus:
    """The batch as it stands between two steps."""

    rows: int
    running_since: tuple[float, ...] = ()
    waiting: int = 0
    room_tokens: int = 0
    used_tokens: int = 0
    tokens_per_second: float = 0.0
    host_used_tokens: int = 0
    host_room_tokens: int = 0
    restored_tokens: int = 0  # copied back from the machine's memory, since the start
    shortage: str = ""  # why fewer run than could: memory ran out, in words


class Batch:
    """Requests that share the model.

    Whatever a runner raises comes out of :meth:`step`, but for RunnerOutOfMemory.
    """

    def __init__(
        self,
        runner: Runner,
        tokens: TextTokens,
        model: str,
        *,
        meter: Meter | None = None,
        guessing: Guessing | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`model` is the name that statistics give."""
        room = runner.room_tokens // BLOCK_TOKENS * BLOCK_TOKENS
        self._runner = runner
        self._tokens = tokens
        self._model = model
        self._clock = clock
        self.meter = meter or Meter()
        self._scheduler = Scheduler(
            rows=runner.rows, room_tokens=room, chunk_tokens=runner.chunk_tokens
        )
        self._slots = SlotTable(slots=runner.slots, room_tokens=room)
        self._host = HostCache(runner.host, self._slots, clock)
        self._arriving: dict[int, int] = {}  # requests whose prefix is being copied, their slots
        self._submissions: dict[int, Submission] = {}
        self._writers: dict[int, Writing] = {}
        self._restraint = Restraint(rows=runner.rows, room_tokens=room)
        self._guessing = guessing or Guessing(runner.guessed_tokens)
        self._shortage = ""
        # Requests of which nothing may be kept at their end, or only where nobody copies it.
        self._unkept: set[int] = set()
        self._uncopied: set[int] = set()
        # Requests that ran out of memory all alone, and how much they had written then.
        self._too_large_at: dict[int, int] = {}

    @property
    def idle(self) -> bool:
        """Whether there is nothing to do."""
        return not self._submissions

    @property
    def numbers(self) -> tuple[int, ...]:
        """All requests, running and waiting."""
        return tuple(self._submissions)

    def add(self, submission: Submission) -> None:
        """Queue a request. It must fit the runner's room and context."""
        self._submissions[submission.number] = submission
        request = submission.request
        self._scheduler.add(
            Job(
                submission.number,
                request.channel,
                request.user,
                len(submission.prompt),
                rounded(submission.room_tokens),
            )
        )

    def cancel(self, number: int) -> list[Event]:
        """Take a request out at once. Unknown numbers (done already) are no error."""
        submission = self._submissions.get(number)
        if submission is None:
            return []
        now = self._clock()
        writer = self._writers.get(number)
        if writer is None:
            admitted = AdmittedRequest(submission, NO_SLOT, 0, admitted_at=now)
            admitted.finish = FinishReason.CANCELLED
            admitted.tokens = list(submission.prompt)
            last = Chunk("", FinishReason.CANCELLED, admitted.statistics(self._model, now))
        else:
            last = writer.cut(self._model, now)
        self._forget(number)
        return [(number, last)]

    def probe(self) -> None:
        """Before the first request: measure what only the runner can tell."""
        self._host.probe(self._runner)

    def forget(self, channel: str, *, only_copies: bool = False) -> None:
        """Nothing of a channel's talk stays for later, or none but what the device keeps of it.

        Nor of its requests that run, or wait: their prompts are of that talk.
        """
        mine = {n for n, one in self._submissions.items() if one.request.channel == channel}
        (self._uncopied if only_copies else self._unkept).update(mine)
        for slot in self._slots.forget(channel, only_copies=only_copies):
            self._runner.release(slot)
        self._host.forget(channel)

    def step(self) -> list[Event]:
        """Admit who can be admitted, compute one step, and tell what came of it."""
        try:
            for job in self._scheduler.admit():
                self._begin(self._submissions[job.number])
            self._let_in_who_has_arrived()
            plan = self._scheduler.plan()
            began = self._clock()
            chosen = self._compute(plan)
        except RunnerOutOfMemory as error:
            detail = str(error)
        else:
            self._relax()
            prompts = sum(work.count for work in plan if work.count > 1)
            self._host.computed(prompts, self._clock() - began)
            events = self._take_all(plan, iter(chosen))
            self._host.tend()
            return events
        # The exception is gone by now, and with it the frames that hold a step's tensors.
        return self._make_do(detail)

    def _compute(self, plan: Sequence[Work]) -> list[list[int]]:
        """One step: the tokens chosen for each piece that chooses, one but for right guesses."""
        guesses = self._guesses(plan)
        ahead = not self._guessing.is_on
        pieces = [self._piece(work, guesses.get(work.number, ()), ahead) for work in plan]
        if not self._guessing.checks:
            return [[token] for token in self._runner.step(pieces)]
        chosen = self._runner.check(pieces)
        guessed = sum(len(piece.guesses) for piece in pieces)
        self.meter.guessed(guessed, sum(len(tokens) - 1 for tokens in chosen))
        return chosen

    def _guesses(self, plan: Sequence[Work]) -> dict[int, tuple[int, ...]]:
        """What to check beside the next token of each. Nothing beside a prompt."""
        if not self._guessing.most:
            return {}
        if not all(_writes(work) for work in plan):
            self._guessing.interrupt()
            return {}
        streams: list[Stream] = []
        for work in plan:
            admitted = self._writers[work.number].admitted
            # One less than are left: the last token is chosen, and there is no room for its key.
            most = admitted.submission.request.max_tokens - admitted.reply_tokens - 1
            streams.append(Stream(work.number, admitted.tokens, most))
        return self._guessing.guesses(streams)

    def _take_all(self, plan: Sequence[Work], chosen: Iterator[Sequence[int]]) -> list[Event]:
        now = self._clock()
        self._guessing.done(now)
        events: list[Event] = []
        written = 0
        for work in plan:
            tokens = next(chosen) if work.chooses else ()
            self._scheduler.advance(work, len(tokens))
            if tokens:
                written += len(tokens)
                events += self._take(work.number, tokens, now)
        self.meter.step(now, written)
        return events

    def status(self) -> BatchStatus:
        """A snapshot, to be handed to another thread."""
        return BatchStatus(
            rows=self._scheduler.rows,
            running_since=tuple(
                writer.admitted.admitted_at
                for writer in self._writers.values()
                if writer.admitted.slot != NO_SLOT
            ),
            waiting=self._scheduler.waiting,
            room_tokens=self._scheduler.room_tokens,
            used_tokens=self._slots.used_tokens,
            tokens_per_second=self.meter.tokens_per_second(self._clock()),
            host_used_tokens=self._host.used_tokens,
            host_room_tokens=self._host.total_tokens,
            restored_tokens=self._host.restored_tokens,
            shortage=self._shortage,
        )

    def _begin(self, submission: Submission) -> None:
        writer = self._writers.get(submission.number)  # there if it ran before
        prompt = submission.prompt if writer is None else tuple(writer.admitted.tokens)
        request, room = submission.request, rounded(submission.room_tokens)
        taken = self._slots.take(request.channel, prompt, room)
        found = self._host.find(prompt, taken.cached_tokens)
        self._host.part_with(taken.given_up, found)
        for slot in taken.release:
            self._runner.release(slot)
        self._runner.begin(taken.slot, taken.room_tokens, taken.cached_tokens)
        if taken.copy_from is not None:
            self._runner.copy(taken.copy_from, taken.slot, taken.cached_tokens)
        if found is not None:
            self._host.bring(found, taken.slot)
            self._arriving[submission.number] = taken.slot
            self._scheduler.hold(submission.number, held=True)
        cached = found.tokens if found is not None else taken.cached_tokens
        written = len(prompt) - len(submission.prompt)
        sampling = request.sampling
        vocabulary = self._tokens.vocabulary if sampling.reads_texts else None
        self._runner.sample(taken.slot, prompt, sampling, submission.seed, written, vocabulary)
        self._scheduler.skip(submission.number, cached)
        if self._guessing.most:
            self._guessing.begin(submission.number, unpacked(taken.dropped))
        if writer is not None:
            writer.admitted.slot = taken.slot
            return
        admitted = AdmittedRequest(submission, taken.slot, cached, self._clock())
        self._writers[submission.number] = admitted.open(self._tokens, self._runner.context_tokens)

    def _let_in_who_has_arrived(self) -> None:
        """Who is still being copied back joins all the same where nobody else would compute."""
        nobody_else = len(self._arriving) == self._scheduler.running
        for number, slot in list(self._arriving.items()):
            if nobody_else or self._host.is_here(slot):
                del self._arriving[number]
                self._scheduler.hold(number, held=False)

    def _piece(self, work: Work, guesses: Sequence[int], ahead: bool) -> Segment:
        admitted = self._writers[work.number].admitted
        tokens = admitted.tokens[work.start : work.start + work.count]
        return Segment(admitted.slot, work.start, tokens, work.chooses, guesses, ahead)

    def _take(self, number: int, tokens: Sequence[int], now: float) -> Sequence[Event]:
        writer = self._writers[number]
        admitted = writer.admitted
        if admitted.first_token_at is None:
            admitted.first_token_at = now
            self.meter.first_token(now - admitted.admitted_at)
        text = ""
        for token in tokens:
            text += writer.take(token)
            if admitted.finish is not None:
                break
        if admitted.finish is not None:
            self.meter.served(now - admitted.admitted_at)
            self._forget(number)
            return [(number, writer.last_chunk(text, self._model, now))]
        return [(number, writer.next_chunk(text, self._model, now))] if text else []

    def _make_do(self, detail: str) -> list[Event]:
        """Memory ran out: free all slots, put their requests back, and be modest for a while."""
        running, used = self._scheduler.running, self._slots.used_tokens
        alone = self._scheduler.alone if not self._slots.kept else None
        self._arriving.clear()
        for slot in self._slots.clear():
            self._runner.release(slot)
        self._runner.give_back()
        for writer in self._writers.values():
            writer.admitted.slot = NO_SLOT
        self._scheduler.put_back()
        self._restraint.tighten(running=running, used_tokens=used)
        self._obey_restraint()
        self._shortage = f"Memory ran out with {running} replies in {used} tokens of KV room."
        log.warning(
            "%s They go on, at most %d at once (%s)", self._shortage, self._restraint.rows, detail
        )
        return [] if alone is None else self._give_up_hopeless(alone)

    def _give_up_hopeless(self, number: int) -> list[Event]:
        """Fail a request that ran out of memory alone, if it gained nothing since it last did."""
        writer = self._writers.get(number)
        written = writer.admitted.reply_tokens if writer is not None else 0
        if self._too_large_at.get(number) != written:
            self._too_large_at[number] = written
            return []
        self._forget(number)
        log.error("a reply was given up: there is too little memory even for it alone")
        return [
            (
                number,
                EngineFailed(
                    "There is too little memory for this reply, even with nothing beside it.",
                    "Ask for a shorter reply, or shorten the message or the persona.",
                ),
            )
        ]

    def _relax(self) -> None:
        if self._restraint.relax():
            self._obey_restraint()
            if self._restraint.is_lifted:
                self._shortage = ""

    def _obey_restraint(self) -> None:
        self._scheduler.rows = self._restraint.rows
        self._scheduler.room_tokens = self._slots.room_tokens = self._restraint.room_tokens

    def _forget(self, number: int) -> None:
        del self._submissions[number]
        self._too_large_at.pop(number, None)
        self._guessing.forget(number)
        writer = self._writers.pop(number, None)
        computed = self._scheduler.computed(number)
        self._scheduler.remove(number)
        self._arriving.pop(number, None)
        if writer is not None and writer.admitted.slot != NO_SLOT:
            admitted = writer.admitted
            if number in self._unkept:
                self._slots.drop(admitted.slot)
                self._runner.release(admitted.slot)
            else:
                tokens, is_uncopied = admitted.tokens[:computed], number in self._uncopied
                self._slots.keep(admitted.slot, tokens, is_uncopied=is_uncopied)
        self._unkept.discard(number)
        self._uncopied.discard(number)


def _writes(work: Work) -> bool:
    """Whether it is the newest token alone, and no part of a prompt."""
    return work.count == 1 and work.chooses
