"""Which pages of the machine's memory hold whose prefixes."""

from hypothesis import given
from hypothesis import strategies as st

from bot.engine.local.host.pool import HostPool
from bot.engine.local.slots import BLOCK_TOKENS, packed

B = BLOCK_TOKENS


def tokens(count: int, first: int = 0) -> bytes:
    return packed(range(first, first + count))


def same(channel: str) -> float:
    return 1.0


def test_a_prefix_is_saved_piece_by_piece_and_found_as_far_as_it_goes() -> None:
    pool = HostPool(8)
    talk = tokens(3 * B + 5)
    assert (pool.save("a", talk, 2, same).first_page, pool.missing_pages("a", talk)) == (0, 2)
    prefix, common = pool.find(talk)
    assert prefix is not None
    assert (len(prefix.pages), common) == (2, 2 * B)
    assert pool.save("a", talk, 9, same).first_page == 2
    assert pool.missing_pages("a", talk) == 0
    assert pool.find(talk)[1] == 3 * B + 5


def test_a_talk_that_went_on_saves_what_is_new() -> None:
    pool = HostPool(8)
    pool.save("a", tokens(B + 5), 9, same)
    saving = pool.save("a", tokens(3 * B), 9, same)
    assert (saving.first_page, len(saving.pages), pool.used_pages) == (1, 2, 3)


def test_what_was_said_otherwise_is_saved_anew() -> None:
    pool = HostPool(8)
    pool.save("a", tokens(4 * B), 9, same)
    changed = tokens(B) + tokens(B, 5000)
    assert pool.save("a", changed, 9, same).first_page == 1
    assert pool.find(tokens(4 * B))[1] == B
    assert pool.used_pages == 2


def test_who_is_expected_back_last_loses_the_end_first() -> None:
    pool = HostPool(4)
    after = {"a": 3.0, "b": 9.0, "c": 2.0}
    pool.save("a", tokens(2 * B), 9, after.__getitem__)
    pool.save("b", tokens(2 * B, 9000), 9, after.__getitem__)
    assert len(pool.save("c", tokens(B, 5000), 9, after.__getitem__).pages) == 1
    assert pool.find(tokens(2 * B, 9000))[1] == B
    assert pool.find(tokens(2 * B))[1] == 2 * B


def test_nobody_loses_a_page_to_who_is_expected_later_or_while_spared() -> None:
    pool = HostPool(2)
    after = {"a": 3.0, "b": 9.0, "c": 2.0}
    pool.save("a", tokens(2 * B), 9, after.__getitem__)
    assert pool.save("b", tokens(B, 9000), 9, after.__getitem__).pages == ()
    assert pool.save("c", tokens(B, 5000), 9, after.__getitem__, ("a",)).pages == ()
    assert pool.find(tokens(2 * B))[1] == 2 * B


def test_what_is_forgotten_is_found_no_more_and_its_pages_are_told() -> None:
    pool = HostPool(4)
    pages = pool.save("a", tokens(3 * B), 9, same).pages
    assert sorted(pool.forget("a")) == sorted(pages)
    assert pool.forget("a") == ()
    pool.save("a", tokens(3 * B), 9, same)
    pool.save("a", tokens(B) + tokens(B, 5000), 9, same)  # a page is free, and tells of before
    assert len(pool.forget("b")) == 1
    pool.forget("a")
    assert (pool.used_pages, pool.find(tokens(3 * B))) == (0, (None, 0))


history = st.lists(
    st.tuples(
        st.sampled_from("abcd"),
        st.lists(st.integers(0, 1), min_size=1, max_size=5),  # a talk, in stretches
        st.integers(1, 3),  # pages at once
        st.integers(0, 9),  # expected after
        st.booleans(),  # forgotten afterwards
    ),
    max_size=30,
)


@given(history, st.integers(0, 6))
def test_no_page_is_two_prefixes_and_what_comes_back_is_what_went(
    saves: list[tuple[str, list[int], int, int, bool]], count: int
) -> None:
    pool = HostPool(count)
    contents: dict[int, bytes] = {}  # what a copy of each page would hold
    after: dict[str, float] = dict.fromkeys("abcd", 0.0)
    size = len(tokens(B))
    for channel, seeds, most, expected, forgotten in saves:
        talk = packed([seed for seed in seeds for _ in range(40)])
        after[channel] = float(expected)
        saving = pool.save(channel, talk, most, after.__getitem__)
        assert len(saving.pages) <= most
        for place, page in enumerate(saving.pages, saving.first_page):
            contents[page] = talk[place * size : (place + 1) * size]
        held = list(pool._held.values())
        used = [page for prefix in held for page in prefix.pages]
        assert sorted([*used, *pool._free]) == list(range(count))
        assert pool.used_pages == len(used)
        for prefix in held:
            assert prefix.pages
            back = b"".join(contents[page] for page in prefix.pages)
            assert back.startswith(prefix.tokens)
            assert -(-len(prefix.tokens) // size) == len(prefix.pages)
        found, common = pool.find(talk)
        best = max((_same(prefix.tokens, talk) for prefix in held), default=0)
        assert common == best
        assert (found is None) == (best == 0)
        if forgotten:
            pool.forget(channel)


def _same(one: bytes, other: bytes) -> int:
    width = len(packed([0]))
    count = 0
    while (piece := one[count * width : (count + 1) * width]) and piece == other[
        count * width : (count + 1) * width
    ]:
        count += 1
    return count
