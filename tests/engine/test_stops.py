"""Stop strings in streaming text."""

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bot.engine.stops import StopStrings

texts = st.text(alphabet="ab\n#", max_size=40)
stop_lists = st.lists(st.text(alphabet="ab\n#", max_size=4), max_size=4)


def run(stops: list[str], pieces: list[str]) -> tuple[str, str | None]:
    stream = StopStrings(stops)
    text = "".join(stream.decode(piece) for piece in pieces) + stream.flush()
    return text, stream.matched


@given(texts, stop_lists, st.data())
@example("aab", ["ab"], None)
def test_any_chunking_gives_the_same_text(
    text: str, stops: list[str], data: st.DataObject | None
) -> None:
    cuts = (
        sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
        if data
        else list(range(len(text)))
    )
    bounds = [0, *cuts, len(text)]
    pieces = [text[start:end] for start, end in pairwise(bounds)]
    assert run(stops, pieces) == run(stops, [text])


@given(texts, stop_lists)
def test_the_result_is_the_text_up_to_the_stop_and_holds_none_whole(
    text: str, stops: list[str]
) -> None:
    result, matched = run(stops, list(text))
    if matched is None:
        assert result == text
    else:
        assert text.startswith(result + matched)
    assert not any(stop in result for stop in stops if stop)


def test_a_partial_match_is_held_back_and_given_when_it_fails() -> None:
    stream = StopStrings(["\n### Input"])
    assert stream.decode("Hello\n##") == "Hello"
    assert stream.decode("# In") == ""
    assert stream.decode("side") == "\n### Inside"
    assert not stream.stopped


def test_nothing_comes_after_a_stop() -> None:
    stream = StopStrings(["END"])
    assert stream.decode("one END two") == "one "
    assert stream.stopped
    assert stream.matched == "END"
    assert stream.decode("three") == ""
    assert stream.flush() == ""


def test_a_held_back_ending_comes_with_the_flush() -> None:
    stream = StopStrings(["\n\n"])
    assert stream.decode("done\n") == "done"
    assert stream.flush() == "\n"


@pytest.mark.parametrize("stops", [[], [""]])
def test_without_stops_everything_passes_at_once(stops: list[str]) -> None:
    assert StopStrings(stops).decode("anything") == "anything"


@pytest.mark.parametrize(
    ("stops", "text", "kept", "matched"),
    [
        (["abbb", "b"], "abbb", "a", "b"),  # complete first
        (["bb", "abb"], "xabb", "x", "abb"),  # complete together: the longer one
        (["ab", "b"], "aab", "a", "ab"),
        (["b", "a"], "xab", "x", "a"),
    ],
)
def test_the_stop_that_is_complete_first_wins(
    stops: list[str], text: str, kept: str, matched: str
) -> None:
    assert run(stops, [text]) == run(stops, list(text)) == (kept, matched)
