"""What a reply depended on is kept with it, and its lore is found again."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from store_samples import BOT, CHANNEL, Talk, record

from bot.chat.messages import Flaw, LoreFiring, LorePast, RecordedOccasion, Retry, TurnState
from bot.store.history import SqlHistory
from bot.store.turns.occasions import read_occasion, write_occasion


async def test_the_lore_of_earlier_replies_as_they_stand(history: SqlHistory, talk: Talk) -> None:
    asked = await talk.ask("A dragon?")
    first = await history.begin_reply(CHANNEL, BOT, persona="Ada", answers=[asked.turn_id])
    await history.show_reply(first.turn_id, "Yes.", ["m1"])
    await history.finish_reply(first.turn_id, TurnState.WHOLE, record())
    more = await talk.ask("And now?")
    second = await history.begin_reply(CHANNEL, BOT, persona="Ada", answers=[more.turn_id])
    fired = record().occasion
    assert fired is not None
    assert await history.lore_past(second.turn_id) == LorePast(fired.lore, 1)
    assert await history.lore_past(first.turn_id) == LorePast()
    await history.begin_swipe(first.turn_id)
    await history.show_reply(first.turn_id, "No.", ["m1"])
    await history.finish_reply(first.turn_id, TurnState.WHOLE, replace(record(), occasion=None))
    assert await history.lore_past(second.turn_id) == LorePast((), 1)
    await history.select_swipe(first.turn_id, 0)
    assert await history.lore_past(second.turn_id) == LorePast(fired.lore, 1)
    await history.delete_turn(first.turn_id)
    assert await history.lore_past(second.turn_id) == LorePast()


@pytest.mark.parametrize("kept", [None, "", "{", "[]", '{"seed":"x"}', '{"seed":1,"moment":"x"}'])
def test_an_occasion_that_is_none_is_none(kept: str | None) -> None:
    assert read_occasion(kept) is None


@pytest.mark.parametrize("retry", [None, Retry(Flaw.REPEATED, 40, kept_first=True)])
def test_an_occasion_is_read_as_it_was_written(retry: Retry | None) -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    fired = (LoreFiring("book", "1", 2),)
    occasion = RecordedOccasion(7, moment, "swipe", fired, ("Byron",), retry)
    assert read_occasion(write_occasion(occasion)) == occasion


@pytest.mark.parametrize("retry", ['"x"', "{}", '{"flaw":"odd","tokens":1,"kept_first":true}'])
def test_of_an_odd_retry_the_rest_is_kept(retry: str) -> None:
    moment = '"moment":"2026-01-01T00:00:00+00:00","trigger":"normal"'
    read = read_occasion(f'{{"seed":1,{moment},"retry":{retry}}}')
    assert read is not None
    assert read.retry is None


def test_of_odd_lore_the_rest_is_kept() -> None:
    moment = '"moment":"2026-01-01T00:00:00+00:00","trigger":"normal"'
    kept = f'{{"seed":1,{moment},"lore":[["b","1",2],3,["b"]]}}'
    read = read_occasion(kept)
    assert read is not None
    assert [each.entry for each in read.lore] == ["1"]
