"""A reply being written, from its first word until the channel is free again."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Sequence
from contextlib import aclosing
from dataclasses import replace
from enum import Enum, auto
from types import TracebackType

from bot.chat.messages import GenerationRecord, Turn, TurnState
from bot.chat.ports import History
from bot.chat.talk.faults import OUR_FAULT
from bot.chat.talk.generation import Anew
from bot.chat.talk.tasks import complete
from bot.chat.talk.unfinished import Abandoned, Finished, Shown, Unfinished
from bot.chat.talk.writer import Outcome, ReplyWriter
from bot.engine.api import FinishReason
from bot.errors import NotFound, StoreError

ENTERED_WITHIN_SECONDS = 60.0  # else nobody wants it, and the channel is freed
HALT_SECONDS = 5.0  # for an engine to let go of a cancelled request

_log = logging.getLogger(__name__)

RecordMaker = Callable[[ReplyWriter], Awaitable[GenerationRecord | None]]


class ReplyKind(Enum):
    """What becomes of the turn when nothing of the reply was shown."""

    NEW = auto()  # it goes
    SWIPE = auto()  # the new swipe goes
    CONTINUED = auto()  # it stays as it was


class Reply:
    """A reply being written. An async context manager, within it an async iterator of new text::

        async with reply:
            async for text in reply:  # deltas, filtered, ready to show
                ...  # Anew: in place of all that came before, but `text_before`
                await reply.shown(all_of_it_so_far, message_ids)  # after each edit that landed
            # reply.outcome is set; show outcome.error, if any, as a line of its own
            await reply.shown(all_of_it, message_ids, last=True)

    What is kept as the turn's text is what was last reported by :meth:`shown`: "as far as it was
    shown". Leaving the context ends the turn (whole, cut, or taken out when nothing was shown) and
    frees the channel. The iterator raises no EngineError: it ends, and `outcome` says why. Text
    that comes while the consumer is busy is handed over in one piece.

    Once `left` is not None, somebody has deleted the reply, a part of it, or all that it answers:
    nothing more is to be shown, and only these messages stay.
    """

    def __init__(
        self,
        turn: Turn,
        writer: ReplyWriter,
        history: History,
        *,
        kind: ReplyKind,
        answers: tuple[Turn, ...],
        asked_by: frozenset[str],
        expected_wait_seconds: float,
        record: RecordMaker,
        unfinished: Unfinished,
        release: Callable[[], None],
    ) -> None:
        """`record` makes the generation record; `release`, called once, frees the channel.

        Where the reply's end cannot be stored, `unfinished` sees to it.
        """
        self.turn = turn
        self.persona_name = turn.persona
        self.answers = answers
        self.asked_by = asked_by
        self.text_before = turn.text if kind is ReplyKind.CONTINUED else ""
        self.expected_wait_seconds = expected_wait_seconds
        self.outcome: Outcome | None = None
        self.left: tuple[str, ...] | None = None  # see above
        self._writer = writer
        self._history = history
        self._kind = kind
        self._record = record
        self._unfinished = unfinished
        self._release = release
        self._task: asyncio.Task[None] | None = None
        self._coming: list[str] = []
        self._begins_anew = False
        self._news = asyncio.Event()
        self._has_come = False  # some text
        self._over = False  # no more text will be handed over
        self._shown = self.text_before
        self._to_keep: Shown | None = None  # reported as shown, but not stored yet
        self._gone = False  # somebody deleted the turn
        self._shutdown = False
        self._ending = False
        self._ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        self._expiry = loop.call_later(ENTERED_WITHIN_SECONDS, self._expire)

    async def __aenter__(self) -> "Reply":
        self._expiry.cancel()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await complete(self.end(error))

    def __aiter__(self) -> AsyncGenerator[str, None]:
        return self._hand_over()

    def stop(self) -> None:
        """End the reply as it stands; the iterator finishes, outcome.finish is CANCELLED."""
        if self._over:
            return
        self._over = True
        self._coming.clear()
        self.outcome = Outcome(FinishReason.CANCELLED)
        if self._task is not None:
            self._task.cancel()
        self._news.set()

    def cut(self) -> None:
        """The rest cannot be shown, whether or not it is written: it ends as far as it was."""
        self.stop()
        self.outcome = Outcome(FinishReason.CANCELLED)

    def shut_down(self) -> None:
        """As :meth:`stop`; but where nothing was shown yet, the question waits for a restart."""
        self._shutdown = True
        self.stop()

    async def shown(self, text: str, message_ids: Sequence[str], *, last: bool = False) -> None:
        """Report what people see now: the whole text of the turn, and its messages in order.

        `last`: the context is left right after this, and it is kept together with the turn's end.
        When somebody has deleted the turn meanwhile, the reply stops.
        """
        if self._ending:
            raise RuntimeError("The reply has ended: report what is shown inside its context.")
        if self.left is not None:
            return
        self._shown = text
        self._to_keep = Shown(text, tuple(message_ids))
        if not last:
            await self.keep_shown()

    async def keep_shown(self) -> None:
        """Keep what was reported as shown, if it is not kept yet."""
        if self._to_keep is None or self._gone:
            return
        shown, self._to_keep = self._to_keep, None
        try:
            await self._history.show_reply(self.turn.turn_id, shown.text, shown.message_ids)
        except NotFound:
            self._gone = True
            self._end_showing(())
        except StoreError as error:  # stored with what is shown next, or with the reply's end
            self._to_keep = self._to_keep or shown
            _log.warning("What is shown in %s is not stored yet: %s", self.turn.channel, error)

    def read_again(self) -> None:
        """What was said before the reply has changed: a prompt not made yet is to say so."""
        self._writer.read_again()

    async def taken_out(self, message_ids: Collection[str], shortened: Sequence[Turn] = ()) -> None:
        """Messages of the channel were taken out, and parts of the turns `shortened`.

        Stops when this turn, or a part of it, is among them, and quietly when nothing of it was
        shown and all that it answers is gone. Where no text has come yet, it is written anew.
        """
        if self._ending:
            return
        for turn in shortened:
            if turn.turn_id == self.turn.turn_id:
                self._end_showing(turn.message_ids)
                return
        try:
            await self._history.turn(self.turn.turn_id)
        except NotFound:
            self._gone = True
            self._end_showing(())
            return
        had_questions = bool(self.answers)
        self.answers = tuple(
            asked for asked in self.answers if not set(asked.message_ids) & set(message_ids)
        )
        if self._kind is ReplyKind.CONTINUED or self._shown.strip():
            return
        if had_questions and not self.answers and self._can_be_withdrawn():
            self._end_showing(self.turn.message_ids)
        else:
            self._write_anew()

    def _can_be_withdrawn(self) -> bool:
        """Not once a new swipe may be on its way into messages that show an old one."""
        return self._kind is ReplyKind.NEW or not self._has_come

    def _end_showing(self, left: Sequence[str]) -> None:
        self.left = tuple(left)
        self.stop()
        self._coming.clear()
        self.outcome = Outcome(FinishReason.CANCELLED)

    def _write_anew(self) -> None:
        """The prompt, if there is one, holds what is gone: make another one before text comes."""
        before = self._task
        self._writer.answer([asked.turn_id for asked in self.answers])
        if before is not None and not (before.done() or self._over or self._has_come):
            before.cancel()
            self._begin_writing(after=before)

    async def end(self, error: BaseException | None = None) -> None:
        """Keep what was shown and free the channel; `error` is what broke it off. Idempotent.

        Leaving the context calls this.
        """
        if self._ending:
            return
        self._ending = True
        self._expiry.cancel()
        try:
            self.stop()  # nothing to do when the text has come to its end
            await self._halt()
            await self._keep(error)
        except NotFound:
            self._gone = True
        finally:
            self._ended.set()
            self._release()

    async def ended(self) -> None:
        """Wait until the turn has ended and the channel is free."""
        await self._ended.wait()

    async def _hand_over(self) -> AsyncGenerator[str, None]:
        if self._task is None and not self._over:
            self._begin_writing()
        while True:
            text = "".join(self._coming)
            self._coming.clear()
            if self._begins_anew:
                self._begins_anew = False
                self._shown = self.text_before
                yield Anew(text)
            elif text:
                yield text
            elif self._over:
                return
            elif self._task is not None and self._task.done():
                self._over = True
                self.outcome = self._writer.outcome or Outcome(FinishReason.CANCELLED, OUR_FAULT)
                self._task.result()  # a fault of ours is raised here, not lost
                return
            else:
                self._news.clear()
                await self._news.wait()

    def _begin_writing(self, after: asyncio.Task[None] | None = None) -> None:
        self._task = asyncio.create_task(self._write(after))
        self._task.add_done_callback(lambda _: self._news.set())

    async def _write(self, after: asyncio.Task[None] | None) -> None:
        if after is not None:  # it was cancelled
            await asyncio.wait({after}, timeout=HALT_SECONDS)
        async with aclosing(self._writer.text()) as pieces:
            async for piece in pieces:
                self._has_come = True
                if isinstance(piece, Anew):
                    self._coming.clear()
                    self._begins_anew = True
                self._coming.append(piece)
                self._news.set()

    def _expire(self) -> None:
        _log.error("Nobody took up the reply in %s", self.turn.channel)
        self._expiring = asyncio.ensure_future(self.end(asyncio.CancelledError()))

    async def _halt(self) -> None:
        if self._task is None:
            return
        done, _ = await asyncio.wait({self._task}, timeout=HALT_SECONDS)
        if not done:
            _log.error("The engine does not let go of the reply in %s", self.turn.channel)
        elif not self._task.cancelled() and (fault := self._task.exception()) is not None:
            _log.error("A reply in %s broke down", self.turn.channel, exc_info=fault)

    async def _keep(self, error: BaseException | None) -> None:
        if self._gone:
            return
        if self._shown.strip() and self._shown != self.text_before:
            try:
                record = await self._record(self._writer)
            except StoreError as fault:
                _log.error("How a reply in %s came to be is lost: %s", self.turn.channel, fault)
                record = None
            if record is not None and self.outcome is not None:
                record = replace(record, finish=self.outcome.finish)
            await self._keep_end(Finished(self.turn, self._state(error), record, self._to_keep))
        elif self._kind is not ReplyKind.CONTINUED:
            requeue = self._kind is ReplyKind.NEW and self._is_to_be_answered_later(error)
            await self._keep_end(Abandoned(self.turn, requeue))
        else:
            await self.keep_shown()

    async def _keep_end(self, end: Finished | Abandoned) -> None:
        """Store how the reply ended, now or as soon as that works: people have seen it."""
        try:
            turn = await end.keep(self._history)
            if turn is None and self._kind is ReplyKind.SWIPE:
                turn = await self._history.turn(end.turn.turn_id)
            self.turn = turn or self.turn
        except StoreError as error:
            _log.error("The end of a reply in %s is not stored yet: %s", self.turn.channel, error)
            self._unfinished.add(end)

    def _state(self, error: BaseException | None) -> TurnState:
        outcome = self.outcome
        whole = (
            error is None
            and outcome is not None
            and outcome.finish is not FinishReason.CANCELLED
            and not outcome.error
        )
        return TurnState.WHOLE if whole else TurnState.CUT

    def _is_to_be_answered_later(self, error: BaseException | None) -> bool:
        """Whether nobody decided against an answer: the bot itself went away."""
        return self._shutdown or isinstance(error, asyncio.CancelledError | GeneratorExit)


def continued_record(record: GenerationRecord, before: GenerationRecord | None) -> GenerationRecord:
    """The record of a swipe that has grown: its first prompt, and what both parts took.

    Of parts that were written twice, the newest is told.

    The prompt of the second part ends with the first part's text, of which no copy is kept, so
    that only the first prompt can be rebuilt.
    """
    if before is None:
        return record
    first, second = before.statistics, record.statistics
    statistics = replace(
        first,
        reply_tokens=first.reply_tokens + second.reply_tokens,
        total_seconds=first.total_seconds + second.total_seconds,
        thinking_tokens=first.thinking_tokens + second.thinking_tokens,
    )
    occasion = before.occasion
    if occasion is not None and record.occasion is not None and record.occasion.retry is not None:
        occasion = replace(occasion, retry=record.occasion.retry)
    return replace(before, finish=record.finish, statistics=statistics, occasion=occasion)
