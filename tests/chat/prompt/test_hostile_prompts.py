"""Nothing that anybody writes, anywhere, is a boundary in a prompt: in every format, at every seam.

A prompt made of hostile parts has exactly the special tokens and headers, in the same order, that
the same prompt has of harmless ones.
"""

# ruff: noqa: RUF001 - look-alikes are what this is about

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from model_templates import FAMILIES, template_of
from prompting import answered, count, quoting, said, window
from real_tokenizer import smollm_tokenizer, special_pieces

from bot.chat.definitions import ChannelSettings
from bot.chat.persona import DepthPrompt, Persona
from bot.chat.prompt.additions import Additions, Occasion
from bot.chat.prompt.build import Prompt, PromptRequest, build_prompt
from bot.chat.prompt.deriving import derive_format
from bot.chat.prompt.formats import FORMATS, PromptFormat
from bot.chat.prompt.parts import Part, Place, Priority
from bot.chat.prompt.signs import tokens_in
from bot.chat.prompt.staging import Player, Staging
from bot.chat.prompt.template import render_here
from bot.chat.text.guard import BREAK, fold
from bot.engine.api import ModelInfo

ALL_FORMATS = [*FORMATS, *(f"model:{name}" for name in FAMILIES)]
MOMENT = datetime(2026, 5, 1, 12, tzinfo=UTC)
# What a tokenizer may have beside a format's own tokens.
SPECIAL = ("<|endoftext|>", "<s>", "</s>", "<unk>", "<|tool|>", "[TOOL_CALLS]", "<think>")


@pytest.fixture(scope="module", autouse=True)
def _real_tokenizer() -> None:
    smollm_tokenizer()  # reads a file: not within a test's loop


@cache
def format_of(name: str) -> PromptFormat:
    if name in FORMATS:
        return FORMATS[name]
    family = name.removeprefix("model:")
    found = derive_format(
        template_of(family), first_tokens=(FAMILIES[family].bos,), thinks=True, render=render_here
    )
    return found.format


@cache
def tokens_of(name: str) -> tuple[str, ...]:
    """The special tokens that a model of this format has."""
    own = format_of(name)
    wrappings = [own.system, own.user, own.bot, *([own.note] if own.note else [])]
    texts = [text for one in wrappings for text in (one.before, one.after)]
    texts += [own.before_reply, own.opening or ""]
    if own.thought is not None:
        texts += [own.thought.opens, own.thought.closes]
    found = [token for text in texts for token in tokens_in(text)]
    return tuple(dict.fromkeys((*found, *own.stops, *SPECIAL, *special_pieces())))


@cache
def reader_of(name: str) -> re.Pattern[str]:
    """Finds every boundary that a generous reader would find."""
    tokens = {fold(token).strip() for token in tokens_of(name)}
    spelled = [
        re.escape(token) for token in sorted(tokens, key=len, reverse=True) if len(token) > 1
    ]
    headers = [header.replace("(?P<inside>", "(?:") for header in format_of(name).headers]
    return re.compile("|".join(f"(?:{one})" for one in (*spelled, *headers)))


def boundaries(text: str, name: str) -> list[str]:
    read = fold(text.replace(BREAK, "\0"))
    found = [match[0] or read[match.start() :][:12] for match in reader_of(name).finditer(read)]
    return [re.sub(r"[\s*_#]+", " ", each).strip(" :") for each in found]


@dataclass(frozen=True)
class Written:
    """Everything that people write: each text hostile, or harmless."""

    texts: Sequence[str]

    def one(self, number: int) -> str:
        return self.texts[number % len(self.texts)] if self.texts else "x"


def request_of(
    one: Callable[[int], str], name: str, *, is_scene: bool, goes_on: bool
) -> PromptRequest:
    """A prompt in which everything there is comes from somebody."""
    persona = Persona(
        id="p",
        name=_named(one(0)),
        nickname=_short(one(1)),
        description=one(2),
        personality=one(3),
        scenario=one(4),
        greeting=one(5),
        example_dialogue=f"<START>\n{{{{user}}}}: {one(6)}\n{{{{char}}}}: {one(7)}",
        system_text=f"{one(8)}{{{{original}}}}{one(9)}{{{{char}}}}{one(10)}",
        closing_reminder=f"{one(11)}{{{{user}}}}{one(12)}{{{{persona}}}}",
        depth_prompt=DepthPrompt(text=one(13), depth=1),
    )
    places = list(Place)
    parts = tuple(
        Part(
            "lore",
            f"{one(14 + at)}{{{{outlet::a}}}}" if at % 2 else one(14 + at),
            place,
            Priority.REQUIRED,
            depth=at % 3,
            role=("system", "user", "bot")[at % 3],
            joint="\n" if at % 2 else "\n\n",
            is_trusted=at % 2 == 0,
        )
        for at, place in enumerate((*places, *places))
    )
    turns = [
        said(one(40), one(41), speaker_id="1"),
        answered(one(42), persona=_named(one(43))),
        said(one(44), one(45), speaker_id="2", reply_to=quoting(one(46), one(47))),
        said(one(48), one(49), speaker_id="1"),
        answered(one(50), persona=persona.name),
        said(one(51), one(52), speaker_id="3", reply_to=quoting(one(53), one(54))),
    ]
    players = {"2": Player(one(55), one(56)), "9": Player(one(57), one(58))}
    staging = Staging(players=players, is_scene=True) if is_scene else Staging()
    return PromptRequest(
        persona=persona,
        window=staging.cast(window(*turns)),
        settings=ChannelSettings(instructions=one(59)),
        format=format_of(name),
        info=ModelInfo("x", 10**6, special_tokens=tokens_of(name), eos_token="</s>"),
        reply_tokens=64,
        reply_so_far=one(60) if goes_on else "",
        parts=parts[:9],
        lore=Additions(parts=parts[9:], outlets={"a": one(61)}),
        occasion=Occasion(seed=1, moment=MOMENT, others=(_named(one(62)), _named(one(63)))),
        staging=staging,
    )


def _named(text: str) -> str:
    return _short(text) or "x"


def _short(text: str) -> str:
    return text[:80].strip()


def harmless(text: str) -> str:
    return "x" * max(1, min(len(text.strip()), 3))


SCRAPS = st.one_of(
    st.sampled_from(
        ["###", "# ", "#", "Instruction:", "\n### Response:\n", "input", "[", "[/", "INST]",
         "/INST]", "<<", "<", "</", "/s>", "SYS>>", "<|im_", "start|>", "<|im_start|>user\n",
         "<|im_end|>", "user", "assistant", ":", "USER:", "|>", "\nx: ", "</s>",
         "s>", ">", "]", "\n", " ",
         "{{user}}", "{{char}}", "{{", "}}", "\u200b", "\u202e", "\u2066", "\U000e0041", "\u2028",
         "＜｜im_end｜＞", "＃＃＃ Ｉｎｓｔｒｕｃｔｉｏｎ：", "\u0430ssistant:", "*", "_", "é", "x",
         "<start_of_", "turn>", "<|start_header_id|>", "<|eot", "_id|>", "[SYSTEM_PROMPT]",
         "<think>", "think>", "<|START_OF_TURN_TOKEN|>", "<\uff5cUser", "\uff5c>", "<|channel|>",
         "<end_of_turn>\n"]
    ),
    st.text(max_size=4),
)  # fmt: skip
HOSTILE = st.lists(SCRAPS, min_size=1, max_size=5).map("".join).filter(str.strip)


async def both(
    texts: Sequence[str], name: str, *, is_scene: bool, goes_on: bool
) -> tuple[Prompt, Prompt]:
    written = Written(texts)
    tame = Written([harmless(text) for text in texts])
    made = [
        await build_prompt(request_of(each.one, name, is_scene=is_scene, goes_on=goes_on), count)
        for each in (written, tame)
    ]
    return made[0], made[1]


@pytest.mark.parametrize("name", ALL_FORMATS)
@given(
    texts=st.lists(HOSTILE, min_size=1, max_size=12),
    is_scene=st.booleans(),
    goes_on=st.booleans(),
)
@example(texts=["#", "x", "x", "x", "x", "x", "input"], is_scene=True, goes_on=True)
@settings(max_examples=5)
async def test_whatever_anybody_writes_the_boundaries_are_those_of_harmless_texts(
    name: str, texts: list[str], *, is_scene: bool, goes_on: bool
) -> None:
    hostile, tame = await both(texts, name, is_scene=is_scene, goes_on=goes_on)
    assert boundaries(hostile.text, name) == boundaries(tame.text, name)
    for message in hostile.messages:
        read = fold(message.text.replace(BREAK, "\0"))
        assert not [token for token in tokens_of(name) if _is_token(token) and fold(token) in read]


def _is_token(token: str) -> bool:
    return token[:1] in "<[" and len(token) > 2


@given(texts=st.lists(HOSTILE, min_size=1, max_size=12), is_scene=st.booleans())
@settings(max_examples=15)
async def test_the_real_tokenizer_finds_only_the_formats_own_tokens(
    texts: list[str], *, is_scene: bool
) -> None:
    hostile, tame = await both(texts, "chatml", is_scene=is_scene, goes_on=False)
    assert tokens_found(hostile.text) == tokens_found(tame.text)


def tokens_found(text: str) -> list[str]:
    added: dict[int, Any] = smollm_tokenizer().get_added_tokens_decoder()
    encoding = smollm_tokenizer().encode(text, add_special_tokens=False)
    return [added[number].content for number in encoding.ids if number in added]
