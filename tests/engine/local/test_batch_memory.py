"""When memory runs out, nobody's reply is lost and nobody's reply is another."""

import weakref
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.engine.api import Chunk, FinishReason, GenerationRequest, Sampling
from bot.engine.local.batch import Batch
from bot.engine.local.memory import (
    give_back_memory,
    telling_out_of_memory,
    with_growing_reserve,
)
from bot.engine.local.request import Submission
from bot.engine.local.runner import RunnerLimits, RunnerOutOfMemory, Segment
from bot.engine.local.slots import BLOCK_TOKENS
from bot.engine.local.tokens import TextTokens
from bot.engine.local.vocabulary import Vocabulary
from bot.engine.portable.llama import LlamaRunner
from bot.errors import EngineFailed

WORDS = 200


class Words:
    """Tokens as numbers, without an end of sequence."""

    end_tokens: frozenset[int] = frozenset()

    def decode(self, tokens: Sequence[int]) -> str:
        return "".join(f"{token} " for token in tokens)


class Forgetful:
    """Every choice depends on all that went before. Loses everything when memory runs out."""

    rows = 4
    slots = 8
    room_tokens = 16 * BLOCK_TOKENS
    context_tokens = 256
    chunk_tokens = 16
    guessed_tokens = 0
    device = kernel = "none"
    host = None

    def __init__(self, runs_out: Callable[["Forgetful"], bool]) -> None:
        self._runs_out = runs_out
        self.calls = 0
        self.held: dict[int, list[int]] = {}  # slot: the tokens whose keys it holds
        self.rooms: dict[int, int] = {}
        self.asked: dict[int, tuple[set[int], int, int]] = {}  # slot: said, seed, step
        self.steps: list[int] = []  # pieces in each
        self.given_back = 0

    def _call(self) -> None:
        self.calls += 1
        if self._runs_out(self):
            self.held = {slot: [-1] for slot in self.held}
            self.asked.clear()
            raise RunnerOutOfMemory(f"at call {self.calls}")

    def begin(self, slot: int, room_tokens: int, cached_tokens: int) -> None:
        self.rooms[slot] = room_tokens
        self._call()
        self.held[slot] = self.held.get(slot, [])[:cached_tokens]
        assert len(self.held[slot]) == cached_tokens

    def copy(self, source: int, target: int, tokens: int) -> None:
        self._call()
        self.held[target] = self.held[source][:tokens]

    def sample(
        self,
        slot: int,
        prompt: Sequence[int],
        sampling: Sampling,
        seed: int,
        step: int = 0,
        vocabulary: Vocabulary | None = None,
    ) -> None:
        self._call()
        self.asked[slot] = (set(prompt), seed, step)

    def step(self, pieces: Sequence[Segment]) -> list[int]:
        self.steps.append(len(pieces))
        self._call()
        chosen: list[int] = []
        for piece in pieces:
            held = self.held[piece.slot]
            assert len(held) >= piece.start
            held[piece.start :] = piece.tokens
            assert len(held) <= self.rooms[piece.slot]
            if piece.chooses:
                said, seed, step = self.asked[piece.slot]
                state = repr((held, sorted(said), seed, step)).encode()
                token = int.from_bytes(sha256(state).digest()[:2]) % WORDS
                self.asked[piece.slot] = (said | {token}, seed, step + 1)
                chosen.append(token)
        return chosen

    def release(self, slot: int) -> None:
        self.held.pop(slot, None)
        self.rooms.pop(slot, None)

    def give_back(self) -> None:
        assert not self.held, "slots are to be freed first"
        self.given_back += 1


def never(_runner: Forgetful) -> bool:
    return False


def at_calls(*calls: int) -> Callable[[Forgetful], bool]:
    return lambda runner: runner.calls in calls


def submission(
    number: int, *, channel: str = "", max_tokens: int = 12, prompt: int = 5, **sampling: Any
) -> Submission:
    request = GenerationRequest(
        "", channel or f"c{number}", f"u{number % 3}", max_tokens, Sampling(**sampling)
    )
    tokens = tuple((7 * number + index) % WORDS for index in range(prompt))
    return Submission(number, request, tokens, seed=number, asked_at=0.0)


def batch_of(runner: Any, submissions: Sequence[Submission], tokens: Any = None) -> Batch:
    batch = Batch(runner, tokens or Words(), "m")
    for one in submissions:
        batch.add(one)
    return batch


def drain(batch: Batch) -> tuple[dict[int, str], dict[int, Chunk | EngineFailed]]:
    """All texts as they were sent, and how each request ended."""
    texts: dict[int, str] = {}
    ends: dict[int, Any] = {}
    while not batch.idle:
        for number, event in batch.step():
            assert number not in ends
            if isinstance(event, Chunk):
                texts[number] = texts.get(number, "") + event.text
            if not isinstance(event, Chunk) or event.finish is not None:
                ends[number] = event
    return texts, ends


def assert_served_whole(submissions: Sequence[Submission], ends: dict[int, Any]) -> None:
    for one in submissions:
        end = ends[one.number]
        assert isinstance(end, Chunk), end
        assert end.finish is FinishReason.LENGTH
        assert end.statistics is not None
        assert end.statistics.reply_tokens == one.request.max_tokens
        assert end.statistics.prompt_tokens == len(one.prompt)
        assert end.statistics.seed == one.seed
        assert end.statistics.first_token_seconds <= end.statistics.total_seconds


requests = st.lists(
    st.tuples(st.integers(0, 5), st.integers(1, 40), st.integers(1, 60)), min_size=1, max_size=8
).map(
    lambda found: [
        submission(number, channel=f"c{channel}", max_tokens=most, prompt=prompt)
        for number, (channel, most, prompt) in enumerate(found)
    ]
)


# Far enough from each other that even the longest prompt is computed again in between.
@given(requests, st.sets(st.integers(1, 20).map(lambda n: 12 * n), max_size=12))
def test_whenever_memory_runs_out_every_reply_is_what_it_would_have_been(
    submissions: list[Submission], bad_calls: set[int]
) -> None:
    expected, _ = drain(batch_of(Forgetful(never), submissions))
    runner = Forgetful(at_calls(*bad_calls))
    texts, ends = drain(batch_of(runner, submissions))
    assert texts == expected
    assert_served_whole(submissions, ends)
    assert runner.given_back == len({call for call in bad_calls if call <= runner.calls})


@given(requests, st.sets(st.integers(1, 60)))
def test_whatever_happens_each_reply_is_whole_or_its_beginning_and_a_failure(
    submissions: list[Submission], bad_calls: set[int]
) -> None:
    expected, _ = drain(batch_of(Forgetful(never), submissions))
    texts, ends = drain(batch_of(Forgetful(at_calls(*bad_calls)), submissions))
    assert set(ends) == {one.number for one in submissions}
    for number, end in ends.items():
        if isinstance(end, Chunk):
            assert texts[number] == expected[number]
        else:
            assert expected[number].startswith(texts.get(number, ""))


@given(requests, st.integers(1, 12))
def test_with_little_memory_those_that_fit_alone_are_all_served(
    submissions: list[Submission], blocks: int
) -> None:
    """Memory for fewer tokens than the room that the runner thought it had."""
    blocks = max(blocks, *(-(-one.room_tokens // BLOCK_TOKENS) for one in submissions))

    def too_much(runner: Forgetful) -> bool:
        return sum(runner.rooms.values()) > blocks * BLOCK_TOKENS

    expected, _ = drain(batch_of(Forgetful(never), submissions))
    texts, ends = drain(batch_of(Forgetful(too_much), submissions))
    assert texts == expected
    assert_served_whole(submissions, ends)


def test_what_does_not_even_fit_alone_fails_and_the_others_live_on() -> None:
    submissions = [submission(n, max_tokens=200 if n == 2 else 10) for n in range(5)]

    def too_much(runner: Forgetful) -> bool:
        return sum(runner.rooms.values()) > 3 * BLOCK_TOKENS

    expected, _ = drain(batch_of(Forgetful(never), submissions))
    texts, ends = drain(batch_of(Forgetful(too_much), submissions))
    failed = ends.pop(2)
    assert isinstance(failed, EngineFailed)
    assert "too little memory" in failed.message
    assert "shorter reply" in failed.fix
    assert_served_whole([one for one in submissions if one.number != 2], ends)
    assert texts == {number: text for number, text in expected.items() if number != 2}


def test_fewer_run_together_afterwards_and_more_after_a_while() -> None:
    submissions = [submission(n, max_tokens=230) for n in range(16)]
    runner = Forgetful(at_calls(11))  # four have begun, with two calls each
    drain(batch_of(runner, submissions))
    assert runner.steps[:3] == [4, 4, 4]
    assert runner.steps[3:200] == [2] * 197
    assert max(runner.steps[1030:]) == 4


def test_those_that_ran_come_before_those_that_wait() -> None:
    submissions = [submission(n, max_tokens=8 + n) for n in range(7)]
    batch = batch_of(Forgetful(at_calls(10)), submissions)
    _, ends = drain(batch)
    assert list(ends) == [0, 1, 2, 3, 4, 5, 6]


def test_one_that_was_put_back_can_be_cancelled_and_keeps_its_text() -> None:
    runner = Forgetful(at_calls(12))
    batch = batch_of(runner, [submission(n, max_tokens=50) for n in range(4)])
    sent = ""
    while not runner.given_back:
        sent += "".join(event.text for n, event in batch.step() if n == 3)  # type: ignore[union-attr]
    batch.step()
    status = batch.status()
    assert (len(status.running_since), status.waiting, status.rows) == (2, 2, 2)
    ((_, last),) = batch.cancel(3)
    assert isinstance(last, Chunk)
    assert last.finish is FinishReason.CANCELLED
    assert last.statistics is not None
    assert last.statistics.reply_tokens == len(sent.split()) == 2
    drain(batch)
    assert batch.idle


@pytest.mark.parametrize("put_back_first", [False, True])
def test_one_that_was_put_back_is_not_kept_where_its_channel_was_forgotten(
    *, put_back_first: bool
) -> None:
    runner = Forgetful(at_calls(12))
    submissions = [submission(n, max_tokens=50) for n in range(4)]
    batch = batch_of(runner, submissions)
    batch.step()
    while put_back_first and not runner.given_back:
        batch.step()
    for one in submissions:
        batch.forget(one.request.channel)
    _, ends = drain(batch)
    assert_served_whole(submissions, ends)
    assert (runner.given_back, batch.status().used_tokens, runner.held) == (1, 0, {})


def test_it_is_told_in_words_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    batch = batch_of(Forgetful(at_calls(7)), [submission(n) for n in range(3)])
    assert batch.status().shortage == ""
    drain(batch)
    words = f"Memory ran out with 3 replies in {3 * BLOCK_TOKENS} tokens of KV room."
    assert batch.status().shortage == words
    assert [record.getMessage() for record in caplog.records] == [
        f"{words} They go on, at most 1 at once (at call 7)"
    ]


def test_kept_prefixes_are_given_up_before_anybody_fails() -> None:
    runner = Forgetful(lambda runner: len(runner.rooms) > 1 and runner.calls > 10)
    batch = batch_of(runner, [submission(0)])
    drain(batch)
    batch.add(submission(1))
    _, ends = drain(batch)
    assert_served_whole([submission(1)], ends)


class Scarce(LlamaRunner):
    """A real forward pass, in which memory runs out where it is told to."""

    bad_steps: frozenset[int] = frozenset()
    step_number = 0

    def logits(self, pieces: Sequence[Segment]) -> Any:
        found = super().logits(pieces)
        self.step_number += 1
        if self.step_number in self.bad_steps:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried")
        return found


@pytest.fixture(scope="module")
def loaded(tiny_loader: Callable[..., Any]) -> Any:
    return tiny_loader()


def written_by(loaded: Any, bad_steps: frozenset[int]) -> tuple[dict[int, str], dict[int, Any]]:
    runner = Scarce(loaded, RunnerLimits(rows=3, room_tokens=1024))
    runner.bad_steps = bad_steps
    submissions = [
        submission(0, temperature=0, repetition_penalty=1),
        submission(1, temperature=0, repetition_penalty=1.3),
        submission(2, temperature=1.0, top_p=0.9),
        submission(3, temperature=1.0, top_k=20, repetition_penalty=1.2, prompt=150),
    ]
    return drain(batch_of(runner, submissions, TextTokens(loaded.tokenizer)))


@pytest.fixture(scope="module")
def written_with_room(loaded: Any) -> dict[int, str]:
    texts, _ = written_by(loaded, frozenset())
    return texts


@given(st.sets(st.integers(1, 10).map(lambda n: 4 * n), max_size=6))
@settings(max_examples=12, deadline=None)
def test_a_real_models_replies_stay_the_same_greedy_and_seeded(
    loaded: Any, written_with_room: dict[int, str], bad_steps: set[int]
) -> None:
    texts, ends = written_by(loaded, frozenset(bad_steps))
    assert texts == written_with_room
    for number, end in ends.items():
        assert isinstance(end, Chunk), number


def test_what_torch_raises_without_memory_is_told_apart_from_its_other_faults() -> None:
    with pytest.raises(RunnerOutOfMemory, match="allocate memory"), telling_out_of_memory():
        torch.empty(1 << 50)
    with pytest.raises(RunnerOutOfMemory, match="CUDA out"), telling_out_of_memory():
        raise torch.OutOfMemoryError("CUDA out of memory.\nTried to ...")
    with pytest.raises(RunnerOutOfMemory), telling_out_of_memory():
        raise MemoryError
    for words in (
        "CUDA error: out of memory",
        "Triton Error [CUDA]: out of memory",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    ):
        with pytest.raises(RunnerOutOfMemory), telling_out_of_memory():
            raise RuntimeError(words)
    with pytest.raises(RuntimeError, match="shapes") as caught, telling_out_of_memory():
        raise RuntimeError("shapes differ")
    assert type(caught.value) is RuntimeError


def test_a_fault_that_follows_from_a_lack_of_memory_counts_as_one() -> None:
    with pytest.raises(RunnerOutOfMemory), telling_out_of_memory():
        try:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        finally:
            raise RuntimeError("The capture failed.")


def test_the_least_reserve_that_leaves_enough_memory_is_taken() -> None:
    tried: list[int] = []

    def attempt(reserve: int) -> str:
        tried.append(reserve)
        if reserve < 3:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return f"kept {reserve} free"

    assert with_growing_reserve(attempt, [1, 2, 3, 4]) == "kept 3 free"
    assert tried == [1, 2, 3]
    with pytest.raises(RunnerOutOfMemory, match="CUDA out"):
        with_growing_reserve(attempt, [1, 2])


def test_a_failed_attempt_leaves_nothing_behind() -> None:
    taken: list[weakref.ref[torch.Tensor]] = []

    def attempt(reserve: int) -> bool:
        tensor = torch.zeros(8)
        if not taken:
            taken.append(weakref.ref(tensor))
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return taken[0]() is None

    assert with_growing_reserve(attempt, [1, 2])


def test_what_torch_keeps_of_the_machines_pinned_memory_is_given_back_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given: list[str] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: given.append("device"))
    monkeypatch.delattr(torch._C, "_host_emptyCache", raising=False)
    give_back_memory()
    assert given == ["device"]
    monkeypatch.setattr(torch._C, "_host_emptyCache", lambda: given.append("pinned"), raising=False)
    give_back_memory()
    assert given == ["device", "device", "pinned"]


def test_memory_that_cannot_be_given_back_after_an_attempt_is_told_as_a_lack_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def attempt(_reserve: int) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    def give_back() -> None:
        raise RuntimeError("captures_underway.empty() INTERNAL ASSERT FAILED")

    monkeypatch.setattr("bot.engine.local.memory.give_back_memory", give_back)
    with pytest.raises(RunnerOutOfMemory, match="CUDA out"):
        with_growing_reserve(attempt, [1, 2])
