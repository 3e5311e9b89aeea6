"""What `model` shows while it works: a bar on a terminal, lines elsewhere. On standard error."""

from collections.abc import Callable, Generator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

STEPS = 10  # of long work, that are told where no bar can be drawn


@contextmanager
def showing_progress() -> Generator[Callable[[str, float | None], None]]:
    """A bar on a terminal; elsewhere a line for each new step, and for each tenth of it."""
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield _Lines(console)
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(compact=True),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("Preparing", total=None)
        shown = ""

        def draw(text: str, fraction: float | None) -> None:
            nonlocal shown
            if text != shown:  # what is left is reckoned anew
                bar.reset(task, total=None)
                shown = text
            total = None if fraction is None else 1.0
            bar.update(task, description=text, total=total, completed=fraction or 0.0)

        yield draw


class _Lines:
    """Steps, each said once."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._said: set[tuple[str, int]] = set()

    def __call__(self, text: str, fraction: float | None) -> None:
        step = int((fraction or 0.0) * STEPS)
        if (text, step) in self._said:
            return
        is_first = not any(said == text for said, _ in self._said)
        self._said.add((text, step))
        if is_first:
            self._console.print(f"{text} ...", markup=False, soft_wrap=True)
        elif 0 < step < STEPS:
            self._console.print(f"{text}: {step * 100 // STEPS}%", markup=False, soft_wrap=True)
