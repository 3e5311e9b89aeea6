"""Work beside all else: begun once, ended with its owner, and never lost in silence."""

import asyncio
import logging
from pathlib import Path

import pytest

from bot.app import open_app
from bot.background import Background, end
from bot.chat.personas.guild.workshop import PersonaWorkshop
from bot.chat.personas.library import PersonaLibrary
from bot.settings import ProcessSettings

LOST = "Nobody waters the flowers any more"


async def test_it_goes_on_until_it_is_ended() -> None:
    watering, has_begun, ended = Background("watering", lost=LOST), asyncio.Event(), False

    async def water() -> None:
        nonlocal ended
        try:
            has_begun.set()
            await asyncio.Event().wait()
        finally:
            ended = True

    watering.begin(water())
    await has_begun.wait()
    assert watering.is_on

    await watering.end()
    await watering.end()

    assert ended
    assert not watering.is_on


async def test_it_is_begun_once_at_a_time_and_anew_after_its_end() -> None:
    watering, rounds = Background("watering", lost=LOST), 0
    has_ended = asyncio.Event()

    async def water() -> None:
        nonlocal rounds
        rounds += 1
        has_ended.set()

    watering.begin(water())
    with pytest.raises(RuntimeError, match="watering"):
        watering.begin(water())
    await has_ended.wait()
    has_ended.clear()

    watering.begin(water())
    await has_ended.wait()

    assert rounds == 2


async def test_a_fault_is_told_with_what_is_lost(caplog: pytest.LogCaptureFixture) -> None:
    watering, has_begun = Background("watering", lost=LOST), asyncio.Event()

    async def water() -> None:
        has_begun.set()
        raise ZeroDivisionError("no water")

    with caplog.at_level(logging.ERROR):
        watering.begin(water())
        await has_begun.wait()
        await watering.end()

    (told,) = caplog.records
    assert told.message == LOST
    assert told.exc_info is not None


async def test_whoever_ends_a_task_does_not_get_its_fault() -> None:
    async def fail() -> None:
        raise ZeroDivisionError

    task = asyncio.create_task(fail())
    await asyncio.wait([task])

    await end(task)


@pytest.mark.parametrize(
    ("watcher", "lost"),
    [(PersonaLibrary, "Changes in PERSONAS_DIR"), (PersonaWorkshop, "Deleted personas")],
)
async def test_what_the_program_watches_does_not_end_in_silence(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    watcher: type[object],
    lost: str,
) -> None:
    failed = asyncio.Event()

    async def fail(_self: object) -> None:
        failed.set()
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(watcher, "watch", fail)
    settings = await asyncio.to_thread(
        ProcessSettings, engine="fake", data_dir=tmp_path / "data", personas_dir=tmp_path
    )
    async with open_app(settings):
        await failed.wait()
    [told] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert told.getMessage().startswith(lost)
    assert told.exc_info is not None
