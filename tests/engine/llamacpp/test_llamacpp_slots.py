"""Which channel has which slot."""

import hypothesis.strategies as st
import pytest
from hypothesis import given

from bot.engine.llamacpp.slots import SlotTable

CHANNELS = st.sampled_from("abcdef")


def test_a_channel_comes_back_to_its_slot() -> None:
    table = SlotTable(3)
    first = table.take("a")
    table.give_back(first)
    other = table.take("b")
    assert other != first
    assert table.take("a") == first


def test_a_new_channel_takes_nobodys_slot_first_then_the_longest_unused() -> None:
    table = SlotTable(3)
    slots = {name: table.take(name) for name in "abc"}
    assert sorted(slots.values()) == [0, 1, 2]
    for name in "bca":
        table.give_back(slots[name])
    assert table.take("d") == slots["b"]
    assert table.take("b") == slots["c"]  # its own is somebody else's now


def test_none_is_free() -> None:
    table = SlotTable(1)
    table.take("a")
    with pytest.raises(LookupError):
        table.take("b")


def test_after_a_restart_slots_that_are_held_stay_held() -> None:
    table = SlotTable(2)
    held, other = table.take("a"), table.take("b")
    table.give_back(other)
    table.forget()
    assert table.take("c") == other
    table.give_back(held)
    assert table.take("d") == held


@given(st.integers(1, 4), st.lists(st.tuples(CHANNELS, st.booleans()), max_size=60))
def test_a_channel_keeps_its_slot_until_as_many_others_came_as_there_are_slots(
    count: int, steps: list[tuple[str, bool]]
) -> None:
    table = SlotTable(count)
    running: dict[str, int] = {}
    kept: list[tuple[str, int]] = []  # least recently used first
    for channel, begins in steps:
        if channel in running and not begins:
            slot = running.pop(channel)
            table.give_back(slot)
            kept.append((channel, slot))
        elif begins and channel not in running and table.free:
            slot = table.take(channel)
            assert slot not in running.values()
            assert 0 <= slot < count
            own = dict(kept).get(channel)
            if own is not None:
                assert slot == own
            elif len(kept) + len(running) == count:
                assert slot == kept[0][1]
            running[channel] = slot
            kept = [(name, one) for name, one in kept if one != slot]
        assert table.free == count - len(running)
