"""What is rare and shared puts a turn first; what is said all the time doesn't count."""

from hypothesis import given
from hypothesis import strategies as st

from bot.chat.roleplay.memory.ranking import candidates, ranked, rarities
from bot.chat.text.search_words import search_words

WORDS = st.sampled_from(["ferry", "<ferry", "tea", "harbour", "<harbo", "x"])
HITS = st.dictionaries(WORDS, st.lists(st.integers(1, 50), unique=True, max_size=40))


def test_a_rare_word_counts_for_more_than_common_ones() -> None:
    hits = {"ilse": [7], "must": list(range(1, 301)), "serv": list(range(5, 200))}
    rarity = rarities(hits, 2000)
    assert rarity["ilse"] == 1
    assert rarity["must"] < 0.3
    assert candidates(hits, rarity, 5)[0] == 7


def test_the_turn_that_says_more_about_it_goes_first_and_noise_is_left_out() -> None:
    rarity = {"ferry": 0.9, "hven": 1.0, "february": 1.0, "day": 0.1}
    turns = {
        1: search_words("The ferry to Hven does not run in February."),
        2: search_words("The ferry was late."),
        3: search_words("A nice day."),
    }
    best = ranked(turns, rarity)
    assert best[0].turn_id == 1
    assert set(best[0].words) >= {"ferry", "hven"}
    assert 3 not in [one.turn_id for one in best]


def test_of_two_that_say_the_same_the_newer_goes_first() -> None:
    turns = {1: ["ferry"], 2: ["ferry"]}
    assert [one.turn_id for one in ranked(turns, {"ferry": 1.0})] == [2, 1]


def test_a_beginning_counts_once_and_for_less_than_the_word() -> None:
    rarity = {"allergic": 1.0, "<aller": 1.0}
    turns = {1: ["allergic", "<aller"], 2: ["allergy", "<aller"]}
    whole, begins = ranked(turns, rarity)
    assert (whole.turn_id, whole.words) == (1, ("allergic",))
    assert (begins.turn_id, begins.words) == (2, ("<aller",))


@given(HITS, st.integers(0, 100), st.integers(0, 10))
def test_whatever_the_index_finds_is_ranked(
    hits: dict[str, list[int]], turns: int, limit: int
) -> None:
    rarity = rarities(hits, turns)
    assert all(0 <= value <= 1 for value in rarity.values())
    chosen = candidates(hits, rarity, limit)
    assert len(chosen) == len(set(chosen)) <= limit
    assert set(chosen) <= {turn for found in hits.values() for turn in found}
    words = {turn: [word for word, found in hits.items() if turn in found] for turn in chosen}
    best = ranked(words, rarity)
    assert [one.score for one in best] == sorted((one.score for one in best), reverse=True)
    assert {one.turn_id for one in best} <= set(chosen)
