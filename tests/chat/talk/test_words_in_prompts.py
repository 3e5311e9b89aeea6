"""Names, personas, lore and what else the model is told: without what a guild does not want."""

from dataclasses import replace

import pytest
from conversing import ADA, BYRON, HERE, Stage
from test_words_in_talk import with_words

from bot.chat.limits.words import reading
from bot.chat.limits.words.word import GuildWord, Side
from bot.chat.messages import QuotedMessage, Speaker
from bot.chat.persona import DepthPrompt, Persona
from bot.chat.prompt.parts import Part, Place, Priority
from bot.chat.prompt.recollection import (
    MemoryNote,
    MemoryQuestion,
    Recollection,
    memory_budget,
)
from bot.chat.text.forbidden.redaction import Then

BOOK: dict[str, object] = {
    "name": "Foul book",
    "extensions": {},
    "entries": [
        {"id": 1, "keys": ["day"], "content": "It is foul, says {{char}}.", "enabled": True,
         "insertion_order": 1, "extensions": {}, "name": "Foul title"},
    ],
}  # fmt: skip


class Remembers:
    """A memory that always tells the same."""

    def __init__(self, text: str) -> None:
        budget = memory_budget("facts", 4096)
        self.part = Part("facts", text, Place.AFTER_PERSONA, Priority.IMPORTANT, budget=budget)

    async def recollect(self, question: MemoryQuestion) -> Recollection:
        del question
        note = MemoryNote("Fact", self.part.text, "for «foul»", self.part)
        return Recollection((self.part,), (note,))


TEXTS = [
    *("nickname", "description", "personality", "scenario", "greeting", "example_dialogue"),
    *("system_text", "closing_reminder"),
]


def foul(**texts: object) -> Persona:
    return BYRON.model_copy(update=texts)


async def prompt_of(stage: Stage, persona: Persona, text: str = "a fine day") -> str:
    stage.personas.personas = [persona]
    await stage.say(text)
    reply = await stage.answer()
    assert reply is not None
    return stage.prompt


@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize("field", TEXTS)
async def test_a_persona_is_without_the_words(stage: Stage, field: str, side: Side) -> None:
    with_words(stage, GuildWord("foul", Then.STOP, side))
    told = await prompt_of(stage, foul(**{field: "So foul, and {{char}}"}))
    assert "foul" not in told.casefold()
    assert "So ████, and" in told


async def test_so_are_its_name_its_note_and_its_lore(stage: Stage) -> None:
    with_words(stage, GuildWord("foul"))
    note = DepthPrompt(text="Foul note.", depth=0)
    persona = foul(name="Foul Byron", depth_prompt=note, lorebook=BOOK)
    told = await prompt_of(stage, persona)
    assert "foul" not in told.casefold()
    assert "It is ████, says ████ Byron." in told
    assert "████ note." in told
    [turn] = [each for each in await stage.turns() if each.role == "bot"]
    assert turn.persona == "Foul Byron"  # what is kept is as it was
    why = await stage.conversations.why(turn.turn_id)
    assert why.persona.name == "Foul Byron"
    assert not why.changed_since
    [fired] = why.lore.fired
    assert (fired.title, fired.book) == ("████ title", "████ book")


async def test_so_are_the_names_of_people_and_of_other_personas(stage: Stage) -> None:
    await stage.set("context", "channel")
    await stage.conversations.hear(
        replace(stage.message("hello"), author=Speaker("7", "Foul Fred"))
    )
    await stage.answer()
    with_words(stage, GuildWord("foul"))
    stage.personas.personas = [foul(name="Foul Byron")]
    await stage.say(
        "what did they say?", reply_to=QuotedMessage("9", Speaker("9", "Foul Fay"), "Foul.")
    )
    await stage.answer()
    assert "foul" not in stage.prompt.casefold()
    assert "████ Fred" in stage.prompt
    assert "████ Fay" in stage.prompt


@pytest.mark.parametrize("side", [Side.IN, Side.BOTH])
async def test_so_is_what_is_remembered_and_what_explains_it(stage: Stage, side: Side) -> None:
    with_words(stage, GuildWord("foul", Then.STOP, side))
    stage.memory = Remembers("Foul Fred lost a foul key.")
    stage.start_again()
    assert "████ Fred lost a ████ key." in await prompt_of(stage, BYRON)
    why = await stage.conversations.why((await stage.turns())[-1].turn_id)
    assert not why.changed_since
    [note] = why.memory.notes
    assert (note.title, note.why) == ("████ Fred lost a ████ key.", "for «████»")


@pytest.mark.parametrize("side", [Side.IN, Side.BOTH])
async def test_so_is_what_people_wrote_for_a_scene(stage: Stage, side: Side) -> None:
    with_words(stage, GuildWord("foul", Then.STOP, side))
    stage.personas.personas = [ADA]
    director = stage.direct()
    bob = Speaker("bob", "Bob")
    scene, _ = await director.start(HERE, "Isle", [ADA], bob, scenario="A foul {{char}} isle.")
    await director.play(scene, "bob", "Foul Fred", "A foul face.")
    await stage.overhear("Ada?")
    assert await stage.answer() is not None
    told = stage.prompt
    assert "foul" not in told.casefold()
    for text in ("A ████ Ada isle.", "████ Fred is played by a person. A ████ face."):
        assert text in told


@pytest.mark.parametrize(
    "text",
    [
        "fo{{// nothing }}ul",
        "f{{noop}}oul",
        "{{reverse:luof}}",
        "{{pick::foul}}",
    ],
)
async def test_a_word_that_macros_make_is_masked_too(stage: Stage, text: str) -> None:
    with_words(stage, GuildWord("foul"))
    told = await prompt_of(stage, foul(description=f"Byron is {text} today."))
    assert "Byron is ████ today." in told


async def test_it_is_read_by_the_list_of_now(stage: Stage) -> None:
    store = with_words(stage, GuildWord("foul"))
    assert "████ weather" in await prompt_of(stage, foul(description="Of foul weather."))
    store.listed = []
    assert "foul weather" in await prompt_of(stage, foul(description="Of foul weather."))


async def test_a_list_is_read_once_for_a_prompt(stage: Stage, counted: list[str]) -> None:
    await prompt_of(stage, foul(description="Of foul weather."))
    # For the message, for the prompt, and for the reply that is filtered by it.
    assert len(counted) == 3


@pytest.fixture
def counted(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    store, asked = with_words(stage, GuildWord("foul")), list[str]()
    words = store.words

    async def noted(guild: tuple[str, str]) -> list[GuildWord]:
        asked.append(guild[1])
        return await words(guild)

    monkeypatch.setattr(store, "words", noted)
    return asked


async def test_long_texts_are_looked_through_off_the_loop_in_one_go(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_threads: list[str] = []
    to_thread = reading.asyncio.to_thread

    async def noted(work: object, *args: object) -> object:
        in_threads.append(getattr(work, "__qualname__", ""))
        return await to_thread(work, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(reading.asyncio, "to_thread", noted)
    with_words(stage, GuildWord("foul"))

    def screened() -> int:
        return len([name for name in in_threads if "screen" in name or "window" in name])

    await stage.set("context", "channel")
    await stage.say("a foul day")
    assert screened() == 0
    await stage.say("a foul day " * reading.AT_ONCE_CHARACTERS)
    assert screened() == 1
    for _ in range(8):
        await stage.overhear("a fine day " * 20)
    before = screened()
    await stage.answer()
    assert screened() == before + 1
    assert "foul" not in stage.prompt


def test_no_part_of_a_long_text_is_masked_because_patterns_took_their_time() -> None:
    patterns = [GuildWord(f"/qu{letter}+x[a-f]s?/") for letter in "abcdefghijklmnopqrstuvwxy"]
    text = "quiet words of a long, long text, " * 3_000
    assert reading.GuildReading(patterns).said(text) == text
