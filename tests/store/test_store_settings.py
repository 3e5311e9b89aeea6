"""Raw setting values and their history."""

import asyncio

import pytest

from bot.chat.messages import JsonValue, Scope
from bot.errors import SettingChanged
from bot.store.database import Database

GUILD = (Scope.GUILD, "discord:1")
CHANNEL = (Scope.CHANNEL, "discord:100")


async def test_values_are_set_replaced_and_taken_back(database: Database) -> None:
    settings = database.settings
    assert await settings.values([GUILD, CHANNEL]) == {}
    assert await settings.revision() == 0
    first = await settings.change(*GUILD, "temperature", 0.5, by="ann")
    assert (first.old, first.new, first.changed_by) == (None, 0.5, "ann")
    second = await settings.change(*GUILD, "temperature", 1.0, by="ben")
    assert (second.old, second.new) == (0.5, 1.0)
    await settings.change(*CHANNEL, "trigger", "always", by="ann")
    assert await settings.values([GUILD, CHANNEL]) == {
        GUILD: {"temperature": 1.0},
        CHANNEL: {"trigger": "always"},
    }
    assert await settings.values([CHANNEL]) == {CHANNEL: {"trigger": "always"}}
    assert await settings.values([]) == {}
    third = await settings.change(*GUILD, "temperature", None, by="ann")
    assert (third.old, third.new) == (1.0, None)
    assert await settings.values([GUILD]) == {}
    again = await settings.change(*GUILD, "temperature", None, by="ann")
    assert (again.old, again.new) == (None, None)
    assert await settings.revision() == again.change_id


@pytest.mark.parametrize(
    "value", ["", "text", 0, 7, 0.1, True, False, [], ["a", "b"], "ünï 👋", "{'not': json}"]
)
async def test_a_value_comes_back_as_it_was(database: Database, value: JsonValue) -> None:
    change = await database.settings.change(*GUILD, "key", value, by="ann")
    stored = (await database.settings.values([GUILD]))[GUILD]["key"]
    assert stored == value
    assert type(stored) is type(value)
    assert await database.settings.change_by_id(change.change_id) == change


async def test_a_value_that_cannot_be_stored_is_made_storable(database: Database) -> None:
    await database.settings.change(*GUILD, "words", ["a\0", "\ud800"], by="ann")
    assert (await database.settings.values([GUILD]))[GUILD]["words"] == ["a\ufffd", "\ufffd"]


async def test_changes_are_listed_newest_first(database: Database) -> None:
    settings = database.settings
    made = [await settings.change(*GUILD, "top_k", number, by="ann") for number in range(5)]
    elsewhere = await settings.change(Scope.GUILD, "discord:2", "top_k", 9, by="ben")
    here = await settings.change(*CHANNEL, "top_k", 3, by="ben")
    assert await settings.changes([GUILD, CHANNEL], limit=3) == [here, made[4], made[3]]
    assert elsewhere not in await settings.changes([GUILD, CHANNEL])
    assert await settings.changes([GUILD], limit=0) == []
    assert await settings.change_by_id(elsewhere.change_id) == elsewhere
    for unknown in (0, -5, 10**30, 2**62):
        assert await settings.change_by_id(unknown) is None


async def test_changes_at_once_each_know_what_they_replaced(database: Database) -> None:
    await asyncio.gather(
        *(database.settings.change(*GUILD, "top_k", number, by="ann") for number in range(20))
    )
    changes = list(reversed(await database.settings.changes([GUILD], limit=50)))
    assert len(changes) == 20
    assert [change.old for change in changes] == [None, *(change.new for change in changes[:-1])]


async def test_of_two_programs_that_saw_the_same_one_alone_changes_it(
    database: Database, database_url: str
) -> None:
    """Each is another process, as far as the database knows."""
    other = await Database.open(database_url)
    try:
        seen = 0
        for round_number in range(5):
            made = await asyncio.gather(
                *(
                    each.settings.change(*GUILD, "top_k", 10 * round_number + n, by=by, seen=seen)
                    for n, (each, by) in enumerate(
                        [(database, "ann"), (other, "ben"), (database, "eve"), (other, "zoe")]
                    )
                ),
                return_exceptions=True,
            )
            refused = [one for one in made if isinstance(one, SettingChanged)]
            [done] = [one for one in made if not isinstance(one, BaseException)]
            assert len(refused) == 3
            newest = await other.settings.newest(*GUILD, ["top_k"])
            assert newest == done
            seen = done.change_id
            for each in (database, other):  # what one sets, holds in the other at once
                assert (await each.settings.values([GUILD]))[GUILD]["top_k"] == done.new
        assert len(await database.settings.changes([GUILD])) == 5
    finally:
        await other.close()


async def test_older_names_are_replaced_with_the_key(database: Database) -> None:
    settings = database.settings
    await settings.change(*GUILD, "top", 5, by="ann")
    change = await settings.change(*GUILD, "top_k", 6, by="ben", formerly=["best", "top"])
    assert (change.key, change.old, change.new) == ("top_k", 5, 6)
    assert await settings.values([GUILD]) == {GUILD: {"top_k": 6}}
    newest = await settings.newest(*GUILD, ["top"])
    assert newest is not None
    assert newest.new == 5
    assert await settings.newest(*CHANNEL, ["top_k"]) is None
