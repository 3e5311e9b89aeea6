"""The prompt of a card that uses everything: the order of its parts, in two formats."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from prompting import PLAYED, answered, count, prompt, request, said

from bot.chat.persona import DepthPrompt, Persona
from bot.chat.prompt.additions import Additions, Occasion
from bot.chat.prompt.build import Prompt, build_prompt
from bot.chat.prompt.draft import PromptRequest
from bot.chat.prompt.parts import Part, Place, Priority, TokenBudget
from bot.chat.prompt.system import STOP_CHARACTERS, STOP_WORDS

FULL = Persona(
    name="Miranda Vale",
    nickname="Mira",
    description="{{char}} keeps a lighthouse.",
    personality="dry",
    scenario="A storm. {{user}} knocks.",
    greeting="Come in, {{user}}.",
    example_dialogue="<START>\n{{user}}: Lonely?\n{{char}}: Never.\n<START>\n{{user}}: Soup?\n"
    "{{char}}: On the stove.",
    system_text="Write like a novel.\n{{original}}\n{{original}}Be slow.",
    closing_reminder="{{char}} never leaves the tower.{{original}}",
    depth_prompt=DepthPrompt(text="{{char}} limps.", depth=1, role="system"),
    stop_words=("[END]", "{{user}} says:"),
    creator_notes="SECRET",
    translated_notes={"de": "SECRET"},
    creator="SECRET",
    character_version="SECRET",
    tags=("SECRET",),
)
BUDGET = TokenBudget("lore", 50)


def lore(text: str, place: Place, **extra: object) -> Part:
    return Part("lore", text, place, Priority.IMPORTANT, budget=BUDGET, is_trusted=True, **extra)  # type: ignore[arg-type]


LORE = Additions(
    parts=(
        lore("The coast is cursed.", Place.BEFORE_PERSONA),
        lore("{{char}} has a cat.", Place.AFTER_PERSONA),
        lore("The lamp is out.", Place.IN_HISTORY, depth=0),
    )
)
TALK = (said("Alex", "Hello?"), answered("Come up.", persona="Miranda Vale"), said("Alex", "Why?"))


async def written(given: PromptRequest, **changes: object) -> Prompt:
    return await build_prompt(replace(given, **changes), count)  # type: ignore[arg-type]


async def test_a_full_card_in_alpaca() -> None:
    made = await written(request(*TALK, persona=FULL), lore=LORE)
    assert made.text == (
        "Write like a novel.\nYou are Mira.\nStay in character. Write only what Mira says and "
        "does, and never speak or act for anybody else.\nBe slow.\n\n"
        "The coast is cursed.\n\n"
        "Mira keeps a lighthouse.\nMira's personality: dry\nScenario: A storm. Alex knocks.\n\n"
        "Mira has a cat.\n\n"
        "Examples of how Mira talks:\n\nAlex: Lonely?\nMira: Never.\n\n"
        "Alex: Soup?\nMira: On the stove.\n\n"
        "### Response:\nMira: Come in, Alex.\n\n"
        "### Instruction:\nAlex: Hello?\n\n"
        "### Response:\nMira: Come up.\n\n"
        "### Input:\nMira limps.\n\n"
        "### Instruction:\nAlex: Why?\n\n"
        "### Input:\nThe lamp is out.\nMira never leaves the tower.\n\n"
        "### Response:\nMira:"
    )
    assert made.left_out == ()
    assert "[END]" in made.stops
    assert "Alex says:" in made.stops


async def test_a_full_card_in_chatml() -> None:
    made = await written(request(*TALK, persona=FULL, prompt_format="chatml"), lore=LORE)
    assert made.text == (
        "<|im_start|>system\nWrite like a novel.\nYou are Mira.\nStay in character. Write only "
        "what Mira says and does, and never speak or act for anybody else.\nBe slow.\n\n"
        "The coast is cursed.\n\n"
        "Mira keeps a lighthouse.\nMira's personality: dry\nScenario: A storm. Alex knocks.\n\n"
        "Mira has a cat.\n\n"
        "Examples of how Mira talks:\n\nAlex: Lonely?\nMira: Never.\n\n"
        "Alex: Soup?\nMira: On the stove.<|im_end|>\n"
        "<|im_start|>assistant\nCome in, Alex.<|im_end|>\n"
        "<|im_start|>user\nHello?<|im_end|>\n"
        "<|im_start|>assistant\nCome up.<|im_end|>\n"
        "<|im_start|>system\nMira limps.<|im_end|>\n"
        "<|im_start|>user\nWhy?<|im_end|>\n"
        "<|im_start|>system\nThe lamp is out.\nMira never leaves the tower.<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


@pytest.mark.parametrize("prompt_format", ["alpaca", "alpaca-input", "chatml", "vicuna", "llama-2"])
async def test_notes_creator_and_tags_are_in_no_prompt(prompt_format: str) -> None:
    made = await prompt(*TALK, persona=FULL, prompt_format=prompt_format)
    assert "SECRET" not in made.text
    assert all("SECRET" not in message.text for message in made.messages)
    order = [made.text.index(words) for words in ("novel", "keeps", "Soup?", "limps", "Why?")]
    assert order == sorted(order)
    assert made.text.index("never leaves") > made.text.index("Why?")


async def test_without_its_own_system_text_a_card_has_ours() -> None:
    plain = FULL.model_copy(update={"system_text": ""})
    made = await prompt(*TALK, persona=plain)
    assert made.text.startswith("You are Mira.\nMira keeps a lighthouse.\n")


async def test_lore_can_silence_system_text_and_reminder() -> None:
    silence = Additions(silenced=frozenset({"system_prompt", "post_history_instructions"}))
    made = await written(request(*TALK, persona=FULL), lore=silence)
    assert made.text.startswith("Mira keeps a lighthouse.\n")
    assert "novel" not in made.text
    assert "never leaves" not in made.text


async def test_a_persona_that_says_nothing_is_a_prompt_all_the_same() -> None:
    silence = Additions(silenced=frozenset({"system_prompt"}))
    for prompt_format in ("alpaca", "chatml", "vicuna", "llama-2"):
        given = request(said("Alex", "Hi"), persona=Persona(name="Bo"), prompt_format=prompt_format)
        made = await written(given, lore=silence)
        assert "Hi" in made.text
    alpaca = await written(request(said("Alex", "Hi"), persona=Persona(name="Bo")), lore=silence)
    assert alpaca.text == "### Instruction:\nHi\n\n### Response:\n"


async def test_examples_go_block_by_block_before_any_history_and_the_reminder_stays() -> None:
    turns = [said("Alex", f"{at}" + " word" * 20) for at in range(10)]
    whole = await prompt(*turns, persona=FULL, reply=64)
    short = await prompt(*turns, persona=FULL, reply=64, context=whole.tokens + 64 - 1)
    assert "Lonely?" not in short.text
    assert "Soup?" in short.text
    assert "Alex: 0 word" in short.text
    shorter = await prompt(*turns, persona=FULL, reply=64, context=whole.tokens + 64 - 60)
    assert "Soup?" not in shorter.text
    assert "never leaves the tower" in shorter.text
    assert "Mira limps." in shorter.text


async def test_a_reply_that_goes_on_stands_after_the_reminder() -> None:
    made = await prompt(*TALK, persona=FULL, reply_so_far="The lamp")
    assert made.text.endswith("never leaves the tower.\n\n### Response:\nMira: The lamp")


async def test_stop_words_are_few_and_short() -> None:
    words = ("  ", "x" * (STOP_CHARACTERS + 1), *(f"stop {at}" for at in range(STOP_WORDS)))
    made = await prompt(said("Alex", "Hi"), persona=Persona(name="Bo", stop_words=words))
    assert "stop 0" in made.stops
    assert f"stop {STOP_WORDS - 1}" not in made.stops
    assert not any(len(stop) > STOP_CHARACTERS or not stop.strip() for stop in made.stops)


async def test_macros_of_time_and_chance_hang_on_the_reply_but_not_the_greetings() -> None:
    card = Persona(
        name="Bo", description="It is {{time}}; {{roll:1000000}}.", greeting="Hi {{roll:1000000}}"
    )
    given = request(said("Alex", "Hi"), persona=card)
    noon = datetime(2026, 5, 1, 12, tzinfo=UTC)
    first = await written(given, occasion=Occasion(seed=1, moment=noon))
    again = await written(given, occasion=Occasion(seed=1, moment=noon))
    other = await written(given, occasion=Occasion(seed=2, moment=noon))
    assert first.text == again.text != other.text
    assert first.text.split("### Response:\n")[1] == other.text.split("### Response:\n")[1]
    assert "{{" not in first.text


async def test_a_greeting_that_was_said_is_not_said_twice() -> None:
    made = await prompt(answered("Come in!", persona="Mira"), said("Alex", "Hi"), persona=PLAYED)
    assert "Come in, Alex." not in made.text


async def test_personas_beside_it_have_their_names_and_their_lines_to_themselves() -> None:
    talk = (said("Bram", "I am Bram.\nNessa: Help!"), said("Alex", "Who?"))
    beside = Occasion(others=("Bram", "Nessa"))
    made = await written(request(*talk, persona=Persona(name="Bo")), occasion=beside)
    assert "Bram (2): I am Bram." in made.text
    assert "\nNessa: Help!" not in made.text
    assert {"\nBram:", "\nNessa:"} <= set(made.stops)
    assert made.text.endswith("### Response:\nBo:")
