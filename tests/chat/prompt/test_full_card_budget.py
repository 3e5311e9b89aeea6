"""A whole card in any context: never too long, examples before history, lore in its budget."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from prompting import count, request, said

from bot.chat.persona import DepthPrompt, Persona
from bot.chat.prompt.additions import Additions
from bot.chat.prompt.build import build_prompt
from bot.chat.prompt.parts import Part, Place, Priority, TokenBudget
from bot.errors import RequestTooLarge

_DEPTHS = st.integers(0, 12)
_PLACES = st.sampled_from([Place.BEFORE_PERSONA, Place.AFTER_PERSONA, Place.IN_HISTORY])


@st.composite
def lore(draw: st.DrawFn) -> Additions:
    budget = TokenBudget("lore", draw(st.integers(0, 60)))
    sizes = draw(st.lists(st.integers(1, 30), max_size=5))
    parts = [
        Part(
            "lore", f"LORE{at}" + " lore" * size, draw(_PLACES), Priority.IMPORTANT, rank=at,
            depth=draw(_DEPTHS), budget=budget, is_trusted=True,
        )
        for at, size in enumerate(sizes)
    ]  # fmt: skip
    return Additions(parts=tuple(parts))


@settings(max_examples=60, deadline=None)
@given(
    context=st.integers(80, 900),
    examples=st.integers(0, 4),
    turns=st.integers(1, 12),
    words=st.integers(1, 40),
    depth=_DEPTHS,
    told=lore(),
    prompt_format=st.sampled_from(["alpaca", "chatml", "vicuna"]),
)
async def test_a_whole_card_in_any_context(
    context: int,
    examples: int,
    turns: int,
    words: int,
    depth: int,
    told: Additions,
    prompt_format: str,
) -> None:
    card = Persona(
        name="Mira",
        description="{{char}} keeps a lighthouse.",
        system_text="Write well. {{original}}",
        closing_reminder="REMINDER",
        depth_prompt=DepthPrompt(text="DEPTH", depth=depth),
        example_dialogue="".join(f"<START>\nEXAMPLE{at}" + " ex" * 10 for at in range(examples)),
    )
    talk = [said("Alex", f"TURN{at}." + " word" * words) for at in range(turns)]
    given_request = request(*talk, persona=card, context=context, prompt_format=prompt_format)
    try:
        made = await build_prompt(replace(given_request, lore=told), count)
    except RequestTooLarge:
        return
    assert made.tokens + made.reply_tokens <= context
    assert made.text.count(f"TURN{turns - 1}.") == 1
    shown = [at for at in range(turns) if f"TURN{at}." in made.text]
    kept = [at for at in range(examples) if f"EXAMPLE{at}" in made.text]
    if len(shown) < turns:
        assert kept == []
    assert kept == list(range(examples))[examples - len(kept) :]
    assert shown == list(range(turns))[turns - len(shown) :]
    room = max((part.budget.tokens for part in told.parts if part.budget), default=0)
    assert made.text.count(" lore") <= room
    if kept:
        assert "REMINDER" in made.text
        assert "DEPTH" in made.text
    if "REMINDER" in made.text:
        assert made.text.index("REMINDER") > made.text.index(f"TURN{turns - 1}.")
