"""Lines that wait: in order, none lost, never more than a bound of them."""

from hypothesis import given
from hypothesis import strategies as st

from cogs.commands.moderating.waiting_lines import MESSAGE_CHARACTERS, MOST_LINES, WaitingLines

STEPS = st.lists(
    st.sampled_from(["add", "repeat", "told", "refused", "told late", "refused late"]), max_size=60
)


def lines_in(text: str) -> int:
    """How many lines a message stands for."""
    number = 0
    for line in text.splitlines():
        if line.startswith("… and "):
            number += int(line.split()[2])
        elif line.endswith(" times)"):
            number += int(line.rpartition("(")[2].split()[0])
        else:
            number += 1
    return number


@given(STEPS, st.integers(1, 40), st.integers(1, 600))
def test_every_line_is_told_or_counted_once_and_in_order(
    steps: list[str], burst: int, length: int
) -> None:
    waiting = WaitingLines()
    added = counted = 0
    newest = -1
    for step in steps:
        if step in ("add", "repeat"):
            for _ in range(burst):
                name = "same" if step == "repeat" else f"{added:05}"
                waiting.add(name.ljust(length, "."))
                added += 1
            continue
        batch = waiting.batch()
        assert len(batch.text) <= MESSAGE_CHARACTERS
        assert bool(batch.text) == bool(waiting.number)
        if step.endswith("late"):  # more comes while it is being sent
            for _ in range(burst):
                waiting.add(f"{added:05}".ljust(length, "."))
                added += 1
        if step.startswith("refused"):
            waiting.refused(batch)
            continue
        waiting.told(batch)
        counted += lines_in(batch.text)
        for line in batch.text.splitlines():
            if line[:5].isdecimal():
                assert int(line[:5]) > newest
                newest = int(line[:5])
    assert counted + waiting.number == added


def test_what_comes_after_a_gap_stands_behind_it() -> None:
    waiting = WaitingLines()
    for number in range(MOST_LINES + 3):
        waiting.add(f"{number}".rjust(100))
    first = waiting.batch()
    waiting.told(first)
    waiting.add("after")
    texts: list[str] = []
    while waiting.number:
        batch = waiting.batch()
        texts += batch.text.splitlines()
        waiting.told(batch)
    assert texts[-2:] == ["… and 3 more lines.", "after"]


def test_what_comes_while_a_number_is_being_told_is_told_next() -> None:
    waiting = WaitingLines()
    for _ in range(MOST_LINES + 5):
        waiting.add("same")
    batch = waiting.batch()
    assert batch.text.splitlines()[-1] == "… and 5 more lines."
    for _ in range(7):
        waiting.add("same")
    waiting.told(batch)
    assert waiting.batch().text == "… and 7 more lines."


def test_what_comes_while_a_number_is_being_refused_is_counted_too() -> None:
    waiting = WaitingLines()
    for _ in range(MOST_LINES + 5):
        waiting.add("same")
    batch = waiting.batch()
    for _ in range(7):
        waiting.add("same")
    waiting.refused(batch)
    assert waiting.batch().text == f"… and {MOST_LINES + 12} more lines."


def test_one_line_is_one_line() -> None:
    waiting = WaitingLines()
    waiting.add("a")
    waiting.refused(waiting.batch())
    waiting.add("a")
    assert waiting.batch(2).text == "… and 2 more lines before a restart.\n… and 1 more line.\na"
