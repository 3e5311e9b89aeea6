"""No reply of a server contains a banned word: it is taken back, or the reply ends before it."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from remote_servers import DONE, Server, collect, delta, event, serving

from bot.engine.api import Chunk, FinishReason, GenerationRequest, Sampling
from bot.engine.remote.banning import TRIES_A_PLACE, ReplyWithout, WordWatch
from bot.engine.stops import StopStrings

BANNED = Sampling(seed=5, banned_words=("Shiver down",))


def text_of(chunks: Sequence[Chunk]) -> str:
    return "".join(chunk.text for chunk in chunks)


async def test_a_word_is_written_anew_from_where_it_began() -> None:
    server = Server()
    server.streams(event("A "), event("shi"), event("ver"), event(" DOWN there"), event("", "stop"))
    server.streams(event("smile."), event("", "stop"), DONE)
    async with serving(server) as engine:
        chunks = await collect(engine, sampling=BANNED)
    assert text_of(chunks) == "A smile."
    first, second = server.bodies
    assert second["prompt"] == first["prompt"] + "A "
    assert (first["seed"], first["bad_words"]) == (5, ["Shiver down"])
    assert second["seed"] != 5
    assert second["max_tokens"] == first["max_tokens"] - 4
    last = chunks[-1]
    assert last.finish is FinishReason.STOP
    assert last.statistics is not None
    assert (last.statistics.seed, last.statistics.reply_tokens) == (5, 5)


async def test_what_only_looks_like_one_is_held_back_and_then_shown() -> None:
    server = Server()
    server.streams(event("A shiver "), event("do"), event("es."), event("", "stop"), DONE)
    async with serving(server) as engine:
        chunks = await collect(engine, sampling=BANNED)
    assert [chunk.text for chunk in chunks] == ["A ", "shiver does.", ""]


async def test_a_reply_ends_before_a_word_that_comes_again_and_again() -> None:
    server = Server()
    for _ in range(TRIES_A_PLACE + 2):
        server.streams(event("shiver down"), event("", "stop"), DONE)
    async with serving(server) as engine:
        chunks = await collect(engine, sampling=BANNED)
    assert (text_of(chunks), chunks[-1].finish) == ("", FinishReason.STOP)
    assert len(server.bodies) == TRIES_A_PLACE + 1


async def test_where_a_server_goes_on_with_nothing_the_reply_ends_there() -> None:
    server = Server("chat")
    server.streams(delta("A shiver"), delta(" down"), delta("", "stop"), DONE)
    server.streams(delta("So. "), delta("A shiver down"), delta("", "stop"), DONE)
    async with serving(server) as engine:
        assert text_of(await collect(engine, sampling=BANNED)) == "A "
        assert text_of(await collect(engine, sampling=BANNED)) == "So. A "


@given(
    st.lists(st.text("abB\u00e4 ", max_size=3), max_size=12),
    st.lists(st.text("abc\u00e4\u00df ", min_size=1, max_size=3), min_size=1, max_size=3),
    st.lists(st.text("ab ", min_size=1, max_size=3), max_size=2),
    st.booleans(),
)
def test_no_text_gets_through_that_has_a_word_in_it(
    pieces: list[str], words: list[str], stops: list[str], decides: bool
) -> None:
    asked: list[GenerationRequest] = []

    async def ask(request: GenerationRequest, single: bool) -> AsyncGenerator[Chunk, None]:
        asked.append(request)
        mine = pieces[len(asked) % 3 :][: request.max_tokens]
        watch = StopStrings(request.stop)
        for piece in mine:
            yield Chunk(watch.decode(piece))
            if watch.stopped:
                yield Chunk("", FinishReason.STOP)
                return
        yield Chunk(watch.flush())
        is_long = len(mine) == request.max_tokens
        yield Chunk("", FinishReason.LENGTH if is_long else FinishReason.STOP)

    sampling = Sampling(banned_words=tuple(words))
    request = GenerationRequest("Ba", "c", "u", 8, sampling, stop=tuple(stops))
    found = asyncio.run(_all(ReplyWithout(request, ask, seed=1, decides=decides).chunks()))
    text = text_of(found)
    assert not any(word.casefold() in text.casefold() for word in words)
    assert not any(stop in text for stop in stops)
    assert [chunk.finish is None for chunk in found] == [True] * (len(found) - 1) + [False]
    assert len(asked) < 40


async def _all(chunks: AsyncGenerator[Chunk, None]) -> list[Chunk]:
    return [chunk async for chunk in chunks]


@given(st.text("abB\u0130\u00df", max_size=12), st.text("ab\u0130s", min_size=1, max_size=3))
def test_a_word_is_found_where_it_is_complete_first(text: str, word: str) -> None:
    found = WordWatch([word]).find(text)
    ends = [end for end in range(len(text) + 1) if word.casefold() in text[:end].casefold()]
    assert (found is None) == (not ends)
    if found is not None:
        assert word.casefold() in text[found : ends[0]].casefold()


async def test_a_stop_string_counts_that_a_word_taken_back_has_cut_in_two() -> None:
    server = Server()
    server.streams(event("Yes.\nBo"), event("shiver"), event(" down"), event("", "stop"))
    server.streams(event("b: no"), event("", "stop"), DONE)
    async with serving(server) as engine:
        chunks = await collect(engine, sampling=BANNED, stop=("\nBob:",))
    assert (text_of(chunks), chunks[-1].finish) == ("Yes.", FinishReason.STOP)


@pytest.mark.parametrize("text", ["A shi\u200bver", "A sh\u00ad\u2060iv\ufeffer", "A \u200bShiver"])
def test_signs_that_nobody_sees_hide_no_word(text: str) -> None:
    assert WordWatch(["shi\u200dver"]).find(text) in (2, 3)


def test_a_word_may_have_begun_in_the_prompt() -> None:
    watch = WordWatch(["shiver"], "A shi")
    assert watch.certain == -3
    assert watch.find("ver") == -3


@pytest.mark.parametrize(("shape", "lacks"), [("vllm", True), ("llama.cpp", False)])
async def test_it_is_said_once_where_a_server_lacks_what_was_asked_for(
    shape: str, lacks: bool, caplog: pytest.LogCaptureFixture
) -> None:
    server = Server(shape)
    async with serving(server) as engine:
        for sampling in (Sampling(), Sampling(dry_multiplier=1, xtc_probability=0.5)) * 2:
            server.streams(event("x", "stop"), DONE)
            await collect(engine, sampling=sampling)
        assert any("no DRY and no XTC" in text for text, _ in engine.shortcomings) is lacks
    assert caplog.text.count("no DRY and no XTC") == lacks


SAMPLERS: list[tuple[dict[str, Any], set[str]]] = [
    ({}, set()),
    ({"presence_penalty": 0.5}, {"presence_penalty", "frequency_penalty"}),
    ({"xtc_probability": 0.5}, {"xtc_probability", "xtc_threshold"}),
    ({"banned_words": ("a",)}, {"bad_words", "banned_strings"}),
]


@pytest.mark.parametrize(("changes", "names"), SAMPLERS)
async def test_a_server_hears_of_the_samplers_that_are_on(
    changes: dict[str, Any], names: set[str]
) -> None:
    server = Server()
    server.streams(event("x", "stop"), DONE)
    server.streams(event("x", "stop"), DONE)
    async with serving(server) as engine:
        await collect(engine)
        await collect(engine, sampling=Sampling(**changes))
    assert server.bodies[1].keys() - server.bodies[0].keys() == names


async def test_a_server_that_refuses_dry_is_served_without_and_that_is_said() -> None:
    server = Server("plain")
    server.refuses(400, '{"error": {"message": "Unrecognized request argument: dry_multiplier"}}')
    server.streams(event("ok", "stop"), DONE)
    async with serving(server) as engine:
        assert engine.shortcomings == ()
        await collect(engine, sampling=Sampling(dry_multiplier=0.8))
        assert "no DRY" in engine.shortcomings[0][0]
    assert "dry_multiplier" not in server.bodies[-1]
