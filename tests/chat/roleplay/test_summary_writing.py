"""What a model is given to sum up, and what is taken of what it writes."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.chat.engines import NamedEngine, WrittenAside
from bot.chat.messages import ChannelKey, QuotedMessage, Speaker, Turn
from bot.chat.prompt.formats import ALPACA, CHATML, PromptFormat, Thought
from bot.chat.roleplay.memory.writing import (
    Scribe,
    cleaned,
    how_many_fit,
    written_sections,
    written_turns,
)
from bot.engine.api import FinishReason, ModelInfo
from bot.engine.fake import FakeEngine, tokens_of

HERE = ChannelKey("discord", "1")
ANN = Speaker("ann", "Ann")
THINKER = replace(
    CHATML, name="template", thought=Thought("<think>\n", "</think>", "\n</think>\n\n")
)


def turn(number: int, text: str, **more: object) -> Turn:
    said = Turn(number, 1, HERE, "user", ANN, text, datetime.now(UTC))
    return replace(said, **more)  # type: ignore[arg-type]


def bot_turn(number: int, text: str, name: str = "Ada") -> Turn:
    speaker = Speaker(f"persona:{name}", name, is_bot=True)
    return turn(number, text, role="bot", speaker=speaker, persona=name)


async def scribe(
    reply: str, prompt_format: PromptFormat = ALPACA, *, info: ModelInfo | None = None
) -> tuple[Scribe, FakeEngine]:
    engine = FakeEngine([reply], context_tokens=600, info=info)
    await engine.start()
    return Scribe(NamedEngine("fake", engine), prompt_format, thinking_tokens=100), engine


def test_speakers_are_told_plainly() -> None:
    quoted = QuotedMessage("m", Speaker("ben", "Ben"), "Shall we?\nNow?")
    text = written_turns(
        [
            turn(1, "Hello,\nall!"),
            bot_turn(2, "<think>Who is that?</think>Hi."),
            turn(3, "Yes.", reply_to=quoted),
            turn(4, " "),
            turn(5, "No.", speaker=Speaker("other", "ann")),
        ]
    )
    assert text.split("\n") == [
        "People: Ann, ann (2). Ada is played by the chat's bot.",
        "",
        "Ann: Hello, all!",
        "Ada: Hi.",
        "Ann (in reply to Ben: Shall we? Now?): Yes.",
        "ann (2): No.",
    ]


def test_what_is_too_long_is_shortened() -> None:
    assert written_turns([turn(1, "word " * 9)], 5).endswith("Ann: word…")
    assert written_sections(["One.", "Two, in many words."], 4) == "Part 1: One.\n\nPart 2: Two…"


@given(st.lists(st.integers(0, 50), max_size=30), st.integers(0, 200))
def test_as_much_is_folded_at_once_as_has_room_and_one_at_least(
    counts: list[int], room: int
) -> None:
    kept = how_many_fit(counts, room)
    assert kept <= len(counts)
    assert kept >= min(1, len(counts))
    assert kept <= 1 or sum(counts[:kept]) <= room
    assert kept == len(counts) or sum(counts[: kept + 1]) > room


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("  Ann came.\n\n\nBen went.  ", "Ann came.\nBen went."),
        ("**Summary:** Ann came.", "Ann came."),
        ("Here is a short summary of the chat: Ann came.", "Ann came."),
        ("<think>Ann? Who?</think>\n\nAnn came.", "Ann came."),
        ("Ann came. Ben went. ann  came. Ben went.", "Ann came. Ben went."),
        ("Ann\0 came.", "Ann came."),
        ("", ""),
        ("<think>Ann? Who?", ""),
    ],
)
def test_what_a_model_writes_is_cleaned(written: str, expected: str) -> None:
    assert cleaned(WrittenAside(written, FinishReason.STOP)) == expected


def test_half_a_sentence_at_the_end_goes() -> None:
    cut = FinishReason.LENGTH
    assert cleaned(WrittenAside("Ann came home. Then B", cut)) == "Ann came home."
    assert cleaned(WrittenAside("Ann. Then Ben went to the", cut)) == "Ann. Then Ben went to the"
    assert cleaned(WrittenAside("Who? </think> Ann came.", cut), opened=True) == "Ann came."
    assert cleaned(WrittenAside("Who is Ann, and why", cut), opened=True) == ""


@given(st.text(max_size=300), st.sampled_from(FinishReason))
def test_cleaning_takes_any_text(text: str, finish: FinishReason) -> None:
    result = cleaned(WrittenAside(text, finish))
    assert result == result.strip()
    assert "\0" not in result


async def test_it_is_asked_for_in_the_models_own_format() -> None:
    writer, engine = await scribe("Ann came.", CHATML)
    assert await writer.of_turns([turn(1, "I am here.")], 60) == "Ann came."
    request = engine.requests[0]
    assert request.prompt.startswith("<|im_start|>system\n")
    assert request.prompt.endswith("<|im_end|>\n<|im_start|>assistant\n")
    assert "<|im_end|>" in request.stop
    assert request.messages[0].role == "system"
    assert "Ann: I am here." in request.messages[1].text


async def test_a_model_that_thinks_first_is_kept_from_it() -> None:
    writer, engine = await scribe("Ann came.", THINKER)
    await writer.of_turns([turn(1, "I am here.")], 60)
    assert engine.requests[0].prompt.endswith("<think>\n\n</think>\n\n")


async def test_where_it_cannot_be_kept_from_it_there_is_room_for_that() -> None:
    info = ModelInfo("server", 600, takes_prompts=False)
    writer, engine = await scribe("Ann came.", info=info)
    await writer.of_turns([turn(1, "I am here.")], 60)
    assert engine.requests[0].thinking_tokens == 100
    template = "{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n{% endif %}"
    info = ModelInfo("thinker", 600, chat_template=template)
    writer, engine = await scribe("Who is that?\n</think>\n\nAnn came.", info=info)
    assert await writer.of_turns([turn(1, "I am here.")], 60) == "Ann came."
    assert engine.requests[0].max_tokens > 100


async def test_a_huge_turn_is_shortened_until_it_fits() -> None:
    writer, engine = await scribe("Ann came.")
    turns = [turn(number, "word " * 2_000) for number in range(1, 4)]
    assert await writer.fitting(turns) == (turns[0],)
    assert await writer.of_turns(turns, 60) == "Ann came."
    assert await writer.of_sections(["word " * 900, "Ben went."], 60) == "Ann came."
    for request in engine.requests:
        assert len(tokens_of(request.prompt)) + request.max_tokens <= 600


async def test_an_engine_that_is_not_idle_is_left_alone() -> None:
    writer, engine = await scribe("Ann came.")
    await engine.close()
    assert await writer.of_turns([turn(1, "I am here.")], 60) is None
    assert engine.requests == []
