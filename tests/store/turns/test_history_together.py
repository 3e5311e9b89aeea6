"""Calls that do the work of several in one transaction."""

from dataclasses import replace
from datetime import timedelta, timezone

from store_samples import BOT, CHANNEL, MORNING, OTHER_CHANNEL, Talk, record, said

from bot.chat.messages import (
    ChannelKey,
    QuotedMessage,
    Scope,
    Speaker,
    StoredSettings,
    TurnState,
)
from bot.store.database import Database
from bot.store.history import SqlHistory

HERE = (Scope.CHANNEL, "discord:100")


async def test_a_message_is_noted_as_seen_when_it_is_kept(history: SqlHistory) -> None:
    message = said("Hi", message_id="7")
    await history.add_message(message, addressed=True)
    assert await history.last_seen("discord") == {CHANNEL: "7"}
    await history.note_seen(CHANNEL, "9")
    assert await history.add_message(message, addressed=True) is None
    assert await history.last_seen("discord") == {CHANNEL: "9"}


async def test_pending_leaves_out_what_is_too_old_but_for_those_named(
    history: SqlHistory, talk: Talk
) -> None:
    old = await talk.ask("old")
    older_named = await talk.ask("named")
    new = await talk.ask("new", minute=20)
    since = MORNING + timedelta(minutes=10)
    assert await history.pending(CHANNEL, since=since) == [new]
    named = [older_named.turn_id, 0, -1, 2**70]
    assert await history.pending(CHANNEL, since=since, also=named) == [older_named, new]
    assert await history.pending(CHANNEL) == [old, older_named, new]


async def test_what_waits_and_what_is_set_come_together(
    database: Database, history: SqlHistory, talk: Talk
) -> None:
    waiting = await history.waiting(CHANNEL, [HERE], since=MORNING)
    assert (waiting.turns, waiting.settings) == ((), StoredSettings({}, 0))
    change = await database.settings.change(*HERE, "top_k", 5, by="mod")
    asked = await talk.ask("one")
    waiting = await history.waiting(CHANNEL, [HERE], since=MORNING)
    assert waiting.turns == (asked,)
    assert waiting.settings == StoredSettings({HERE: {"top_k": 5}}, change.change_id)
    assert await database.settings.stored([HERE]) == waiting.settings
    assert (await history.waiting(OTHER_CHANNEL, [HERE], since=MORNING)).turns == ()


async def test_a_reply_begins_with_what_was_said_before_it(history: SqlHistory, talk: Talk) -> None:
    await talk.mention("long ago")
    one = await talk.ask("one")
    begun = await history.take_up(CHANNEL, BOT, persona="Ada", answers=[one.turn_id], limit=1)
    assert begun.turn == await history.turn(begun.turn.turn_id)
    assert begun.turn.asked_by == {one.speaker.speaker_id}
    assert begun.window == await history.window(CHANNEL, 1, before_turn=begun.turn.turn_id)
    assert [turn.answered_by for turn in begun.window.turns] == [begun.turn.turn_id]


async def test_a_reply_ends_with_what_was_shown_last(history: SqlHistory, talk: Talk) -> None:
    one = await talk.ask("one")
    turn = await history.begin_reply(CHANNEL, BOT, persona="Ada", answers=[one.turn_id])
    await history.show_reply(turn.turn_id, "Inde", ["a"])
    ended = await history.finish_reply(
        turn.turn_id, TurnState.WHOLE, record(), shown=("Indeed.", ["a", "b", "a"])
    )
    assert (ended.text, ended.message_ids, ended.state) == ("Indeed.", ("a", "b"), TurnState.WHOLE)
    assert ended == await history.turn(turn.turn_id)


async def test_what_is_taken_in_is_told_as_it_will_be_read(history: SqlHistory) -> None:
    eastern = timezone(timedelta(hours=5))
    author = Speaker("a\0n", "An\ud800n", roles=frozenset({"7"}))
    message = replace(
        said("wo\0rds", reply_to=QuotedMessage("q\0", author, "quo\udfffte")),
        author=author,
        sent_at=MORNING.astimezone(eastern),
        channel=ChannelKey("discord", "100"),
    )
    await history.reset(CHANNEL)
    for channel in (message.channel, ChannelKey("discord", "100", "1", "9")):
        number = f"{channel.parent_id}"
        turn = await history.add_message(
            replace(message, channel=channel, message_id=number), addressed=True
        )
        assert turn is not None
        read = await history.turn(turn.turn_id)
        assert turn == read
        assert repr(turn) == repr(read)  # also what equality leaves out


async def test_an_overview_has_the_newest_visible_turn_of_each_channel(
    database: Database, history: SqlHistory, talk: Talk
) -> None:
    first = await talk.ask("first")
    await talk.answer(await talk.ask("second"))
    await history.hide_last_exchange(CHANNEL)
    other = Talk(history, OTHER_CHANNEL)
    await other.ask("left behind")
    await history.reset(OTHER_CHANNEL)
    page = ChannelKey("workbench", "100", is_direct=True)
    answer = await Talk(history, page).answer(await Talk(history, page).ask("on the page"))
    await database.settings.change(*HERE, "top_k", 5, by="mod")
    scopes = [HERE, *((Scope.CHANNEL, f"discord:{number}") for number in range(1000, 1250))]
    overview = await history.overview([CHANNEL, OTHER_CHANNEL, page], scopes)
    assert overview.newest == {CHANNEL: first, page: answer}
    assert overview.settings == {HERE: {"top_k": 5}}
    nothing = await history.overview([], [])
    assert (nothing.newest, nothing.settings) == ({}, {})
