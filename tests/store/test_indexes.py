"""What is asked often, or of tables that grow, is found by an index and not read through."""

from collections.abc import Callable

import pytest
from plans import tables_read_whole
from sqlalchemy import Connection, select
from store_samples import ANN, CHANNEL, MORNING, Talk

from bot.chat.moderation.purges import PurgeWish
from bot.chat.privacy.people import Mark, Person, Place
from bot.store.database import Database
from bot.store.memory.staleness import forget_written_about, mark_stale_among
from bot.store.moderation import purging
from bot.store.privacy import ageing, made, measures, names, people, said
from bot.store.scenes.tables import SceneRow, is_copy_of_others, is_of_who_stays_out
from bot.store.turns import conversations

GROW = {"turns", "messages", "swipes", "generations", "turn_askers", "derived", "derived_from"} | {
    *("summary_sections", "scenes", "scene_characters", "conversations"),
}
SHE = Person("discord", ANN.speaker_id)
HERE = Place(1, CHANNEL)

ASKED: dict[str, Callable[[Connection], object]] = {
    "copies of scenes": lambda connection: connection.execute(
        select(SceneRow.id).where(SceneRow.id == 1, is_copy_of_others() | is_of_who_stays_out())
    ),
    "places of a person": lambda connection: people.places(connection, SHE),
    "what a person says": lambda connection: people.said_by_them(connection, SHE, HERE, (0, 0), 9),
    "what others say": lambda connection: people.said_by_others(connection, SHE, HERE, (0, 0), 9),
    "replies since": lambda connection: people.replies_since(connection, HERE, Mark(0, 0)),
    "names": lambda connection: names.remove_names(connection, SHE),
    "old turns": lambda connection: ageing.old_turns(connection, HERE, MORNING, 9),
    "old rest": lambda connection: ageing.remove_old_rest(connection, HERE, MORNING),
    "an edited turn's summaries": lambda connection: mark_stale_among(connection, [1]),
    "a deleted turn's summaries": lambda connection: forget_written_about(connection, [1]),
    "the window": lambda connection: conversations.window(connection, CHANNEL, 9),
    "messages to hand out": lambda connection: said.messages(connection, "discord", "1", 0),
    "quotes to hand out": lambda connection: said.quotes(connection, "discord", "1", 0),
    "blocks to hand out": lambda connection: measures.blocks(connection, "discord", "1", 0),
    "facts to hand out": lambda connection: made.facts(connection, "discord", "1", 0),
}


@pytest.mark.parametrize("asked", ASKED)
async def test_nothing_that_grows_is_read_through(database: Database, asked: str) -> None:
    whole = await tables_read_whole(database.history.transactions, ASKED[asked])

    assert not whole & GROW


async def test_copies_in_forks_are_found_by_their_time(database: Database, talk: Talk) -> None:
    await talk.ask("a word that is to go")
    plan = await database.purges.plan(PurgeWish(CHANNEL, speaker_id=ANN.speaker_id))

    whole = await tables_read_whole(
        database.history.transactions,
        lambda connection: purging.channels_with_copies(connection, plan),
    )

    assert plan.turns
    assert not whole & GROW
