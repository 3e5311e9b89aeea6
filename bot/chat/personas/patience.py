"""Work on files that may never end: a share that is gone, a disk that hangs."""

import threading
from collections.abc import Callable, Iterator, Sequence
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Patience(Generic[Item, Result]):
    """Does one kind of work on many things, each with a limit in time.

    A thread that waits for a disk cannot be ended, only left alone: it is one for each thing at
    most, it goes on when the disk does, and the end of the program does not wait for it.
    """

    def __init__(self, work: Callable[[Item], Result], seconds: float, at_most: int) -> None:
        """`seconds` is the limit for one; once `at_most` hang, the others are not begun."""
        self._work = work
        self._seconds = seconds
        self._at_most = at_most
        self._hanging: dict[Item, threading.Thread] = {}

    def each(self, items: Sequence[Item]) -> Iterator[tuple[Item, Result | None]]:
        """Every item with its result, in order; None where that took too long. Blocking."""
        self._hanging = {item: one for item, one in self._hanging.items() if one.is_alive()}
        worker: _Worker[Item, Result] | None = None
        for place, item in enumerate(items):
            if item in self._hanging or len(self._hanging) >= self._at_most:
                yield item, None
                continue
            worker = worker or _Worker(
                self._work, [one for one in items[place:] if one not in self._hanging]
            )
            try:
                result = worker.results.get(timeout=self._seconds)
            except Empty:
                worker.left.set()
                self._hanging[item], worker = worker.thread, None
                yield item, None
            else:
                if isinstance(result, _Raised):
                    raise result.error
                yield item, result


class _Raised:
    def __init__(self, error: Exception) -> None:
        self.error = error


class _Worker(Generic[Item, Result]):
    """A thread that goes through the items until it is left."""

    def __init__(self, work: Callable[[Item], Result], items: Sequence[Item]) -> None:
        self.results: SimpleQueue[Result | _Raised] = SimpleQueue()
        self.left = threading.Event()
        self.thread = threading.Thread(target=self._run, args=(work, items), daemon=True)
        self.thread.start()

    def _run(self, work: Callable[[Item], Result], items: Sequence[Item]) -> None:
        for item in items:
            if self.left.is_set():
                return
            try:
                self.results.put(work(item))
            except Exception as error:  # noqa: BLE001 - raised where the result is waited for
                self.results.put(_Raised(error))
                return
