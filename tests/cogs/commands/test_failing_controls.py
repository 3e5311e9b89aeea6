"""A button, select or form that breaks: its presser is told, and the log says where."""

import errno
from pathlib import Path

import aiohttp
import discord
import pytest
from panels import Panel
from worlds import World, talking

from bot.chat.settings import SettingsCascade
from bot.chat.talk.faults import line_for
from bot.errors import StoreError
from cogs.commands.moderating.log_channel import LogView
from cogs.commands.privacies import export
from cogs.interactions import UNREACHABLE

WRONG = "Something went wrong (reference "


class Breaking:
    """Takes the place of something that is not to break, and does."""

    def __init__(self, fault: Exception | None = None) -> None:
        self._fault = fault or RuntimeError("a fault of ours")

    async def __call__(self, *_: object, **__: object) -> None:
        raise self._fault


def logged(world: World, caplog: pytest.LogCaptureFixture, what: str, told: str) -> None:
    """Whether the log says what broke, where, and under the reference that was told."""
    reference = told.partition("(reference ")[2][:8]
    assert len(reference) == 8
    [record] = [one for one in caplog.records if one.levelname == "ERROR"]
    said = record.getMessage()
    assert what in said
    assert f"in channel {world.channel.id} of server {world.guild.id}" in said
    assert f"reference {reference}" in said
    assert record.exc_info is not None


async def test_a_button_under_a_reply(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with talking(tmp_path, check_errors=False) as world:
        await world.ask("one")
        monkeypatch.setattr(world.bot.conversations, "regenerate", Breaking())
        pressed = await world.alice.click(world.messages()[-1], label="Regenerate")
        told = pressed.followups[-1].content
        assert WRONG in told
        logged(world, caplog, "TurnButton regenerate", told)


async def test_a_button_of_somebodys_own_view(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with talking(tmp_path, check_errors=False) as world:
        await world.chief.slash(world.channel, "moderation log", channel=world.channel)
        shown = await world.chief.slash(world.channel, "moderation log")
        monkeypatch.setattr(world.bot.moderation.log_channels, "remove", Breaking())
        assert shown.response is not None
        pressed = await world.chief.click(shown.response, label="Switch off")
        told = pressed.followups[-1].content
        assert WRONG in told
        logged(world, caplog, f"{LogView.__name__}, «Switch off»,", told)


async def test_a_database_that_fails_behind_a_button(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with talking(tmp_path, check_errors=False) as world:
        await world.chief.slash(world.channel, "moderation log", channel=world.channel)
        shown = await world.chief.slash(world.channel, "moderation log")
        lost = StoreError("The database is gone.")
        monkeypatch.setattr(world.bot.moderation.log_channels, "remove", Breaking(lost))
        assert shown.response is not None
        pressed = await world.chief.click(shown.response, label="Switch off")
        told = pressed.followups[-1].content
        assert told.startswith(f"{line_for(lost)} (reference ")
        logged(world, caplog, f"{LogView.__name__}, «Switch off»,", told)


@pytest.mark.parametrize("has_restarted", [True, False])
async def test_a_form(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    *,
    has_restarted: bool,
) -> None:
    async with talking(tmp_path, check_errors=False) as world:
        if has_restarted:
            panel = await Panel.open(world, world.keeper, "top_k")
            form, values = await panel.open_form(), {"value": "5"}
            monkeypatch.setattr(SettingsCascade, "set", Breaking())
            name, actor = "SettingForm", world.keeper
        else:
            form = await world.chief.slash(world.channel, "persona create")
            monkeypatch.setattr(world.bot.desk.workshop, "create", Breaking())
            values, name, actor = {"name": "Eve"}, "CreateForm", world.chief
        sent = await actor.submit_modal(form, values)
        shown = sent.followups[-1] if sent.followups else sent.response
        assert shown is not None
        told = shown.content
        assert WRONG in told
        logged(world, caplog, name, told)


async def test_discord_s_own_troubles_are_said_in_words(tmp_path: Path) -> None:
    async with talking(tmp_path, check_errors=False) as world:
        panel = await Panel.open(world, world.keeper, "top_k")
        world.env.inject_error("PATCH", "/webhooks/*", status=503, code=0)
        await panel.press("The whole server")
        assert panel.told == UNREACHABLE


@pytest.mark.parametrize(
    ("fault", "is_discords"),
    [
        (OSError(errno.ENOSPC, "no space left on device"), False),
        (FileNotFoundError("a folder"), False),
        (TimeoutError(), False),
        (ConnectionResetError(), True),
        (aiohttp.ServerDisconnectedError(), True),
        (discord.RateLimited(60.0), True),
    ],
    ids=["full disk", "no file", "too slow", "connection lost", "server gone", "rate limit"],
)
async def test_only_what_fails_on_the_way_to_discord_is_discord_s_trouble(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    *,
    fault: Exception,
    is_discords: bool,
) -> None:
    async with talking(tmp_path, check_errors=False) as world:
        monkeypatch.setattr(export, "write_everything", Breaking(fault))
        asked = await world.alice.slash(world.channel, "privacy export")
        assert asked.response is not None
        told = asked.response.content
        if is_discords:
            assert told == UNREACHABLE
        else:
            assert WRONG in told
            logged(world, caplog, "/privacy export", told)
