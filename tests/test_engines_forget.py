"""What goes from a channel, or reads otherwise there, goes from what the engine keeps of it."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from store_samples import ANN, BEN, BOT, CHANNEL, OTHER_CHANNEL, Talk

from bot.app import App, open_app
from bot.chat.messages import ChannelKey, IncomingMessage, QuotedMessage, Scope, Speaker
from bot.chat.privacy.jobs import Job, JobKind
from bot.chat.privacy.people import Person
from bot.chat.roleplay.memory.facts import FactSource
from bot.engine.fake import FakeEngine
from bot.errors import NotFound
from bot.settings import ProcessSettings

ROOT = Path(__file__).parents[1]
HERE = ChannelKey("test", "1", is_direct=True)


class Keeping(FakeEngine):
    """Notes what it is to forget."""

    def __init__(self) -> None:
        super().__init__(["Yes."])
        self.forgot: list[tuple[str, bool]] = []

    def forget(self, channel: str, *, only_copies: bool = False) -> None:
        self.forgot.append((channel, only_copies))


@pytest.fixture
def engine() -> Keeping:
    return Keeping()


@pytest.fixture
def settings(tmp_path: Path) -> ProcessSettings:
    return ProcessSettings(
        engine="fake", data_dir=tmp_path / "data", personas_dir=ROOT / "personas"
    )


@pytest.fixture
async def app(settings: ProcessSettings, engine: Keeping) -> AsyncGenerator[App]:
    async with open_app(settings, engine=engine) as app:
        await app.engine_start
        said = IncomingMessage(
            "1", HERE, Speaker("9", "Ann"), "Hello?", datetime.now(UTC), mentions_bot=True
        )
        await app.conversations.hear(said)
        yield app


EVERYWHERE = [(name, False) for name in ("test:1", "recap test:1", "summary")]


async def test_what_is_deleted_is_kept_nowhere(app: App, engine: Keeping) -> None:
    await app.conversations.deleted(HERE, ["1"])
    assert engine.forgot == EVERYWHERE


async def test_what_was_never_kept_takes_nothing_from_it(app: App, engine: Keeping) -> None:
    stranger = IncomingMessage("50", HERE, Speaker("9", "Ann"), "(aside)", datetime.now(UTC))
    assert await app.conversations.deleted(HERE, ["50", "51"]) == 0
    assert not await app.conversations.edited(HERE, "50", "An edit.")
    assert not await app.conversations.edited(HERE, "50", "(An aside.)")
    assert not (await app.conversations.edited_message(stranger)).kept
    assert await app.conversations.took_place(stranger, "49") is None
    with pytest.raises(NotFound):
        await app.conversations.edit_turn(999, "An edit.")
    assert engine.forgot == []


@pytest.mark.parametrize("is_quoted", [True, False], ids=["quoted", "pinned"])
async def test_of_what_was_never_kept_what_repeats_it_counts(
    app: App, engine: Keeping, *, is_quoted: bool
) -> None:
    ben = Speaker("8", "Ben")
    if is_quoted:
        quoted = QuotedMessage("50", ben, "Ben's words")
        now = datetime.now(UTC)
        said = IncomingMessage("2", HERE, Speaker("9", "Ann"), "What?", now, reply_to=quoted)
        await app.database.history.add_message(said, addressed=False)
    else:
        source = FactSource("50", "8")
        await app.database.facts.add_fact(HERE, "Ben's words", by="9", source=source)
    await app.conversations.edited(HERE, "50", "Ben's new words")
    assert engine.forgot == [(name, True) for name, _ in EVERYWHERE]
    engine.forgot.clear()
    assert await app.conversations.deleted(HERE, ["50"]) == 0
    assert engine.forgot == EVERYWHERE


@pytest.mark.parametrize("does", ["edited", "edited_message", "took_place", "edit_turn"])
async def test_an_edit_is_told_once_it_stands(
    app: App, engine: Keeping, monkeypatch: pytest.MonkeyPatch, does: str
) -> None:
    conversations, history = app.conversations, app.database.history
    turn = await history.turn_of_message(HERE, "1")
    assert turn is not None
    anew = IncomingMessage(
        "2" if does == "took_place" else "1", HERE, turn.speaker, "Anew?", turn.created_at
    )
    before: list[str] = []

    def noting(write: Callable[..., Awaitable[object]]) -> Callable[..., Awaitable[object]]:
        async def note(*given: object) -> object:
            before.extend(channel for channel, _ in engine.forgot)
            return await write(*given)

        return note

    for name in ("edit_message", "replace_message", "edit_turn"):
        monkeypatch.setattr(history, name, noting(getattr(history, name)))
    edits = {
        "edited": lambda: conversations.edited(HERE, "1", "Anew?"),
        "edited_message": lambda: conversations.edited_message(anew),
        "took_place": lambda: conversations.took_place(anew, "1"),
        "edit_turn": lambda: conversations.edit_turn(turn.turn_id, "Anew?"),
    }
    await edits[does]()
    assert before == []
    assert engine.forgot == [(name, True) for name, _ in EVERYWHERE]


async def test_a_turn_that_is_taken_out_is_kept_nowhere(app: App, engine: Keeping) -> None:
    turn = await app.conversations.history.turn_of_message(HERE, "1")
    assert turn is not None
    await app.conversations.delete_turn(turn.turn_id)
    assert engine.forgot == EVERYWHERE


async def test_who_is_forgotten_is_kept_nowhere(app: App, engine: Keeping) -> None:
    await app.erasure.forgetting.forget(Person("test", "9"))
    assert set(engine.forgot) == set(EVERYWHERE)


@pytest.mark.parametrize("what", ["a reply to them", "an echo of them", "what is being written"])
async def test_nor_where_another_channel_quotes_the_bot_about_them(
    app: App, engine: Keeping, what: str
) -> None:
    history = app.database.history
    talk = Talk(history)
    asked = await talk.ask("my cat Brimble sleeps on the old stove all day", author=ANN)
    if what != "a reply to them":
        asked = await talk.ask("So?", author=BEN)
    if what == "what is being written":
        begun = await history.begin_reply(CHANNEL, BOT, persona="Ada", answers=[asked.turn_id])
        await history.show_reply(begun.turn_id, "Well", ["501"])
    else:
        await talk.answer(asked, text="Brimble sleeps on the old stove.", ids=("501",))
    quoted = QuotedMessage("501", BOT, "Brimble sleeps on the old stove.")
    elsewhere = Talk(history, OTHER_CHANNEL)
    quoting = await elsewhere.ask("Look!", author=BEN, reply_to=quoted)
    await app.erasure.forgetting.forget(Person("discord", "ann"))
    assert (await history.turn(quoting.turn_id)).reply_to is None
    assert {str(CHANNEL), str(OTHER_CHANNEL)} <= {channel for channel, _ in engine.forgot}


async def test_of_an_edit_no_copy_is_kept(app: App, engine: Keeping) -> None:
    await app.conversations.edited(HERE, "1", "Hello there?")
    assert engine.forgot == [(name, True) for name, _ in EVERYWHERE]


async def test_of_a_turn_that_is_edited_no_copy_is_kept(app: App, engine: Keeping) -> None:
    turn = await app.conversations.history.turn_of_message(HERE, "1")
    assert turn is not None
    await app.conversations.edit_turn(turn.turn_id, "Hello there?")
    assert engine.forgot == [(name, True) for name, _ in EVERYWHERE]


async def test_who_opts_out_is_kept_nowhere(app: App, engine: Keeping) -> None:
    await app.privacy.staying_out.opt_out("test", "9")
    assert engine.forgot == EVERYWHERE


async def test_a_conversation_that_is_deleted_is_kept_nowhere(app: App, engine: Keeping) -> None:
    old, _new = await app.conversations.reset(HERE)
    await app.conversations.delete_conversation(HERE, old)
    assert engine.forgot == EVERYWHERE


async def test_what_has_grown_old_is_kept_nowhere(app: App, engine: Keeping) -> None:
    ago = datetime.now(UTC) - timedelta(days=8)
    old = IncomingMessage("0", HERE, Speaker("9", "Ann"), "Long ago.", ago)
    await app.database.history.add_message(old, addressed=False)
    night = Job(JobKind.RETENTION, "", ago)
    await app.erasure.retention.work(night)
    assert engine.forgot == []
    await app.database.settings.change(Scope.CHANNEL, str(HERE), "retention_days", 7, by="9")
    await app.erasure.retention.work(night)
    assert engine.forgot == EVERYWHERE
    assert [turn.text for turn in await app.database.history.export(HERE)] == ["Hello?"]


async def test_an_undo_takes_nothing_from_it(app: App, engine: Keeping) -> None:
    await app.conversations.undo(HERE)
    await app.conversations.reset(HERE)
    assert engine.forgot == []
