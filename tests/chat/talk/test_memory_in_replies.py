"""Memory in replies: it stands before the history, and «Why this reply?» tells of it."""

from conversing import HERE, Stage

from bot.chat.prompt.parts import Part, Place, Priority, TokenBudget
from bot.chat.prompt.recollection import (
    JoinedMemory,
    MemoryNote,
    MemoryQuestion,
    MemoryTeller,
    Recollection,
)


class Remembering:
    """Remembers the same texts always."""

    def __init__(self, *texts: str, tokens: int = 100) -> None:
        self.texts = texts
        self.budget = TokenBudget("memory", tokens)
        self.asked: list[MemoryQuestion] = []

    async def recollect(self, question: MemoryQuestion) -> Recollection:
        self.asked.append(question)
        return Recollection(
            tuple(self.part(text) for text in self.texts),
            tuple(MemoryNote("Fact", text, "pinned here") for text in self.texts),
        )

    def part(self, text: str) -> Part:
        return Part(
            "memory", text, Place.BEFORE_HISTORY, Priority.IMPORTANT, budget=self.budget, joint="\n"
        )


async def asked(stage: Stage, memory: MemoryTeller, *texts: str) -> int:
    stage.memory = memory
    stage.start_again()
    turns: list[int] = []
    for text in texts or ("Hello!",):
        await stage.say(text)
        reply = await stage.answer()
        assert reply is not None
        turns.append(reply.turn.turn_id)
    return turns[-1]


async def test_what_is_remembered_stands_before_the_history_and_is_explained(stage: Stage) -> None:
    memory = JoinedMemory([Remembering("Ann is allergic to nuts."), Remembering("It is winter.")])
    turn_id = await asked(stage, memory, "Hello!", "What is for dinner?")
    places = [
        stage.prompt.index(text)
        for text in ("Ann is allergic", "It is winter.", "Hello!", "dinner")
    ]
    assert places == sorted(places)
    why = await stage.conversations.why(turn_id)
    assert [note.title for note in why.memory.notes] == [
        "Ann is allergic to nuts.",
        "It is winter.",
    ]
    assert "memory" in [section.name for section in why.sections]
    assert not why.changed_since


async def test_memory_is_asked_for_the_reply_that_is_written(stage: Stage) -> None:
    memory = Remembering()
    turn_id = await asked(stage, memory, "Hello!", "What is for dinner?")
    question = memory.asked[-1]
    assert question.channel == HERE
    assert question.persona.name == "Ada"
    assert question.window.turns[-1].text == "What is for dinner?"
    assert question.before_turn == turn_id


async def test_what_has_no_room_in_its_budget_is_left_out_and_named(stage: Stage) -> None:
    memory = Remembering("It rained. " * 40, "Ann is allergic to nuts.", tokens=30)
    turn_id = await asked(stage, memory)
    assert "Ann is allergic" in stage.prompt
    assert "It rained" not in stage.prompt
    why = await stage.conversations.why(turn_id)
    assert [(left.what, left.turns) for left in why.prompt.left_out] == [("memory", 1)]
