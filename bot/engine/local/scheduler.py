"""Who is in the next step. Pure: numbers in, numbers out; never touches a tensor.

Waiting requests stand in one queue a user, and the users are taken in turn. A channel has one
running request at most. The request whose turn it is waits until its KV room is free, and nobody
overtakes it meanwhile, so nobody starves; requests whose channel is busy are passed over.
Requests that ran and were put back come before all others, in the order in which they ran.
"""

from collections import OrderedDict, deque
from dataclasses import dataclass, replace

from bot.engine.local.slots import BLOCK_TOKENS

CALM_STEPS = 128  # without trouble before more is allowed; doubled before its first use
CALM_STEPS_LONGEST = 4096
SHORT_CHUNK_TOKENS = 512  # of prompts, while others write
WRITING_FOR_EACH_PROMPT = 2  # for short chunks, unless only one waits
ROOM_SHARE = 8  # an eighth of the whole room is added at a time


@dataclass(frozen=True, slots=True)
class Job:
    """A request as the scheduler sees it. `room_tokens` is the most KV room that it can need."""

    number: int
    channel: str
    user: str
    prompt_tokens: int
    room_tokens: int


@dataclass(frozen=True, slots=True)
class Work:
    """Part of one step: compute `count` tokens from position `start` on.

    `chooses` when they are the last ones known, so that the next token is to be chosen.
    """

    number: int
    start: int
    count: int
    chooses: bool


@dataclass(slots=True)
class _Running:
    job: Job
    known: int  # tokens of prompt and reply
    computed: int  # of these, in the KV cache
    is_held: bool = False

    @property
    def prefilling(self) -> bool:
        return self.computed < self.known - 1


class Scheduler:
    """Admits waiting requests and plans the steps of the running ones.

    `rows` and `room_tokens` may be changed at any time; a request alone runs whatever they are.
    """

    def __init__(self, *, rows: int, room_tokens: int, chunk_tokens: int) -> None:
        """`rows` run together at most; `chunk_tokens` of prompts are computed in one step."""
        self.rows = rows
        self.room_tokens = room_tokens
        self._chunk_tokens = chunk_tokens
        self._queues: OrderedDict[str, deque[Job]] = OrderedDict()
        self._put_back: deque[Job] = deque()
        self._running: dict[int, _Running] = {}

    @property
    def running(self) -> int:
        """How many requests run."""
        return len(self._running)

    @property
    def alone(self) -> int | None:
        """The request that runs, where it is the only one."""
        return next(iter(self._running)) if len(self._running) == 1 else None

    @property
    def waiting(self) -> int:
        """How many requests wait."""
        return len(self._put_back) + sum(len(queue) for queue in self._queues.values())

    @property
    def reserved_tokens(self) -> int:
        """KV room that the running requests may come to need."""
        return sum(progress.job.room_tokens for progress in self._running.values())

    def add(self, job: Job) -> None:
        """Queue a request. It must fit the room when it is alone."""
        self._queues.setdefault(job.user, deque()).append(job)

    def remove(self, number: int) -> None:
        """Forget a request, running or waiting: done or cancelled. Unknown numbers are no error."""
        if self._running.pop(number, None) is not None:
            return
        self._put_back = deque(job for job in self._put_back if job.number != number)
        for user, queue in self._queues.items():
            for job in queue:
                if job.number == number:
                    queue.remove(job)
                    if not queue:
                        del self._queues[user]
                    return

    def admit(self) -> list[Job]:
        """Start the requests whose turn it is and for which there is room."""
        admitted: list[Job] = []
        while (job := self._next()) is not None:
            full = len(self._running) >= self.rows
            if self._running and (
                full or self.reserved_tokens + job.room_tokens > self.room_tokens
            ):
                break
            self._take(job)
            self._running[job.number] = _Running(job, known=job.prompt_tokens, computed=0)
            admitted.append(job)
        return admitted

    def put_back(self) -> None:
        """Stop all that run. They are the next to be admitted, with nothing of them computed.

        What they have written counts as part of their prompts then.
        """
        stopped = [
            replace(progress.job, prompt_tokens=progress.known)
            for progress in self._running.values()
        ]
        self._put_back.extendleft(reversed(stopped))
        self._running.clear()

    def skip(self, number: int, cached_tokens: int) -> None:
        """The first `cached_tokens` of an admitted request's prompt need no computing."""
        self._running[number].computed = cached_tokens

    def hold(self, number: int, *, held: bool) -> None:
        """Leave an admitted request out of the steps, or let it join them."""
        self._running[number].is_held = held

    def computed(self, number: int) -> int:
        """How many of a request's tokens stand in the cache; 0 while it waits."""
        progress = self._running.get(number)
        return progress.computed if progress is not None else 0

    def plan(self) -> list[Work]:
        """The next step: one token of each row that writes, and a piece of the prompts' rest."""
        work: list[Work] = []
        budget = self._prompt_tokens()
        for number, progress in self._running.items():
            if progress.is_held:
                continue
            pending = progress.known - progress.computed
            count = min(pending, budget) if progress.prefilling else pending
            if progress.prefilling:
                budget -= count
            if count:
                work.append(Work(number, progress.computed, count, chooses=count == pending))
        return work

    def _prompt_tokens(self) -> int:
        """How much of the prompts to compute in this step.

        A long chunk is the fastest for all together, a short one is felt less by who reads along.
        So chunks are short while somebody writes, unless many wait for their first word.
        """
        prompts = sum(progress.prefilling for progress in self._running.values())
        writing = len(self._running) - prompts
        few = max(writing // WRITING_FOR_EACH_PROMPT, 1)
        if writing and prompts + self.waiting <= few:
            return min(self._chunk_tokens, SHORT_CHUNK_TOKENS)
        return self._chunk_tokens

    def advance(self, work: Work, chosen: int = 1) -> None:
        """A piece of work is done; where it chooses, one more token is known, or several.

        All of them but the newest are computed, too: they were guessed before.
        """
        progress = self._running.get(work.number)
        if progress is not None:
            progress.computed += work.count + (chosen - 1) * work.chooses
            progress.known += chosen * work.chooses

    def _next(self) -> Job | None:
        if self._put_back:
            return self._put_back[0]  # none of its channel runs: it would have come after this one
        busy = {progress.job.channel for progress in self._running.values()}
        for queue in self._queues.values():
            for job in queue:
                if job.channel not in busy:
                    return job
        return None

    def _take(self, job: Job) -> None:
        if self._put_back:
            self._put_back.popleft()
            return
        queue = self._queues[job.user]
        queue.remove(job)
        if queue:
            self._queues.move_to_end(job.user)
        else:
            del self._queues[job.user]


class Restraint:
    """How much is run at once after memory ran out: half of what was too much, then slowly more.

    A machine's memory is shared with whatever else runs there, so what was measured at the start
    may not be there later. After enough steps without trouble a little more is allowed; each time
    that was too much, twice as many steps are waited for.
    """

    def __init__(self, *, rows: int, room_tokens: int) -> None:
        """Everything is allowed until memory runs out."""
        self.rows = self._all_rows = rows
        self.room_tokens = self._all_room_tokens = room_tokens
        self._calm_steps = CALM_STEPS
        self._steps = 0

    @property
    def is_lifted(self) -> bool:
        """Whether everything is allowed (again)."""
        return self.rows == self._all_rows and self.room_tokens == self._all_room_tokens

    def tighten(self, *, running: int, used_tokens: int) -> None:
        """Memory ran out while this many rows ran and this much room was used."""
        self.rows = max(min(self.rows, running) // 2, 1)
        used_tokens = min(self.room_tokens, used_tokens)
        self.room_tokens = max(used_tokens // 2 // BLOCK_TOKENS, 1) * BLOCK_TOKENS
        self._calm_steps = min(self._calm_steps * 2, CALM_STEPS_LONGEST)
        self._steps = 0

    def relax(self) -> bool:
        """A step went well. Returns whether more is allowed than before."""
        if self.is_lifted:
            return False
        self._steps += 1
        if self._steps < self._calm_steps:
            return False
        self._steps = 0
        more = max(self._all_room_tokens // ROOM_SHARE // BLOCK_TOKENS, 1) * BLOCK_TOKENS
        self.rows = min(self.rows + 1, self._all_rows)
        self.room_tokens = min(self.room_tokens + more, self._all_room_tokens)
        return True
