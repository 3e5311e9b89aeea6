"""What the device has no room for comes back from the machine's memory, where that is faster."""

import random
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch

from bot.engine.api import Chunk, GenerationRequest, GenerationStatistics, Sampling
from bot.engine.local.batch import Batch
from bot.engine.local.host.cache import HostCache
from bot.engine.local.request import Submission
from bot.engine.local.runner import RunnerLimits, RunnerOutOfMemory, Segment
from bot.engine.local.slots import BLOCK_TOKENS, COPY_TOKENS, KeptPrefix, SlotTable, packed
from bot.engine.portable.host import HostTensors
from bot.engine.portable.llama import LlamaRunner

B = BLOCK_TOKENS
GREEDY = Sampling(temperature=0.0, repetition_penalty=1.0)
ROOM = RunnerLimits(rows=2, room_tokens=5 * B, host_bytes=64 << 20)  # of two talks


class Words:
    """Tokens as numbers, without an end of sequence."""

    end_tokens: frozenset[int] = frozenset()

    def decode(self, tokens: Sequence[int]) -> str:
        return "".join(f"{token} " for token in tokens)


class Talks:
    """Talks that go on, each in a channel, on a batch that has room for two of them."""

    def __init__(self, runner: LlamaRunner, *, seconds_to_copy: float = 1e-6) -> None:
        self.runner = runner
        self.batch = Batch(runner, Words(), "m")  # type: ignore[arg-type]
        self.batch.probe()
        if runner.host is not None:  # no test depends on how busy the machine is
            runner.host._measure = lambda pages, seconds: None  # type: ignore[method-assign]
            runner.host.bytes_per_second = runner.host.page_bytes / seconds_to_copy
        self.said: dict[str, list[int]] = {}
        self._source = random.Random(7)
        self._numbers = 0

    def submit(self, channel: str, prompt: Sequence[int], tokens: int) -> int:
        self._numbers += 1
        request = GenerationRequest("", channel, channel, tokens, GREEDY)
        self.batch.add(Submission(self._numbers, request, tuple(prompt), 1, time.monotonic()))
        return self._numbers

    def say(self, channel: str, more: int = 100, reply: int = 20) -> GenerationStatistics:
        """Somebody writes and is answered."""
        said = self.said.setdefault(channel, [])
        said += [self._source.randrange(3, 300) for _ in range(more)]
        self.submit(channel, said, reply)
        last: GenerationStatistics | None = None
        while not self.batch.idle:
            for _, event in self.batch.step():
                assert isinstance(event, Chunk)
                said += [int(word) for word in event.text.split()]
                last = event.statistics or last
        assert last is not None
        return last


@pytest.fixture
def make(tiny_loader: Callable[..., Any]) -> Callable[..., Talks]:
    def build(limits: RunnerLimits = ROOM, **options: Any) -> Talks:
        return Talks(LlamaRunner(tiny_loader(), limits), **options)

    return build


def play(talks: Talks) -> list[GenerationStatistics]:
    """Three talks where there is room for two: each is pushed out before it comes back."""
    for channel in "abc":
        talks.say(channel)
    return [talks.say(channel, more=10) for channel in "abc"]


def test_a_greedy_reply_is_the_same_kept_copied_back_or_computed_anew(
    make: Callable[..., Talks],
) -> None:
    copied = make()
    kept = make(RunnerLimits(rows=2, room_tokens=40 * B))
    anew = make(RunnerLimits(rows=2, room_tokens=5 * B))
    found = {"copied": play(copied), "kept": play(kept), "anew": play(anew)}
    assert copied.said == kept.said == anew.said
    cached = {name: [s.cached_prompt_tokens for s in each] for name, each in found.items()}
    assert cached["kept"] == [119] * 3
    assert 0 in cached["anew"]
    assert cached["copied"] == [119] * 3
    assert copied.batch.status().restored_tokens >= 119
    assert kept.batch.status().host_room_tokens == anew.batch.status().host_room_tokens == 0


def test_it_is_computed_anew_where_copying_is_slower(make: Callable[..., Talks]) -> None:
    talks = make(seconds_to_copy=1e6)
    play(talks)
    assert talks.batch.status().restored_tokens == talks.batch.status().host_used_tokens == 0


def test_what_is_forgotten_leaves_the_device_and_the_machines_memory(
    make: Callable[..., Talks],
) -> None:
    talks = make()
    for channel in "abc":
        talks.say(channel)
    host = talks.runner.host
    assert host is not None
    before = talks.batch.status()
    assert before.host_used_tokens
    for channel in "abc":
        talks.batch.forget(channel)
    after = talks.batch.status()
    assert (after.host_used_tokens, after.used_tokens) == (0, 0)
    assert all(not page.any() for page in host._held.values())
    assert talks.say("a", more=5).cached_prompt_tokens == 0


def test_an_edited_talk_is_kept_by_the_device_alone(make: Callable[..., Talks]) -> None:
    talks = make()
    talks.say("a")
    talks.batch.forget("a", only_copies=True)
    talks.say("b")  # may push it out next
    talks.say("c")
    assert talks.say("a", more=5).cached_prompt_tokens == 0
    kept = make()
    kept.say("a")
    kept.batch.forget("a", only_copies=True)
    assert kept.say("a", more=5).cached_prompt_tokens == 119


def finish(talks: Talks) -> None:
    while not talks.batch.idle:
        talks.batch.step()


@pytest.mark.parametrize("waiting", [False, True])
def test_a_reply_that_ran_or_waited_then_is_not_kept(
    make: Callable[..., Talks], *, waiting: bool
) -> None:
    talks = make()
    talks.submit("a", list(range(3, 80)), 8)
    if waiting:  # behind the first one: a channel's requests run one after the other
        talks.submit("a", list(range(3, 90)), 8)
    talks.batch.step()
    talks.batch.forget("a")
    finish(talks)
    assert talks.batch.status().used_tokens == 0
    assert talks.say("a").cached_prompt_tokens == 0
    assert talks.say("a", more=5).cached_prompt_tokens == 119  # what comes later is kept


@pytest.mark.parametrize("waiting", [False, True])
def test_an_edited_talks_reply_that_ran_or_waited_then_is_kept_by_the_device_alone(
    make: Callable[..., Talks], *, waiting: bool
) -> None:
    talks = make()
    prompt = list(range(3, 103))
    talks.submit("a", prompt, 8)
    if waiting:
        talks.submit("a", prompt, 8)
    talks.batch.step()
    talks.batch.forget("a", only_copies=True)
    finish(talks)
    assert talks.batch.status().used_tokens == 2 * B
    talks.say("b")
    talks.say("c")
    talks.said["a"] = prompt
    assert talks.say("a", more=5).cached_prompt_tokens == 0


def test_others_write_while_a_prefix_is_copied_back(make: Callable[..., Talks]) -> None:
    talks = make()
    for channel in "abc":
        talks.say(channel)
    host = talks.runner.host
    assert host is not None
    arrived: list[int] = []
    host.is_here = lambda slot: bool(arrived)  # type: ignore[method-assign]
    steps: list[list[Segment]] = []
    plain = talks.runner.step

    def step(pieces: Sequence[Segment]) -> list[int]:
        steps.append(list(pieces))
        return plain(pieces)

    talks.runner.step = step  # type: ignore[method-assign]
    talks.submit("d", [5, 6, 7], 12)
    talks.batch.step()
    talks.submit("a", [*talks.said["a"], 9], 4)
    for _ in range(3):
        talks.batch.step()
    assert [len(pieces) for pieces in steps] == [1] * 4
    arrived.append(1)
    talks.batch.step()
    assert len(steps[-1]) == 2
    arrived.clear()
    while not talks.batch.idle:
        talks.batch.step()


def test_who_is_alone_waits_for_the_copy_itself(make: Callable[..., Talks]) -> None:
    talks = make()
    for channel in "abc":
        talks.say(channel)
    host = talks.runner.host
    assert host is not None
    host.is_here = lambda slot: False  # type: ignore[method-assign]
    assert talks.say("a", more=5).cached_prompt_tokens == 119


def test_without_memory_for_a_copy_replies_go_on(
    make: Callable[..., Talks], caplog: pytest.LogCaptureFixture
) -> None:
    talks = make()

    def fail(slot: int, first_page: int, pages: Sequence[int]) -> None:
        raise RunnerOutOfMemory("made up")

    host = talks.runner.host
    assert host is not None
    host.save = fail  # type: ignore[method-assign]
    play(talks)
    assert talks.batch.status().host_used_tokens == 0
    assert "was not copied to the machine's memory: made up" in caplog.text


@pytest.mark.parametrize("method", ["save", "load"])
def test_without_memory_for_the_first_copy_the_engine_starts_all_the_same(
    method: str,
    tiny_loader: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(self: HostTensors, slot: int, first_page: int, pages: Sequence[int]) -> None:
        raise RunnerOutOfMemory("made up")

    monkeypatch.setattr(HostTensors, method, fail)
    talks = Talks(LlamaRunner(tiny_loader(), ROOM))
    assert "made up" in caplog.text
    play(talks)
    assert talks.batch.status().host_room_tokens == talks.batch.status().restored_tokens == 0


def test_what_is_copied_out_comes_back_byte_for_byte() -> None:
    caches = {slot: torch.randn(2, 2, 1, 3 * B, 8) for slot in (0, 1)}
    host = HostTensors(caches, (2, 2, 1, B, 8), torch.float32, 1 << 20)
    host.save(0, 1, [4, 2])
    host.load(1, 1, [4, 2])
    assert torch.equal(caches[0][:, :, :, B:], caches[1][:, :, :, B:])
    assert not torch.equal(caches[0][:, :, :, :B], caches[1][:, :, :, :B])


class Slow:
    """Memory whose copies take their time; counts what is under way."""

    pages = 100
    page_bytes = 1000
    bytes_per_second = 400_000.0  # 4 pages in the time for which a step may wait

    def __init__(self) -> None:
        self.pending_bytes = 0
        self.saved: list[int] = []

    def save(self, slot: int, first_page: int, pages: Sequence[int]) -> None:
        self.saved.append(len(pages))
        self.pending_bytes += len(pages) * self.page_bytes

    def load(self, slot: int, first_page: int, pages: Sequence[int]) -> None: ...

    def is_here(self, slot: int) -> bool:
        return False

    def wipe(self, pages: Sequence[int]) -> None: ...


def test_never_more_is_under_way_than_a_step_may_wait_for() -> None:
    memory, slots = Slow(), SlotTable(slots=4, room_tokens=12 * B)
    host = HostCache(memory, slots)
    host.computed(64, 64.0)  # a token a second: copying pays
    for channel, first in (("a", 0), ("b", 5000)):
        taken = slots.take(channel, range(first, first + 6 * B), 6 * B)
        slots.keep(taken.slot, range(first, first + 6 * B))
    host.tend()
    host.tend()
    assert memory.saved == [4]
    memory.pending_bytes = 0
    host.tend()
    assert memory.saved == [4, 2]
    memory.pending_bytes = 0
    host.tend()
    assert memory.saved == [4, 2]  # one request pushes out one of them


class Written(Slow):
    """Copies at once, and knows which tokens stand where."""

    bytes_per_second = 1e9

    def __init__(self) -> None:
        super().__init__()
        self.slots: dict[int, list[int]] = {}
        self.held: dict[int, list[int]] = {}

    def save(self, slot: int, first_page: int, pages: Sequence[int]) -> None:
        for number, page in enumerate(pages, first_page):
            self.held[page] = self.slots[slot][number * B : (number + 1) * B]

    def load(self, slot: int, first_page: int, pages: Sequence[int]) -> None:
        found = [token for page in pages for token in self.held[page]]
        self.slots[slot] = self.slots.get(slot, [])[: first_page * B] + found


@pytest.mark.parametrize("common", [0, COPY_TOKENS - 1])
def test_what_is_about_to_be_copied_back_is_not_written_over_by_its_channels_newer_text(
    common: int,
) -> None:
    memory, slots = Written(), SlotTable(slots=8, room_tokens=4 * B)
    host = HostCache(memory, slots)
    host.computed(64, 64.0)  # a token a second: copying pays
    older = list(range(2 * B))
    newer = older[:common] + list(range(5000, 5000 + 2 * B - common))
    for number, text in enumerate((older, newer)):
        taken = slots.take("a", text, 2 * B)
        memory.slots[taken.slot] = list(text)
        slots.keep(taken.slot, text)
        if not number:
            host.part_with([KeptPrefix(taken.slot, "a", packed(text))], None)
    prompt = [*older, 9]  # from another channel, so large that the slot of "a" has to go
    taken = slots.take("b", prompt, 4 * B)
    found = host.find(prompt, taken.cached_tokens)
    assert found is not None
    assert found.tokens == 2 * B
    assert [prefix.channel for prefix in taken.given_up] == ["a"]
    host.part_with(taken.given_up, found)
    host.bring(found, taken.slot)
    assert memory.slots[taken.slot][: found.tokens] == older


def test_the_next_to_go_is_told_before_it_goes() -> None:
    slots = SlotTable(slots=8, room_tokens=8 * B)
    for number, channel in enumerate("abcd"):
        prompt = range(number * 1000, number * 1000 + 2 * B)
        slots.keep(slots.take(channel, prompt, 2 * B).slot, prompt)
        endangered = [prefix.channel for prefix in slots.endangered()]
        assert endangered == (["a"] if channel == "d" else [])
    taken = slots.take("e", range(9000, 9000 + 2 * B), 2 * B)
    assert [prefix.channel for prefix in taken.given_up] == ["a"]
