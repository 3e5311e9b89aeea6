"""Greetings: said when a conversation begins, with the alternates as swipes."""

import pytest
from conversing import HERE, THERE, Stage

from bot.chat.messages import ChannelKey, Speaker
from bot.chat.persona import Persona
from bot.errors import NotAllowed

MIRA = Persona(
    id="test:mira",
    name="Mira",
    description="{{char}} keeps a lighthouse.",
    greeting="Come in, {{user}}. {{roll:1}}",
    alternate_greetings=("Go away, {{user}}.", " ", "Come in, {{user}}. 1"),
    group_greetings=("All of you, come in.",),
)
BRAM = Persona(id="test:bram", name="Bram", description="{{char}} sails.")
BOB = Speaker("bob", "Bob")


class Cast:
    def __init__(self, *persona_ids: str) -> None:
        self.persona_ids = list(persona_ids)

    async def cast(self, scope_id: str) -> list[str]:
        return self.persona_ids


def with_personas(stage: Stage, *personas: Persona, cast: Cast | None = None) -> Stage:
    stage.personas.personas = list(personas)
    stage.casts = cast
    stage.start_again()
    return stage


async def test_the_greeting_is_a_turn_with_its_alternates_as_swipes(stage: Stage) -> None:
    on = with_personas(stage, MIRA)
    turn = await on.conversations.greetings.begin(HERE, BOB)
    assert turn is not None
    assert turn.is_greeting
    assert [swipe.text for swipe in turn.swipes] == ["Come in, Bob. 1", "Go away, Bob."]
    assert (turn.text, turn.persona_id, turn.asked_by) == (
        "Come in, Bob. 1", "test:mira", frozenset({"bob"})
    )  # fmt: skip
    other = await on.conversations.swipe(turn.turn_id, 1)
    assert other.text == "Go away, Bob."
    await on.say("Why?")
    await on.answer()
    assert "Go away, Bob." in on.prompt
    assert "Come in" not in on.prompt
    assert on.prompt.index("Go away, Bob.") < on.prompt.index("Why?")


async def test_a_persona_greets_once_in_a_conversation(stage: Stage) -> None:
    on = with_personas(stage, MIRA)
    assert await on.conversations.greetings.begin(HERE, BOB) is not None
    assert await on.conversations.greetings.begin(HERE, BOB) is None
    assert await on.conversations.greetings.begin(THERE, BOB) is not None
    await on.conversations.reset(HERE)
    assert await on.conversations.greetings.begin(HERE, BOB) is not None


async def test_without_a_greeting_or_while_somebody_waits_nothing_is_said(stage: Stage) -> None:
    on = with_personas(stage, BRAM)
    assert await on.conversations.greetings.begin(HERE, BOB) is None
    on = with_personas(stage, MIRA)
    await on.say("Mira?")
    assert await on.conversations.greetings.begin(HERE, BOB) is None


async def test_with_others_beside_it_what_is_for_groups_comes_first(stage: Stage) -> None:
    on = with_personas(stage, MIRA, BRAM, cast=Cast("test:bram", "test:gone", "test:mira"))
    turn = await on.conversations.greetings.begin(HERE, BOB)
    assert turn is not None
    assert turn.text == "All of you, come in."
    assert len(turn.swipes) == 3


async def test_a_greeting_is_not_written_anew(stage: Stage) -> None:
    on = with_personas(stage, MIRA)
    turn = await on.conversations.greetings.begin(HERE, BOB)
    assert turn is not None
    with pytest.raises(NotAllowed, match="as its author wrote it"):
        await on.conversations.regenerate(turn.turn_id)


@pytest.mark.parametrize("says_more", [False, True])
async def test_only_a_greeting_that_stands_alone_is_taken_back(
    stage: Stage, says_more: bool
) -> None:
    on = with_personas(stage, MIRA)
    turn = await on.conversations.greetings.begin(HERE, BOB)
    if says_more:
        await on.say("Hello!")
    assert await on.conversations.greetings.taken_back(HERE) == (None if says_more else turn)


async def test_nothing_is_taken_back_where_nothing_was_said(stage: Stage) -> None:
    elsewhere = ChannelKey("discord", "300", guild_id="1")
    assert await stage.conversations.greetings.taken_back(elsewhere) is None
