"""The thread that owns the model: inbox, step loop, and coming back to life after a fault."""

import logging
import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from bot.engine.api import EngineState, FinishReason, ModelInfo, Sampling
from bot.engine.local.batch import Batch, BatchStatus, Event
from bot.engine.local.faults import forget_frames, forget_tracebacks, is_sticky
from bot.engine.local.meter import Meter
from bot.engine.local.request import Submission
from bot.engine.local.runner import Runner, RunnerLimits, Segment
from bot.engine.local.tokens import TextTokens
from bot.engine.models.folders.generation import end_tokens
from bot.errors import CaduceusError, EngineError, EngineFailed, EngineUnavailable

if TYPE_CHECKING:
    from bot.engine.local.loaded_model import LoadedModel

log = logging.getLogger(__name__)

_PLAIN = Sampling(temperature=0.0, repetition_penalty=1.0)
_NO_BATCH = BatchStatus(rows=0)
_TRY_AGAIN = "It is being restarted: try again in a moment."
_TRY_LATER = "The bot is being started anew: try again in a minute."


@dataclass(frozen=True, slots=True)
class Ready:
    """What the event loop's side needs of a loaded model."""

    info: ModelInfo  # its context is what fits the KV room, too
    tokens: TextTokens
    device: str
    kernel: str


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """The worker as it stands; replaced whole, so that any thread may read it."""

    state: EngineState = EngineState.STARTING
    ready: Ready | None = None
    batch: BatchStatus = _NO_BATCH
    restarts: int = 0
    last_error: str = ""
    is_lost: bool = False  # this process can use its device no more


@dataclass(frozen=True, slots=True)
class _Cancel:
    number: int


@dataclass(frozen=True, slots=True)
class _Forget:
    channel: str
    only_copies: bool


_Message = Submission | _Cancel | _Forget | None  # None only wakes the thread up


class Worker:
    """Loads a model and serves submissions with it, in a thread of its own.

    `deliver` and `started` are called in that thread. The first call of `started` counts: with None
    when the model is ready, or with what kept it from that, and then the thread is over. Later
    faults fail the requests at hand; then the model is loaded anew, after waits that double. After
    a fault that lasts as long as the process the thread is over too, and `lost` is called.
    """

    def __init__(
        self,
        load: "Callable[[], LoadedModel]",
        build: "Callable[[LoadedModel, RunnerLimits], Runner]",
        *,
        limits: RunnerLimits,
        backoff_seconds: tuple[float, float],
        deliver: Callable[[Sequence[Event]], None],
        started: Callable[[CaduceusError | None], None],
        lost: Callable[[EngineError], None] = lambda _fault: None,
    ) -> None:
        """`backoff_seconds` are the first wait and the longest one."""
        self.status = WorkerStatus()
        self.meter = Meter()
        self._load = load
        self._build = build
        self._limits = limits
        self._backoff_seconds = backoff_seconds
        self._deliver = deliver
        self._started = started
        self._lost = lost
        self._inbox: SimpleQueue[_Message] = SimpleQueue()
        self._stopping = threading.Event()
        self._open_numbers: set[int] = set()
        self._failures = 0  # since a request was last served whole
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def submit(self, submission: Submission) -> None:
        """Queue a request. From any thread; never blocks."""
        self._inbox.put(submission)

    def cancel(self, number: int) -> None:
        """Take a request out before the next step. From any thread; never blocks."""
        self._inbox.put(_Cancel(number))

    def forget(self, channel: str, *, only_copies: bool) -> None:
        """Let go of what is kept of a channel's talk. From any thread; never blocks."""
        self._inbox.put(_Forget(channel, only_copies))

    def stop(self) -> None:
        """Cancel everything and end the thread after the step it is in. Never blocks."""
        self._stopping.set()
        self._inbox.put(None)

    @property
    def is_stopping(self) -> bool:
        """Whether it was told to stop."""
        return self._stopping.is_set()

    def join(self, seconds: float) -> bool:
        """Wait for the thread's end. False when it takes longer (a model being loaded)."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._live()
            except Exception as error:  # noqa: BLE001 - a dead thread would silence every channel
                fault: Exception | None = error
            else:
                fault = None
            if fault is not None and self.status.ready is None:
                forget_frames(Worker._live.__code__)
                self._set(state=EngineState.STOPPED, last_error=_summary(fault))
                self._started(_translated(fault))
                return
            if fault is not None and is_sticky(fault):
                self._end(fault)
                return
            if fault is not None:
                self._die(fault)
                fault = None  # lets go of the frames that hold the model
                if not self._recover():
                    return
        forget_frames(Worker._live.__code__)
        self._set(state=EngineState.STOPPED, batch=_NO_BATCH)
        # In case that it was stopped before it was ready; later calls count for nothing.
        self._started(EngineUnavailable("The engine was stopped while it started."))

    def _live(self) -> None:
        """Load and serve, until told to stop or until something is raised."""
        loaded = self._load()
        runner = self._build(loaded, self._limits)
        _warm_up(runner)
        if self._stopping.is_set():  # while it loaded: nobody may find it ready
            return
        tokens = TextTokens(loaded.tokenizer, _end_tokens(loaded))
        context = min(loaded.info.context_tokens, runner.context_tokens, runner.room_tokens)
        info = replace(loaded.info, context_tokens=context)
        batch = Batch(runner, tokens, info.name, meter=self.meter)
        batch.probe()
        first = self.status.ready is None
        ready = Ready(info, tokens, runner.device, runner.kernel)
        self._set(state=EngineState.READY, ready=ready, batch=batch.status())
        log.info("engine ready: %s on %s, %s", info.name, runner.device, runner.kernel)
        if first:
            self._started(None)
        self._serve(batch)

    def _serve(self, batch: Batch) -> None:
        while True:
            events = self._take_messages(batch)
            if self._stopping.is_set():
                for number in batch.numbers:
                    events += batch.cancel(number)
                self._hand_over(events)
                return
            if not batch.idle:
                events += batch.step()
            status = batch.status()
            self._set(batch=status, last_error=status.shortage or self.status.last_error)
            self._hand_over(events)

    def _take_messages(self, batch: Batch) -> list[Event]:
        """Everything that has come in; waits for something when there is nothing to do."""
        events: list[Event] = []
        while True:
            try:
                message = self._inbox.get(block=batch.idle and not events)
            except Empty:
                return events
            if isinstance(message, Submission):
                self._open_numbers.add(message.number)
                batch.add(message)
            elif isinstance(message, _Cancel):
                events += batch.cancel(message.number)
            elif isinstance(message, _Forget):
                batch.forget(message.channel, only_copies=message.only_copies)
                self._set(batch=batch.status())
            if self._stopping.is_set():
                return events

    def _hand_over(self, events: Sequence[Event]) -> None:
        for number, event in events:
            if isinstance(event, Exception) or event.finish is not None:
                self._open_numbers.discard(number)
                if not isinstance(event, Exception) and event.finish is not FinishReason.CANCELLED:
                    self._failures = 0
                    self._set(last_error=self.status.batch.shortage)
        if events:
            self._deliver(events)

    def _die(self, fault: Exception, *, comes_back: bool = True) -> None:
        """Tell everybody: the status, the log, and whoever waits for a reply."""
        self._failures += 1
        summary = _summary(fault)
        self._set(
            state=EngineState.RESTARTING if comes_back else EngineState.STOPPED,
            restarts=self.status.restarts + comes_back,
            last_error=summary,
            batch=BatchStatus(rows=self.status.batch.rows),
            is_lost=not comes_back,
        )
        log.error("the engine failed: %s", summary, exc_info=fault)
        while True:
            try:
                message = self._inbox.get(block=False)
            except Empty:
                break
            if isinstance(message, Submission):
                self._open_numbers.add(message.number)
        numbers = sorted(self._open_numbers)
        what_to_do = _TRY_AGAIN if comes_back else _TRY_LATER
        self._hand_over([(number, EngineFailed(summary, what_to_do)) for number in numbers])

    def _end(self, fault: Exception) -> None:
        """Nothing that this process does can bring the device back."""
        self._die(fault, comes_back=False)
        log.critical("the device can be used again by a new process only")
        self._lost(EngineFailed(_summary(fault), "The program ends, to be started anew."))

    def _recover(self) -> bool:
        """Wait before the next life. False when there can be none."""
        forget_frames(Worker._live.__code__)
        forget_tracebacks(Worker._live.__code__)
        try:
            _give_back_memory()
        except RuntimeError as error:  # the device fails at this, too
            if is_sticky(error):
                self._end(error)
                return False
            log.warning("memory could not be given back: %s", error)
        first, most = self._backoff_seconds
        seconds = min(first * 2 ** min(self._failures - 1, 30), most)
        log.warning("the engine restarts in %g s", seconds)
        self._stopping.wait(seconds)
        return True

    def _set(self, **changes: object) -> None:
        self.status = replace(self.status, **changes)  # type: ignore[arg-type]


def _warm_up(runner: Runner) -> None:
    """One tiny prompt and one step: the first request finds everything in place."""
    runner.begin(0, 64, 0)
    runner.sample(0, [0], _PLAIN, 0)
    chosen = runner.step([Segment(0, 0, [0, 0, 0], chooses=True)])
    runner.step([Segment(0, 3, chosen, chooses=True)])
    runner.release(0)


def _end_tokens(loaded: "LoadedModel") -> Collection[int]:
    """All that end a reply, whichever of the model's files names them."""
    source = loaded if loaded.model is None else loaded.model
    named = getattr(loaded, "end_tokens", None)
    if named is not None:
        return named
    configs = [getattr(source, name, None) for name in ("generation_config", "config")]
    return end_tokens(configs, loaded.tokenizer)


def _give_back_memory() -> None:
    from bot.engine.local.memory import give_back_memory

    give_back_memory()


def _translated(fault: Exception) -> CaduceusError:
    """What kept a model from loading, as an exception that a person can be shown."""
    if isinstance(fault, CaduceusError):
        return fault
    failed = EngineFailed(_summary(fault), "See the log for the cause.")
    failed.__cause__ = fault
    return failed


def _summary(fault: Exception) -> str:
    """A fault in plain words, on one line."""
    if isinstance(fault, CaduceusError):
        return str(fault)
    lines = str(fault).splitlines()
    if _is_out_of_memory(fault):
        return "The model ran out of memory."
    detail = f": {lines[0][:200]}" if lines else ""
    return f"The model stopped on a fault ({type(fault).__name__}{detail})."


def _is_out_of_memory(fault: Exception) -> bool:
    from bot.engine.local.memory import is_out_of_memory

    return is_out_of_memory(fault)
