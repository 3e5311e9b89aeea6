"""A whole scene on the embedded model: thirty turns, three players, two personas."""

from collections import Counter
from pathlib import Path

import pytest
from conversing import HERE, StageMaker

from bot.chat.messages import Speaker, TurnState
from bot.chat.persona import Persona
from bot.chat.roleplay.scenes.scene import Mode
from bot.engine.building import local_engine

MIRA = Persona(
    id="test:mira",
    name="Mira",
    description="Mira keeps a lighthouse. She is calm and speaks in short sentences.",
    greeting="*Mira opens the door.* Come in, all of you.",
)
BRAM = Persona(
    id="test:bram", name="Bram", description="Bram is an old sailor who is afraid of storms."
)
PLAYERS = {"ann": "Kael", "ben": "Bruna", "cleo": "Wim"}
SAID = (
    "It is dark out there.", "Is the lamp lit?", "I hear the waves.", "Bram, have you sailed far?",
    "Mira, how old is this house?", "I am cold.", "What is that noise?", "Let us wait for morning.",
    "Who else lives here?", "I brought some bread.", "Mira and Bram, listen!", "I see a ship.",
    "The wind is turning.", "We should go down.",
)  # fmt: skip
REPLY_TOKENS = 16

pytestmark = pytest.mark.timeout(240)


async def test_thirty_turns_with_three_players_and_two_personas(
    set_stage: StageMaker, tmp_path: Path
) -> None:
    engine = local_engine("demo", tmp_path / "data", context_tokens=2048)
    await engine.start()
    try:
        stage = set_stage(engine=engine, max_reply_tokens=REPLY_TOKENS)
        stage.personas.personas = [MIRA, BRAM]
        await stage.set("persona_chain", 0)  # or a reply that names somebody sets off another one
        await stage.set("history_turns", 6)  # enough, and read in no time
        director = stage.direct()
        scene, greeting = await director.start(
            HERE, "The lighthouse", [MIRA, BRAM], Speaker("ann", "Ann"), scenario="A stormy night."
        )
        assert greeting is not None
        for player, name in PLAYERS.items():
            scene = await director.play(scene, player, name, f"{name} is a traveller.")
        for number, text in enumerate(SAID):
            if number == 11:
                director = stage.direct()  # as after a restart
                scene = await director.take_turns(scene, Mode.ROUND)
            await stage.overhear(text, by=list(PLAYERS)[number % len(PLAYERS)])
            while await stage.answer() is not None:
                pass
        turns = await stage.turns()
        assert len(turns) == 30, [turn.text for turn in turns]
        replies = [turn for turn in turns[1:] if turn.role == "bot"]
        assert all(turn.state is TurnState.WHOLE and turn.text.strip() for turn in replies)
        spoke = Counter(turn.persona for turn in replies)
        assert min(spoke[persona.name] for persona in (MIRA, BRAM)) >= 4
        lines = tuple(f"{name}:" for name in (*PLAYERS.values(), "Ann", "Ben", "Cleo"))
        written = [line for turn in replies for line in turn.text.splitlines()]
        assert not [line for line in written if line.startswith(lines)]
        why = await stage.conversations.why(replies[-1].turn_id)
        assert not why.changed_since
        assert "Kael: " in why.prompt.text
        assert "A stormy night." in why.prompt.text
        ended = await director.end(scene)
        assert ended.turns == 30
        assert ended.markdown.count("**Wim:**") == 4
    finally:
        await engine.close()
