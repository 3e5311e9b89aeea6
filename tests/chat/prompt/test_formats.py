"""Every format, to the byte, against expectations written by hand from the models' own cards."""

import pytest
from prompting import PLAYED, answered, prompt, quoting, said

from bot.chat.prompt.formats import FORMATS, choose_format
from bot.engine.api import ModelInfo
from bot.errors import SettingsError

TALK = (said("Alex", "Hi!"), answered("Hello."), said("Alex", "How are you?\nWell?"))


async def test_alpaca_instruction_and_response() -> None:
    made = await prompt(*TALK, prompt_format="alpaca")
    assert made.text == (
        "You are Bo.\n\n"
        "### Instruction:\nHi!\n\n"
        "### Response:\nHello.\n\n"
        "### Instruction:\nHow are you?\nWell?\n\n"
        "### Response:\n"
    )
    assert made.stops == ("\n### Instruction:", "\n### Response:", "\n### Input:")


async def test_alpaca_with_names_ends_with_the_bots_name_and_no_blank() -> None:
    made = await prompt(*TALK, said("Sam", "And I?"), prompt_format="alpaca")
    assert made.text == (
        "You are Bo.\n\n"
        "### Instruction:\nAlex: Hi!\n\n"
        "### Response:\nBo: Hello.\n\n"
        "### Instruction:\nAlex: How are you?\nWell?\n\n"
        "### Instruction:\nSam: And I?\n\n"
        "### Response:\nBo:"
    )


async def test_alpaca_instruction_input_and_response() -> None:
    made = await prompt(
        said("Alex", "Is that so?", reply_to=quoting("Zed", "The moon is cheese.")),
        prompt_format="alpaca",
    )
    assert made.text == (
        "You are Bo.\n\n"
        "### Instruction:\nIs that so?\n\n"
        "### Input:\nZed: The moon is cheese.\n\n"
        "### Response:\n"
    )


async def test_alpaca_input_has_the_conversation_as_input() -> None:
    made = await prompt(*TALK, prompt_format="alpaca-input")
    assert made.text == (
        "### Instruction:\nYou are Bo.\n\n"
        "### Input:\nAlex: Hi!\nBo: Hello.\nAlex: How are you?\nWell?\n\n"
        "### Response:\nBo:"
    )


async def test_chatml() -> None:
    made = await prompt(*TALK, prompt_format="chatml")
    assert made.text == (
        "<|im_start|>system\nYou are Bo.<|im_end|>\n"
        "<|im_start|>user\nHi!<|im_end|>\n"
        "<|im_start|>assistant\nHello.<|im_end|>\n"
        "<|im_start|>user\nHow are you?\nWell?<|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    assert made.stops == ("<|im_end|>", "<|im_start|>")


async def test_chatml_with_names_and_a_quote() -> None:
    made = await prompt(
        said("Alex", "Hi!"),
        said("Sam", "No.", reply_to=quoting("Zed", "Yes?")),
        prompt_format="chatml",
    )
    assert made.text == (
        "<|im_start|>system\nYou are Bo.<|im_end|>\n"
        "<|im_start|>user\nAlex: Hi!<|im_end|>\n"
        "<|im_start|>user\nSam: [In reply to Zed: Yes?]\nNo.<|im_end|>\n"
        "<|im_start|>assistant\nBo:"
    )


async def test_vicuna() -> None:
    made = await prompt(*TALK, prompt_format="vicuna")
    assert made.text == (
        "You are Bo. USER: Hi! ASSISTANT: Hello.</s>USER: How are you?\nWell? ASSISTANT:"
    )
    assert made.stops == ("USER:", "ASSISTANT:", "</s>")


async def test_vicuna_with_names_joins_neighbours() -> None:
    made = await prompt(*TALK, said("Sam", "And I?"), prompt_format="vicuna")
    assert made.text == (
        "You are Bo. USER: Alex: Hi! ASSISTANT: Bo: Hello.</s>"
        "USER: Alex: How are you?\nWell?\nSam: And I? ASSISTANT: Bo:"
    )


async def test_llama_2() -> None:
    made = await prompt(*TALK, prompt_format="llama-2")
    assert made.text == (
        "[INST] <<SYS>>\nYou are Bo.\n<</SYS>>\n\nHi! [/INST] Hello. </s><s>"
        "[INST] How are you?\nWell? [/INST]"
    )


async def test_llama_2_when_the_bot_spoke_first() -> None:
    made = await prompt(said("Alex", "Hi!"), prompt_format="llama-2", persona=PLAYED)
    assert made.text.endswith("\n<</SYS>>\n\n [/INST] Come in, Alex. </s><s>[INST] Hi! [/INST]")


async def test_the_whole_persona() -> None:
    made = await prompt(
        said("Alex", "Hi!"), prompt_format="chatml", persona=PLAYED, instructions="Be brief."
    )
    assert made.text == (
        "<|im_start|>system\n"
        "You are Mira.\n"
        "Mira keeps a lighthouse.\n"
        "Mira's personality: dry\n"
        "Scenario: A storm. Alex knocks.\n"
        "Stay in character. Write only what Mira says and does, and never speak or act for anybody "
        "else.\n\n"
        "Examples of how Mira talks:\n\n"
        "Alex: Lonely?\nMira: Never.\n\n"
        "Alex: Soup?\nMira: On the stove.\n\n"
        "Be brief.<|im_end|>\n"
        "<|im_start|>assistant\nCome in, Alex.<|im_end|>\n"
        "<|im_start|>user\nHi!<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


@pytest.mark.parametrize(
    ("prompt_format", "ending"),
    [
        ("alpaca", "### Response:\nIt was a dark"),
        ("alpaca-input", "### Response:\nBo: It was a dark"),
        ("chatml", "<|im_start|>assistant\nIt was a dark"),
        ("vicuna", " ASSISTANT: It was a dark"),
        ("llama-2", " [/INST] It was a dark"),
    ],
)
async def test_a_reply_that_goes_on_ends_the_prompt(prompt_format: str, ending: str) -> None:
    made = await prompt(
        said("Alex", "A story!"), prompt_format=prompt_format, reply_so_far="It was a dark "
    )
    assert made.text.endswith(ending)


@pytest.mark.parametrize("prompt_format", list(FORMATS))
async def test_no_prompt_ends_with_a_blank(prompt_format: str) -> None:
    for names in (True, False):
        made = await prompt(*TALK, prompt_format=prompt_format, names=names)
        assert not made.text.endswith(" ")


async def test_names_stand_where_several_people_talk_or_a_character_is_played_in_alpaca() -> None:
    for prompt_format, persona, expected in (
        ("alpaca", PLAYED, "Mira:"),
        ("chatml", PLAYED, "assistant\n"),
    ):
        made = await prompt(said("Alex", "Hi"), prompt_format=prompt_format, persona=persona)
        assert made.text.endswith(expected)


@pytest.mark.parametrize(
    ("info", "expected"),
    [
        (ModelInfo("x", 1, chat_template="{{'<|im_start|>' + role}}"), "chatml"),
        (ModelInfo("x", 1, chat_template="[INST] <<SYS>>"), "llama-2"),
        (ModelInfo("x", 1, chat_template="### Instruction:"), "alpaca"),
        (ModelInfo("x", 1, chat_template="USER: ASSISTANT:"), "vicuna"),
        (ModelInfo("hermes", 1, chat_template="<|im_start|>"), "chatml"),
        (ModelInfo("x", 1, special_tokens=("<|im_start|>",)), "chatml"),
        (ModelInfo("Nous-Hermes-13B-GPTQ", 1, eos_token="</s>"), "alpaca"),
        (ModelInfo("Nous-Hermes-2-Yi-34B", 1), "chatml"),
        (ModelInfo("SmolLM2-135M-Instruct", 1), "chatml"),
        (ModelInfo("vicuna-13b-v1.5", 1), "vicuna"),
        (ModelInfo("Llama-2-7B-Chat-GPTQ", 1), "llama-2"),
        (ModelInfo("something", 1, eos_token="<|im_end|>"), "chatml"),
        (ModelInfo("something", 1, eos_token="</s>"), "alpaca"),
    ],
)
def test_auto_chooses_by_the_model(info: ModelInfo, expected: str) -> None:
    assert choose_format("auto", info).name == expected


def test_a_name_chooses_that_format_whatever_the_model() -> None:
    assert choose_format(" Vicuna ", ModelInfo("hermes", 1)).name == "vicuna"


def test_an_unknown_format_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(SettingsError, match=r"«alpacca».*alpaca, alpaca-input, chatml"):
        choose_format("alpacca", ModelInfo("x", 1))
