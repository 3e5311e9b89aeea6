"""The running batch, with a runner that writes down what it is told."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from bot.engine.api import Chunk, FinishReason, GenerationRequest, Sampling
from bot.engine.local.batch import Batch, Event
from bot.engine.local.guessing.guessing import Guessing, Stream
from bot.engine.local.request import Submission
from bot.engine.local.runner import Segment
from bot.engine.local.slots import BLOCK_TOKENS
from bot.engine.local.tokens import TextTokens
from bot.engine.local.vocabulary import Vocabulary

LETTER = 70  # a token of one letter, in the tests' tokenizer


class WritingDown:
    """A runner whose every choice is the same letter."""

    rows = 2
    slots = 8
    room_tokens = 8 * BLOCK_TOKENS
    context_tokens = 256
    chunk_tokens = 16
    guessed_tokens = 0
    device = "none"
    kernel = "none"
    host = None

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.steps: list[list[Segment]] = []

    def begin(self, slot: int, room_tokens: int, cached_tokens: int) -> None:
        self.calls.append(("begin", slot, room_tokens, cached_tokens))

    def copy(self, source: int, target: int, tokens: int) -> None:
        self.calls.append(("copy", source, target, tokens))

    def sample(
        self,
        slot: int,
        prompt: Sequence[int],
        sampling: Sampling,
        seed: int,
        step: int = 0,
        vocabulary: Vocabulary | None = None,
    ) -> None:
        self.calls.append(("sample", slot, tuple(prompt), seed))

    def step(self, pieces: Sequence[Segment]) -> list[int]:
        self.steps.append(list(pieces))
        return [LETTER for piece in pieces if piece.chooses]

    def release(self, slot: int) -> None:
        self.calls.append(("release", slot))

    def give_back(self) -> None:
        self.calls.append(("give back",))


@pytest.fixture
def runner() -> WritingDown:
    return WritingDown()


@pytest.fixture
def batch(runner: WritingDown, tiny_loader: Callable[..., Any]) -> Batch:
    return Batch(runner, TextTokens(tiny_loader().tokenizer), "a model")


def submission(
    number: int, prompt: Sequence[int] = (10, 11, 12), channel: str = "", max_tokens: int = 4
) -> Submission:
    request = GenerationRequest(
        "", channel or f"c{number}", f"u{number}", max_tokens, Sampling(seed=number)
    )
    return Submission(number, request, tuple(prompt), seed=number, asked_at=0.0)


def run_dry(batch: Batch) -> list[Event]:
    events: list[Event] = []
    while not batch.idle:
        events += batch.step()
    return events


def last_chunks(events: Sequence[Event]) -> dict[int, Chunk]:
    return {n: e for n, e in events if isinstance(e, Chunk) and e.finish is not None}


def test_a_request_is_computed_token_by_token_and_ends_with_its_statistics(
    batch: Batch, runner: WritingDown
) -> None:
    batch.add(submission(1))
    events = run_dry(batch)
    assert runner.calls == [("begin", 0, BLOCK_TOKENS, 0), ("sample", 0, (10, 11, 12), 1)]
    assert runner.steps == [
        [Segment(0, 0, [10, 11, 12], chooses=True)],
        *([Segment(0, 3 + n, [LETTER], chooses=True)] for n in range(3)),
    ]
    assert [number for number, _ in events] == [1] * 4
    last = last_chunks(events)[1]
    assert last.finish is FinishReason.LENGTH
    assert last.statistics is not None
    assert (last.statistics.prompt_tokens, last.statistics.reply_tokens) == (3, 4)


def test_the_first_chunk_alone_tells_what_is_known_of_the_prompt(batch: Batch) -> None:
    batch.add(submission(1, channel="c"))
    run_dry(batch)
    batch.add(submission(2, [10, 11, 12, LETTER, 20], channel="c"))
    first, *others = [event for _, event in run_dry(batch) if isinstance(event, Chunk)]
    assert first.so_far is not None
    assert (first.so_far.prompt_tokens, first.so_far.cached_prompt_tokens) == (5, 4)
    assert first.so_far.first_token_seconds == first.so_far.total_seconds
    assert first.statistics is None
    assert len(others) == 3
    assert all(chunk.so_far is None for chunk in others)


def test_only_what_was_computed_is_taken_as_cached(batch: Batch, runner: WritingDown) -> None:
    batch.add(submission(1, channel="c"))
    run_dry(batch)
    # The last token chosen was never computed: its keys and values are not in the slot.
    batch.add(submission(2, [10, 11, 12, LETTER, LETTER, LETTER, LETTER, 20, 21], channel="c"))
    batch.step()
    assert runner.steps[-1] == [Segment(0, 6, [LETTER, 20, 21], chooses=True)]


def test_a_request_cancelled_amid_its_prompt_leaves_what_was_computed(
    batch: Batch, runner: WritingDown
) -> None:
    prompt = list(range(100, 140))
    batch.add(submission(1, prompt, channel="c"))
    batch.step()
    ((number, last),) = batch.cancel(1)
    assert number == 1
    assert isinstance(last, Chunk)
    assert last.finish is FinishReason.CANCELLED
    assert batch.idle
    batch.add(submission(2, prompt, channel="c"))
    batch.step()
    assert runner.steps[-1][0].start == 16


def test_a_waiting_request_can_be_cancelled(batch: Batch) -> None:
    for number in (1, 2, 3):
        batch.add(submission(number))
    batch.step()
    assert batch.status().waiting == 1
    ((_, last),) = batch.cancel(3)
    assert isinstance(last, Chunk)
    assert last.finish is FinishReason.CANCELLED
    assert last.statistics is not None
    assert last.statistics.reply_tokens == 0
    assert batch.cancel(3) == batch.cancel(99) == []
    assert set(last_chunks(run_dry(batch))) == {1, 2}


def test_requests_of_one_channel_run_one_after_the_other(batch: Batch, runner: WritingDown) -> None:
    batch.add(submission(1, channel="c"))
    batch.add(submission(2, channel="c"))
    run_dry(batch)
    assert max(len(step) for step in runner.steps) == 1


def test_a_row_that_becomes_free_is_taken_at_the_next_step(
    batch: Batch, runner: WritingDown
) -> None:
    batch.add(submission(1, max_tokens=2))
    batch.add(submission(2, max_tokens=9))
    batch.add(submission(3, max_tokens=9))
    run_dry(batch)
    assert [len(step) for step in runner.steps[:6]] == [2] * 6


def test_a_copy_comes_after_the_slot_has_its_size(batch: Batch, runner: WritingDown) -> None:
    prompt = list(range(100, 150))
    batch.add(submission(1, prompt))
    run_dry(batch)
    runner.calls.clear()
    batch.add(submission(2, prompt))
    batch.step()
    assert [call[0] for call in runner.calls] == ["begin", "copy", "sample"]
    assert runner.calls[1] == ("copy", 0, 1, 49)


@pytest.mark.parametrize(("most", "told"), [(4, [(), (LETTER, LETTER)]), (0, [])])
def test_who_guesses_is_told_what_a_talk_took_back(
    runner: WritingDown, tiny_loader: Callable[..., Any], most: int, told: list[tuple[int, ...]]
) -> None:
    class Told(Guessing):
        def begin(self, number: int, earlier: Sequence[int] = ()) -> None:
            begun.append(tuple(earlier))

        def guesses(self, streams: Sequence[Stream]) -> dict[int, tuple[int, ...]]:
            return {}

    begun: list[tuple[int, ...]] = []
    tokens = TextTokens(tiny_loader().tokenizer)
    batch = Batch(runner, tokens, "a model", guessing=Told(most))
    batch.add(submission(1, channel="c"))
    run_dry(batch)
    batch.add(submission(2, [10, 11, 12, LETTER, 20], channel="c"))
    run_dry(batch)
    assert begun == told


def test_the_status_tells_rows_room_and_speed(batch: Batch) -> None:
    assert batch.status().rows == 2
    batch.add(submission(1, max_tokens=100))
    batch.step()
    status = batch.status()
    assert len(status.running_since) == 1
    assert (status.used_tokens, status.room_tokens) == (2 * BLOCK_TOKENS, 8 * BLOCK_TOKENS)
    batch.step()
    batch.step()
    assert batch.status().tokens_per_second > 0
