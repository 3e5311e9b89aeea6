"""Scenes in the talk: who is answered by whom, what the model is told, and how they end."""

import asyncio
import json
from dataclasses import replace

import pytest
from conversing import HERE, THERE, Stage

from bot.chat.limits.gate import Access
from bot.chat.messages import QuotedMessage, Speaker
from bot.chat.persona import Persona
from bot.chat.roleplay.scenes.changes import paused, resumed, with_note, with_persona
from bot.chat.roleplay.scenes.scene import Mode, Scene
from bot.chat.talk.directing import Director
from bot.engine.api import GenerationRequest
from bot.engine.fake import FakeEngine
from bot.errors import NotAllowed, NotFound

MIRA = Persona(
    id="test:mira",
    name="Mira",
    description="{{char}} keeps a light. {{user}} is {{persona}}.",
    greeting="Welcome, {{user}}.",
    talkativeness=1.0,
)
BRAM = Persona(
    id="test:bram",
    name="Bram",
    nickname="Skipper",
    description="{{char}} sails.",
    scenario="A calm sea.",
)
NESSA = Persona(id="test:nessa", name="Nessa", description="{{char}} swims.")
BOB = Speaker("bob", "Bob")


class Play:
    """A scene of Mira and Bram; each says who they are."""

    def __init__(self, stage: Stage, said: dict[str, str]) -> None:
        def script(request: GenerationRequest) -> str:
            told = request.prompt
            if "keep the record" in told:
                return "They met."
            does = {"keeps a light": "Mira", "sails": "Skipper", "swims": "Nessa"}
            who = next(name for words, name in does.items() if words in told)
            return said.get(who, f"I am {who}.")

        stage.engine = FakeEngine(script)
        stage.personas.personas = [NESSA, MIRA, BRAM]
        self.stage = stage
        self.director: Director = stage.direct()
        self.scene: Scene

    async def start(self, mode: Mode = Mode.FREE, scenario: str = "") -> Scene:
        cast = [MIRA, BRAM]
        scene, self.greeting = await self.director.start(
            HERE, "The light", cast, BOB, scenario=scenario
        )
        self.scene = await self.director.take_turns(scene, mode)
        return self.scene

    async def say(self, text: str, **details: object) -> list[str]:
        """Somebody speaks to nobody in particular; who answers."""
        await self.stage.overhear(text, **details)
        return await self.answers()

    async def answers(self) -> list[str]:
        spoke: list[str] = []
        while reply := await self.stage.answer():
            spoke.append(reply.persona_name)
            assert len(spoke) < 20
        return spoke


async def test_every_message_but_asides_is_answered_by_one(stage: Stage) -> None:
    play = Play(stage, {})
    assert await play.say("Before it") == []
    await play.start()
    assert play.greeting is not None
    assert [turn.text for turn in await stage.turns()] == ["Welcome, Bob."]
    assert await play.say("It rains.") == ["Bram"]  # Mira has just spoken
    assert await play.say("It snows.") == ["Mira"]
    assert await play.say("Skipper?") == ["Bram"]
    assert await play.say("Skipper? Again!") == ["Bram"]
    assert await play.say("Mira and Bram, come here") == ["Mira", "Bram"]
    for aside in ("((brb))", "// phone"):
        heard = await stage.overhear(aside)
        assert (heard.kept, heard.addressed) == (False, False)
    assert (await stage.say("I am a bot", is_bot=True, mention=False)).addressed is False
    assert "Before it" not in stage.prompt


async def test_who_only_stands_in_a_file_or_a_mention_is_not_named(stage: Stage) -> None:
    play = Play(stage, {})
    await play.start()
    text = "@Mira, look\n[file list.txt]\nMira and Bram"
    message = replace(stage.message(text, mention=False), words=" , look")
    await stage.conversations.hear(message)
    assert await play.answers() == ["Bram"]
    await stage.conversations.hear(
        replace(stage.message(text, mention=False, message_id="9"), words="look")
    )
    await stage.conversations.edited_message(
        replace(stage.message(text, mention=False, message_id="9"), words="look, Bram")
    )
    assert await play.answers() == ["Bram"]


async def test_in_turn_and_only_by_name(stage: Stage) -> None:
    play = Play(stage, {})
    scene = await play.start(Mode.ROUND)
    order = [await play.say(text) for text in ("One.", "Mira?", "Three.")]
    assert order == [["Bram"], ["Mira"], ["Bram"]]
    await play.director.take_turns(scene, Mode.NAMED)
    assert not (await stage.say("Anybody?")).addressed  # though the bot was mentioned
    assert await play.answers() == []
    assert await play.say("Mira, who was that?") == ["Mira"]
    assert "Anybody?" in stage.prompt, "what nobody answers belongs to the scene"
    newest = (await stage.turns())[-1]
    quote = QuotedMessage(newest.message_ids[0], newest.speaker, newest.text)
    assert await play.say("You?", reply_to=quote, to_bot=True) == ["Mira"]
    heard = await stage.overhear("Hm")
    assert heard.turn is not None
    edited = stage.message("Hm, Bram", mention=False, message_id=heard.turn.message_ids[0])
    assert (await stage.conversations.edited_message(edited)).addressed
    assert await play.answers() == ["Bram"]


async def test_chains_are_bounded(stage: Stage) -> None:
    play = Play(stage, {"Mira": "Skipper, you?", "Skipper": "No, Mira!"})
    await play.start()
    assert await play.say("Mira?") == ["Mira", "Bram", "Mira"]
    await stage.set("persona_chain", 0)
    assert await play.say("Mira?") == ["Mira"]


async def test_a_restart_between_two_of_the_cast_loses_neither_and_a_pause_holds(
    stage: Stage,
) -> None:
    play = Play(stage, {})
    scene = await play.start()
    await stage.overhear("Mira and Skipper?")
    await stage.answer()
    await play.director.change(scene, paused)
    play.director = stage.direct()  # as after a restart
    assert await play.answers() == []
    await play.director.change(await play.director.playing(HERE), resumed)
    assert await play.answers() == ["Bram"]
    play.director = stage.direct()
    assert await play.answers() == []


async def test_nobody_answers_while_it_is_paused(stage: Stage) -> None:
    play = Play(stage, {})
    scene = await play.start()
    waiting = await stage.overhear("Wait for me")
    assert waiting.addressed
    await play.director.change(scene, paused)
    with pytest.raises(NotAllowed, match="paused already"):
        await play.director.change(scene, paused)
    assert await play.say("Mira?") == []
    with pytest.raises(NotAllowed, match="paused"):
        await play.director.let_speak(await play.director.playing(HERE), MIRA, "bob")
    await play.director.change(scene, resumed)
    assert await play.answers() == ["Bram"]  # to what waited
    assert "Mira?" in stage.prompt


async def test_a_player_is_their_character(stage: Stage) -> None:
    play = Play(stage, {})
    scene = await play.start(scenario="{{char}} and {{user}} wait for the storm.")
    scene = await play.director.play(scene, "bob", "Kael", "A smith with one eye.")
    scene = await play.director.play(scene, "ann", "Bruna", "Mira: I say nothing.")
    await play.say("Mira, it rains.")
    prompt = stage.prompt
    assert "Mira and Kael wait for the storm." in prompt
    assert "never speak or act for anybody else" in prompt
    assert "Kael is A smith with one eye." in prompt  # {{persona}} of Mira's own text
    assert "Kael is played by a person. A smith with one eye." in prompt
    assert "Kael: Mira, it rains." in prompt
    assert "Bob: " not in prompt
    assert "\nMira: I say nothing" not in prompt
    stops = stage.engine.requests[-1].stop
    assert {"\nKael:", "\nBruna:"} <= set(stops), "also who has said nothing yet"
    await play.say("Skipper?")
    assert "Skipper and Kael wait for the storm." in stage.prompt
    assert "A calm sea." not in stage.prompt, "the scene's scenario stands for the persona's"
    why = await stage.conversations.why((await stage.turns())[-1].turn_id)
    assert not why.changed_since
    assert {"scenario", "characters"} <= {section.name for section in why.sections}
    with pytest.raises(NotAllowed, match="called"):
        await play.director.play(scene, "cleo", "kael", "")
    with pytest.raises(NotAllowed, match="called"):
        await play.director.play(scene, "cleo", "SKIPPER", "")


async def test_a_character_keeps_its_name_before_somebody_who_is_called_so(stage: Stage) -> None:
    play = Play(stage, {})
    scene = await play.start()
    await play.say("Mira?", by="ann")
    await play.director.play(scene, "cleo", "Ann", "A queen.")
    await play.say("Mira!", by="cleo")
    assert "Ann: Mira!" in stage.prompt
    assert "Ann (2): Mira?" in stage.prompt
    with pytest.raises(NotAllowed, match="A player is called Nessa"):
        await play.director.change(
            await play.director.play(scene, "cleo", "Nessa", ""),
            lambda now: with_persona(now, NESSA.id, "Nessa"),
        )


async def test_the_note_stands_at_its_depth(stage: Stage) -> None:
    play = Play(stage, {})
    scene = await play.start()
    await play.say("One.")
    await play.director.change(scene, lambda now: with_note(now, "{{char}} is tired.", 1))
    await play.say("Mira, two.")
    before, after = stage.prompt.split("Mira is tired.")
    assert "One." in before
    assert "two." in after
    await play.director.change(scene, lambda now: with_note(now, "", 1))
    await play.say("Mira, three.")
    assert "tired" not in stage.prompt


async def test_one_of_the_cast_speaks_when_told_to(stage: Stage) -> None:
    play = Play(stage, {})
    scene = await play.start(Mode.NAMED)
    await play.director.let_speak(scene, MIRA, "bob")
    assert await play.answers() == ["Mira"]
    assert (await stage.turns())[-1].asked_by == {"bob"}
    with pytest.raises(NotFound, match="Nessa"):
        await play.director.let_speak(scene, NESSA, "bob")
    scene = await play.director.change(scene, lambda now: with_persona(now, NESSA.id, "Nessa"))
    await play.director.let_speak(scene, NESSA, "bob")
    assert await play.answers() == ["Nessa"]


async def test_one_speaks_before_anybody_has_said_anything_and_can_be_asked_again(
    stage: Stage,
) -> None:
    play = Play(stage, {})
    stage.personas.personas = [BRAM, NESSA]
    scene, greeting = await play.director.start(HERE, "Sea", [BRAM], BOB, scenario="It is calm.")
    assert greeting is None
    await play.director.let_speak(scene, BRAM, "bob")
    assert await play.answers() == ["Bram"]
    [turn] = await stage.turns()
    await stage.show(await stage.conversations.regenerate(turn.turn_id))
    [turn] = await stage.turns()
    assert len(turn.swipes) == 2


async def test_where_the_bot_is_switched_off_a_scene_changes_nothing(stage: Stage) -> None:
    play = Play(stage, {})
    scene = await play.start()
    await stage.set("trigger", "off")
    heard = await stage.overhear("Mira?")
    assert (heard.kept, heard.addressed) == (True, False)
    with pytest.raises(NotAllowed, match="switched off"):
        await play.director.let_speak(scene, MIRA, "bob")
    await play.director.end(scene)
    with pytest.raises(NotAllowed, match="switched off"):
        await play.start()


async def test_a_reply_being_written_ends_with_its_scene(stage: Stage) -> None:
    play = Play(stage, {"Skipper": "A long story."})
    scene = await play.start()
    await stage.overhear("Skipper?")
    reply = await stage.conversations.next_reply(HERE)
    assert reply is not None
    showing = asyncio.create_task(stage.show(reply))
    ended = await play.director.end(scene)
    await showing
    assert ended.turns == len(json.loads(ended.json)["turns"])
    assert await stage.turns() == []
    assert stage.conversations.running(HERE) is None


async def test_it_survives_a_restart_and_ends_with_a_transcript(stage: Stage) -> None:
    play = Play(stage, {})
    scene = await play.start(Mode.ROUND, "A storm.")
    await play.director.play(scene, "bob", "Kael", "A smith.")
    await play.say("It rains.")
    director = stage.direct()
    await stage.overhear("It snows.")
    assert await play.answers() == ["Mira"]
    playing = await director.playing(HERE)
    assert await director.recap(playing, "bob") == "They met."
    assert "Kael: It rains." in stage.prompt
    ended = await director.end(playing)
    assert ended.turns == 5
    assert ended.markdown.startswith("# The light\n")
    assert "**Kael:** It rains.\n" in ended.markdown
    assert "**Mira:** Welcome, Bob." in ended.markdown
    document = json.loads(ended.json)
    assert document["cast"][1] == {"id": "test:bram", "name": "Bram"}
    assert [turn["name"] for turn in document["turns"]] == ["Mira", "Kael", "Bram", "Kael", "Mira"]
    assert document["turns"][0]["alternatives"] == ["Welcome, Bob."]
    with pytest.raises(NotFound):
        await director.playing(HERE)
    assert await play.say("Still there?") == []
    assert await stage.turns() == []


async def test_a_transcript_names_who_is_gone_since(stage: Stage) -> None:
    play = Play(stage, {})
    scene = await play.start()
    stage.personas.personas = [BRAM]
    ended = await play.director.end(scene)
    assert "Played by: Mira, Bram\n" in ended.markdown


async def test_a_reply_of_a_scene_that_has_ended_is_written_anew_in_it(stage: Stage) -> None:
    play = Play(stage, {})
    await play.start(scenario="A storm.")
    await play.say("It rains.")
    reply = (await stage.turns())[-1]
    await play.director.end(play.scene)
    await stage.show(await stage.conversations.regenerate(reply.turn_id))
    assert "A storm." in stage.prompt


async def test_a_fork_goes_on_by_itself(stage: Stage) -> None:
    play = Play(stage, {})
    await play.start(scenario="A storm.")
    await play.say("It rains.")
    *_, asked, reply = await stage.turns()
    fork = await play.director.fork(reply.turn_id, THERE, "ann")
    assert (fork.turns, fork.last.text) == (3, reply.text)
    heard = await stage.overhear("Elsewhere.", channel=THERE)
    assert heard.addressed
    await stage.answer(THERE)
    assert "A storm." in stage.prompt
    assert "It rains." in stage.prompt
    assert [turn.text for turn in await stage.turns()] == ["Welcome, Bob.", asked.text, reply.text]
    again, before = await play.director.fork_here(asked.turn_id, "bob")
    assert await stage.texts() == ["Welcome, Bob.", "It rains."]
    assert again.turns == 2
    await stage.history.restore(HERE, before)
    assert len(await stage.texts()) == 3


async def test_what_is_wrong_is_said_before_anything_is_kept(stage: Stage) -> None:
    play = Play(stage, {})
    with pytest.raises(NotAllowed, match="title"):
        await play.director.start(HERE, " — ", [MIRA], BOB)
    with pytest.raises(NotAllowed, match="4001 characters"):
        await play.director.start(HERE, "x", [MIRA], BOB, scenario="x" * 4_001)
    with pytest.raises(NotAllowed, match="personas"):
        await play.director.start(HERE, "x", [], BOB)
    scene = await play.start()
    with pytest.raises(NotAllowed, match="already"):
        await play.director.start(HERE, "x", [MIRA], BOB)
    await play.director.change(scene, lambda now: replace(now, cast=("gone",)))
    assert await play.say("Anybody?") == ["Nessa"]  # the channel's own, where nobody is left


async def test_a_recap_counts_for_whoever_wants_it(stage: Stage) -> None:
    play = Play(stage, {})
    scene = await play.start(Mode.ROUND, "A storm.")
    await play.say("It rains.")
    stage.keep_gate()
    director = stage.direct()
    await stage.set("daily_tokens", 1)
    bob, ann = Speaker("bob", "Bob"), Speaker("ann", "Ann")
    await director.recap(await director.playing(scene.channel), "bob")
    admitted = [
        (await stage.conversations.admit(HERE, each, asks=True)).access for each in (bob, ann)
    ]
    assert admitted == [Access.UNANSWERED, Access.ANSWERED]
