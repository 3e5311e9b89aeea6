"""KV slots and the prefixes kept in them."""

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from bot.engine.local.slots import BLOCK_TOKENS, COPY_TOKENS, SlotTable, Taken, rounded

B = BLOCK_TOKENS


def tokens(count: int, first: int = 0) -> list[int]:
    return list(range(first, first + count))


def table(slots: int = 4, blocks: int = 8) -> SlotTable:
    return SlotTable(slots=slots, room_tokens=blocks * B)


def run(slots: SlotTable, channel: str, prompt: list[int], blocks: int) -> Taken:
    """Take a slot and give it back at once."""
    taken = slots.take(channel, prompt, blocks * B)
    slots.keep(taken.slot, prompt)
    return taken


def test_room_is_handed_out_in_whole_blocks() -> None:
    assert [rounded(n) for n in (1, B, B + 1)] == [B, B, 2 * B]
    assert table().take("a", tokens(3), 5).room_tokens == B


def test_a_channels_next_prompt_finds_its_prefix() -> None:
    slots = table()
    first = run(slots, "a", tokens(10), 1)
    second = slots.take("a", [*tokens(8), 99, 98], 2 * B)
    assert (second.slot, second.cached_tokens, second.copy_from) == (first.slot, 8, None)
    assert second.release == ()


def test_the_same_prompt_again_leaves_one_token_to_compute() -> None:
    slots = table()
    run(slots, "a", tokens(10), 1)
    assert slots.take("a", tokens(10), B).cached_tokens == 9


def test_another_channels_long_beginning_is_copied() -> None:
    slots = table()
    first = run(slots, "a", tokens(50), 1)
    taken = slots.take("b", [*tokens(40), 7], B)
    assert taken.slot != first.slot
    assert (taken.copy_from, taken.cached_tokens) == (first.slot, 40)


def test_a_short_common_beginning_is_not_copied() -> None:
    slots = table()
    run(slots, "a", tokens(50), 1)
    taken = slots.take("b", [*tokens(COPY_TOKENS - 1), 7], B)
    assert (taken.copy_from, taken.cached_tokens) == (None, 0)


def test_a_slot_in_use_is_neither_copied_nor_taken() -> None:
    slots = table()
    busy = slots.take("a", tokens(50), B)
    taken = slots.take("b", tokens(50), B)
    assert taken.slot != busy.slot
    assert (taken.copy_from, taken.cached_tokens) == (None, 0)


def test_without_room_for_a_copy_the_donor_itself_is_taken_over() -> None:
    slots = table(blocks=3)
    first = run(slots, "a", tokens(50), 2)
    taken = slots.take("b", tokens(60), 2 * B)
    assert (taken.slot, taken.cached_tokens, taken.copy_from) == (first.slot, 50, None)


def test_kept_prefixes_are_given_up_the_longest_unused_first() -> None:
    slots = table(blocks=3)
    oldest = run(slots, "a", tokens(5), 1)
    run(slots, "b", tokens(5, 100), 1)
    run(slots, "c", tokens(5, 200), 1)
    assert slots.take("d", tokens(5, 300), B).release == (oldest.slot,)
    assert slots.take("b", tokens(5, 100), B).cached_tokens == 4


def reused(
    slots: SlotTable, turns: list[str], *, blocks: int, prompts: dict[str, int]
) -> list[bool]:
    """Whether each turn found what its channel had written before."""
    found: list[bool] = []
    for channel in turns:
        prompt = tokens(blocks * B - 8, prompts[channel] * 10_000)
        taken = slots.take(channel, prompt, blocks * B)
        found.append(taken.cached_tokens > 0)
        slots.keep(taken.slot, prompt)
    return found


@given(st.integers(4, 40), st.integers(1, 3), st.data())
def test_of_talks_that_go_round_as_many_are_kept_as_fit(
    talks: int, blocks: int, data: st.DataObject
) -> None:
    fitting = data.draw(st.integers(2, talks))
    names = [f"c{number}" for number in range(talks)]
    slots = SlotTable(slots=4 * talks, room_tokens=fitting * blocks * B)
    prompts = {name: number for number, name in enumerate(names)}
    rounds = [reused(slots, names, blocks=blocks, prompts=prompts) for _ in range(4)]
    # Oldest first would keep none of them where one too many goes round.
    assert all(sum(found) >= fitting - 2 for found in rounds[2:])


def test_a_cache_a_seventh_too_small_for_talks_in_turn_serves_most_of_them() -> None:
    names = [f"c{number}" for number in range(32)]
    slots = SlotTable(slots=256, room_tokens=28 * B)
    prompts = {name: number for number, name in enumerate(names)}
    first = reused(slots, names, blocks=1, prompts=prompts)
    assert not any(first)
    for _ in range(19):
        assert sum(reused(slots, names, blocks=1, prompts=prompts)) >= 26


@settings(max_examples=25)
@given(st.randoms(use_true_random=False))
def test_talks_in_any_order_are_reused_no_less_than_by_giving_up_the_oldest(source: Random) -> None:
    class Oldest(SlotTable):
        def __init__(self, *, slots: int, room_tokens: int) -> None:
            super().__init__(slots=slots, room_tokens=room_tokens)
            self._rounds.expected_after = lambda channel: 0.0  # type: ignore[method-assign]

    names = [f"c{number}" for number in range(12)]
    prompts = {name: number for number, name in enumerate(names)}
    turns: list[str] = []
    for _ in range(40):  # a round in another order each time
        source.shuffle(names)
        turns += names
    new, old = (
        sum(reused(kind(slots=64, room_tokens=9 * B), turns, blocks=1, prompts=prompts))
        for kind in (SlotTable, Oldest)
    )
    assert new >= old


def test_who_has_gone_is_given_up_before_who_writes() -> None:
    slots = table(blocks=3)
    prompts = {name: number for number, name in enumerate("abcd")}
    reused(slots, ["a", "b", "c"] * 3, blocks=1, prompts=prompts)  # then b and c go on without a
    reused(slots, ["b", "c"] * 5, blocks=1, prompts=prompts)
    assert reused(slots, ["d", "b", "c"], blocks=1, prompts=prompts) == [False, True, True]


def test_all_slots_can_be_given_up_running_ones_too() -> None:
    slots = table()
    kept = run(slots, "a", tokens(5), 1)
    busy = slots.take("b", tokens(5, 100), B)
    assert slots.kept == 1
    assert slots.clear() == (kept.slot, busy.slot)
    assert (slots.kept, slots.used_tokens) == (0, 0)
    assert slots.take("a", tokens(5), B).cached_tokens == 0


requests = st.lists(
    st.tuples(
        st.sampled_from("abcd"),
        st.lists(st.integers(0, 1), min_size=1, max_size=6),
        st.integers(1, 4),
        st.booleans(),
    ),
    max_size=40,
)


@given(requests, st.integers(1, 6))
def test_room_and_slots_are_never_exceeded_and_what_is_cached_is_there(
    history: list[tuple[str, list[int], int, bool]], count: int
) -> None:
    slots = SlotTable(slots=count, room_tokens=6 * B)
    contents: dict[int, list[int]] = {}  # what a runner would hold
    sizes: dict[int, int] = {}
    busy: dict[str, tuple[int, list[int]]] = {}
    for channel, seeds, blocks, ends in history:
        prompt = [seed for seed in seeds for _ in range(20)]
        reserved = sum(sizes[slot] for slot, _ in busy.values())
        fits = reserved + blocks * B <= 6 * B and len(busy) < count
        if channel not in busy and fits:
            taken = slots.take(channel, prompt, blocks * B)
            assert taken.slot not in {slot for slot, _ in busy.values()}
            for slot in taken.release:
                del contents[slot], sizes[slot]
            sizes[taken.slot] = taken.room_tokens
            source = taken.slot if taken.copy_from is None else taken.copy_from
            cached = contents.get(source, [])[: taken.cached_tokens]
            assert cached == prompt[: taken.cached_tokens]
            assert len(cached) == taken.cached_tokens < len(prompt)
            contents[taken.slot] = cached
            busy[channel] = (taken.slot, prompt)
        if ends and channel in busy:
            slot, written = busy.pop(channel)
            contents[slot] = written
            slots.keep(slot, written)
        assert sum(sizes.values()) == slots.used_tokens <= 6 * B
        assert len(sizes) <= count


class Plain(SlotTable):
    """Looks for the donor as one would explain it: token by token, the best of all."""

    def __init__(self, *, slots: int, room_tokens: int) -> None:
        super().__init__(slots=slots, room_tokens=room_tokens)
        self.kept_tokens: dict[int, list[int]] = {}

    def choose(self, channel: str, prompt: list[int]) -> tuple[int | None, int]:
        """(the slot to take the beginning from, its length)."""

        def common(slot: int) -> int:
            both = zip(self.kept_tokens[slot], prompt[:-1], strict=False)
            same = [one == other for one, other in both]
            return same.index(False) if False in same else len(same)

        idle = [slot.index for slot in self._idle()]
        own = self._idle_of(channel)
        here = common(own.index) if own else 0
        best = max(idle, key=common, default=None)
        if best is not None and common(best) >= COPY_TOKENS and common(best) > here:
            return best, common(best)
        return (own.index if own else None), here


beginnings = st.lists(st.integers(0, 2), min_size=1, max_size=5)
tails = st.lists(st.integers(0, 40_000), max_size=3)


@given(st.lists(st.tuples(st.sampled_from("abcde"), beginnings, tails), max_size=25))
def test_the_beginning_comes_from_where_a_plain_comparison_would_take_it(
    history: list[tuple[str, list[int], list[int]]],
) -> None:
    slots = Plain(slots=8, room_tokens=1000 * B)
    for channel, seeds, tail in history:
        prompt = [seed for seed in seeds for _ in range(13)] + tail
        source, cached = slots.choose(channel, prompt)
        taken = slots.take(channel, prompt, B)
        for slot in taken.release:
            del slots.kept_tokens[slot]
        assert taken.cached_tokens == cached
        if cached:
            assert source == (taken.slot if taken.copy_from is None else taken.copy_from)
        slots.keep(taken.slot, prompt)
        slots.kept_tokens[taken.slot] = prompt
