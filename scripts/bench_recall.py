"""How often an old fact is in the prompt when somebody asks for it, with recall and without.

Makes a conversation of 2,000 turns of several people with a bot, in which 100 facts
(`recall_facts.tsv`) are each said once, between talk about much the same people and things. Then
asks for every fact in other words, and looks whether the fact stands in the prompt. Prints a table,
and JSON with `--json FILE`:

    PYTHONPATH=. python scripts/bench_recall.py [--context 4096] [--database URL]

Tokens are counted as the scripted engine counts them: of such texts, about as many as a model's.
"""

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

from bot.chat.engines import Engines
from bot.chat.messages import (
    ChannelKey,
    GenerationRecord,
    GenerationStatistics,
    IncomingMessage,
    Sampling,
    Speaker,
    TurnState,
)
from bot.chat.persona import Persona
from bot.chat.roleplay.memory.recall import Recall
from bot.chat.settings import SettingsCascade
from bot.chat.talk.conversations import Conversations
from bot.engine.api import FinishReason
from bot.engine.fake import FakeEngine
from bot.store.database import Database

FACTS = Path(__file__).with_name("recall_facts.tsv")
TURNS = 2_000
CHANNEL = ChannelKey("bench", "1")
BEGAN = datetime(2025, 1, 1, tzinfo=UTC)
MINUTES = timedelta(minutes=10)  # between what is said
LATER = 4 * TURNS  # when the questions are asked
PEOPLE = ("Ann", "Ben", "Cleo", "Dov")
PERSONA = Persona(id="bench:quill", name="Quill", description="{{char}} listens well.")
BOT = Speaker("bot", "Caduceus", is_bot=True)
SMALL_TALK = (
    "I think we should ask {name} about it tomorrow.",
    "Did anybody see what {name} did with the {thing}?",
    "The {thing} looked different in the morning light.",
    "Honestly, I would rather talk about the {thing}.",
    "{name} said something funny about the {thing} again.",
    "It rained all day, so I stayed in and read.",
    "What do you all want to eat tonight?",
    "I keep dreaming of the {thing}, no idea why.",
    "Let us go on with the story where we stopped.",
    "We walk on along the road until {name} stops and listens.",
    "That reminds me, has {name} written back yet?",
    "No, the other {thing}, the one that we talked about.",
    "I was at work until late, nothing much happened.",
    "Who wants to look at the {thing} with me?",
    "Fine, then we leave the {thing} where it is.",
    "I bought new shoes, they hurt a little.",
)
ANSWERS = (
    "That sounds like {name}.",
    "The {thing} again? You do like it.",
    "I see. And what happened then?",
    "Let us find out together.",
    "I would be careful with the {thing}.",
    "We could ask {name}, if you like.",
    "Good night, and sleep well.",
    "Tell me more of that when you have the time.",
)


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured."""

    recall: bool
    asked: int
    in_prompt: int
    prompt_tokens: int  # of the middle prompt
    recalled_tokens: int
    prepare_ms: float  # of the middle one: everything before the engine is asked
    missed: tuple[str, ...]


def read_facts() -> list[tuple[str, str]]:
    """Each fact with the question for it."""
    lines = FACTS.read_text("utf-8").splitlines()
    return [(fact, question) for fact, question in (line.split("\t") for line in lines)]


def conversation(facts: Sequence[str], turns: int, random: Random) -> Iterator[tuple[str, str]]:
    """Who says what; the bot has every second turn. The facts are in the first nine tenths."""
    names = [word for fact in facts for word in fact.split() if word.isalpha() and word.istitle()]
    names = [name for name in names if len(name) > 4]
    things = [word.strip(".,") for fact in facts for word in fact.split() if word.islower()]
    things = [thing for thing in things if len(thing) > 4]
    places = sorted(random.sample(range(0, turns * 9 // 10, 2), len(facts)))
    planted = dict(zip(places, random.sample(facts, len(facts)), strict=True))
    for place in range(turns):
        said = random.choice(ANSWERS if place % 2 else SMALL_TALK)
        said = said.format(name=random.choice(names), thing=random.choice(things))
        yield "" if place % 2 else random.choice(PEOPLE), planted.get(place, said)


async def fill(database: Database, said: Sequence[tuple[str, str]]) -> None:
    """Let it all have been said."""
    history = database.history
    asked: list[int] = []
    for number, (who, text) in enumerate(said):
        if who:
            turn = await history.add_message(message(number, who, text), addressed=True)
            asked = [] if turn is None else [turn.turn_id]
            continue
        reply = await history.begin_reply(CHANNEL, BOT, persona="Quill", answers=asked)
        shown = (text, [f"m{number}"])
        await history.finish_reply(reply.turn_id, TurnState.WHOLE, record(), shown=shown)


def message(number: int, who: str, text: str) -> IncomingMessage:
    """What somebody says, ten minutes after what was said before."""
    return IncomingMessage(
        message_id=f"m{number}",
        channel=CHANNEL,
        author=Speaker(who.lower(), who),
        text=text,
        sent_at=BEGAN + number * MINUTES,
        mentions_bot=True,
    )


def record() -> GenerationRecord:
    """How a reply came to be, which nobody asks for here."""
    took = GenerationStatistics("none", 1, 1, 0, 1, 0.0, 0.0, 0.0)
    return GenerationRecord(
        "", "alpaca", "Quill", None, None, Sampling(), FinishReason.STOP, took, BEGAN
    )


async def measure(
    database: Database, facts: Sequence[tuple[str, str]], *, recall: bool, context_tokens: int
) -> Figures:
    """Ask for every fact, each time as if the other questions had not been asked."""
    engine = FakeEngine(("Yes.",), context_tokens=context_tokens)
    await engine.start()
    personas = OnePersona()
    core = Conversations(
        database.history,
        SettingsCascade(database.settings, personas),
        personas,
        Engines.only(engine),
        clock=lambda: BEGAN + LATER * MINUTES,
        memory=Recall(database.search, database.history) if recall else None,
    )
    missed: list[str] = []
    seconds: list[float] = []
    prompts: list[int] = []
    recalled: list[int] = []
    for number, (fact, question) in enumerate(facts):
        asked = message(LATER, "Ann", question)
        await core.hear(replace(asked, message_id=f"q{recall}{number}"))
        began = time.perf_counter()
        reply = await core.next_reply(CHANNEL)
        if reply is None:
            raise RuntimeError("There was nothing to answer.")
        async with reply:
            async for piece in reply:
                seconds.append(time.perf_counter() - began)
                await reply.shown(piece, [f"r{recall}{number}"], last=True)
        if fact not in engine.requests[-1].prompt:
            missed.append(fact)
        why = await core.why(reply.turn.turn_id)
        prompts.append(why.prompt.tokens)
        recalled.append(sum(one.tokens for one in why.sections if one.name == "recall"))
        await core.undo(CHANNEL)
    await core.close(0)
    return Figures(
        recall,
        len(facts),
        len(facts) - len(missed),
        int(statistics.median(prompts)),
        int(statistics.median(recalled)),
        round(1000 * statistics.median(seconds), 1),
        tuple(missed),
    )


class OnePersona:
    """A persona that is simply there."""

    async def listed(self, guild_id: str | None) -> list[Persona]:
        """It alone."""
        return [PERSONA]

    async def find(self, guild_id: str | None, reference: str) -> Persona | None:
        """It, whoever is asked for."""
        return PERSONA

    async def by_ids(self, guild_id: str | None, ids: Sequence[str]) -> dict[str, Persona]:
        """It, whoever is asked for."""
        return dict.fromkeys(ids, PERSONA)

    async def at_version(
        self, guild_id: str | None, persona_id: str, version: str
    ) -> Persona | None:
        """It has but one."""
        return PERSONA

    async def default(self) -> Persona:
        """It."""
        return PERSONA

    def problems(self) -> dict[str, str]:
        """None."""
        return {}


async def run(url: str, context_tokens: int, turns: int) -> list[Figures]:
    """With recall and without."""
    facts = read_facts()
    database = await Database.open(url)
    try:
        said = list(conversation([fact for fact, _ in facts], turns, Random(7)))  # noqa: S311
        await fill(database, said)
        await database.search.index_all()
        return [
            await measure(database, facts, recall=recall, context_tokens=context_tokens)
            for recall in (False, True)
        ]
    finally:
        await database.close()


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--context", type=int, default=4096, help="tokens of the model's context")
    parser.add_argument("--turns", type=int, default=TURNS)
    parser.add_argument("--database", default="", help="an empty one; else a file for the while")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="caduceus-") as folder:
        url = given.database or f"sqlite+aiosqlite:///{folder}/bench.db"
        figures = asyncio.run(run(url, given.context, given.turns))
    print("| recall | facts in the prompt | prompt | of that recalled | before the engine |")  # noqa: T201
    print("|---|---|---|---|---|")  # noqa: T201
    for one in figures:
        print(  # noqa: T201
            f"| {'on' if one.recall else 'off'} | {one.in_prompt} of {one.asked} "
            f"| {one.prompt_tokens} tokens | {one.recalled_tokens} | {one.prepare_ms} ms |"
        )
    print("missed with recall:", *figures[-1].missed, sep="\n  ")  # noqa: T201
    if given.json is not None:
        given.json.write_text(json.dumps([asdict(one) for one in figures], indent=1), "utf-8")


if __name__ == "__main__":
    main()
