"""Lore in replies: what fires is in the prompt, is recorded, and is explained."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from conversing import HERE, Stage
from prompting import count, request, said

from bot.chat.messages import ChannelKey, HistoryWindow
from bot.chat.persona import DepthPrompt, Persona, PersonaSampling
from bot.chat.personas.lore.book import BookKind, Lorebook, LoreEntry, Position
from bot.chat.prompt.additions import LoreQuestion, Occasion
from bot.chat.prompt.build import build_prompt
from bot.chat.prompt.system import note_part
from bot.chat.roleplay.lore import CHANNEL_PRECEDENCE, LoreReader, ShelvedBook
from bot.engine.fake import FakeEngine
from bot.errors import LorebookError

BOOK: dict[str, object] = {
    "name": "The coast",
    "extensions": {},
    "entries": [
        {"id": 1, "keys": ["dragon"], "content": "Dragons fear {{char}}.", "enabled": True,
         "insertion_order": 1, "extensions": {}, "name": "Dragons"},
        {"id": 2, "keys": ["dragon"], "content": "Knights fear dragons.", "enabled": True,
         "insertion_order": 2, "extensions": {"probability": 0, "useProbability": True},
         "name": "Knights"},
        {"id": 3, "keys": ["storm"], "content": "The storm lasts.", "enabled": True,
         "insertion_order": 3, "extensions": {"sticky": 2}, "name": "Storm"},
    ],
}  # fmt: skip
MIRA = Persona(id="test:mira", name="Mira", description="{{char}} keeps a lighthouse.")
LORED = MIRA.model_copy(update={"lorebook": BOOK})


class Shelf:
    """Books of one channel."""

    def __init__(self, *books: ShelvedBook) -> None:
        self.books = books

    async def books_for(self, channel: ChannelKey, persona: Persona) -> Sequence[ShelvedBook]:
        return self.books if channel == HERE else ()


def with_personas(stage: Stage, *personas: Persona) -> Stage:
    stage.personas.personas = list(personas)
    return stage


async def asked(stage: Stage, text: str) -> int:
    await stage.say(text)
    reply = await stage.answer()
    assert reply is not None
    return reply.turn.turn_id


async def test_what_fires_is_in_the_prompt_with_its_macros_replaced(stage: Stage) -> None:
    on = with_personas(stage, LORED)
    await asked(on, "A dragon!")
    assert "Dragons fear Mira." in on.prompt
    assert "Knights" not in on.prompt
    await asked(on, "Tell me more.")  # two messages are scanned: this one and the reply
    assert "Dragons fear" not in on.prompt


async def test_why_says_which_entry_by_which_key_from_which_book(stage: Stage) -> None:
    on = with_personas(stage, LORED)
    turn_id = await asked(on, "A dragon!")
    why = await on.conversations.why(turn_id)
    assert [(note.title, note.book) for note in why.lore.fired] == [("Dragons", "The coast")]
    assert "by its keys: «dragon» in message 1" in why.lore.fired[0].why
    (left_out,) = why.lore.left_out
    assert left_out.title == "Knights"
    assert left_out.why.startswith("chance was against it (0 %): «dragon»")
    assert not why.changed_since
    assert "lore" in [section.name for section in why.sections]


async def test_what_fired_is_recorded_and_stays_for_as_long_as_it_should(
    stage: Stage,
) -> None:
    on = with_personas(stage, LORED)
    turn_id = await asked(on, "A storm!")
    record = await on.history.generation(turn_id, 0)
    assert record is not None
    assert record.occasion is not None
    assert [(each.book_id, each.entry, each.at) for each in record.occasion.lore] == [
        ("persona:test:mira", "3", 1)
    ]
    on.start_again()
    await asked(on, "Well?")  # the third message: two after it fired
    assert "The storm lasts." in on.prompt
    await asked(on, "Well?")
    assert "The storm lasts." not in on.prompt


async def test_what_a_deleted_reply_set_off_is_undone(stage: Stage) -> None:
    on = with_personas(stage, LORED)
    heard = await on.say("A storm!")
    reply = await on.answer()
    assert reply is not None
    assert heard.turn is not None
    await on.conversations.delete_turn(reply.turn.turn_id)
    await on.conversations.delete_turn(heard.turn.turn_id)
    await asked(on, "Well?")
    assert "The storm lasts." not in on.prompt


async def test_decorators_count_the_bots_replies(stage: Stage) -> None:
    entry = {"id": 1, "keys": ["x"], "constant": True, "enabled": True, "insertion_order": 1,
             "content": "@@activate_only_every 2\nEvery other time.", "extensions": {}}  # fmt: skip
    book: dict[str, object] = {"name": "Odd", "extensions": {}, "entries": [entry]}
    on = with_personas(stage, MIRA.model_copy(update={"lorebook": book}))
    await on.set("history_turns", 1)
    told: list[bool] = []
    for _ in range(5):
        await asked(on, "Hm?")
        told.append("Every other time." in on.prompt)
    assert told == [True, False, True, False, True]


async def test_a_channels_books_count_beside_the_personas(stage: Stage) -> None:
    entry = LoreEntry("a", keys=("dragon",), content="Here be none.")
    book = Lorebook(BookKind.WORLD_INFO, name="Here", entries=(entry,))

    def broken() -> Lorebook:
        raise LorebookError("odd.json is no lorebook.", "Use one.")

    on = with_personas(stage, LORED)
    on.shelf = Shelf(
        ShelvedBook("lore:1", CHANNEL_PRECEDENCE, lambda: book),
        ShelvedBook("lore:2", CHANNEL_PRECEDENCE, broken),
    )
    on.start_again()
    turn_id = await asked(on, "A dragon!")
    assert "Here be none." in on.prompt
    assert "Dragons fear Mira." in on.prompt
    why = await on.conversations.why(turn_id)
    assert why.lore.problems == ("odd.json is no lorebook.",)


async def test_chance_is_the_replys_own_and_its_prompt_can_be_rebuilt(stage: Stage) -> None:
    rolling = MIRA.model_copy(update={"description": "{{roll:1000000}} {{time}} {{pick:a,b}}"})
    on = with_personas(stage, rolling)
    turn_id = await asked(on, "Hi")
    first = on.prompt
    assert "{{" not in first
    assert (await on.conversations.why(turn_id)).prompt.text == first
    async with await on.conversations.regenerate(turn_id) as reply:
        async for text in reply:
            await reply.shown(text, ["m"])
    assert on.prompt != first
    assert not (await on.conversations.why(turn_id)).changed_since


async def test_a_reply_that_goes_on_keeps_its_lore(stage: Stage) -> None:
    rolling = MIRA.model_copy(update={"description": "{{roll:1000000}}"})
    on = with_personas(stage, rolling)
    turn_id = await asked(on, "Hi")
    first = on.prompt
    await on.show(await on.conversations.continue_reply(turn_id))
    assert on.prompt.startswith(first.rstrip())


async def test_macros_in_what_people_say_stay_in_names_too(stage: Stage) -> None:
    on = with_personas(stage, LORED)
    await asked(on, "{{roll:6}} {{description}} dragon")
    assert "{{roll:6}} {{description}} dragon" in on.prompt


@pytest.mark.parametrize(
    ("set_here", "expected"),
    [({}, (1.5, 100)), ({"temperature": 0.1}, (0.1, 100)), ({"max_reply_tokens": 64}, (1.5, 64))],
)
async def test_a_personas_sampling_is_within_what_moderators_set(
    stage: Stage, set_here: dict[str, float], expected: tuple[float, int]
) -> None:
    own = PersonaSampling(temperature=1.5, max_reply_tokens=100)
    on = with_personas(stage, MIRA.model_copy(update={"sampling": own}))
    for key, value in set_here.items():
        await on.set(key, value)
    await asked(on, "Hi")
    request = on.engine.requests[-1]
    assert (request.sampling.temperature, request.max_tokens) == expected


async def test_a_personas_stop_word_ends_its_reply(stage: Stage) -> None:
    on = with_personas(stage, MIRA.model_copy(update={"stop_words": ("[END]", "{{user}} nods")}))
    on.engine = FakeEngine(["Well. [END] And more.", "Hm. Bob nods. And more."])
    on.start_again()
    for expected in ("Well.", "Hm."):
        await on.say("Hi")
        await on.answer()
        assert on.shown.strip() == expected


async def test_lore_stands_beside_the_authors_note(stage: Stage) -> None:
    entries = tuple(
        LoreEntry(str(at), constant=True, content=text, position=position)
        for at, (text, position) in enumerate(
            [("Above it.", Position.NOTE_TOP), ("Below it.", Position.NOTE_BOTTOM)]
        )
    )
    book = Lorebook(BookKind.WORLD_INFO, name="Here", entries=entries)
    on = with_personas(stage, MIRA)
    note = note_part(DepthPrompt(text="{{char}} is tired.", depth=1))
    for shelf, expected in (
        (None, "\nMira is tired.\n"),
        (
            Shelf(ShelvedBook("lore:1", CHANNEL_PRECEDENCE, lambda: book)),
            "\nAbove it.\nMira is tired.\nBelow it.\n",
        ),
    ):
        asked_now = LoreQuestion(HERE, MIRA, HistoryWindow(1, ()), 0, 2048, Occasion(), 1, note)
        lore = await LoreReader(on.history, shelf).tell(asked_now)
        talk = (said("Alex", "One"), said("Alex", "Two"))
        made = await build_prompt(replace(request(*talk, persona=MIRA), lore=lore), count)
        assert f"One\n\n### Input:{expected}\n### Instruction:\nTwo" in made.text
