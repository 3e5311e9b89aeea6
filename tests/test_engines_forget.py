"""What goes from a channel, or reads otherwise there, goes from what the engine keeps of it."""

from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bot.app import App, open_app
from bot.chat.messages import ChannelKey, IncomingMessage, Scope, Speaker
from bot.chat.privacy.jobs import Job, JobKind
from bot.chat.privacy.people import Person
from bot.engine.fake import FakeEngine
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


async def test_a_turn_that_is_taken_out_is_kept_nowhere(app: App, engine: Keeping) -> None:
    turn = await app.conversations.history.turn_of_message(HERE, "1")
    assert turn is not None
    await app.conversations.delete_turn(turn.turn_id)
    assert engine.forgot == EVERYWHERE


async def test_who_is_forgotten_is_kept_nowhere(app: App, engine: Keeping) -> None:
    await app.erasure.forgetting.forget(Person("test", "9"))
    assert set(engine.forgot) == set(EVERYWHERE)


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
