"""How figures come from what the streams saw, and what stands in tables and JSON."""

import json

import hypothesis.strategies as st
import pytest
from hypothesis import given

from bot.bench.load import Load, Round, TimedAnswer, percentile, summarize
from bot.bench.report import Table, as_markdown, tables
from bot.bench.results import ChatResult, LoadResult, PeerResult, Results, figure
from bot.engine.api import GenerationStatistics


def answer(
    asked: float, first: float, ended: float, tokens: int = 5, texts_at: tuple[float, ...] = ()
) -> TimedAnswer:
    statistics = GenerationStatistics("m", 0, 10, 3, tokens, 0.0, first - asked, ended - asked)
    return TimedAnswer(asked, first + 0.001, ended, "", statistics, texts_at)


def results(**changes: object) -> Results:
    load = Load(2, 10, 5, 1.15)
    rounds = tuple(Round(step, 40.0, (0.1, 0.3), 20, 0, 10) for step in (0.02, 0.01, 0.03))
    base = Round(0.04, 20.0, (0.2,), 10, 0, 5)
    values: dict[str, object] = {
        "date": "2026-01-02",
        "command": "python -m bot bench",
        "machine": {
            "processor": "A processor",
            "cores": 2,
            "threads": 2,
            "packages": {"torch": "2"},
        },
        "load_average": 0.1,
        "model": "model",
        "device": "cpu",
        "kernel": "float32",
        "rows": 8,
        "kv_room_tokens": 1000,
        "copy_bytes_per_second": 2e9,
        "weight_bytes": 10**7,
        "kv_token_bytes": 100,
        "loads": (LoadResult(load, rounds, 10**9, floor_seconds=0.005),),
        "baseline": (LoadResult(Load(1, 10, 5, 1.15), (base,), 10**9),),
    }
    return Results(**(values | changes))  # type: ignore[arg-type]


def test_a_step_is_timed_only_while_every_stream_writes() -> None:
    # Alone one writes every 0.1 s, both every 0.2 s; the first is held up once, for 1 s.
    both = tuple(20 + 0.2 * n for n in range(21))
    one = answer(0.0, 18.0, 24.0, 31, (*(18 + 0.1 * n for n in range(11)), *both))
    other = answer(0.0, 20.0, 26.0, 41, (*both, *(24 + 0.1 * n for n in range(1, 21))))
    found = summarize([one, other])
    assert found.step_seconds == pytest.approx(0.2)
    assert found.worst_gap_seconds == pytest.approx(1.0)


def test_streams_that_hardly_write_together_have_no_step() -> None:
    found = summarize([answer(0.0, 1.0, 4.0), answer(0.0, 2.0, 6.0)])
    assert found.step_seconds == 0.0
    assert found.tokens_per_second == pytest.approx(10 / 6.0)
    assert found.first_token_seconds == pytest.approx((1.001, 2.001))
    assert (found.prompt_tokens, found.cached_prompt_tokens, found.reply_tokens) == (20, 6, 10)


def test_a_load_without_a_step_shows_none() -> None:
    apart = Round(0.0, 40.0, (0.1, 0.3), 20, 0, 10, worst_gap_seconds=0.25)
    load = LoadResult(Load(2, 10, 5, 1.15), (apart,), 10**9, floor_seconds=0.005)
    (row, *_) = tables(results(loads=(load,), baseline=()))[0].rows
    assert row == ("2", "1.15", "", "5.00", "", "40.0", "", "200.0", "300.0", "250.0", "1.0")


def test_one_token_has_no_step() -> None:
    assert summarize([answer(0.0, 1.0, 1.0, tokens=1)]).step_seconds == 0.0


def test_the_95th_percentile_is_one_of_the_values() -> None:
    assert percentile([float(number) for number in range(1, 101)], 95) == 95.0
    assert percentile([3.0], 95) == 3.0


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0, 100))
def test_a_percentile_lies_among_the_values(values: list[float], percent: float) -> None:
    found = percentile(values, percent)
    assert found in values
    assert sum(value <= found for value in values) >= percent / 100 * len(values)


def test_figures_keep_every_value_beside_their_median() -> None:
    assert figure([3.0, 1.0, 2.0]) == {"median": 2.0, "values": [3.0, 1.0, 2.0]}


def test_the_json_is_plain_and_compares() -> None:
    found = results()
    plain = json.loads(json.dumps(found.as_json()))
    assert plain["loads"][0]["step_ms"]["median"] == 20.0
    assert plain["loads"][0]["step_ms"]["values"] == [20.0, 10.0, 30.0]
    assert plain["loads"][0]["floor_step_ms"] == 5.0
    assert plain["generate"][0]["tokens_per_second"]["median"] == 20.0
    assert found.times_baseline(found.loads[0]) == 2.0


def test_a_load_is_compared_with_the_same_penalty_only() -> None:
    found = results(baseline=(LoadResult(Load(1, 10, 5, 1.0), results().baseline[0].rounds, 0),))
    assert found.times_baseline(found.loads[0]) is None


def test_the_page_has_a_row_a_load_and_says_what_is_missing() -> None:
    chat = ChatResult(
        2, 20, 400, 40, 30, 1800, 1790, 0, reused=((0.01, 0.03),), fresh=((0.2, 0.4),)
    )
    page = as_markdown(results(chats=(chat,), baseline=(), baseline_missing="it did not load"))
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines()]
    expected = ["2", "1.15", "20.00", "5.00", "4.00", "40.0", "", "200.0", "300.0", "0.0", "1.0"]
    assert expected in cells
    assert ["20, with reuse", "2", "1800", "1790", "20.0", "30.0"] in cells
    assert ["20, without reuse", "2", "1800", "0", "300.0", "400.0"] in cells
    assert "it did not load" in page


def test_a_busy_machine_is_named() -> None:
    assert "busy" not in as_markdown(results())
    assert "load average 3" in as_markdown(results(load_average=3.0))


def test_generate_has_a_row_of_its_own() -> None:
    assert [row[0] for row in tables(results())[0].rows] == ["2", "generate()"]


def test_markdown_columns_stand_in_line() -> None:
    lines = Table("t", ("a", "long name"), (("1234", "5"),)).markdown().splitlines()
    assert len({len(line) for line in lines}) == 1


def chat_of(channels: int, seconds: float) -> ChatResult:
    return ChatResult(
        channels, 20, 400, 40, 30, 1800, 1790, 0, ((seconds, seconds),), ((4 * seconds,),)
    )


def test_a_peer_stands_beside_with_ratios_in_our_favour() -> None:
    load = results().loads[0].load
    theirs = Round(0.03, 20.0, (0.2, 0.6), 20, 0, 10)
    peer = PeerResult(
        "vLLM",
        "0.22.1",
        {"max_model_len": 2048},
        48.0,
        80_000,
        (LoadResult(load, (theirs,), 0),),
        (chat_of(16, 0.02), chat_of(32, 0.03)),
        ("vLLM: failed: something",),
    )
    found = results(peer=peer, chats=(chat_of(32, 0.015),), complete=False)
    page = as_markdown(found)
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines()]
    row = ["2", "1.15", "40.0", "20.0", "2.00", "20.00", "30.00", "1.50"]
    assert [*row, "200.0", "400.0", "2.00", "300.0", "600.0", "2.00"] in cells
    assert ["32", "1790", "1790", "15.0", "30.0", "2.00", "60.0", "120.0", "2.00"] in cells
    for fact in (
        "vLLM 0.22.1 before it",
        "max_model_len 2048",
        "80000 tokens",
        "failed: something",
    ):
        assert fact in page
    plain = json.loads(json.dumps(found.as_json()))["peer"]
    assert (plain["version"], plain["loads"][0]["step_ms"]["median"]) == ("0.22.1", 30.0)
    assert [chat["channels"] for chat in plain["chats"]] == [16, 32]


def test_a_peer_alone_has_its_own_table() -> None:
    peer = PeerResult("vLLM", "1", {}, loads=results().loads)
    assert [table.title for table in tables(results(loads=(), baseline=(), peer=peer))] == [
        "vLLM 1 alone"
    ]
