"""What stands in a prompt, what it says of itself, and what is left out."""

import hashlib

import pytest
from prompting import PLAYED, answered, count, prompt, quoting, request, said

from bot.chat.messages import TurnState
from bot.chat.prompt.build import MINIMUM_REPLY_TOKENS, build_prompt
from bot.chat.prompt.formats import FORMATS
from bot.chat.prompt.transcript import QUOTE_CHARACTERS
from bot.engine.api import ModelInfo
from bot.errors import RequestTooLarge

LONG = " word" * 100  # 100 tokens


async def test_the_sections_make_the_prompt_and_their_tokens_add_up() -> None:
    made = await prompt(
        said("Alex", "Hi"),
        answered("Ho"),
        said("Alex", "And?"),
        persona=PLAYED,
        instructions="Be brief.",
    )
    sections = await made.sections(count)
    assert [section.name for section in sections] == [
        "persona", "examples", "instructions", "greeting", "history", "message", "reply"
    ]  # fmt: skip
    assert "".join(section.text for section in sections) == made.text
    assert sum(section.tokens for section in sections) == made.tokens
    assert [made.tokens] == await count([made.text])
    assert made.sha256 == hashlib.sha256(made.text.encode()).hexdigest()
    assert made.format_name == "alpaca"
    assert made.left_out == ()
    assert (made.first_turn_id, made.last_turn_id) == (1, 3)
    assert (made.speaker, made.others, made.reply_tokens) == ("Mira", ("Alex",), 512)


async def test_stops_are_the_headers_the_other_speakers_and_the_end_of_sequence() -> None:
    made = await prompt(
        said("Alex", "Hi"),
        said("Sam", "Ho", reply_to=quoting("Zed", "Hm")),
        info=ModelInfo("x", 2048, eos_token="</s>"),
    )
    assert made.stops == (
        "\n### Instruction:", "\n### Response:", "\n### Input:", "\nSam:", "\nZed:", "\nAlex:",
        "</s>",
    )  # fmt: skip


async def test_two_people_of_one_name_are_told_apart() -> None:
    made = await prompt(
        said("Alex", "Hi", speaker_id="1"), said("alex", "Ho", speaker_id="2"), said("Bo", "Hm")
    )
    assert "Alex: Hi" in made.text
    assert "alex (2): Ho" in made.text
    assert "Bo (2): Hm" in made.text  # the bot is Bo


async def test_a_reply_of_another_persona_keeps_its_name() -> None:
    made = await prompt(
        said("Alex", "Hi"), answered("Arr.", persona="Pirate"), said("Sam", "Who was that?")
    )
    assert "### Response:\nPirate: Arr." in made.text
    assert "\nPirate:" in made.stops


async def test_the_replied_to_message_comes_even_when_it_is_older_than_the_window() -> None:
    quote = quoting("Zed", "The old one.", "m2")
    made = await prompt(said("Alex", "That?", reply_to=quote), skipped=40)
    assert "### Input:\nZed: The old one." in made.text


async def test_the_replied_to_message_is_not_repeated_directly_after_it() -> None:
    made = await prompt(
        said("Zed", "The old one."), said("Alex", "That?", reply_to=quoting("Zed", "x", "m0"))
    )
    assert made.text.count("The old one.") == 1
    assert "### Input" not in made.text


async def test_the_replied_to_message_comes_when_the_budget_dropped_it() -> None:
    turns = [said("Zed", f"number {at}{LONG}") for at in range(10)]
    quote = quoting("Zed", "number 0, quoted", "m0")
    made = await prompt(*turns, said("Alex", "That?", reply_to=quote), context=800, reply=100)
    assert f"number 0{LONG}" not in made.text
    assert "### Input:\nZed: number 0, quoted" in made.text


async def test_a_message_that_others_have_followed_since_is_quoted_though_it_is_shown() -> None:
    quote = quoting("Zed", "The old one.", "m0")
    made = await prompt(
        said("Zed", "The old one."), said("Alex", "Noise."), said("Alex", "That?", reply_to=quote)
    )
    assert made.text.count("The old one.") == 2
    assert made.text.index("Noise.") < made.text.index("### Input:\nZed: The old one.")


async def test_a_quoted_bot_keeps_its_name_but_nobody_else_gets_it() -> None:
    mine = await prompt(said("Alex", "?", reply_to=quoting("Bo", "Mine.", is_bot=True)))
    forged = await prompt(said("Alex", "?", reply_to=quoting("Bo", "Mine.")))
    assert "### Input:\nBo: Mine." in mine.text
    assert "### Input:\nBo (2): Mine." in forged.text


async def test_an_endless_quote_is_cut() -> None:
    made = await prompt(said("Alex", "?", reply_to=quoting("Zed", "é" * 9_000)), context=20_000)
    assert made.text.count("é") == QUOTE_CHARACTERS - 1
    assert "é…" in made.text


async def test_a_reply_being_written_and_empty_turns_are_not_shown() -> None:
    made = await prompt(
        said("Alex", "Hi"),
        answered("Half a", state=TurnState.RUNNING),
        said("Alex", " \n"),
        said("Alex", "Hello?"),
    )
    assert made.text.count("###") == 3
    assert "Half a" not in made.text


async def test_without_any_turn_the_bot_opens_with_its_greeting_before_it() -> None:
    made = await prompt(persona=PLAYED)
    assert made.text.endswith("### Response:\nMira: Come in, the user.\n\n### Response:\nMira:")
    assert (made.first_turn_id, made.last_turn_id) == (None, None)


async def test_the_greeting_goes_with_the_conversations_beginning() -> None:
    made = await prompt(said("Alex", "Hi"), persona=PLAYED, skipped=64)
    assert "Come in" not in made.text


async def test_history_turns_zero_shows_the_newest_message_alone() -> None:
    made = await prompt(
        said("Alex", "One"), answered("Two"), said("Alex", "Three"), history_turns=0
    )
    assert "One" not in made.text
    assert made.text.endswith("### Instruction:\nThree\n\n### Response:\n")
    assert [(left.what, left.turns) for left in made.left_out] == [("history", 2)]


async def test_what_is_left_out_is_said() -> None:
    turns = [said("Alex", f"number {at}{LONG}") for at in range(20)]
    made = await prompt(*turns, persona=PLAYED, context=1000, reply=100)
    left = {each.what: each for each in made.left_out}
    assert left["examples"].turns == 2
    assert left["greeting"].turns == 1
    first = left["history"].turns
    assert made.first_turn_id == first + 1
    assert f"number {first} " in made.text
    assert f"number {first - 1} " not in made.text
    known = left["history"].tokens
    assert known is None or known > 100 * first


async def test_examples_go_before_history() -> None:
    turns = [said("Alex", f"number {at}{LONG}") for at in range(5)]
    whole = await prompt(*turns, persona=PLAYED, context=5000, reply=100)
    made = await prompt(*turns, persona=PLAYED, context=whole.tokens + 100 - 1, reply=100)
    assert "number 0 " in made.text
    assert "Soup" in made.text  # the first example went, the second stayed
    assert "Lonely" not in made.text


async def test_a_long_reply_is_promised_at_most_half_the_context() -> None:
    made = await prompt(said("Alex", "Hi"), context=2000, reply=2048)
    assert made.reply_tokens == 1000


async def test_the_replys_room_gives_way_to_the_newest_message_but_not_to_history() -> None:
    turns = [said("Alex", f"number {at}{LONG}") for at in range(9)]
    made = await prompt(*turns, context=600, reply=300)
    assert made.reply_tokens == 300
    made = await prompt(said("Alex", LONG * 4), context=600, reply=300)
    assert MINIMUM_REPLY_TOKENS <= made.reply_tokens < 300
    assert (LONG * 4).strip() in made.text
    assert made.tokens + made.reply_tokens <= 600


async def test_a_quote_gives_way_to_the_newest_message() -> None:
    quote = quoting("Zed", LONG * 3)
    made = await prompt(said("Alex", LONG, reply_to=quote), context=400, reply=100)
    assert LONG.strip() in made.text
    assert "Zed" not in made.text
    assert [left.what for left in made.left_out] == ["quotes"]


async def test_persona_and_newest_message_that_cannot_fit_are_refused_with_what_to_do() -> None:
    with pytest.raises(RequestTooLarge, match=r"take 5\d\d tokens.*room for 236.*shorter message"):
        await prompt(said("Alex", LONG * 5), context=300, reply=100)


async def test_room_is_kept_for_the_token_that_the_tokenizer_puts_first() -> None:
    turns = [said("Alex", f"{at}{LONG}") for at in range(30)]
    info = ModelInfo("x", 1000, bos_token="<s>")
    made = await build_prompt(request(*turns, info=info, reply=100), count)
    assert made.tokens + 1 + made.reply_tokens <= 1000


async def test_names_are_stops_only_where_the_prompt_writes_them() -> None:
    alone = await prompt(said("Note", "Hi"), prompt_format="chatml")
    assert (alone.names, alone.stops) == (False, ("<|im_end|>", "<|im_start|>"))
    two = await prompt(said("Note", "Hi"), said("Alex", "Ho"), prompt_format="chatml")
    assert two.names
    assert "\nNote:" in two.stops
    in_examples = await prompt(said("Note", "Hi"), persona=PLAYED, prompt_format="chatml")
    assert "\nNote:" in in_examples.stops


async def test_thoughts_that_were_kept_once_are_in_no_prompt() -> None:
    made = await prompt(said("Alex", "?"), answered("<think>Hm.</think>Four."), said("Alex", "?"))
    assert "Hm." not in made.text
    assert "Four." in made.text


@pytest.mark.parametrize("prompt_format", sorted(FORMATS))
async def test_another_personas_words_are_marked_as_its_own(prompt_format: str) -> None:
    made = await prompt(
        said("Alex", "Who are you?"),
        answered("A mathematician.", persona="Ada"),
        said("Alex", "And now?"),
        prompt_format=prompt_format,
    )
    assert "Ada: A mathematician." in made.text
    assert made.text.endswith("Bo:")
    assert "\nAda:" in made.stops
