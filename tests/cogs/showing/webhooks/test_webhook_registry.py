"""One webhook of the bot's own in a channel: found by its application, made once, shared."""

import asyncio
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import aiohttp
import discord
import pytest

from cogs.showing.webhooks.registry import Lack, NoWebhookError, Webhooks, is_webhook_gone

ME, CHANNEL = 7, 5


def payload(number: int, application: int | None = ME, **other: Any) -> dict[str, Any]:
    application_id = None if application is None else str(application)
    made = {"id": str(number), "type": 1, "token": f"token{number}"}
    return made | {"application_id": application_id, "user": {"id": "99"}} | other


def refusal(status: int, code: int) -> discord.HTTPException:
    response = SimpleNamespace(status=status, reason="")
    kind = {403: discord.Forbidden, 404: discord.NotFound}.get(status, discord.HTTPException)
    return kind(cast(aiohttp.ClientResponse, response), {"code": code, "message": "no"})


@dataclass
class Discord:
    """The two requests of the client's that are used, in memory."""

    webhooks: list[dict[str, Any]] = field(default_factory=list)
    faults: list[BaseException] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    gate: asyncio.Event | None = None

    async def channel_webhooks(self, _channel_id: int) -> list[dict[str, Any]]:
        self.asked.append("list")
        if self.gate is not None:
            await self.gate.wait()
        self._fail()
        return list(self.webhooks)

    async def create_webhook(self, _channel_id: int, *, name: str, reason: str) -> dict[str, Any]:
        assert reason
        self.asked.append(f"make {name}")
        self._fail()
        self.webhooks.append(payload(100 + len(self.webhooks)))
        return self.webhooks[-1]

    def _fail(self) -> None:
        if self.faults:
            raise self.faults.pop(0)

    def registry(self, name: str = "Caduceus") -> Webhooks:
        client = discord.Client(intents=discord.Intents.none())
        client.http = self  # type: ignore[assignment]
        client._connection.application_id = ME
        client._connection.user = SimpleNamespace(id=ME, name=name)  # type: ignore[assignment]
        return Webhooks(client)


@pytest.fixture(autouse=True)
def session(monkeypatch: pytest.MonkeyPatch) -> None:
    """`Webhook.partial` wants one; nothing is sent here."""
    monkeypatch.setattr(Discord, "_HTTPClient__session", object(), raising=False)
    monkeypatch.setattr(Discord, "proxy", None, raising=False)
    monkeypatch.setattr(Discord, "proxy_auth", None, raising=False)


async def test_it_is_made_once_and_then_known() -> None:
    there = Discord([payload(1, 8), payload(2, None)])
    webhooks = there.registry("My Discord bot")
    first = await webhooks.of(CHANNEL)
    assert await webhooks.of(CHANNEL) is first
    assert (first.id, first.token) == (102, "token102")
    assert there.asked == ["list", "make My D\u200aiscord bot"]
    assert (await webhooks.of(CHANNEL + 1)).id == 102


async def test_it_is_found_by_its_application_or_its_maker() -> None:
    foreign = [payload(1, 8), payload(2, type=2), payload(3, token=None)]
    there = Discord([*foreign, payload(9), payload(4)])
    assert (await there.registry().of(CHANNEL)).id == 4
    there = Discord([*foreign, payload(5, None, user={"id": str(ME)})])
    assert (await there.registry().of(CHANNEL)).id == 5
    assert there.asked == ["list"]


async def test_all_who_wait_share_one_lookup_and_leave_it_to_the_others() -> None:
    there = Discord(gate=asyncio.Event())
    webhooks = there.registry()
    waiting = [asyncio.create_task(webhooks.of(CHANNEL)) for _ in range(8)]
    elsewhere = asyncio.create_task(webhooks.of(CHANNEL + 1))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    waiting[0].cancel()
    assert there.gate is not None
    there.gate.set()
    found = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(found[0], asyncio.CancelledError)
    assert len({id(webhook) for webhook in found[1:]}) == 1
    await elsewhere
    assert there.asked.count("list") == 2


@pytest.mark.parametrize(
    ("fault", "lack"),
    [
        (refusal(403, 50013), Lack.PERMISSION),
        (refusal(403, 50001), Lack.PERMISSION),
    ],
)
async def test_what_failed_is_shared_but_not_kept(fault: discord.Forbidden, lack: Lack) -> None:
    there = Discord([payload(1)], [fault], gate=asyncio.Event())
    webhooks = there.registry()
    waiting = [asyncio.create_task(webhooks.of(CHANNEL)) for _ in range(3)]
    await asyncio.sleep(0)
    assert there.gate is not None
    there.gate.set()
    for failed in await asyncio.gather(*waiting, return_exceptions=True):
        assert isinstance(failed, NoWebhookError)
        assert failed.lack is lack
    assert there.asked == ["list"]
    assert (await webhooks.of(CHANNEL)).id == 1


async def test_other_peoples_webhooks_fill_a_channel() -> None:
    there = Discord([payload(number, 8) for number in range(15)])
    with pytest.raises(NoWebhookError) as full:
        await there.registry().of(CHANNEL)
    assert full.value.lack is Lack.ROOM
    assert there.asked == ["list"]
    for code in (30007, 30058):
        there = Discord()
        webhooks = there.registry()
        there.faults = []
        original = there.create_webhook

        async def refuse(*_: Any, code: int = code, **__: Any) -> dict[str, Any]:
            raise refusal(400, code)

        there.create_webhook = refuse  # type: ignore[method-assign]
        with pytest.raises(NoWebhookError) as full:
            await webhooks.of(CHANNEL)
        assert full.value.lack is Lack.ROOM
        there.create_webhook = original  # type: ignore[method-assign]
        assert (await webhooks.of(CHANNEL)).id == 100


async def test_without_the_permission_nothing_is_asked_but_what_is_known_serves() -> None:
    there = Discord([payload(1)])
    webhooks = there.registry()
    with pytest.raises(NoWebhookError):
        await webhooks.of(CHANNEL, may_manage=False)
    assert there.asked == []
    await webhooks.of(CHANNEL)
    assert (await webhooks.of(CHANNEL, may_manage=False)).id == 1


async def test_a_deleted_one_is_looked_up_again_and_no_newer_one_is_forgotten() -> None:
    there = Discord([payload(1)])
    webhooks = there.registry()
    await webhooks.of(CHANNEL)
    there.webhooks = []
    webhooks.forget(CHANNEL, 1)
    assert (await webhooks.of(CHANNEL)).id == 100
    webhooks.forget(CHANNEL, 1)  # somebody else notices only now
    await webhooks.of(CHANNEL)
    assert there.asked.count("list") == 2
    assert await webhooks.by_id(CHANNEL, 1) is None
    assert there.asked.count("list") == 3  # another program might have made it
    there.webhooks.append(payload(200))
    assert (found := await webhooks.by_id(CHANNEL, 200)) is not None
    assert found.id == 200


async def test_a_fault_that_passes_is_the_callers() -> None:
    there = Discord([payload(1)], [refusal(503, 0), ConnectionResetError()])
    webhooks = there.registry()
    with pytest.raises(discord.HTTPException):
        await webhooks.of(CHANNEL)
    with pytest.raises(ConnectionResetError):
        await webhooks.of(CHANNEL)
    assert (await webhooks.of(CHANNEL)).id == 1


async def test_closing_ends_what_nobody_waits_for() -> None:
    there = Discord(gate=asyncio.Event())
    webhooks = there.registry()
    waiting = asyncio.create_task(webhooks.of(CHANNEL))
    await asyncio.sleep(0)
    await webhooks.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting


def test_which_errors_say_that_the_webhook_is_gone() -> None:
    assert is_webhook_gone(refusal(404, 10015))
    assert is_webhook_gone(refusal(401, 50027))
    assert not is_webhook_gone(refusal(404, 10008))
    assert not is_webhook_gone(OSError())
